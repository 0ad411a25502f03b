//! One leg: a dialog with one phone, its transactions, its media port.

use std::net::SocketAddr;

use ::media::relay::Port;
use base::ClusterTime;
use minicbor::{Decode, Encode};
use sip::dialog::Dialog;
use sip::transaction::{
    InviteClient, InviteClientState, InviteServer, NonInviteClient, NonInviteServer, Output as Said, Transmit, timer,
};
use sip::{Fields, Message, Method, Request, Response, Uri, Via};

use super::step::Step;
use super::{CallKey, Output};

/// Transactions of one kind that one leg may have at once; the oldest makes room.
pub(super) const TRANSACTIONS_MAX: usize = 8;

/// Where a leg stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum LegState {
    /// INVITE sent or received, no ringing yet.
    #[n(0)]
    Trying,
    #[n(1)]
    Ringing,
    #[n(2)]
    Answered,
    /// Given up before a final response: a CANCEL is sent as soon as one may be (RFC 3261 9.1).
    #[n(3)]
    Cancelling,
    #[n(4)]
    Ended,
    /// Given up before the ACK of our 2xx: BYE follows when it has come, or cannot come any more (RFC 3261 15).
    #[n(5)]
    Closing,
}

/// An INVITE that a phone sent us, until its transaction is over.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct InviteReceived {
    #[n(0)]
    pub server: InviteServer,
    /// The request without its body; responses are made from it.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub request: Vec<u8>,
    #[n(2)]
    pub key: sip::TransactionKey,
    #[n(3)]
    pub cseq: u32,
}

/// A request other than INVITE that a phone sent us, until retransmissions of it cannot come any more.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct RequestReceived {
    #[n(0)]
    pub server: NonInviteServer,
    #[n(1)]
    pub key: sip::TransactionKey,
}

/// The ACK of a 2xx, kept to be sent again whenever the 2xx comes again (RFC 3261 13.2.2.4).
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct AckSent {
    #[n(0)]
    pub cseq: u32,
    #[cbor(n(1), with = "minicbor::bytes")]
    pub bytes: Vec<u8>,
    #[n(2)]
    pub until: ClusterTime,
}

/// Requests and answers of one leg that may have left in the time that a power cut takes from the disk: nobody sends more
/// within a tenth of a second.
const LOST_MAX: u32 = 16;

/// Reigns that are told apart by what they skip. A CSeq has 31 bits (RFC 3261 8.1.1.5), so that they cannot go on for ever.
const REIGNS: u64 = 4096;

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Leg {
    #[n(0)]
    pub state: LegState,
    /// The endpoint's name in the configuration.
    #[n(1)]
    pub endpoint: String,
    #[n(2)]
    pub call_id: String,
    #[n(3)]
    pub local_tag: String,
    /// `None` on a callee until it has answered with a tag.
    #[n(4)]
    pub dialog: Option<Dialog>,
    /// Our socket.
    #[cbor(n(5), with = "sip::address")]
    pub local: SocketAddr,
    /// Where the phone is.
    #[cbor(n(6), with = "sip::address")]
    pub remote: SocketAddr,
    #[n(7)]
    /// The latest last; earlier ones absorb their retransmissions (RFC 6026 7.1).
    pub invites_received: Vec<InviteReceived>,
    #[n(8)]
    pub invite_sent: Option<InviteClient>,
    #[n(9)]
    pub ack_sent: Option<AckSent>,
    #[n(10)]
    pub requests_sent: Vec<NonInviteClient>,
    #[n(11)]
    pub requests_received: Vec<RequestReceived>,
    #[n(12)]
    pub port: Option<Port>,
    /// What we last told the phone about our media.
    #[cbor(n(13), with = "minicbor::bytes")]
    pub local_sdp: Vec<u8>,
    /// What the phone last told us about its media.
    #[cbor(n(14), with = "minicbor::bytes")]
    pub remote_sdp: Vec<u8>,
    #[n(15)]
    pub sdp_version: u64,
    /// The phone has put us on hold.
    #[n(16)]
    pub held: bool,
    /// The status of the final response by which the phone refused.
    #[n(17)]
    pub refused: Option<u16>,
    /// The media address in the phone's SDP; what was learned instead is in `port`.
    #[cbor(n(18), with = "::media::address::optional_socket", has_nil)]
    pub signalled: Option<SocketAddr>,
    /// The phone knows that it is out: it left or refused by itself, or has confirmed that we let it go.
    #[cbor(n(19), with = "base::level::late", has_nil)]
    pub left: bool,
}

impl Leg {
    pub fn new(endpoint: &str, call_id: &str, local_tag: &str, local: SocketAddr, remote: SocketAddr) -> Self {
        Self {
            state: LegState::Trying,
            endpoint: endpoint.to_owned(),
            call_id: call_id.to_owned(),
            local_tag: local_tag.to_owned(),
            dialog: None,
            local,
            remote,
            invites_received: Vec::new(),
            invite_sent: None,
            ack_sent: None,
            requests_sent: Vec::new(),
            requests_received: Vec::new(),
            port: None,
            local_sdp: Vec::new(),
            remote_sdp: Vec::new(),
            sdp_version: 0,
            held: false,
            refused: None,
            signalled: None,
            left: false,
        }
    }

    /// No transaction is under way and none can be asked about again.
    pub fn is_quiet(&self) -> bool {
        self.invites_received.is_empty()
            && self.invite_sent.is_none()
            && self.ack_sent.is_none()
            && self.requests_sent.is_empty()
            && self.requests_received.is_empty()
    }

    pub fn deadline(&self) -> Option<ClusterTime> {
        let received = self.invites_received.iter().filter_map(|invite| invite.server.deadline());
        let sent = self.invite_sent.iter().filter_map(InviteClient::deadline);
        let ack = self.ack_sent.iter().map(|ack| ack.until);
        let clients = self.requests_sent.iter().filter_map(NonInviteClient::deadline);
        let servers = self.requests_received.iter().filter_map(|request| request.server.deadline());
        received.chain(sent).chain(ack).chain(clients).chain(servers).min()
    }

    pub fn keys(&self) -> Vec<CallKey> {
        let mut keys = vec![CallKey::Dialog { call_id: self.call_id.clone(), local_tag: self.local_tag.clone() }];
        keys.extend(self.invites_received.iter().map(|invite| CallKey::Transaction(invite.key.clone())));
        keys
    }

    /// The latest INVITE, which our responses are made from.
    pub fn invite_request(&self) -> Option<Request> {
        match Message::parse(&self.invites_received.last()?.request) {
            Ok(Message::Request(request)) => Some(request),
            _ => None,
        }
    }

    pub fn contact(&self) -> Uri {
        Uri::sip(Some(&self.endpoint), &host_text(self.local), Some(self.local.port()))
    }

    pub fn via(&self, step: &mut Step<'_>) -> Via {
        new_via(self.local, step)
    }

    /// Answers the INVITE under way, with a body if there is one.
    pub fn respond_invite(&mut self, step: &mut Step<'_>, status: u16, sdp: Option<&[u8]>) {
        let Some(request) = self.invite_request() else { return };
        let tag = (status > 100).then_some(self.local_tag.as_str());
        let mut response = request.respond(status, sip::reason_phrase(status), tag);
        if (101..300).contains(&status) {
            response.headers.push("Contact", format!("<{}>", self.contact()));
            response.headers.push("Allow", super::in_dialog::ALLOW);
        }
        if let Some(sdp) = sdp {
            response.headers.push("Content-Type", "application/sdp");
            response.body = sdp.to_vec();
        }
        self.send_invite_response(step, &response);
    }

    pub fn send_invite_response(&mut self, step: &mut Step<'_>, response: &Response) {
        let Some(invite) = self.invites_received.last_mut() else { return };
        let mut said = Vec::new();
        invite.server.respond(response, step.now, &mut said);
        sends(said, step);
    }

    /// Answers a request of the dialog that is not an INVITE, and remembers the answer for retransmissions.
    pub fn respond_request(&mut self, step: &mut Step<'_>, request: &Request, source: SocketAddr, response: &Response) {
        let mut server = NonInviteServer::receive(request, self.local, source, step.now);
        let mut said = Vec::new();
        server.respond(response, step.now, &mut said);
        sends(said, step);
        if self.requests_received.len() >= TRANSACTIONS_MAX {
            self.requests_received.remove(0);
        }
        self.requests_received.push(RequestReceived { server, key: sip::server_key(request) });
    }

    /// Acknowledges a 2xx, for the first time or again.
    pub fn acknowledge(&mut self, step: &mut Step<'_>, response: &Response) {
        let cseq = response.cseq().number;
        if let Some(ack) = self.ack_sent.as_ref().filter(|ack| ack.cseq == cseq) {
            let bytes = ack.bytes.clone();
            step.send(self.local, self.remote, bytes);
            return;
        }
        let via = self.via(step);
        let Some(dialog) = self.dialog.as_ref() else { return };
        let bytes = dialog.ack(cseq, &via, None).to_bytes();
        step.send(self.local, self.remote, bytes.clone());
        self.ack_sent = Some(AckSent { cseq, bytes, until: step.now + timer::T1 * 64 });
    }

    /// Ends the leg, whatever its state, in the way that its state asks for.
    pub fn hang_up(&mut self, step: &mut Step<'_>, refusal: u16) {
        match self.state {
            LegState::Answered if self.awaits_ack() => self.state = LegState::Closing,
            LegState::Answered => self.send_bye(step),
            LegState::Trying | LegState::Ringing if self.invite_sent.is_some() => self.cancel(step),
            LegState::Trying | LegState::Ringing => {
                self.state = LegState::Ended;
                self.respond_invite(step, refusal, None);
            }
            LegState::Cancelling | LegState::Ended | LegState::Closing => {}
        }
    }

    /// Until then the phone may not know the dialog that a BYE would end.
    fn awaits_ack(&self) -> bool {
        self.invites_received.iter().any(|invite| invite.server.awaits_ack_of_success())
    }

    /// Sends the BYE that has waited for the ACK, if that wait is over.
    pub fn close(&mut self, step: &mut Step<'_>) {
        if self.state == LegState::Closing && !self.awaits_ack() {
            self.send_bye(step);
        }
    }

    pub fn send_bye(&mut self, step: &mut Step<'_>) {
        self.state = LegState::Ended;
        let via = self.via(step);
        let Some(dialog) = self.dialog.as_mut() else { return };
        let request = dialog.request(Method::Bye, &via, None);
        self.send_request(step, &request);
    }

    /// Asks a phone that was in the call before all power failed whether it still knows of it (RFC 3261 11, 12.2.1.2).
    /// `reign`: how many times nodes have begun to serve.
    pub fn probe(&mut self, step: &mut Step<'_>, reign: u64) {
        if self.state != LegState::Answered || self.awaits_ack() {
            return;
        }
        // The other node may have come up first, and have asked from the same state: who serves later goes further.
        let skipped = LOST_MAX * (1 + u32::try_from(reign % REIGNS).unwrap_or(0));
        self.sdp_version += u64::from(skipped);
        let via = self.via(step);
        let Some(dialog) = self.dialog.as_mut() else { return };
        dialog.skip_cseq(skipped);
        let request = dialog.request(Method::Options, &via, None);
        self.send_request(step, &request);
    }

    /// Sends the CANCEL, or notes that it must be sent with the first provisional response (RFC 3261 9.1).
    pub fn cancel(&mut self, step: &mut Step<'_>) {
        let had_provisional = self.invite_sent.as_ref().is_some_and(InviteClient::may_cancel);
        self.state = LegState::Cancelling;
        if had_provisional {
            self.send_cancel(step);
        }
    }

    pub fn send_cancel(&mut self, step: &mut Step<'_>) {
        let Some(client) = self.invite_sent.as_mut() else { return };
        client.cancelled(step.now);
        let request = client.cancel_request();
        self.send_request(step, &request);
    }

    fn send_request(&mut self, step: &mut Step<'_>, request: &Request) {
        let mut said = Vec::new();
        let client = NonInviteClient::start(request, self.local, self.remote, step.now, &mut said);
        sends(said, step);
        if self.requests_sent.len() >= TRANSACTIONS_MAX {
            self.requests_sent.remove(0);
        }
        self.requests_sent.push(client);
    }

    /// The last message of every live transaction, to be sent again by a node that has just taken over: the other
    /// one may have died between the peer's acknowledgement and the wire.
    pub fn resend(&self) -> Vec<Transmit> {
        let received = self.invites_received.iter().filter_map(|invite| invite.server.resend());
        // A phone that rings has said so. It says it again to whoever asks, but an INVITE that was answered
        // provisionally should not come again (RFC 3261 17.1.1.2): there are those that give up the call at it, and one
        // that was told to stop ringing would begin anew.
        let rang = matches!(self.state, LegState::Ringing | LegState::Cancelling);
        let rings = |sent: &&InviteClient| rang && sent.state() == InviteClientState::Proceeding;
        let sent = self.invite_sent.iter().filter(|sent| !rings(sent)).filter_map(InviteClient::resend);
        let ack = self.ack_sent.iter().map(|ack| Transmit {
            local: self.local,
            destination: self.remote,
            bytes: ack.bytes.clone(),
        });
        let clients = self.requests_sent.iter().filter_map(NonInviteClient::resend);
        let servers = self.requests_received.iter().filter_map(|request| request.server.resend());
        received.chain(sent).chain(ack).chain(clients).chain(servers).collect()
    }
}

/// Passes on what a transaction sends; what else it says is for the callers that ask for it.
pub fn sends(said: Vec<Said>, step: &mut Step<'_>) -> Vec<Said> {
    let mut rest = Vec::new();
    for output in said {
        match output {
            Said::Send(transmit) => step.out.push(Output::Send(transmit)),
            other => rest.push(other),
        }
    }
    rest
}

pub fn new_via(local: SocketAddr, step: &mut Step<'_>) -> Via {
    Via::udp(local, &format!("z9hG4bK{}", step.random.hex::<8>()))
}

/// An address as the host of a URI; IPv6 in brackets.
pub fn host_text(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("[{}]", address.ip()),
    }
}
