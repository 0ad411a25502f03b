//! The pair's side of a virtual router that others belong to, too: what the serving node adverts, and what the others'
//! adverts are answered with.
//!
//! ```text
//!                serve: advert at once, then each interval
//!   StandingBy ---------------------------------------------> Serving
//!        ^                                                       |  another's advert that loses, or says goodbye:
//!        |                                                       |  advert at once (RFC 9568 section 6.4.3)
//!        +-- stand_by: priority 0 when nobody follows -----------+
//! ```
//!
//! There is no arrow from Serving to StandingBy for a greater priority: in the pair heartbeats decide. A foreign router
//! is no PBX, so it is to have the address only while neither node serves; one that insists is told of to the operator.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use base::LocalTime;
use minicbor::{Decode, Encode};

use super::advert::{Advert, AdvertError, Authentication, Packet};
use super::{PRIORITY_LEAVING, Version, group_of, timer};
use crate::neighbours::Schedule;

mod notice;
#[cfg(test)]
mod tests;

pub use notice::Notice;

/// Foreign routers that are remembered. A virtual router has two or three members; a further one is answered like any
/// other, but neither remembered nor told of.
pub const FOREIGN_MAX: usize = 16;

/// The shortest time between two adverts. Two routers that answer each other at once would fill the link; an advert that
/// would come sooner waits for the regular one.
pub const ADVERT_PAUSE: Duration = Duration::from_millis(10);

/// How often neighbours are told anew while a foreign router claims the address: it takes as long until the closely
/// spaced part of the schedule is over.
pub const CONTEST_PAUSE: Duration = Duration::from_secs(1);

/// How often one foreign router is told of: one that changes with each advert would fill the log.
pub const NOTICE_PAUSE: Duration = Duration::from_secs(10);

/// What does not change during the life of a daemon.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Settings {
    #[n(0)]
    pub version: Version,
    /// The virtual router, 1 to 255.
    #[n(1)]
    pub vrid: u8,
    /// 1 to 254.
    #[n(2)]
    pub priority: u8,
    /// Between two adverts of the serving node.
    #[n(3)]
    pub interval: Duration,
    /// The virtual router's addresses, of one family.
    #[n(4)]
    pub addresses: Vec<IpAddr>,
    /// Where adverts go and whose are taken; empty for multicast.
    #[n(5)]
    pub unicast_peers: Vec<IpAddr>,
    /// Version 3 over IPv4: the checksum that is sent covers the pseudo-header.
    #[n(6)]
    pub checksum_pseudo_header: bool,
    #[n(7)]
    pub authentication: Authentication,
}

/// Who serves when this node stops to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Successor {
    /// The other node serves already.
    Serves,
    /// The other node will, in a moment.
    Follows,
    /// Neither node.
    Nobody,
}

/// One thing to do, in the order given.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    Send {
        source: IpAddr,
        destination: IpAddr,
        bytes: Vec<u8>,
    },
    /// Tell switches and hosts on the link who has the address: another router has said that it has it.
    TellNeighbours,
    Notice(Notice),
}

/// A router outside the pair that was heard as active of our virtual router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Foreign {
    #[n(0)]
    pub priority: u8,
    /// The interval that it says, which is the one it is judged by.
    #[n(1)]
    pub interval: Duration,
    /// It says that it has one of our addresses.
    #[n(2)]
    pub claims: bool,
    /// It wins against us by the RFCs' rules.
    #[n(3)]
    pub outranks: bool,
    /// After this silence it is not active any more.
    #[n(4)]
    pub until: LocalTime,
    #[n(5)]
    told_at: LocalTime,
    /// It has changed since.
    #[n(6)]
    untold: bool,
}

/// The machine. Its owner calls each input with the present local time, which never runs backwards.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Router {
    #[n(0)]
    settings: Settings,
    /// This node's own address on the link, which its adverts come from; nothing is sent without one.
    #[n(1)]
    own: Option<IpAddr>,
    #[n(2)]
    serving: bool,
    /// Serving: when the next regular advert is due.
    #[n(3)]
    advert_at: LocalTime,
    #[n(4)]
    sent_at: Option<LocalTime>,
    #[n(5)]
    neighbours: Schedule,
    #[n(6)]
    contested_at: Option<LocalTime>,
    #[n(7)]
    foreign: BTreeMap<IpAddr, Foreign>,
    /// Whose adverts were refused, told once each until a good one comes.
    #[n(8)]
    refused: BTreeSet<IpAddr>,
}

impl Router {
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            own: None,
            serving: false,
            advert_at: LocalTime::ZERO,
            sent_at: None,
            neighbours: Schedule::default(),
            contested_at: None,
            foreign: BTreeMap::new(),
            refused: BTreeSet::new(),
        }
    }

    /// The machine's own address on the link, when it becomes known, changes or is gone.
    pub fn own_address(&mut self, now: LocalTime, own: Option<IpAddr>) -> Vec<Output> {
        let mut out = Vec::new();
        if self.own != own {
            self.own = own;
            if self.serving {
                self.advert(now, &mut out);
            }
        }
        out
    }

    /// What this node tracks has changed its priority; the other routers hear so at once.
    pub fn set_priority(&mut self, now: LocalTime, priority: u8) -> Vec<Output> {
        let mut out = Vec::new();
        let before = std::mem::replace(&mut self.settings.priority, priority);
        if self.serving && before != priority {
            self.advert(now, &mut out);
        }
        out
    }

    /// This node has the role: it says so at once.
    pub fn serve(&mut self, now: LocalTime) -> Vec<Output> {
        let mut out = Vec::new();
        self.serving = true;
        self.advert(now, &mut out);
        out
    }

    /// This node has the role no more. A foreign router is told to take the address only when neither node will; where
    /// the other node needs a moment yet, one more advert makes the foreign routers wait anew.
    pub fn stand_by(&mut self, now: LocalTime, successor: Successor) -> Vec<Output> {
        let mut out = Vec::new();
        if std::mem::take(&mut self.serving) {
            self.neighbours.stop();
            match successor {
                Successor::Serves => {}
                Successor::Follows => self.send(now, self.settings.priority, &mut out),
                Successor::Nobody => self.send(now, PRIORITY_LEAVING, &mut out),
            }
        }
        out
    }

    /// The serving node was lost and this one, which stands by, has not taken the role yet: foreign routers wait anew.
    pub fn hold(&mut self, now: LocalTime) -> Vec<Output> {
        let mut out = Vec::new();
        if !self.serving {
            self.send(now, self.settings.priority, &mut out);
        }
        out
    }

    /// A packet of the VRRP protocol came. `peer` is the address that the other node of the pair sends from; its adverts
    /// mean nothing, because its heartbeats say more.
    pub fn received(&mut self, now: LocalTime, packet: Packet, bytes: &[u8], peer: Option<IpAddr>) -> Vec<Output> {
        let mut out = Vec::new();
        let source = packet.source;
        let unicast = &self.settings.unicast_peers;
        let of_another_router = bytes.get(1) != Some(&self.settings.vrid);
        let unasked = !unicast.is_empty() && !unicast.contains(&source);
        if of_another_router || unasked || Some(source) == self.own {
            return out;
        }
        if Some(source) == peer {
            self.foreign.remove(&source);
            return out;
        }
        match Advert::decode(bytes, packet, self.settings.version, self.settings.authentication) {
            Ok(advert) => self.advertised(now, source, &advert, &mut out),
            Err(error) => self.refuse(source, error, &mut out),
        }
        self.tell_neighbours(now, &mut out);
        out
    }

    /// The deadline has come.
    pub fn timeout(&mut self, now: LocalTime) -> Vec<Output> {
        let mut out = Vec::new();
        if self.serving && self.advert_at <= now {
            self.advert(now, &mut out);
        }
        self.tell_neighbours(now, &mut out);
        self.foreign.retain(|source, foreign| {
            let gone = foreign.until <= now;
            if gone {
                out.push(Output::Notice(Notice::ForeignGone { source: *source }));
            }
            !gone
        });
        out
    }

    /// When `timeout` must be called next.
    pub fn deadline(&self) -> Option<LocalTime> {
        let advert = self.serving.then_some(self.advert_at);
        let gone = self.foreign.values().map(|foreign| foreign.until);
        gone.chain(advert).chain(self.neighbours.deadline()).min()
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub fn own(&self) -> Option<IpAddr> {
        self.own
    }

    /// The foreign routers that are active, by the address they send from.
    pub fn foreign(&self) -> &BTreeMap<IpAddr, Foreign> {
        &self.foreign
    }

    /// A sound advert of a foreign router.
    fn advertised(&mut self, now: LocalTime, source: IpAddr, advert: &Advert, out: &mut Vec<Output>) {
        self.refused.remove(&source);
        if advert.priority == PRIORITY_LEAVING {
            if self.foreign.remove(&source).is_some() {
                out.push(Output::Notice(Notice::ForeignGone { source }));
            }
            // RFC 9568 section 6.4.3: the other backups learn at once that somebody is active.
            return self.answer(now, out);
        }
        let claims = advert.addresses.iter().any(|address| self.settings.addresses.contains(address));
        let outranks = self.outranks(source, advert.priority);
        self.note(now, source, advert, (claims, outranks), out);
        if !self.serving {
            return;
        }
        if !outranks {
            self.answer(now, out);
        }
        if claims && self.contested_at.is_none_or(|at| now.since(at) >= CONTEST_PAUSE) {
            // It has told the neighbours, or will: who has the address must be said after it.
            self.contested_at = Some(now);
            self.neighbours.start(now);
        }
    }

    /// RFC 9568 section 6.4.3: the greater priority, then the greater address.
    fn outranks(&self, source: IpAddr, priority: u8) -> bool {
        let own = self.own.filter(|own| own.is_ipv4() == source.is_ipv4());
        match own {
            Some(own) => (priority, source) > (self.settings.priority, own),
            None => priority > self.settings.priority,
        }
    }

    /// Remembers a foreign router, and tells of it when it is new or different.
    fn note(
        &mut self,
        now: LocalTime,
        source: IpAddr,
        advert: &Advert,
        (claims, outranks): (bool, bool),
        out: &mut Vec<Output>,
    ) {
        let Settings { version, priority: own_priority, interval: own_interval, .. } = self.settings;
        let before = self.foreign.get(&source).copied();
        if before.is_none() && self.foreign.len() >= FOREIGN_MAX {
            return;
        }
        let Advert { priority, interval, .. } = *advert;
        // The silence of the one that would wait longest: that of the least priority.
        let until = now + timer::active_down_interval(version, 1, interval);
        let mut foreign = Foreign { priority, interval, claims, outranks, until, told_at: now, untold: false };
        let news = before.is_none_or(|before| {
            let was = (before.priority, before.interval, before.claims, before.outranks);
            before.untold || was != (priority, interval, claims, outranks)
        });
        let soon = before.filter(|before| now.since(before.told_at) < NOTICE_PAUSE);
        if let Some(before) = before.filter(|_| !news).or(soon) {
            (foreign.told_at, foreign.untold) = (before.told_at, news);
        } else {
            out.push(Output::Notice(Notice::Foreign { source, priority, interval, claims }));
            if outranks {
                out.push(Output::Notice(Notice::Outranked { source, priority, own: own_priority }));
            }
            if timer::to_wire(version, interval) != timer::to_wire(version, own_interval) {
                out.push(Output::Notice(Notice::IntervalDiffers { source, interval, own: own_interval }));
            }
        }
        self.foreign.insert(source, foreign);
    }

    fn refuse(&mut self, source: IpAddr, error: AdvertError, out: &mut Vec<Output>) {
        if self.refused.len() < FOREIGN_MAX && self.refused.insert(source) {
            out.push(Output::Notice(Notice::Refused { source, error }));
        }
    }

    /// An advert out of turn, unless the last one was sent just now.
    fn answer(&mut self, now: LocalTime, out: &mut Vec<Output>) {
        if self.serving && self.sent_at.is_none_or(|at| now.since(at) >= ADVERT_PAUSE) {
            self.advert(now, out);
        }
    }

    fn advert(&mut self, now: LocalTime, out: &mut Vec<Output>) {
        self.advert_at = now + self.settings.interval;
        self.send(now, self.settings.priority, out);
    }

    fn send(&mut self, now: LocalTime, priority: u8, out: &mut Vec<Output>) {
        let Some(source) = self.own else { return };
        let Settings { version, vrid, interval, authentication, .. } = self.settings;
        let addresses = self.settings.addresses.clone();
        let advert = Advert { version, vrid, priority, interval, addresses, authentication };
        let group = group_of(source);
        let group = self.settings.unicast_peers.is_empty().then_some(group);
        self.sent_at = Some(now);
        for destination in self.settings.unicast_peers.iter().copied().chain(group).filter(|to| *to != source) {
            match advert.encode(source, destination, self.settings.checksum_pseudo_header) {
                Ok(bytes) => out.push(Output::Send { source, destination, bytes }),
                // The configuration was checked for it, so that this is told, never met.
                Err(error) => return self.refuse(source, error, out),
            }
        }
    }

    fn tell_neighbours(&mut self, now: LocalTime, out: &mut Vec<Output>) {
        if self.serving && self.neighbours.due(now) {
            out.push(Output::TellNeighbours);
        }
    }
}
