//! What the machine is told when it is made: by its operator, by its parent, and by its disk.

use base::{ClusterTime, Epoch, Level, NodeIndex};
use minicbor::{Decode, Encode};

use super::Safeguards;
use crate::heartbeat::Drain;
use crate::timing::Timing;

/// Whether the role goes back to the node of greater priority by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub enum Failback {
    /// Only when an operator asks: each move is a risk and a short silence.
    #[default]
    #[n(0)]
    Manual,
    /// When it has been in step for the settling time.
    #[n(1)]
    Automatic,
}

/// The parent kept the address because no protected peer existed when the daemon died: serve again at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ResumeActive {
    /// The epoch of the daemon that died, as far as the parent knows it.
    #[n(0)]
    pub epoch: Epoch,
}

/// What does not change during the life of a daemon.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Settings {
    #[n(0)]
    pub index: NodeIndex,
    #[n(1)]
    pub name: String,
    /// Who is active when both are well and neither has more: the greater one.
    #[n(2)]
    pub priority: u8,
    /// Without a peer the node is active at once and stays alone.
    #[n(3)]
    pub has_peer: bool,
    #[n(4)]
    pub failback: Failback,
    #[n(5)]
    pub timing: Timing,
    #[n(6)]
    pub restart: Option<ResumeActive>,
    /// What this program can read: the peer is told.
    #[n(20)]
    pub level: Level,
    /// What stands between this node and a second master.
    #[n(7)]
    #[cbor(default)]
    pub safeguards: Safeguards,
}

/// What the disk remembers of epochs, of the peer, and of the operator's wishes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Durable {
    /// The greatest one known: of the last `EpochKnown` that was written and of the journal's last entry.
    #[n(0)]
    pub epoch: Epoch,
    /// The last `ReserveEpoch` that was written. It may have been used, so it is not used again after a restart.
    #[n(1)]
    pub reserved: Epoch,
    /// What the peer could read when it was last heard; `None` before that.
    #[n(2)]
    pub peer_level: Option<Level>,
    /// What an operator has said last.
    #[n(3)]
    #[cbor(default)]
    pub drain: Drain,
    /// Since when phones were told what the peer may not have; `None` where it has everything. With it a node that dies
    /// before the peer has taken that over still knows what of its log is news to the peer.
    #[n(4)]
    pub alone_since: Option<ClusterTime>,
}
