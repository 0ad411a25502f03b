//! Why a role changes, in words for the event log: what the node was told in the step that changed it.

use cluster::Role;

use super::Node;
use crate::event::Event;

/// What a step began with, as far as it explains a change of role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Trigger {
    #[default]
    Time,
    /// The peer's parent says that its daemon is dead.
    Farewell,
    /// The peer said something.
    Peer,
    /// The peer handed over.
    HandedOver,
    Carrier,
    /// Something that is tracked has changed.
    Track,
    /// The witness answered.
    Witness,
    /// The fencing program ended.
    Fenced,
    Operator,
}

impl Trigger {
    pub(super) fn of(event: &Event) -> Self {
        match event {
            Event::Farewell { .. } => Self::Farewell,
            Event::Peer { .. } => Self::Peer,
            Event::Carrier { .. } => Self::Carrier,
            Event::Measured { .. } => Self::Track,
            Event::Witness { .. } => Self::Witness,
            Event::Fenced { .. } => Self::Fenced,
            Event::Asked { .. } => Self::Operator,
            _ => Self::Time,
        }
    }
}

impl Node {
    /// Why we serve from now on. `before` is the role that we had.
    pub(super) fn cause_active(&self, before: Role) -> &'static str {
        if self.settings.links == 0 {
            return "this node has no peer";
        }
        if self.settings.restart.is_some() && before == Role::Starting {
            return "restarted while it served alone";
        }
        match (self.trigger, before) {
            (Trigger::HandedOver, _) => "the peer handed over",
            (Trigger::Farewell, _) => "the peer's program ended",
            (_, Role::Active) => "a split healed and this side goes on",
            (_, Role::Starting) => "nobody else served",
            (Trigger::Peer, _) => "the peer gave up the role or began anew",
            (Trigger::Track, _) => "this node can serve again and the peer is silent",
            (Trigger::Carrier, _) => "the interface has a carrier again and the peer is silent",
            (Trigger::Witness, _) => "the peer fell silent on every link, and the witness gave its consent",
            (Trigger::Fenced, _) => "the peer fell silent on every link and was fenced",
            (Trigger::Time | Trigger::Operator, _) => "the peer fell silent on every link",
        }
    }

    /// Why we do not serve from now on.
    pub(super) fn cause_standby(&self, before: Role) -> &'static str {
        match (before, self.trigger) {
            (Role::Starting, _) => "the peer serves",
            _ if self.cluster.has_resigned() => "neither the peer nor the witness answers, so the peer may serve",
            _ if self.handed_over && self.cluster.peer().up => "handed over to the peer",
            (_, Trigger::Operator | Trigger::Time | Trigger::Carrier | Trigger::Track) => "this node stops",
            _ => "the peer serves in a later epoch",
        }
    }
}
