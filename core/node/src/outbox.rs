//! Commit before send: what a step says to the outside waits here until the peer, or the journal, has the step.

use std::collections::VecDeque;
use std::time::Duration;

use base::{LocalTime, Lsn};

use crate::action::Action;

/// Nothing waits longer than this for the peer; the node goes on alone then. Below SIP's T1 of 500 ms, so that no
/// phone retransmits because of it.
pub const HOLD_MAX: Duration = Duration::from_millis(250);

/// What must hold for an action to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// The peer has applied it.
    Peer { acked: Lsn },
    /// There is no peer to wait for: the journal has written it.
    Journal { written: Lsn },
    /// Neither peer nor disk is there to wait for.
    Open,
    /// Nothing may leave: the service address is not ours yet.
    Closed,
}

#[derive(Debug, Default)]
pub struct Outbox {
    held: VecDeque<Held>,
    /// The greatest entry of which something left that the peer had not acknowledged.
    left_unacked: Lsn,
}

#[derive(Debug)]
struct Held {
    lsn: Lsn,
    since: LocalTime,
    action: Action,
}

impl Outbox {
    /// Takes what the step of this entry says.
    pub fn hold(&mut self, lsn: Lsn, now: LocalTime, action: Action) {
        self.held.push_back(Held { lsn, since: now, action });
    }

    /// What may leave now, in order.
    pub fn release(&mut self, gate: Gate, peer_acked: Lsn) -> Vec<Action> {
        let up_to = match gate {
            Gate::Peer { acked } => acked,
            Gate::Journal { written } => written,
            Gate::Open => Lsn(u64::MAX),
            Gate::Closed => return Vec::new(),
        };
        let mut released = Vec::new();
        while let Some(held) = self.held.front() {
            if held.lsn > up_to {
                break;
            }
            if held.lsn > peer_acked {
                self.left_unacked = self.left_unacked.max(held.lsn);
            }
            released.extend(self.held.pop_front().map(|held| held.action));
        }
        released
    }

    /// The peer has everything that phones were ever told.
    pub fn peer_has_all(&self, acked: Lsn) -> bool {
        acked >= self.left_unacked
    }

    /// When what waits longest has waited too long.
    pub fn deadline(&self) -> Option<LocalTime> {
        self.held.front().map(|held| held.since + HOLD_MAX)
    }

    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// This node's words count no more: another one serves.
    pub fn discard(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests;
