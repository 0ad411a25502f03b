//! The non-INVITE client transaction (RFC 3261 section 17.1.2).

use std::net::SocketAddr;

use base::ClusterTime;
use minicbor::{Decode, Encode};

use super::timer::{self, Due, Retransmission};
use super::{Kind, Output, Path, Transmit};
use crate::message::{Fields, Request, Response};

/// ```text
///             start: send the request, arm E and F
///                          |
///      E: send       +--------+   F: timed out
///             +------| Trying |---------------------+
///             +----->|        |----------------+    |
///                    +--------+   200-699:     |    |
///                          |      deliver,     |    |
///             1xx: deliver |      arm K        |    |
///                          v                   |    |
///      E: send     +------------+              |    |
///      1xx: +------| Proceeding |  F: timed out|    |
///    deliver|      |            |--------------|--->|
///           +----->|            |------------->|    |
///                  +------------+  200-699     |    |
///                                              v    |
///                                      +-----------+|
///                                      | Completed ||
///                                      +-----------+|
///                                            | K    v
///                                            |  +------------+
///                                            +->| Terminated |
///                                               +------------+
/// ```
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct NonInviteClient {
    #[n(0)]
    state: NonInviteClientState,
    #[n(1)]
    path: Path,
    #[n(2)]
    branch: String,
    #[n(3)]
    request: Request,
    /// Timer E.
    #[n(4)]
    retransmission: Option<Retransmission>,
    /// Timer F or K, whichever the state has.
    #[n(5)]
    end: Option<ClusterTime>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum NonInviteClientState {
    /// Nothing came back yet.
    #[n(0)]
    Trying,
    /// A provisional response came.
    #[n(1)]
    Proceeding,
    /// The final response came; its retransmissions are absorbed.
    #[n(2)]
    Completed,
    #[n(3)]
    Terminated,
}

enum Input<'a> {
    Response(Kind, &'a Response),
    Retransmission,
    End,
}

impl NonInviteClient {
    /// Sends `request`, whose top Via is ours.
    pub fn start(
        request: &Request,
        local: SocketAddr,
        destination: SocketAddr,
        now: ClusterTime,
        out: &mut Vec<Output>,
    ) -> Self {
        let branch = request.top_via().ok().and_then(|via| via.branch().map(str::to_owned)).unwrap_or_default();
        let path = Path { local, destination };
        out.push(Output::Send(path.transmit(request.to_bytes())));
        Self {
            state: NonInviteClientState::Trying,
            path,
            branch,
            request: request.clone(),
            retransmission: Some(Retransmission::start(now, timer::T1)),
            end: Some(now + timer::GIVE_UP),
        }
    }

    pub fn state(&self) -> NonInviteClientState {
        self.state
    }

    pub fn request(&self) -> &Request {
        &self.request
    }

    pub fn branch(&self) -> &str {
        &self.branch
    }

    pub fn is_terminated(&self) -> bool {
        self.state == NonInviteClientState::Terminated
    }

    pub fn deadline(&self) -> Option<ClusterTime> {
        timer::earlier(self.retransmission.as_ref(), self.end)
    }

    pub fn response(&mut self, response: &Response, now: ClusterTime, out: &mut Vec<Output>) {
        self.step(Input::Response(Kind::of(response), response), now, out);
    }

    pub fn timeout(&mut self, now: ClusterTime, out: &mut Vec<Output>) {
        match timer::due(self.retransmission.as_ref(), self.end, now) {
            Due::Nothing => {}
            Due::Retransmission => self.step(Input::Retransmission, now, out),
            Due::End => self.step(Input::End, now, out),
        }
    }

    /// What to send again after a takeover: the request, until its final response came.
    pub fn resend(&self) -> Option<Transmit> {
        match self.state {
            NonInviteClientState::Trying | NonInviteClientState::Proceeding => {
                Some(self.path.transmit(self.request.to_bytes()))
            }
            NonInviteClientState::Completed | NonInviteClientState::Terminated => None,
        }
    }

    fn step(&mut self, input: Input<'_>, now: ClusterTime, out: &mut Vec<Output>) {
        use NonInviteClientState::{Completed, Proceeding, Terminated, Trying};
        match (self.state, input) {
            (Trying | Proceeding, Input::Response(Kind::Provisional, response)) => {
                self.state = Proceeding;
                out.push(Output::Response(response.clone()));
            }
            (Trying | Proceeding, Input::Response(Kind::Success | Kind::Failure, response)) => {
                self.enter(Completed, Some(now + timer::T4));
                out.push(Output::Response(response.clone()));
            }
            (Completed, Input::Response(..)) => {}
            (Trying, Input::Retransmission) => {
                self.retransmission = self.retransmission.as_ref().map(|timer| timer.doubled(now, timer::T2));
                out.extend(self.resend().map(Output::Send));
            }
            (Proceeding, Input::Retransmission) => {
                // Once the other side has the request, timer E is T2 (section 17.1.2.2).
                self.retransmission = Some(Retransmission::start(now, timer::T2));
                out.extend(self.resend().map(Output::Send));
            }
            (Completed, Input::Retransmission) => self.retransmission = None,
            (Trying | Proceeding, Input::End) => {
                self.enter(Terminated, None);
                out.extend([Output::TimedOut, Output::Terminated]);
            }
            (Completed, Input::End) => {
                self.enter(Terminated, None);
                out.push(Output::Terminated);
            }
            (Terminated, Input::Response(..) | Input::Retransmission | Input::End) => {}
        }
    }

    fn enter(&mut self, state: NonInviteClientState, end: Option<ClusterTime>) {
        self.state = state;
        self.retransmission = None;
        self.end = end;
    }
}

#[cfg(test)]
mod tests;
