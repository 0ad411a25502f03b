//! An answered call: hold and resume (RFC 3264 section 8.4), hanging up, and what the descriptions say about audio.

use crate::call::Call;
use crate::client::{Purpose, Request};
use crate::message::{Message, socket_address, uri};
use crate::phone::Phone;
use crate::record::{CallKey, CallState, EndReason, Media, Method, PhoneEvent, Violation};
use crate::sdp::{self, Description, Direction};

/// When a re-INVITE has to wait for another one of the same call to end.
const BUSY_RETRY_US: u64 = 200_000;

impl Phone {
    /// Puts the other side on hold, or takes it back.
    pub(crate) fn change_hold(&mut self, now_us: u64, hold: bool) {
        let media_address = self.config.media_address;
        let Some(call) = self.live_call().and_then(|key| self.call_mut(key)) else { return };
        if !call.record.state.is_up() {
            return;
        }
        if call.reinvite.is_some() || call.accepted.is_some() {
            call.reinvite_again = Some((now_us + BUSY_RETRY_US, hold));
            return;
        }
        let key = call.key();
        call.reinvite = Some(hold);
        call.reinvite_again = None;
        call.local_cseq += 1;
        call.sdp_version += 1;
        let direction = if hold { Direction::SendOnly } else { Direction::SendReceive };
        let body = sdp::write(call.sdp_session, call.sdp_version, media_address, direction, None);
        let Some(call) = self.calls.iter().find(|call| call.key() == key) else { return };
        let request = self.dialog_request(call, Method::Invite, Some(body));
        let to = call.destination(self.config.server);
        self.send_request(now_us, request, to, Purpose::Reinvite(key, hold));
    }

    pub(crate) fn reinvite_finished(
        &mut self,
        now_us: u64,
        key: CallKey,
        hold: bool,
        request: &Request,
        status: u16,
        message: Option<&Message<'_>>,
    ) {
        self.event(PhoneEvent::Final { call: Some(key), method: Method::Invite, status });
        // RFC 3261 section 14.1: whoever made the Call-ID waits 2.1 to 4 s, the other side up to 2 s.
        let (own, other) = (2_100_000 + self.random.below(1_900_000), self.random.below(2_000_000));
        let Some(call) = self.call_mut(key) else { return };
        call.reinvite = None;
        call.record.reinvite_status = Some(status);
        match (status, message) {
            (200..=299, Some(message)) => self.reinvite_accepted(now_us, key, hold, request, message),
            (491, _) if !call.is_over() => {
                let pause_us = if call.record.outgoing { own } else { other };
                call.reinvite_again = Some((now_us + pause_us, hold));
            }
            (481, _) => self.end_call(now_us, key, EndReason::Lost(481)),
            (408, _) => self.send_bye(now_us, key, EndReason::Lost(408)),
            _ => {}
        }
    }

    fn reinvite_accepted(&mut self, now_us: u64, key: CallKey, hold: bool, request: &Request, message: &Message<'_>) {
        let Some(call) = self.call_mut(key) else { return };
        let changed = crate::outgoing::take_remote_tag(call, message);
        let contact = message.list("contact").first().map(|contact| uri(contact).to_owned());
        let unusable = match contact.filter(|contact| socket_address(contact).is_some()) {
            Some(contact) => {
                call.target = contact;
                None
            }
            None => Some(Violation::ContactUnusable),
        };
        for violation in changed.into_iter().chain(unusable) {
            self.violation(violation);
        }
        self.acknowledge(key, request.cseq, Some(request));
        let Some(call) = self.call_mut(key) else { return };
        if call.is_over() {
            return;
        }
        call.record.holding = hold;
        self.take_description(key, message.body, false);
        let state = self.call_mut(key).map_or(CallState::Talking, |call| call.up_state());
        self.change_state(now_us, key, state);
    }

    /// Ends the running call, in whatever state it is.
    pub(crate) fn hang_up(&mut self, now_us: u64) {
        let Some(key) = self.live_call() else { return };
        let Some(call) = self.call_mut(key) else { return };
        match (call.record.state, call.record.outgoing) {
            (CallState::Talking | CallState::Held, _) if call.accepted.is_some() => {
                // The one who answered must not send BYE before the ACK came (RFC 3261 section 15).
                call.hang_up_on_ack = true;
            }
            (CallState::Talking | CallState::Held, _) => self.send_bye(now_us, key, EndReason::HungUp),
            (_, true) => self.cancel(now_us),
            (_, false) => self.decline(now_us, key, 603),
        }
    }

    /// Sends BYE; for this phone's user the call is over at once.
    pub(crate) fn send_bye(&mut self, now_us: u64, key: CallKey, reason: EndReason) {
        let Some(call) = self.call_mut(key) else { return };
        call.local_cseq += 1;
        call.accepted = None;
        let Some(call) = self.calls.iter().find(|call| call.key() == key) else { return };
        let request = self.dialog_request(call, Method::Bye, None);
        let to = call.destination(self.config.server);
        self.send_request(now_us, request, to, Purpose::Bye(key));
        self.end_call(now_us, key, reason);
    }

    pub(crate) fn bye_finished(&mut self, key: CallKey, status: u16) {
        if let Some(call) = self.call_mut(key) {
            call.record.bye_status = Some(status);
        }
        self.event(PhoneEvent::Final { call: Some(key), method: Method::Bye, status });
    }

    /// Takes the other side's description and says whether it was usable; `offer` when it is not an answer.
    pub(crate) fn take_description(&mut self, key: CallKey, body: &str, offer: bool) -> bool {
        let description = match Description::parse(body) {
            Ok(description) => description,
            Err(reason) => {
                self.violation(Violation::SdpUnusable { reason });
                return false;
            }
        };
        let Some(call) = self.call_mut(key) else { return false };
        let wrong_version = call.description.as_ref().is_some_and(|old| {
            let changed = old.address != description.address || old.direction != description.direction;
            old.session != description.session
                || description.version < old.version
                || (description.version == old.version && changed)
        });
        // An answer to `sendonly` cannot say more than `recvonly`: it tells nothing about a hold by the other side.
        if offer || !call.record.holding {
            call.record.held_by_peer = !description.direction.receives();
        }
        set_media(call, &description);
        call.description = Some(description);
        if wrong_version {
            self.violation(Violation::SdpVersion);
        }
        true
    }
}

/// What the other side's description means for this phone. A phone that holds sends no music of its own.
pub(crate) fn set_media(call: &mut Call, description: &Description) {
    let holding = call.record.holding;
    call.record.media = Some(Media {
        peer: description.address,
        send: description.direction.receives() && !holding,
        receive: description.direction.sends() && !holding,
    });
}

/// This phone's direction in an answer to the offer that the call has, or in an offer when there is none yet.
pub(crate) fn answer_direction(call: &Call) -> Direction {
    let holding = call.record.holding;
    call.description.as_ref().map_or(Direction::SendReceive, |offer| {
        Direction::new(offer.direction.receives(), offer.direction.sends() && !holding)
    })
}
