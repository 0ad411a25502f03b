//! Answering: the caller hears ringing, early media, the callee who picked up, or the node itself.

use sip::Response;

use super::begin::cause;
use super::leg::{Leg, LegState};
use super::step::Step;
use super::{Call, Progress};

impl Call {
    /// A callee rings: the caller is told so, with early media if there is any.
    pub(super) fn tell_ringing(&mut self, step: &mut Step<'_>, index: usize, response: &Response) {
        if self.caller.state == LegState::Answered {
            return;
        }
        let early = (!response.body.is_empty()).then(|| self.answer_for_caller(step, index, &response.body)).flatten();
        match early {
            Some(sdp) => {
                self.caller.local_sdp = sdp.clone();
                self.caller.state = LegState::Ringing;
                self.caller.respond_invite(step, response.status, Some(&sdp));
            }
            None if self.caller.state == LegState::Trying => {
                self.caller.state = LegState::Ringing;
                self.caller.respond_invite(step, 180, None);
            }
            None => {}
        }
    }

    /// A callee picked up: the others stop ringing, the caller is answered, the media connected.
    pub(super) fn bridge(&mut self, step: &mut Step<'_>, index: usize, response: &Response) {
        for (other, leg) in self.callees.iter_mut().enumerate() {
            if other != index {
                leg.hang_up(step, 487);
            }
        }
        self.execution.set("DIALSTATUS", "ANSWER");
        self.progress = Progress::Bridged { callee: index as u8 };
        if let Some(endpoint) = self.callees.get(index).and_then(|leg| step.configuration.endpoints.get(&leg.endpoint))
        {
            self.record.destination_channel = super::begin::channel_name(endpoint, self.number);
        }
        if self.caller.state == LegState::Answered {
            if let (Some(leg), Ok(answer)) =
                (self.callees.get_mut(index), media::sdp::Description::parse(&response.body))
            {
                leg.take_remote(&answer, &response.body);
            }
            self.connect(index);
            self.mind_holds();
            self.mark_answered(step);
            return;
        }
        // An answer that came with 183 need not come again with 200 (RFC 3261 13.2.1).
        let body = if response.body.is_empty() {
            self.callees.get(index).map(|leg| leg.remote_sdp.clone()).unwrap_or_default()
        } else {
            response.body.clone()
        };
        match self.answer_for_caller(step, index, &body) {
            Some(sdp) => {
                self.caller.answered(step, &sdp);
                self.mind_holds();
                self.mark_answered(step);
            }
            None => self.end(step, cause::INTERWORKING),
        }
    }

    /// Answer(): the node itself picks up. False when the caller's offer cannot be answered; the call has ended then.
    pub(super) fn answer_locally(&mut self, step: &mut Step<'_>) -> bool {
        if self.caller.state == LegState::Answered {
            return true;
        }
        let symmetric = step.configuration.endpoints.get(&self.caller.endpoint).is_none_or(|it| it.symmetric_media);
        if self.caller.port.is_none() && !self.caller.open_port(step, symmetric) {
            self.end(step, cause::CONGESTION);
            return false;
        }
        let offer = self.caller.remote_sdp.clone();
        let sdp = if offer.is_empty() {
            Ok(self.caller.own_offer(step))
        } else {
            self.caller.answer_offer(step, &offer, &[])
        };
        match sdp {
            Ok(sdp) => {
                self.caller.answered(step, &sdp);
                self.mark_answered(step);
                true
            }
            Err(_) => {
                self.caller.state = LegState::Ended;
                self.caller.respond_invite(step, 488, None);
                self.end(step, cause::INTERWORKING);
                false
            }
        }
    }

    /// Echo(): the caller hears itself.
    pub(super) fn echo(&mut self, step: &mut Step<'_>) {
        if !self.answer_locally(step) {
            return;
        }
        let ssrc = step.random.number() as u32;
        if let Some(port) = self.caller.port.as_mut() {
            port.forward_to = Some(port.port);
            port.echo_ssrc = Some(ssrc);
        }
        self.progress = Progress::Echoing;
    }

    fn mark_answered(&mut self, step: &Step<'_>) {
        if self.record.answered.is_none() {
            self.record.answered = Some(self.record.moment(step.now));
        }
    }
}

impl Leg {
    fn answered(&mut self, step: &mut Step<'_>, sdp: &[u8]) {
        self.state = LegState::Answered;
        self.local_sdp = sdp.to_vec();
        if let Some(dialog) = self.dialog.as_mut() {
            dialog.confirm();
        }
        self.respond_invite(step, 200, Some(sdp));
    }
}
