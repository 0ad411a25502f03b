//! A node's side of the witness: what it asked, what it was answered, and until when it may rely on it.

use std::collections::VecDeque;
use std::time::Duration;

use base::{Epoch, Incarnation, LocalTime, NodeIndex};
use minicbor::{Decode, Encode};

use super::{Answer, Ask, Kind, Terms, VERSION, Verdict, Want};

#[cfg(test)]
mod tests;

/// Asked again at the earliest after this, when the other node's lease is about to run out.
const ASK_SOONEST: Duration = Duration::from_millis(1);

/// Asks whose answers are awaited. An answer that comes after so many further ones would be of no use any more.
const ASKED_MAX: usize = 16;

/// What a node does when no witness answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Mode {
    /// When neither node hears one, the pair goes on as if there were none.
    #[default]
    #[n(0)]
    Prefer,
    /// It serves only with the consent of the witness or of its peer.
    #[n(1)]
    Require,
}

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Lease {
    #[n(0)]
    mode: Mode,
    #[n(1)]
    started_at: LocalTime,
    #[n(2)]
    sequence: u64,
    /// Oldest first.
    #[n(3)]
    asked: VecDeque<Asked>,
    #[n(4)]
    ask_at: LocalTime,
    #[n(5)]
    challenge: u64,
    #[n(6)]
    heard_at: Option<LocalTime>,
    /// The lease is ours until then.
    #[n(7)]
    held_until: LocalTime,
    #[n(8)]
    verdict: Verdict,
    /// As of the last answer.
    #[n(9)]
    other_silent: Duration,
    /// As of the last answer: the other node holds the lease and serves alone.
    #[n(10)]
    other_alone: bool,
    /// The witness has a say: one of the nodes heard it when they last knew of each other.
    #[n(11)]
    counts: bool,
    /// What was told about it last: that it is heard, or that it is not.
    #[n(12)]
    told: Option<bool>,
    #[n(13)]
    round_trip: Duration,
    /// What was asked for last.
    #[n(14)]
    want: Want,
    /// Since when the lease is asked for in vain, because the other node has it.
    #[n(15)]
    denied_since: Option<LocalTime>,
    #[n(16)]
    #[cbor(default)]
    kind: Kind,
    /// When that was asked which was answered last.
    #[n(17)]
    #[cbor(default)]
    answered_ask_at: LocalTime,
}

#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
struct Asked {
    #[n(0)]
    sequence: u64,
    #[n(1)]
    at: LocalTime,
}

impl Lease {
    pub fn new(mode: Mode, kind: Kind, now: LocalTime) -> Self {
        Self {
            mode,
            kind,
            started_at: now,
            sequence: 0,
            asked: VecDeque::new(),
            ask_at: now,
            challenge: 0,
            heard_at: None,
            held_until: LocalTime::ZERO,
            verdict: Verdict::Unproven,
            other_silent: Duration::ZERO,
            other_alone: false,
            counts: mode == Mode::Require,
            told: None,
            round_trip: Duration::ZERO,
            want: Want::Watch,
            denied_since: None,
            answered_ask_at: LocalTime::ZERO,
        }
    }

    pub fn mode(&self) -> Mode {
        self.mode
    }

    fn terms(&self) -> Terms {
        Terms::of(self.kind)
    }

    /// The next ask. One that does not want to hold the lease gives it up.
    pub fn ask(&mut self, now: LocalTime, index: NodeIndex, incarnation: Incarnation, want: Want, epoch: Epoch) -> Ask {
        let holding = self.holds(now);
        if want != Want::Hold {
            self.held_until = LocalTime::ZERO;
            // An answer to what was asked before may grant what the witness takes back with this.
            self.asked.clear();
        }
        if self.want != want {
            self.denied_since = None;
        }
        self.want = want;
        self.sequence += 1;
        if self.asked.len() >= ASKED_MAX {
            self.asked.pop_front();
        }
        self.asked.push_back(Asked { sequence: self.sequence, at: now });
        let is_urgent = want == Want::Hold && self.hears(now);
        let terms = self.terms();
        self.ask_at = now + if is_urgent { terms.ask_again } else { terms.ask_every };
        Ask {
            version: VERSION,
            index,
            incarnation,
            sequence: self.sequence,
            challenge: self.challenge,
            want,
            holding,
            epoch,
            ..Ask::default()
        }
    }

    /// Takes an authentic answer. False when it is of no use: a copy, one that was overtaken, or not ours.
    pub fn answer(&mut self, now: LocalTime, index: NodeIndex, incarnation: Incarnation, answer: &Answer) -> bool {
        if answer.index != index || answer.incarnation != incarnation {
            return false;
        }
        let Some(place) = self.asked.iter().position(|asked| asked.sequence == answer.sequence) else { return false };
        let Some(asked) = self.asked.drain(..=place).next_back() else { return false };
        self.heard_at = Some(now);
        self.answered_ask_at = asked.at;
        self.round_trip = now.since(asked.at);
        self.verdict = answer.verdict;
        self.other_silent = Duration::from_micros(answer.other_silent_us);
        let is_denied = answer.verdict == Verdict::Held && self.want == Want::Hold;
        self.denied_since = is_denied.then_some(self.denied_since.unwrap_or(now));
        self.other_alone = answer.verdict == Verdict::Held && answer.other_alone;
        let (left, terms) = (Duration::from_micros(answer.left_us), self.terms());
        match answer.verdict {
            Verdict::Unproven => {
                self.challenge = answer.challenge;
                self.ask_at = now;
            }
            Verdict::Granted => {
                let until = asked.at + left.min(terms.lease).saturating_sub(terms.to_act);
                self.held_until = self.held_until.max(until);
                self.ask_at = asked.at + terms.ask_every;
            }
            Verdict::Held => {
                self.held_until = LocalTime::ZERO;
                self.ask_at = now + left.clamp(ASK_SOONEST, terms.ask_every);
            }
            Verdict::Free => self.ask_at = asked.at + terms.ask_every,
            Verdict::Waiting => self.ask_at = now + terms.ask_again,
        }
        true
    }

    /// The other node has what we ask for, and goes on to: it is no lease that merely has to run out.
    pub fn is_denied(&self, now: LocalTime) -> bool {
        self.denied_since.is_some_and(|since| now >= since + self.terms().lease)
    }

    /// The next ask is due at once: the role depends on it.
    pub fn hurry(&mut self) {
        self.ask_at = LocalTime::ZERO;
    }

    /// The last ask was for the lease.
    pub fn asked_to_hold(&self) -> bool {
        self.want == Want::Hold
    }

    /// We did not run: the witness's answers may be unread, so that its silence proves nothing. A lease is not made
    /// longer by it.
    pub fn grant_grace(&mut self, now: LocalTime) {
        self.heard_at = self.heard_at.map(|at| at.max(now));
    }

    pub fn is_due(&self, now: LocalTime) -> bool {
        self.ask_at <= now
    }

    pub fn holds(&self, now: LocalTime) -> bool {
        now < self.held_until
    }

    pub fn held_until(&self) -> LocalTime {
        self.held_until
    }

    /// It has answered lately.
    pub fn hears(&self, now: LocalTime) -> bool {
        self.heard_at.is_some_and(|at| now < at + self.terms().lost_after)
    }

    /// It has never answered, and has not had the time to.
    pub fn is_untried(&self, now: LocalTime) -> bool {
        self.heard_at.is_none() && now < self.started_at + self.terms().first_answer_wait
    }

    /// When `hears` or `is_untried` ends, unless an answer comes.
    pub fn patience_ends_at(&self) -> LocalTime {
        self.heard_at.map_or(self.started_at + self.terms().first_answer_wait, |at| at + self.terms().lost_after)
    }

    pub fn deadline(&self) -> LocalTime {
        self.ask_at
    }

    /// The witness has a say. `peer_hears` is what a peer that is in contact says of itself; `None` without contact,
    /// where what was last known stays.
    pub fn weigh(&mut self, now: LocalTime, peer_hears: Option<bool>) {
        // A witness that has only just been met, or has just started, has decided nothing yet.
        let decides = !matches!(self.verdict, Verdict::Unproven | Verdict::Waiting);
        match peer_hears {
            _ if self.mode == Mode::Require || (decides && self.hears(now)) => self.counts = true,
            Some(peer_hears) => self.counts = peer_hears,
            None => {}
        }
    }

    pub fn counts(&self) -> bool {
        self.counts
    }

    /// The witness had not heard the other node for long when it last answered.
    pub fn says_other_is_gone(&self) -> bool {
        self.heard_at.is_some() && self.other_silent >= self.terms().gone_after
    }

    /// The other node was heard by ourselves: what the witness said of its silence before is over.
    pub fn met_other(&mut self) {
        self.other_silent = Duration::ZERO;
    }

    /// The witness has heard the other node after `since`, and was asked after it: whoever was proven to be gone then may
    /// have been heard with what it had sent before.
    pub fn heard_other_after(&self, since: LocalTime) -> bool {
        self.answered_ask_at >= since
            && self.heard_at.is_some_and(|at| LocalTime(at.0.saturating_sub(super::micros(self.other_silent))) > since)
    }

    pub fn other_is_alone(&self) -> bool {
        self.other_alone
    }

    /// Whether it is news that the witness is heard, or is not: `Some` with what is the case, once.
    pub fn news(&mut self, now: LocalTime) -> Option<bool> {
        let hears = self.hears(now);
        if (self.heard_at.is_none() && now < self.started_at + self.terms().lost_after) || self.told == Some(hears) {
            return None;
        }
        self.told = Some(hears);
        Some(hears)
    }

    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Of the last answer.
    pub fn round_trip(&self) -> Duration {
        self.round_trip
    }
}
