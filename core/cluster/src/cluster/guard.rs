//! What a node remembers so that it is not the second master: its lease of the witness, the peer's word, the fencing
//! of a silent peer, what its ping targets say.

use std::collections::VecDeque;
use std::time::Duration;

use base::{Incarnation, LocalTime};
use minicbor::{Decode, Encode};

use super::Settings;
use super::fencing::FenceState;
use super::pings::Pings;
use crate::witness::{Kind, LEASE, Lease, Mode, TO_ACT};

/// Heartbeats whose echo may still come: half a second of them. An older echo would prove nothing any more.
const SENT_MAX: usize = 16;

/// Who has just taken over, or has just met a peer that was proven to be gone, serves so long without anybody's word:
/// shorter than the silence after which a peer that has heard us would take the role.
pub(super) const GRACE: Duration = LEASE.saturating_sub(TO_ACT);

/// What stands between a node and a second master; without any of it availability wins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Safeguards {
    /// There is a witness, and what to do when it does not answer.
    #[n(0)]
    pub witness: Option<Mode>,
    #[n(1)]
    pub fencing: Option<Fencing>,
    /// How long the peer must see more ping targets before it is handed the role.
    #[n(2)]
    pub ping_settle: Duration,
    /// What the witness is, where there is one.
    #[n(3)]
    #[cbor(default)]
    pub witness_kind: Kind,
}

/// A program is run against a peer that fell silent, before or while we take over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Fencing {
    /// The takeover waits for the program.
    #[n(0)]
    pub wait: bool,
    /// How long the program may take; beyond it has failed.
    #[n(1)]
    pub timeout: Duration,
    #[n(2)]
    pub on_failure: OnFailure,
}

/// What becomes of a takeover whose fencing failed, if it waited for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum OnFailure {
    #[default]
    #[n(0)]
    Serve,
    /// The node does not serve, and tries again.
    #[n(1)]
    Stay,
}

/// The state of all safeguards.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub(super) struct Guard {
    #[n(0)]
    pub lease: Option<Lease>,
    /// Not active: the role is free as far as we can see, and only the witness or the fencing is waited for.
    #[n(1)]
    pub wants_role: bool,
    /// Standby: we served last, and gave the role up for want of anybody's consent.
    #[n(2)]
    pub resigned: bool,
    /// Active: until then the takeover itself is proof enough that nobody else serves.
    #[n(3)]
    pub grace_until: LocalTime,
    /// When the last heartbeat of the present role was sent that the peer has heard.
    #[n(4)]
    pub heard_of_us_at: Option<LocalTime>,
    /// The peer's daemon that is proven to be dead, and since when that is known. Nothing was heard of the peer since.
    #[n(5)]
    pub gone: Option<Incarnation>,
    #[n(6)]
    pub gone_at: LocalTime,
    /// The last heartbeats in the present role, oldest first: sequence, and when it was sent.
    #[n(7)]
    sent: VecDeque<(u64, LocalTime)>,
    /// It was told that the role is withheld.
    #[n(8)]
    pub withheld: bool,
    #[n(9)]
    pub fence: FenceState,
    /// What the ping targets say; `None` until that is known, and where there are none.
    #[n(10)]
    pub pings: Option<Pings>,
    /// Since when the peer has seen more of them.
    #[n(11)]
    pub peer_sees_more_since: Option<LocalTime>,
}

impl Guard {
    pub fn new(settings: &Settings, now: LocalTime) -> Self {
        let mode = settings.safeguards.witness.filter(|_| settings.has_peer);
        let kind = settings.safeguards.witness_kind;
        Self { lease: mode.map(|mode| Lease::new(mode, kind, now)), ..Self::default() }
    }

    /// A heartbeat is sent.
    pub fn said(&mut self, sequence: u64, now: LocalTime) {
        if self.sent.len() >= SENT_MAX {
            self.sent.pop_front();
        }
        self.sent.push_back((sequence, now));
    }

    /// When the heartbeat in the present role with that sequence was sent.
    pub fn sent_at(&self, sequence: u64) -> Option<LocalTime> {
        self.sent.iter().find(|(sent, _)| *sent == sequence).map(|(_, at)| *at)
    }

    /// The peer's daemon is known to be dead.
    pub fn gone(&mut self, now: LocalTime, incarnation: Option<Incarnation>) {
        self.gone = incarnation;
        self.gone_at = now;
        if let Some(lease) = &mut self.lease {
            // What the dead one held is free for whoever says so.
            lease.hurry();
        }
    }

    /// We serve from now on.
    pub fn took(&mut self, now: LocalTime) {
        self.sent.clear();
        self.heard_of_us_at = None;
        self.grace_until = now + GRACE;
        self.wants_role = false;
        self.resigned = false;
        self.withheld = false;
        self.fence = FenceState::default();
        if let Some(lease) = &mut self.lease {
            lease.hurry();
        }
    }

    /// We do not serve any more.
    pub fn yielded(&mut self) {
        self.sent.clear();
        self.heard_of_us_at = None;
        self.grace_until = LocalTime::ZERO;
        self.wants_role = false;
        self.resigned = false;
        self.withheld = false;
        self.fence = FenceState::default();
        if let Some(lease) = &mut self.lease {
            // Who comes next need not wait until it runs out.
            lease.hurry();
        }
    }
}
