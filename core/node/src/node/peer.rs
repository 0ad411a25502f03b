//! The peer: its heartbeats, its log, and what else the two nodes tell each other.

use base::{Incarnation, Level, Lsn, Position};
use cluster::{Heartbeat, Role};
use minicbor::{Decode, Encode};
use replication::files::VersionId;
use replication::files::transfer::Message;
use replication::{Parted, Peering, SessionEvent, SessionRole};

use super::Node;
use super::cause::Trigger;
use super::configuration::Refused;
use crate::action::{Action, Tell};
use crate::event::Now;
use crate::files::ConfigRequest;
use crate::outbox::Gate;

/// The first byte of a datagram between the nodes says what it is.
pub(crate) const HEARTBEAT: u8 = 1;
const LOG: u8 = 2;
/// From here on: what is for people only, and may be lost.
pub(super) const ABOUT: u8 = 16;

/// Datagrams of the log that one step makes: more than a round of repetitions has, which is to be one round. The stream's
/// deadline brings the next ones.
const DATAGRAMS_STEP: usize = 96;

/// What the nodes tell each other besides the log.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub(super) enum Note {
    /// The follower's store, or the spool on its disk, has these call records.
    #[n(0)]
    RecordsStored(#[n(0)] Vec<String>),
    /// An operator at the follower wants the role moved.
    #[n(1)]
    SwitchOver,
    /// The follower served alone and has this beside the leader's log, which is to take it in; said again until it has.
    #[n(2)]
    Orphans {
        #[n(0)]
        number: u32,
        /// The last position that both have, if the follower knows it.
        #[n(1)]
        fork: Option<Position>,
        #[n(2)]
        objects: Vec<Parted>,
    },
    /// The leader's log has what came under this number, by this position.
    #[n(3)]
    OrphansTaken {
        #[n(0)]
        number: u32,
        #[n(1)]
        position: Position,
    },
    /// Of the configuration: the follower's folder is this version, and this is the head that it knows.
    #[n(4)]
    Propose {
        #[cbor(n(0), with = "minicbor::bytes")]
        version: Vec<u8>,
        #[n(1)]
        head: Option<VersionId>,
    },
    /// The leader wants the follower to have this version, and to check it.
    #[n(5)]
    Fetch(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>),
    /// The follower has it, and this is wrong with it there.
    #[n(6)]
    Ready {
        #[n(0)]
        version: VersionId,
        #[n(1)]
        problems: Vec<String>,
    },
    /// The follower's folder does not check, or does again.
    #[n(7)]
    Refused(#[n(0)] Option<Refused>),
    /// What its sender runs, and the head for which it has everything.
    #[n(8)]
    Runs {
        #[n(0)]
        runs: Option<VersionId>,
        #[n(1)]
        has: Option<VersionId>,
    },
    /// Of contents on their way.
    #[n(9)]
    Contents(#[n(0)] Message),
    /// An operator at the follower asks the leader.
    #[n(10)]
    Ask {
        #[n(0)]
        number: u64,
        #[n(1)]
        request: ConfigRequest,
    },
    #[n(11)]
    Told {
        #[n(0)]
        number: u64,
        #[n(1)]
        done: bool,
        #[n(2)]
        text: String,
    },
}

impl Node {
    pub(super) fn peer_datagram(&mut self, now: Now, link: u8, bytes: &[u8]) {
        match bytes.split_first() {
            Some((&HEARTBEAT, rest)) => {
                if let Ok(heartbeat) = Heartbeat::decode(rest) {
                    let outputs = self.cluster.heartbeat(now.local, link, heartbeat);
                    self.watch_level();
                    self.take_cluster_outputs(now, outputs);
                }
            }
            Some((&LOG, rest)) => self.log_datagram(now, rest),
            Some((&ABOUT, rest)) => self.about_datagram(now, rest),
            // A kind that a later version has: this one does without.
            _ => {}
        }
    }

    pub(super) fn send_to_peer(&mut self, kind: u8, bytes: &[u8]) {
        let mut datagram = Vec::with_capacity(bytes.len() + 1);
        datagram.push(kind);
        datagram.extend_from_slice(bytes);
        for link in 0..self.settings.links {
            self.actions.push(Action::PeerSend { link, bytes: datagram.clone() });
        }
    }

    pub(super) fn peer_up(&mut self, now: Now, incarnation: Incarnation) {
        self.actions.push(Action::Tell(Tell::PeerUp { incarnation }));
        if !self.peer_can_read() {
            // Roles and epochs are still spoken of, or both would serve; the log would be misread.
            self.peering = None;
            let (peer, oldest) = (self.cluster.peer().level, Level::OLDEST);
            return self.actions.push(Action::Tell(Tell::PeerTooOld { peer, oldest }));
        }
        // One that was only silent goes on where it was: its late acknowledgement restores protection.
        if self.peering.is_some() && self.peering_with == incarnation {
            return;
        }
        self.rest_of_log(now);
        self.forget_part();
        self.peering_with = incarnation;
        if let Some(offer) = self.offer.as_mut() {
            // What the one before had taken, it may have lost when it died.
            offer.begin_again(now.local);
        }
        let mut peering = Peering::new(self.settings.incarnation, incarnation);
        peering.set_epoch_floor(self.cluster.epoch());
        match self.cluster.role() {
            Role::Active => peering.lead(self.cluster.epoch()),
            Role::Standby | Role::Starting => peering.follow(&self.log),
        }
        self.peering = Some(peering);
    }

    fn log_datagram(&mut self, now: Now, bytes: &[u8]) {
        let Some(peering) = self.peering.as_mut() else { return };
        let events = peering.datagram(now.local, bytes, &mut self.log);
        self.session_events(now, events);
    }

    /// The next slice of what the peer's log has brought.
    pub(super) fn more_of_log(&mut self, now: Now) {
        if let Some(peering) = self.peering.as_mut().filter(|peering| peering.has_more()) {
            let events = peering.more(&mut self.log);
            self.session_events(now, events);
        }
    }

    /// All of it, now: what has come was perhaps said by a peer that will not say it again.
    pub(super) fn rest_of_log(&mut self, now: Now) {
        while self.peering.as_ref().is_some_and(Peering::has_more) {
            self.more_of_log(now);
        }
    }

    fn session_events(&mut self, now: Now, events: Vec<SessionEvent>) {
        for event in events {
            self.session_event(now, event);
        }
    }

    fn session_event(&mut self, now: Now, event: SessionEvent) {
        match event {
            SessionEvent::Applied(entry) => {
                self.cluster.observe(entry.cluster_time, now.local);
                for delta in &entry.deltas {
                    self.apply_to_pbx(now, delta);
                    self.record_applied(delta);
                }
                self.journal(entry.position, entry.encode());
                self.in_place(now, entry.position);
            }
            SessionEvent::Replaced { orphans, before } => {
                self.discarded.log(before);
                self.cluster.observe(self.log.cluster_time(), now.local);
                self.begin_rebuild();
                if self.nothing_to_offer(now, orphans) {
                    self.checkpoint();
                }
                self.in_place(now, self.log.position());
            }
            SessionEvent::HandedOver { position } => {
                self.trigger = Trigger::HandedOver;
                let outputs = self.cluster.handed_over(now.local, position);
                self.take_cluster_outputs(now, outputs);
            }
            SessionEvent::Differs => {
                self.actions
                    .push(Action::Tell(Tell::Trouble("differs from the active node: taking a snapshot".into())));
            }
            SessionEvent::Acked { .. } => {}
            SessionEvent::Opaque(bytes) => self.note(now, &bytes),
        }
    }

    /// `Event::JournalWritten` is waited for, because no peer has what is in the journal; else it may come late.
    pub fn waits_for_journal(&self) -> bool {
        self.journal_late || matches!(self.gate(), Gate::Journal { .. })
    }

    /// Puts the state as of `position` in place, media ports too.
    pub(super) fn in_place(&mut self, now: Now, position: base::Position) {
        self.cluster.set_position(position);
        let lsn = position.lsn;
        for output in self.pbx.take_outputs() {
            self.take_pbx_output(now, lsn, output);
        }
    }

    pub(super) fn standby_in_step(&self) -> bool {
        self.peering
            .as_ref()
            .is_some_and(|peering| peering.session().role() == SessionRole::Follower && peering.session().in_step())
    }

    /// Sends what the log has for the peer, on every link.
    pub(super) fn tell_peer(&mut self, now: Now) {
        let Some(mut peering) = self.peering.take() else { return };
        let restarts = peering.restarts();
        if std::mem::replace(&mut self.restarts, restarts) != restarts {
            // What was told about stored records may be lost with the old conversation.
            self.store_records_again();
        }
        if self.offer.is_none() && self.rebuild.is_none() {
            // What this step applied is in place, and its actions come before the acknowledgement in their order.
            peering.confirm(self.log.position());
        }
        peering.flush(&self.log);
        for _ in 0..DATAGRAMS_STEP {
            let Some(datagram) = peering.next_datagram(now.local) else { break };
            self.send_to_peer(LOG, &datagram);
        }
        self.peering = Some(peering);
    }

    /// Everything is acknowledged: the peer may have the role.
    pub(super) fn hand_over_when_ready(&mut self, now: Now) {
        let position = self.log.position();
        let ready = self.outbox.is_empty() && self.peer_acked() >= position.lsn && !self.handed_over;
        let Some(peering) = self.peering.as_mut().filter(|_| ready) else { return };
        self.handed_over = true;
        peering.hand_over(position);
        self.tell_peer(now);
    }

    fn note(&mut self, now: Now, bytes: &[u8]) {
        self.room.touched = true;
        match minicbor::decode::<Note>(bytes) {
            Ok(Note::RecordsStored(identities)) => self.records_stored_there(identities),
            Ok(Note::SwitchOver) => {
                if let Ok(outputs) = self.cluster.switch_over(now.local) {
                    self.take_cluster_outputs(now, outputs);
                }
            }
            Ok(Note::Orphans { number, fork, objects }) => self.orphans_offered(now, number, fork, objects),
            Ok(Note::OrphansTaken { number, position }) => self.orphans_taken(now, number, position),
            Ok(Note::Propose { version, head }) => self.proposed(&version, head),
            Ok(Note::Fetch(version)) => self.asked_to_fetch(&version),
            Ok(Note::Ready { version, problems }) => self.peer_is_ready(version, &problems),
            Ok(Note::Refused(refused)) => self.peer_refused(refused),
            Ok(Note::Runs { runs, has }) => self.peer_runs(runs, has),
            Ok(Note::Contents(message)) => self.contents_note(now, message),
            Ok(Note::Ask { number, request }) => self.peer_asks(now, number, request),
            Ok(Note::Told { number, done, text }) => self.peer_told(number, done, text),
            // A note that a later version has.
            Err(_) => {}
        }
    }

    pub(super) fn send_note(&mut self, note: &Note) {
        if let Some(peering) = self.peering.as_mut() {
            // A full queue restarts the conversation with the next flush; records are told again then.
            let _ = peering.send_opaque(pbx::object::encode(note));
        }
    }

    pub(super) fn ask_peer_to_switch_over(&mut self) {
        self.send_note(&Note::SwitchOver);
    }

    pub(super) fn peer_lsn(&self) -> Lsn {
        self.cluster.peer().position.lsn
    }
}

#[cfg(test)]
mod tests;
