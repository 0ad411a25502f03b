//! Calls that this phone makes: INVITE, its responses, the ACK, giving up (RFC 3261 sections 9.1 and 13.2).

use crate::call::{Acknowledgement, Call};
use crate::client::{Purpose, Request};
use crate::message::{Message, socket_address, uri};
use crate::phone::Phone;
use crate::record::{CallKey, CallRecord, CallState, EndReason, Method, PhoneEvent, Violation};
use crate::registration::server_host;
use crate::sdp::{self, Direction};

impl Phone {
    pub(crate) fn make_call(&mut self, now_us: u64, number: String) {
        if self.live_call().is_some() {
            return;
        }
        self.counters.calls_made += 1;
        let server = server_host(&self.config);
        let local_tag = self.random.token();
        let target = format!("sip:{number}@{server}");
        let record = self.new_record(now_us, true, &number, CallState::Calling);
        let key = record.key;
        let call = Call {
            local: format!("<sip:{}@{server}>;tag={local_tag}", self.config.user),
            remote: format!("<{target}>"),
            local_tag,
            remote_tag: None,
            route: Vec::new(),
            local_cseq: 1,
            invite_cseq: 1,
            ..self.new_call(record, target)
        };
        let offer =
            sdp::write(call.sdp_session, call.sdp_version, self.config.media_address, Direction::SendReceive, None);
        let request = self.dialog_request(&call, Method::Invite, Some(offer));
        self.calls.push(call);
        self.event(PhoneEvent::State { call: key, state: CallState::Calling });
        self.send_request(now_us, request, self.config.server, Purpose::Invite(key));
    }

    pub(crate) fn new_record(&mut self, now_us: u64, outgoing: bool, number: &str, state: CallState) -> CallRecord {
        self.calls_begun += 1;
        CallRecord {
            key: CallKey(self.calls_begun),
            call_id: format!("{}@{}", self.random.token(), self.config.address.ip()),
            outgoing,
            number: number.to_owned(),
            state,
            holding: false,
            held_by_peer: false,
            media: None,
            started_us: now_us,
            ringing_us: None,
            answered_us: None,
            ended_us: None,
            invite_status: None,
            bye_status: None,
            reinvite_status: None,
        }
    }

    /// A call without its dialog, which the caller fills in.
    pub(crate) fn new_call(&mut self, record: CallRecord, target: String) -> Call {
        Call {
            record,
            local_tag: String::new(),
            remote_tag: None,
            local: String::new(),
            remote: String::new(),
            target,
            route: Vec::new(),
            local_cseq: 0,
            remote_cseq: None,
            invite_cseq: 0,
            provisional: false,
            cancel_wanted: false,
            cancel_sent: false,
            hang_up_on_ack: false,
            acknowledgement: None,
            accepted: None,
            answer_at: None,
            reinvite: None,
            reinvite_again: None,
            sdp_session: self.random.below(1 << 31),
            sdp_version: 1,
            description: None,
            forget_at: None,
        }
    }

    /// A request of this call as its dialog is now, with the call's current CSeq.
    pub(crate) fn dialog_request(&self, call: &Call, method: Method, body: Option<String>) -> Request {
        Request {
            method,
            uri: call.target.clone(),
            route: call.route.clone(),
            from: call.local.clone(),
            to: call.remote.clone(),
            call_id: call.record.call_id.clone(),
            cseq: call.local_cseq,
            contact: method == Method::Invite,
            expires_s: None,
            body,
            authorization: None,
        }
    }

    pub(crate) fn cancel(&mut self, now_us: u64) {
        let Some(call) = self.live_call().and_then(|key| self.call_mut(key)) else { return };
        if !call.record.outgoing || call.record.state.is_up() {
            return;
        }
        call.cancel_wanted = true;
        let key = call.key();
        self.cancel_when_possible(now_us, key);
    }

    fn cancel_when_possible(&mut self, now_us: u64, key: CallKey) {
        let Some(call) = self.call_mut(key) else { return };
        if call.cancel_wanted && call.provisional && !call.cancel_sent {
            call.cancel_sent = true;
            self.send_cancel(now_us, key);
        }
    }

    pub(crate) fn cancel_finished(&mut self, key: CallKey, status: u16) {
        self.event(PhoneEvent::Final { call: Some(key), method: Method::Cancel, status });
    }

    /// A provisional response to this call's INVITE.
    pub(crate) fn invite_progress(&mut self, now_us: u64, key: CallKey, status: u16, message: &Message<'_>) {
        let Some(call) = self.call_mut(key) else { return };
        call.provisional = true;
        let early = call.acknowledgement.is_none() && !call.is_over();
        if status > 100 && early {
            if let Some(violation) = take_remote_tag(call, message) {
                self.violation(violation);
            }
            if !message.body.is_empty() {
                self.take_description(key, message.body, false);
            }
            if matches!(status, 180 | 183) {
                self.change_state(now_us, key, CallState::Ringing);
            }
        }
        self.cancel_when_possible(now_us, key);
    }

    pub(crate) fn invite_finished(
        &mut self,
        now_us: u64,
        key: CallKey,
        request: &Request,
        status: u16,
        message: Option<&Message<'_>>,
    ) {
        self.event(PhoneEvent::Final { call: Some(key), method: Method::Invite, status });
        let Some(call) = self.call_mut(key) else { return };
        call.record.invite_status = Some(status);
        let cancelled = call.cancel_wanted;
        match message {
            Some(message) if status < 300 => self.invite_accepted(now_us, key, Some(request), message),
            None if !cancelled => self.end_call(now_us, key, EndReason::TimedOut),
            _ if cancelled && matches!(status, 408 | 487) => self.end_call(now_us, key, EndReason::Cancelled),
            _ => self.end_call(now_us, key, EndReason::Rejected(status)),
        }
    }

    /// The INVITE was answered: the dialog stands, and is acknowledged in any case. When the user has given up
    /// meanwhile, it is ended at once (RFC 3261 section 15).
    fn invite_accepted(&mut self, now_us: u64, key: CallKey, request: Option<&Request>, message: &Message<'_>) {
        let Some(call) = self.call_mut(key) else { return };
        let mut violations: Vec<Violation> = take_remote_tag(call, message).into_iter().collect();
        call.remote = message.header("to").unwrap_or_default().to_owned();
        call.route = message.list("record-route").into_iter().rev().map(str::to_owned).collect();
        let contact = message.list("contact").first().map(|contact| uri(contact).to_owned());
        match contact.filter(|contact| socket_address(contact).is_some()) {
            Some(contact) => call.target = contact,
            None => violations.push(Violation::ContactUnusable),
        }
        let (over, wanted) = (call.is_over(), !call.cancel_wanted);
        let cseq = call.invite_cseq;
        for violation in violations {
            self.violation(violation);
        }
        self.acknowledge(key, cseq, request);
        if over || !wanted {
            self.send_bye(now_us, key, EndReason::Cancelled);
            return;
        }
        self.take_description(key, message.body, false);
        let state = self.call_mut(key).map_or(CallState::Talking, |call| call.up_state());
        self.change_state(now_us, key, state);
    }

    /// Acknowledges a 2xx to an INVITE or re-INVITE with this CSeq, and keeps the ACK for when the 2xx comes again.
    pub(crate) fn acknowledge(&mut self, key: CallKey, cseq: u32, invite: Option<&Request>) {
        let branch = self.new_branch();
        let Some(call) = self.calls.iter().find(|call| call.key() == key) else { return };
        let request = Request {
            cseq,
            // The ACK carries the credentials of its INVITE (RFC 3261 section 22.1).
            authorization: invite.and_then(|invite| invite.authorization.clone()),
            ..self.dialog_request(call, Method::Ack, None)
        };
        let to = call.destination(self.config.server);
        let bytes = request.write(&branch, self.config.address, &self.contact);
        self.send(to, bytes.clone());
        if let Some(call) = self.call_mut(key) {
            call.acknowledgement = Some(Acknowledgement { cseq, bytes, to });
        }
    }

    /// A 2xx to an INVITE whose transaction is over: the ACK was lost, or the answer came too late.
    pub(crate) fn repeated_answer(&mut self, now_us: u64, cseq: u32, message: &Message<'_>) {
        let own = |call: &&Call| {
            call.record.call_id == message.call_id() && Some(call.local_tag.as_str()) == message.tag_of_from()
        };
        let Some(call) = self.calls.iter().find(own) else {
            self.counters.stray_responses += 1;
            return;
        };
        let key = call.key();
        let found = message.tag_of_to().unwrap_or_default();
        match (&call.acknowledgement, &call.remote_tag) {
            (Some(_), Some(expected)) if expected != found => {
                let violation = Violation::TagChanged { expected: expected.clone(), found: found.to_owned() };
                self.violation(violation);
            }
            (Some(acknowledgement), _) if acknowledgement.cseq == cseq => {
                let (to, bytes) = (acknowledgement.to, acknowledgement.bytes.clone());
                self.counters.retransmissions += 1;
                self.send(to, bytes);
            }
            (None, _) if call.invite_cseq == cseq && call.is_over() => self.invite_accepted(now_us, key, None, message),
            _ => self.counters.stray_responses += 1,
        }
    }
}

/// Learns the other side's tag from a response, or checks that it is still the same: a server that answers for itself
/// has one dialog, early or not.
pub(crate) fn take_remote_tag(call: &mut Call, message: &Message<'_>) -> Option<Violation> {
    let found = message.tag_of_to().unwrap_or_default().to_owned();
    match &call.remote_tag {
        None if !found.is_empty() => {
            call.remote_tag = Some(found);
            None
        }
        Some(expected) if *expected == found => None,
        expected => Some(Violation::TagChanged { expected: expected.clone().unwrap_or_default(), found }),
    }
}
