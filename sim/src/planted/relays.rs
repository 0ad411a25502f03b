//! Relays of two calls swapped: each caller hears the other call's callee.

use node::media::relay::{Port, Relay};

use super::Plant;

#[derive(Default)]
pub struct RelaysSwapped {
    planted: u64,
}

/// The machine on which they are swapped: the one that is not active at first.
const MACHINE: usize = 1;

impl Plant for RelaysSwapped {
    fn planted(&self) -> u64 {
        self.planted
    }

    fn relay(&mut self, machine: usize, relay: &mut Relay) {
        if machine != MACHINE {
            return;
        }
        let ports: Vec<Port> = relay.ports().cloned().collect();
        let party = |port: &Port| port.forward_to.and_then(|to| ports.iter().find(|other| other.port == to)).cloned();
        let mut bridged: Vec<(Port, Port)> = ports
            .iter()
            .filter_map(|port| party(port).map(|other| (port.clone(), other)))
            .filter(|(port, other)| port.port < other.port && other.forward_to.is_some())
            .collect();
        bridged.sort_by_key(|(port, _)| port.port);
        let [(a, b), (c, d), ..] = bridged.as_slice() else { return };
        for (port, to) in [(a, d), (b, c), (c, b), (d, a)] {
            relay.update(Port { forward_to: Some(to.port), ..port.clone() });
        }
        self.planted += 1;
    }
}
