//! What a phone is told: its configuration, its inputs and what comes out of it.

use std::net::SocketAddr;

use crate::record::PhoneEvent;

/// How a phone treats an incoming call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Picks up by itself this many milliseconds after the INVITE came.
    After(u64),
    /// Rings until somebody gives [`PhoneCommand::Answer`] or [`PhoneCommand::HangUp`], or the caller gives up.
    Never,
    /// 486 Busy Here at once.
    Busy,
    /// This status at once, 300 to 699.
    Reject(u16),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnswerPolicy {
    pub answer: Answer,
    /// Sends 180 Ringing as soon as the call comes; otherwise 100 Trying, as a phone that answers without ringing.
    pub ringing: bool,
}

impl AnswerPolicy {
    pub const fn after(delay_ms: u64) -> Self {
        Self { answer: Answer::After(delay_ms), ringing: true }
    }

    pub const fn never() -> Self {
        Self { answer: Answer::Never, ringing: true }
    }

    pub const fn busy() -> Self {
        Self { answer: Answer::Busy, ringing: false }
    }

    pub const fn reject(status: u16) -> Self {
        Self { answer: Answer::Reject(status), ringing: false }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhoneConfig {
    /// Name of the account, also the user part of the phone's addresses.
    pub user: String,
    pub password: String,
    /// Where registrations and new calls go: the service address.
    pub server: SocketAddr,
    /// The phone's own SIP address; its Via and Contact.
    pub address: SocketAddr,
    /// Where the phone hears RTP; told in its SDP.
    pub media_address: SocketAddr,
    /// Seconds between two registrations when the server grants what is asked, which is a minute more than this.
    pub register_every_s: u32,
    pub answer: AnswerPolicy,
    /// All tags, branches and Call-IDs follow from it. Give each phone another one.
    pub seed: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PhoneCommand {
    /// Registers now, and from then on whenever the timer says so.
    Register,
    /// Removes the registration and stops the timer.
    Unregister,
    /// Calls this number. Ignored while another call is up.
    Call { number: String },
    /// Puts the answered call on hold by a re-INVITE with `sendonly`.
    Hold,
    /// Takes the held call back by a re-INVITE with `sendrecv`.
    Resume,
    /// Ends the call in whatever state it is: BYE, CANCEL, or 603 to a call that rings here.
    HangUp,
    /// Gives up a call of its own that was not answered yet.
    Cancel,
    /// Picks up the call that rings here.
    Answer,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PhoneInput<'a> {
    /// A datagram on the SIP port.
    Datagram {
        source: SocketAddr,
        bytes: &'a [u8],
    },
    /// The time that [`crate::Phone::next_timeout`] told has come. Harmless when it comes early.
    Timeout,
    Command(PhoneCommand),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PhoneOutput {
    /// A datagram from the phone's SIP port.
    Send {
        to: SocketAddr,
        bytes: Vec<u8>,
    },
    Event(PhoneEvent),
}
