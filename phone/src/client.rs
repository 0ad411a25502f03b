//! Requests of this phone: writing them, client transactions (RFC 3261 section 17.1), answering challenges.

use std::net::SocketAddr;

use crate::digest::Challenge;
use crate::message::Message;
use crate::phone::{GIVE_UP_US, Phone, T1_US, T2_US};
use crate::record::{CallKey, Method, Violation};

/// How often one request may be challenged: once without credentials, once for an old nonce, once more. Then the
/// challenge is its final status.
const CHALLENGES_MAX: u8 = 3;

#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) uri: String,
    /// Values of the Route headers.
    pub(crate) route: Vec<String>,
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) call_id: String,
    pub(crate) cseq: u32,
    pub(crate) contact: bool,
    pub(crate) expires_s: Option<u32>,
    pub(crate) body: Option<String>,
    /// A whole header line.
    pub(crate) authorization: Option<String>,
}

impl Request {
    /// The same request's ACK or CANCEL (RFC 3261 sections 9.1 and 17.1.1.3), which shares its branch.
    pub(crate) fn companion(&self, method: Method, to: &str) -> Self {
        Self { method, to: to.to_owned(), contact: false, expires_s: None, body: None, ..self.clone() }
    }

    pub(crate) fn write(&self, branch: &str, address: SocketAddr, contact: &str) -> Vec<u8> {
        let mut text = String::with_capacity(768);
        let Self { method, uri, from, to, call_id, cseq, .. } = self;
        text.push_str(&format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {address};branch={branch};rport\r\nMax-Forwards: 70\r\n\
             From: {from}\r\nTo: {to}\r\nCall-ID: {call_id}\r\nCSeq: {cseq} {method}\r\n"
        ));
        for route in &self.route {
            text.push_str(&format!("Route: {route}\r\n"));
        }
        if self.contact {
            text.push_str(&format!("Contact: <{contact}>\r\n"));
        }
        if let Some(expires_s) = self.expires_s {
            text.push_str(&format!("Expires: {expires_s}\r\n"));
        }
        if let Some(line) = &self.authorization {
            text.push_str(line);
            text.push_str("\r\n");
        }
        text.push_str("User-Agent: Tandem test phone\r\n");
        if *method == Method::Invite {
            text.push_str(&format!("Allow: {ALLOW}\r\n"));
        }
        let body = self.body.as_deref().unwrap_or_default();
        if !body.is_empty() {
            text.push_str("Content-Type: application/sdp\r\n");
        }
        text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        text.into_bytes()
    }
}

pub(crate) const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Register,
    Invite(CallKey),
    /// A re-INVITE that holds (true) or resumes (false).
    Reinvite(CallKey, bool),
    Bye(CallKey),
    Cancel(CallKey),
}

impl Purpose {
    const fn call(self) -> Option<CallKey> {
        match self {
            Self::Register => None,
            Self::Invite(key) | Self::Reinvite(key, _) | Self::Bye(key) | Self::Cancel(key) => Some(key),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Trying,
    Proceeding,
    /// An INVITE that failed: the ACK goes out again with each repeated response, until Timer D.
    Completed,
}

#[derive(Clone, Debug)]
pub(crate) struct ClientTransaction {
    branch: String,
    request: Request,
    bytes: Vec<u8>,
    to: SocketAddr,
    purpose: Purpose,
    phase: Phase,
    /// Timers A and E; never in Proceeding of an INVITE.
    resend_at: u64,
    interval_us: u64,
    /// Timers B, D and F.
    deadline: u64,
    challenges: u8,
}

impl ClientTransaction {
    pub(crate) fn next_timeout(&self) -> u64 {
        self.resend_at.min(self.deadline)
    }
}

impl Phone {
    pub(crate) fn new_branch(&mut self) -> String {
        format!("z9hG4bK{}", self.random.token())
    }

    pub(crate) fn send_request(&mut self, now_us: u64, request: Request, to: SocketAddr, purpose: Purpose) {
        self.send_attempt(now_us, request, to, purpose, 0);
    }

    fn send_attempt(&mut self, now_us: u64, mut request: Request, to: SocketAddr, purpose: Purpose, challenges: u8) {
        let branch = self.new_branch();
        let cnonce = self.random.token();
        if let Some(challenge) = &mut self.challenge {
            let (user, password) = (&self.config.user, &self.config.password);
            let line = challenge.answer(user, password, request.method.as_str(), &request.uri, &cnonce);
            request.authorization = Some(line);
        }
        if request.method == Method::Register {
            self.counters.registers_sent += 1;
        }
        self.start_client(now_us, branch, request, to, purpose, challenges);
    }

    fn start_client(
        &mut self,
        now_us: u64,
        branch: String,
        request: Request,
        to: SocketAddr,
        purpose: Purpose,
        challenges: u8,
    ) {
        let bytes = request.write(&branch, self.config.address, &self.contact);
        self.send(to, bytes.clone());
        self.clients.push(ClientTransaction {
            branch,
            request,
            bytes,
            to,
            purpose,
            phase: Phase::Trying,
            resend_at: now_us + T1_US,
            interval_us: T1_US,
            deadline: now_us + GIVE_UP_US,
            challenges,
        });
    }

    /// Sends CANCEL for the call's INVITE, under the same branch. The INVITE is over after 32 s in any case.
    pub(crate) fn send_cancel(&mut self, now_us: u64, key: CallKey) {
        let open = |client: &&mut ClientTransaction| {
            client.purpose == Purpose::Invite(key) && client.phase == Phase::Proceeding
        };
        let Some(invite) = self.clients.iter_mut().find(open) else { return };
        invite.deadline = now_us + GIVE_UP_US;
        let request = invite.request.companion(Method::Cancel, &invite.request.to);
        let (branch, to) = (invite.branch.clone(), invite.to);
        self.start_client(now_us, branch, request, to, Purpose::Cancel(key), CHALLENGES_MAX);
    }

    pub(crate) fn on_response(&mut self, now_us: u64, status: u16, message: &Message<'_>) {
        let (Some(branch), Some((cseq, _))) = (message.branch(), message.cseq()) else { return };
        let method = message.method();
        let found =
            self.clients.iter().position(|client| client.branch == branch && Some(client.request.method) == method);
        let Some(at) = found else {
            if method == Some(Method::Invite) && (200..300).contains(&status) {
                self.repeated_answer(now_us, cseq, message);
            } else {
                self.counters.stray_responses += 1;
            }
            return;
        };
        let Some(client) = self.clients.get_mut(at) else { return };
        let from_tag = crate::message::tag(&client.request.from);
        if client.request.call_id != message.call_id()
            || client.request.cseq != cseq
            || from_tag != message.tag_of_from()
        {
            self.violation(Violation::ResponseMismatch);
            return;
        }
        if status < 200 {
            self.provisional(now_us, at, status, message);
        } else {
            self.final_response(now_us, at, status, message);
        }
    }

    fn provisional(&mut self, now_us: u64, at: usize, status: u16, message: &Message<'_>) {
        let Some(client) = self.clients.get_mut(at) else { return };
        if client.phase == Phase::Completed {
            return;
        }
        let first = client.phase == Phase::Trying;
        client.phase = Phase::Proceeding;
        if client.request.method != Method::Invite {
            client.interval_us = T2_US;
        } else if first {
            // Timers A and B stop with the first provisional response (RFC 3261 section 17.1.1.2).
            (client.resend_at, client.deadline) = (u64::MAX, u64::MAX);
        }
        if let Purpose::Invite(key) = client.purpose {
            self.invite_progress(now_us, key, status, message);
        }
    }

    fn final_response(&mut self, now_us: u64, at: usize, status: u16, message: &Message<'_>) {
        let Some(client) = self.clients.get_mut(at) else { return };
        if client.phase == Phase::Completed {
            let (to, bytes) = (client.to, client.bytes.clone());
            return self.send(to, bytes);
        }
        let (request, purpose, challenges) = (client.request.clone(), client.purpose, client.challenges);
        let to = client.to;
        if request.method == Method::Invite && status >= 300 {
            let acknowledge = request.companion(Method::Ack, message.header("to").unwrap_or_default());
            client.bytes = acknowledge.write(&client.branch, self.config.address, "");
            client.phase = Phase::Completed;
            (client.resend_at, client.deadline) = (u64::MAX, now_us + GIVE_UP_US);
            let bytes = client.bytes.clone();
            self.send(to, bytes);
        } else {
            self.clients.remove(at);
        }
        let challenged = matches!(status, 401 | 407) && self.take_challenge(&request, challenges, message);
        // A call that the user has given up meanwhile needs no second attempt.
        let given_up = purpose.call().and_then(|key| self.call_mut(key)).is_some_and(|call| call.cancel_wanted);
        if challenged && !given_up {
            self.try_again(now_us, request, to, purpose, challenges + 1);
        } else {
            self.finished(now_us, purpose, &request, status, Some(message));
        }
    }

    /// Remembers the server's challenge. False when trying once more would be useless.
    fn take_challenge(&mut self, request: &Request, challenges: u8, message: &Message<'_>) -> bool {
        let own = message.all("www-authenticate").find_map(|value| Challenge::parse(value, false));
        let proxy = || message.all("proxy-authenticate").find_map(|value| Challenge::parse(value, true));
        let Some(challenge) = own.or_else(proxy) else { return false };
        if challenges >= CHALLENGES_MAX {
            return false;
        }
        if request.authorization.is_some() && !challenge.stale {
            if challenges > 0 {
                // The nonce was a fresh one, so it is the password that was refused.
                self.challenge = None;
                self.violation(Violation::PasswordRefused);
                return false;
            }
            self.violation(Violation::NonceForgotten);
        }
        self.challenge = Some(challenge);
        true
    }

    /// Sends a challenged request again under the next CSeq (RFC 3261 section 22.2).
    fn try_again(&mut self, now_us: u64, mut request: Request, to: SocketAddr, purpose: Purpose, challenges: u8) {
        let cseq = match purpose.call() {
            None => Some(self.next_register_cseq()),
            Some(key) => self.call_mut(key).map(|call| {
                call.local_cseq += 1;
                if matches!(purpose, Purpose::Invite(_)) {
                    (call.invite_cseq, call.provisional) = (call.local_cseq, false);
                }
                call.local_cseq
            }),
        };
        if let Some(cseq) = cseq {
            request.cseq = cseq;
            self.send_attempt(now_us, request, to, purpose, challenges);
        }
    }

    /// A transaction is over: `status` is final, 408 without a message when nobody answered in time.
    fn finished(
        &mut self,
        now_us: u64,
        purpose: Purpose,
        request: &Request,
        status: u16,
        message: Option<&Message<'_>>,
    ) {
        match purpose {
            Purpose::Register => self.register_finished(now_us, status, message),
            Purpose::Invite(key) => self.invite_finished(now_us, key, request, status, message),
            Purpose::Reinvite(key, hold) => self.reinvite_finished(now_us, key, hold, request, status, message),
            Purpose::Bye(key) => self.bye_finished(key, status),
            Purpose::Cancel(key) => self.cancel_finished(key, status),
        }
    }

    pub(crate) fn client_timeouts(&mut self, now_us: u64) {
        let mut at = 0;
        while let Some(client) = self.clients.get_mut(at) {
            if client.deadline <= now_us {
                let client = self.clients.remove(at);
                if client.phase != Phase::Completed {
                    self.finished(now_us, client.purpose, &client.request, 408, None);
                }
                continue;
            }
            if client.resend_at <= now_us {
                client.interval_us *= 2;
                if client.request.method != Method::Invite {
                    client.interval_us = client.interval_us.min(T2_US);
                }
                client.resend_at = now_us + client.interval_us;
                let (to, bytes) = (client.to, client.bytes.clone());
                self.counters.retransmissions += 1;
                self.send(to, bytes);
            }
            at += 1;
        }
    }
}
