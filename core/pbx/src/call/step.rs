//! What one step of a call is given, and where it puts what it says.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use base::{ClusterTime, NodeIndex, Random, WallTime};
use sip::transaction::Transmit;

use crate::configuration::Configuration;
use crate::record::Record;
use crate::registrar::Registrar;
use crate::service::Service;

/// A closed media port is not given out again for this long, so that a stray packet of the old call is not heard in
/// a new one.
const PORT_REST: Duration = Duration::from_secs(5);

/// What a call says to the outside.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    Send(Transmit),
    /// The call has ended; its record is complete.
    Record(Box<Record>),
    /// For the log: what a person should know and no phone is told.
    Trouble(String),
}

/// The surroundings of one step: everything that a call may look at besides itself.
pub struct Step<'a> {
    pub now: ClusterTime,
    pub wall: WallTime,
    /// It began with a phone's message, not with a timer.
    pub by_phone: bool,
    pub configuration: &'a Configuration,
    pub registrar: &'a Registrar,
    /// The addresses that phones know us by; a leg's own one is written into its Contact, Via and SDP.
    pub service: &'a Service,
    pub random: &'a mut Random,
    pub ports: &'a mut PortNumbers,
    pub out: &'a mut Vec<Output>,
}

impl Step<'_> {
    /// Our first socket on the address of this party's network, for requests to whoever never registered with us.
    pub fn transport(&self, remote: IpAddr) -> Option<SocketAddr> {
        let transport = self.configuration.general.transports.first()?;
        Some(SocketAddr::new(self.service.towards(remote), transport.port))
    }

    pub fn send(&mut self, local: SocketAddr, destination: SocketAddr, bytes: Vec<u8>) {
        self.out.push(Output::Send(Transmit { local, destination, bytes }));
    }
}

/// Gives out even RTP port numbers. Each node of a pair has its own half of the range, so that both can open calls
/// while they cannot see each other.
#[derive(Clone, Debug)]
pub struct PortNumbers {
    first: u16,
    pairs: u16,
    cursor: u16,
    taken: BTreeSet<u16>,
    resting: Vec<(ClusterTime, u16)>,
}

impl PortNumbers {
    /// The half of `start..=end` that belongs to `node`.
    pub fn new(start: u16, end: u16, node: NodeIndex) -> Self {
        let start = start.saturating_add(start & 1);
        let pairs = end.saturating_sub(start).saturating_add(1) / 2;
        let half = pairs / 2;
        let first = if node.0 == 0 { start } else { start + half * 2 };
        Self { first, pairs: half.max(1), cursor: 0, taken: BTreeSet::new(), resting: Vec::new() }
    }

    /// The next free even port; `None` when every one is in use, which fails the one call.
    pub fn take(&mut self, now: ClusterTime) -> Option<u16> {
        self.resting.retain(|(until, _)| *until > now);
        for _ in 0..self.pairs {
            let port = self.first + self.cursor * 2;
            self.cursor = (self.cursor + 1) % self.pairs;
            if !self.taken.contains(&port) && self.resting.iter().all(|(_, resting)| *resting != port) {
                self.taken.insert(port);
                return Some(port);
            }
        }
        None
    }

    /// Notes a port that a call of the log uses.
    pub fn occupy(&mut self, port: u16) {
        self.taken.insert(port);
    }

    pub fn release(&mut self, port: u16, now: ClusterTime) {
        if self.taken.remove(&port) {
            self.resting.push((now + PORT_REST, port));
        }
    }
}
