//! Answers a node's asks where no witness runs on a third machine: by a record in a store that others run, as etcd.
//!
//! Each node has a deputy of its own; what they share is the record, which is changed only by whoever names the revision
//! that it has just read. The store's clock is never asked. What makes it safe: the holder counts its lease from the
//! moment at which it asked for a renewal. That was written later, and was read by the other deputy later still, which
//! counts the whole lease from there and then changes the record only if it has still the revision that it saw.
//!
//! ```text
//!   holder    asks t0 ------ relies on it until t0 + lease - to_act
//!   record          written t1, revision r
//!   other                   reads r at t2 ------------------- at t2 + lease: to me, if it is still r
//! ```
//!
//! A record that says that it is free, is of our own former life, or is of a daemon that is proven to be dead, is taken
//! at once. One that is missing or cannot be read may be anybody's, and is waited for like another's.

use base::{Epoch, Incarnation, LocalTime, NodeIndex};
use minicbor::{Decode, Encode};

use super::{Answer, Ask, Kind, Terms, VERSION, Verdict, Want, micros};

#[cfg(test)]
pub(crate) mod tests;

/// Both sides' times.
const TERMS: Terms = Terms::of(Kind::Record);

/// How often a node that does not hold the record writes that it lives: ten times until it counts as gone.
const SIGN_EVERY: std::time::Duration = std::time::Duration::from_millis(300);

/// Requests for one ask. The first may find that another has changed the record; who loses more often than this is told
/// what the record says.
const REQUESTS_MAX: u32 = 3;

/// The nodes of a pair.
pub const NODES: usize = 2;

/// What the record says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Record {
    /// Who holds it, or has held it last.
    #[n(0)]
    pub index: NodeIndex,
    #[n(1)]
    pub incarnation: Incarnation,
    /// Nobody holds it.
    #[n(2)]
    pub free: bool,
    /// The greatest one that was told.
    #[n(3)]
    pub epoch: Epoch,
    /// The holder serves alone: phones were told what the other node does not have.
    #[n(4)]
    pub alone: bool,
}

/// A node that does not hold the record lives, and reaches the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Sign {
    #[n(0)]
    pub incarnation: Incarnation,
}

/// What the store is asked to do as one: the writes, then a reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The reading is to be told with it.
    pub number: u64,
    pub swap: Option<Swap>,
    /// To be written as this node's sign, whatever becomes of the swap.
    pub sign: Option<Vec<u8>>,
}

/// A new record, to be written only if the one that is there has this revision; 0 if there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swap {
    pub revision: u64,
    pub record: Vec<u8>,
}

/// What the store answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The swap was made; of no meaning where none was asked for.
    pub swapped: bool,
    /// As it is after the writes.
    pub record: Option<Entry>,
    pub signs: [Option<Entry>; NODES],
}

/// What is stored under one name. Its revision is another one after each write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    pub revision: u64,
    pub bytes: Vec<u8>,
}

/// What comes of a reading: an answer for the node, and what to ask the store next.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    pub answer: Option<Answer>,
    pub request: Option<Request>,
}

/// The machine. Its owner gives the present local time, which never runs backwards. It has one request under way.
#[derive(Clone, Debug)]
pub struct Deputy {
    index: NodeIndex,
    started_at: LocalTime,
    seen: Option<Seen>,
    other: Other,
    /// When our own sign was asked to be written that was written last.
    signed_at: Option<LocalTime>,
    number: u64,
    under_way: Option<UnderWay>,
    /// The newest ask that came meanwhile.
    waiting: Option<Ask>,
}

/// The record as it was read last.
#[derive(Clone, Copy, Debug)]
struct Seen {
    revision: u64,
    /// `None` when there is none, or nothing that we can read.
    record: Option<Record>,
    /// When this revision was first read.
    since: LocalTime,
}

/// What was read of the other node.
#[derive(Clone, Copy, Debug, Default)]
struct Other {
    /// Of its sign.
    revision: u64,
    /// Who wrote last.
    incarnation: Option<Incarnation>,
    /// When that was first read.
    at: Option<LocalTime>,
}

#[derive(Clone, Debug)]
struct UnderWay {
    ask: Ask,
    number: u64,
    at: LocalTime,
    /// What was to be written, if anything.
    swap: Option<Record>,
    sign: bool,
    requests: u32,
}

impl Deputy {
    pub fn new(index: NodeIndex, now: LocalTime) -> Self {
        Self {
            index,
            started_at: now,
            seen: None,
            other: Other::default(),
            signed_at: None,
            number: 0,
            under_way: None,
            waiting: None,
        }
    }

    /// The node asks. While a request is under way only the newest ask is kept: an older one would be answered too late.
    pub fn ask(&mut self, now: LocalTime, ask: Ask) -> Option<Request> {
        self.waiting = Some(ask);
        self.begin(now)
    }

    /// The store has answered. `now` is no earlier than when the answer was there to be read.
    pub fn read(&mut self, now: LocalTime, number: u64, reading: &Reading) -> Step {
        let Some(was) = self.under_way.take_if(|was| was.number == number) else { return Step::default() };
        self.note(now, reading);
        if was.sign {
            self.signed_at = Some(was.at);
        }
        let swapped = was.swap.filter(|_| reading.swapped);
        if swapped.is_none() && was.requests < REQUESTS_MAX && self.wish(now, &was.ask).is_some() {
            // A newer ask counts from a later moment.
            let ask = self.waiting.take().unwrap_or(was.ask);
            return Step { answer: None, request: Some(self.request(now, ask, was.requests + 1)) };
        }
        let verdict = match swapped {
            Some(record) if record.free => Verdict::Free,
            Some(_) => Verdict::Granted,
            None => self.view(now, &was.ask),
        };
        Step { answer: Some(self.answer(now, &was.ask, verdict)), request: self.begin(now) }
    }

    /// The store did not answer, or refused. Whether it has done what it was asked to is not known.
    pub fn failed(&mut self, now: LocalTime, number: u64) -> Option<Request> {
        self.under_way.take_if(|was| was.number == number)?;
        self.begin(now)
    }

    fn begin(&mut self, now: LocalTime) -> Option<Request> {
        if self.under_way.is_some() {
            return None;
        }
        let ask = self.waiting.take()?;
        Some(self.request(now, ask, 1))
    }

    fn request(&mut self, now: LocalTime, ask: Ask, requests: u32) -> Request {
        self.number += 1;
        let number = self.number;
        let swap = self.wish(now, &ask);
        let holds = swap.is_some_and(|record| !record.free);
        let sign = !holds && self.signed_at.is_none_or(|at| now.since(at) >= SIGN_EVERY);
        let request = Request {
            number,
            swap: swap.map(|record| Swap { revision: self.revision(), record: super::encode(&record) }),
            sign: sign.then(|| super::encode(&Sign { incarnation: ask.incarnation })),
        };
        self.under_way = Some(UnderWay { ask, number, at: now, swap, sign, requests });
        request
    }

    fn revision(&self) -> u64 {
        self.seen.map_or(0, |seen| seen.revision)
    }

    /// What the record is to become by this ask, if it may be changed.
    fn wish(&self, now: LocalTime, ask: &Ask) -> Option<Record> {
        // What was never read cannot be judged.
        let seen = self.seen?;
        let is_held_by_us = seen.record.is_some_and(|record| record.index == self.index && !record.free);
        let changes = match ask.want {
            Want::Hold => self.may_take(now, &seen, ask),
            Want::Watch => is_held_by_us,
            Want::Look => false,
        };
        let epoch = seen.record.map_or(ask.epoch, |record| record.epoch.max(ask.epoch));
        let free = ask.want != Want::Hold;
        changes.then_some(Record { index: self.index, incarnation: ask.incarnation, free, epoch, alone: ask.alone })
    }

    fn may_take(&self, now: LocalTime, seen: &Seen, ask: &Ask) -> bool {
        // A node has one life at a time: its parent starts the next one when the last has ended.
        let is_nobodys = seen
            .record
            .is_some_and(|record| record.free || record.index == self.index || ask.gone == Some(record.incarnation));
        is_nobodys || now >= seen.since + TERMS.lease
    }

    /// What was read, and since when it is so.
    fn note(&mut self, now: LocalTime, reading: &Reading) {
        let revision = reading.record.as_ref().map_or(0, |entry| entry.revision);
        if self.seen.is_none_or(|seen| seen.revision != revision) {
            let record = reading.record.as_ref().and_then(|entry| super::decode::<Record>(&entry.bytes).ok());
            self.seen = Some(Seen { revision, record, since: now });
            if let Some(record) = record.filter(|record| record.index != self.index) {
                self.other.incarnation = Some(record.incarnation);
                self.other.at = Some(now);
            }
        }
        let other = NODES - 1 - usize::from(self.index.0).min(NODES - 1);
        let sign = reading.signs.get(other).and_then(Option::as_ref);
        if let Some(entry) = sign.filter(|entry| entry.revision != self.other.revision) {
            let incarnation = super::decode::<Sign>(&entry.bytes).ok().map(|sign| sign.incarnation);
            self.other = Other { revision: entry.revision, incarnation, at: Some(now) };
        }
    }

    /// What the node is told when the record was not changed for it.
    fn view(&self, now: LocalTime, ask: &Ask) -> Verdict {
        let held =
            self.seen.and_then(|seen| seen.record).is_some_and(|record| record.index != self.index && !record.free);
        match ask.want {
            // It may be over, but is not ours yet.
            Want::Hold if held => Verdict::Held,
            Want::Hold => Verdict::Waiting,
            Want::Watch | Want::Look if held && self.left(now) > 0 => Verdict::Held,
            Want::Watch | Want::Look => Verdict::Free,
        }
    }

    /// How long the record, if it is another's, is not to be taken yet.
    fn left(&self, now: LocalTime) -> u64 {
        self.seen.map_or(0, |seen| micros((seen.since + TERMS.lease).since(now)))
    }

    fn answer(&self, now: LocalTime, ask: &Ask, verdict: Verdict) -> Answer {
        let record = self.seen.and_then(|seen| seen.record);
        Answer {
            version: VERSION,
            index: ask.index,
            incarnation: ask.incarnation,
            sequence: ask.sequence,
            verdict,
            left_us: if verdict == Verdict::Granted { micros(TERMS.lease) } else { self.left(now) },
            other_silent_us: self.other_silent_us(now, ask),
            other_alone: verdict == Verdict::Held && record.is_some_and(|record| record.alone),
            epoch: record.map(|record| record.epoch).unwrap_or_default(),
            ..Answer::default()
        }
    }

    /// A daemon that is proven to be dead wrote before that whatever is read of it later.
    fn other_silent_us(&self, now: LocalTime, ask: &Ask) -> u64 {
        if ask.gone.is_some() && self.other.incarnation == ask.gone {
            return u64::MAX;
        }
        micros(now.since(self.other.at.unwrap_or(self.started_at)))
    }
}
