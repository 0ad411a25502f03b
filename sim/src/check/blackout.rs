//! Both machines without power: what the disks may lose of the last moments, and what is excused for it.

use std::collections::{BTreeMap, BTreeSet};

use phone::Violation;

use super::{Checks, FaultKind};
use crate::conversation::{Conversation, Side};

/// What a power cut may take: the declared window of unsynced writes, and two of the slowest syncs that there are.
const WINDOW_US: u64 = 100_000 + 2 * 92_000;

/// From power to a node that serves, alone if it must.
const BOOT_US: u64 = 2_500_000;

/// When phones registered, and whose latest registration may be on no disk.
#[derive(Default)]
pub(super) struct Registered {
    at_us: BTreeMap<usize, u64>,
    unsynced: BTreeSet<usize>,
}

impl Registered {
    pub(super) fn again(&mut self, now_us: u64, phone: usize) {
        self.at_us.insert(phone, now_us);
        self.unsynced.remove(&phone);
    }

    /// What was granted in the last moments is lost, so that the phone is known for as long as it was before.
    fn power_lost(&mut self, now_us: u64) {
        let late = self.at_us.iter().filter(|(_, at_us)| **at_us + WINDOW_US > now_us);
        self.unsynced.extend(late.map(|(phone, _)| *phone));
    }

    /// Nobody may know the phone until it registers again.
    pub(super) fn is_unsynced(&self, phone: usize) -> bool {
        self.unsynced.contains(&phone)
    }
}

impl Checks {
    /// Neither machine has power from `now_us` on; the later one has it back at `until_us`. What was said in the `alone_us`
    /// before is on the later one's disk only, and the other one may be back first and serve without it.
    pub fn blackout(&mut self, now_us: u64, until_us: u64, alone_us: u64) {
        let us = until_us + BOOT_US - now_us;
        self.fault(now_us, FaultKind::Blackout { us });
        self.lossy_until_us = self.lossy_until_us.max(until_us + BOOT_US);
        self.had_blackout = true;
        self.registered.power_lost(now_us);
        let alone_since_us = now_us - alone_us;
        for conversation in self.conversations.iter_mut().filter(|call| !is_at_rest(call, alone_since_us)) {
            conversation.torn = true;
        }
    }

    pub fn had_blackout(&self) -> bool {
        self.had_blackout
    }

    /// What was said last is said again under other numbers, or is not known any more. A phone that was rung last may
    /// answer a call that nobody knows.
    pub(super) fn is_of_blackout(&self, phone: usize, violation: &Violation) -> bool {
        let of_torn = || {
            let torn = self.conversations.iter().filter(|conversation| conversation.torn);
            torn.flat_map(|conversation| &conversation.sides).any(|side| side.phone == Some(phone))
        };
        self.had_blackout
            && match violation {
                Violation::UnknownDialog { .. } | Violation::UnknownCancel => true,
                Violation::AckMissing => of_torn(),
                _ => false,
            }
    }
}

/// Nothing has changed in the call for so long that the disk has it all.
fn is_at_rest(conversation: &Conversation, now_us: u64) -> bool {
    let of_side = |side: &Side| [side.ringing_us, side.up_us, side.over_us, side.gave_up_us, side.changed_us];
    let sides = conversation.sides.iter().flat_map(of_side);
    let last = sides.chain([Some(conversation.began_us), conversation.refused_us]).flatten().max();
    last.is_some_and(|last| last + WINDOW_US <= now_us)
}
