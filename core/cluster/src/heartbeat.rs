//! The heartbeat: what a node tells its peer about itself every 30 ms on every link.

use std::net::IpAddr;

use base::{ClusterTime, Epoch, Incarnation, Level, NodeIndex, Position};
use minicbor::{Decode, Decoder, Encode};

#[cfg(test)]
mod tests;

/// The longest encoded heartbeat; it fits a datagram on any link with room for encryption. Longer ones are refused.
pub const HEARTBEAT_BYTES_MAX: usize = 512;

/// The longest node name: what a host name may have (RFC 1035, section 2.3.4). Longer ones are refused.
pub const NAME_BYTES_MAX: usize = 63;

/// What a node is within the pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum Role {
    /// Listening for an active peer, or waiting to learn which of two starting nodes leads.
    #[default]
    #[n(0)]
    Starting,
    /// Following an active peer, ready to take over.
    #[n(1)]
    Standby,
    /// Serving: holds the address and writes the log.
    #[n(2)]
    Active,
}

/// Whether an operator wants the node out of service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode)]
#[cbor(index_only)]
pub enum Drain {
    /// It serves as it comes.
    #[default]
    #[n(0)]
    Ended,
    /// It stands by, and serves only where nobody else can.
    #[n(1)]
    Drained,
    /// It does not serve whatever happens.
    #[n(2)]
    Never,
    /// As `Drained`, and while nobody else can serve it takes no new calls.
    #[n(3)]
    Calls,
}

impl Drain {
    /// The node is wanted out of service, in whatever way.
    pub fn is_on(self) -> bool {
        self != Self::Ended
    }
}

/// A way to be out that a later version has is the mildest one to us: a heartbeat that cannot be read is a peer that
/// is not there.
impl<'b, C> Decode<'b, C> for Drain {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        Ok(match d.u32()? {
            0 => Self::Ended,
            2 => Self::Never,
            3 => Self::Calls,
            _ => Self::Drained,
        })
    }
}

/// One heartbeat. The shell authenticates it; the machine refuses replays by incarnation and sequence.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Heartbeat {
    /// What the node can read, and writes at most; 0 in no node that was ever released.
    #[n(0)]
    pub level: Level,
    #[n(1)]
    pub incarnation: Incarnation,
    /// Grows with each heartbeat of the incarnation; the copies on several links share one number.
    #[n(2)]
    pub sequence: u64,
    #[n(3)]
    pub index: NodeIndex,
    #[n(4)]
    pub role: Role,
    /// Active: the epoch it leads in. Else: the greatest one it knows.
    #[n(5)]
    pub epoch: Epoch,
    #[n(6)]
    pub priority: u8,
    /// Where its log stands.
    #[n(7)]
    pub position: Position,
    /// Standby: it has everything that the active node has told the phones, and would take over at once.
    #[n(8)]
    pub synced: bool,
    /// Active: it has told the phones what the peer has not acknowledged.
    #[n(9)]
    pub alone: bool,
    /// It has stopped serving on purpose and will be silent.
    #[n(10)]
    pub leaving: bool,
    /// It can serve: its interfaces have a carrier, and nothing that it tracks is a fault.
    #[n(11)]
    pub carrier: bool,
    #[n(12)]
    pub cluster_time: ClusterTime,
    /// Active: since when it has heard phones without a peer that has everything; `None` until that is proof.
    #[n(13)]
    pub heard_phones_at: Option<ClusterTime>,
    /// The peer's incarnation that it hears. Since incarnations are random, this proves that the heartbeat was made
    /// during that life of the peer.
    #[n(14)]
    pub heard: Option<Incarnation>,
    #[n(15)]
    pub name: String,
    #[n(16)]
    #[cbor(default)]
    pub reach: Reach,
    /// Where its VRRP adverts come from, if it sends any: they are the pair's and no foreign router's.
    #[n(17)]
    pub router: Option<IpAddr>,
    /// Whether an operator wants it out of service; `None` where nobody does, as before there was such a wish.
    #[n(20)]
    pub drain: Option<Drain>,
    /// The greatest sequence of the life that `heard` names: since the sender heard that one it counts our silence.
    #[n(21)]
    pub echo: Option<u64>,
    /// Whether it hears the pair's witness; `None` when it knows of none.
    #[n(22)]
    pub witness: Option<bool>,
    /// How many of its ping targets answer; `None` when it has none, or does not know yet.
    #[n(23)]
    pub pings: Option<u8>,
    /// How much what it tracks subtracts from its priority; none where nothing does.
    #[n(24)]
    pub penalty: Option<u8>,
}

/// How well phones reach an active node, as a reason to stay when both are active. A later one outweighs an earlier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
#[cbor(index_only)]
pub enum Reach {
    /// None was heard, or it is not active.
    #[default]
    #[n(0)]
    Unheard,
    /// Some were heard in this reign, since it last slept.
    #[n(1)]
    Reign,
    /// Some were heard since it is alone, perhaps only after the heal: they may come a moment before the peer does.
    #[n(2)]
    Alone,
    /// Some were heard so long while it was alone that the peer would have been heard, too.
    #[n(3)]
    Proven,
}

/// Why bytes are not a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeartbeatError {
    #[error("a heartbeat has {bytes} bytes, more than {HEARTBEAT_BYTES_MAX}")]
    TooLong { bytes: usize },
    #[error("the bytes are not a heartbeat")]
    Malformed,
    #[error("a heartbeat's node name has {bytes} bytes, more than {NAME_BYTES_MAX}")]
    NameTooLong { bytes: usize },
}

impl Heartbeat {
    /// The encoding; within `HEARTBEAT_BYTES_MAX` when the name is within `NAME_BYTES_MAX`.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let Ok(()) = minicbor::encode(self, &mut bytes) else { unreachable!("a vector takes every byte") };
        bytes
    }

    /// Reads exactly one heartbeat that fills `bytes`, and checks every bound.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeartbeatError> {
        if bytes.len() > HEARTBEAT_BYTES_MAX {
            return Err(HeartbeatError::TooLong { bytes: bytes.len() });
        }
        let mut decoder = Decoder::new(bytes);
        let heartbeat: Self = decoder.decode().map_err(|_| HeartbeatError::Malformed)?;
        if decoder.position() != bytes.len() {
            return Err(HeartbeatError::Malformed);
        }
        if heartbeat.name.len() > NAME_BYTES_MAX {
            return Err(HeartbeatError::NameTooLong { bytes: heartbeat.name.len() });
        }
        Ok(heartbeat)
    }
}
