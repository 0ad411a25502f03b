//! The leading half: feeds the follower from the ring, or with a snapshot and then from the ring.

use std::collections::VecDeque;

use base::{Epoch, Position};
use minicbor::{Decode, Encode};

use super::{Counters, SessionEvent};
use crate::entry::delta_bytes;
use crate::log::{Checkpoint, Log};
use crate::message::{Message, VERSION};
use crate::packed::PackedEntry;
use crate::store::{Delta, Key};
use crate::stream::{Stream, StreamError};

/// Bytes in the stream beyond which no more of the log is put there: a little more than one window of segments. The
/// rest waits in the ring, where it costs nothing.
pub const FEED_QUEUE_BYTES: usize = 512 * 1024;

/// Bytes of a snapshot that one step may encode, so that a step stays within its two milliseconds.
pub const SNAPSHOT_STEP_BYTES: usize = 64 * 1024;

/// Bytes of entries that one step may encode, for the same reason. What the follower acknowledges brings the next ones.
pub const FEED_STEP_BYTES: usize = 64 * 1024;

/// Bytes of objects after which a message of a snapshot is full.
const SNAPSHOT_MESSAGE_BYTES: usize = 16 * 1024;

/// Objects after which a message of a snapshot is full.
const SNAPSHOT_MESSAGE_OBJECTS: usize = 256;

/// Entries after which the follower's contents are compared again: often enough to find a difference within seconds.
pub const VERIFY_ENTRIES: u64 = 1_024;

#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub(super) struct Leader {
    #[n(0)]
    epoch: Epoch,
    #[n(1)]
    feed: Feed,
    /// The attempt that the feed answers; nothing else is acknowledged by the follower.
    #[n(2)]
    attempt: Option<u64>,
    #[n(3)]
    acked: Position,
    #[n(4)]
    in_step: bool,
    #[n(5)]
    unverified_entries: u64,
    #[n(6)]
    verify_due: bool,
    #[n(7)]
    hand_over: Option<Position>,
    /// The latest attempt of the peer's that has come, in whatever role we were.
    #[n(8)]
    heard: u64,
    /// The follower reads packed entries.
    #[n(9)]
    packs: bool,
}

/// What the follower is being sent.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
enum Feed {
    /// Nothing: no follower has said hello.
    #[default]
    #[n(0)]
    None,
    /// The objects of a checkpoint, from `next` on.
    #[n(1)]
    Snapshot {
        #[n(0)]
        checkpoint: Checkpoint,
        #[n(1)]
        next: Option<Key>,
    },
    /// The entries of the ring after this position.
    #[n(2)]
    Entries {
        #[n(0)]
        sent: Position,
    },
}

impl Leader {
    pub fn new(epoch: Epoch, heard: u64) -> Self {
        Self { epoch, heard, ..Self::default() }
    }

    pub fn leading(&self) -> Message {
        Message::Leading { version: VERSION, epoch: self.epoch, heard: self.heard }
    }

    pub fn heard(&self) -> u64 {
        self.heard
    }

    pub fn hear(&mut self, attempt: u64) {
        self.heard = self.heard.max(attempt);
    }

    pub fn acked(&self) -> Position {
        self.acked
    }

    pub fn in_step(&self) -> bool {
        self.in_step
    }

    pub fn hand_over(&mut self, position: Position) {
        self.hand_over = Some(position);
    }

    pub fn cancel_hand_over(&mut self) {
        self.hand_over = None;
    }

    pub fn receive(
        &mut self,
        message: Message,
        log: &Log,
        outbox: &mut VecDeque<Message>,
        counters: &mut Counters,
        events: &mut Vec<SessionEvent>,
    ) {
        match message {
            Message::Hello { attempt, position, whole, packs, .. } => {
                let was_in_step = self.in_step;
                self.packs = packs;
                self.welcome(attempt, position, whole, log, counters);
                outbox.push_back(Message::Welcome { attempt, epoch: self.epoch });
                if let Feed::Snapshot { checkpoint, .. } = &self.feed {
                    let Checkpoint { position, cluster_time, wall, .. } = *checkpoint;
                    let trail = log.trail();
                    outbox.push_back(Message::SnapshotBegin { position, cluster_time, wall, trail });
                }
                if was_in_step {
                    events.push(SessionEvent::Acked { position: self.acked, in_step: false });
                }
            }
            Message::Applied { attempt, position, in_step } => {
                // A follower that is about to take a snapshot may still stand in another history: what this log does
                // not hold is no acknowledgement. What is below an earlier one says nothing new.
                if self.attempt != Some(attempt) || position < self.acked || !log.holds(position) {
                    return;
                }
                if (self.acked, self.in_step) != (position, in_step) {
                    self.acked = position;
                    self.in_step = in_step;
                    events.push(SessionEvent::Acked { position, in_step });
                }
            }
            // A peer that leads, or led a moment ago: epochs decide between the two nodes, not this conversation.
            _ => {}
        }
    }

    /// Puts as much of the log into the stream as it takes now.
    pub fn flush(&mut self, log: &Log, stream: &mut Stream) -> Result<(), StreamError> {
        if matches!(self.feed, Feed::Snapshot { .. }) {
            self.flush_snapshot(stream)?;
        }
        let Feed::Entries { sent } = self.feed else { return Ok(()) };
        let Some(entries) = log.resume_from(sent) else { return self.start_again(stream) };
        let mut last = sent;
        let mut step_bytes = 0;
        for entry in entries {
            if stream.queued_bytes() >= FEED_QUEUE_BYTES || step_bytes >= FEED_STEP_BYTES {
                break;
            }
            // What an object was is only known of the last entry: all others are sent by a leader that catches up.
            let is_last = entry.position == log.position();
            let packed = (self.packs && is_last).then(|| PackedEntry::pack(entry, log.replaced()));
            let message = packed.map_or_else(|| Message::encode_entry(entry), |it| Message::Packed(it).encode());
            step_bytes += message.len();
            stream.send(message)?;
            last = entry.position;
            self.unverified_entries += 1;
        }
        self.feed = Feed::Entries { sent: last };
        if last == log.position() {
            self.at_the_end(log, stream)?;
        }
        Ok(())
    }

    /// Everything was sent: what must stand at the very end of the log follows.
    fn at_the_end(&mut self, log: &Log, stream: &mut Stream) -> Result<(), StreamError> {
        let position = log.position();
        if self.verify_due || self.unverified_entries >= VERIFY_ENTRIES {
            self.verify_due = false;
            self.unverified_entries = 0;
            stream.send(Message::Verify { position, checksums: log.store().checksums() }.encode())?;
        }
        if self.hand_over == Some(position) && self.in_step && self.acked == position {
            self.hand_over = None;
            stream.send(Message::HandOver { position }.encode())?;
        }
        Ok(())
    }

    fn welcome(&mut self, attempt: u64, position: Position, whole: bool, log: &Log, counters: &mut Counters) {
        self.attempt = Some(attempt);
        self.acked = Position::default();
        self.in_step = false;
        self.verify_due = true;
        if !whole && log.holds(position) {
            counters.resumes += 1;
            self.feed = Feed::Entries { sent: position };
        } else {
            counters.snapshots += 1;
            self.feed = Feed::Snapshot { checkpoint: log.checkpoint(), next: None };
        }
    }

    /// The ring has lost what the follower needs next. It is asked to say hello again, so that no acknowledgement of
    /// the broken feed is taken for one of the next.
    fn start_again(&mut self, stream: &mut Stream) -> Result<(), StreamError> {
        self.feed = Feed::None;
        self.attempt = None;
        self.acked = Position::default();
        self.in_step = false;
        stream.send(self.leading().encode())
    }

    fn flush_snapshot(&mut self, stream: &mut Stream) -> Result<(), StreamError> {
        let Feed::Snapshot { checkpoint, next } = &mut self.feed else { return Ok(()) };
        let mut step_bytes = 0;
        loop {
            if stream.queued_bytes() >= FEED_QUEUE_BYTES || step_bytes >= SNAPSHOT_STEP_BYTES {
                return Ok(());
            }
            let (objects, bytes, following) = slice(checkpoint, next.as_ref());
            if !objects.is_empty() {
                stream.send(Message::Objects(objects).encode())?;
                step_bytes += bytes;
            }
            if following.is_none() {
                break;
            }
            *next = following;
        }
        let position = checkpoint.position;
        let checksums = checkpoint.store.checksums();
        self.feed = Feed::Entries { sent: position };
        stream.send(Message::SnapshotEnd { position, checksums }.encode())
    }
}

/// The objects of one message from `next` on, their bytes, and the key that the following message begins with.
fn slice(checkpoint: &Checkpoint, next: Option<&Key>) -> (Vec<Delta>, usize, Option<Key>) {
    let first = Key::default();
    let mut objects = Vec::new();
    let mut bytes = 0;
    for (key, value) in checkpoint.store.iter_from(next.unwrap_or(&first)) {
        if bytes >= SNAPSHOT_MESSAGE_BYTES || objects.len() >= SNAPSHOT_MESSAGE_OBJECTS {
            return (objects, bytes, Some(key.clone()));
        }
        let object = Delta { key: key.clone(), value: Some(value.to_vec()) };
        bytes += delta_bytes(&object);
        objects.push(object);
    }
    (objects, bytes, None)
}
