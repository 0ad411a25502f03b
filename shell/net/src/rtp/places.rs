//! Owns which thread each open port is on, and how many each thread has.

use std::collections::BTreeMap;
use std::sync::Arc;

use media::relay::Port;

use super::Sockets;

/// On which thread an open port is.
pub(super) struct Place {
    pub shard: usize,
    pub sockets: Arc<Sockets>,
}

pub(super) struct Places {
    open: BTreeMap<u16, Place>,
    /// Open ports of each thread.
    loads: Vec<usize>,
}

impl Places {
    pub fn new(threads: usize) -> Self {
        Self { open: BTreeMap::new(), loads: vec![0; threads] }
    }

    pub fn get(&self, port: u16) -> Option<&Place> {
        self.open.get(&port)
    }

    pub fn ports(&self) -> impl Iterator<Item = u16> {
        self.open.keys().copied()
    }

    pub fn insert(&mut self, port: u16, place: Place) {
        self.remove(port);
        if let Some(load) = self.loads.get_mut(place.shard) {
            *load += 1;
        }
        self.open.insert(port, place);
    }

    pub fn remove(&mut self, port: u16) -> Option<Place> {
        let place = self.open.remove(&port)?;
        if let Some(load) = self.loads.get_mut(place.shard) {
            *load -= 1;
        }
        Some(place)
    }

    /// The thread of the port that `port` forwards to; without one, the thread with the fewest ports.
    pub fn for_new(&self, port: &Port) -> usize {
        let least = || self.loads.iter().enumerate().min_by_key(|(_, load)| **load).map_or(0, |(shard, _)| shard);
        self.of_partner(port).unwrap_or_else(least)
    }

    /// The thread of the port that `port` forwards to.
    pub fn of_partner(&self, port: &Port) -> Option<usize> {
        let partner = port.forward_to.filter(|partner| *partner != port.port)?;
        Some(self.get(partner)?.shard)
    }
}
