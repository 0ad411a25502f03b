//! The beginning of a call, and the dialplan's applications.

use std::net::SocketAddr;

use base::ClusterTime;
use sip::dialog::Dialog;
use sip::transaction::InviteServer;
use sip::{Fields, Request};

use super::leg::{InviteReceived, Leg, LegState, TRANSACTIONS_MAX};
use super::step::{Output, Step};
use super::{Call, CallNumber, Progress};
use crate::configuration::{Endpoint, Technology};
use crate::dialplan::{Application, Caller, Execution, Step as PlanStep};
use crate::record::{Disposition, Moment, Record};
use crate::registrar::Arrival;

/// Q.850 causes, by the names that Asterisk gives them.
pub mod cause {
    pub const NORMAL_CLEARING: u8 = 16;
    pub const USER_BUSY: u8 = 17;
    pub const NO_USER_RESPONSE: u8 = 18;
    pub const NO_ANSWER: u8 = 19;
    pub const SUBSCRIBER_ABSENT: u8 = 20;
    pub const CALL_REJECTED: u8 = 21;
    pub const CONGESTION: u8 = 34;
    pub const UNALLOCATED: u8 = 1;
    pub const INTERWORKING: u8 = 127;
}

/// Begins a call for an INVITE that was authenticated and whose number the dialplan knows.
pub fn open(
    step: &mut Step<'_>,
    arrival: &Arrival<'_>,
    endpoint: &Endpoint,
    caller: &Caller,
    number: CallNumber,
    execution: Execution,
) -> Call {
    let request = arrival.request;
    let tag = step.random.hex::<8>();
    let mut leg = Leg::new(&endpoint.name, request.call_id(), &tag, arrival.local, arrival.source);
    leg.dialog = Dialog::uas(request, &tag).ok();
    leg.remote_sdp = request.body.clone();
    leg.receive_invite(step, request, arrival.source);
    leg.respond_invite(step, 100, None);
    let dialled = request.uri.user.clone().unwrap_or_default();
    let record = Record {
        identity: step.random.hex::<16>(),
        caller_id: format!("\"{}\" <{}>", caller.name, caller.number),
        source: caller.number.clone(),
        destination: dialled,
        context: endpoint.context.clone(),
        channel: channel_name(endpoint, number),
        started: Moment { wall: step.wall, cluster: step.now },
        account_code: endpoint.account_code.clone(),
        unique_id: format!("{}.{}", step.wall.as_millis() / 1000, number.0),
        ..Record::default()
    };
    let mut call = Call {
        number,
        caller: leg,
        callees: Vec::new(),
        execution,
        progress: Progress::Running,
        record,
        cause: cause::NORMAL_CLEARING,
        heard: step.now,
    };
    call.advance(step);
    call
}

/// Asterisk's form of a channel's name: technology, endpoint, a number that makes it unique.
pub fn channel_name(endpoint: &Endpoint, number: CallNumber) -> String {
    let technology = match endpoint.technology {
        Technology::Sip => "SIP",
        Technology::PjSip => "PJSIP",
    };
    format!("{technology}/{}-{:08x}", endpoint.name, number.0)
}

impl Leg {
    /// Starts the server transaction of an INVITE on this leg, first or later.
    pub fn receive_invite(&mut self, step: &mut Step<'_>, request: &Request, source: SocketAddr) {
        let mut bare = request.clone();
        bare.body.clear();
        bare.headers.remove("Content-Type");
        bare.headers.remove("Authorization");
        if self.invites_received.len() >= TRANSACTIONS_MAX {
            self.invites_received.remove(0);
        }
        self.invites_received.push(InviteReceived {
            server: InviteServer::receive(request, self.local, source, step.now),
            request: bare.to_bytes(),
            key: sip::server_key(request),
            cseq: request.cseq().number,
        });
    }
}

impl Call {
    /// Runs the dialplan until an application takes time or the call has ended.
    pub fn advance(&mut self, step: &mut Step<'_>) {
        self.progress = Progress::Running;
        while self.progress == Progress::Running {
            match step.configuration.dialplan.next(&mut self.execution) {
                PlanStep::Run(application) => self.run(step, application),
                PlanStep::End => self.end(step, self.cause),
                PlanStep::Failed { reason, file, line } => {
                    step.out.push(Output::Trouble(format!("call {}: {file}:{line}: {reason}", self.number.0)));
                    self.end(step, cause::INTERWORKING);
                }
            }
        }
    }

    fn run(&mut self, step: &mut Step<'_>, application: Application) {
        self.record.last_application = self.execution.last_application.clone();
        self.record.last_data = self.execution.last_data.clone();
        match application {
            Application::Dial { targets, timeout, .. } => self.dial(step, &targets, timeout),
            Application::Hangup { cause } => self.end(step, cause.unwrap_or(self.cause)),
            Application::Answer { delay } => {
                self.answer_locally(step);
                if !delay.is_zero() {
                    self.wait_until(step.now + delay);
                }
            }
            Application::Echo => self.echo(step),
            Application::Wait(duration) => self.wait_until(step.now + duration),
            Application::NoOp(_) => {}
            Application::Busy { timeout } => {
                self.cause = cause::USER_BUSY;
                self.indicate(step, timeout);
            }
            Application::Congestion { timeout } => {
                self.cause = cause::CONGESTION;
                self.indicate(step, timeout);
            }
            // Asterisk hangs up when it meets an application it does not know.
            Application::Unknown { .. } => self.end(step, cause::INTERWORKING),
        }
    }

    fn wait_until(&mut self, until: ClusterTime) {
        if !self.is_ended() {
            self.progress = Progress::Waiting { until };
        }
    }

    /// Busy() and Congestion(): before an answer the response says it all and the call ends; after one the caller
    /// hears it until the time is up.
    fn indicate(&mut self, step: &mut Step<'_>, timeout: Option<std::time::Duration>) {
        if self.caller.state == LegState::Answered {
            self.progress = Progress::Indicating { until: timeout.map(|timeout| step.now + timeout) };
        } else {
            self.end(step, self.cause);
        }
    }

    /// Ends the call: both sides are told, the media stops, the record is complete.
    pub fn end(&mut self, step: &mut Step<'_>, cause: u8) {
        if self.is_ended() {
            return;
        }
        self.cause = cause;
        self.hang_up(step);
        self.record.ended = Some(self.record.moment(step.now));
        self.record.disposition = self.disposition();
        self.record.ended_by_phone = step.by_phone;
        step.out.push(Output::Record(Box::new(self.record.clone())));
    }

    /// Tells every phone that is still in it that the call is over, for the cause that it has.
    pub(super) fn hang_up(&mut self, step: &mut Step<'_>) {
        self.caller.hang_up(step, status_of(self.cause));
        for callee in &mut self.callees {
            callee.hang_up(step, 487);
        }
        self.progress = Progress::Ended { at: step.now };
    }

    fn disposition(&self) -> Disposition {
        if self.is_answered() {
            return Disposition::Answered;
        }
        match self.cause {
            cause::USER_BUSY => Disposition::Busy,
            cause::CONGESTION => Disposition::Congestion,
            cause::INTERWORKING | cause::UNALLOCATED => Disposition::Failed,
            _ => Disposition::NoAnswer,
        }
    }
}

/// The final response that tells a caller this cause (the mapping that Asterisk's chan_sip uses).
fn status_of(cause: u8) -> u16 {
    match cause {
        cause::UNALLOCATED => 404,
        cause::USER_BUSY => 486,
        cause::NO_USER_RESPONSE => 408,
        cause::NO_ANSWER | cause::SUBSCRIBER_ABSENT => 480,
        cause::CALL_REJECTED => 403,
        cause::CONGESTION => 503,
        cause::INTERWORKING => 500,
        _ => 603,
    }
}
