//! A stream and the session on it, which are reset together while both incarnations live on.
//!
//! The owner makes one when a peer's incarnation appears and drops it when another takes its place. A peer that is
//! silent for a while keeps its peering: its late acknowledgement restores protection without a snapshot.

use base::{Epoch, Incarnation, LocalTime, Position};
use minicbor::{Decode, Encode};

use crate::log::Log;
use crate::session::{Session, SessionError, SessionEvent, SessionRole};
use crate::stream::{Stream, StreamError};

#[cfg(test)]
mod tests;

/// Bytes of messages after which a step has taken enough: a gap in the stream that is filled lets a whole window of them
/// through at once. The rest waits for `more`.
pub const TAKEN_STEP_BYTES: usize = 8 * 1024;

/// The conversation with one life of the peer.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Peering {
    #[n(0)]
    own: Incarnation,
    #[n(1)]
    peer: Incarnation,
    #[n(2)]
    stream: Stream,
    #[n(3)]
    session: Session,
    #[n(4)]
    leading: Epoch,
    #[n(5)]
    floor: Epoch,
    #[n(6)]
    restarts: u64,
}

impl Peering {
    /// A conversation in which nobody leads yet.
    pub fn new(own: Incarnation, peer: Incarnation) -> Self {
        Self {
            own,
            peer,
            stream: Stream::new(own, peer, 1),
            session: Session::new(),
            leading: Epoch::default(),
            floor: Epoch::default(),
            restarts: 0,
        }
    }

    pub fn lead(&mut self, epoch: Epoch) {
        self.leading = epoch;
        self.session.lead(epoch);
    }

    pub fn follow(&mut self, log: &Log) {
        self.session.follow(log);
    }

    pub fn set_epoch_floor(&mut self, epoch: Epoch) {
        self.floor = self.floor.max(epoch);
        self.session.set_epoch_floor(epoch);
    }

    /// Takes one datagram from any link and returns what came of it, in order. One that is malformed or not for this
    /// conversation has no effect. What it brings beyond `TAKEN_STEP_BYTES` waits.
    pub fn datagram(&mut self, now: LocalTime, bytes: &[u8], log: &mut Log) -> Vec<SessionEvent> {
        let taken = match self.stream.datagram(now, bytes) {
            Err(StreamError::NewerGeneration { generation }) => {
                self.restart(generation, log);
                self.stream.datagram(now, bytes)
            }
            taken => taken,
        };
        if taken == Err(StreamError::Broken) {
            self.restart(self.stream.generation().saturating_add(1), log);
        }
        self.more(log)
    }

    /// What has come and was not taken yet, in order: as much of it as one step may take, and one message at least.
    pub fn more(&mut self, log: &mut Log) -> Vec<SessionEvent> {
        let mut events = Vec::new();
        let mut bytes = 0;
        while bytes < TAKEN_STEP_BYTES {
            let Some(message) = self.stream.next_message() else { break };
            bytes += message.len();
            match self.session.receive(&message, log) {
                Ok(more) => events.extend(more),
                Err(_) => self.restart(self.stream.generation().saturating_add(1), log),
            }
        }
        events
    }

    /// Something has come that was not taken yet.
    pub fn has_more(&self) -> bool {
        self.stream.has_message()
    }

    pub fn confirm(&mut self, position: Position) {
        self.session.confirm(position);
    }

    pub fn hand_over(&mut self, position: Position) {
        self.session.hand_over(position);
    }

    pub fn cancel_hand_over(&mut self) {
        self.session.cancel_hand_over();
    }

    pub fn send_opaque(&mut self, bytes: Vec<u8>) -> Result<(), SessionError> {
        self.session.send_opaque(bytes)
    }

    /// At the end of each step: puts what is to be said into the stream. When the peer has not taken anything for so
    /// long that the queue is full, the conversation starts again, and messages of the owner's own that it had not
    /// acknowledged are lost.
    pub fn flush(&mut self, log: &Log) {
        if self.session.flush(log, &mut self.stream).is_err() {
            self.restart(self.stream.generation().saturating_add(1), log);
        }
    }

    /// What to send now, on every link; after `flush` and at `deadline`, until it returns `None`.
    pub fn next_datagram(&mut self, now: LocalTime) -> Option<Vec<u8>> {
        self.stream.next_datagram(now)
    }

    /// Zero when there is more to take.
    pub fn deadline(&self) -> Option<LocalTime> {
        if self.has_more() { Some(LocalTime::ZERO) } else { self.stream.deadline() }
    }

    /// Ask it for `in_step`, `acked` and `lag` after each step: a restart changes them without an event.
    pub fn session(&self) -> &Session {
        &self.session
    }

    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    pub fn peer(&self) -> Incarnation {
        self.peer
    }

    /// How often the conversation had to start again.
    pub fn restarts(&self) -> u64 {
        self.restarts
    }

    /// Both halves forget what was under way; the follower says hello from where its log stands.
    fn restart(&mut self, generation: u32, log: &Log) {
        let role = self.session.role();
        self.restarts += 1;
        self.stream = Stream::new(self.own, self.peer, generation);
        self.session = Session::new();
        self.session.set_epoch_floor(self.floor);
        match role {
            SessionRole::Idle => {}
            SessionRole::Leader => self.session.lead(self.leading),
            SessionRole::Follower => self.session.follow(log),
        }
    }
}
