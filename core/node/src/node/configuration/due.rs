//! Which steps have to look after the configuration: not those of phones, heartbeats and the log's way to the peer, of
//! which there are many, unless they change what it goes by.

use base::{Incarnation, LocalTime};
use cluster::Role;

use super::{AGAIN, Node};
use crate::event::{Event, Now};

/// What it goes by besides its own room, the log and the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Surroundings {
    role: Role,
    shares: bool,
    claimed: bool,
    in_step: bool,
    ships: bool,
    /// As standby: the other node has still to take over what we did alone.
    offers: bool,
    /// As active: what the other one did alone is coming.
    takes: bool,
    conversation: (Incarnation, u64),
}

/// What phones, disks and clocks say. What the peer says is judged when it is known what it is.
pub(in crate::node) fn is_traffic(event: &Event) -> bool {
    matches!(
        event,
        Event::Datagram { .. }
            | Event::MediaHeard
            | Event::Learned { .. }
            | Event::JournalWritten { .. }
            | Event::Peer { .. }
            | Event::Timeout
    )
}

impl Node {
    pub(super) fn surroundings(&self) -> Surroundings {
        Surroundings {
            role: self.cluster.role(),
            shares: self.shares_configuration(),
            claimed: self.claimed,
            in_step: self.in_step_with_peer(),
            ships: self.ships(),
            offers: self.offer.is_some(),
            takes: self.orphans_taken.is_some(),
            conversation: self.conversation(),
        }
    }

    /// With which life of the peer we speak, and how often that has begun anew.
    pub(super) fn conversation(&self) -> (Incarnation, u64) {
        (self.peering_with, self.peering.as_ref().map_or(0, replication::Peering::restarts))
    }

    /// Besides, it is looked after now and then whatever the step begins with, so that nothing waits for ever.
    pub(in crate::node) fn configuration_is_due(&self, now: Now) -> bool {
        let room = &self.room;
        room.touched
            || self.configuration_deadline(None).is_some_and(|due| due <= now.local)
            || room.known.is_stale(self.log.store())
            || room.surroundings != Some(self.surroundings())
            || now.local.since(room.driven_at) >= AGAIN
    }

    /// The earlier of `other` and when the configuration has something to do though nothing happened.
    pub(in crate::node) fn configuration_deadline(&self, other: Option<LocalTime>) -> Option<LocalTime> {
        let room = &self.room;
        if room.stirred {
            return Some(LocalTime::ZERO);
        }
        let shares = self.shares_configuration();
        let again = |at: Option<LocalTime>, wants: &dyn Fn() -> bool| at.filter(|_| wants()).map(|at| at + AGAIN);
        let times = [
            other,
            room.transfer.deadline(self.ships()),
            room.gathering.as_ref().and_then(super::Gathering::deadline).filter(|_| shares),
            room.judging.as_ref().and_then(super::Judging::deadline).filter(|_| shares),
            again(room.proposed_at, &|| shares && self.may_propose() && self.is_to_propose()),
            again(room.refusal_told_at, &|| shares && self.may_tell_refused() && self.refusal_to_tell().is_some()),
            room.rests_until,
            room.running.filter(|_| shares).map(|running| running.until),
            room.checking.map(|(_, until)| until),
            room.waiting.iter().map(|waiting| waiting.until).min(),
        ];
        times.into_iter().flatten().min()
    }
}
