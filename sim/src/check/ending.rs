//! Whether a call that ended had a reason to: somebody hung up, gave up, refused, or nobody answered in time.

use phone::EndReason;

use super::Checks;

/// How exactly the Dial timeout is to be kept across a takeover.
const RING_TOLERANCE_US: u64 = 2_000_000;

impl Checks {
    pub(super) fn ended(&mut self, now_us: u64, at: usize, side: usize, reason: EndReason) {
        let conversation = &self.conversations[at];
        if conversation.torn {
            return;
        }
        let other = &conversation.sides[1 - side];
        let rang_out = self.rang_out(now_us, at);
        let somebody_gave_up = other.gave_up_us.is_some() || conversation.gave_up_us().is_some();
        let proper = match reason {
            EndReason::HungUp | EndReason::Cancelled | EndReason::Declined(_) => true,
            // An answer may cross the end of the ringing.
            EndReason::PeerHungUp => somebody_gave_up || (rang_out && self.conversations[at].caller().up_us.is_none()),
            EndReason::PeerCancelled => other.gave_up_us.is_some() || rang_out,
            EndReason::Rejected(status) => self.may_reject(at, status, rang_out),
            // A re-INVITE may meet a call that the other side has just ended.
            EndReason::Lost(481) => other.gave_up_us.is_some(),
            EndReason::TimedOut | EndReason::NeverAcknowledged | EndReason::Lost(_) => false,
        };
        if !proper {
            let (id, name) = (conversation.id, self.name(conversation.sides[side].phone.unwrap_or(usize::MAX)));
            let text = format!("call {id} of phone {name} ended without a reason of its people: {reason:?}");
            self.fail(now_us, "ending", text);
        }
    }

    /// The callee was called for as long as the dialplan lets it ring, and did ring.
    fn rang_out(&self, now_us: u64, at: usize) -> bool {
        let conversation = &self.conversations[at];
        conversation.callee().ringing_us.is_some() && now_us + RING_TOLERANCE_US >= conversation.began_us + self.ring_us
    }

    /// The called phone has refused some call since this one began: which one it was nobody tells.
    fn refused_since(&self, at: usize) -> bool {
        let (began_us, callee) = (self.conversations[at].began_us, self.conversations[at].callee().phone);
        self.refusals.iter().any(|(at_us, phone)| *at_us >= began_us && Some(*phone) == callee)
    }

    fn may_reject(&self, at: usize, status: u16, rang_out: bool) -> bool {
        let conversation = &self.conversations[at];
        let declined = conversation.callee().gave_up_us.is_some() && conversation.callee().up_us.is_none();
        match status {
            486 => self.refused_since(at) || declined,
            // The dialplan goes on after Dial's timeout and hangs up.
            480 => rang_out || conversation.callee().phone.is_some_and(|phone| self.registered.is_unsynced(phone)),
            // Given up while the challenge was on its way: no second attempt was made.
            401 => conversation.caller().gave_up_us.is_some(),
            404 => conversation.callee().phone.is_none(),
            _ => false,
        }
    }
}
