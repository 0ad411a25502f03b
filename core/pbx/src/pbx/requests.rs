//! Requests: who sent them, and which part of the PBX answers.

use std::net::SocketAddr;
use std::time::Duration;

use sip::transaction::Transmit;
use sip::{Fields, Method, Request, Response};

use super::{Now, Output, Pbx};
use crate::authentication::{Proof, user_of};
use crate::call::{self, CallKey};
use crate::configuration::{Endpoint, General, Technology};
use crate::dialplan::Caller;
use crate::object::Key;
use crate::registrar::Arrival;

/// Calls at one time, ended ones that still answer retransmissions included. More are refused with 503.
const CALLS_MAX: usize = 20_000;

/// When somebody whose call was refused for want of room may try again.
const OVERLOAD: Duration = Duration::from_secs(5);

/// The same where an operator lets the calls come to an end: a machine takes a minute to be started again.
const CLOSED: Duration = Duration::from_secs(60);

impl Pbx {
    pub(super) fn request(&mut self, now: Now, local: SocketAddr, source: SocketAddr, request: &Request) {
        if let Some((number, side)) = self.call_of(request) {
            return self.with_call(now, number, |call, step| call.request(step, side, request, source));
        }
        let arrival = Arrival { now: now.cluster, wall: now.wall, local, source, request };
        let in_dialog = request.to().is_ok_and(|to| to.tag().is_some());
        match &request.method {
            Method::Ack => {}
            Method::Register => self.register(&arrival, now),
            Method::Options if !in_dialog => {
                let mut response = self.answer(request, 200);
                response.headers.push("Allow", call::ALLOW);
                response.headers.push("Accept", "application/sdp");
                self.reply(&arrival, &response);
            }
            Method::Invite if !in_dialog => self.invite(&arrival, now),
            Method::Cancel | Method::Bye | Method::Invite if self.is_patient(now) => {}
            Method::Cancel | Method::Bye | Method::Invite => self.refuse(&arrival, 481),
            _ if in_dialog => self.refuse(&arrival, 481),
            _ => {
                let mut response = self.answer(request, 405);
                response.headers.push("Allow", call::ALLOW);
                self.reply(&arrival, &response);
            }
        }
    }

    /// The call that a request belongs to: by its transaction, or by its dialog.
    fn call_of(&self, request: &Request) -> Option<(call::CallNumber, call::Side)> {
        if matches!(request.method, Method::Invite | Method::Ack | Method::Cancel) {
            let key = CallKey::Transaction(sip::server_key(request));
            if let Some(found) = self.keys.get(&key) {
                return Some(*found);
            }
        }
        let to = request.to().ok()?;
        let key = CallKey::Dialog { call_id: request.call_id().to_owned(), local_tag: to.tag()?.to_owned() };
        self.keys.get(&key).copied()
    }

    fn register(&mut self, arrival: &Arrival<'_>, now: Now) {
        let configuration = self.configuration.clone();
        let aor = arrival.request.to().ok().and_then(|to| to.uri.user).unwrap_or_default();
        let endpoint = configuration.endpoint_of_aor(&aor);
        let Some(endpoint) = self.proven(arrival, endpoint, true) else { return };
        let mut changed = Vec::new();
        let tag = self.authenticator.tag(arrival.request);
        let mut response = self.registrar.register(arrival, endpoint, &aor, &tag, &mut changed);
        if !response.headers.values("Server").any(|_| true) {
            response.headers.push("Server", &configuration.general.user_agent);
        }
        for key in changed {
            self.watch_contact(now, &key);
            self.changed.insert(Key::Binding(key));
        }
        self.reply(arrival, &response);
    }

    /// Lets a request pass that proves to be its endpoint's; answers it otherwise.
    fn proven<'e>(
        &mut self,
        arrival: &Arrival<'_>,
        endpoint: Option<&'e Endpoint>,
        always: bool,
    ) -> Option<&'e Endpoint> {
        let asked = endpoint.filter(|endpoint| always || endpoint.challenge_calls);
        let credentials = match (endpoint, asked) {
            (Some(endpoint), None) => return Some(endpoint),
            (endpoint, _) => endpoint.and_then(|endpoint| endpoint.credentials.as_ref()),
        };
        let proof = match credentials {
            Some(credentials) => self.authenticator.check(arrival.request, credentials, arrival.now),
            // An endpoint of the files that needs no proof.
            None if endpoint.is_some() => return endpoint,
            // A stranger who tries a password is told no more than one who guessed wrong.
            None if arrival.request.headers.value("Authorization").is_some() => Proof::Wrong,
            None => Proof::Missing { stale: false },
        };
        match proof {
            Proof::Valid => return endpoint,
            Proof::Wrong => self.refuse(arrival, 403),
            Proof::Missing { stale } => {
                let general = &self.configuration.general;
                let response = self.authenticator.challenge(arrival.request, endpoint, general, stale, arrival.now);
                self.reply(arrival, &response);
            }
        }
        None
    }

    fn invite(&mut self, arrival: &Arrival<'_>, now: Now) {
        let configuration = self.configuration.clone();
        let user = user_of(arrival.request).unwrap_or_default();
        let by_name = configuration.endpoints.get(&user).filter(|endpoint| endpoint.identify_by_name);
        let known = by_name.or_else(|| configuration.endpoint_of_address(arrival.source.ip()));
        if known.is_none() && configuration.general.guests {
            return self.guest(arrival, now);
        }
        let Some(endpoint) = self.proven(arrival, known, false) else { return };
        let context = endpoint.context.clone();
        self.begin(arrival, now, endpoint, &context);
    }

    /// A caller that is nobody's endpoint, where the files let such in on purpose.
    fn guest(&mut self, arrival: &Arrival<'_>, now: Now) {
        let configuration = self.configuration.clone();
        let endpoint = guest_endpoint(&configuration.general);
        self.begin(arrival, now, &endpoint, &configuration.general.default_context);
    }

    fn begin(&mut self, arrival: &Arrival<'_>, now: Now, endpoint: &Endpoint, context: &str) {
        let configuration = self.configuration.clone();
        if self.calls.len() >= CALLS_MAX {
            return self.refuse_for(arrival, OVERLOAD);
        }
        if self.closed {
            return self.refuse_for(arrival, CLOSED);
        }
        let busy = self.calls.values().filter(|call| !call.is_ended() && call.caller.endpoint == endpoint.name);
        if endpoint.max_calls.is_some_and(|max| busy.count() as u32 >= max) {
            return self.refuse(arrival, 486);
        }
        let caller = caller_of(arrival.request, endpoint);
        let number = arrival.request.uri.user.clone().unwrap_or_default();
        let Some(execution) = configuration.dialplan.start(context, &number, &caller) else {
            return self.refuse(arrival, 404);
        };
        let call_number = self.last_number.next(self.settings.index);
        self.step(now, |step| call::open(step, arrival, endpoint, &caller, call_number, execution));
    }

    fn answer(&self, request: &Request, status: u16) -> Response {
        request.respond(status, sip::reason_phrase(status), Some(&self.authenticator.tag(request)))
    }

    fn refuse(&mut self, arrival: &Arrival<'_>, status: u16) {
        let response = self.answer(arrival.request, status);
        self.reply(arrival, &response);
    }

    /// Not now, but perhaps after so long (RFC 3261 20.33, 21.5.4).
    fn refuse_for(&mut self, arrival: &Arrival<'_>, after: Duration) {
        let mut response = self.answer(arrival.request, 503);
        response.headers.push("Retry-After", after.as_secs().to_string());
        self.reply(arrival, &response);
    }

    fn reply(&mut self, arrival: &Arrival<'_>, response: &Response) {
        let destination = sip::response_destination(arrival.request, arrival.source);
        let bytes = response.to_bytes();
        self.outputs.push(Output::Send(Transmit { local: arrival.local, destination, bytes }));
    }
}

/// What the dialplan and the callee are told of who calls: the files' word counts more than the phone's.
fn caller_of(request: &Request, endpoint: &Endpoint) -> Caller {
    let from = request.from().ok();
    let said = Caller {
        name: from.as_ref().and_then(|from| from.display.clone()).unwrap_or_default(),
        number: from.and_then(|from| from.uri.user).unwrap_or_else(|| endpoint.name.clone()),
    };
    match &endpoint.caller_id {
        Some(caller_id) => Caller {
            name: if caller_id.name.is_empty() { said.name } else { caller_id.name.clone() },
            number: if caller_id.number.is_empty() { said.number } else { caller_id.number.clone() },
        },
        None => said,
    }
}

/// What a caller that is nobody's endpoint is treated as.
fn guest_endpoint(general: &General) -> Endpoint {
    Endpoint {
        name: "guest".to_owned(),
        technology: Technology::Sip,
        context: general.default_context.clone(),
        caller_id: None,
        credentials: None,
        challenge_calls: false,
        aors: Vec::new(),
        max_contacts: 0,
        remove_existing: false,
        registration: general.registration,
        codecs: Vec::new(),
        force_rport: true,
        rewrite_contact: true,
        symmetric_media: true,
        qualify: None,
        address: None,
        direct_media: false,
        max_calls: None,
        account_code: None,
        identify_by_address: Vec::new(),
        identify_by_name: false,
    }
}
