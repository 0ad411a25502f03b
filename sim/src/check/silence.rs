//! Audio: each phone hears its own party, all of the time, but for what a fault may swallow.

use phone::Phone;
use phone::audio::Mark;

use super::{Checks, Fault, FaultKind};

/// What a takeover, with which bad wires may end, allows at any time while they are bad.
const BAD_WIRES_US: u64 = 200_000;

impl Checks {
    /// Something at a phone may have changed whether audio is to flow.
    pub fn refresh(&mut self, now_us: u64, at: usize, side: usize, seen: &Phone) {
        let Some(conversation) = self.conversations.get_mut(at) else { return };
        let end = &mut conversation.sides[side];
        end.media = seen.calls().find(|record| Some(record.key) == end.key).and_then(|record| record.media);
        for to in 0..2 {
            let conversation = &mut self.conversations[at];
            let (here, there) = (&conversation.sides[to], &conversation.sides[1 - to]);
            let echo = there.phone.is_none() && here.sends();
            let expected = here.receives() && (there.sends() || echo);
            let flow = &mut conversation.sides[to].flow;
            match (flow.expected, expected) {
                (false, true) => (flow.expected, flow.heard_us, flow.since_us) = (true, now_us, now_us),
                (true, false) => {
                    flow.expected = false;
                    flow.lasted_us += now_us - flow.since_us;
                    let from_us = flow.heard_us;
                    self.gap(at, to, from_us, now_us);
                }
                _ => {}
            }
        }
    }

    /// A new packet of the right party came to this side.
    pub fn heard(&mut self, now_us: u64, at: usize, side: usize) {
        let Some(conversation) = self.conversations.get_mut(at) else { return };
        let flow = &mut conversation.sides[side].flow;
        flow.packets += 1;
        let from_us = std::mem::replace(&mut flow.heard_us, now_us);
        if flow.expected {
            self.gap(at, side, from_us, now_us);
        }
    }

    /// The network, not the product, lost a packet on its way to this side.
    pub fn network_lost(&mut self, now_us: u64, at: usize, side: usize) {
        if let Some(conversation) = self.conversations.get_mut(at) {
            let flow = &mut conversation.sides[side].flow;
            flow.heard_us = flow.heard_us.max(now_us);
        }
    }

    /// Audio with another mark than the expected one, or with none, came to this phone.
    pub fn foreign(&mut self, now_us: u64, phone: usize, mark: Option<Mark>) {
        if mark.is_some_and(|mark| self.is_former_party(now_us, phone, mark) || self.is_of_torn(now_us, mark)) {
            return;
        }
        let name = self.name(phone).to_owned();
        self.fail(now_us, "party", format!("phone {name} hears somebody else: {mark:?}"));
    }

    /// Whether the mark is of this phone's own last call, whose other end cannot know yet that it is over.
    fn is_former_party(&self, now_us: u64, phone: usize, mark: Mark) -> bool {
        let former = self.conversations.iter().find(|call| call.id == mark.call);
        let own = former.and_then(|call| call.sides.iter().find(|side| side.phone == Some(phone)));
        let since = own.and_then(|side| side.over_us);
        since.is_some_and(|since| now_us <= since + self.prompt_us(now_us))
    }

    /// Silence from `from_us` to `to_us` at one side.
    pub(super) fn gap(&mut self, at: usize, side: usize, from_us: u64, to_us: u64) {
        let gap_us = to_us.saturating_sub(from_us);
        let flow = &mut self.conversations[at].sides[side].flow;
        flow.longest_us = flow.longest_us.max(gap_us);
        let usual_us = self.audio_us + self.jitter_us;
        if gap_us <= usual_us || self.conversations[at].torn {
            return;
        }
        let (kind, outage_us) = self.allowance(from_us, to_us);
        if let Some(kind) = kind {
            self.silences_us.push((kind, gap_us));
        }
        // What is swallowed is whole packets: an outage shorter than their distance may cost one of them.
        let packets = outage_us.div_ceil(self.audio_us) + 1;
        let allowed_us = if outage_us == 0 { usual_us } else { packets * self.audio_us + self.jitter_us };
        if gap_us > allowed_us {
            let conversation = &self.conversations[at];
            let (id, phone) = (conversation.id, conversation.sides[side].phone.unwrap_or(usize::MAX));
            let text = format!(
                "call {id}: phone {} heard nothing for {}.{:03} ms from {} us on, allowed are {} ms ({kind:?})",
                self.name(phone),
                gap_us / 1000,
                gap_us % 1000,
                from_us,
                allowed_us / 1000,
            );
            self.fail(to_us, "silence", text);
        }
    }

    /// The worst fault within this time, and what it allows. Faults that follow closely add up.
    fn allowance(&self, from_us: u64, to_us: u64) -> (Option<FaultKind>, u64) {
        let within = self
            .faults
            .iter()
            .filter(|fault| fault.at_us + 250_000 + self.consent_us >= from_us && fault.at_us <= to_us);
        let silence_us = |fault: &Fault| fault.kind.silence_us() + self.consent_us_of(fault.kind);
        let worst = within.clone().max_by_key(|fault| silence_us(fault));
        let inside = within.filter(|fault| fault.at_us >= from_us);
        let total: u64 = inside.map(silence_us).sum();
        let mut allowed = total.max(worst.map_or(0, silence_us));
        if from_us < self.lossy_until_us + 1_000_000 && !self.faults.is_empty() {
            allowed += BAD_WIRES_US;
        }
        (worst.map(|fault| fault.kind), allowed)
    }

    fn consent_us_of(&self, kind: FaultKind) -> u64 {
        if matches!(kind, FaultKind::Cut | FaultKind::Heal) { self.consent_us } else { 0 }
    }

    /// Silences that still last.
    pub(super) fn open_gaps(&mut self, now_us: u64) {
        for at in 0..self.conversations.len() {
            for side in 0..2 {
                let flow = self.conversations[at].sides[side].flow;
                if flow.expected && now_us.saturating_sub(flow.heard_us) > self.audio_us + self.jitter_us + 350_000 {
                    self.gap(at, side, flow.heard_us, now_us);
                }
            }
        }
    }
}
