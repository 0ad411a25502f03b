//! Faults in what keeps a second master away: a witness that grants a lease twice, a node that goes on without one.

use node::cluster::Notice;
use node::cluster::witness::{Answer, LEASE, Verdict};
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
