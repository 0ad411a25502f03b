//! Timers of a call, and what a node that has just taken over says again.

use sip::Method;
use sip::transaction::{Output as Said, Transmit};

use super::begin::cause;
use super::leg::sends;
use super::step::Step;
use super::{Call, Progress, Side};

impl Call {
    /// Does everything that is due at `step.now`.
    pub fn timeout(&mut self, step: &mut Step<'_>) {
        step.by_phone = false;
        for index in 0..self.callees.len() {
            self.invite_sent_timeout(step, index);
        }
        let sides: Vec<Side> = self.legs().map(|(side, _)| side).collect();
        for side in sides {
            self.leg_timeout(step, side);
        }
        match self.progress {
            Progress::Dialing { until: Some(until) } if until <= step.now => self.dial_timed_out(step),
            Progress::Waiting { until } if until <= step.now => {
                self.execution.waited();
                self.advance(step);
            }
            Progress::Indicating { until: Some(until) } if until <= step.now => self.end(step, self.cause),
            _ => {}
        }
    }

    fn invite_sent_timeout(&mut self, step: &mut Step<'_>, index: usize) {
        let Some(client) = self.callees.get_mut(index).and_then(|leg| leg.invite_sent.as_mut()) else { return };
        let mut said = Vec::new();
        client.timeout(step.now, &mut said);
        self.take_client_output(step, index, said);
    }

    fn leg_timeout(&mut self, step: &mut Step<'_>, side: Side) {
        let Some(leg) = self.leg_mut(side) else { return };
        let mut said = Vec::new();
        let mut unproven = false;
        for client in &mut leg.requests_sent {
            let before = said.len();
            client.timeout(step.now, &mut said);
            let silent = said[before..].iter().any(|said| matches!(said, Said::TimedOut));
            unproven |= silent && client.request().method == Method::Options;
        }
        leg.requests_sent.retain(|client| !client.is_terminated());
        for request in &mut leg.requests_received {
            request.server.timeout(step.now, &mut said);
        }
        leg.requests_received.retain(|request| !request.server.is_terminated());
        leg.ack_sent.take_if(|ack| ack.until <= step.now);
        // A BYE that nobody answers ends with its transaction; there is nobody left to tell.
        sends(said, step);
        let mut said = Vec::new();
        for invite in &mut leg.invites_received {
            invite.server.timeout(step.now, &mut said);
        }
        leg.invites_received.retain(|invite| !invite.server.is_terminated());
        let unacknowledged = sends(said, step).iter().any(|said| matches!(said, Said::TimedOut));
        leg.close(step);
        if unacknowledged {
            // A 2xx without ACK for 64*T1 ends the dialog with BYE (RFC 3261 13.3.1.4).
            self.end(step, cause::NO_USER_RESPONSE);
        }
        if unproven {
            self.gone(step, side, false);
        }
    }

    /// After all power failed: asks whoever was in the call whether he still is. What had left in the time that the disk
    /// has lost may have used the next numbers, which are skipped.
    pub fn probe(&mut self, step: &mut Step<'_>, reign: u64) {
        step.by_phone = false;
        if self.is_ended() {
            return;
        }
        self.caller.probe(step, reign);
        for callee in &mut self.callees {
            callee.probe(step, reign);
        }
    }

    /// The last message of every live transaction (design, section 4: acknowledged, but never left).
    pub fn resend(&self) -> Vec<Transmit> {
        self.legs().flat_map(|(_, leg)| leg.resend()).collect()
    }
}
