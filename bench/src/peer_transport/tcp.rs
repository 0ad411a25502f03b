//! TCP with TCP_NODELAY. Neither encrypted nor authenticated: what TLS would add is not in the numbers.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::thread;
use std::time::Duration;

use base::LocalTime;
use miette::{IntoDiagnostic, Result, WrapErr};
use net::clock::local_now;
use nix::poll::PollFlags;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::course::Cutter;
use super::wire::{CONNECT_MAX, Wire};

/// The pause before connecting again.
const CONNECT_PAUSE: Duration = Duration::from_millis(50);

/// Bytes that are read at once.
const READ_BYTES: usize = 64 * 1024;

pub struct Tcp {
    stream: TcpStream,
    unsent: Vec<u8>,
    cutter: Cutter,
    closed: bool,
}

impl Tcp {
    /// Connects from one address to another. `message_bytes` is the length of each message that will come.
    pub fn connect(local: SocketAddr, remote: SocketAddr, message_bytes: usize) -> Result<Self> {
        let connected_by = local_now() + CONNECT_MAX;
        loop {
            match connect_once(local, remote) {
                Ok(stream) => return Self::new(stream, message_bytes),
                Err(_) if local_now() < connected_by => thread::sleep(CONNECT_PAUSE),
                Err(error) => return Err(error).into_diagnostic().wrap_err("connect"),
            }
        }
    }

    /// Waits for one connection. `message_bytes` is the length of each message that will come.
    pub fn accept(listener: &TcpListener, message_bytes: usize) -> Result<Self> {
        let (stream, _) = listener.accept().into_diagnostic().wrap_err("accept a connection")?;
        Self::new(stream, message_bytes)
    }

    fn new(stream: TcpStream, message_bytes: usize) -> Result<Self> {
        stream.set_nodelay(true).into_diagnostic()?;
        stream.set_nonblocking(true).into_diagnostic()?;
        Ok(Self { stream, unsent: Vec::new(), cutter: Cutter::new(message_bytes), closed: false })
    }
}

impl Wire for Tcp {
    fn is_ready(&self) -> bool {
        true
    }

    fn is_closed(&self) -> bool {
        self.closed
    }

    fn send(&mut self, message: &[u8]) -> Result<()> {
        self.unsent.extend_from_slice(message);
        Ok(())
    }

    fn flush(&mut self, _now: LocalTime) -> Result<()> {
        while !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).into_diagnostic().wrap_err("write to the connection"),
            }
        }
        Ok(())
    }

    fn receive(&mut self, _now: LocalTime) -> Result<Vec<Vec<u8>>> {
        let mut buffer = vec![0; READ_BYTES];
        match self.stream.read(&mut buffer) {
            Ok(0) => {
                self.closed = true;
                Ok(Vec::new())
            }
            Ok(count) => Ok(self.cutter.take(buffer.get(..count).unwrap_or_default())),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Vec::new()),
            Err(error) => Err(error).into_diagnostic().wrap_err("read from the connection"),
        }
    }

    fn deadline(&self) -> Option<LocalTime> {
        None
    }

    fn descriptors(&self) -> Vec<(BorrowedFd<'_>, PollFlags)> {
        let writable = if self.unsent.is_empty() { PollFlags::empty() } else { PollFlags::POLLOUT };
        vec![(self.stream.as_fd(), PollFlags::POLLIN | writable)]
    }
}

fn connect_once(local: SocketAddr, remote: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(local), Type::STREAM, Some(Protocol::TCP))?;
    socket.bind(&SockAddr::from(SocketAddr::new(local.ip(), 0)))?;
    socket.connect(&SockAddr::from(remote))?;
    Ok(socket.into())
}
