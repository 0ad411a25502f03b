//! The four transaction machines of RFC 3261 section 17 with RFC 6026, over UDP, as plain data.
//!
//! Each machine takes the time as an argument and appends what is to be done to `out`. Whoever holds it calls
//! `timeout` once its `deadline` is due and drops it once it `is_terminated`.

mod invite_client;
mod invite_server;
mod key;
mod non_invite_client;
mod non_invite_server;
pub mod timer;

use std::net::SocketAddr;

use minicbor::{Decode, Encode};

use crate::message::Response;

pub use invite_client::{InviteClient, InviteClientState};
pub use invite_server::{InviteServer, InviteServerState};
pub use key::{TransactionKey, client_key, client_key_of, server_key, server_key_of};
pub use non_invite_client::{NonInviteClient, NonInviteClientState};
pub use non_invite_server::{NonInviteServer, NonInviteServerState};

/// A datagram to send.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Transmit {
    /// Which of our sockets sends it.
    #[cbor(n(0), with = "crate::address")]
    pub local: SocketAddr,
    #[cbor(n(1), with = "crate::address")]
    pub destination: SocketAddr,
    #[cbor(n(2), with = "minicbor::bytes")]
    pub bytes: Vec<u8>,
}

/// What a machine wants done, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    Send(Transmit),
    /// Client: a response for the user. A 2xx to an INVITE comes up every time it arrives, because every copy wants
    /// an ACK.
    Response(Response),
    /// Client: no final response came. Invite server: no ACK came. `Terminated` follows.
    TimedOut,
    /// Nothing more will happen; the machine can be dropped.
    Terminated,
    /// Invite server: the ACK of a non-2xx came.
    Acked,
}

/// Where a transaction's messages go.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Path {
    #[cbor(n(0), with = "crate::address")]
    local: SocketAddr,
    #[cbor(n(1), with = "crate::address")]
    destination: SocketAddr,
}

impl Path {
    fn transmit(&self, bytes: Vec<u8>) -> Transmit {
        Transmit { local: self.local, destination: self.destination, bytes }
    }
}

/// A server transaction's last response.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Sent {
    #[n(0)]
    status: u16,
    #[cbor(n(1), with = "minicbor::bytes")]
    bytes: Vec<u8>,
}

impl Sent {
    fn new(response: &Response) -> Self {
        Self { status: response.status, bytes: response.to_bytes() }
    }
}

/// The three kinds of response that the machines tell apart.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// 1xx
    Provisional,
    /// 2xx
    Success,
    /// 300 to 699
    Failure,
}

impl Kind {
    fn of(response: &Response) -> Self {
        match response.status {
            ..200 => Self::Provisional,
            200..300 => Self::Success,
            _ => Self::Failure,
        }
    }
}

#[cfg(test)]
mod tests;
