//! Requests inside a call: ACK, CANCEL, BYE, re-INVITE, and those that are answered but change nothing.

use std::net::SocketAddr;

use media::sdp::Description;
use sip::transaction::InviteServerState;
use sip::{Fields, Method, Request};

use super::begin::cause;
use super::leg::{Leg, LegState, sends};
use super::step::Step;
use super::{Call, Progress, Side};

/// The methods that we answer, for the Allow header.
pub const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS";

impl Call {
    /// A request that belongs to this call, from `source`.
    pub fn request(&mut self, step: &mut Step<'_>, side: Side, request: &Request, source: SocketAddr) {
        if self.repeated(step, side, request) {
            return;
        }
        match request.method {
            Method::Ack => self.acked(step, side, request),
            Method::Cancel => self.cancelled(step, side, request, source),
            _ => self.in_dialog(step, side, request, source),
        }
    }

    /// Answers a retransmission from its transaction; true when it was one.
    fn repeated(&mut self, step: &mut Step<'_>, side: Side, request: &Request) -> bool {
        let Some(leg) = self.leg_mut(side) else { return true };
        let key = sip::server_key(request);
        let mut said = Vec::new();
        match request.method {
            Method::Ack | Method::Cancel => return false,
            Method::Invite => match leg.invites_received.iter_mut().find(|invite| invite.key == key) {
                Some(invite) => invite.server.retransmitted(step.now, &mut said),
                None => return false,
            },
            _ => match leg.requests_received.iter_mut().find(|known| known.key == key) {
                Some(known) => known.server.retransmitted(step.now, &mut said),
                None => return false,
            },
        }
        sends(said, step);
        true
    }

    fn acked(&mut self, step: &mut Step<'_>, side: Side, request: &Request) {
        let Some(leg) = self.leg_mut(side) else { return };
        // The ACK of a 2xx has a transaction of its own and is known by its CSeq (RFC 3261 13.2.2.4).
        let cseq = request.cseq().number;
        let Some(invite) = leg.invites_received.iter_mut().rfind(|invite| invite.cseq == cseq) else { return };
        let mut said = Vec::new();
        invite.server.acked(step.now, &mut said);
        sends(said, step);
        leg.invites_received.retain(|invite| !invite.server.is_terminated());
        leg.close(step);
        leg.left |= leg.state == LegState::Ended;
        // The answer to an offer of ours, made in a 2xx, comes with the ACK (RFC 3261 13.2.1).
        if leg.state == LegState::Answered
            && let Ok(answer) = Description::parse(&request.body)
        {
            leg.take_remote(&answer, &request.body);
            self.mind_holds();
        }
    }

    /// CANCEL: 200 to itself, 487 to the INVITE that it names; too late after a final response (RFC 3261 9.2).
    fn cancelled(&mut self, step: &mut Step<'_>, side: Side, request: &Request, source: SocketAddr) {
        let Some(leg) = self.leg_mut(side) else { return };
        let response = request.respond(200, sip::reason_phrase(200), Some(&leg.local_tag));
        let destination = sip::response_destination(request, source);
        step.send(leg.local, destination, response.to_bytes());
        let pending = matches!(leg.state, LegState::Trying | LegState::Ringing);
        if side == Side::Caller && pending {
            leg.state = LegState::Ended;
            leg.left = true;
            leg.respond_invite(step, 487, None);
            self.end(step, cause::NORMAL_CLEARING);
        }
    }

    fn in_dialog(&mut self, step: &mut Step<'_>, side: Side, request: &Request, source: SocketAddr) {
        let Some(leg) = self.leg_mut(side) else { return };
        // Only the caller may end an early dialog with BYE (RFC 3261 15).
        let early_bye = request.method == Method::Bye && leg.state == LegState::Ringing && side == Side::Caller;
        let closing_bye = request.method == Method::Bye && leg.state == LegState::Closing;
        let live = leg.state == LegState::Answered || early_bye || closing_bye;
        let status = match leg.dialog.as_mut() {
            Some(dialog) if live => dialog.accept(request).err().map(|_| 500),
            _ => Some(481),
        };
        if let Some(status) = status {
            leg.refuse(step, request, source, status);
            return;
        }
        // The phone may have moved, or its NAT may have given it another port.
        leg.remote = source;
        match request.method {
            Method::Bye => self.bye(step, side, request, source),
            Method::Invite => self.reinvite(step, side, request, source),
            Method::Options => leg.refuse(step, request, source, 200),
            _ => leg.refuse(step, request, source, 405),
        }
    }

    fn bye(&mut self, step: &mut Step<'_>, side: Side, request: &Request, source: SocketAddr) {
        let Some(leg) = self.leg_mut(side) else { return };
        let early = leg.state == LegState::Ringing;
        leg.refuse(step, request, source, 200);
        if early {
            leg.hang_up(step, 487);
        }
        self.gone(step, side, true);
    }

    /// The phone is not in the call any more: it has said so, or has said nothing for too long.
    pub(super) fn gone(&mut self, step: &mut Step<'_>, side: Side, has_said_so: bool) {
        let Some(leg) = self.leg_mut(side) else { return };
        leg.state = LegState::Ended;
        leg.left |= has_said_so;
        let ends = match (side, &self.progress) {
            (Side::Caller, _) => true,
            (Side::Callee(index), Progress::Bridged { callee }) => usize::from(*callee) == index,
            (Side::Callee(_), _) => false,
        };
        if ends {
            self.end(step, cause::NORMAL_CLEARING);
        }
    }

    /// Hold, resume, or a new media address: answered by us, with the codecs that the call already has, so that the
    /// other side need not be asked (RFC 3261 14.2, RFC 3264 8).
    fn reinvite(&mut self, step: &mut Step<'_>, side: Side, request: &Request, source: SocketAddr) {
        let codecs = self.codecs_for(side);
        let Some(leg) = self.leg_mut(side) else { return };
        if leg.invites_received.last().is_some_and(|invite| invite.server.state() == InviteServerState::Proceeding) {
            leg.refuse(step, request, source, 491);
            return;
        }
        leg.confirm_answers(step);
        leg.receive_invite(step, request, source);
        let sdp = if request.body.is_empty() {
            Ok(leg.own_offer(step))
        } else {
            leg.answer_offer(step, &request.body, &codecs)
        };
        match sdp {
            Ok(sdp) => leg.respond_invite(step, 200, Some(&sdp)),
            Err(_) => leg.respond_invite(step, 488, None),
        }
        self.mind_holds();
    }
}

impl Leg {
    /// A phone sends no further INVITE before it has the final response to the one before (RFC 3261 14.1): it is as
    /// good as its ACK, which may be lost, and which some phones have forgotten by now.
    fn confirm_answers(&mut self, step: &mut Step<'_>) {
        let mut said = Vec::new();
        for invite in self.invites_received.iter_mut().filter(|invite| invite.server.awaits_ack_of_success()) {
            invite.server.acked(step.now, &mut said);
        }
        sends(said, step);
    }

    /// Answers a request without a body, and remembers the answer for its retransmissions.
    fn refuse(&mut self, step: &mut Step<'_>, request: &Request, source: SocketAddr, status: u16) {
        let mut response = request.respond(status, sip::reason_phrase(status), Some(&self.local_tag));
        if matches!(status, 200 | 405) {
            response.headers.push("Allow", ALLOW);
        }
        if request.method == Method::Invite {
            // Its ACK ends the retransmissions; a lost response is asked for again by the INVITE itself.
            step.send(self.local, sip::response_destination(request, source), response.to_bytes());
        } else {
            self.respond_request(step, request, source, &response);
        }
    }
}
