//! One call: the dialog (RFC 3261 section 12) and what belongs to it until the phone forgets it.

use std::net::SocketAddr;

use crate::message::{socket_address, uri};
use crate::record::{CallKey, CallRecord, CallState};
use crate::sdp::Description;

/// The acknowledgement of a 2xx, sent again whenever that 2xx comes again (RFC 3261 section 13.2.2.4).
#[derive(Clone, Debug)]
pub(crate) struct Acknowledgement {
    pub(crate) cseq: u32,
    pub(crate) bytes: Vec<u8>,
    pub(crate) to: SocketAddr,
}

/// This phone's 2xx, sent again until it is acknowledged (RFC 3261 section 13.3.1.4).
#[derive(Clone, Debug)]
pub(crate) struct Accepted {
    pub(crate) cseq: u32,
    pub(crate) bytes: Vec<u8>,
    pub(crate) to: SocketAddr,
    pub(crate) resend_at: u64,
    pub(crate) interval_us: u64,
    pub(crate) deadline: u64,
    /// The INVITE carried no description: the ACK brings the answer.
    pub(crate) answer_expected: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) record: CallRecord,
    pub(crate) local_tag: String,
    pub(crate) remote_tag: Option<String>,
    /// Values of From and To in requests of this phone, tags included.
    pub(crate) local: String,
    pub(crate) remote: String,
    /// Request-URI within the dialog: the other side's contact.
    pub(crate) target: String,
    pub(crate) route: Vec<String>,
    pub(crate) local_cseq: u32,
    pub(crate) remote_cseq: Option<u32>,
    /// CSeq of the INVITE that made this call.
    pub(crate) invite_cseq: u32,
    /// A response to the INVITE came, so that CANCEL may be sent (RFC 3261 section 9.1).
    pub(crate) provisional: bool,
    pub(crate) cancel_wanted: bool,
    pub(crate) cancel_sent: bool,
    /// The user hung up before the ACK came.
    pub(crate) hang_up_on_ack: bool,
    pub(crate) acknowledgement: Option<Acknowledgement>,
    pub(crate) accepted: Option<Accepted>,
    pub(crate) answer_at: Option<u64>,
    /// Hold (true) or resume (false), on its way.
    pub(crate) reinvite: Option<bool>,
    /// When to try that once more, after 491 or because something else was going on.
    pub(crate) reinvite_again: Option<(u64, bool)>,
    pub(crate) sdp_session: u64,
    pub(crate) sdp_version: u64,
    pub(crate) description: Option<Description>,
    pub(crate) forget_at: Option<u64>,
}

impl Call {
    pub(crate) fn key(&self) -> CallKey {
        self.record.key
    }

    pub(crate) fn is_over(&self) -> bool {
        self.record.state.is_over()
    }

    /// Where requests within the dialog go: the first route, else the contact, else the server.
    pub(crate) fn destination(&self, server: SocketAddr) -> SocketAddr {
        let first = self.route.first().map_or(self.target.as_str(), |route| uri(route));
        socket_address(first).unwrap_or(server)
    }

    pub(crate) fn next_timeout(&self) -> Option<u64> {
        let accepted = self.accepted.as_ref().map(|accepted| accepted.resend_at.min(accepted.deadline));
        let again = self.reinvite_again.map(|(at, _)| at);
        [accepted, again, self.answer_at, self.forget_at].into_iter().flatten().min()
    }

    /// Talking or held, as both sides have it now.
    pub(crate) fn up_state(&self) -> CallState {
        if self.record.holding || self.record.held_by_peer { CallState::Held } else { CallState::Talking }
    }
}
