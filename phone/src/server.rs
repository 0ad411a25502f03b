//! Requests to this phone: server transactions (RFC 3261 section 17.2) and what is checked before a call sees them.

use std::net::SocketAddr;

use crate::client::ALLOW;
use crate::message::{Message, host_port, parameter, split_commas};
use crate::phone::{GIVE_UP_US, Phone, T1_US, T2_US};
use crate::record::{CallKey, Method, Violation};

/// A non-100 provisional response is repeated every minute, so that nobody on the way gives up (RFC 3261 section
/// 13.3.1.1).
const RING_AGAIN_US: u64 = 60_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No final response yet.
    Proceeding,
    /// A final response to an INVITE that failed goes out again until its ACK comes: Timers G and H.
    Completed,
    /// Only absorbs retransmissions, or answers them with the same response.
    Done,
}

#[derive(Clone, Debug)]
pub(crate) struct ServerTransaction {
    branch: String,
    method: String,
    call_id: String,
    from_tag: String,
    pub(crate) cseq: u32,
    /// The headers that each response repeats (RFC 3261 section 8.2.6.2), To without the tag that this phone adds.
    echo: String,
    to_header: String,
    source: SocketAddr,
    pub(crate) call: Option<CallKey>,
    phase: Phase,
    response: Option<Vec<u8>>,
    resend_at: u64,
    interval_us: u64,
    deadline: u64,
}

impl ServerTransaction {
    pub(crate) fn next_timeout(&self) -> u64 {
        self.resend_at.min(self.deadline)
    }

    fn new(source: SocketAddr, method: &str, message: &Message<'_>) -> Self {
        let mut echo = String::with_capacity(384);
        for (at, via) in message.list("via").into_iter().enumerate() {
            let via = if at == 0 { with_source(via, source) } else { via.to_owned() };
            echo.push_str(&format!("Via: {via}\r\n"));
        }
        for route in message.all("record-route") {
            echo.push_str(&format!("Record-Route: {route}\r\n"));
        }
        for (name, key) in [("From", "from"), ("Call-ID", "call-id"), ("CSeq", "cseq")] {
            echo.push_str(&format!("{name}: {}\r\n", message.header(key).unwrap_or_default()));
        }
        let via = message.header("via").and_then(|via| split_commas(via).into_iter().next()).unwrap_or_default();
        Self {
            branch: message.branch().unwrap_or_default().to_owned(),
            method: method.to_owned(),
            call_id: message.call_id().to_owned(),
            from_tag: message.tag_of_from().unwrap_or_default().to_owned(),
            cseq: message.cseq().map_or(0, |(number, _)| number),
            echo,
            to_header: message.header("to").unwrap_or_default().to_owned(),
            source: reply_address(via, source),
            call: None,
            phase: Phase::Proceeding,
            response: None,
            resend_at: u64::MAX,
            interval_us: T1_US,
            deadline: u64::MAX,
        }
    }
}

/// Where responses go (RFC 3581 section 4, RFC 3261 section 18.2.2).
fn reply_address(via: &str, source: SocketAddr) -> SocketAddr {
    if parameter(via, ';', "rport").is_some() {
        return source;
    }
    let sent_by = via.split(';').next().and_then(|first| first.split_whitespace().nth(1));
    SocketAddr::new(source.ip(), sent_by.and_then(host_port).map_or(source.port(), |address| address.port()))
}

fn with_source(via: &str, source: SocketAddr) -> String {
    let mut parts = Vec::new();
    for part in via.split(';').map(str::trim) {
        if part.eq_ignore_ascii_case("rport") {
            parts.push(format!("rport={}", source.port()));
            parts.push(format!("received={}", source.ip()));
        } else {
            parts.push(part.to_owned());
        }
    }
    parts.join(";")
}

/// What a response carries besides the headers that it repeats.
#[derive(Clone, Debug, Default)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Added to To when the request had none.
    pub(crate) tag: Option<String>,
    pub(crate) contact: bool,
    pub(crate) body: Option<String>,
}

impl Response {
    pub(crate) fn new(status: u16) -> Self {
        Self { status, ..Self::default() }
    }
}

const fn reason(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        200 => "OK",
        404 => "Not Found",
        405 => "Method Not Allowed",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        491 => "Request Pending",
        500 => "Server Internal Error",
        600 => "Busy Everywhere",
        603 => "Decline",
        _ => "Refused",
    }
}

impl Phone {
    pub(crate) fn on_request(
        &mut self,
        now_us: u64,
        source: SocketAddr,
        method: &str,
        uri: &str,
        message: &Message<'_>,
    ) {
        if message.cseq().is_none_or(|(_, name)| name != method) {
            return self.violation(Violation::Malformed { reason: "the method of CSeq is another one" });
        }
        if method == "ACK" {
            return self.on_ack(now_us, uri, message);
        }
        let branch = message.branch().unwrap_or_default();
        let same = self.servers.iter().find(|server| server.branch == branch && server.method == method);
        if let Some(same) = same {
            if let Some(bytes) = same.response.clone() {
                let to = same.source;
                self.send(to, bytes);
            }
            return;
        }
        let server = self.servers.len();
        self.servers.push(ServerTransaction::new(source, method, message));
        match (Method::parse(method), message.tag_of_to()) {
            (Some(Method::Cancel), _) => self.on_cancel(now_us, server, message),
            (_, Some(to_tag)) => self.on_dialog_request(now_us, server, method, uri, to_tag, message),
            (Some(Method::Invite), None) if self.is_merged(server) => {
                self.violation(Violation::MergedRequest);
                self.respond(now_us, server, Response::new(482));
            }
            (Some(Method::Invite), None) => self.on_invite(now_us, server, uri, message),
            (Some(Method::Options), None) => self.answer_options(now_us, server),
            (Some(Method::Bye), None) => {
                self.violation(Violation::UnknownDialog { method: method.to_owned() });
                self.respond(now_us, server, Response::new(481));
            }
            _ => self.respond(now_us, server, Response::new(405)),
        }
    }

    /// Sends a response within a server transaction and keeps it for retransmissions.
    pub(crate) fn respond(&mut self, now_us: u64, server: usize, mut response: Response) {
        if response.status > 100 && response.tag.is_none() {
            response.tag = Some(self.random.token());
        }
        let bytes = match self.servers.get(server) {
            Some(transaction) => self.write_response(transaction, &response),
            None => return,
        };
        let Some(transaction) = self.servers.get_mut(server) else { return };
        transaction.response = Some(bytes.clone());
        let invite = transaction.method == "INVITE";
        if response.status >= 200 {
            transaction.deadline = now_us + GIVE_UP_US;
            (transaction.phase, transaction.resend_at) = (Phase::Done, u64::MAX);
        }
        match response.status {
            101..200 if invite => transaction.resend_at = now_us + RING_AGAIN_US,
            // A 2xx is sent again by the call, not here; retransmitted INVITEs are absorbed (RFC 6026 section 7.1).
            200..300 if invite => transaction.response = None,
            300.. if invite => (transaction.phase, transaction.resend_at) = (Phase::Completed, now_us + T1_US),
            _ => {}
        }
        let to = transaction.source;
        self.send(to, bytes);
    }

    fn write_response(&self, transaction: &ServerTransaction, response: &Response) -> Vec<u8> {
        let status = response.status;
        let mut text = format!("SIP/2.0 {status} {}\r\n{}", reason(status), transaction.echo);
        text.push_str(&format!("To: {}", transaction.to_header));
        if let (Some(tag), None) = (&response.tag, crate::message::tag(&transaction.to_header)) {
            text.push_str(&format!(";tag={tag}"));
        }
        text.push_str("\r\n");
        if response.contact {
            text.push_str(&format!("Contact: <{}>\r\n", self.contact));
        }
        if status == 405 || status == 200 {
            text.push_str(&format!("Allow: {ALLOW}\r\n"));
        }
        let body = response.body.as_deref().unwrap_or_default();
        if !body.is_empty() {
            text.push_str("Content-Type: application/sdp\r\n");
        }
        text.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        text.into_bytes()
    }

    /// What the call needs to send its 2xx again: the bytes are those that [`Self::respond`] just sent.
    pub(crate) fn respond_accepting(
        &mut self,
        now_us: u64,
        server: usize,
        response: Response,
    ) -> Option<(Vec<u8>, SocketAddr, u32)> {
        let transaction = self.servers.get(server)?;
        let (bytes, to, cseq) = (self.write_response(transaction, &response), transaction.source, transaction.cseq);
        self.respond(now_us, server, response);
        Some((bytes, to, cseq))
    }

    /// The INVITE transaction of a call that has no final response yet.
    pub(crate) fn open_invite(&self, key: CallKey) -> Option<usize> {
        self.servers.iter().position(|server| {
            server.call == Some(key) && server.method == "INVITE" && server.phase == Phase::Proceeding
        })
    }

    pub(crate) fn set_server_call(&mut self, server: usize, key: CallKey) {
        if let Some(transaction) = self.servers.get_mut(server) {
            transaction.call = Some(key);
        }
    }

    /// The ACK of a failed INVITE ends Timer G. False when no such INVITE is known.
    pub(crate) fn acknowledge_failure(&mut self, branch: &str) -> bool {
        let invite = self.servers.iter_mut().find(|server| server.branch == branch && server.method == "INVITE");
        let Some(invite) = invite else { return false };
        if invite.phase == Phase::Completed {
            (invite.phase, invite.resend_at, invite.response) = (Phase::Done, u64::MAX, None);
        }
        true
    }

    /// The server transaction of the INVITE that a CANCEL with this branch means.
    pub(crate) fn cancelled_invite(&self, branch: &str) -> Option<(usize, Option<CallKey>, u32)> {
        let at = self.servers.iter().position(|server| server.branch == branch && server.method == "INVITE")?;
        self.servers.get(at).map(|server| (at, server.call, server.cseq))
    }

    pub(crate) fn answer_options(&mut self, now_us: u64, server: usize) {
        self.counters.options_answered += 1;
        self.respond(now_us, server, Response { contact: true, ..Response::new(200) });
    }

    /// Another INVITE with the same Call-ID, From tag and CSeq came under another branch (RFC 3261 section 8.2.2.2).
    fn is_merged(&self, server: usize) -> bool {
        let Some(new) = self.servers.get(server) else { return false };
        self.servers.iter().enumerate().any(|(at, old)| {
            at != server
                && old.method == new.method
                && old.call_id == new.call_id
                && old.from_tag == new.from_tag
                && old.cseq == new.cseq
        })
    }

    pub(crate) fn server_timeouts(&mut self, now_us: u64) {
        self.servers.retain(|server| server.deadline > now_us);
        let mut due = Vec::new();
        for server in self.servers.iter_mut().filter(|server| server.resend_at <= now_us) {
            server.interval_us = (server.interval_us * 2).min(T2_US);
            let pause = if server.phase == Phase::Completed { server.interval_us } else { RING_AGAIN_US };
            server.resend_at = now_us + pause;
            due.extend(server.response.clone().map(|bytes| (server.source, bytes)));
        }
        for (to, bytes) in due {
            self.counters.retransmissions += 1;
            self.send(to, bytes);
        }
    }
}
