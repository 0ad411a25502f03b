//! Asking a machine whether it is there: ICMP echo (RFC 792, RFC 4443 section 4.1), one question at a time.

use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use thiserror::Error;

use crate::icmp::{ECHO_HEADER_BYTES, echo_reply, echo_request};

#[cfg(test)]
mod tests;

/// The longest answer that is looked at: an IPv4 header with all options and our own packet.
const ANSWER_BYTES_MAX: usize = 60 + ECHO_HEADER_BYTES;

/// A raw socket hears the answers to everybody's questions; nobody has so many within one wait.
const ANSWERS_MAX: usize = 10_000;

#[derive(Debug, Error)]
#[error("ask {address} for an echo: {operation}")]
pub struct EchoError {
    pub address: IpAddr,
    pub operation: &'static str,
    #[source]
    pub source: io::Error,
}

/// One machine to ask. Needs CAP_NET_RAW.
#[derive(Debug)]
pub struct Echo {
    address: IpAddr,
    socket: Socket,
    /// Tells our answers from those of other programs.
    identifier: u16,
    sequence: u16,
}

impl Echo {
    /// `identifier` is any number that no other asker on this machine has; a random one will do.
    pub fn open(address: IpAddr, identifier: u16) -> Result<Self, EchoError> {
        let (domain, protocol) = match address {
            IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
            IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
        };
        let socket = Socket::new(domain, Type::RAW, Some(protocol));
        let socket = socket.map_err(|source| EchoError { address, operation: "open a raw socket", source })?;
        Ok(Self { address, socket, identifier, sequence: 0 })
    }

    /// Asks once. `false`: no answer came within `wait`, or the question could not leave.
    pub fn ask(&mut self, wait: Duration) -> Result<bool, EchoError> {
        self.sequence = self.sequence.wrapping_add(1);
        let question = question(self.address, self.identifier, self.sequence);
        let to = SockAddr::from(SocketAddr::new(self.address, 0));
        // Without a route or a neighbour nobody is there, which is an answer as well.
        if self.socket.send_to(&question, &to).is_err() {
            return Ok(false);
        }
        let until = Instant::now() + wait;
        let address = self.address;
        let failed = |operation| move |source| EchoError { address, operation, source };
        for _ in 0..ANSWERS_MAX {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            self.socket.set_read_timeout(Some(left)).map_err(failed("set a time limit"))?;
            let mut bytes = [0; ANSWER_BYTES_MAX];
            let length = match (&self.socket).read(&mut bytes) {
                Ok(length) => length,
                // Nothing came, or an error for what we sent: the wait goes on until its end.
                Err(error) if is_transient(&error) => continue,
                Err(source) => return Err(failed("receive")(source)),
            };
            if is_answer(self.address, bytes.get(..length).unwrap_or_default(), self.identifier, self.sequence) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn is_transient(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, HostUnreachable, Interrupted, NetworkUnreachable, TimedOut, WouldBlock};
    matches!(
        error.kind(),
        WouldBlock | TimedOut | Interrupted | HostUnreachable | NetworkUnreachable | ConnectionRefused
    )
}

/// The kernel fills in the checksum of ICMPv6 (RFC 3542 section 3.1), and leaves that of ICMP to us.
fn question(address: IpAddr, identifier: u16, sequence: u16) -> Vec<u8> {
    echo_request(address.is_ipv4(), identifier, sequence, b"")
}

/// IPv4's raw sockets give the header, too (raw(7)); those of IPv6 do not, and the identifier must do.
fn is_answer(address: IpAddr, packet: &[u8], identifier: u16, sequence: u16) -> bool {
    let from = match address {
        IpAddr::V4(address) => packet.get(12..16) == Some(&address.octets()),
        IpAddr::V6(_) => true,
    };
    from && echo_reply(address.is_ipv4(), packet) == Some((identifier, sequence))
}
