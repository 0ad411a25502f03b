//! Our stream of messages in our encrypted links, on UDP sockets, read and written as the node's loop does.

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

use base::{Incarnation, LocalTime};
use miette::{IntoDiagnostic, Result, WrapErr};
use net::clock::{local_now, random};
use net::key::PairKey;
use net::link::{Link, Received};
use net::sockets::{Batch, UdpOptions, bind_udp, receive_many};
use nix::poll::PollFlags;
use replication::{Stream, StreamError};

use super::wire::Wire;

/// A key for the measurement only: what it is does not matter to the time it takes.
const KEY: [u8; 32] = [0x2a; 32];

/// Datagrams and bytes of each that are read at once.
const BATCH: usize = 32;
const BATCH_BYTES: usize = 1_500;

pub struct Ours {
    stream: Stream,
    paths: Vec<Path>,
    batch: Batch,
}

struct Path {
    link: Link,
    socket: UdpSocket,
}

impl Ours {
    /// An end with a link for each pair of addresses, local and remote. The ends' incarnations must be each other's.
    pub fn open(paths: &[(SocketAddr, SocketAddr)], own: u64, peer: u64) -> Result<Self> {
        let key = PairKey::from_bytes(KEY);
        let open = |&(local, remote): &(SocketAddr, SocketAddr)| -> Result<Path> {
            let socket = bind_udp(local, UdpOptions::default()).into_diagnostic()?;
            let link = Link::new(local, remote, &key, random().into_diagnostic()?, local_now());
            Ok(Path { link, socket })
        };
        let paths = paths.iter().map(open).collect::<Result<_>>()?;
        let stream = Stream::new(Incarnation(own), Incarnation(peer), 1);
        Ok(Self { stream, paths, batch: Batch::new(BATCH, BATCH_BYTES) })
    }
}

impl Wire for Ours {
    fn is_ready(&self) -> bool {
        self.paths.iter().all(|path| path.link.is_established())
    }

    /// Datagrams do not close.
    fn is_closed(&self) -> bool {
        false
    }

    fn send(&mut self, message: &[u8]) -> Result<()> {
        self.stream.send(message.to_vec()).into_diagnostic()
    }

    fn flush(&mut self, now: LocalTime) -> Result<()> {
        for path in &mut self.paths {
            if let Some(datagram) = path.link.timeout(now) {
                path.put(&datagram);
            }
        }
        while let Some(segment) = self.stream.next_datagram(now) {
            for path in &mut self.paths {
                if let Some(datagram) = path.link.seal(&segment) {
                    path.put(&datagram);
                }
            }
        }
        Ok(())
    }

    fn receive(&mut self, now: LocalTime) -> Result<Vec<Vec<u8>>> {
        for path in &mut self.paths {
            let mut datagrams = Vec::new();
            // An ICMP error is read like a datagram and means that the other end is not there yet.
            let _ =
                receive_many(&path.socket, &mut self.batch, |source, bytes| datagrams.push((source, bytes.to_vec())));
            for (source, datagram) in datagrams {
                match path.link.receive(now, source, &datagram) {
                    Received::Plain(segment) => match self.stream.datagram(now, &segment) {
                        Ok(()) => {}
                        Err(error @ (StreamError::Broken | StreamError::NewerGeneration { .. })) => {
                            return Err(error).into_diagnostic().wrap_err("read the stream");
                        }
                        // The datagram is dropped and the stream goes on.
                        Err(_) => {}
                    },
                    Received::Reply(reply) => path.put(&reply),
                    Received::Farewell(_) | Received::Ignored(_) => {}
                }
            }
        }
        Ok(std::iter::from_fn(|| self.stream.next_message()).collect())
    }

    fn deadline(&self) -> Option<LocalTime> {
        self.paths.iter().map(|path| path.link.deadline()).chain(self.stream.deadline()).min()
    }

    fn descriptors(&self) -> Vec<(BorrowedFd<'_>, PollFlags)> {
        self.paths.iter().map(|path| (path.socket.as_fd(), PollFlags::POLLIN)).collect()
    }
}

impl Path {
    /// Lost is lost: the stream sends again.
    fn put(&self, datagram: &[u8]) {
        let _ = self.socket.send_to(datagram, self.link.remote());
    }
}
