//! What is too long for one step and waits for its next slice: a step of each with every `Event::Timeout`, which comes at
//! once while there is more.

use super::Node;
use crate::event::Now;

impl Node {
    pub(super) fn has_slices(&self) -> bool {
        self.has_records_again()
            || self.has_records_told()
            || self.has_part_to_take()
            || self.rebuild.is_some()
            || !self.listings.is_empty()
            || !self.discarded.is_empty()
    }

    /// The next slices. What the peer's log has brought comes first: a standby is what it has taken. What is of no use any
    /// more comes last, and not while a store comes into place, which costs as much.
    pub(super) fn slices(&mut self, now: Now) {
        self.more_of_log(now);
        self.rebuild_some(now);
        self.take_part(now);
        self.take_records_told();
        self.list_some(now);
        if self.rebuild.is_none() {
            self.discard_some();
        }
    }
}
