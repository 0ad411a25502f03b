//! What keeps this node from being a second master, as the shell sees it: the witness, the fencing, the ping targets.

use cluster::witness::{Answer, Mode, Verdict};
use cluster::{Pings, Role};

use super::Node;
use crate::event::Now;
use crate::status::{PingsLine, WitnessLine};

impl Node {
    /// Before anything is done as active node: the right to be it may have run out while we slept.
    pub(super) fn watch_lapse(&mut self, now: Now) {
        if self.cluster.role() == Role::Active {
            let outputs = self.cluster.lapse(now.local);
            if !outputs.is_empty() {
                self.take_cluster_outputs(now, outputs);
            }
        }
    }

    pub(super) fn witness_answered(&mut self, now: Now, bytes: &[u8]) {
        // What a later version means by other bytes is not known here.
        let Ok(answer) = Answer::decode(bytes) else { return };
        let outputs = self.cluster.witness_answer(now.local, &answer);
        self.take_cluster_outputs(now, outputs);
    }

    pub(super) fn fenced(&mut self, now: Now, number: u64, done: bool) {
        let outputs = self.cluster.fenced(now.local, number, done);
        self.take_cluster_outputs(now, outputs);
    }

    pub(super) fn pings_told(&mut self, now: Now, pings: Pings) {
        let outputs = self.cluster.pings(now.local, pings);
        self.take_cluster_outputs(now, outputs);
    }

    pub(super) fn witness_line(&self, now: Now) -> Option<WitnessLine> {
        let lease = self.cluster.witness()?;
        let up = lease.hears(now.local);
        let held_by = match lease.verdict() {
            _ if !up => "unknown",
            Verdict::Granted if lease.holds(now.local) => "this node",
            Verdict::Held => "the peer",
            Verdict::Free => "nobody",
            Verdict::Granted | Verdict::Unproven | Verdict::Waiting => "unknown",
        };
        Some(WitnessLine {
            up,
            mode: match lease.mode() {
                Mode::Prefer => "prefer",
                Mode::Require => "require",
            }
            .into(),
            lease: held_by.into(),
            counts: lease.counts(),
            peer_hears: self.cluster.peer().up.then_some(self.cluster.peer().witness),
            round_trip_ms: up.then(|| lease.round_trip().as_secs_f64() * 1000.0),
        })
    }

    pub(super) fn pings_line(&self) -> Option<PingsLine> {
        let Pings { answering, targets } = self.cluster.own_pings()?;
        Some(PingsLine { answering, targets, peer_answering: self.cluster.peer().pings })
    }
}
