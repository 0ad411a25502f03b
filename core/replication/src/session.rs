//! What two logs say to each other: who feeds whom, from where, and how far the other has come.
//!
//! One session per stream. Either end may lead and the ends may change roles within the session: a leader says
//! `Leading`, a follower says `Hello` with a new attempt, and only what comes after the `Welcome` to that very attempt
//! is taken. The leader reads entries from its log when the stream has room, so that memory stays bounded however far
//! the follower is behind.

use std::collections::VecDeque;
use std::time::Duration;

use base::{ClusterTime, Epoch, Position};
use minicbor::{Decode, Encode};

use crate::divergence::{Orphans, Trail};
use crate::entry::{ENTRY_BYTES_MAX, Entry};
use crate::log::Log;
use crate::message::{Message, MessageError};
use crate::store::Store;
use crate::stream::{Stream, StreamError};
use follower::Follower;
pub use leader::FEED_STEP_BYTES;
use leader::Leader;

mod follower;
mod leader;
#[cfg(test)]
mod tests;

/// The most messages that wait for the next `flush` besides the log itself. The owner flushes after each step, so only
/// a broken owner reaches it; `send_opaque` then refuses.
pub const OUTBOX_MESSAGES_MAX: usize = 1_024;

/// The longest message of the owner's own.
pub const OPAQUE_BYTES_MAX: usize = ENTRY_BYTES_MAX;

/// Both halves of the conversation between two logs.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Session {
    #[n(0)]
    role: SessionRole,
    #[n(1)]
    leader: Leader,
    #[n(2)]
    follower: Follower,
    #[n(3)]
    outbox: VecDeque<Message>,
    #[n(4)]
    counters: Counters,
}

/// Which half is in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub enum SessionRole {
    /// Neither: the owner does not know yet. Only opaque messages pass.
    #[default]
    #[n(0)]
    Idle,
    #[n(1)]
    Leader,
    #[n(2)]
    Follower,
}

/// What came of a message, for the owner to act on.
#[derive(Clone, Debug, PartialEq)]
pub enum SessionEvent {
    /// Follower: this entry was applied to the log. Journal it, do what it takes to be ready to take over with it
    /// (relays open), then `confirm` its position.
    Applied(Entry),
    /// Follower: the whole store was replaced by a verified snapshot. Rebuild from the log, then `confirm`. What the
    /// log had beside the leader's is told, for the owner to offer it to the leader; `None` of a leader of an older
    /// version, which takes no such offer. `before` is the log as it was, for the owner to let go of bit by bit.
    Replaced { orphans: Option<Orphans>, before: Box<Log> },
    /// Follower: the leader has stopped at this position, which is ours, too, and hands over.
    HandedOver { position: Position },
    /// Follower: what we have differs from what the leader has, and we are out of step. A snapshot was asked for,
    /// unless `has_given_up`.
    Differs,
    /// Leader: the follower has come further, into step or out of it.
    Acked { position: Position, in_step: bool },
    /// Something of the peer owner's own.
    Opaque(Vec<u8>),
}

/// Why a message was not understood. The owner resets the stream: a peer that is authenticated sent what it must not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    #[error("cannot read a message of the peer's log")]
    Message(#[source] MessageError),
    #[error("the peer's snapshot is larger than a store may be")]
    SnapshotTooLarge,
    #[error("the queue of messages to the peer is full")]
    OutboxFull,
    #[error("a message of {bytes} bytes is longer than the session carries")]
    OpaqueTooLong { bytes: usize },
}

/// What happened in this session so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Counters {
    /// Leader: a follower went on from its position.
    #[n(0)]
    pub resumes: u64,
    /// Leader: a snapshot was begun.
    #[n(1)]
    pub snapshots: u64,
    /// Follower: a snapshot did not have the checksums it was announced with.
    #[n(2)]
    pub snapshots_failed: u64,
    /// Follower: the own contents were compared with the leader's and are equal.
    #[n(3)]
    pub verifications: u64,
    /// Follower: they were not equal, or an entry did not follow.
    #[n(4)]
    pub differences: u64,
    /// Follower: a leader of an epoch that is over was refused.
    #[n(5)]
    pub refused: u64,
}

/// How far the follower is behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lag {
    pub entries: u64,
    pub bytes: u64,
    /// Since when the oldest entry waits that the follower has not acknowledged; zero when there is none.
    pub age: Duration,
}

impl Session {
    pub fn new() -> Self {
        Self::default()
    }

    /// Leads from now on: whoever follows is asked to say where it stands.
    pub fn lead(&mut self, epoch: Epoch) {
        self.role = SessionRole::Leader;
        self.follower.stop();
        self.leader = Leader::new(epoch, self.leader.heard());
        self.outbox.push_back(self.leader.leading());
    }

    /// Follows from now on: asks to be fed from where the log stands. What is applied must be confirmed, including
    /// what the log holds already.
    pub fn follow(&mut self, log: &Log) {
        self.role = SessionRole::Follower;
        self.leader = Leader::new(Epoch::default(), self.leader.heard());
        let hello = self.follower.follow(log.position());
        self.outbox.push_back(hello);
    }

    /// Refuses leaders of epochs before this one, and drops the feed of such a one. The floor never falls.
    pub fn set_epoch_floor(&mut self, epoch: Epoch) {
        self.follower.set_epoch_floor(epoch);
    }

    /// Takes one message of the stream. `log` is changed only as follower.
    pub fn receive(&mut self, message: &[u8], log: &mut Log) -> Result<Vec<SessionEvent>, SessionError> {
        let message = Message::decode(message).map_err(SessionError::Message)?;
        let mut events = Vec::new();
        if let Message::Hello { attempt, .. } = message {
            self.leader.hear(attempt);
        }
        match (self.role, message) {
            (_, Message::Opaque(bytes)) => events.push(SessionEvent::Opaque(bytes)),
            (SessionRole::Leader, message) => {
                self.leader.receive(message, log, &mut self.outbox, &mut self.counters, &mut events);
            }
            (SessionRole::Follower, message) => {
                self.follower.receive(message, log, &mut self.outbox, &mut self.counters, &mut events)?;
            }
            (SessionRole::Idle, _) => {}
        }
        Ok(events)
    }

    /// As follower: everything up to this position is applied and ready. The acknowledgement leaves with the next
    /// `flush`; call it after each step, with the log's position when nothing is pending.
    pub fn confirm(&mut self, position: Position) {
        self.follower.confirm(position);
    }

    /// As leader: hands over as soon as the follower has acknowledged everything up to `position`, where the log must
    /// stay meanwhile.
    pub fn hand_over(&mut self, position: Position) {
        self.leader.hand_over(position);
    }

    /// As leader, when a hand-over failed. It may have left already: then the follower leads, and its epoch tells.
    pub fn cancel_hand_over(&mut self) {
        self.leader.cancel_hand_over();
    }

    /// Queues something of the owner's own, in order with everything else.
    pub fn send_opaque(&mut self, bytes: Vec<u8>) -> Result<(), SessionError> {
        if bytes.len() > OPAQUE_BYTES_MAX {
            return Err(SessionError::OpaqueTooLong { bytes: bytes.len() });
        }
        if self.outbox.len() >= OUTBOX_MESSAGES_MAX {
            return Err(SessionError::OutboxFull);
        }
        self.outbox.push_back(Message::Opaque(bytes));
        Ok(())
    }

    /// Moves what is to be said into the stream: at the end of each step, before its datagrams are taken. New entries
    /// of the log, slices of a snapshot and the one acknowledgement of the step leave here.
    pub fn flush(&mut self, log: &Log, stream: &mut Stream) -> Result<(), StreamError> {
        while let Some(message) = self.outbox.pop_front() {
            stream.send(message.encode())?;
        }
        match self.role {
            SessionRole::Idle => Ok(()),
            SessionRole::Leader => self.leader.flush(log, stream),
            SessionRole::Follower => match self.follower.acknowledgement() {
                Some(message) => stream.send(message.encode()),
                None => Ok(()),
            },
        }
    }

    pub fn role(&self) -> SessionRole {
        self.role
    }

    /// As leader: up to where the follower has everything; the default position when that is unknown.
    pub fn acked(&self) -> Position {
        self.leader.acked()
    }

    /// As leader: the follower's contents were verified and it has followed without a gap since. As follower: the same
    /// of ourselves.
    pub fn in_step(&self) -> bool {
        match self.role {
            SessionRole::Idle => false,
            SessionRole::Leader => self.leader.in_step(),
            SessionRole::Follower => self.follower.in_step(),
        }
    }

    /// As follower: snapshot after snapshot differed, so that no more are asked for until `follow` is called again, the
    /// leader begins another reign, or the conversation starts again. The pair is unprotected, and a person must look.
    pub fn has_given_up(&self) -> bool {
        self.role == SessionRole::Follower && self.follower.has_given_up()
    }

    /// As leader: how far the follower is behind at this cluster time. All that the ring holds when its place is
    /// unknown.
    pub fn lag(&self, log: &Log, now: ClusterTime) -> Lag {
        let acked = self.acked().lsn;
        let oldest = log.entries_since(acked).next();
        Lag {
            entries: log.entries_since(acked).len() as u64,
            bytes: log.bytes_since(acked),
            age: oldest.map_or(Duration::ZERO, |entry| now.since(entry.cluster_time)),
        }
    }

    pub fn counters(&self) -> Counters {
        self.counters
    }
}

/// A snapshot that is being received: its place and the objects so far.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Incoming {
    #[n(0)]
    position: Position,
    #[n(1)]
    cluster_time: ClusterTime,
    #[n(2)]
    wall: base::WallTime,
    #[n(3)]
    store: Store,
    #[n(4)]
    trail: Trail,
}
