//! The INVITE server transaction (RFC 3261 section 17.2.1, RFC 6026 section 7.1), with the retransmission of 2xx that
//! RFC 3261 section 13.3.1.4 leaves to the user: it must be in one place, so that a takeover continues it.

use std::net::SocketAddr;

use base::ClusterTime;
use minicbor::{Decode, Encode};

use super::timer::{self, Due, Retransmission};
use super::{Kind, Output, Path, Sent, Transmit};
use crate::message::{Request, Response, response_destination};

/// ```text
///                       receive
///                          |
///   1xx: send       +------------+   INVITE again: send the last 1xx
///            +------| Proceeding |------+
///            +----->|            |<-----+
///                   +------------+
///      300-699: send   |      |   2xx: send, arm G and L
///      arm G and H     |      +--------------------+
///                      v                           v
///              +-----------+                 +----------+  G: send the 2xx, until its ACK
///   G or    +--| Completed |----+            | Accepted |-----+
///   INVITE: +->|           |    |            |          |<----+
///   send       +-----------+    |            +----------+
///       ACK: acked   |          | H: timed        |  L: timed out, unless
///       arm I        v          | out             |  the ACK came
///              +-----------+    |                 |
///              | Confirmed |    |                 |
///              +-----------+    v                 v
///                 I  |     +------------+         |
///                    +---->| Terminated |<--------+
///                          +------------+
/// ```
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct InviteServer {
    #[n(0)]
    state: InviteServerState,
    #[n(1)]
    path: Path,
    #[n(2)]
    last: Option<Sent>,
    /// Timer G; in Accepted it stops with the ACK.
    #[n(3)]
    retransmission: Option<Retransmission>,
    /// Timer H, I or L, whichever the state has.
    #[n(4)]
    end: Option<ClusterTime>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum InviteServerState {
    /// No final response was sent yet.
    #[n(0)]
    Proceeding,
    /// A final response but a 2xx was sent and waits for its ACK.
    #[n(1)]
    Completed,
    /// The ACK came; its retransmissions are absorbed.
    #[n(2)]
    Confirmed,
    /// A 2xx was sent; retransmitted INVITEs are absorbed (RFC 6026).
    #[n(3)]
    Accepted,
    #[n(4)]
    Terminated,
}

enum Input<'a> {
    Respond(Kind, &'a Response),
    Invite,
    Ack,
    Retransmission,
    End,
}

impl InviteServer {
    /// Takes an INVITE that came to our socket `local` from `source`.
    pub fn receive(request: &Request, local: SocketAddr, source: SocketAddr, _now: ClusterTime) -> Self {
        let path = Path { local, destination: response_destination(request, source) };
        Self { state: InviteServerState::Proceeding, path, last: None, retransmission: None, end: None }
    }

    pub fn state(&self) -> InviteServerState {
        self.state
    }

    pub fn is_terminated(&self) -> bool {
        self.state == InviteServerState::Terminated
    }

    /// True when the 2xx was sent and its ACK has not come.
    pub fn awaits_ack_of_success(&self) -> bool {
        self.state == InviteServerState::Accepted && self.retransmission.is_some()
    }

    pub fn deadline(&self) -> Option<ClusterTime> {
        timer::earlier(self.retransmission.as_ref(), self.end)
    }

    /// The INVITE came again.
    pub fn retransmitted(&mut self, now: ClusterTime, out: &mut Vec<Output>) {
        self.step(Input::Invite, now, out);
    }

    pub fn respond(&mut self, response: &Response, now: ClusterTime, out: &mut Vec<Output>) {
        self.step(Input::Respond(Kind::of(response), response), now, out);
    }

    /// The ACK came: that of a non-2xx by its branch, that of a 2xx by its dialog.
    pub fn acked(&mut self, now: ClusterTime, out: &mut Vec<Output>) {
        self.step(Input::Ack, now, out);
    }

    pub fn timeout(&mut self, now: ClusterTime, out: &mut Vec<Output>) {
        match timer::due(self.retransmission.as_ref(), self.end, now) {
            Due::Nothing => {}
            Due::Retransmission => self.step(Input::Retransmission, now, out),
            Due::End => self.step(Input::End, now, out),
        }
    }

    /// What to send again after a takeover: the last response, unless its ACK came.
    pub fn resend(&self) -> Option<Transmit> {
        let live = match self.state {
            InviteServerState::Proceeding | InviteServerState::Completed => true,
            InviteServerState::Accepted => self.awaits_ack_of_success(),
            InviteServerState::Confirmed | InviteServerState::Terminated => false,
        };
        self.last.as_ref().filter(|_| live).map(|last| self.path.transmit(last.bytes.clone()))
    }

    fn step(&mut self, input: Input<'_>, now: ClusterTime, out: &mut Vec<Output>) {
        use InviteServerState::{Accepted, Completed, Confirmed, Proceeding, Terminated};
        match (self.state, input) {
            (Proceeding, Input::Respond(Kind::Provisional, response)) => self.send(response, out),
            (Proceeding, Input::Respond(Kind::Success, response)) => {
                self.enter(Accepted, Some(Retransmission::start(now, timer::T1)), Some(now + timer::GIVE_UP));
                self.send(response, out);
            }
            (Proceeding, Input::Respond(Kind::Failure, response)) => {
                self.enter(Completed, Some(Retransmission::start(now, timer::T1)), Some(now + timer::GIVE_UP));
                self.send(response, out);
            }
            // The user may pass its 2xx down again (RFC 6026 section 7.1); the ACK of the first one still counts.
            (Accepted, Input::Respond(Kind::Success, response)) => self.send(response, out),
            // Nothing may follow a final response but itself.
            (Accepted, Input::Respond(Kind::Provisional | Kind::Failure, _))
            | (Completed | Confirmed, Input::Respond(..)) => {}
            (Proceeding | Completed, Input::Invite) => out.extend(self.resend().map(Output::Send)),
            // Timer G repeats the 2xx anyway; a second copy per INVITE would only add to the load.
            (Accepted | Confirmed, Input::Invite) => {}
            (Completed, Input::Ack) => {
                self.enter(Confirmed, None, Some(now + timer::T4));
                out.push(Output::Acked);
            }
            (Accepted, Input::Ack) => self.retransmission = None,
            (Proceeding | Confirmed, Input::Ack) => {}
            (Completed | Accepted, Input::Retransmission) => {
                self.retransmission = self.retransmission.as_ref().map(|timer| timer.doubled(now, timer::T2));
                out.extend(self.resend().map(Output::Send));
            }
            (Proceeding | Confirmed, Input::Retransmission) => self.retransmission = None,
            (Accepted, Input::End) => {
                let unacknowledged = self.awaits_ack_of_success();
                self.enter(Terminated, None, None);
                out.extend(unacknowledged.then_some(Output::TimedOut));
                out.push(Output::Terminated);
            }
            (Completed, Input::End) => {
                self.enter(Terminated, None, None);
                out.extend([Output::TimedOut, Output::Terminated]);
            }
            (Proceeding | Confirmed, Input::End) => {
                self.enter(Terminated, None, None);
                out.push(Output::Terminated);
            }
            (Terminated, Input::Respond(..) | Input::Invite | Input::Ack | Input::Retransmission | Input::End) => {}
        }
    }

    fn enter(&mut self, state: InviteServerState, retransmission: Option<Retransmission>, end: Option<ClusterTime>) {
        self.state = state;
        self.retransmission = retransmission;
        self.end = end;
    }

    fn send(&mut self, response: &Response, out: &mut Vec<Output>) {
        let sent = Sent::new(response);
        out.push(Output::Send(self.path.transmit(sent.bytes.clone())));
        self.last = Some(sent);
    }
}

#[cfg(test)]
mod tests;
