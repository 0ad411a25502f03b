//! One step's changes, as they stand in the log, in the journal and on the peer link.

use base::limits::OBJECT_BYTES_MAX;
use base::{ClusterTime, Position, WallTime};
use minicbor::{Decode, Decoder, Encode, decode};

use crate::bounded::bounded_list;
use crate::store::Delta;

#[cfg(test)]
mod tests;

/// The most changes in one entry. A step touches a handful of objects; what touches more (expiry of many
/// registrations) goes in slices. An entry with more is refused where it is made and where it is read.
pub const DELTAS_MAX: usize = 4096;

/// The longest object id: an address of record, a Call-ID and a tag with room to spare. Longer ones are refused, so
/// that whoever takes an id from a message must bound it first.
pub const ID_BYTES_MAX: usize = 1024;

/// The longest encoded entry: a few of the largest objects. It bounds one message of the stream; an entry over it is
/// refused where it is made and where it is read.
pub const ENTRY_BYTES_MAX: usize = 1024 * 1024;

/// What a delta's encoding needs besides id and value: the lengths and array heads, rounded up.
const DELTA_OVERHEAD_BYTES: usize = 24;

/// What an entry's encoding needs besides its deltas, rounded up.
const ENTRY_OVERHEAD_BYTES: usize = 64;

/// One step's changes and when they were made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Entry {
    #[n(0)]
    pub position: Position,
    #[n(1)]
    pub cluster_time: ClusterTime,
    #[n(2)]
    pub wall: WallTime,
    #[cbor(n(3), decode_with = "bounded_deltas")]
    pub deltas: Vec<Delta>,
}

/// Why changes cannot be an entry, or bytes are none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    #[error("the entry has {count} changes, more than {DELTAS_MAX}")]
    TooManyDeltas { count: usize },
    #[error("an object id has {bytes} bytes, more than {ID_BYTES_MAX}")]
    IdTooLong { bytes: usize },
    #[error("an object of kind {kind} has {bytes} bytes, more than {OBJECT_BYTES_MAX}")]
    ObjectTooLong { kind: u8, bytes: usize },
    #[error("the entry has {bytes} bytes, more than {ENTRY_BYTES_MAX}")]
    TooLong { bytes: usize },
    #[error("the bytes are not an entry of the log")]
    Malformed,
}

impl Entry {
    /// The encoding. It is within `ENTRY_BYTES_MAX` when `check` passes.
    pub fn encode(&self) -> Vec<u8> {
        encoded(self)
    }

    /// Reads exactly one entry that fills `bytes`, and checks every bound.
    pub fn decode(bytes: &[u8]) -> Result<Self, EntryError> {
        if bytes.len() > ENTRY_BYTES_MAX {
            return Err(EntryError::TooLong { bytes: bytes.len() });
        }
        let mut decoder = Decoder::new(bytes);
        let entry: Self = decoder.decode().map_err(|_| EntryError::Malformed)?;
        if decoder.position() != bytes.len() {
            return Err(EntryError::Malformed);
        }
        check_deltas(&entry.deltas)?;
        Ok(entry)
    }

    /// An upper bound of the encoded length, in bytes.
    pub fn bytes(&self) -> usize {
        deltas_bytes(&self.deltas)
    }
}

/// Checks every bound on the changes of one entry.
pub fn check_deltas(deltas: &[Delta]) -> Result<(), EntryError> {
    if deltas.len() > DELTAS_MAX {
        return Err(EntryError::TooManyDeltas { count: deltas.len() });
    }
    for delta in deltas {
        check_delta(delta)?;
    }
    let bytes = deltas_bytes(deltas);
    if bytes > ENTRY_BYTES_MAX {
        return Err(EntryError::TooLong { bytes });
    }
    Ok(())
}

/// Checks the bounds of one change.
pub fn check_delta(delta: &Delta) -> Result<(), EntryError> {
    if delta.key.id.len() > ID_BYTES_MAX {
        return Err(EntryError::IdTooLong { bytes: delta.key.id.len() });
    }
    match &delta.value {
        Some(value) if value.len() > OBJECT_BYTES_MAX => {
            Err(EntryError::ObjectTooLong { kind: delta.key.kind, bytes: value.len() })
        }
        _ => Ok(()),
    }
}

/// An upper bound of one change's encoded length, in bytes.
pub(crate) fn delta_bytes(delta: &Delta) -> usize {
    DELTA_OVERHEAD_BYTES + delta.key.id.len() + delta.value.as_ref().map_or(0, Vec::len)
}

fn deltas_bytes(deltas: &[Delta]) -> usize {
    ENTRY_OVERHEAD_BYTES + deltas.iter().map(delta_bytes).sum::<usize>()
}

/// Reads at most `DELTAS_MAX` changes, and stops before the vector grows beyond that.
pub(crate) fn bounded_deltas<C>(d: &mut Decoder<'_>, context: &mut C) -> Result<Vec<Delta>, decode::Error> {
    bounded_list(d, context, DELTAS_MAX, "too many changes")
}

/// Encoding into memory cannot fail, so there is no error to hand on.
pub(crate) fn encoded<T: Encode<()>>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    let Ok(()) = minicbor::encode(value, &mut bytes) else { unreachable!("a vector takes every byte") };
    bytes
}
