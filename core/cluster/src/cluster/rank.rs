//! Which node is the one to prefer: priorities less what fails of what the nodes track.

use base::LocalTime;

use super::{Cluster, since};
use crate::output::Output;
use crate::track::{self, Standing};

impl Cluster {
    /// What is tracked has changed.
    pub fn tracked(&mut self, now: LocalTime, standing: Standing) -> Vec<Output> {
        let mut out = Vec::new();
        self.forgive_own_stall(now, &mut out);
        if self.standing != standing {
            let new_fault = standing.fault && !self.standing.fault;
            self.standing = standing;
            self.noticed.no_carrier = false;
            self.heartbeat_due = true;
            if new_fault && self.may_hand_over().is_ok() {
                self.begin_hand_over(now, &mut out);
            }
            self.judge(now, &mut out);
        }
        self.finish(now, &mut out);
        out
    }

    /// The priority less what fails of what we track, at least 1.
    pub fn rank(&self) -> u8 {
        track::rank(self.settings.priority, self.standing.penalty)
    }

    /// As active: notes since when the peer has been the one to prefer.
    pub(super) fn watch_rank(&mut self, now: LocalTime) {
        let outranked = self.peer.view.up && self.peer.view.rank() > self.rank();
        let worse = outranked && self.standing.penalty > self.peer.view.penalty;
        self.outranked_since = since(self.outranked_since, outranked, now);
        self.worse_since = since(self.worse_since, worse, now);
    }

    /// The interfaces have a carrier, and nothing that is tracked is a fault.
    pub(super) fn is_able(&self) -> bool {
        self.carrier && !self.standing.fault
    }
}
