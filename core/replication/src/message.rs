//! What two logs say to each other, and how it is encoded.

use base::{ClusterTime, Epoch, Position, WallTime};
use minicbor::{Decode, Decoder, Encode};

use crate::divergence::{Trail, bounded_trail};
use crate::entry::{ENTRY_BYTES_MAX, Entry, EntryError, bounded_deltas, check_deltas, encoded};
use crate::packed::PackedEntry;
use crate::store::{Checksums, Delta};

#[cfg(test)]
mod tests;

/// The version of this conversation, which nobody asks for: what the two nodes can read is in their heartbeats
/// (`base::level`). Fields may be added under new numbers; a message that the peer's level does not know is not sent.
pub const VERSION: u16 = 1;

/// The longest message: the longest entry with its envelope. A longer one cannot be sent and ends the stream of
/// whoever receives it.
pub const MESSAGE_BYTES_MAX: usize = ENTRY_BYTES_MAX + 64;

/// One message. The stream keeps them in order and delivers each once.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub enum Message {
    /// Leader: I lead in this epoch; whoever follows me, say hello. `heard` is the latest attempt that came before:
    /// a later one is under way and will be answered, so that it need not be made twice.
    #[n(0)]
    Leading {
        #[n(0)]
        version: u16,
        #[n(1)]
        epoch: Epoch,
        #[n(2)]
        heard: u64,
    },
    /// Follower: feed me from here. The attempt tells this request's feed from an earlier one's. `whole` asks for a
    /// snapshot although the position may be known: the contents were found to differ.
    #[n(1)]
    Hello {
        #[n(0)]
        version: u16,
        #[n(1)]
        attempt: u64,
        #[n(2)]
        position: Position,
        #[n(3)]
        whole: bool,
        /// `Packed` is understood.
        #[cbor(n(4), default)]
        packs: bool,
    },
    /// Leader: what comes now answers that attempt.
    #[n(2)]
    Welcome {
        #[n(0)]
        attempt: u64,
        #[n(1)]
        epoch: Epoch,
    },
    /// Leader: the next entry.
    #[n(3)]
    Entry(#[n(0)] Entry),
    /// Leader: at this position, where you now stand, the checksums are these.
    #[n(4)]
    Verify {
        #[n(0)]
        position: Position,
        #[n(1)]
        checksums: Checksums,
    },
    /// Follower: everything up to here is applied and would survive the leader. `in_step` once a verification passed.
    #[n(5)]
    Applied {
        #[n(0)]
        attempt: u64,
        #[n(1)]
        position: Position,
        #[n(2)]
        in_step: bool,
    },
    /// Leader: forget what was sent of a snapshot before; here is all there is at this position.
    #[n(6)]
    SnapshotBegin {
        #[n(0)]
        position: Position,
        #[n(1)]
        cluster_time: ClusterTime,
        #[n(2)]
        wall: WallTime,
        /// Where the leader's log has been: what the follower has beside it, it has alone.
        #[cbor(n(3), decode_with = "bounded_trail", default)]
        trail: Trail,
    },
    /// Leader: some objects of the snapshot.
    #[n(7)]
    Objects(#[cbor(n(0), decode_with = "bounded_deltas")] Vec<Delta>),
    /// Leader: that was all, and these are its checksums.
    #[n(8)]
    SnapshotEnd {
        #[n(0)]
        position: Position,
        #[n(1)]
        checksums: Checksums,
    },
    /// Leader: I have stopped at this position; lead from here.
    #[n(9)]
    HandOver {
        #[n(0)]
        position: Position,
    },
    /// Either: something of the owner's.
    #[n(10)]
    Opaque(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>),
    /// Leader: the next entry, to a follower that has said that it `packs`.
    #[n(11)]
    Packed(#[n(0)] PackedEntry),
}

/// Encodes as `Message::Entry`, without a copy of the entry.
#[derive(Encode)]
enum Borrowed<'entry> {
    #[n(3)]
    Entry(#[n(0)] &'entry Entry),
}

/// Why bytes are not a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    #[error("a message of the log has {bytes} bytes, more than {MESSAGE_BYTES_MAX}")]
    TooLong { bytes: usize },
    #[error("the bytes are not a message of the log")]
    Malformed,
    #[error("a message carries changes beyond the bounds of an entry")]
    Entry(#[source] EntryError),
}

impl Message {
    /// The encoding of `Message::Entry` with this entry.
    pub fn encode_entry(entry: &Entry) -> Vec<u8> {
        encoded(&Borrowed::Entry(entry))
    }

    pub fn encode(&self) -> Vec<u8> {
        encoded(self)
    }

    /// Reads exactly one message that fills `bytes`, and checks every bound.
    pub fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        if bytes.len() > MESSAGE_BYTES_MAX {
            return Err(MessageError::TooLong { bytes: bytes.len() });
        }
        let mut decoder = Decoder::new(bytes);
        let message: Self = decoder.decode().map_err(|_| MessageError::Malformed)?;
        if decoder.position() != bytes.len() {
            return Err(MessageError::Malformed);
        }
        match &message {
            Self::Entry(Entry { deltas, .. }) | Self::Objects(deltas) => {
                check_deltas(deltas).map_err(MessageError::Entry)?;
            }
            _ => {}
        }
        Ok(message)
    }
}
