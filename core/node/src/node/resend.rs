//! After a takeover: the last messages of every call are said again, and after a blackout whoever was in one is asked.

use std::time::Duration;

use pbx::call::CallNumber;
use sip::transaction::Transmit;

use super::Node;
use crate::action::{Action, Tell};
use crate::event::Now;

/// Calls whose last messages are sent again after a takeover, per pause: a thousand of them must not overrun the phones'
/// or our own queues.
const RESEND_BATCH: usize = 16;
const RESEND_PAUSE: Duration = Duration::from_millis(2);

impl Node {
    pub(super) fn resend_some(&mut self, now: Now) {
        let batch = self.resend.len().min(RESEND_BATCH);
        let due: Vec<CallNumber> = self.resend.drain(..batch).collect();
        for number in due {
            for Transmit { local, destination, bytes } in self.pbx.resend(number) {
                self.actions.push(Action::Send { local, destination, bytes });
            }
            if self.restored {
                let time = self.pbx_now(now);
                self.pbx.probe_call(time, number, self.cluster.epoch().number);
            }
        }
        self.resend_at = (!self.resend.is_empty()).then(|| now.local + RESEND_PAUSE);
        if self.resend.is_empty() {
            self.restored = false;
            self.actions.push(Action::Tell(Tell::SaidAgain { calls: self.resending }));
        }
    }
}
