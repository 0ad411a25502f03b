//! A call: both legs, the dialplan's position, the media ports, the timers and the record, all plain data.
//!
//! ```text
//!   INVITE -> Running -> Dialing -> Bridged -> Ended
//!               |  ^        |
//!               v  +--------+ (nobody answered: the dialplan goes on)
//!            Waiting, Echoing, Indicating (Busy, Congestion)
//! ```
//!
//! A call is a back-to-back user agent (RFC 7092 3.1): the caller's leg, and one leg for each contact that was rung.
//! After its end it stays until its transactions are done, so that retransmissions find their answers.

mod begin;
mod bridge;
mod dial;
mod in_dialog;
mod leg;
mod media;
mod merge;
mod step;
mod timeout;

use std::fmt;
use std::net::SocketAddr;

use ::media::relay::Port;
use base::{ClusterTime, NodeIndex};
use minicbor::{Decode, Encode};
use sip::{Fields, Method, Response};

use crate::dialplan::Execution;
use crate::record::Record;

pub use begin::open;
pub use in_dialog::ALLOW;
pub use leg::{Leg, LegState, host_text};
pub use merge::Testimony;
pub use step::{Output, PortNumbers, Step};

/// Contacts that one call rings at the same time. More are not rung.
pub const CALLEES_MAX: usize = 16;

/// The name of a call, unique in the pair: the lowest bit says which node made it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct CallNumber(#[n(0)] pub u64);

impl CallNumber {
    /// The number that `node` gives to the call after `self`, which may be any node's.
    pub fn next(self, node: NodeIndex) -> Self {
        Self(((self.0 >> 1) + 1) << 1 | u64::from(node.0 & 1))
    }

    /// Reads what `Display` wrote.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

impl fmt::Display for CallNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Equal lengths sort alike as text and as numbers.
        write!(f, "{:020}", self.0)
    }
}

/// What the call does now.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub enum Progress {
    /// The dialplan is to be asked for the next application; never rests here between two steps.
    #[n(0)]
    Running,
    /// Dial() rings the callees until somebody answers or the time is up.
    #[n(1)]
    Dialing {
        #[n(0)]
        until: Option<ClusterTime>,
    },
    /// Wait() or the pause of Answer().
    #[n(2)]
    Waiting {
        #[n(0)]
        until: ClusterTime,
    },
    #[n(3)]
    Echoing,
    /// Busy() or Congestion() on an answered call, until the caller hangs up or the time is up.
    #[n(4)]
    Indicating {
        #[n(0)]
        until: Option<ClusterTime>,
    },
    /// The caller talks with this callee.
    #[n(5)]
    Bridged {
        #[n(0)]
        callee: u8,
    },
    #[n(6)]
    Ended {
        #[n(0)]
        at: ClusterTime,
    },
}

/// Which leg of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    Caller,
    Callee(usize),
}

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Call {
    #[n(0)]
    pub number: CallNumber,
    #[n(1)]
    pub caller: Leg,
    #[n(2)]
    pub callees: Vec<Leg>,
    #[n(3)]
    pub execution: Execution,
    #[n(4)]
    pub progress: Progress,
    #[n(5)]
    pub record: Record,
    /// Why it ends (Q.850 cause), for the response to a caller who was never answered.
    #[n(6)]
    pub cause: u8,
    /// When one of its phones last said something.
    #[cbor(n(7), with = "base::level::late", has_nil)]
    pub heard: ClusterTime,
}

/// A key under which the messages of a call are found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CallKey {
    /// An INVITE server transaction: retransmissions, ACK and CANCEL.
    Transaction(sip::TransactionKey),
    /// A dialog, early ones too: Call-ID and our tag.
    Dialog { call_id: String, local_tag: String },
}

impl Call {
    pub fn is_ended(&self) -> bool {
        matches!(self.progress, Progress::Ended { .. })
    }

    /// Ended, and no transaction is left that a retransmission could ask for.
    pub fn is_done(&self) -> bool {
        self.is_ended() && self.legs().all(|(_, leg)| leg.is_quiet())
    }

    pub fn is_answered(&self) -> bool {
        self.record.answered.is_some()
    }

    pub fn legs(&self) -> impl Iterator<Item = (Side, &Leg)> {
        let callees = self.callees.iter().enumerate().map(|(index, leg)| (Side::Callee(index), leg));
        std::iter::once((Side::Caller, &self.caller)).chain(callees)
    }

    pub fn leg(&self, side: Side) -> Option<&Leg> {
        match side {
            Side::Caller => Some(&self.caller),
            Side::Callee(index) => self.callees.get(index),
        }
    }

    pub fn leg_mut(&mut self, side: Side) -> Option<&mut Leg> {
        match side {
            Side::Caller => Some(&mut self.caller),
            Side::Callee(index) => self.callees.get_mut(index),
        }
    }

    /// The next instant at which something is due.
    pub fn deadline(&self) -> Option<ClusterTime> {
        let own = match &self.progress {
            Progress::Dialing { until } | Progress::Indicating { until } => *until,
            Progress::Waiting { until } => Some(*until),
            Progress::Running | Progress::Echoing | Progress::Bridged { .. } | Progress::Ended { .. } => None,
        };
        self.legs().filter_map(|(_, leg)| leg.deadline()).chain(own).min()
    }

    /// Every key under which a message of this call may arrive, with the leg it belongs to.
    pub fn keys(&self) -> Vec<(CallKey, Side)> {
        self.legs().flat_map(|(side, leg)| leg.keys().into_iter().map(move |key| (key, side))).collect()
    }

    /// The media ports that must be open for the call as it is.
    pub fn ports(&self) -> impl Iterator<Item = &Port> {
        let ended = self.is_ended();
        self.legs()
            .filter(move |(_, leg)| !ended && leg.state != LegState::Ended)
            .filter_map(|(_, leg)| leg.port.as_ref())
    }

    /// A response to a request that one of the legs sent.
    pub fn response(&mut self, step: &mut Step<'_>, side: Side, response: &Response) {
        match (response.cseq().method, side) {
            (Method::Invite, Side::Callee(index)) => self.invite_answered(step, index, response),
            _ => self.request_answered(step, side, response),
        }
    }

    /// Keeps where a leg's media really comes from, so that the other node knows it too. True when that is news.
    pub fn learn(&mut self, port: u16, rtp: Option<SocketAddr>, rtcp: Option<SocketAddr>) -> bool {
        let legs = std::iter::once(&mut self.caller).chain(self.callees.iter_mut());
        let Some(known) = legs.filter_map(|leg| leg.port.as_mut()).find(|known| known.port == port) else {
            return false;
        };
        media::learn(known, rtp, rtcp)
    }
}

#[cfg(test)]
mod tests;
