//! After a split: what this node did alone is offered to the one that stays, which takes it in.
//!
//! ```text
//!   who follows                                   who stays
//!   snapshot taken: what did we have beside it?
//!   Orphans 0 ---------------------------------->  merged into the log
//!           <------------------------------------  OrphansTaken 0, and where the log has it
//!   Orphans 1 ...
//!   all taken, and our log has come so far: journal anew, acknowledge the log
//! ```
//!
//! A node that only followed has something beside the leader, too, when that one died and came back with a disk that had
//! not written the last of what both had.
//!
//! Until all is taken this node neither journals nor acknowledges what it follows: its disk keeps its own history, and
//! since when it was alone. If it dies now, it makes the same offer again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base::{ClusterTime, LocalTime, Position};
use cluster::Role;
use pbx::object::kind;
use pbx::{Invites, Merged, Version};
use replication::files::Named;
use replication::{Changes, Delta, Key, Orphans, Parted};

use super::Node;
use super::configuration::{self, kind::FILE};
use super::parts::in_parts;
use super::peer::Note;
use crate::action::{Action, Tell};
use crate::event::Now;

/// Bytes of objects in one part of an offer, and how many there are at most, so that neither node's step is long: a call
/// that is taken over costs as much as a tenth of a millisecond.
const PART_BYTES: usize = 16 * 1024;
const PART_OBJECTS: usize = 64;

/// Entries of our log that one step looks through, to find out what became of the objects here.
const HISTORY_STEP: usize = 256;

/// After so long without an answer the part is sent again: the other node may have started anew.
const OFFER_AGAIN: Duration = Duration::from_millis(250);

/// What this node did alone and the other one has not taken over yet.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    fork: Option<Position>,
    /// Since when this node served alone.
    since: Option<ClusterTime>,
    parts: Vec<Vec<Parted>>,
    /// Which of the parts is under way; those before it are taken.
    number: usize,
    /// Where our log must come for what is taken to be in it.
    until: Position,
    again_at: LocalTime,
}

/// What became of the objects here since the split.
enum History<'a> {
    Known(&'a BTreeMap<Key, Parted>),
    /// Nobody can tell any more: of calls that are not here, only those are taken that were made after this time.
    Forgotten {
        since: Option<ClusterTime>,
    },
}

/// As active: what the other node offers, on its way into the log.
#[derive(Debug, Default)]
pub(super) struct Intake {
    /// Waits until our own history is known.
    part: Option<Part>,
    /// What became of the objects here since the fork, found out once for all parts.
    changes: Option<Changes>,
}

#[derive(Debug)]
struct Part {
    number: u32,
    fork: Option<Position>,
    objects: Vec<Parted>,
}

/// Calls that are one call, though each node made one of it.
#[derive(Debug, Default)]
pub(super) struct Repeated {
    /// What has ended here since the split; found out once for all parts of an offer.
    ended: Option<Invites>,
    /// The identities of the other node's: their records are void.
    void: BTreeSet<String>,
}

/// What a merge brought, for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Gain {
    calls: usize,
    registrations: usize,
    records: usize,
}

impl Offer {
    /// In the order of kinds, which puts a call before its record.
    fn new(orphans: Orphans, since: Option<ClusterTime>) -> Self {
        let size = |object: &Parted| object.key.id.len() + object.value.len();
        let parts = in_parts(orphans.objects, size, PART_OBJECTS, PART_BYTES);
        Self { fork: orphans.fork, since, parts, number: 0, until: Position::default(), again_at: LocalTime::ZERO }
    }

    /// The other node has begun anew: what it had taken may be lost.
    pub(super) fn begin_again(&mut self, now: LocalTime) {
        self.number = 0;
        self.again_at = now;
    }
}

impl Node {
    /// A snapshot has replaced our log. True when nothing of what we had must be kept for the other node.
    pub(super) fn nothing_to_offer(&mut self, now: Now, orphans: Option<Orphans>) -> bool {
        match (orphans, self.offer.as_mut()) {
            (Some(_), Some(offer)) => offer.begin_again(now.local),
            (Some(Orphans { fork, mut objects }), None) => {
                // What a node had begun when it died, or when its cable was pulled, is in its log and nobody was told:
                // the phones have said it again to the other node.
                // What came from a leader was acknowledged as it came, and may have been told by that one before it died
                // with less on its disk than this node has.
                let followed = fork.is_some() && self.cluster.position().epoch.node != self.settings.index;
                let since = if followed { Some(ClusterTime::ZERO) } else { self.durable.alone_since };
                objects.retain(|object| {
                    object.key.kind == FILE || pbx::was_said_since(object.key.kind, &object.value, since)
                });
                if fork.is_none() {
                    objects.retain(|object| object.key.kind != kind::CALL || pbx::was_made_since(&object.value, since));
                }
                self.offer = (!objects.is_empty()).then(|| Offer::new(Orphans { fork, objects }, since));
            }
            (None, Some(_)) => {
                self.offer = None;
                let text = "the other node runs an older program, which does not take over what this one did alone";
                self.actions.push(Action::Tell(Tell::Trouble(text.into())));
            }
            (None, None) => {}
        }
        self.offer.is_none()
    }

    /// As standby: sends the part that is due, for the first time or again, until all is taken and in our log.
    pub(super) fn offer(&mut self, now: Now) {
        let Some(offer) = self.offer.as_mut() else { return };
        let Some(objects) = offer.parts.get(offer.number).cloned() else {
            if self.log.position() >= offer.until {
                self.offer = None;
                self.checkpoint();
            }
            return;
        };
        if offer.again_at > now.local {
            return;
        }
        offer.again_at = now.local + OFFER_AGAIN;
        let note = Note::Orphans { number: offer.number as u32, fork: offer.fork, objects };
        if self.cluster.role() == Role::Standby {
            self.send_note(&note);
        }
    }

    /// The other node has taken this part, and its log has it by this position.
    pub(super) fn orphans_taken(&mut self, now: Now, number: u32, position: Position) {
        if let Some(offer) = self.offer.as_mut().filter(|offer| offer.number == number as usize) {
            offer.number += 1;
            offer.until = position;
            offer.again_at = now.local;
        }
    }

    /// We serve although the other node has not taken everything: it is ours to merge now.
    pub(super) fn take_own_offer(&mut self, now: Now) {
        let Some(offer) = self.offer.take() else { return };
        self.checkpoint();
        self.repeated = Repeated::default();
        // What the other node did since the split is in the snapshot, and what of it is new nobody can tell any more.
        let history = History::Forgotten { since: offer.since };
        let gain = offer.parts.iter().fold(Gain::default(), |gain, part| self.merge_part(now, part, &history, gain));
        self.tell_merged(gain);
    }

    /// As active: what the other node did alone is taken in, as soon as it is known what became of it here.
    pub(super) fn orphans_offered(&mut self, now: Now, number: u32, fork: Option<Position>, objects: Vec<Parted>) {
        self.intake.part = Some(Part { number, fork, objects });
        self.take_part(now);
    }

    /// What a former life of the other node offered is not taken: the next one offers anew.
    pub(super) fn forget_part(&mut self) {
        self.intake.part = None;
    }

    /// Nothing is offered any more: what became of the objects here is let go of.
    pub(super) fn end_intake(&mut self) {
        let intake = std::mem::take(&mut self.intake);
        intake.changes.into_iter().for_each(|changes| self.discarded.changes(changes));
    }

    pub(super) fn has_part_to_take(&self) -> bool {
        self.intake.part.is_some()
    }

    /// The next slice of our own history, and the part itself when that is complete. The answer follows when it is in the
    /// log.
    pub(super) fn take_part(&mut self, now: Now) {
        // Whoever does not serve any more takes nothing in; the other node begins anew with whoever does.
        let Some(part) = self.intake.part.take().filter(|_| self.cluster.role() == Role::Active) else { return };
        let (known, of_another) = match self.intake.changes.take() {
            Some(changes) if Some(changes.fork()) == part.fork => (Some(changes), None),
            other => (None, other),
        };
        of_another.into_iter().for_each(|changes| self.discarded.changes(changes));
        let mut changes = known.or_else(|| part.fork.map(Changes::since));
        let whole = changes.as_mut().and_then(|changes| changes.catch_up(&self.log, HISTORY_STEP));
        if whole == Some(false) {
            self.intake = Intake { part: Some(part), changes };
            return;
        }
        let changes = changes.filter(|_| whole.is_some());
        if part.number == 0 {
            // Not when it comes: it may come again while the parts after it are on their way.
            self.repeated = Repeated::default();
        }
        let history = match (&changes, part.fork) {
            (Some(changes), _) => History::Known(changes.objects()),
            // It has looked for those that it made alone.
            (None, None) => History::Forgotten { since: Some(ClusterTime::ZERO) },
            (None, Some(_)) => History::Forgotten { since: None },
        };
        let gain = self.merge_part(now, &part.objects, &history, Gain::default());
        self.tell_merged(gain);
        self.orphans_taken = Some(part.number);
        self.intake.changes = changes;
    }

    /// What was taken in this step is in the log now.
    pub(super) fn tell_taken(&mut self) {
        if let Some(number) = self.orphans_taken.take() {
            self.send_note(&Note::OrphansTaken { number, position: self.log.position() });
        }
    }

    fn merge_part(&mut self, now: Now, objects: &[Parted], history: &History<'_>, mut gain: Gain) -> Gain {
        let time = self.pbx_now(now);
        let mut forgotten = 0;
        for object in objects {
            let key = &object.key;
            if configuration::known::is_own(key.kind) {
                self.merge_named(object);
                continue;
            }
            if self.is_repeated(object, history) {
                continue;
            }
            let here = match history {
                History::Known(ours) => ours.get(key).map(version),
                // A registration that is gone there may have been renewed here, and a call that is not here may have
                // ended here.
                History::Forgotten { .. } if object.gone => continue,
                History::Forgotten { since }
                    if key.kind == kind::CALL && !pbx::was_made_since(&object.value, *since) =>
                {
                    forgotten += 1;
                    continue;
                }
                History::Forgotten { .. } => None,
            };
            match self.pbx.merge(time, key.kind, &key.id, version(object), here) {
                Ok(Merged::Kept) => {}
                Ok(Merged::Binding) => gain.registrations += 1,
                Ok(Merged::Record) => gain.records += 1,
                Ok(Merged::Call(number)) => {
                    gain.calls += 1;
                    self.resend.push_back(number);
                    self.resending = self.resend.len();
                    self.resend_at = Some(now.local);
                }
                Err(error) => self.actions.push(Action::Tell(Tell::Trouble(error.to_string()))),
            }
        }
        if forgotten > 0 {
            let text = format!("the split lasted longer than the log remembers: {forgotten} calls are not taken over");
            self.actions.push(Action::Tell(Tell::Trouble(text)));
        }
        gain
    }

    /// A call whose phone has called again here with the same INVITE, or its record: it is one call, and this node's.
    fn is_repeated(&mut self, object: &Parted, history: &History<'_>) -> bool {
        match object.key.kind {
            kind::CALL => {
                let ended = self.repeated.ended.get_or_insert_with(|| Invites::of(ended_calls(history)));
                let repeated = self.pbx.repeats(&object.value, ended);
                self.repeated.void.extend(repeated.clone());
                repeated.is_some()
            }
            kind::RECORD => self.repeated.void.contains(&object.key.id),
            _ => false,
        }
    }

    /// A named file of the other side; what else there is of the configuration is decided by whoever stays.
    fn merge_named(&mut self, object: &Parted) {
        let theirs = Some(object).filter(|object| object.key.kind == FILE && !object.gone);
        let Some(theirs) = theirs.and_then(|object| Named::decode(&object.value).ok()) else { return };
        let ours = self.log.store().value(&object.key).and_then(|value| Named::decode(value).ok());
        if ours.is_none_or(|ours| theirs.outweighs(&ours)) {
            self.room.changes.push(Delta { key: object.key.clone(), value: Some(object.value.clone()) });
        }
    }

    fn tell_merged(&mut self, gain: Gain) {
        let Gain { calls, registrations, records } = gain;
        if gain != Gain::default() {
            self.actions.push(Action::Tell(Tell::Merged { calls, registrations, records }));
        }
    }
}

/// Those that have ended here since the split.
fn ended_calls<'a>(history: &'a History<'_>) -> impl Iterator<Item = &'a [u8]> {
    let ours = if let History::Known(ours) = history { Some(ours.iter()) } else { None };
    let calls = ours.into_iter().flatten().filter(|(key, ours)| key.kind == kind::CALL && ours.gone);
    calls.map(|(_, ours)| ours.value.as_slice())
}

fn version(parted: &Parted) -> Version<'_> {
    Version { value: &parted.value, gone: parted.gone }
}
