//! Faults in what keeps a second master away: a witness that grants a lease twice, a node that goes on without one.

use node::cluster::Notice;
use node::cluster::witness::deputy::{Entry, Reading, Request};
use node::cluster::witness::{Answer, Kind, LEASE, Verdict};
use node::{Action, Tell};

use super::Plant;

/// The witness grants the lease to whoever asks, though the other node has it.
#[derive(Default)]
pub struct GrantedTwice {
    planted: u64,
}

impl Plant for GrantedTwice {
    fn planted(&self) -> u64 {
        self.planted
    }

    fn witness_answer(&mut self, _machine: usize, answer: &mut Answer) {
        if answer.verdict == Verdict::Held {
            self.planted += 1;
            answer.verdict = Verdict::Granted;
            answer.left_us = LEASE.as_micros() as u64;
        }
    }
}

/// The store shows each machine the other one's record as it was first, and writes whatever it is given.
#[derive(Default)]
pub struct NotCompared {
    planted: u64,
    /// What this machine was shown first, and is shown on.
    shown: [Option<Entry>; 2],
}

impl Plant for NotCompared {
    fn planted(&self) -> u64 {
        self.planted
    }

    fn witness_kind(&self) -> Kind {
        Kind::Record
    }

    fn store_request(&mut self, _machine: usize, request: &mut Request, revision: u64) {
        if let Some(swap) = request.swap.as_mut().filter(|swap| swap.revision != revision) {
            self.planted += 1;
            swap.revision = revision;
        }
    }

    fn store_reading(&mut self, machine: usize, reading: &mut Reading) {
        // Who writes sees what it has written.
        if reading.swapped {
            self.shown[machine] = None;
        } else if let Some(record) = reading.record.as_mut() {
            *record = self.shown[machine].get_or_insert_with(|| record.clone()).clone();
        }
    }
}

/// A node that has lost both its peer and the witness keeps the address.
#[derive(Default)]
pub struct KeptWithoutLease {
    planted: u64,
}

impl Plant for KeptWithoutLease {
    fn planted(&self) -> u64 {
        self.planted
    }

    fn actions(&mut self, _machine: usize, actions: &mut Vec<Action>) {
        let resigned = |action: &Action| matches!(action, Action::Tell(Tell::Cluster(Notice::Resigned { .. })));
        if actions.iter().any(resigned) {
            self.planted += 1;
            actions.retain(|action| !matches!(action, Action::Yield));
        }
    }
}
