//! When switches and hosts on the link are told who has the address.

use std::time::Duration;

use base::LocalTime;
use minicbor::{Decode, Encode};

/// After taking the address, and after each double master. Close together at first because every lost one is silence
/// at a phone, then far apart for switches that were themselves starting.
pub const TELL_AFTER: [Duration; 6] = [
    Duration::ZERO,
    Duration::from_millis(10),
    Duration::from_millis(50),
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(5),
];

/// Where in the schedule a node is.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub(crate) struct Schedule {
    #[n(0)]
    started_at: LocalTime,
    /// How often it was told; all of them when nothing is to be told.
    #[n(1)]
    told: Option<u8>,
}

impl Schedule {
    pub fn start(&mut self, now: LocalTime) {
        *self = Self { started_at: now, told: Some(0) };
    }

    pub fn stop(&mut self) {
        self.told = None;
    }

    pub fn deadline(&self) -> Option<LocalTime> {
        let after = TELL_AFTER.get(usize::from(self.told?))?;
        Some(self.started_at + *after)
    }

    /// Whether to tell now. What came due together is told once.
    pub fn due(&mut self, now: LocalTime) -> bool {
        let mut due = false;
        while self.deadline().is_some_and(|deadline| deadline <= now) {
            self.told = self.told.map(|told| told + 1);
            due = true;
        }
        due
    }
}

#[cfg(test)]
mod tests;
