//! The receiving half: puts segments in order, cuts messages out of them, and knows what to acknowledge.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use base::LocalTime;
use minicbor::{Decode, Encode};

use super::segment::Segment;
use super::{BITMAP_SEGMENTS, MESSAGE_BYTES_MAX, RECEIVED_BYTES_MAX, StreamError, WINDOW_SEGMENTS, take_front};

/// How long an acknowledgement waits for something to ride on, when nothing is missing. Far below the shortest wait
/// before a retransmission, even where a timer comes a millisecond late.
pub(super) const ACKNOWLEDGE_AFTER: Duration = Duration::from_millis(1);

/// Segments after which an acknowledgement waits no longer: a small part of the window, so that a long message flows.
const UNACKNOWLEDGED_MAX: u32 = 16;

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub(super) struct Receiving {
    /// The sequence that continues the stream; all before it have arrived.
    #[n(0)]
    expected: u64,
    /// Segments that came before their turn, within the window.
    #[n(1)]
    early: BTreeMap<u64, Vec<u8>>,
    /// Bytes in order that are not a whole message yet.
    #[n(2)]
    partial: VecDeque<u8>,
    #[n(3)]
    messages: VecDeque<Vec<u8>>,
    #[n(4)]
    messages_bytes: usize,
    /// When the acknowledgement leaves by itself; zero for at once.
    #[n(5)]
    acknowledge_at: Option<LocalTime>,
    /// The sender's clock on the last segment that brought something new since the last acknowledgement.
    #[n(6)]
    echo: Option<u64>,
    /// The latest sender's clock on any segment so far.
    #[n(7)]
    sent_latest: u64,
    #[n(8)]
    broken: bool,
    /// When the segment of `echo` came: what its acknowledgement waits is no part of the round trip.
    #[n(9)]
    echo_came: LocalTime,
    /// Segments since the last acknowledgement.
    #[n(10)]
    unacknowledged: u32,
}

impl Default for Receiving {
    fn default() -> Self {
        Self {
            expected: 1,
            early: BTreeMap::new(),
            partial: VecDeque::new(),
            messages: VecDeque::new(),
            messages_bytes: 0,
            acknowledge_at: None,
            echo: None,
            sent_latest: 0,
            broken: false,
            echo_came: LocalTime::ZERO,
            unacknowledged: 0,
        }
    }
}

impl Receiving {
    /// Takes the data of one datagram.
    pub fn segment(&mut self, now: LocalTime, segment: &Segment) -> Result<(), StreamError> {
        if self.broken {
            return Err(StreamError::Broken);
        }
        if segment.sequence == 0 {
            return Ok(());
        }
        if segment.sequence < self.expected || self.early.contains_key(&segment.sequence) {
            self.double(segment);
            return Ok(());
        }
        let ahead = segment.sequence - self.expected;
        if ahead >= WINDOW_SEGMENTS || self.messages_bytes > RECEIVED_BYTES_MAX {
            return Ok(());
        }
        self.unacknowledged += 1;
        // A gap is told at once, and so is that it is closed: the sender waits for either.
        let waits = ahead == 0 && self.early.is_empty() && self.unacknowledged < UNACKNOWLEDGED_MAX;
        let at = if waits { now + ACKNOWLEDGE_AFTER } else { LocalTime::ZERO };
        self.acknowledge_at = Some(self.acknowledge_at.map_or(at, |earlier| earlier.min(at)));
        self.echo = Some(segment.sent);
        self.echo_came = now;
        self.sent_latest = self.sent_latest.max(segment.sent);
        if ahead > 0 {
            self.early.insert(segment.sequence, segment.payload.to_vec());
            return Ok(());
        }
        self.partial.extend(segment.payload);
        self.expected += 1;
        while let Some(payload) = self.early.remove(&self.expected) {
            self.partial.extend(payload);
            self.expected += 1;
        }
        self.cut_messages()
    }

    pub fn next_message(&mut self) -> Option<Vec<u8>> {
        let message = self.messages.pop_front()?;
        self.messages_bytes -= message.len();
        Some(message)
    }

    pub fn has_message(&self) -> bool {
        !self.messages.is_empty()
    }

    /// When an acknowledgement leaves though there is nothing else to say.
    pub fn acknowledge_at(&self) -> Option<LocalTime> {
        self.acknowledge_at
    }

    /// The next expected sequence, the bitmap of those after it, and the echo. Nothing is due afterwards.
    pub fn acknowledgement(&mut self, now: LocalTime) -> (u64, u64, Option<u64>) {
        self.acknowledge_at = None;
        self.unacknowledged = 0;
        let waited = now.since(self.echo_came).as_micros() as u64;
        let bits = self.early.range(self.expected..=self.expected.saturating_add(BITMAP_SEGMENTS as u64));
        let received = bits.fold(0_u64, |bits, (sequence, _)| match sequence - self.expected {
            0 => bits,
            ahead => bits | 1 << (ahead - 1),
        });
        (self.expected, received, self.echo.take().map(|sent| sent.saturating_add(waited)))
    }

    /// The copy from another link needs no answer. A segment that was sent again does: its sender missed ours.
    fn double(&mut self, segment: &Segment) {
        if segment.sent > self.sent_latest {
            self.sent_latest = segment.sent;
            self.acknowledge_at = Some(LocalTime::ZERO);
        }
    }

    fn cut_messages(&mut self) -> Result<(), StreamError> {
        while let Some(length) = self.message_length() {
            if length > MESSAGE_BYTES_MAX {
                self.broken = true;
                return Err(StreamError::Broken);
            }
            if self.partial.len() < 4 + length {
                break;
            }
            self.partial.drain(..4);
            self.messages.push_back(take_front(&mut self.partial, length));
            self.messages_bytes += length;
        }
        Ok(())
    }

    fn message_length(&self) -> Option<usize> {
        let mut bytes = [0; 4];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = *self.partial.get(index)?;
        }
        usize::try_from(u32::from_be_bytes(bytes)).ok()
    }
}
