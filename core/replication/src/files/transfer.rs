//! Contents on their way between two nodes. Whoever lacks one asks for its parts, a few at a time, so that an entry of
//! the log never waits behind more than those; what has arrived is on the disk and need not come again.
//!
//! ```text
//!   who lacks it                         who has it
//!   Want 0, at most 32 KiB ------------>  reads
//!   writes           <------------------  Part 0 of 70,000 bytes
//!   Want 32,768 ----------------------->
//!   whole: verified, synced, named ---->  Have
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use base::LocalTime;
use minicbor::{Decode, Decoder, Encode, decode};

use crate::bounded::bounded_list;
use crate::content::{CONTENT_BYTES_MAX, Hash};

#[cfg(test)]
mod tests;

/// Bytes of a content in one message: a thirtieth of what the stream carries in one, and some 30 datagrams.
pub const PART_BYTES_MAX: u32 = 32 * 1024;

/// Parts that are asked for at once. More would make an entry of the log wait longer than a few milliseconds at 1 Gbit/s.
pub const WANTS_MAX: usize = 4;

/// Bytes per second that are asked for at most, unless set otherwise: a thirtieth of a link of 1 Gbit/s.
pub const BANDWIDTH: u64 = 4_000_000;

/// What may come at once although the bandwidth is less: the parts that are asked for at once.
const BURST_BYTES: u64 = WANTS_MAX as u64 * PART_BYTES_MAX as u64;

/// Parts that the peer may have asked for and not got yet; more than it ever asks at once. What is beyond is not heard.
const SERVED_MAX: usize = 4 * WANTS_MAX;

/// Contents that one confirmation names at most. More than are under way at once.
const HAVE_MAX: usize = 64;

/// After so long without a part, or without a word of the disk, it is asked for again.
const AGAIN: Duration = Duration::from_secs(15);

/// After a failure of the disk it rests for so long.
const REST: Duration = Duration::from_secs(2);

/// What the nodes say to each other about contents.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Message {
    #[n(0)]
    Want {
        #[n(0)]
        content: Hash,
        #[n(1)]
        offset: u64,
        #[n(2)]
        length: u32,
    },
    #[n(1)]
    Part {
        #[n(0)]
        content: Hash,
        /// Of the whole content.
        #[n(1)]
        total: u64,
        #[n(2)]
        offset: u64,
        #[cbor(n(3), with = "minicbor::bytes")]
        bytes: Vec<u8>,
    },
    /// I do not have it.
    #[n(2)]
    Lacking {
        #[n(0)]
        content: Hash,
    },
    /// These came whole and are on the disk.
    #[n(3)]
    Have {
        #[cbor(n(0), decode_with = "bounded_have")]
        contents: Vec<Hash>,
    },
}

/// What is to be done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    Say(Message),
    /// Read it for the peer, then call `read`.
    Read {
        content: Hash,
        offset: u64,
        length: u32,
    },
    /// Write it, then call `written`.
    Write {
        content: Hash,
        offset: u64,
        bytes: Vec<u8>,
        total: u64,
    },
    /// It is here now.
    Whole(Hash),
    /// The peer does not have it.
    Lacking(Hash),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// To be asked for when there is room.
    Due,
    Asked {
        since: LocalTime,
    },
    Writing {
        since: LocalTime,
    },
    Resting {
        until: LocalTime,
    },
}

/// A content that is coming.
#[derive(Clone, Copy, Debug)]
struct Coming {
    /// So much of it is here.
    offset: u64,
    state: State,
}

/// Both halves of the transfer of contents, to and from one peer.
#[derive(Clone, Debug)]
pub struct Transfer {
    /// Bytes per second.
    bandwidth: u64,
    /// Bytes that may be asked for now; what came beyond them is a debt. In millionths of a byte.
    allowance: i128,
    filled_at: LocalTime,
    /// In the order of request: those after the first `WANTS_MAX` wait.
    queue: VecDeque<Hash>,
    coming: BTreeMap<Hash, Coming>,
    /// What the peer waits for, and the disk reads.
    serving: VecDeque<(Hash, u64)>,
    /// Whole since the last confirmation.
    have: Vec<Hash>,
    /// What the peer has confirmed, and its bytes as far as they were told: for people.
    confirmed: u64,
    outputs: Vec<Output>,
}

impl Transfer {
    pub fn new(bandwidth: u64) -> Self {
        Self {
            bandwidth,
            allowance: millionths(BURST_BYTES),
            filled_at: LocalTime::ZERO,
            queue: VecDeque::new(),
            coming: BTreeMap::new(),
            serving: VecDeque::new(),
            have: Vec::new(),
            confirmed: 0,
            outputs: Vec::new(),
        }
    }

    /// Wants a content of which the disk has so much already. One that is wanted already goes on.
    pub fn want(&mut self, content: Hash, from: u64) {
        if let std::collections::btree_map::Entry::Vacant(place) = self.coming.entry(content) {
            place.insert(Coming { offset: from, state: State::Due });
            self.queue.push_back(content);
        }
    }

    /// Nothing is wanted any more. What has come stays on the disk.
    pub fn want_nothing(&mut self) {
        self.queue.clear();
        self.coming.clear();
    }

    pub fn is_idle(&self) -> bool {
        self.coming.is_empty()
    }

    /// Contents that the peer has confirmed in this life.
    pub fn confirmed(&self) -> u64 {
        self.confirmed
    }

    /// The conversation with the peer begins anew: what was said and not answered is lost.
    pub fn restarted(&mut self) {
        self.serving.clear();
        for coming in self.coming.values_mut().filter(|coming| matches!(coming.state, State::Asked { .. })) {
            coming.state = State::Due;
        }
    }

    /// The peer says something.
    pub fn message(&mut self, now: LocalTime, message: Message) {
        match message {
            Message::Want { content, offset, length } => {
                if self.serving.len() < SERVED_MAX && offset <= CONTENT_BYTES_MAX {
                    self.serving.push_back((content, offset));
                    let length = length.min(PART_BYTES_MAX);
                    self.outputs.push(Output::Read { content, offset, length });
                }
            }
            Message::Part { content, total, offset, bytes } => self.part(now, content, total, offset, bytes),
            Message::Lacking { content } => {
                let asked = |coming: &Coming| matches!(coming.state, State::Asked { .. });
                if self.coming.get(&content).is_some_and(asked) {
                    self.forget(content);
                    self.outputs.push(Output::Lacking(content));
                }
            }
            Message::Have { contents } => self.confirmed = self.confirmed.saturating_add(contents.len() as u64),
        }
    }

    fn part(&mut self, now: LocalTime, content: Hash, total: u64, offset: u64, bytes: Vec<u8>) {
        let Some(coming) = self.coming.get_mut(&content) else { return };
        let end = offset.checked_add(bytes.len() as u64);
        let fits = total <= CONTENT_BYTES_MAX
            && bytes.len() <= PART_BYTES_MAX as usize
            && end.is_some_and(|end| end <= total)
            && (!bytes.is_empty() || offset == total);
        if !matches!(coming.state, State::Asked { .. }) || coming.offset != offset || !fits {
            return;
        }
        coming.state = State::Writing { since: now };
        self.allowance -= millionths(bytes.len() as u64);
        self.outputs.push(Output::Write { content, offset, bytes, total });
    }

    /// The disk has read something. True when it was for the peer.
    pub fn read(&mut self, content: Hash, offset: u64, bytes: Option<&[u8]>, total: u64) -> bool {
        let Some(at) = self.serving.iter().position(|served| *served == (content, offset)) else { return false };
        self.serving.remove(at);
        let part = bytes.and_then(|bytes| bytes.get(..bytes.len().min(PART_BYTES_MAX as usize)));
        self.outputs.push(Output::Say(match part {
            Some(bytes) => Message::Part { content, total, offset, bytes: bytes.to_vec() },
            None => Message::Lacking { content },
        }));
        true
    }

    /// The disk has written something. True when it was asked to here.
    pub fn written(&mut self, now: LocalTime, content: Hash, upto: u64, whole: bool, failed: bool) -> bool {
        let Some(coming) = self.coming.get_mut(&content) else { return false };
        coming.offset = upto;
        coming.state = if failed { State::Resting { until: now + REST } } else { State::Due };
        if whole {
            self.forget(content);
            if self.have.len() < HAVE_MAX {
                self.have.push(content);
            }
            self.outputs.push(Output::Whole(content));
        }
        true
    }

    fn forget(&mut self, content: Hash) {
        self.coming.remove(&content);
        self.queue.retain(|queued| *queued != content);
    }

    /// At the end of each step, and at `deadline`. While there is no conversation (`connected` is false) nothing is
    /// asked for.
    pub fn drive(&mut self, now: LocalTime, connected: bool) -> Vec<Output> {
        self.fill(now);
        for coming in self.coming.values_mut() {
            let over = match coming.state {
                State::Asked { since } | State::Writing { since } => now.since(since) >= AGAIN,
                State::Resting { until } => until <= now,
                State::Due => false,
            };
            if over {
                coming.state = State::Due;
            }
        }
        if connected {
            self.ask(now);
            if !self.have.is_empty() {
                self.outputs.push(Output::Say(Message::Have { contents: std::mem::take(&mut self.have) }));
            }
        }
        std::mem::take(&mut self.outputs)
    }

    fn ask(&mut self, now: LocalTime) {
        if self.allowance <= 0 {
            return;
        }
        for content in self.queue.iter().take(WANTS_MAX) {
            if let Some(coming) = self.coming.get_mut(content).filter(|coming| coming.state == State::Due) {
                coming.state = State::Asked { since: now };
                let want = Message::Want { content: *content, offset: coming.offset, length: PART_BYTES_MAX };
                self.outputs.push(Output::Say(want));
            }
        }
    }

    fn fill(&mut self, now: LocalTime) {
        let passed = now.since(self.filled_at).as_micros() as i128;
        self.filled_at = now;
        let more = passed.saturating_mul(i128::from(self.bandwidth));
        self.allowance = self.allowance.saturating_add(more).min(millionths(BURST_BYTES));
    }

    /// When `drive` is wanted though nothing happened.
    pub fn deadline(&self, connected: bool) -> Option<LocalTime> {
        let allowed_at = || {
            let debt = u64::try_from(-self.allowance).unwrap_or(0);
            self.filled_at + Duration::from_micros(debt / self.bandwidth.max(1) + 1)
        };
        let due = |content: &Hash| match self.coming.get(content)?.state {
            State::Due if connected && self.allowance > 0 => Some(LocalTime::ZERO),
            State::Due if connected => Some(allowed_at()),
            State::Due => None,
            State::Asked { since } | State::Writing { since } => Some(since + AGAIN),
            State::Resting { until } => Some(until),
        };
        self.queue.iter().take(WANTS_MAX).filter_map(due).min()
    }
}

fn millionths(bytes: u64) -> i128 {
    i128::from(bytes) * 1_000_000
}

fn bounded_have<C>(d: &mut Decoder<'_>, context: &mut C) -> Result<Vec<Hash>, decode::Error> {
    bounded_list(d, context, HAVE_MAX, "too many contents are confirmed at once")
}
