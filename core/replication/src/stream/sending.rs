//! The sending half: the queue, what is under way, and when it is sent again.

use std::collections::VecDeque;
use std::time::Duration;

use base::LocalTime;
use minicbor::{Decode, Encode};

use super::segment::{PAYLOAD_BYTES_MAX, Segment};
use super::{BITMAP_SEGMENTS, QUEUE_BYTES_MAX, StreamError, WINDOW_SEGMENTS, take_front};

/// The shortest wait before a retransmission: below it, a peer that was not scheduled for a moment causes doubles.
const RETRANSMIT_MIN: Duration = Duration::from_millis(5);

/// The longest wait, with backoff: a lost segment must not cost a commit more than this per further loss.
const RETRANSMIT_MAX: Duration = Duration::from_millis(50);

/// The wait before any round trip was measured.
const RETRANSMIT_INITIAL: Duration = Duration::from_millis(20);

/// A longer round trip is taken for this one: it measures a stall of the peer, not the link.
const RTT_MAX: Duration = Duration::from_millis(200);

/// Segments sent later that must have arrived before one is taken for lost ahead of its time. Fewer would resend what
/// two links merely put out of order.
const LATER_ARRIVALS: usize = 3;

/// Rounds of retransmission without a word from the peer after which only the oldest segment is sent again: enough to
/// notice its return without flooding a machine that is gone.
const SILENT_ROUNDS_MAX: u32 = 3;

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub(super) struct Sending {
    /// Bytes of the stream that no segment carries yet.
    #[n(0)]
    queue: VecDeque<u8>,
    /// Segments with consecutive sequences, the oldest unacknowledged one first.
    #[n(1)]
    under_way: VecDeque<UnderWay>,
    #[n(2)]
    under_way_bytes: usize,
    #[n(3)]
    next_sequence: u64,
    /// Numbers every transmission, so that it is known which ones were later.
    #[n(4)]
    transmissions: u64,
    #[n(5)]
    rtt: Option<Duration>,
    #[n(6)]
    silent_rounds: u32,
    #[n(7)]
    round_at: LocalTime,
}

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct UnderWay {
    #[n(0)]
    sequence: u64,
    #[cbor(n(1), with = "minicbor::bytes")]
    payload: Vec<u8>,
    #[n(2)]
    arrived: bool,
    /// When it is sent again.
    #[n(3)]
    due: LocalTime,
    /// How often it was sent.
    #[n(4)]
    sent_count: u32,
    /// The number of its last transmission.
    #[n(5)]
    transmission: u64,
    /// How many segments that were sent after its last transmission have arrived.
    #[n(6)]
    later_arrivals: usize,
}

impl Default for Sending {
    fn default() -> Self {
        Self {
            queue: VecDeque::new(),
            under_way: VecDeque::new(),
            under_way_bytes: 0,
            next_sequence: 1,
            transmissions: 0,
            rtt: None,
            silent_rounds: 0,
            round_at: LocalTime::ZERO,
        }
    }
}

impl Sending {
    /// Queues a message behind its length of four bytes.
    pub fn queue(&mut self, message: &[u8]) -> Result<(), StreamError> {
        let length = u32::try_from(message.len()).map_err(|_| StreamError::MessageTooLong)?.to_be_bytes();
        if self.queued_bytes() + length.len() + message.len() > QUEUE_BYTES_MAX {
            return Err(StreamError::Overflow);
        }
        self.queue.extend(length);
        self.queue.extend(message);
        Ok(())
    }

    /// The peer spoke: takes note of what has arrived and what it shows to be lost.
    pub fn acknowledged(&mut self, now: LocalTime, segment: &Segment) -> Result<(), StreamError> {
        if segment.expected > self.next_sequence {
            return Err(StreamError::Malformed);
        }
        self.silent_rounds = 0;
        let mut arrivals = Vec::new();
        for item in self.under_way.iter_mut().filter(|item| !item.arrived) {
            if has_arrived(item.sequence, segment) {
                item.arrived = true;
                arrivals.push(item.transmission);
            }
        }
        if arrivals.is_empty() {
            return Ok(());
        }
        while self.under_way.front().is_some_and(|item| item.arrived) {
            self.under_way_bytes -= self.under_way.pop_front().map_or(0, |item| item.payload.len());
        }
        if let Some(sent) = segment.echo {
            self.measure(LocalTime(sent), now);
        }
        self.notice_losses(now, &arrivals);
        Ok(())
    }

    /// The sequence and payload to send now: what is due again, else the next piece of the queue.
    pub fn next(&mut self, now: LocalTime) -> Option<(u64, Vec<u8>)> {
        let index = match self.due_index(now) {
            Some(index) => index,
            None => self.take_from_queue()?,
        };
        self.transmissions += 1;
        let wait = self.wait();
        let item = self.under_way.get_mut(index)?;
        item.due = now + (wait * (1 << item.sent_count.min(4))).min(RETRANSMIT_MAX);
        item.sent_count = item.sent_count.saturating_add(1);
        item.transmission = self.transmissions;
        item.later_arrivals = 0;
        Some((item.sequence, item.payload.clone()))
    }

    pub fn can_send_new(&self) -> bool {
        !self.queue.is_empty() && (self.under_way.len() as u64) < WINDOW_SEGMENTS
    }

    pub fn deadline(&self) -> Option<LocalTime> {
        self.waiting().map(|(_, item)| item.due).min()
    }

    pub fn queued_bytes(&self) -> usize {
        self.queue.len() + self.under_way_bytes
    }

    pub fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    /// The segments that may be sent again: those of which the peer can say whether they arrived, or only the oldest
    /// one while the peer is silent. The first is the one that the peer expects; a hole keeps those beyond its bitmap
    /// from being acknowledged, and to send them again for that would multiply the traffic.
    fn waiting(&self) -> impl Iterator<Item = (usize, &UnderWay)> {
        let count = if self.silent_rounds < SILENT_ROUNDS_MAX { 1 + BITMAP_SEGMENTS } else { 1 };
        self.under_way.iter().take(count).enumerate().filter(|(_, item)| !item.arrived)
    }

    fn due_index(&mut self, now: LocalTime) -> Option<usize> {
        let (index, _) = self.waiting().find(|(_, item)| item.due <= now)?;
        if self.round_at != now {
            self.round_at = now;
            self.silent_rounds = self.silent_rounds.saturating_add(1);
        }
        Some(index)
    }

    /// Makes the next segment of the queue, if the window allows, and returns its index.
    fn take_from_queue(&mut self) -> Option<usize> {
        if !self.can_send_new() {
            return None;
        }
        let payload: Vec<u8> = take_front(&mut self.queue, PAYLOAD_BYTES_MAX);
        self.under_way_bytes += payload.len();
        self.under_way.push_back(UnderWay {
            sequence: self.next_sequence,
            payload,
            arrived: false,
            due: LocalTime::ZERO,
            sent_count: 0,
            transmission: 0,
            later_arrivals: 0,
        });
        self.next_sequence += 1;
        Some(self.under_way.len() - 1)
    }

    /// How long to wait before the first retransmission.
    fn wait(&self) -> Duration {
        self.rtt.map_or(RETRANSMIT_INITIAL, |rtt| (rtt * 2).clamp(RETRANSMIT_MIN, RETRANSMIT_MAX))
    }

    /// Smooths as RFC 6298, section 2.
    fn measure(&mut self, sent: LocalTime, now: LocalTime) {
        let sample = now.since(sent).min(RTT_MAX);
        self.rtt = Some(self.rtt.map_or(sample, |rtt| (rtt * 7 + sample) / 8));
    }

    /// A segment is lost when enough of those sent after it have arrived: it is due at once.
    fn notice_losses(&mut self, now: LocalTime, arrivals: &[u64]) {
        for item in self.under_way.iter_mut().filter(|item| !item.arrived) {
            item.later_arrivals += arrivals.iter().filter(|&&transmission| transmission > item.transmission).count();
            if item.later_arrivals >= LATER_ARRIVALS {
                item.due = item.due.min(now);
            }
        }
    }
}

fn has_arrived(sequence: u64, segment: &Segment) -> bool {
    if sequence < segment.expected {
        return true;
    }
    let bit = sequence - segment.expected;
    (1..=BITMAP_SEGMENTS as u64).contains(&bit) && segment.received >> (bit - 1) & 1 == 1
}
