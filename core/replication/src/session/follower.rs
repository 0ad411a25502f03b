//! The following half: takes the feed that answers its own hello, verifies it, and acknowledges what its owner
//! confirmed.

use std::collections::VecDeque;

use base::{Epoch, Position};
use minicbor::{Decode, Encode};

use super::{Counters, Incoming, SessionError, SessionEvent};
use crate::entry::Entry;
use crate::log::{Checkpoint, Log};
use crate::message::{Message, VERSION};
use crate::store::{Checksums, Store};

/// The largest snapshot: many times what a large site has. A larger one ends the stream, so that a mad peer cannot fill
/// this node's memory.
pub const SNAPSHOT_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// Differences in a row after which no further snapshot is asked for: what still differs then is a fault that one
/// more snapshot does not mend, and each one costs the leader time that its calls need. A new reign, a new
/// conversation or the owner, by following again, starts over.
pub const DIFFERENCES_MAX: u32 = 3;

#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub(super) struct Follower {
    /// Numbers our hellos.
    #[n(0)]
    attempt: u64,
    /// Leaders of epochs below this one are refused.
    #[n(1)]
    floor: Epoch,
    #[n(2)]
    intake: Intake,
    /// The epoch of the leader that feeds us.
    #[n(3)]
    epoch: Epoch,
    /// Our contents were found equal to the leader's at this position.
    #[n(4)]
    verified: Option<Position>,
    #[n(5)]
    confirmed: Option<Position>,
    /// What was acknowledged last, and in answer to which attempt.
    #[n(6)]
    acknowledged: Option<Acknowledged>,
    /// Since the last verification that passed.
    #[n(7)]
    differences: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
struct Acknowledged {
    #[n(0)]
    attempt: u64,
    #[n(1)]
    position: Position,
    #[n(2)]
    in_step: bool,
}

/// What is taken from the leader.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
enum Intake {
    /// Nothing until the welcome to our latest hello: all else belongs to an earlier feed.
    #[default]
    #[n(0)]
    Waiting,
    #[n(1)]
    Entries,
    #[n(2)]
    Snapshot(#[n(0)] Incoming),
}

impl Follower {
    /// The owner's wish to follow: whatever differed before, it is tried again.
    pub fn follow(&mut self, position: Position) -> Message {
        self.differences = 0;
        self.hello(position, false)
    }

    pub fn has_given_up(&self) -> bool {
        self.differences > DIFFERENCES_MAX
    }

    /// A new hello, after which only the answer to it is taken.
    fn hello(&mut self, position: Position, whole: bool) -> Message {
        self.stop();
        self.attempt += 1;
        Message::Hello { version: VERSION, attempt: self.attempt, position, whole, packs: true }
    }

    /// Takes nothing more from anybody.
    pub fn stop(&mut self) {
        self.intake = Intake::Waiting;
        self.verified = None;
    }

    pub fn set_epoch_floor(&mut self, epoch: Epoch) {
        self.floor = self.floor.max(epoch);
        if self.epoch < self.floor {
            self.stop();
        }
    }

    pub fn confirm(&mut self, position: Position) {
        self.confirmed = Some(position);
    }

    /// Verified, and everything since confirmed by the owner up to the verification at least.
    pub fn in_step(&self) -> bool {
        self.verified.is_some_and(|verified| self.confirmed.is_some_and(|confirmed| confirmed >= verified))
    }

    /// The acknowledgement that is due, at most one per step.
    pub fn acknowledgement(&mut self) -> Option<Message> {
        if matches!(self.intake, Intake::Waiting) {
            return None;
        }
        let now = Acknowledged { attempt: self.attempt, position: self.confirmed?, in_step: self.in_step() };
        if self.acknowledged == Some(now) {
            return None;
        }
        self.acknowledged = Some(now);
        Some(Message::Applied { attempt: now.attempt, position: now.position, in_step: now.in_step })
    }

    pub fn receive(
        &mut self,
        message: Message,
        log: &mut Log,
        outbox: &mut VecDeque<Message>,
        counters: &mut Counters,
        events: &mut Vec<SessionEvent>,
    ) -> Result<(), SessionError> {
        match message {
            Message::Leading { epoch, heard, .. } => {
                if self.accepts(epoch, counters) && heard >= self.attempt {
                    outbox.push_back(self.hello(log.position(), false));
                }
            }
            Message::Welcome { attempt, epoch } => {
                if attempt == self.attempt && self.accepts(epoch, counters) {
                    self.epoch = epoch;
                    self.intake = Intake::Entries;
                }
            }
            // A peer that followed us a moment ago still speaks as a follower.
            Message::Applied { .. } | Message::Hello { .. } => {}
            message => {
                let sound = match (&mut self.intake, message) {
                    (Intake::Waiting, _) => true,
                    (Intake::Entries, message) => self.fed(message, log, counters, events),
                    (Intake::Snapshot(incoming), Message::Objects(objects)) => {
                        objects.iter().for_each(|object| incoming.store.apply(object));
                        if incoming.store.bytes() > SNAPSHOT_BYTES_MAX {
                            return Err(SessionError::SnapshotTooLarge);
                        }
                        true
                    }
                    (Intake::Snapshot(_), Message::SnapshotEnd { position, checksums }) => {
                        self.snapshot_ended(position, &checksums, log, counters, events)
                    }
                    (Intake::Snapshot(_), _) => false,
                };
                if !sound {
                    counters.differences += 1;
                    self.differences = self.differences.saturating_add(1);
                    self.stop();
                    if !self.has_given_up() {
                        outbox.push_back(self.hello(log.position(), true));
                    }
                    events.push(SessionEvent::Differs);
                }
            }
        }
        Ok(())
    }

    fn accepts(&mut self, epoch: Epoch, counters: &mut Counters) -> bool {
        let accepted = epoch >= self.floor;
        if !accepted {
            counters.refused += 1;
        }
        accepted
    }

    /// A message of the feed. False when it shows that we are not where the leader believes.
    fn fed(
        &mut self,
        message: Message,
        log: &mut Log,
        counters: &mut Counters,
        events: &mut Vec<SessionEvent>,
    ) -> bool {
        match message {
            Message::Entry(entry) => take(entry, log, events),
            // What does not unpack was made from another state than ours.
            Message::Packed(packed) => packed.unpack(log.store()).is_ok_and(|entry| take(entry, log, events)),
            Message::SnapshotBegin { position, cluster_time, wall, trail } => {
                self.verified = None;
                self.intake = Intake::Snapshot(Incoming { position, cluster_time, wall, store: Store::new(), trail });
                true
            }
            Message::Verify { position, checksums } => {
                let equal = position == log.position() && checksums == log.store().checksums();
                if equal {
                    counters.verifications += 1;
                    self.differences = 0;
                    self.verified.get_or_insert(position);
                }
                equal
            }
            Message::HandOver { position } => {
                if self.in_step() && position == log.position() {
                    events.push(SessionEvent::HandedOver { position });
                }
                true
            }
            _ => false,
        }
    }

    /// The old store is kept until the new one has the checksums that the leader gave.
    fn snapshot_ended(
        &mut self,
        position: Position,
        checksums: &Checksums,
        log: &mut Log,
        counters: &mut Counters,
        events: &mut Vec<SessionEvent>,
    ) -> bool {
        let Intake::Snapshot(incoming) = std::mem::replace(&mut self.intake, Intake::Entries) else { return false };
        let Incoming { position: begun, cluster_time, wall, store, trail } = incoming;
        if begun != position || *checksums != store.checksums() {
            counters.snapshots_failed += 1;
            return false;
        }
        let orphans = (!trail.is_empty()).then(|| log.orphans(&trail));
        let before = Box::new(log.replace(Checkpoint { position, cluster_time, wall, store }));
        self.confirmed = None;
        events.push(SessionEvent::Replaced { orphans, before });
        true
    }
}

/// The next entry of the log; false when it is not.
fn take(entry: Entry, log: &mut Log, events: &mut Vec<SessionEvent>) -> bool {
    let applied = log.apply(entry);
    let is_next = applied.is_ok();
    events.extend(applied.ok().cloned().map(SessionEvent::Applied));
    is_next
}
