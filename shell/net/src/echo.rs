//! Asking a machine whether it is there: ICMP echo (RFC 792, RFC 4443 section 4.1), one question at a time.

use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use thiserror::Error;

#[cfg(test)]
mod tests;

const REQUEST_V4: u8 = 8;
const REPLY_V4: u8 = 0;
const REQUEST_V6: u8 = 128;
const REPLY_V6: u8 = 129;

/// Type, code, checksum, identifier and sequence number.
const HEADER_BYTES: usize = 8;

/// The longest answer that is looked at: an IPv4 header with all options and our own packet.
const ANSWER_BYTES_MAX: usize = 60 + HEADER_BYTES;

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
fn question(address: IpAddr, identifier: u16, sequence: u16) -> [u8; HEADER_BYTES] {
    let kind = if address.is_ipv4() { REQUEST_V4 } else { REQUEST_V6 };
    let [[i0, i1], [s0, s1]] = [identifier.to_be_bytes(), sequence.to_be_bytes()];
    let sum = u32::from(kind) * 256 + u32::from(identifier) + u32::from(sequence);
    // Three words: what overflows once cannot overflow again.
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    let [c0, c1] = if address.is_ipv4() { (!(sum as u16)).to_be_bytes() } else { [0, 0] };
    [kind, 0, c0, c1, i0, i1, s0, s1]
}

/// IPv4's raw sockets give the header, too (raw(7)); those of IPv6 do not, and the identifier must do.
fn is_answer(address: IpAddr, packet: &[u8], identifier: u16, sequence: u16) -> bool {
    let (kind, message) = match address {
        IpAddr::V4(address) => {
            let header_bytes = usize::from(packet.first().copied().unwrap_or(0) & 0x0f) * 4;
            let source = packet.get(12..16).and_then(|source| <[u8; 4]>::try_from(source).ok()).map(Ipv4Addr::from);
            if source != Some(address) {
                return false;
            }
            (REPLY_V4, packet.get(header_bytes..).unwrap_or_default())
        }
        IpAddr::V6(_) => (REPLY_V6, packet),
    };
    let [i0, i1] = identifier.to_be_bytes();
    let [s0, s1] = sequence.to_be_bytes();
    message.first() == Some(&kind) && message.get(4..HEADER_BYTES) == Some(&[i0, i1, s0, s1])
}
