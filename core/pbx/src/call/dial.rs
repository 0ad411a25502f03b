//! Dial(): rings the contacts of its targets, and takes what they answer.

use std::net::SocketAddr;
use std::time::Duration;

use sip::dialog::Dialog;
use sip::transaction::{InviteClient, NonInviteClient, Output as Said};
use sip::{Fields, Headers, Method, NameAddr, Request, Response, Uri};

use super::begin::{cause, channel_name};
use super::leg::{Leg, LegState, new_via, sends};
use super::media::Offered;
use super::step::{Output, Step};
use super::{CALLEES_MAX, Call, Progress, Side};
use crate::configuration::{Address, Endpoint};
use crate::dialplan::Target;
use crate::registrar::Binding;

/// Hops that a request of ours may take (RFC 3261 8.1.1.6).
const MAX_FORWARDS: u32 = 70;

/// The outcome of Dial(), as the dialplan reads it in `${DIALSTATUS}`; the greater one tells the caller more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum DialStatus {
    ChannelUnavailable,
    Congestion,
    NoAnswer,
    Busy,
}

impl DialStatus {
    fn name(self) -> &'static str {
        match self {
            Self::ChannelUnavailable => "CHANUNAVAIL",
            Self::Congestion => "CONGESTION",
            Self::NoAnswer => "NOANSWER",
            Self::Busy => "BUSY",
        }
    }

    fn cause(self) -> u8 {
        match self {
            Self::ChannelUnavailable => cause::SUBSCRIBER_ABSENT,
            Self::Congestion => cause::CONGESTION,
            Self::NoAnswer => cause::NO_ANSWER,
            Self::Busy => cause::USER_BUSY,
        }
    }

    /// What a callee's final response means.
    fn of(status: u16) -> Self {
        match status {
            486 | 600 | 603 => Self::Busy,
            408 | 480 | 487 => Self::NoAnswer,
            404 | 410 | 604 => Self::ChannelUnavailable,
            _ => Self::Congestion,
        }
    }
}

impl Call {
    pub(super) fn dial(&mut self, step: &mut Step<'_>, targets: &[Target], timeout: Option<Duration>) {
        let before = self.callees.len();
        for target in targets {
            let Some(endpoint) = step.configuration.endpoints.get(&target.endpoint) else { continue };
            for place in places(step, endpoint, target) {
                if self.callees.len() < CALLEES_MAX {
                    self.ring(step, endpoint, &place);
                }
            }
        }
        if self.callees.len() == before {
            self.dial_failed(step, DialStatus::ChannelUnavailable);
        } else {
            self.progress = Progress::Dialing { until: timeout.map(|timeout| step.now + timeout) };
        }
    }

    /// Sends the INVITE of one more leg; a call that finds no free port leaves the contact out.
    fn ring(&mut self, step: &mut Step<'_>, endpoint: &Endpoint, place: &Place) {
        let call_id = format!("{}@{}", step.random.hex::<16>(), place.local.ip());
        let tag = step.random.hex::<8>();
        let mut leg = Leg::new(&endpoint.name, &call_id, &tag, place.local, place.remote);
        match self.offer_to(step, endpoint, &mut leg) {
            Offered::Yes => {}
            Offered::NoPort => {
                step.out.push(Output::Trouble(format!("call {}: every RTP port is in use", self.number.0)));
                return;
            }
            Offered::Unusable => return,
        }
        let request = self.invite(step, &leg, place);
        let mut said = Vec::new();
        leg.invite_sent = Some(InviteClient::start(&request, leg.local, leg.remote, step.now, &mut said));
        sends(said, step);
        if self.record.destination_channel.is_empty() {
            self.record.destination_channel = channel_name(endpoint, self.number);
        }
        self.callees.push(leg);
    }

    fn invite(&self, step: &mut Step<'_>, leg: &Leg, place: &Place) -> Request {
        let number = self.record.source.as_str();
        let mut from = NameAddr::new(Uri::sip(Some(number), &super::leg::host_text(leg.local), None));
        from.display = self.caller_name();
        let from = from.with_tag(&leg.local_tag);
        let mut headers = Headers::default();
        headers.push("Via", new_via(leg.local, step).to_string());
        headers.push("Max-Forwards", MAX_FORWARDS.to_string());
        headers.push("From", from.to_string());
        headers.push("To", format!("<{}>", place.uri));
        headers.push("Call-ID", &leg.call_id);
        headers.push("CSeq", "1 INVITE");
        headers.push(
            "Contact",
            format!("<{}>", Uri::sip(Some(number), &super::leg::host_text(leg.local), Some(leg.local.port()))),
        );
        headers.push("Allow", super::in_dialog::ALLOW);
        headers.push("User-Agent", &step.configuration.general.user_agent);
        headers.push("Content-Type", "application/sdp");
        Request { method: Method::Invite, uri: place.uri.clone(), headers, body: leg.local_sdp.clone() }
    }

    fn caller_name(&self) -> Option<String> {
        let name = self.record.caller_id.split('"').nth(1).unwrap_or_default();
        (!name.is_empty()).then(|| name.to_owned())
    }

    /// A response to the INVITE of a callee's leg.
    pub(super) fn invite_answered(&mut self, step: &mut Step<'_>, index: usize, response: &Response) {
        let Some(leg) = self.callees.get_mut(index) else { return };
        let Some(client) = leg.invite_sent.as_mut() else { return };
        let mut said = Vec::new();
        client.response(response, step.now, &mut said);
        self.take_client_output(step, index, said);
    }

    /// What the INVITE client transaction of a callee's leg says.
    pub(super) fn take_client_output(&mut self, step: &mut Step<'_>, index: usize, said: Vec<Said>) {
        for output in sends(said, step) {
            match output {
                Said::Response(response) if response.status < 200 => self.progressing(step, index, &response),
                Said::Response(response) if response.status < 300 => self.picked_up(step, index, &response),
                Said::Response(response) => {
                    self.callees.iter_mut().skip(index).take(1).for_each(|leg| leg.left = true);
                    self.declined(step, index, response.status);
                }
                Said::TimedOut => self.declined(step, index, 408),
                Said::Send(_) | Said::Terminated | Said::Acked => {}
            }
        }
        if let Some(leg) = self.callees.get_mut(index) {
            leg.invite_sent.take_if(|client| client.is_terminated());
        }
    }

    fn progressing(&mut self, step: &mut Step<'_>, index: usize, response: &Response) {
        let Some(leg) = self.callees.get_mut(index) else { return };
        if leg.state == LegState::Cancelling {
            if leg.requests_sent.is_empty() {
                leg.send_cancel(step);
            }
            return;
        }
        if response.status == 100 || leg.state == LegState::Answered {
            return;
        }
        leg.learn_dialog(response);
        leg.state = LegState::Ringing;
        if matches!(self.progress, Progress::Dialing { .. }) {
            self.tell_ringing(step, index, response);
        }
    }

    fn picked_up(&mut self, step: &mut Step<'_>, index: usize, response: &Response) {
        let dialing = matches!(self.progress, Progress::Dialing { .. });
        let Some(leg) = self.callees.get_mut(index) else { return };
        if leg.state == LegState::Answered || leg.state == LegState::Ended {
            leg.acknowledge(step, response);
            return;
        }
        leg.learn_dialog(response);
        let wanted = dialing && leg.state != LegState::Cancelling;
        leg.state = LegState::Answered;
        leg.acknowledge(step, response);
        if wanted {
            self.bridge(step, index, response);
        } else {
            // Somebody else was quicker, or the answer crossed our CANCEL (RFC 3261 9.1).
            leg.send_bye(step);
        }
    }

    fn declined(&mut self, step: &mut Step<'_>, index: usize, status: u16) {
        let Some(leg) = self.callees.get_mut(index) else { return };
        leg.state = LegState::Ended;
        leg.refused = Some(status);
        let dialing = matches!(self.progress, Progress::Dialing { .. });
        let all_over = self.callees.iter().all(|leg| matches!(leg.state, LegState::Ended | LegState::Cancelling));
        if dialing && all_over {
            let refusals = self.callees.iter().filter_map(|leg| leg.refused);
            let status = refusals.map(DialStatus::of).max().unwrap_or(DialStatus::NoAnswer);
            self.dial_failed(step, status);
        }
    }

    /// The time of Dial() is up.
    pub(super) fn dial_timed_out(&mut self, step: &mut Step<'_>) {
        for leg in &mut self.callees {
            leg.hang_up(step, 487);
        }
        self.dial_failed(step, DialStatus::NoAnswer);
    }

    fn dial_failed(&mut self, step: &mut Step<'_>, status: DialStatus) {
        self.cause = status.cause();
        self.execution.waited();
        self.execution.set("DIALSTATUS", status.name());
        self.execution.set("HANGUPCAUSE", &self.cause.to_string());
        // The dialplan may run on from inside itself; its loop looks at the progress.
        match self.progress {
            Progress::Running => {}
            _ => self.advance(step),
        }
    }

    /// Finds a response's callee leg transaction among the requests we sent besides INVITE.
    pub(super) fn request_answered(&mut self, step: &mut Step<'_>, side: Side, response: &Response) {
        let Some(leg) = self.leg_mut(side) else { return };
        let Ok(via) = response.top_via() else { return };
        let branch = via.branch().unwrap_or_default();
        let method = response.cseq().method;
        let ours = |client: &&mut NonInviteClient| client.branch() == branch && client.request().method == method;
        for client in leg.requests_sent.iter_mut().filter(ours) {
            let mut said = Vec::new();
            client.response(response, step.now, &mut said);
            sends(said, step);
            leg.left |= response.status >= 200 && method == Method::Bye;
        }
        leg.requests_sent.retain(|client| !client.is_terminated());
        // Whoever answers a probe so has no such call any more (RFC 3261 12.2.1.2).
        if method == Method::Options && matches!(response.status, 408 | 481) {
            self.gone(step, side, true);
        }
    }
}

impl Leg {
    /// Takes the dialog from a callee's response; the tag that answered last counts until the call is answered.
    fn learn_dialog(&mut self, response: &Response) {
        let Some(request) = self.invite_sent.as_ref().map(InviteClient::request) else { return };
        if response.to().is_ok_and(|to| to.tag().is_some())
            && let Ok(dialog) = Dialog::uac(request, response)
        {
            self.dialog = Some(dialog);
        }
    }
}

/// Where one contact is rung.
struct Place {
    uri: Uri,
    local: SocketAddr,
    remote: SocketAddr,
}

impl Place {
    fn of(binding: &Binding) -> Option<Self> {
        let uri = Uri::parse(&binding.key.contact).ok()?;
        Some(Self { uri, local: binding.local, remote: binding.source })
    }
}

fn places(step: &Step<'_>, endpoint: &Endpoint, target: &Target) -> Vec<Place> {
    let registered = endpoint.aors.iter().flat_map(|aor| step.registrar.contacts(aor, step.now));
    let mut places: Vec<Place> = registered.filter_map(Place::of).collect();
    if let Some(address) = endpoint.address.as_ref().and_then(socket_address) {
        let user = target.number.as_deref().unwrap_or(&endpoint.name);
        let uri = Uri::sip(Some(user), &super::leg::host_text(address), Some(address.port()));
        places.extend(step.transport(address.ip()).map(|local| Place { uri, local, remote: address }));
    }
    places
}

/// The address of an endpoint that never registers. Names are not looked up here: the core knows no resolver.
fn socket_address(address: &Address) -> Option<SocketAddr> {
    Some(SocketAddr::new(address.host.parse().ok()?, address.port.unwrap_or(5060)))
}
