//! What operators want of the role: that the other node serves, that this one is out of service.
//!
//! A drained node stands by like any other and takes over when the peer dies, because phones come first; but it is not
//! handed the role, and hands it back. One that is never to serve does not take over either, and protects nobody.

use base::LocalTime;

use super::Cluster;
use crate::heartbeat::Drain;
use crate::output::{Output, SwitchOverRefused};

impl Cluster {
    /// An operator wants the other node to serve.
    pub fn switch_over(&mut self, now: LocalTime) -> Result<Vec<Output>, SwitchOverRefused> {
        self.may_step_down()?;
        if self.peer.view.drain.is_on() {
            return Err(SwitchOverRefused::PeerDrained);
        }
        self.step_down(now)
    }

    /// This node is to serve no more: the other one takes over if it can, drained or not.
    pub fn step_down(&mut self, now: LocalTime) -> Result<Vec<Output>, SwitchOverRefused> {
        self.may_hand_over()?;
        let mut out = Vec::new();
        self.forgive_own_stall(now, &mut out);
        self.begin_hand_over(now, &mut out);
        self.finish(now, &mut out);
        Ok(out)
    }

    /// What the operator wants from now on. An active node is to `step_down` then.
    pub fn set_drain(&mut self, now: LocalTime, drain: Drain) -> Vec<Output> {
        let mut out = Vec::new();
        self.forgive_own_stall(now, &mut out);
        if self.drain != drain {
            let stayed_out = std::mem::replace(&mut self.drain, drain) == Drain::Never;
            self.noticed.no_carrier = false;
            self.heartbeat_due = true;
            if stayed_out {
                // It did not wait for a leader's silence until now.
                self.leader_heard_at = self.leader_heard_at.max(now);
                self.listen_until = self.listen_until.max(now + self.settings.timing.down_after);
            }
            self.judge(now, &mut out);
        }
        self.finish(now, &mut out);
        out
    }

    pub fn drain(&self) -> Drain {
        self.drain
    }

    /// Whether the role can be moved by choice now, and why not.
    pub fn may_step_down(&self) -> Result<(), SwitchOverRefused> {
        self.may_hand_over()?;
        if self.follower_behind { Err(SwitchOverRefused::PeerBehind) } else { Ok(()) }
    }

    /// The other node is to have the role rather than we, as far as operators' wishes tell.
    pub(super) fn is_out_beside_peer(&self) -> bool {
        self.drain.is_on() && !self.peer.view.drain.is_on()
    }
}
