//! Calls that this phone receives, and every request within a dialog (RFC 3261 sections 9.2, 12.2.2, 13.3).

use crate::call::{Accepted, Call};
use crate::config::Answer;
use crate::message::{Message, socket_address, tag, uri, user};
use crate::phone::{GIVE_UP_US, Phone, T1_US, T2_US};
use crate::record::{CallKey, CallState, EndReason, PhoneEvent, Violation};
use crate::sdp::{self, Description, Direction};
use crate::server::Response;

impl Phone {
    pub(crate) fn on_invite(&mut self, now_us: u64, server: usize, target: &str, message: &Message<'_>) {
        self.check_target(target);
        let refusal = match self.config.answer.answer {
            _ if self.live_call().is_some() => Some(486),
            Answer::Busy => Some(486),
            Answer::Reject(status) => Some(status.clamp(300, 699)),
            Answer::After(_) | Answer::Never => None,
        };
        if let Some(status) = refusal {
            let number = caller(message).to_owned();
            self.event(PhoneEvent::Refused { number, status });
            return self.respond(now_us, server, Response::new(status));
        }
        let offer = match message.body {
            "" => None,
            body => match Description::parse(body) {
                Ok(offer) => Some(offer),
                Err(reason) => {
                    self.violation(Violation::SdpUnusable { reason });
                    return self.respond(now_us, server, Response::new(488));
                }
            },
        };
        let key = self.new_incoming(now_us, message, offer);
        self.set_server_call(server, key);
        self.event(PhoneEvent::State { call: key, state: CallState::Ringing });
        let tag = self.call_mut(key).map(|call| call.local_tag.clone());
        if self.config.answer.ringing {
            self.respond(now_us, server, Response { tag, contact: true, ..Response::new(180) });
        } else {
            self.respond(now_us, server, Response::new(100));
        }
        match self.config.answer.answer {
            Answer::After(0) => self.answer(now_us),
            Answer::After(delay_ms) => {
                if let Some(call) = self.call_mut(key) {
                    call.answer_at = Some(now_us + delay_ms * 1000);
                }
            }
            Answer::Never | Answer::Busy | Answer::Reject(_) => {}
        }
    }

    fn new_incoming(&mut self, now_us: u64, message: &Message<'_>, offer: Option<Description>) -> CallKey {
        self.counters.calls_received += 1;
        let local_tag = self.random.token();
        let remote = message.header("from").unwrap_or_default();
        let contact = message.list("contact").first().map(|contact| uri(contact).to_owned());
        let contact = contact.filter(|contact| socket_address(contact).is_some());
        if contact.is_none() {
            self.violation(Violation::ContactUnusable);
        }
        let number = caller(message).to_owned();
        let mut record = self.new_record(now_us, false, &number, CallState::Ringing);
        record.call_id = message.call_id().to_owned();
        record.ringing_us = Some(now_us);
        let key = record.key;
        let fallback = uri(remote).to_owned();
        let mut call = Call {
            local: format!("{};tag={local_tag}", message.header("to").unwrap_or_default()),
            remote: remote.to_owned(),
            remote_tag: Some(tag(remote).unwrap_or_default().to_owned()),
            local_tag,
            route: message.list("record-route").into_iter().map(str::to_owned).collect(),
            remote_cseq: message.cseq().map(|(number, _)| number),
            ..self.new_call(record, contact.unwrap_or(fallback))
        };
        if let Some(offer) = offer {
            crate::session::set_media(&mut call, &offer);
            call.description = Some(offer);
        }
        self.calls.push(call);
        key
    }

    /// Picks up the call that rings here.
    pub(crate) fn answer(&mut self, now_us: u64) {
        let Some(key) = self.live_call() else { return };
        let Some(server) = self.open_invite(key) else { return };
        let media_address = self.config.media_address;
        let Some(call) = self.call_mut(key) else { return };
        if call.record.state != CallState::Ringing {
            return;
        }
        call.answer_at = None;
        call.record.invite_status = Some(200);
        let (direction, offer) = (crate::session::answer_direction(call), call.description.clone());
        let body = sdp::write(call.sdp_session, call.sdp_version, media_address, direction, offer.as_ref());
        let tag = Some(call.local_tag.clone());
        self.accept(now_us, key, server, Response { status: 200, tag, contact: true, body: Some(body) });
        let state = self.call_mut(key).map_or(CallState::Talking, |call| call.up_state());
        self.change_state(now_us, key, state);
    }

    /// Sends a 2xx to an INVITE or re-INVITE, and again until it is acknowledged.
    pub(crate) fn accept(&mut self, now_us: u64, key: CallKey, server: usize, response: Response) {
        let Some((bytes, to, cseq)) = self.respond_accepting(now_us, server, response) else { return };
        let Some(call) = self.call_mut(key) else { return };
        call.accepted = Some(Accepted {
            cseq,
            bytes,
            to,
            resend_at: now_us + T1_US,
            interval_us: T1_US,
            deadline: now_us + GIVE_UP_US,
            answer_expected: call.description.is_none(),
        });
    }

    pub(crate) fn decline(&mut self, now_us: u64, key: CallKey, status: u16) {
        if let Some(server) = self.open_invite(key) {
            let tag = self.call_mut(key).map(|call| call.local_tag.clone());
            self.respond(now_us, server, Response { tag, ..Response::new(status) });
        }
        if let Some(call) = self.call_mut(key) {
            call.record.invite_status = Some(status);
        }
        self.end_call(now_us, key, EndReason::Declined(status));
    }

    pub(crate) fn on_cancel(&mut self, now_us: u64, server: usize, message: &Message<'_>) {
        let branch = message.branch().unwrap_or_default();
        let cseq = message.cseq().map(|(number, _)| number);
        let Some((invite, key, invite_cseq)) = self.cancelled_invite(branch) else {
            self.violation(Violation::UnknownCancel);
            return self.respond(now_us, server, Response::new(481));
        };
        if cseq != Some(invite_cseq) {
            let cseq = cseq.unwrap_or_default();
            self.violation(Violation::CseqNotGrowing { method: "CANCEL".to_owned(), last: invite_cseq, cseq });
        }
        let tag = key.and_then(|key| self.call_mut(key)).map(|call| call.local_tag.clone());
        self.respond(now_us, server, Response { tag: tag.clone(), ..Response::new(200) });
        let Some(key) = key.filter(|key| self.open_invite(*key) == Some(invite)) else { return };
        self.respond(now_us, invite, Response { tag, ..Response::new(487) });
        if let Some(call) = self.call_mut(key) {
            call.record.invite_status = Some(487);
        }
        self.end_call(now_us, key, EndReason::PeerCancelled);
    }

    pub(crate) fn on_ack(&mut self, now_us: u64, target: &str, message: &Message<'_>) {
        if self.acknowledge_failure(message.branch().unwrap_or_default()) {
            return;
        }
        let Some(key) = self.find_dialog(message) else {
            return self.violation(Violation::UnknownDialog { method: "ACK".to_owned() });
        };
        self.check_target(target);
        let cseq = message.cseq().map(|(number, _)| number);
        let Some(call) = self.call_mut(key) else { return };
        let Some(accepted) = call.accepted.take_if(|accepted| Some(accepted.cseq) == cseq) else { return };
        let hang_up = call.hang_up_on_ack;
        if accepted.answer_expected {
            self.take_description(key, message.body, false);
            let state = self.call_mut(key).map_or(CallState::Talking, |call| call.up_state());
            self.change_state(now_us, key, state);
        }
        if hang_up {
            self.send_bye(now_us, key, EndReason::HungUp);
        }
    }

    pub(crate) fn on_dialog_request(
        &mut self,
        now_us: u64,
        server: usize,
        method: &str,
        target: &str,
        to_tag: &str,
        message: &Message<'_>,
    ) {
        let Some(key) = self.find_dialog(message) else {
            let related = self.calls.iter().find(|call| call.record.call_id == message.call_id());
            let violation = match related {
                Some(call) if call.local_tag != to_tag => {
                    Violation::TagChanged { expected: call.local_tag.clone(), found: to_tag.to_owned() }
                }
                Some(call) => Violation::TagChanged {
                    expected: call.remote_tag.clone().unwrap_or_default(),
                    found: message.tag_of_from().unwrap_or_default().to_owned(),
                },
                None => Violation::UnknownDialog { method: method.to_owned() },
            };
            self.violation(violation);
            return self.respond(now_us, server, Response::new(481));
        };
        self.check_target(target);
        let Some(call) = self.call_mut(key) else { return };
        let cseq = message.cseq().map_or(0, |(number, _)| number);
        if let Some(last) = call.remote_cseq.filter(|last| *last >= cseq) {
            self.violation(Violation::CseqNotGrowing { method: method.to_owned(), last, cseq });
            return self.respond(now_us, server, Response::new(500));
        }
        call.remote_cseq = Some(cseq);
        let over = call.is_over();
        match method {
            // Both sides may hang up at once; the second BYE meets a call that is over.
            "BYE" | "INVITE" | "OPTIONS" if over => self.respond(now_us, server, Response::new(481)),
            "BYE" => self.on_bye(now_us, key, server),
            "INVITE" => self.on_reinvite(now_us, key, server, message),
            "OPTIONS" => self.answer_options(now_us, server),
            _ => self.respond(now_us, server, Response::new(405)),
        }
    }

    fn on_bye(&mut self, now_us: u64, key: CallKey, server: usize) {
        self.respond(now_us, server, Response::new(200));
        // A BYE may overtake the final response to an INVITE that still rings here (RFC 3261 section 15.1.2).
        if let Some(invite) = self.open_invite(key) {
            let tag = self.call_mut(key).map(|call| call.local_tag.clone());
            self.respond(now_us, invite, Response { tag, ..Response::new(487) });
        }
        if let Some(call) = self.call_mut(key) {
            call.accepted = None;
        }
        self.end_call(now_us, key, EndReason::PeerHungUp);
    }

    fn on_reinvite(&mut self, now_us: u64, key: CallKey, server: usize, message: &Message<'_>) {
        let media_address = self.config.media_address;
        let Some(call) = self.call_mut(key) else { return };
        if call.reinvite.is_some() || !call.record.state.is_up() {
            return self.respond(now_us, server, Response::new(491));
        }
        match message.list("contact").first().map(|contact| uri(contact)).filter(|uri| socket_address(uri).is_some()) {
            Some(contact) => call.target = contact.to_owned(),
            None => self.violation(Violation::ContactUnusable),
        }
        let offered = !message.body.is_empty();
        if offered && !self.take_description(key, message.body, true) {
            return self.respond(now_us, server, Response::new(488));
        }
        let Some(call) = self.call_mut(key) else { return };
        let (direction, offer) = if offered {
            (crate::session::answer_direction(call), call.description.clone())
        } else {
            (Direction::new(true, !call.record.holding), None)
        };
        call.sdp_version += 1;
        let body = sdp::write(call.sdp_session, call.sdp_version, media_address, direction, offer.as_ref());
        self.accept(now_us, key, server, Response { status: 200, tag: None, contact: true, body: Some(body) });
        let Some(call) = self.call_mut(key) else { return };
        if let Some(accepted) = &mut call.accepted {
            accepted.answer_expected = !offered;
        }
        let state = call.up_state();
        self.change_state(now_us, key, state);
    }

    /// The dialog that a request to this phone names: Call-ID and both tags.
    fn find_dialog(&self, message: &Message<'_>) -> Option<CallKey> {
        let same = |call: &&Call| {
            call.record.call_id == message.call_id()
                && Some(call.local_tag.as_str()) == message.tag_of_to()
                && call.remote_tag.as_deref() == Some(message.tag_of_from().unwrap_or_default())
        };
        self.calls.iter().find(same).map(Call::key)
    }

    /// Requests to this phone must be addressed to the contact that it gave, parameters included.
    fn check_target(&mut self, target: &str) {
        if target != self.contact {
            self.violation(Violation::WrongTarget { uri: target.to_owned() });
        }
    }

    pub(crate) fn call_timeouts(&mut self, now_us: u64) {
        for at in 0..self.calls.len() {
            let Some(call) = self.calls.get_mut(at) else { return };
            let key = call.key();
            if call.answer_at.is_some_and(|answer_at| answer_at <= now_us) {
                call.answer_at = None;
                self.answer(now_us);
            }
            self.accepted_timeout(now_us, key);
            let Some(call) = self.call_mut(key) else { return };
            if let Some((_, hold)) = call.reinvite_again.take_if(|(again_at, _)| *again_at <= now_us) {
                self.change_hold(now_us, hold);
            }
        }
    }

    fn accepted_timeout(&mut self, now_us: u64, key: CallKey) {
        let Some(call) = self.call_mut(key) else { return };
        let Some(accepted) = &mut call.accepted else { return };
        if accepted.deadline <= now_us {
            call.accepted = None;
            self.violation(Violation::AckMissing);
            self.send_bye(now_us, key, EndReason::NeverAcknowledged);
        } else if accepted.resend_at <= now_us {
            accepted.interval_us = (accepted.interval_us * 2).min(T2_US);
            accepted.resend_at = now_us + accepted.interval_us;
            let (to, bytes) = (accepted.to, accepted.bytes.clone());
            self.counters.retransmissions += 1;
            self.send(to, bytes);
        }
    }
}

/// Who calls, as the INVITE's From says.
fn caller<'a>(invite: &Message<'a>) -> &'a str {
    user(uri(invite.header("from").unwrap_or_default())).unwrap_or_default()
}
