//! An operator takes this node out of service, and puts it back.

use cluster::{Drain, Role};

use super::Node;
use crate::action::{Action, Tell};
use crate::event::Now;
use crate::status::Answer;

impl Node {
    pub(super) fn drain(&mut self, now: Now, drain: Drain) -> Answer {
        if let Err(text) = self.may_drain(drain) {
            return Answer::Refused { text };
        }
        let news = self.durable.drain != drain;
        self.durable.drain = drain;
        self.pbx.set_closed(drain == Drain::Calls);
        if news {
            // It is kept across restarts: what is stopped for a new disk must not serve when it is switched on.
            self.actions.push(Action::KeepDurable(self.durable));
            self.actions.push(Action::Tell(Tell::Drain(drain)));
        }
        let outputs = self.cluster.set_drain(now.local, drain);
        self.take_cluster_outputs(now, outputs);
        let hands_over = matches!(drain, Drain::Drained | Drain::Never) && self.cluster.role() == Role::Active;
        if hands_over && let Ok(outputs) = self.cluster.step_down(now.local) {
            self.take_cluster_outputs(now, outputs);
            return Answer::Done { text: "drained: handing over to the peer".into() };
        }
        let text = match drain {
            Drain::Ended => "not drained any more: this node serves when it is needed",
            Drain::Drained => "drained: this node stands by, and serves only if the peer dies",
            Drain::Never => {
                "drained for good: this node will not serve even if the peer dies. NOT PROTECTED until then"
            }
            Drain::Calls => "new calls are refused; those that there are go on until they end",
        };
        Answer::Done { text: text.into() }
    }

    /// Why not, if it would cost calls or mean nothing.
    fn may_drain(&self, drain: Drain) -> Result<(), String> {
        let serves = self.cluster.role() == Role::Active;
        match drain {
            Drain::Ended => Ok(()),
            Drain::Drained | Drain::Never if self.settings.links == 0 => {
                Err("this node has no peer that could serve; `tandem drain --calls` lets its calls come to an end"
                    .into())
            }
            Drain::Drained | Drain::Never if serves => self.cluster.may_step_down().map_err(|refused| {
                format!("nobody can take over: {refused}; `tandem drain --calls` lets the calls come to an end")
            }),
            Drain::Drained | Drain::Never => Ok(()),
            Drain::Calls if !serves => Err("this node has no calls: it does not serve".into()),
            Drain::Calls if self.protection.on => {
                Err("the peer can take the calls over: `tandem drain` without --calls loses none".into())
            }
            Drain::Calls => Ok(()),
        }
    }

    /// The role is lost to those who want it lost: an operator has taken a node out of service.
    pub(super) fn is_unprotected_on_purpose(&self) -> bool {
        !self.protection.on && (self.cluster.peer().drain.is_on() || self.cluster.drain() == Drain::Never)
    }

    /// A standby that never takes over protects nobody, however much it knows.
    pub(super) fn standby_may_serve(&self) -> bool {
        let drain = match self.cluster.role() {
            Role::Active => self.cluster.peer().drain,
            Role::Standby | Role::Starting => self.cluster.drain(),
        };
        drain != Drain::Never
    }
}

/// For `status`: `None` where nobody wants the node out.
pub(super) fn word(drain: Drain) -> Option<String> {
    let word = match drain {
        Drain::Ended => return None,
        Drain::Drained => "drained",
        Drain::Never => "never",
        Drain::Calls => "calls",
    };
    Some(word.into())
}
