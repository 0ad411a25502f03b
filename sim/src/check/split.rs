//! A network in two halves: what is promised to those who are in one half with their party, and what is excused for the
//! others.

use phone::Violation;
use phone::audio::Mark;

use super::{Checks, FaultKind};
use crate::conversation::Conversation;

impl Checks {
    /// The network falls apart; `segments` has the half of each phone.
    pub fn fell_apart(&mut self, now_us: u64, segments: Vec<usize>) {
        self.fault(now_us, FaultKind::Cut);
        self.halves = Some(segments);
        self.had_split = true;
        for at in 0..self.conversations.len() {
            let conversation = &self.conversations[at];
            if !conversation.is_over() {
                self.conversations[at].torn |= self.tears(&self.conversations[at]);
            }
        }
    }

    pub fn came_together(&mut self, now_us: u64) {
        self.fault(now_us, FaultKind::Heal);
        self.halves = None;
    }

    /// Whether the two phones of a call are in different halves just now.
    pub(super) fn tears(&self, conversation: &Conversation) -> bool {
        let Some(halves) = &self.halves else { return false };
        let half = |side: usize| conversation.sides[side].phone.and_then(|phone| halves.get(phone));
        matches!((half(0), half(1)), (Some(caller), Some(callee)) if caller != callee)
    }

    /// Audio of a call between the halves, whose other end hears only after the heal that it is over.
    pub(super) fn is_of_torn(&self, now_us: u64, mark: Mark) -> bool {
        let torn = self.conversations.iter().any(|call| call.id == mark.call && call.torn);
        let heal = self.faults.iter().rev().find(|fault| fault.kind == FaultKind::Heal);
        torn && heal.is_some_and(|heal| now_us <= heal.at_us + self.prompt_us(now_us))
    }

    /// Who hung up in one half is let go by the other half's node once more: its phone answers 481 to that.
    pub(super) fn is_of_a_split(&self, violation: &Violation) -> bool {
        let unknown = matches!(violation, Violation::UnknownDialog { method } if method == "BYE");
        self.had_split && (unknown || matches!(violation, Violation::UnknownCancel))
    }
}
