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

    /// A call that its caller gave up while the network was apart may ring after the one that he made next, and is then
    /// cancelled: what rang was the older one. Gives which conversation it was.
    pub(super) fn rang_late(&mut self, at: usize) -> usize {
        let (before, from) = self.conversations.split_at_mut(at);
        let Some(rang) = from.first_mut().filter(|call| call.torn && call.gave_up_us().is_none()) else { return at };
        let is_older = |call: &Conversation| {
            let phones = |call: &Conversation| call.sides.each_ref().map(|side| side.phone);
            call.torn && call.gave_up_us().is_some() && call.callee().key.is_none() && phones(call) == phones(rang)
        };
        let Some(older) = before.iter().rposition(is_older) else { return at };
        if let Some(given_up) = before.get_mut(older) {
            std::mem::swap(&mut given_up.sides[1], &mut rang.sides[1]);
        }
        older
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
