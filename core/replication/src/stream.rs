//! A reliable, ordered stream of messages over datagrams that get lost, doubled and out of order.
//!
//! It owns sequence numbers, acknowledgements and retransmission between one pair of incarnations. Each datagram goes
//! over every link and the first copy wins. There is no congestion control beyond the window: it runs on a LAN between
//! two machines, and loss must not slow it down. Datagrams were authenticated before they come here.

use std::collections::VecDeque;
use std::time::Duration;

use base::{Incarnation, LocalTime};
use minicbor::{Decode, Encode};

pub use crate::message::MESSAGE_BYTES_MAX;
use receiving::Receiving;
use segment::Segment;
use sending::Sending;

mod receiving;
mod segment;
mod sending;
#[cfg(test)]
mod tests;

/// The longest datagram: what fits a link of 1,280 bytes with addresses and encryption around it.
pub const DATAGRAM_BYTES_MAX: usize = 1_200;

/// The most segments under way. When it is reached, messages wait in the queue for acknowledgements.
pub const WINDOW_SEGMENTS: u64 = 256;

/// Segments after the expected one that an acknowledgement tells of: the bits of a word.
const BITMAP_SEGMENTS: usize = 64;

/// The most bytes of messages that wait to be sent or acknowledged. `send` refuses more with `Overflow`; its owner
/// then starts a new generation, and the peer resumes from its position.
pub const QUEUE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The most bytes of messages that were received but not taken. Beyond that segments are dropped unacknowledged, so
/// that the sender holds them.
pub const RECEIVED_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The stream between this life of this node and one life of its peer.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Stream {
    #[n(0)]
    own: Incarnation,
    #[n(1)]
    peer: Incarnation,
    #[n(2)]
    generation: u32,
    #[n(3)]
    sending: Sending,
    #[n(4)]
    receiving: Receiving,
}

/// Why a datagram or a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// The datagram is dropped and the stream goes on.
    #[error("a datagram of the stream is malformed")]
    Malformed,
    /// The datagram is dropped and the stream goes on.
    #[error("a datagram belongs to another pair of incarnations")]
    OtherPair,
    /// The datagram is dropped and the stream goes on.
    #[error("a datagram belongs to an earlier generation of the stream")]
    OlderGeneration,
    /// The owner makes a stream of this generation and gives it the datagram again.
    #[error("the peer has started generation {generation} of the stream")]
    NewerGeneration { generation: u32 },
    /// The peer sent what no message begins with; the owner starts the next generation.
    #[error("the stream's contents are not messages")]
    Broken,
    /// The message was not taken; the owner starts the next generation.
    #[error("the stream's queue is full")]
    Overflow,
    /// The message was not taken and the stream goes on.
    #[error("a message is longer than the stream carries")]
    MessageTooLong,
}

/// Takes so many bytes from the front, or all that there are: as slices, because an iterator takes them one by one.
fn take_front(queue: &mut VecDeque<u8>, count: usize) -> Vec<u8> {
    let count = count.min(queue.len());
    let mut bytes = Vec::with_capacity(count);
    let (first, second) = queue.as_slices();
    for slice in [first, second] {
        let left = slice.len().min(count - bytes.len());
        bytes.extend_from_slice(slice.split_at(left).0);
    }
    queue.drain(..count);
    bytes
}

impl Stream {
    /// A stream without anything sent or received. Both ends start with generation 1; an end that loses its state while
    /// both incarnations live goes on with the next one, and the other end follows.
    pub fn new(own: Incarnation, peer: Incarnation, generation: u32) -> Self {
        Self { own, peer, generation, sending: Sending::default(), receiving: Receiving::default() }
    }

    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Queues one message. It leaves with the next `next_datagram` if the window allows.
    pub fn send(&mut self, message: Vec<u8>) -> Result<(), StreamError> {
        if message.len() > MESSAGE_BYTES_MAX {
            return Err(StreamError::MessageTooLong);
        }
        self.sending.queue(&message)
    }

    /// Takes one datagram from any link.
    pub fn datagram(&mut self, now: LocalTime, bytes: &[u8]) -> Result<(), StreamError> {
        let segment = Segment::decode(bytes).ok_or(StreamError::Malformed)?;
        if segment.from != self.peer || segment.to != self.own {
            return Err(StreamError::OtherPair);
        }
        if segment.generation < self.generation {
            return Err(StreamError::OlderGeneration);
        }
        if segment.generation > self.generation {
            return Err(StreamError::NewerGeneration { generation: segment.generation });
        }
        self.sending.acknowledged(now, &segment)?;
        self.receiving.segment(now, &segment)
    }

    /// The next message from the peer, in the order it was sent.
    pub fn next_message(&mut self) -> Option<Vec<u8>> {
        self.receiving.next_message()
    }

    pub fn has_message(&self) -> bool {
        self.receiving.has_message()
    }

    /// What to send now, on every link; call it until it returns `None` at the end of each step and at `deadline`. The
    /// acknowledgement of all that came rides on the first one; where nothing is missing, it waits a moment for one.
    pub fn next_datagram(&mut self, now: LocalTime) -> Option<Vec<u8>> {
        let data = self.sending.next(now);
        if data.is_none() && self.receiving.acknowledge_at().is_none_or(|at| at > now) {
            return None;
        }
        let (expected, received, echo) = self.receiving.acknowledgement(now);
        let (sequence, payload) = data.unwrap_or((0, Vec::new()));
        let segment = Segment {
            generation: self.generation,
            from: self.own,
            to: self.peer,
            sequence,
            sent: now.0,
            echo,
            expected,
            received,
            payload: &payload,
        };
        Some(segment.encode())
    }

    /// When `next_datagram` must be called again though nothing happened: for the next retransmission, or for an
    /// acknowledgement that waits. Zero when something can leave at once.
    pub fn deadline(&self) -> Option<LocalTime> {
        if self.sending.can_send_new() {
            return Some(LocalTime::ZERO);
        }
        self.sending.deadline().into_iter().chain(self.receiving.acknowledge_at()).min()
    }

    /// Bytes that wait to be sent or acknowledged.
    pub fn queued_bytes(&self) -> usize {
        self.sending.queued_bytes()
    }

    /// The smoothed round trip; `None` before the first acknowledgement.
    pub fn rtt(&self) -> Option<Duration> {
        self.sending.rtt()
    }
}
