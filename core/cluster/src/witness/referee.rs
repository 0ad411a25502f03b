//! The witness's side of one pair: who holds the lease, and who may have it.
//!
//! ```text
//!          Hold, no other holder, ready      another Hold of the same node
//!   free ----------------------------> held ---+
//!     ^                                 |  ^---+
//!     +---------------------------------+
//!       it ran out; the holder only watches; the other node has proof that the holder is dead
//! ```
//!
//! A witness that starts knows of no lease. For the time of one it grants nothing to a node that does not hold it
//! already: at most one node can say so honestly, and both are authenticated.

use std::collections::VecDeque;
use std::time::Duration;

use base::{Epoch, Incarnation, LocalTime, NodeIndex};
use minicbor::{Decode, Encode};

use super::{Answer, Ask, LEASE, VERSION, Verdict, Want, micros};

#[cfg(test)]
mod tests;

/// Lives of one node that were given a challenge and have not answered. Replayed asks make more; the oldest goes then,
/// and its node asks again.
const CANDIDATES_MAX: usize = 4;

/// The nodes of a pair.
const NODES: usize = 2;

/// The machine. Its owner gives the present local time, which never runs backwards, and random numbers.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Referee {
    /// Of this witness.
    #[n(0)]
    life: u64,
    #[n(1)]
    started_at: LocalTime,
    #[n(2)]
    nodes: [Seat; NODES],
    #[n(3)]
    holder: Option<Holder>,
    /// The greatest one that was told.
    #[n(4)]
    epoch: Epoch,
}

/// What is known of one node.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
struct Seat {
    /// The life that has proven itself last.
    #[n(0)]
    incarnation: Option<Incarnation>,
    #[n(1)]
    challenge: u64,
    /// The greatest sequence of that life.
    #[n(2)]
    sequence: u64,
    #[n(3)]
    heard_at: Option<LocalTime>,
    #[n(4)]
    alone: bool,
    #[n(5)]
    candidates: VecDeque<Candidate>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Encode, Decode)]
struct Candidate {
    #[n(0)]
    incarnation: Incarnation,
    #[n(1)]
    challenge: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
struct Holder {
    #[n(0)]
    index: NodeIndex,
    #[n(1)]
    incarnation: Incarnation,
    #[n(2)]
    until: LocalTime,
}

/// For people: what the witness knows of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    pub holder: Option<NodeIndex>,
    /// How long each node has been silent; `None` when it was not heard yet.
    pub silent: [Option<Duration>; NODES],
    pub epoch: Epoch,
}

impl Referee {
    /// `life` is random.
    pub fn new(life: u64, now: LocalTime) -> Self {
        Self { life, started_at: now, nodes: Default::default(), holder: None, epoch: Epoch::default() }
    }

    /// Answers an authentic ask; a replayed one and one of a node that a pair does not have get no answer. `fresh` is a
    /// random number that nobody can guess.
    pub fn ask(&mut self, now: LocalTime, fresh: u64, ask: &Ask) -> Option<Answer> {
        let seat = self.nodes.get_mut(usize::from(ask.index.0))?;
        if ask.want == Want::Look {
            return Some(self.answer(now, ask, 0, self.view(now, ask.index)));
        }
        match seat.admit(fresh, ask) {
            Admission::Proven => {}
            Admission::Challenged(challenge) => return Some(self.answer(now, ask, challenge, Verdict::Unproven)),
            Admission::Replayed => return None,
        }
        seat.heard_at = Some(now);
        seat.alone = ask.alone;
        let challenge = seat.challenge;
        let verdict = self.judge(now, ask);
        self.epoch = self.epoch.max(ask.epoch);
        Some(self.answer(now, ask, challenge, verdict))
    }

    pub fn known(&self, now: LocalTime) -> Known {
        let [first, second] = &self.nodes;
        Known {
            holder: self.holder(now).map(|holder| holder.index),
            silent: [first, second].map(|seat| seat.heard_at.map(|at| now.since(at))),
            epoch: self.epoch,
        }
    }

    fn holder(&self, now: LocalTime) -> Option<Holder> {
        self.holder.filter(|holder| now < holder.until)
    }

    /// What a node that only looks is told.
    fn view(&self, now: LocalTime, index: NodeIndex) -> Verdict {
        match self.holder(now) {
            Some(holder) if holder.index == index => Verdict::Granted,
            Some(_) => Verdict::Held,
            None => Verdict::Free,
        }
    }

    fn judge(&mut self, now: LocalTime, ask: &Ask) -> Verdict {
        let is_over = |holder: &Holder| {
            let dead = holder.index != ask.index && ask.gone == Some(holder.incarnation);
            // A node has one life at a time: its parent starts the next one when the last has ended.
            let former = holder.index == ask.index && holder.incarnation != ask.incarnation;
            now >= holder.until || dead || former
        };
        self.holder = self.holder.filter(|holder| !is_over(holder));
        let is_mine = self.holder.is_some_and(|holder| holder.index == ask.index);
        match ask.want {
            Want::Watch | Want::Look => {
                self.holder = self.holder.filter(|_| !is_mine);
                self.view(now, ask.index)
            }
            Want::Hold if self.holder.is_some() && !is_mine => Verdict::Held,
            // A lease of the former life may bind us yet.
            Want::Hold if now < self.started_at + LEASE && !(ask.holding && ask.epoch >= self.epoch) => {
                Verdict::Waiting
            }
            Want::Hold => {
                self.holder = Some(Holder { index: ask.index, incarnation: ask.incarnation, until: now + LEASE });
                Verdict::Granted
            }
        }
    }

    fn answer(&self, now: LocalTime, ask: &Ask, challenge: u64, verdict: Verdict) -> Answer {
        let other = self.nodes.get(NODES - 1 - usize::from(ask.index.0).min(NODES - 1));
        let other_heard = other.and_then(|seat| seat.heard_at).unwrap_or(self.started_at);
        Answer {
            version: VERSION,
            index: ask.index,
            incarnation: ask.incarnation,
            sequence: ask.sequence,
            life: self.life,
            challenge,
            verdict,
            left_us: self.holder(now).map_or(0, |holder| micros(holder.until.since(now))),
            other_silent_us: micros(now.since(other_heard)),
            other_alone: verdict == Verdict::Held && other.is_some_and(|seat| seat.alone),
            epoch: self.epoch,
        }
    }
}

/// Whether an ask is of a life that is running now.
enum Admission {
    Proven,
    /// It may be a replay: whoever can say this back is alive.
    Challenged(u64),
    Replayed,
}

impl Seat {
    fn admit(&mut self, fresh: u64, ask: &Ask) -> Admission {
        if self.incarnation == Some(ask.incarnation) && self.challenge == ask.challenge {
            if ask.sequence <= self.sequence {
                return Admission::Replayed;
            }
            self.sequence = ask.sequence;
            return Admission::Proven;
        }
        let found = self.candidates.iter().find(|candidate| candidate.incarnation == ask.incarnation).copied();
        match found {
            Some(candidate) if candidate.challenge == ask.challenge => {
                self.candidates.clear();
                self.incarnation = Some(ask.incarnation);
                self.challenge = ask.challenge;
                self.sequence = ask.sequence;
                Admission::Proven
            }
            Some(candidate) => Admission::Challenged(candidate.challenge),
            None => {
                if self.candidates.len() >= CANDIDATES_MAX {
                    self.candidates.pop_front();
                }
                // 0 is what a node says that was told nothing yet.
                let challenge = fresh.max(1);
                self.candidates.push_back(Candidate { incarnation: ask.incarnation, challenge });
                Admission::Challenged(challenge)
            }
        }
    }
}
