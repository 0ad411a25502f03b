//! Who is active: the machine that turns heartbeats and deadlines into a role.
//!
//! ```text
//!              peer active, or it leads              peer down and synced, handed over, or long silence
//!   Starting ------------------------------> Standby -------------------------------------------------> Active
//!      |                                        ^                                                          |
//!      |                                        +---------- peer active in a greater epoch, or leaving ----+
//!      +----------------------- nobody heard, or we lead --------------------------------------------------^
//! ```
//!
//! Inputs return what to do; `deadline` says when `timeout` must be called. The transitions are in `role`.

use std::net::IpAddr;
use std::time::Duration;

use base::{ClusterTime, Epoch, Incarnation, LocalTime, Position};
use minicbor::{Decode, Encode};

use crate::clock::ClusterClock;
use crate::heartbeat::{Drain, Heartbeat, Reach, Role};
use crate::neighbours::Schedule;
use crate::output::{Notice, Output};
use crate::peer::{Arrival, Peer, PeerView};
use crate::track::Standing;
use crate::witness::Lease;

mod drain;
mod fencing;
mod guard;
mod permit;
mod pings;
mod rank;
mod role;
mod settings;
#[cfg(test)]
mod tests;

use guard::Guard;
pub use guard::{Fencing, OnFailure, Safeguards};
pub use pings::Pings;
pub use settings::{Durable, Failback, ResumeActive, Settings};

/// After a sleep everything that came meanwhile is read within this time, however much it is.
const UNREAD_FOR: Duration = Duration::from_millis(10);

/// The machine. Its owner calls each input with the present local time, which never runs backwards.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Cluster {
    #[n(0)]
    settings: Settings,
    #[n(1)]
    incarnation: Incarnation,
    #[n(2)]
    role: Role,
    /// The epoch we lead in; as standby that of the leader we follow.
    #[n(3)]
    epoch: Epoch,
    /// The greatest epoch we know of.
    #[n(4)]
    known: Epoch,
    /// The greatest epoch that was reserved for us, in this life or before it.
    #[n(5)]
    reserved: Epoch,
    /// Whether `reserved` was reserved in this life, so that nobody can have used it.
    #[n(6)]
    reserved_now: bool,
    /// The greatest epoch that we have asked to be reserved.
    #[n(7)]
    asked: Epoch,
    #[n(8)]
    peer: Peer,
    #[n(9)]
    clock: ClusterClock,
    #[n(10)]
    position: Position,
    /// Active: when a phone was first heard since we are alone.
    #[n(11)]
    heard_alone_since: Option<LocalTime>,
    #[n(12)]
    carrier: bool,
    #[n(13)]
    leaving: bool,
    /// Starting: serve without listening first.
    #[n(14)]
    at_once: bool,
    /// Starting: until when it listens.
    #[n(15)]
    listen_until: LocalTime,
    /// Starting: until when a peer that is not heard at all is waited for.
    #[n(44)]
    #[cbor(default)]
    peer_wait_until: LocalTime,
    /// Standby: our log is in step with the leader's.
    #[n(16)]
    synced: bool,
    /// Standby: the leader has told the phones what we do not have.
    #[n(17)]
    told_alone: bool,
    /// Standby: when the leader was last heard as leader.
    #[n(18)]
    leader_heard_at: LocalTime,
    /// Standby: there is proof that the leader's daemon is gone, so that its silence need not be waited for.
    #[n(19)]
    leader_gone: bool,
    /// Active: we have told the phones, or may tell them any time, what the peer does not have.
    #[n(20)]
    alone: bool,
    /// Active: since when the follower has been in step.
    #[n(21)]
    in_step_since: Option<LocalTime>,
    /// Active: until when the hand-over may take.
    #[n(22)]
    hand_over_until: Option<LocalTime>,
    /// Active: the peer is active, too, in a lower epoch.
    #[n(23)]
    double_active: bool,
    #[n(24)]
    neighbours: Schedule,
    #[n(25)]
    sequence: u64,
    #[n(26)]
    heartbeat_at: LocalTime,
    /// Something changed that the peer must know before the next regular heartbeat.
    #[n(27)]
    heartbeat_due: bool,
    /// When `timeout` was last called: deadlines up to then have been judged.
    #[n(28)]
    judged_at: Option<LocalTime>,
    #[n(29)]
    noticed: Noticed,
    /// Active: when a phone was first heard in this reign, since we last slept.
    #[n(30)]
    reached_since: Option<LocalTime>,
    /// We have slept so long that the peer may have taken over; until then we listen for it.
    #[n(31)]
    uncertain_until: LocalTime,
    /// Where our VRRP adverts come from.
    #[n(32)]
    router: Option<IpAddr>,
    /// An operator wants this node out of service.
    #[n(43)]
    drain: Drain,
    /// What we track, and what of it fails.
    #[n(40)]
    standing: Standing,
    /// Active: since when the peer has been the one to prefer.
    #[n(41)]
    outranked_since: Option<LocalTime>,
    /// Active: since when it has been so because something fails here and not there.
    #[n(42)]
    worse_since: Option<LocalTime>,
    #[n(33)]
    #[cbor(default)]
    guard: Guard,
    /// Active: the follower has all of the log, but not what it is to run with.
    #[n(45)]
    follower_behind: bool,
}

/// What was reported already, so that each condition is reported once while it lasts.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
struct Noticed {
    #[n(0)]
    no_carrier: bool,
    #[n(1)]
    same_index: bool,
    #[n(2)]
    stale: Option<Epoch>,
    #[n(3)]
    refused: Option<Incarnation>,
}

impl Cluster {
    /// A starting node whose log stands at `position`. It has asked for nothing yet: its deadline is `now`.
    pub fn new(
        settings: Settings,
        durable: Durable,
        incarnation: Incarnation,
        position: Position,
        now: LocalTime,
    ) -> Self {
        let resumed = settings.restart.map(|restart| restart.epoch).unwrap_or_default();
        Self {
            incarnation,
            role: Role::Starting,
            epoch: Epoch::default(),
            known: durable.epoch.max(position.epoch).max(resumed),
            reserved: durable.reserved,
            reserved_now: false,
            asked: Epoch::default(),
            peer: Peer::default(),
            clock: ClusterClock::default(),
            position,
            heard_alone_since: None,
            carrier: true,
            leaving: false,
            at_once: !settings.has_peer || settings.restart.is_some(),
            listen_until: now + settings.timing.startup_wait,
            peer_wait_until: now + settings.timing.peer_wait,
            synced: false,
            told_alone: false,
            leader_heard_at: now,
            leader_gone: false,
            alone: false,
            in_step_since: None,
            follower_behind: false,
            hand_over_until: None,
            double_active: false,
            neighbours: Schedule::default(),
            sequence: 0,
            heartbeat_at: now,
            heartbeat_due: false,
            judged_at: None,
            noticed: Noticed::default(),
            reached_since: None,
            uncertain_until: LocalTime::ZERO,
            router: None,
            drain: durable.drain,
            standing: Standing::default(),
            outranked_since: None,
            worse_since: None,
            guard: Guard::new(&settings, now),
            settings,
        }
    }

    /// An authenticated heartbeat came on this link. Copies from several links are all given.
    pub fn heartbeat(&mut self, now: LocalTime, link: u8, heartbeat: Heartbeat) -> Vec<Output> {
        let mut out = Vec::new();
        if !self.settings.has_peer || heartbeat.incarnation == self.incarnation {
            return out;
        }
        if heartbeat.index == self.settings.index {
            if !self.noticed.same_index {
                self.noticed.same_index = true;
                out.push(Output::Notice(Notice::SameIndex { index: heartbeat.index }));
            }
            return out;
        }
        let named = self.peer.naming;
        let arrival = self.peer.arrive(now, link, &heartbeat, self.incarnation);
        if arrival == Arrival::Nothing {
            return out;
        }
        self.forgive_own_stall(now, &mut out);
        if matches!(arrival, Arrival::Next | Arrival::Returned | Arrival::NewLife { .. }) {
            self.note_contact(now, &heartbeat);
        }
        // What was waiting while we slept comes all at once. A peer that follows afterwards does so now.
        let down_after = self.settings.timing.down_after;
        if heartbeat.role != Role::Active && now + down_after >= self.uncertain_until + UNREAD_FOR {
            self.uncertain_until = LocalTime::ZERO;
        }
        match arrival {
            Arrival::Nothing => {}
            Arrival::Refused => self.notice_refused(heartbeat.incarnation, link, &mut out),
            // The sooner it is named, the sooner it can prove that it is alive.
            Arrival::Unproven => self.heartbeat_due |= named != self.peer.naming,
            Arrival::Next => self.weigh(now, &heartbeat, &mut out),
            Arrival::Returned => {
                // It may have been active as well, and have told the neighbours so.
                if self.role == Role::Active {
                    self.neighbours.start(now);
                }
                self.peer_up(now, heartbeat.incarnation, &mut out);
                self.weigh(now, &heartbeat, &mut out);
            }
            Arrival::NewLife { former_up } => {
                if let Some(former) = former_up {
                    self.peer_down(now, former, &mut out);
                    self.leader_gone = true;
                }
                self.peer_up(now, heartbeat.incarnation, &mut out);
                self.weigh(now, &heartbeat, &mut out);
            }
        }
        self.finish(now, &mut out);
        out
    }

    /// The peer's parent says, authenticated, that this daemon is dead. It acts at once, and only if it is the one we
    /// know.
    pub fn farewell(&mut self, now: LocalTime, incarnation: Incarnation) -> Vec<Output> {
        let mut out = Vec::new();
        self.forgive_own_stall(now, &mut out);
        if self.peer.view.incarnation == Some(incarnation) {
            self.peer_gone(now, &mut out);
        }
        self.finish(now, &mut out);
        out
    }

    /// The deadline has come. The owner has first read everything that was waiting, unless it was stalled.
    pub fn timeout(&mut self, now: LocalTime) -> Vec<Output> {
        let mut out = Vec::new();
        self.forgive_own_stall(now, &mut out);
        self.judged_at = Some(now);
        if self.peer.view.up && now.since(self.peer.view.heard_at) >= self.settings.timing.down_after {
            self.peer.lost();
            self.peer_down(now, self.peer.view.incarnation.unwrap_or_default(), &mut out);
        }
        self.watch_reign(now, &mut out);
        self.judge(now, &mut out);
        self.reserve_next(&mut out);
        self.finish(now, &mut out);
        out
    }

    /// `ReserveEpoch` is on the disk.
    pub fn epoch_reserved(&mut self, now: LocalTime, epoch: Epoch) -> Vec<Output> {
        let mut out = Vec::new();
        self.forgive_own_stall(now, &mut out);
        if epoch.node == self.settings.index && epoch > self.reserved {
            self.reserved = epoch;
            self.reserved_now = true;
        }
        self.reserve_next(&mut out);
        self.finish(now, &mut out);
        out
    }

    /// As standby: whether the log is in step with the leader's as of now. The owner says so after each step; it counts
    /// as false after each change of role until then.
    pub fn synced(&mut self, now: LocalTime, synced: bool) -> Vec<Output> {
        let mut out = Vec::new();
        self.forgive_own_stall(now, &mut out);
        if self.role == Role::Standby && self.synced != synced {
            self.synced = synced;
            self.heartbeat_due = true;
            self.judge(now, &mut out);
        }
        self.finish(now, &mut out);
        out
    }

    /// As active: whether the follower is in step and has acknowledged everything that was told to the phones. The
    /// owner says so after each step; it counts as false after each `BecomeActive` and `PeerDown` until then.
    pub fn follower_in_step(&mut self, now: LocalTime, in_step: bool) -> Vec<Output> {
        let mut out = Vec::new();
        self.forgive_own_stall(now, &mut out);
        if self.role == Role::Active {
            let in_step = in_step && self.peer.view.up;
            if self.alone == in_step {
                self.alone = !in_step;
                self.heartbeat_due = true;
                // If we die now, what the witness says of it must not be older than what the peer has heard.
                self.guard.lease.iter_mut().for_each(Lease::hurry);
            }
            if in_step {
                // The split, if there was one, is over.
                self.heard_alone_since = None;
            }
            self.in_step_since = since(self.in_step_since, in_step, now);
            self.judge(now, &mut out);
        }
        self.finish(now, &mut out);
        out
    }

    /// As active: whether the follower still lacks what it is to run with, the configuration. It takes over if we die, but
    /// it is not handed the role by choice.
    pub fn set_follower_behind(&mut self, behind: bool) {
        self.follower_behind = behind;
    }

    /// The active node has stopped at `position`, which is ours, too, and hands over to us.
    pub fn handed_over(&mut self, now: LocalTime, position: Position) -> Vec<Output> {
        let mut out = Vec::new();
        self.forgive_own_stall(now, &mut out);
        self.position = position;
        if self.role == Role::Standby && self.may_serve() && !self.leaving {
            self.take_over(now, &mut out);
            // Who gave it to us is not to take it back because it was reached and we were not yet.
            self.reached_since = Some(now);
        } else {
            out.push(Output::Notice(Notice::HandOverRefused));
        }
        self.finish(now, &mut out);
        out
    }

    /// Whether the service interface has a carrier; it is taken to have one until this says otherwise.
    pub fn carrier(&mut self, now: LocalTime, up: bool) -> Vec<Output> {
        let mut out = Vec::new();
        self.forgive_own_stall(now, &mut out);
        if self.carrier != up {
            self.carrier = up;
            self.noticed.no_carrier = false;
            self.heartbeat_due = true;
            if up {
                // While we were unplugged nothing could be heard: the silence so far proves nothing.
                self.leader_heard_at = self.leader_heard_at.max(now);
                self.listen_until = self.listen_until.max(now + self.settings.timing.down_after);
            }
            if !up && self.may_hand_over().is_ok() {
                self.begin_hand_over(now, &mut out);
            }
            self.judge(now, &mut out);
        }
        self.finish(now, &mut out);
        out
    }

    /// This daemon stops on purpose: it yields, tells the peer, and takes no role again.
    pub fn leave(&mut self, now: LocalTime) -> Vec<Output> {
        let mut out = Vec::new();
        self.forgive_own_stall(now, &mut out);
        self.leaving = true;
        self.heartbeat_due = true;
        if self.role == Role::Active {
            self.become_standby(now, self.epoch, &mut out);
        }
        self.finish(now, &mut out);
        out
    }

    /// Where our log stands, for the heartbeats; after each step that changed it.
    pub fn set_position(&mut self, position: Position) {
        self.position = position;
    }

    /// Where our log stood when that was last told.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Something was received from a phone. It shows, when a split heals, that it was not we who were cut off.
    pub fn heard_phones(&mut self, now: LocalTime) {
        if self.role == Role::Active {
            self.reached_since.get_or_insert(now);
            if self.alone {
                self.heard_alone_since.get_or_insert(now);
            }
        }
    }

    /// As active without a follower that has everything: phones prove that it is not we who are cut off.
    pub fn serves_alone(&self, now: LocalTime) -> bool {
        self.reach(now) == Reach::Proven
    }

    fn reach(&self, now: LocalTime) -> Reach {
        match (self.heard_alone_since, self.reached_since) {
            _ if self.role != Role::Active => Reach::Unheard,
            (Some(since), _) if now.since(since) >= self.settings.timing.down_after * 2 => Reach::Proven,
            (Some(_), _) => Reach::Alone,
            (None, Some(_)) => Reach::Reign,
            (None, None) => Reach::Unheard,
        }
    }

    /// Where our VRRP adverts come from, for the heartbeats.
    pub fn set_router(&mut self, own: Option<IpAddr>) {
        self.router = own;
    }

    /// Cluster time that an entry of the log carries: ours is never behind it.
    pub fn observe(&mut self, cluster_time: ClusterTime, now: LocalTime) {
        self.clock.observe(cluster_time, now);
    }

    pub fn clock(&self) -> ClusterClock {
        self.clock
    }

    pub fn cluster_time(&self, now: LocalTime) -> ClusterTime {
        self.clock.cluster_time(now)
    }

    /// When `timeout` must be called next.
    pub fn deadline(&self) -> Option<LocalTime> {
        let timing = &self.settings.timing;
        let silent_at = self.peer.view.up.then(|| self.peer.view.heard_at + timing.down_after);
        let judged = [silent_at, self.role_deadline(), self.hand_over_until, self.failback_deadline()];
        let judged = judged.into_iter().chain(self.guard_deadlines());
        let judged_at = self.judged_at;
        let ahead = judged.flatten().filter(|&at| judged_at.is_none_or(|judged_at| at > judged_at));
        let asks = self.guard.lease.as_ref().map(Lease::deadline);
        let told = self.neighbours.deadline().map(|at| at.max(self.uncertain_until));
        ahead.chain(told).chain(asks).chain([self.heartbeat_at]).min()
    }

    /// The role is what it is said to be. After a sleep in which the peer may have taken over it is not, until the peer
    /// has had the time to say so: meanwhile nobody is told that we serve, and a lost address is not claimed again.
    pub fn is_certain(&self, now: LocalTime) -> bool {
        now >= self.uncertain_until
    }

    pub fn role(&self) -> Role {
        self.role
    }

    /// As active the epoch we lead in; else the greatest one known.
    pub fn epoch(&self) -> Epoch {
        if self.role == Role::Active { self.epoch } else { self.known }
    }

    pub fn peer(&self) -> &PeerView {
        &self.peer.view
    }

    /// Active without a follower that has everything.
    pub fn is_alone(&self) -> bool {
        self.role == Role::Active && self.alone
    }

    /// As standby: we have everything and would take over at once.
    pub fn is_synced(&self) -> bool {
        self.role == Role::Standby && self.synced && !self.told_alone
    }

    pub fn is_handing_over(&self) -> bool {
        self.hand_over_until.is_some()
    }

    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// Our next heartbeat as it would be sent now.
    fn next_heartbeat(&mut self, now: LocalTime) -> Heartbeat {
        self.sequence += 1;
        Heartbeat {
            level: self.settings.level,
            incarnation: self.incarnation,
            sequence: self.sequence,
            index: self.settings.index,
            role: self.role,
            epoch: self.epoch(),
            priority: self.settings.priority,
            position: self.position,
            synced: self.is_synced(),
            alone: self.is_alone(),
            leaving: self.leaving,
            carrier: self.is_able(),
            cluster_time: self.clock.cluster_time(now),
            heard_phones_at: self
                .heard_alone_since
                .filter(|_| self.serves_alone(now))
                .map(|since| self.clock.cluster_time(since)),
            heard: self.peer.naming,
            name: self.settings.name.clone(),
            reach: self.reach(now),
            router: self.router,
            drain: self.drain.is_on().then_some(self.drain),
            penalty: Some(self.standing.penalty).filter(|penalty| *penalty > 0),
            echo: self.peer.echo(),
            witness: self.guard.lease.as_ref().map(|lease| lease.hears(now)),
            pings: self.guard.pings.map(|pings| pings.answering),
        }
    }

    /// What every input ends with: what is due to be told to neighbours and to the peer.
    fn finish(&mut self, now: LocalTime, out: &mut Vec<Output>) {
        if self.is_certain(now) && self.neighbours.due(now) {
            out.push(Output::TellNeighbours);
        }
        if self.heartbeat_due || self.heartbeat_at <= now {
            self.heartbeat_due = false;
            self.heartbeat_at = now + self.settings.timing.heartbeat_interval;
            if self.settings.has_peer {
                let heartbeat = self.next_heartbeat(now);
                self.guard.said(heartbeat.sequence, now);
                out.push(Output::SendHeartbeat(Box::new(heartbeat)));
            }
        }
        self.ask_witness(now, out);
    }

    fn notice_refused(&mut self, incarnation: Incarnation, link: u8, out: &mut Vec<Output>) {
        if self.noticed.refused != Some(incarnation) {
            self.noticed.refused = Some(incarnation);
            out.push(Output::Notice(Notice::HeartbeatRefused { incarnation, link }));
        }
    }
}

/// Since when something holds that holds now or not: from before, or from now on.
fn since(before: Option<LocalTime>, holds: bool, now: LocalTime) -> Option<LocalTime> {
    holds.then(|| before.unwrap_or(now))
}
