//! ICMP echo to the ping targets from the interface of the service address, on a thread of its own (RFC 792, RFC 4443
//! section 4).

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;

use crate::clock::random_bytes;
use crate::icmp::{echo_reply, echo_request};

#[cfg(test)]
mod tests;

/// Between two echo requests to each target.
const EVERY: Duration = Duration::from_millis(250);

/// A target that has not answered for this long does not answer: four requests in a row.
pub const SILENT_AFTER: Duration = Duration::from_secs(1);

/// Targets whose answers are awaited. More add nothing.
pub const TARGETS_MAX: usize = 16;

/// An echo with both headers and our few bytes is far shorter; what is longer is none of ours.
const PACKET_BYTES_MAX: usize = 256;

#[derive(Debug, Error)]
#[error("ping from {interface}: {operation}")]
pub struct PingError {
    pub interface: String,
    pub operation: &'static str,
    #[source]
    pub source: io::Error,
}

/// Pings until the process ends. `told` hears how many targets answer: when that is first known, and when it changes.
pub fn start(interface: &str, targets: &[IpAddr], told: impl Fn(u8) + Send + 'static) -> Result<(), PingError> {
    let failed = |operation| move |source| PingError { interface: interface.to_owned(), operation, source };
    let mut sockets = Vec::new();
    for is_ipv4 in [true, false] {
        if targets.iter().any(|target| target.is_ipv4() == is_ipv4) {
            sockets.push((is_ipv4, open(interface, is_ipv4).map_err(failed("open a raw socket"))?));
        }
    }
    let identifier = u16::from_ne_bytes(random_bytes().map_err(failed("ask for randomness"))?);
    let board = Board::new(targets, Instant::now());
    let pinger = Pinger { sockets, identifier, board };
    let thread = thread::Builder::new().name("ping".into());
    thread.spawn(move || pinger.run(told)).map_err(failed("start its thread"))?;
    Ok(())
}

fn open(interface: &str, is_ipv4: bool) -> io::Result<UdpSocket> {
    let (domain, protocol) = if is_ipv4 { (Domain::IPV4, Protocol::ICMPV4) } else { (Domain::IPV6, Protocol::ICMPV6) };
    let socket = Socket::new(domain, Type::RAW, Some(protocol))?;
    socket.bind_device(Some(interface.as_bytes()))?;
    // A raw socket is read and written as one of datagrams.
    Ok(socket.into())
}

/// Which targets have answered, and when.
#[derive(Debug)]
struct Board {
    targets: Vec<(IpAddr, Option<Instant>)>,
    started: Instant,
    told: Option<u8>,
}

impl Board {
    fn new(targets: &[IpAddr], now: Instant) -> Self {
        Self { targets: targets.iter().map(|target| (*target, None)).collect(), started: now, told: None }
    }

    fn answered(&mut self, now: Instant, source: IpAddr) {
        for (_, at) in self.targets.iter_mut().filter(|(target, _)| *target == source) {
            *at = Some(now);
        }
    }

    /// How many answer, when that is news. At first it is known once all have answered or had the time to.
    fn news(&mut self, now: Instant) -> Option<u8> {
        let answers = |at: &Option<Instant>| at.is_some_and(|at| now.saturating_duration_since(at) < SILENT_AFTER);
        let answering = self.targets.iter().filter(|(_, at)| answers(at)).count();
        let is_known = answering == self.targets.len() || now.saturating_duration_since(self.started) >= SILENT_AFTER;
        let answering = u8::try_from(answering).unwrap_or(u8::MAX);
        if !is_known || self.told == Some(answering) {
            return None;
        }
        self.told = Some(answering);
        Some(answering)
    }
}

struct Pinger {
    /// With whether it is of IPv4.
    sockets: Vec<(bool, UdpSocket)>,
    identifier: u16,
    board: Board,
}

impl Pinger {
    fn run(mut self, told: impl Fn(u8)) {
        let mut sequence: u16 = 0;
        loop {
            let round = Instant::now();
            sequence = sequence.wrapping_add(1);
            self.send(sequence);
            // Each family gets a share of the time, since a read waits for one socket alone.
            let share = EVERY / u32::try_from(self.sockets.len().max(1)).unwrap_or(1);
            for index in 0..self.sockets.len() {
                let until = round + share * u32::try_from(index + 1).unwrap_or(1);
                self.read(index, until, &told);
            }
        }
    }

    fn send(&self, sequence: u16) {
        for (is_ipv4, socket) in &self.sockets {
            let request = request(*is_ipv4, self.identifier, sequence);
            let of_family = self.board.targets.iter().filter(|(target, _)| target.is_ipv4() == *is_ipv4);
            for (target, _) in of_family {
                // What does not leave is not answered, which is all that matters.
                let _ = socket.send_to(&request, SocketAddr::new(*target, 0));
            }
        }
    }

    fn read(&mut self, index: usize, until: Instant, told: &impl Fn(u8)) {
        let mut buffer = [0; PACKET_BYTES_MAX];
        loop {
            if let Some(answering) = self.board.news(Instant::now()) {
                told(answering);
            }
            let left = until.saturating_duration_since(Instant::now());
            let Some((is_ipv4, socket)) = self.sockets.get(index).filter(|_| !left.is_zero()) else { return };
            if socket.set_read_timeout(Some(left)).is_err() {
                return thread::sleep(left);
            }
            match socket.recv_from(&mut buffer) {
                Ok((length, source)) => {
                    let packet = buffer.get(..length).unwrap_or_default();
                    if is_reply(*is_ipv4, self.identifier, packet) {
                        self.board.answered(Instant::now(), source.ip());
                    }
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                // The interface may be down; that must not make a busy loop.
                Err(_) => return thread::sleep(until.saturating_duration_since(Instant::now())),
            }
        }
    }
}

/// An echo request without its IP header.
fn request(is_ipv4: bool, identifier: u16, sequence: u16) -> Vec<u8> {
    echo_request(is_ipv4, identifier, sequence, b"tandem  ")
}

/// Whether a received packet answers one of our requests.
fn is_reply(is_ipv4: bool, identifier: u16, packet: &[u8]) -> bool {
    echo_reply(is_ipv4, packet).is_some_and(|(found, _)| found == identifier)
}
