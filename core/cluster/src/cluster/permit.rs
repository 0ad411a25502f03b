//! Whether we may serve: what keeps a second master away when the nodes do not hear each other.
//!
//! An active node goes on while the witness's lease is its own, or while it knows that the peer has heard it so lately
//! that it does not take over yet. A node that wants the role waits for the lease, unless there is proof that nobody
//! else serves. Where there is no witness, and where none answers either node (`Mode::Prefer`), availability wins.

use std::time::Duration;

use base::{Epoch, LocalTime};

use super::Cluster;
use super::guard::GRACE;
use crate::heartbeat::{Drain, Heartbeat, Role};
use crate::output::{Notice, Output};
use crate::witness::{Answer, Ask, Lease, Mode, TO_ACT, Want, micros};

/// The word of the peer's parent that its daemon is dead allows a takeover for this long: a new daemon of the peer
/// listens far longer before it serves without having heard us.
const PROOF_LASTS: Duration = Duration::from_millis(500);

/// Reigns that a witness may know of and we do not. A greater leap is a mistake, and is not followed: an epoch's number
/// must not come near its end.
const EPOCH_LEAP_MAX: u64 = 1_000_000;

impl Cluster {
    /// The witness has answered, authenticated. Copies are no harm.
    pub fn witness_answer(&mut self, now: LocalTime, answer: &Answer) -> Vec<Output> {
        let mut out = Vec::new();
        self.forgive_own_stall(now, &mut out);
        let (index, incarnation) = (self.settings.index, self.incarnation);
        let Some(lease) = self.guard.lease.as_mut() else { return out };
        if lease.answer(now, index, incarnation, answer) {
            let other_is_alone = lease.other_is_alone();
            if self.guard.gone.is_some() && lease.heard_other_after(self.guard.gone_at) {
                self.guard.gone = None;
            }
            if self.role == Role::Standby && other_is_alone && !self.peer.view.up {
                // It serves, and told the phones what we do not have: as good as its own heartbeat.
                self.told_alone = true;
                self.guard.resigned = false;
                self.leader_heard_at = self.leader_heard_at.max(now);
                self.notice_withheld(true, &mut out);
            }
            self.learn_from_witness(answer.epoch, &mut out);
            self.judge(now, &mut out);
        }
        self.finish(now, &mut out);
        out
    }

    /// To be called before anything is done for phones: gives the role up if the right to it has run out, as it may have
    /// while we did not run. What the peer and the witness have sent meanwhile is read first.
    pub fn lapse(&mut self, now: LocalTime) -> Vec<Output> {
        let mut out = Vec::new();
        self.watch_reign(now, &mut out);
        if !out.is_empty() {
            self.finish(now, &mut out);
        }
        out
    }

    /// As standby: we served last, and gave the role up because neither peer nor witness answered.
    pub fn has_resigned(&self) -> bool {
        self.guard.resigned
    }

    /// What we know of the witness; `None` where there is none.
    pub fn witness(&self) -> Option<&Lease> {
        self.guard.lease.as_ref()
    }

    /// An accepted heartbeat: what it says about the peer's patience with us.
    pub(super) fn note_contact(&mut self, now: LocalTime, heartbeat: &Heartbeat) {
        if self.guard.gone.take().is_some() && self.role == Role::Active {
            // Its next daemon. Until it has heard us it listens far longer than this, and then its word counts.
            self.guard.grace_until = self.guard.grace_until.max(now + GRACE);
        }
        if let Some(lease) = self.guard.lease.as_mut() {
            lease.met_other();
        }
        self.guard.fence = Default::default();
        self.guard.withheld = false;
        if heartbeat.heard != Some(self.incarnation) || heartbeat.role == Role::Active || heartbeat.leaving {
            self.guard.heard_of_us_at = None;
            return;
        }
        let sent_at = match heartbeat.echo {
            Some(echo) => self.guard.sent_at(echo),
            // A node of the version before does not say which heartbeat it heard; one interval may have passed since.
            None => Some(LocalTime(now.0.saturating_sub(micros(self.settings.timing.heartbeat_interval)))),
        };
        self.guard.heard_of_us_at = self.guard.heard_of_us_at.max(sent_at);
    }

    /// Until when the peer, which has heard us in the present role, does not take our silence for our end.
    fn assent_until(&self) -> LocalTime {
        let patience = self.settings.timing.down_after.saturating_sub(TO_ACT);
        self.guard.heard_of_us_at.map_or(LocalTime::ZERO, |at| at + patience)
    }

    /// What each judgement begins with: whether the witness counts, and what is news about it.
    pub(super) fn weigh_guard(&mut self, now: LocalTime, out: &mut Vec<Output>) {
        self.guard.wants_role = false;
        self.compare_pings(now);
        let peer_hears = self.in_contact(now).then_some(self.peer.view.witness);
        let Some(lease) = self.guard.lease.as_mut() else { return };
        lease.weigh(now, peer_hears);
        match lease.news(now) {
            Some(true) => out.push(Output::Notice(Notice::WitnessHeard)),
            Some(false) => out.push(Output::Notice(Notice::WitnessLost)),
            None => {}
        }
    }

    /// As active: serves no more when nobody says any longer that nobody else does.
    pub(super) fn watch_reign(&mut self, now: LocalTime, out: &mut Vec<Output>) {
        if self.role == Role::Active && self.reign_until().is_some_and(|until| until <= now) {
            self.resign(now, out);
        }
    }

    /// As active: when the right to serve ends, unless it is renewed.
    fn reign_until(&self) -> Option<LocalTime> {
        let lease = self.guard.lease.as_ref()?;
        if !lease.counts() || self.peer_is_gone(lease) {
            return None;
        }
        // What let us take over lets us go on until the witness has answered.
        let proven_until = self.guard.gone.map_or(LocalTime::ZERO, |_| self.guard.gone_at + PROOF_LASTS);
        Some(lease.held_until().max(self.assent_until()).max(self.guard.grace_until).max(proven_until))
    }

    /// Nobody else serves, so that we may begin to. Where that is not known, the witness is asked.
    pub(super) fn may_take(&mut self, now: LocalTime, out: &mut Vec<Output>) -> bool {
        if self.is_free(now) {
            return true;
        }
        self.guard.wants_role = true;
        let Some(lease) = self.guard.lease.as_mut() else { return false };
        if !lease.asked_to_hold() {
            lease.hurry();
        }
        let answered = lease.hears(now);
        let is_final = if answered { lease.is_denied(now) } else { !lease.is_untried(now) };
        if is_final {
            self.notice_withheld(answered, out);
        }
        false
    }

    /// Once while it lasts.
    fn notice_withheld(&mut self, answered: bool, out: &mut Vec<Output>) {
        if !std::mem::replace(&mut self.guard.withheld, true) {
            out.push(Output::Notice(Notice::RoleWithheld { answered }));
        }
    }

    fn is_free(&self, now: LocalTime) -> bool {
        let Some(lease) = self.guard.lease.as_ref() else { return true };
        if lease.holds(now) || self.has_proof(now) {
            return true;
        }
        if lease.hears(now) || lease.is_untried(now) {
            return false;
        }
        self.peer_lets_us(now) || !lease.counts() || self.peer_is_gone(lease)
    }

    /// Without the witness: the peer knows that we do not serve, and neither can nor will take the role itself. Both
    /// nodes come to the same answer from the same heartbeats.
    fn peer_lets_us(&self, now: LocalTime) -> bool {
        let peer = &self.peer.view;
        let can_take = peer.witness && peer.carrier && peer.drain != Drain::Never && peer.pings != Some(0);
        self.in_contact(now) && now < self.assent_until() && peer.role != Role::Active && !can_take && self.leads()
    }

    /// The peer's parent has just said that its daemon is dead, or the daemon itself that it serves no more.
    pub(super) fn has_proof(&self, now: LocalTime) -> bool {
        self.guard.gone.is_some() && now.since(self.guard.gone_at) < PROOF_LASTS
    }

    /// It is no mere cut between us: its end was told, or the witness had missed it, too, before it fell silent itself.
    fn peer_is_gone(&self, lease: &Lease) -> bool {
        lease.mode() == Mode::Prefer && (self.guard.gone.is_some() || lease.says_other_is_gone())
    }

    /// We hear each other.
    fn in_contact(&self, now: LocalTime) -> bool {
        let peer = &self.peer.view;
        peer.up && peer.hears_us && now.since(peer.heard_at) < self.settings.timing.down_after
    }

    /// Serves no more, though nobody else is known to: somebody else may.
    fn resign(&mut self, now: LocalTime, out: &mut Vec<Output>) {
        let epoch = self.epoch;
        self.become_standby(now, epoch, out);
        self.guard.resigned = true;
        self.guard.wants_role = true;
        out.push(Output::Notice(Notice::Resigned { epoch }));
    }

    /// When something is to be judged because of the witness, the fencing or the pings.
    pub(super) fn guard_deadlines(&self) -> [Option<LocalTime>; 4] {
        let reign = if self.role == Role::Active { self.reign_until() } else { None };
        let patience = self.guard.lease.as_ref().map(Lease::patience_ends_at);
        let resumed = self.guard.resigned.then_some(self.leader_heard_at);
        [reign, patience, resumed, self.fence_deadline()]
    }

    /// What every input ends with: the next ask, if it is due.
    pub(super) fn ask_witness(&mut self, now: LocalTime, out: &mut Vec<Output>) {
        let want = if self.role == Role::Active || self.guard.wants_role { Want::Hold } else { Want::Watch };
        let (index, incarnation, epoch) = (self.settings.index, self.incarnation, self.epoch());
        let alone = self.is_alone();
        let gone = self.guard.gone;
        let Some(lease) = self.guard.lease.as_mut().filter(|lease| lease.is_due(now)) else { return };
        let ask = lease.ask(now, index, incarnation, want, epoch);
        out.push(Output::AskWitness(Box::new(Ask { alone, gone, ..ask })));
    }

    fn learn_from_witness(&mut self, epoch: Epoch, out: &mut Vec<Output>) {
        if self.role != Role::Active && epoch.number <= self.known.number.saturating_add(EPOCH_LEAP_MAX) {
            self.learn(epoch, out);
        }
    }
}
