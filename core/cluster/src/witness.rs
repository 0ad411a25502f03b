//! The witness: a third machine that lets at most one node of a pair serve while the two do not hear each other.
//!
//! A node asks about every 30 ms, the witness answers. `referee` is the witness's side of one pair, `lease` the side
//! of a node. Both are pure; whoever carries what they say authenticates it. What makes them safe: a node counts its
//! lease from the moment at which it asked, the witness from the later one at which it was asked, and the witness's is
//! longer by `TO_ACT`. Whoever lets the other node have the lease has therefore seen the end of the first one's.
//! Where a store that others run takes the witness's place, a `deputy` on each node answers its asks.

use std::time::Duration;

use base::{Epoch, Incarnation, NodeIndex};
use minicbor::{Decode, Decoder, Encode};

pub mod deputy;
pub mod lease;
pub mod referee;
pub mod terms;

pub use deputy::Deputy;
pub use lease::{Lease, Mode};
pub use referee::Referee;
pub use terms::{Kind, Terms};

/// The version of what both sides mean. Fields may be added under new numbers without a new version.
pub const VERSION: u16 = 1;

/// How long a granted lease binds a witness on a third machine: shorter than the silence after which a peer is down, so that the role is
/// free when it is asked for.
pub const LEASE: Duration = Duration::from_millis(100);

/// A node gives the role up so long before the witness may grant it to the other one: it has to notice and to have the
/// address removed.
pub const TO_ACT: Duration = Duration::from_millis(15);

/// The longest encoded ask or answer; longer ones are refused.
pub const MESSAGE_BYTES_MAX: usize = 256;

/// What a node asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Want {
    /// Only to hear that the witness is there. A holder that asks so gives its lease up.
    #[default]
    #[n(0)]
    Watch,
    /// The lease, for the first time or on.
    #[n(1)]
    Hold,
    /// To look at the witness from outside of the pair's life. It changes nothing.
    #[n(2)]
    Look,
}

/// What a node says to the witness.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Ask {
    #[n(0)]
    pub version: u16,
    #[n(1)]
    pub index: NodeIndex,
    #[n(2)]
    pub incarnation: Incarnation,
    /// Grows with each ask of the incarnation.
    #[n(3)]
    pub sequence: u64,
    /// What the witness gave this incarnation to say; 0 until then. It proves that the ask is no replay.
    #[n(4)]
    pub challenge: u64,
    #[n(5)]
    pub want: Want,
    /// The node holds a lease that has not run out. A witness that has just started believes it.
    #[n(6)]
    pub holding: bool,
    /// The greatest one that the node knows.
    #[n(7)]
    pub epoch: Epoch,
    /// As active: phones were told what the other node does not have.
    #[n(8)]
    pub alone: bool,
    /// The other node's daemon that is proven to be dead: its lease, if it is the holder, has no owner.
    #[n(9)]
    pub gone: Option<Incarnation>,
}

/// What the witness decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Verdict {
    /// The challenge was wrong or missing: ask again with the one of this answer.
    #[default]
    #[n(0)]
    Unproven,
    /// The asker has the lease.
    #[n(1)]
    Granted,
    /// The other node has it.
    #[n(2)]
    Held,
    /// Nobody has it, and it was not asked for.
    #[n(3)]
    Free,
    /// The witness has just started and waits until every lease of its former life has run out.
    #[n(4)]
    Waiting,
}

/// What the witness says to a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Answer {
    #[n(0)]
    pub version: u16,
    /// Whose ask is answered, and which.
    #[n(1)]
    pub index: NodeIndex,
    #[n(2)]
    pub incarnation: Incarnation,
    #[n(3)]
    pub sequence: u64,
    /// The life of the witness: random, and new with each start.
    #[n(4)]
    pub life: u64,
    #[n(5)]
    pub challenge: u64,
    #[n(6)]
    pub verdict: Verdict,
    /// How long the lease binds the witness yet; the whole one when it was granted.
    #[n(7)]
    pub left_us: u64,
    /// How long the other node has said nothing to the witness, at most since the witness started.
    #[n(8)]
    pub other_silent_us: u64,
    /// The holder, if it is the other node, serves alone.
    #[n(9)]
    pub other_alone: bool,
    /// The greatest one that the witness knows.
    #[n(10)]
    pub epoch: Epoch,
}

/// Why bytes are no ask or answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WitnessError {
    #[error("a witness's message has {bytes} bytes, more than {MESSAGE_BYTES_MAX}")]
    TooLong { bytes: usize },
    #[error("the bytes are no message of a witness or to one")]
    Malformed,
}

impl Ask {
    /// Always within `MESSAGE_BYTES_MAX`.
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, WitnessError> {
        decode(bytes)
    }
}

impl Answer {
    /// Always within `MESSAGE_BYTES_MAX`.
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, WitnessError> {
        decode(bytes)
    }
}

fn encode<M: Encode<()>>(message: &M) -> Vec<u8> {
    let mut bytes = Vec::new();
    let Ok(()) = minicbor::encode(message, &mut bytes) else { unreachable!("a vector takes every byte") };
    bytes
}

/// Reads exactly one message that fills `bytes`.
fn decode<M: for<'b> Decode<'b, ()>>(bytes: &[u8]) -> Result<M, WitnessError> {
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(WitnessError::TooLong { bytes: bytes.len() });
    }
    let mut decoder = Decoder::new(bytes);
    let message = decoder.decode().map_err(|_| WitnessError::Malformed)?;
    if decoder.position() == bytes.len() { Ok(message) } else { Err(WitnessError::Malformed) }
}

pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
