//! What the pair writes: no more than the lesser of its two programs can read (see `base::level`).

use base::Level;

use super::Node;
use crate::action::{Action, Tell};

impl Node {
    /// What this node and its peer, as it was last heard, both know: nothing newer goes into the log. It is on the disk,
    /// so that a node whose older peer is away still writes what that one can read when it is back.
    pub fn level(&self) -> Level {
        let own = self.settings.level;
        if self.settings.links == 0 {
            return own;
        }
        own.min(self.durable.peer_level.unwrap_or(Level::FIRST)).max(Level::OLDEST)
    }

    /// After each heartbeat, before anything else is made of it: from here on no more is written than the peer can read.
    pub(super) fn watch_level(&mut self) {
        let peer = self.cluster.peer();
        if !peer.up || self.durable.peer_level == Some(peer.level) {
            return;
        }
        let (before, own) = (self.level(), self.settings.level);
        let known = self.durable.peer_level.replace(peer.level).is_some();
        self.actions.push(Action::KeepDurable(self.durable));
        let level = self.level();
        // Of two programs in one pair people hear when it begins and when it ends.
        if level != before || (!known && level < own) {
            self.actions.push(Action::Tell(Tell::Level { level, own }));
        }
        if level != before {
            self.pbx.set_levels(own, level);
        }
    }

    /// The peer can read the least that this program can write.
    pub(super) fn peer_can_read(&self) -> bool {
        self.cluster.peer().level >= Level::OLDEST
    }
}
