//! Fencing a peer that fell silent: a program of the operator's that makes sure it does not serve, by a power switch or
//! a switch's port. It is never run against a peer that said farewell, handed over, or is heard.

use base::LocalTime;
use minicbor::{Decode, Encode};

use super::{Cluster, OnFailure};
use crate::heartbeat::Role;
use crate::output::{Fence, Notice, Output};

/// Between a fencing that failed and the next try of a node that does not serve without it.
const AGAIN_AFTER: std::time::Duration = std::time::Duration::from_secs(10);

/// How far the fencing of the present takeover has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub(super) enum FenceState {
    #[default]
    #[n(0)]
    Idle,
    /// The program of this number runs.
    #[n(1)]
    Running {
        #[n(0)]
        number: u64,
        #[n(1)]
        until: LocalTime,
    },
    /// The peer is fenced, or it does not matter.
    #[n(2)]
    Done,
    /// It failed, and is tried again then.
    #[n(3)]
    Failed {
        #[n(0)]
        again_at: LocalTime,
    },
}

impl Cluster {
    /// The fencing program of this number has ended; `done` when it did what it should.
    pub fn fenced(&mut self, now: LocalTime, number: u64, done: bool) -> Vec<Output> {
        let mut out = Vec::new();
        self.forgive_own_stall(now, &mut out);
        match self.guard.fence {
            FenceState::Running { number: running, .. } if running == number => {
                if done {
                    self.guard.fence = FenceState::Done;
                } else {
                    self.fencing_failed(now, &mut out);
                }
                self.judge(now, &mut out);
            }
            // The peer was heard meanwhile, or the time was up; a takeover that does not wait has gone on.
            _ if !done && !self.waits_for_fencing() => {
                out.push(Output::Notice(Notice::FencingFailed { serves: true }));
            }
            _ => {}
        }
        self.finish(now, &mut out);
        out
    }

    /// The role is about to be taken: whether that may be now. Meanwhile the witness's lease is held.
    pub(super) fn is_fenced(&mut self, now: LocalTime, out: &mut Vec<Output>) -> bool {
        let Some(fencing) = self.settings.safeguards.fencing.filter(|_| self.fell_silent(now)) else { return true };
        match self.guard.fence {
            FenceState::Done => return true,
            FenceState::Running { until, .. } if now >= until => {
                self.fencing_failed(now, out);
                if fencing.on_failure == OnFailure::Serve {
                    return true;
                }
            }
            FenceState::Idle => self.run_fencing(now, out),
            FenceState::Failed { again_at } if now >= again_at => self.run_fencing(now, out),
            FenceState::Running { .. } | FenceState::Failed { .. } => {}
        }
        // A lease that is of no use to us yet may be of use to a peer that lives.
        self.guard.wants_role = fencing.wait && matches!(self.guard.fence, FenceState::Running { .. });
        !fencing.wait
    }

    pub(super) fn fence_deadline(&self) -> Option<LocalTime> {
        match self.guard.fence {
            FenceState::Running { until, .. } => Some(until),
            FenceState::Failed { again_at } => Some(again_at),
            FenceState::Idle | FenceState::Done => None,
        }
    }

    fn waits_for_fencing(&self) -> bool {
        self.settings.safeguards.fencing.is_some_and(|fencing| fencing.wait)
    }

    /// We followed a leader that has said nothing more, not even farewell.
    fn fell_silent(&self, now: LocalTime) -> bool {
        let silent = !self.peer.view.up && self.peer.view.incarnation.is_some();
        self.role == Role::Standby && silent && !self.leader_gone && !self.guard.resigned && !self.has_proof(now)
    }

    fn run_fencing(&mut self, now: LocalTime, out: &mut Vec<Output>) {
        let Some(fencing) = self.settings.safeguards.fencing else { return };
        // Heartbeats have numbers that grow, and one more is as good as any other number.
        self.sequence += 1;
        let number = self.sequence;
        self.guard.fence = FenceState::Running { number, until: now + fencing.timeout };
        let (peer, epoch) = (self.peer.view.name.clone(), self.epoch);
        out.push(Output::Fence(Fence { number, peer, epoch, cause: "the peer fell silent on every link" }));
    }

    fn fencing_failed(&mut self, now: LocalTime, out: &mut Vec<Output>) {
        let on_failure = self.settings.safeguards.fencing.map(|fencing| fencing.on_failure).unwrap_or_default();
        let serves = on_failure == OnFailure::Serve;
        self.guard.fence = if serves { FenceState::Done } else { FenceState::Failed { again_at: now + AGAIN_AFTER } };
        out.push(Output::Notice(Notice::FencingFailed { serves }));
    }
}
