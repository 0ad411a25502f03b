//! Things left out: an event that a node never hears of, an action that nobody carries out.

use node::media::relay::{Port, Relay};
use node::pbx::object::kind;
use node::replication::Entry;
use node::{Action, Event, Node};

use super::{Plant, Survivors};

/// What one plant leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Omission {
    /// The farewell of a dead daemon's parent.
    Farewell,
    /// Telling the neighbours.
    Neighbours,
    /// Storing call records.
    Records,
    /// Writing calls to the journal.
    JournalOfCalls,
    /// The deadlines of a survivor, from its takeover on.
    Deadlines,
    /// Opening media ports before the takeover.
    WarmPorts,
    /// Following what becomes of a media port that is open: hold, resume, where a phone really is.
    PortUpdates,
}

pub struct Omitted {
    what: Omission,
    survivors: Survivors,
    planted: u64,
}

impl Omitted {
    pub fn new(what: Omission) -> Self {
        Self { what, survivors: Survivors::default(), planted: 0 }
    }

    fn is_meant(&self, machine: usize, action: &Action) -> bool {
        match (self.what, action) {
            (Omission::Neighbours, Action::TellNeighbours { .. }) => self.survivors.contains(machine),
            (Omission::Records, Action::StoreRecord(_)) => machine == 1,
            (Omission::PortUpdates, Action::UpdatePort(_)) => !self.survivors.contains(machine) && machine == 1,
            _ => false,
        }
    }
}

impl Plant for Omitted {
    fn planted(&self) -> u64 {
        self.planted
    }

    fn swallows(&mut self, machine: usize, event: &Event) -> bool {
        let meant = match (self.what, event) {
            (Omission::Farewell, Event::Farewell { .. }) => true,
            (Omission::Deadlines, Event::Timeout) => self.survivors.contains(machine),
            _ => false,
        };
        self.planted += u64::from(meant);
        meant
    }

    fn actions(&mut self, machine: usize, actions: &mut Vec<Action>) {
        let before = actions.len();
        actions.retain(|action| !self.is_meant(machine, action));
        self.planted += (before - actions.len()) as u64;
        if self.what != Omission::JournalOfCalls {
            return;
        }
        for action in actions {
            let Action::JournalAppend { bytes, .. } = action else { continue };
            let Ok(mut entry) = Entry::decode(bytes) else { continue };
            let changes = entry.deltas.len();
            entry.deltas.retain(|delta| delta.key.kind != kind::CALL);
            if entry.deltas.len() < changes {
                self.planted += 1;
                *bytes = entry.encode();
            }
        }
    }

    fn relay(&mut self, machine: usize, relay: &mut Relay) {
        if self.what != Omission::WarmPorts || machine != 1 || self.survivors.contains(machine) {
            return;
        }
        let open: Vec<Port> = relay.ports().cloned().collect();
        for port in open {
            relay.close(port.port);
            self.planted += 1;
        }
    }

    fn died(&mut self, machine: usize, _other: Option<&mut Node>) {
        self.survivors.other_died(machine);
    }
}
