//! The phone itself: its parts, its inputs and outputs, its timers.

use std::net::SocketAddr;

use crate::call::Call;
use crate::client::ClientTransaction;
use crate::config::{PhoneCommand, PhoneConfig, PhoneInput, PhoneOutput};
use crate::digest::Challenge;
use crate::message::{Message, Start};
use crate::random::Random;
use crate::record::{CallKey, CallRecord, CallState, EndReason, Media, PhoneCounters, PhoneEvent, Violation};
use crate::registration::Registration;
use crate::server::ServerTransaction;

/// RFC 3261 section 17.1.1.1, in microseconds.
pub(crate) const T1_US: u64 = 500_000;
pub(crate) const T2_US: u64 = 4_000_000;
/// Timers B, F, H and J, and how long a 2xx is sent again.
pub(crate) const GIVE_UP_US: u64 = 64 * T1_US;

/// How long an ended call is remembered: every retransmission of it and of its BYE has ended by then, so that what
/// comes later for its dialog is a violation and not a straggler.
const REMEMBER_US: u64 = 3 * GIVE_UP_US;

#[derive(Clone, Debug)]
pub struct Phone {
    pub(crate) config: PhoneConfig,
    pub(crate) random: Random,
    pub(crate) contact: String,
    pub(crate) calls: Vec<Call>,
    pub(crate) calls_begun: u64,
    pub(crate) clients: Vec<ClientTransaction>,
    pub(crate) servers: Vec<ServerTransaction>,
    pub(crate) registration: Registration,
    pub(crate) challenge: Option<Challenge>,
    pub(crate) counters: PhoneCounters,
    violations: Vec<Violation>,
    outputs: Vec<PhoneOutput>,
}

impl Phone {
    pub fn new(config: PhoneConfig) -> Self {
        let mut random = Random::new(config.seed);
        // Many phones add a parameter of their own and expect it back in the Request-URI.
        let contact = format!("sip:{}@{};line={}", config.user, config.address, random.token());
        let registration = Registration::new(&mut random, &config);
        Self {
            config,
            random,
            contact,
            calls: Vec::new(),
            calls_begun: 0,
            clients: Vec::new(),
            servers: Vec::new(),
            registration,
            challenge: None,
            counters: PhoneCounters::default(),
            violations: Vec::new(),
            outputs: Vec::new(),
        }
    }

    /// Takes one input at `now_us`, microseconds of any clock that does not run backwards. Whatever follows from it is
    /// in [`Self::drain_outputs`] afterwards.
    pub fn handle(&mut self, now_us: u64, input: PhoneInput<'_>) {
        match input {
            PhoneInput::Datagram { source, bytes } => self.datagram(now_us, source, bytes),
            PhoneInput::Timeout => {}
            PhoneInput::Command(command) => self.command(now_us, command),
        }
        self.timeouts(now_us);
    }

    /// What the phone says, in order, since the last call of this.
    pub fn drain_outputs(&mut self) -> std::vec::Drain<'_, PhoneOutput> {
        self.outputs.drain(..)
    }

    /// When [`PhoneInput::Timeout`] is due, in microseconds of the clock given to [`Self::handle`].
    pub fn next_timeout(&self) -> Option<u64> {
        let clients = self.clients.iter().map(ClientTransaction::next_timeout);
        let servers = self.servers.iter().map(ServerTransaction::next_timeout);
        let calls = self.calls.iter().filter_map(Call::next_timeout);
        clients.chain(servers).chain(calls).chain(self.registration.next_at).min()
    }

    pub fn config(&self) -> &PhoneConfig {
        &self.config
    }

    /// The running call, or the last one until it is forgotten, 96 s after its end.
    pub fn call(&self) -> Option<&CallRecord> {
        self.calls.last().map(|call| &call.record)
    }

    /// All calls not forgotten yet, oldest first. At most the last one is not over.
    pub fn calls(&self) -> impl Iterator<Item = &CallRecord> {
        self.calls.iter().map(|call| &call.record)
    }

    pub fn state(&self) -> CallState {
        self.call().map_or(CallState::Idle, |call| call.state)
    }

    /// Audio of the running call.
    pub fn media(&self) -> Option<Media> {
        self.call().filter(|call| !call.state.is_over()).and_then(|call| call.media)
    }

    /// The remote RTP address of the running call.
    pub fn media_peer(&self) -> Option<SocketAddr> {
        self.media().map(|media| media.peer)
    }

    /// The server has granted this phone's registration, and it was not removed or lost since.
    pub fn is_registered(&self) -> bool {
        self.registration.registered
    }

    pub fn counters(&self) -> PhoneCounters {
        self.counters
    }

    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    pub(crate) fn violation(&mut self, violation: Violation) {
        self.violations.push(violation.clone());
        self.event(PhoneEvent::Violation(violation));
    }

    pub(crate) fn event(&mut self, event: PhoneEvent) {
        self.outputs.push(PhoneOutput::Event(event));
    }

    pub(crate) fn send(&mut self, to: SocketAddr, bytes: Vec<u8>) {
        self.outputs.push(PhoneOutput::Send { to, bytes });
    }

    pub(crate) fn call_mut(&mut self, key: CallKey) -> Option<&mut Call> {
        self.calls.iter_mut().find(|call| call.key() == key)
    }

    /// The key of the call that is not over.
    pub(crate) fn live_call(&self) -> Option<CallKey> {
        self.calls.last().filter(|call| !call.is_over()).map(Call::key)
    }

    pub(crate) fn change_state(&mut self, now_us: u64, key: CallKey, state: CallState) {
        let Some(call) = self.call_mut(key) else { return };
        if call.record.state == state || call.is_over() {
            return;
        }
        call.record.state = state;
        match state {
            CallState::Ringing => call.record.ringing_us = Some(now_us),
            CallState::Talking | CallState::Held if call.record.answered_us.is_none() => {
                call.record.answered_us = Some(now_us);
            }
            CallState::Ended { .. } => {
                call.record.ended_us = Some(now_us);
                call.forget_at = Some(now_us + REMEMBER_US);
                (call.answer_at, call.reinvite, call.reinvite_again) = (None, None, None);
            }
            _ => {}
        }
        self.event(PhoneEvent::State { call: key, state });
    }

    pub(crate) fn end_call(&mut self, now_us: u64, key: CallKey, reason: EndReason) {
        self.change_state(now_us, key, CallState::Ended { reason });
    }

    fn datagram(&mut self, now_us: u64, source: SocketAddr, bytes: &[u8]) {
        // Keep-alives of two line ends or of zeros are no messages (RFC 5626 section 3.5.1).
        if bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return;
        }
        if source != self.config.server {
            self.violation(Violation::ForeignSource { source });
        }
        match Message::parse(bytes) {
            Err(reason) => self.violation(Violation::Malformed { reason }),
            Ok(message) => match message.start {
                Start::Request { method, uri } => self.on_request(now_us, source, method, uri, &message),
                Start::Response { status } => self.on_response(now_us, status, &message),
            },
        }
    }

    fn command(&mut self, now_us: u64, command: PhoneCommand) {
        match command {
            PhoneCommand::Register => self.register(now_us),
            PhoneCommand::Unregister => self.unregister(now_us),
            PhoneCommand::Call { number } => self.make_call(now_us, number),
            PhoneCommand::Hold => self.change_hold(now_us, true),
            PhoneCommand::Resume => self.change_hold(now_us, false),
            PhoneCommand::HangUp => self.hang_up(now_us),
            PhoneCommand::Cancel => self.cancel(now_us),
            PhoneCommand::Answer => self.answer(now_us),
        }
    }

    fn timeouts(&mut self, now_us: u64) {
        if self.next_timeout().is_none_or(|at| at > now_us) {
            return;
        }
        self.client_timeouts(now_us);
        self.server_timeouts(now_us);
        self.call_timeouts(now_us);
        if self.registration.next_at.is_some_and(|at| at <= now_us) {
            self.register(now_us);
        }
        self.calls.retain(|call| call.forget_at.is_none_or(|at| at > now_us));
    }
}

#[cfg(test)]
mod tests;
