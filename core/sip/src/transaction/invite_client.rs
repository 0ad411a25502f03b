//! The INVITE client transaction (RFC 3261 section 17.1.1, RFC 6026 section 7.2).

use std::net::SocketAddr;

use base::ClusterTime;
use minicbor::{Decode, Encode};

use super::timer::{self, Due, Retransmission};
use super::{Kind, Output, Path, Transmit};
use crate::message::{CSeq, Fields, MAX_FORWARDS, Request, Response};
use crate::method::Method;

/// ```text
///                    start: send INVITE, arm A and B
///                                  |
///            A: send INVITE   +---------+   B: timed out
///                      +------| Calling |--------------------------+
///                      +----->|         |---------------+          |
///                             +---------+               |          |
///                 1xx: deliver   |  |  2xx: deliver     |          |
///                +---------------+  +-------------+     |          |
///                v                                |     | 300-699: |
///          +------------+   2xx: deliver          |     | ACK,     |
///   1xx +--| Proceeding |--------------------+    |     | deliver  |
///       +->|            |   cancelled and B: |    |     |          |
///          |            |-- timed out -------|----|-----|--------->|
///          +------------+                    |    |     |          |
///                | 300-699: ACK, deliver     |    |     |          |
///                v                           |    |     |          |
///          +-----------+                     |    |     |          |
///   ACK +--| Completed |<--------------------|----|-----+          |
///       +->|           |                     v    v                |
///   on     +-----------+              +----------+                 |
///   300-699      |              2xx +-| Accepted |                 |
///                | D        deliver +>|          |                 |
///                |                    +----------+                 |
///                |                         | M                     v
///                |                         |                 +------------+
///                +-------------------------+---------------->| Terminated |
///                                                            +------------+
/// ```
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct InviteClient {
    #[n(0)]
    state: InviteClientState,
    #[n(1)]
    path: Path,
    #[n(2)]
    branch: String,
    #[n(3)]
    request: Request,
    /// The ACK of the final response that is not a 2xx.
    #[n(4)]
    ack: Option<Request>,
    /// Timer A.
    #[n(5)]
    retransmission: Option<Retransmission>,
    /// Timer B, D or M, whichever the state has.
    #[n(6)]
    end: Option<ClusterTime>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum InviteClientState {
    /// Nothing came back yet.
    #[n(0)]
    Calling,
    /// A provisional response came.
    #[n(1)]
    Proceeding,
    /// A final response but a 2xx came; its retransmissions are acknowledged.
    #[n(2)]
    Completed,
    /// A 2xx came; each further one is delivered (RFC 6026).
    #[n(3)]
    Accepted,
    #[n(4)]
    Terminated,
}

enum Input<'a> {
    Response(Kind, &'a Response),
    Retransmission,
    End,
}

impl InviteClient {
    /// Sends `request`, an INVITE whose top Via is ours.
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
            state: InviteClientState::Calling,
            path,
            branch,
            request: request.clone(),
            ack: None,
            retransmission: Some(Retransmission::start(now, timer::T1)),
            end: Some(now + timer::GIVE_UP),
        }
    }

    pub fn state(&self) -> InviteClientState {
        self.state
    }

    pub fn request(&self) -> &Request {
        &self.request
    }

    pub fn branch(&self) -> &str {
        &self.branch
    }

    pub fn is_terminated(&self) -> bool {
        self.state == InviteClientState::Terminated
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

    /// What to send again after a takeover: the INVITE until a final response came (in Proceeding it makes the other
    /// side repeat its provisional response), then the ACK of a final response that is not a 2xx.
    pub fn resend(&self) -> Option<Transmit> {
        let message = match self.state {
            InviteClientState::Calling | InviteClientState::Proceeding => Some(&self.request),
            InviteClientState::Completed => self.ack.as_ref(),
            InviteClientState::Accepted | InviteClientState::Terminated => None,
        };
        message.map(|message| self.path.transmit(message.to_bytes()))
    }

    /// True when a CANCEL may be sent: before a provisional response it must wait for one, after a final response it
    /// has no effect (RFC 3261 section 9.1).
    pub fn may_cancel(&self) -> bool {
        self.state == InviteClientState::Proceeding
    }

    /// The CANCEL of this INVITE, with its branch (RFC 3261 section 9.1). It is sent through a client transaction of
    /// its own; tell this one with [`InviteClient::cancelled`].
    pub fn cancel_request(&self) -> Request {
        self.hop_request(Method::Cancel, self.request.header("To").unwrap_or_default())
    }

    /// A CANCEL was sent: if no final response comes within 64*T1, the INVITE is over (RFC 3261 section 9.1).
    pub fn cancelled(&mut self, now: ClusterTime) {
        if self.state == InviteClientState::Proceeding && self.end.is_none() {
            self.end = Some(now + timer::GIVE_UP);
        }
    }

    fn step(&mut self, input: Input<'_>, now: ClusterTime, out: &mut Vec<Output>) {
        use InviteClientState::{Accepted, Calling, Completed, Proceeding, Terminated};
        match (self.state, input) {
            (Calling, Input::Response(Kind::Provisional, response)) => {
                self.enter(Proceeding, None);
                out.push(Output::Response(response.clone()));
            }
            (Proceeding, Input::Response(Kind::Provisional, response)) => out.push(Output::Response(response.clone())),
            (Calling | Proceeding, Input::Response(Kind::Success, response)) => {
                self.enter(Accepted, Some(now + timer::GIVE_UP));
                out.push(Output::Response(response.clone()));
            }
            (Accepted, Input::Response(Kind::Success, response)) => out.push(Output::Response(response.clone())),
            (Calling | Proceeding, Input::Response(Kind::Failure, response)) => {
                self.enter(Completed, Some(now + timer::D));
                self.ack = Some(self.ack_of(response));
                out.extend(self.resend().map(Output::Send));
                out.push(Output::Response(response.clone()));
            }
            (Completed, Input::Response(Kind::Failure, _)) => out.extend(self.resend().map(Output::Send)),
            // A response that contradicts the final one is of no use to anybody.
            (Completed, Input::Response(Kind::Provisional | Kind::Success, _))
            | (Accepted, Input::Response(Kind::Provisional | Kind::Failure, _)) => {}
            (Calling, Input::Retransmission) => {
                // Timer A doubles without bound (section 17.1.1.2); timer B ends it.
                self.retransmission = self.retransmission.as_ref().map(|timer| timer.doubled(now, timer::GIVE_UP));
                out.extend(self.resend().map(Output::Send));
            }
            (Proceeding | Completed | Accepted, Input::Retransmission) => self.retransmission = None,
            (Calling | Proceeding, Input::End) => {
                self.enter(Terminated, None);
                out.extend([Output::TimedOut, Output::Terminated]);
            }
            (Completed | Accepted, Input::End) => {
                self.enter(Terminated, None);
                out.push(Output::Terminated);
            }
            (Terminated, Input::Response(..) | Input::Retransmission | Input::End) => {}
        }
    }

    fn enter(&mut self, state: InviteClientState, end: Option<ClusterTime>) {
        self.state = state;
        self.retransmission = None;
        self.end = end;
    }

    /// The ACK of a final response that is not a 2xx, with the To of the response (RFC 3261 section 17.1.1.3).
    fn ack_of(&self, response: &Response) -> Request {
        self.hop_request(Method::Ack, response.header("To").unwrap_or_default())
    }

    /// An ACK or CANCEL that follows the INVITE hop by hop: one Via, the same Call-ID, From, CSeq number and Route.
    fn hop_request(&self, method: Method, to: &str) -> Request {
        let mut request = Request::new(method.clone(), self.request.uri.clone());
        let header = |name| self.request.header(name).unwrap_or_default();
        request.headers.push("Via", header("Via"));
        for route in self.request.headers.values("Route") {
            request.headers.push("Route", route);
        }
        request.headers.push("Max-Forwards", MAX_FORWARDS);
        request.headers.push("From", header("From"));
        request.headers.push("To", to);
        request.headers.push("Call-ID", header("Call-ID"));
        let cseq = CSeq { number: self.request.cseq().number, method };
        request.headers.push("CSeq", cseq.to_string());
        request
    }
}

#[cfg(test)]
mod tests;
