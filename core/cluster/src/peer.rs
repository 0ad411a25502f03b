//! What one node knows of the other: its last heartbeat, on which links it is heard, and which of its lives are over.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use base::{Epoch, Incarnation, Level, LocalTime, NodeIndex, Position};
use minicbor::{Decode, Encode};

use crate::heartbeat::{Drain, Heartbeat, Role};
use crate::track;

/// Former lives of the peer that are remembered. A heartbeat of one forgotten could only pass while the peer is down,
/// and the link's own handshake stands before it.
pub const FORMER_MAX: usize = 32;

/// Links between two nodes. A heartbeat on a further one is refused, because nobody configured it.
pub const LINKS_MAX: u8 = 8;

/// What is known of the peer, for decisions and for people. Everything but `up`, `heard_at` and `links` is from its
/// last heartbeat.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct PeerView {
    /// It was heard within the time that failure detection allows.
    #[n(0)]
    pub up: bool,
    /// `None` until it was heard for the first time.
    #[n(1)]
    pub incarnation: Option<Incarnation>,
    #[n(2)]
    pub name: String,
    #[n(3)]
    pub index: NodeIndex,
    #[n(4)]
    pub role: Role,
    #[n(5)]
    pub epoch: Epoch,
    #[n(6)]
    pub priority: u8,
    #[n(7)]
    pub position: Position,
    #[n(8)]
    pub synced: bool,
    #[n(9)]
    pub alone: bool,
    #[n(10)]
    pub carrier: bool,
    /// It hears this life of ours.
    #[n(12)]
    pub hears_us: bool,
    /// When it was last heard on any link.
    #[n(13)]
    pub heard_at: LocalTime,
    #[n(14)]
    pub links: BTreeMap<u8, Link>,
    /// Where its VRRP adverts come from.
    #[n(15)]
    pub router: Option<IpAddr>,
    /// What it can read.
    #[n(20)]
    pub level: Level,
    /// Whether it is wanted out of service, as of its last heartbeat even when it is down.
    #[n(21)]
    pub drain: Drain,
    /// It hears the pair's witness.
    #[n(16)]
    #[cbor(default)]
    pub witness: bool,
    /// How many of its ping targets answer.
    #[n(17)]
    pub pings: Option<u8>,
    /// How much what it tracks subtracts from its priority.
    #[n(22)]
    #[cbor(default)]
    pub penalty: u8,
}

impl PeerView {
    /// Its priority less what fails of what it tracks, at least 1.
    pub fn rank(&self) -> u8 {
        track::rank(self.priority, self.penalty)
    }
}

/// One link to the peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Link {
    /// When the peer was last heard on it.
    #[n(0)]
    pub heard_at: LocalTime,
}

#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub(crate) struct Peer {
    #[n(0)]
    pub view: PeerView,
    /// The greatest sequence of its present life.
    #[n(1)]
    sequence: u64,
    #[n(2)]
    former: VecDeque<Incarnation>,
    /// Until then nothing of its present life is heard: it has said farewell.
    #[n(3)]
    quiet_until: LocalTime,
    /// Whom our heartbeats name as heard: nobody while the peer is down, so that it learns that we do not hear it.
    #[n(4)]
    pub naming: Option<Incarnation>,
    /// Since when it has been heard without a break.
    #[n(5)]
    #[cbor(default)]
    up_since: LocalTime,
}

/// What a heartbeat is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The copy of one that came on another link, or one that was overtaken, or one after a farewell.
    Nothing,
    /// Of a life that is over, or from a link that does not exist.
    Refused,
    /// It may be a new life, but the present one is up and it does not name us: it could be a replay from before.
    Unproven,
    /// The next one of a peer that is up.
    Next,
    /// The first one of a peer that was down; the same life.
    Returned,
    /// The first one of a new life. The life before is given when it was up until now.
    NewLife { former_up: Option<Incarnation> },
}

impl Peer {
    /// Judges a heartbeat and takes note of it.
    pub fn arrive(&mut self, now: LocalTime, link: u8, heartbeat: &Heartbeat, own: Incarnation) -> Arrival {
        if link >= LINKS_MAX || self.former.contains(&heartbeat.incarnation) {
            return Arrival::Refused;
        }
        // Nobody is greeted who is about to go.
        if heartbeat.leaving && !self.view.up {
            return Arrival::Nothing;
        }
        let arrival = if self.view.incarnation == Some(heartbeat.incarnation) {
            self.same_life(now, link, heartbeat)
        } else {
            self.other_life(heartbeat, own)
        };
        if !matches!(arrival, Arrival::Nothing) {
            self.naming = Some(heartbeat.incarnation);
        }
        if matches!(arrival, Arrival::Returned | Arrival::NewLife { .. }) {
            self.up_since = now;
        }
        if matches!(arrival, Arrival::Next | Arrival::Returned | Arrival::NewLife { .. }) {
            self.note(now, link, heartbeat, own);
        }
        arrival
    }

    /// It is not heard any more.
    pub fn lost(&mut self) {
        self.view.up = false;
        self.naming = None;
    }

    /// It is heard, and has been for this long, and yet it does not hear us: packets pass in one direction only.
    pub fn is_deaf(&self, now: LocalTime, heard_for: Duration) -> bool {
        self.view.up && !self.view.hears_us && now.since(self.up_since) >= heard_for
    }

    /// The greatest sequence that was heard of the life that our heartbeats name.
    pub fn echo(&self) -> Option<u64> {
        self.naming.filter(|naming| self.view.incarnation == Some(*naming)).map(|_| self.sequence)
    }

    /// Its daemon is dead: what is still under way from it must not revive it.
    pub fn farewell(&mut self, quiet_until: LocalTime) {
        self.quiet_until = quiet_until;
    }

    /// We stalled: it has been as good as heard just now.
    pub fn grant_grace(&mut self, now: LocalTime) {
        self.view.heard_at = self.view.heard_at.max(now);
    }

    fn same_life(&mut self, now: LocalTime, link: u8, heartbeat: &Heartbeat) -> Arrival {
        if now < self.quiet_until {
            return Arrival::Nothing;
        }
        if heartbeat.sequence == self.sequence && self.view.up {
            self.view.links.insert(link, Link { heard_at: now });
        }
        if heartbeat.sequence <= self.sequence {
            return Arrival::Nothing;
        }
        if self.view.up { Arrival::Next } else { Arrival::Returned }
    }

    fn other_life(&mut self, heartbeat: &Heartbeat, own: Incarnation) -> Arrival {
        let was_up = self.view.up;
        if was_up && heartbeat.heard != Some(own) {
            return Arrival::Unproven;
        }
        let former = self.view.incarnation;
        if let Some(former) = former {
            self.former.push_back(former);
            while self.former.len() > FORMER_MAX {
                self.former.pop_front();
            }
        }
        self.view = PeerView::default();
        self.quiet_until = LocalTime::ZERO;
        Arrival::NewLife { former_up: former.filter(|_| was_up) }
    }

    fn note(&mut self, now: LocalTime, link: u8, heartbeat: &Heartbeat, own: Incarnation) {
        self.sequence = heartbeat.sequence;
        let mut links = std::mem::take(&mut self.view.links);
        links.insert(link, Link { heard_at: now });
        self.view = PeerView {
            up: true,
            incarnation: Some(heartbeat.incarnation),
            name: heartbeat.name.clone(),
            index: heartbeat.index,
            role: heartbeat.role,
            epoch: heartbeat.epoch,
            priority: heartbeat.priority,
            position: heartbeat.position,
            synced: heartbeat.synced,
            alone: heartbeat.alone,
            carrier: heartbeat.carrier,
            hears_us: heartbeat.heard == Some(own),
            heard_at: now,
            links,
            router: heartbeat.router,
            level: heartbeat.level,
            drain: heartbeat.drain.unwrap_or_default(),
            penalty: heartbeat.penalty.unwrap_or(0),
            witness: heartbeat.witness == Some(true),
            pings: heartbeat.pings,
        };
    }
}
