//! What lasts too long: a party that is not told, a call that hangs on one side only, ringing without end.

use super::Checks;
use crate::conversation::Conversation;

/// How long one side may be ahead of the other without loss: a takeover and the first two retransmissions.
const PROMPT_US: u64 = 2_000_000;

/// The same on ways that lose packets: retransmissions double their distance up to 4 s.
const PROMPT_LOSSY_US: u64 = 12_000_000;

/// How long the caller may wait to hear that the other phone rings.
const RINGING_TOLD_US: u64 = 1_200_000;

/// How much longer than the dialplan says a phone may ring.
const RINGING_OVER_US: u64 = 2_000_000;

impl Checks {
    /// How long one side may be ahead of the other.
    pub(super) fn prompt_us(&self, now_us: u64) -> u64 {
        let lossy = now_us < self.lossy_until_us + PROMPT_LOSSY_US;
        if lossy { PROMPT_LOSSY_US } else { PROMPT_US + self.consent_us }
    }

    /// To be called from time to time.
    pub fn sweep(&mut self, now_us: u64) {
        self.open_gaps(now_us);
        let lossy_until_us = self.lossy_until_us;
        let lossy = now_us < self.lossy_until_us + PROMPT_LOSSY_US;
        let prompt_us = self.prompt_us(now_us);
        let told_us = if lossy { PROMPT_LOSSY_US } else { RINGING_TOLD_US };
        let ring_us = self.ring_us + RINGING_OVER_US.max(if lossy { prompt_us } else { 0 });
        let live = self.conversations.iter().filter(|conversation| !conversation.is_over() && !conversation.torn);
        let stuck = live.filter_map(|conversation| {
            // Nobody sends a lost 180 again.
            let rung = conversation.callee().ringing_us;
            let told_us = if rung.is_some_and(|rung| rung < lossy_until_us) { u64::MAX / 2 } else { told_us };
            // A caller sends its INVITE again after twice the time each time, without a bound (RFC 3261 17.1.1.2).
            let unheard_us = 2 * lossy_until_us.saturating_sub(conversation.began_us);
            let heard_us = conversation.began_us + unheard_us + prompt_us;
            let what = stuck(conversation, now_us, prompt_us, told_us, ring_us, heard_us)?;
            Some(format!("call {}: {what}", conversation.id))
        });
        if let Some(text) = stuck.into_iter().next() {
            self.fail(now_us, "stuck", text);
        }
    }
}

fn stuck(
    conversation: &Conversation,
    now_us: u64,
    prompt_us: u64,
    told_us: u64,
    ring_us: u64,
    heard_us: u64,
) -> Option<&'static str> {
    let (caller, callee) = (conversation.caller(), conversation.callee());
    let longer = |since: Option<u64>, limit_us: u64| since.is_some_and(|since| now_us > since + limit_us);
    let is_phone = callee.phone.is_some();
    if longer(caller.over_us, prompt_us) && callee.key.is_some() && !callee.is_over() {
        return Some("over at the caller, but not at the callee");
    }
    if longer(callee.over_us, prompt_us) && !caller.is_over() {
        return Some("over at the callee, but not at the caller");
    }
    if longer(callee.up_us, prompt_us) && caller.up_us.is_none() && !caller.is_over() {
        return Some("the callee has answered, but the caller is not told");
    }
    if longer(caller.up_us, prompt_us) && is_phone && callee.up_us.is_none() {
        return Some("the caller is told of an answer that nobody gave");
    }
    let rings = callee.ringing_us.filter(|_| callee.up_us.is_none() && !callee.is_over());
    if longer(rings, told_us) && caller.ringing_us.is_none() && !caller.is_over() {
        return Some("the callee rings, but the caller does not hear that");
    }
    if longer(rings, ring_us) {
        return Some("the callee rings without end");
    }
    let silent = is_phone && callee.key.is_none() && conversation.refused.is_none();
    if silent && now_us > heard_us && !caller.is_over() {
        return Some("called, but nothing rings");
    }
    if conversation.refused.is_some() && longer(Some(conversation.began_us), prompt_us * 2) && !caller.is_over() {
        return Some("refused, but the caller is not told");
    }
    if longer(caller.gave_up_us, prompt_us * 2) && !caller.is_over() {
        return Some("the caller has given up, but the call goes on");
    }
    None
}
