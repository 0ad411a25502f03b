//! What a user of the phone sees, and what the phone may complain about.

use std::fmt;
use std::net::SocketAddr;

/// Names one call of one phone, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallKey(pub u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    Register,
    Invite,
    Ack,
    Bye,
    Cancel,
    Options,
}

impl Method {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Register => "REGISTER",
            Self::Invite => "INVITE",
            Self::Ack => "ACK",
            Self::Bye => "BYE",
            Self::Cancel => "CANCEL",
            Self::Options => "OPTIONS",
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        [Self::Register, Self::Invite, Self::Ack, Self::Bye, Self::Cancel, Self::Options]
            .into_iter()
            .find(|method| method.as_str() == text)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// This phone sent BYE.
    HungUp,
    /// The other side sent BYE.
    PeerHungUp,
    /// This phone gave up before an answer.
    Cancelled,
    /// The caller gave up before this phone answered.
    PeerCancelled,
    /// The other side refused with this status.
    Rejected(u16),
    /// This phone refused with this status.
    Declined(u16),
    /// No response to the INVITE at all (Timer B, RFC 3261 section 17.1.1.2).
    TimedOut,
    /// The answer was never acknowledged (RFC 3261 section 13.3.1.4).
    NeverAcknowledged,
    /// A request within the dialog was answered 408 or 481: the other side does not know the call any more.
    Lost(u16),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallState {
    Idle,
    /// An INVITE is on its way; nothing but 100 Trying came back.
    Calling,
    /// This phone rings, or hears that the other one does.
    Ringing,
    Talking,
    /// Answered, and one side has put the other on hold.
    Held,
    Ended {
        reason: EndReason,
    },
}

impl CallState {
    pub const fn is_up(self) -> bool {
        matches!(self, Self::Talking | Self::Held)
    }

    pub const fn is_over(self) -> bool {
        matches!(self, Self::Idle | Self::Ended { .. })
    }
}

/// Where audio goes to and whether it may flow, as the two descriptions of the session say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Media {
    pub peer: SocketAddr,
    /// This phone may send: nobody has put the call on hold.
    pub send: bool,
    /// This phone is to expect audio.
    pub receive: bool,
}

/// One call as its user remembers it. Times are microseconds of the time given to the phone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRecord {
    pub key: CallKey,
    pub call_id: String,
    /// This phone made the call.
    pub outgoing: bool,
    /// The number called, or the user part of the caller's From.
    pub number: String,
    pub state: CallState,
    /// This phone has put the other side on hold.
    pub holding: bool,
    /// The other side has put this phone on hold.
    pub held_by_peer: bool,
    pub media: Option<Media>,
    pub started_us: u64,
    pub ringing_us: Option<u64>,
    pub answered_us: Option<u64>,
    pub ended_us: Option<u64>,
    /// Final status of the INVITE, sent or received.
    pub invite_status: Option<u16>,
    /// Final status of this phone's BYE; 408 when nobody answered.
    pub bye_status: Option<u16>,
    /// Final status of this phone's last re-INVITE; 408 when nobody answered.
    pub reinvite_status: Option<u16>,
}

/// Something that no correct server does to a phone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Violation {
    /// A datagram that is no SIP message.
    Malformed { reason: &'static str },
    /// A message came from elsewhere than the server: a phone behind NAT would never have seen it.
    ForeignSource { source: SocketAddr },
    /// A request within a dialog that this phone does not have; answered 481.
    UnknownDialog { method: String },
    /// A CANCEL for an INVITE that this phone does not have; answered 481.
    UnknownCancel,
    /// A request within a dialog whose CSeq is not greater than the one before; answered 500.
    CseqNotGrowing { method: String, last: u32, cseq: u32 },
    /// The same INVITE again under another branch; answered 482.
    MergedRequest,
    /// A request's address is not the contact that this phone gave.
    WrongTarget { uri: String },
    /// A response or request names another tag than the dialog has.
    TagChanged { expected: String, found: String },
    /// A response with our branch, but another Call-ID, CSeq or From tag.
    ResponseMismatch,
    /// An INVITE or its 2xx has no contact that could be reached.
    ContactUnusable,
    /// The 200 of a REGISTER does not list this phone's contact.
    ContactMissing,
    /// A nonce that the server gave is refused without `stale=true`: a phone would ask its user for the password.
    NonceForgotten,
    /// The right password was refused.
    PasswordRefused,
    /// The session description cannot be read, or has no audio that this phone can play.
    SdpUnusable { reason: &'static str },
    /// The description changed, but its `o=` line does not say so (RFC 3264 section 8).
    SdpVersion,
    /// A 200 to an INVITE was not acknowledged for 32 s.
    AckMissing,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PhoneEvent {
    Registered {
        expires_s: u32,
    },
    /// `None`: nobody answered for 32 s.
    RegisterFailed {
        status: Option<u16>,
    },
    Unregistered,
    /// A call reached another state.
    State {
        call: CallKey,
        state: CallState,
    },
    /// A request of this phone got its final status; 408 when nobody answered. 401 and 407 that were followed by
    /// another attempt are not told.
    Final {
        call: Option<CallKey>,
        method: Method,
        status: u16,
    },
    /// An incoming call from `number` was refused with this status without becoming a call of this phone.
    Refused {
        number: String,
        status: u16,
    },
    Violation(Violation),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PhoneCounters {
    /// Times this phone began to register, by command or timer. A challenge does not begin another one.
    pub registrations_begun: u64,
    /// REGISTER requests sent, retransmissions not counted, answers to challenges counted.
    pub registers_sent: u64,
    pub registrations_granted: u64,
    /// OPTIONS answered, retransmissions not counted.
    pub options_answered: u64,
    /// Requests and responses of this phone sent again by one of its timers.
    pub retransmissions: u64,
    /// Responses that match no transaction; harmless.
    pub stray_responses: u64,
    pub calls_made: u64,
    pub calls_received: u64,
}
