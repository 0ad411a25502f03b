//! After a split: what this node did alone is offered to the one that stays, which takes it in.
//!
//! ```text
//!   who follows                                   who stays
//!   snapshot taken: what did we have beside it?
//!   Orphans 1 ---------------------------------->  merged into the log
//!           <------------------------------------  OrphansTaken 1
//!   Orphans 2 ...
//!   all taken: journal anew, acknowledge the log
//! ```
//!
//! Until all is taken this node neither journals nor acknowledges what it follows: if it dies, its disk still has what
//! it did alone, and it is offered again.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use base::{LocalTime, Position};
use cluster::Role;
use pbx::object::kind;
use pbx::{Merged, Version};
use replication::{Key, Orphans, Parted};

use super::Node;
use super::peer::Note;
use crate::action::{Action, Tell};
use crate::event::Now;

/// Bytes of objects in one part of an offer, so that neither node's step is long.
const PART_BYTES: usize = 64 * 1024;

/// After so long without an answer the part is sent again: the other node may have started anew.
const OFFER_AGAIN: Duration = Duration::from_millis(250);

/// What this node did alone and the other one has not taken over yet.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    fork: Position,
    /// Of the part that was sent last.
    number: u32,
    parts: VecDeque<Vec<Parted>>,
    again_at: LocalTime,
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
    fn new(orphans: Orphans) -> Self {
        let mut parts: VecDeque<Vec<Parted>> = VecDeque::new();
        let mut bytes = usize::MAX;
        for object in orphans.objects {
            let size = object.key.id.len() + object.value.len();
            match parts.back_mut().filter(|_| bytes.saturating_add(size) <= PART_BYTES) {
                Some(part) => {
                    bytes += size;
                    part.push(object);
                }
                None => {
                    bytes = size;
                    parts.push_back(vec![object]);
                }
            }
        }
        Self { fork: orphans.fork, number: 1, parts, again_at: LocalTime::ZERO }
    }
}

impl Node {
    /// A snapshot has replaced our log. True when nothing of what we had must be kept for the other node.
    pub(super) fn nothing_to_offer(&mut self, orphans: Orphans) -> bool {
        if self.offer.is_none() {
            let Orphans { fork, mut objects } = orphans;
            // What a node had begun when it died, or when its cable was pulled, is in its log and nobody was told: the
            // phones have said it again to the other node.
            let since = self.alone_since;
            objects.retain(|object| pbx::was_said_since(object.key.kind, &object.value, since));
            self.offer = (!objects.is_empty()).then(|| Offer::new(Orphans { fork, objects }));
        }
        self.offer.is_none()
    }

    /// As standby: sends the part that is due, for the first time or again.
    pub(super) fn offer(&mut self, now: Now) {
        let Some(offer) = self.offer.as_mut().filter(|offer| offer.again_at <= now.local) else { return };
        offer.again_at = now.local + OFFER_AGAIN;
        let Some(objects) = offer.parts.front().cloned() else { return };
        let note = Note::Orphans { number: offer.number, fork: offer.fork, objects };
        if self.cluster.role() == Role::Standby {
            self.send_note(&note);
        }
    }

    /// The other node has taken this part.
    pub(super) fn orphans_taken(&mut self, now: Now, number: u32) {
        let Some(offer) = self.offer.as_mut().filter(|offer| offer.number == number) else { return };
        offer.parts.pop_front();
        offer.number += 1;
        offer.again_at = now.local;
        if offer.parts.is_empty() {
            self.offer = None;
            self.checkpoint();
        }
    }

    /// We serve although the other node has not taken everything: it is ours to merge now.
    pub(super) fn take_own_offer(&mut self, now: Now) {
        let Some(offer) = self.offer.take() else { return };
        self.checkpoint();
        // What the other node did since the split is in the snapshot, and what of it is new nobody can tell any more.
        let gain = offer
            .parts
            .iter()
            .fold(Gain::default(), |gain, part| self.merge_part(now, part, Some(&BTreeMap::new()), gain));
        self.tell_merged(gain);
    }

    /// As active: takes in what the other node did alone.
    pub(super) fn orphans_offered(&mut self, now: Now, number: u32, fork: Position, objects: &[Parted]) {
        if self.cluster.role() != Role::Active {
            return;
        }
        let ours = self.log.changes_since(fork);
        let gain = self.merge_part(now, objects, ours.as_ref(), Gain::default());
        self.tell_merged(gain);
        self.send_note(&Note::OrphansTaken { number });
    }

    /// `ours` is what became of each object here since the split, unless that is forgotten.
    fn merge_part(
        &mut self,
        now: Now,
        objects: &[Parted],
        ours: Option<&BTreeMap<Key, Parted>>,
        mut gain: Gain,
    ) -> Gain {
        let time = self.pbx_now(now);
        let mut forgotten = 0;
        for object in objects {
            let key = &object.key;
            // Whether a call that is not here has ended here, or never was, nobody can tell without the history.
            if ours.is_none() && key.kind == kind::CALL {
                forgotten += usize::from(!object.gone);
                continue;
            }
            let here = ours.and_then(|ours| ours.get(key)).map(version);
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

    fn tell_merged(&mut self, gain: Gain) {
        let Gain { calls, registrations, records } = gain;
        if gain != Gain::default() {
            self.actions.push(Action::Tell(Tell::Merged { calls, registrations, records }));
        }
    }
}

fn version(parted: &Parted) -> Version<'_> {
    Version { value: &parted.value, gone: parted.gone }
}
