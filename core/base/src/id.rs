//! Names of nodes, epochs and places in the log.

use std::fmt;

use minicbor::{Decode, Encode};

/// Which of the pair this node is: 0 for the node with the lower address on the first peer link, 1 for the other.
/// A node without a peer is 0. Splits RTP ports and ids, so that both nodes can make new ones during a split.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct NodeIndex(#[n(0)] pub u8);

/// A reign of one node. The greater epoch wins; an epoch fences, it does not vote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Epoch {
    #[n(0)]
    pub number: u64,
    #[n(1)]
    pub node: NodeIndex,
}

impl Epoch {
    /// The epoch that `node` takes after this one. A number at its end stays there: only a peer that has lost its mind
    /// says one, and a panic would end both nodes.
    pub fn next(self, node: NodeIndex) -> Self {
        Self { number: self.number.saturating_add(1), node }
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.number, self.node.0)
    }
}

/// Log sequence number: the number of a step's entry in the log, from 1; goes on across epochs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct Lsn(#[n(0)] pub u64);

impl Lsn {
    pub const ZERO: Self = Self(0);

    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An entry of the log: two logs that hold the same position have the same history up to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Position {
    #[n(0)]
    pub epoch: Epoch,
    #[n(1)]
    pub lsn: Lsn,
}

/// One life of a daemon process, made at random when it starts; names who is meant in a farewell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct Incarnation(#[n(0)] pub u64);
