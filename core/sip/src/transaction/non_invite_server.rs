//! The non-INVITE server transaction (RFC 3261 section 17.2.2).

use std::net::SocketAddr;

use base::ClusterTime;
use minicbor::{Decode, Encode};

use super::timer::{self, Due};
use super::{Kind, Output, Path, Sent, Transmit};
use crate::message::{Request, Response, response_destination};

/// ```text
///               receive
///                  |
///              +--------+
///              | Trying |-----------------+
///              +--------+                 |
///        1xx: send |                      |
///                  v                      | 200-699:
///            +------------+               | send,
///   1xx or +-| Proceeding |               | arm J
///   again: +>|            |               |
///   send     +------------+               |
///                  | 200-699: send, arm J |
///                  v                      |
///            +-----------+                |
///   again: +-| Completed |<---------------+
///   send   +>|           |
///            +-----------+
///                  | J
///                  v
///            +------------+
///            | Terminated |
///            +------------+
/// ```
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct NonInviteServer {
    #[n(0)]
    state: NonInviteServerState,
    #[n(1)]
    path: Path,
    #[n(2)]
    last: Option<Sent>,
    /// Timer J.
    #[n(3)]
    end: Option<ClusterTime>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum NonInviteServerState {
    /// Nothing was sent yet.
    #[n(0)]
    Trying,
    /// A provisional response was sent.
    #[n(1)]
    Proceeding,
    /// The final response was sent; it is repeated whenever the request comes again.
    #[n(2)]
    Completed,
    #[n(3)]
    Terminated,
}

enum Input<'a> {
    Respond(Kind, &'a Response),
    Request,
    End,
}

impl NonInviteServer {
    /// Takes a request that came to our socket `local` from `source`.
    pub fn receive(request: &Request, local: SocketAddr, source: SocketAddr, _now: ClusterTime) -> Self {
        let path = Path { local, destination: response_destination(request, source) };
        Self { state: NonInviteServerState::Trying, path, last: None, end: None }
    }

    pub fn state(&self) -> NonInviteServerState {
        self.state
    }

    pub fn is_terminated(&self) -> bool {
        self.state == NonInviteServerState::Terminated
    }

    pub fn deadline(&self) -> Option<ClusterTime> {
        self.end
    }

    /// The request came again.
    pub fn retransmitted(&mut self, now: ClusterTime, out: &mut Vec<Output>) {
        self.step(Input::Request, now, out);
    }

    pub fn respond(&mut self, response: &Response, now: ClusterTime, out: &mut Vec<Output>) {
        self.step(Input::Respond(Kind::of(response), response), now, out);
    }

    pub fn timeout(&mut self, now: ClusterTime, out: &mut Vec<Output>) {
        match timer::due(None, self.end, now) {
            Due::Nothing | Due::Retransmission => {}
            Due::End => self.step(Input::End, now, out),
        }
    }

    /// What to send again after a takeover: the last response.
    pub fn resend(&self) -> Option<Transmit> {
        let last = self.last.as_ref().filter(|_| !self.is_terminated());
        last.map(|last| self.path.transmit(last.bytes.clone()))
    }

    fn step(&mut self, input: Input<'_>, now: ClusterTime, out: &mut Vec<Output>) {
        use NonInviteServerState::{Completed, Proceeding, Terminated, Trying};
        match (self.state, input) {
            (Trying | Proceeding, Input::Respond(Kind::Provisional, response)) => {
                self.state = Proceeding;
                self.send(response, out);
            }
            (Trying | Proceeding, Input::Respond(Kind::Success | Kind::Failure, response)) => {
                self.state = Completed;
                self.end = Some(now + timer::GIVE_UP);
                self.send(response, out);
            }
            // Nothing may follow a final response but itself.
            (Completed, Input::Respond(..)) => {}
            (Trying, Input::Request) => {}
            (Proceeding | Completed, Input::Request) => out.extend(self.resend().map(Output::Send)),
            (Trying | Proceeding | Completed, Input::End) => {
                self.state = Terminated;
                self.end = None;
                out.push(Output::Terminated);
            }
            (Terminated, Input::Respond(..) | Input::Request | Input::End) => {}
        }
    }

    fn send(&mut self, response: &Response, out: &mut Vec<Output>) {
        let sent = Sent::new(response);
        out.push(Output::Send(self.path.transmit(sent.bytes.clone())));
        self.last = Some(sent);
    }
}

#[cfg(test)]
mod tests;
