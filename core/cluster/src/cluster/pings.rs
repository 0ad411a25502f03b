//! Ping targets as evidence: a node that reaches none of them does not take over, and one whose peer reaches more hands
//! over to it.

use base::LocalTime;
use minicbor::{Decode, Encode};

use super::{Cluster, since};
use crate::heartbeat::Role;
use crate::output::Output;

/// How many of the ping targets answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Pings {
    #[n(0)]
    pub answering: u8,
    #[n(1)]
    pub targets: u8,
}

impl Cluster {
    /// How many ping targets answer now; to be said when it changes, and once when it is first known.
    pub fn pings(&mut self, now: LocalTime, pings: Pings) -> Vec<Output> {
        let mut out = Vec::new();
        self.forgive_own_stall(now, &mut out);
        if self.guard.pings != Some(pings) {
            self.guard.pings = Some(pings);
            self.noticed.no_carrier = false;
            self.heartbeat_due = true;
            self.judge(now, &mut out);
        }
        self.finish(now, &mut out);
        out
    }

    /// What the ping targets say here; `None` where there are none or nothing is known yet.
    pub fn own_pings(&self) -> Option<Pings> {
        self.guard.pings
    }

    /// None of our targets answers: it is we who are cut off.
    pub(super) fn sees_nothing(&self) -> bool {
        self.guard.pings.is_some_and(|pings| pings.targets > 0 && pings.answering == 0)
    }

    /// We see more of them than the peer.
    pub(super) fn sees_more(&self) -> bool {
        self.compared().is_some_and(|(own, peer)| own > peer)
    }

    /// As active: when the peer will have seen more of them for the settling time, if it does.
    pub(super) fn peer_sees_more_until(&self) -> Option<LocalTime> {
        self.guard.peer_sees_more_since.map(|since| since + self.settings.safeguards.ping_settle)
    }

    /// Notes since when the peer has seen more of them.
    pub(super) fn compare_pings(&mut self, now: LocalTime) {
        let peer_sees_more =
            self.role == Role::Active && self.peer.view.up && self.compared().is_some_and(|(own, peer)| peer > own);
        self.guard.peer_sees_more_since = since(self.guard.peer_sees_more_since, peer_sees_more, now);
    }

    fn compared(&self) -> Option<(u8, u8)> {
        Some((self.guard.pings?.answering, self.peer.view.pings?))
    }
}
