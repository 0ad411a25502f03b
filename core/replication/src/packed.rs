//! An entry as it travels to a follower that has all before it: of each object what is new, by LZ4 with the former value
//! as its dictionary.
//!
//! A call is some thousand bytes of text, of which a step changes a hundred; and each datagram that it fills is sealed,
//! sent, received and opened on every link. Log and journal keep whole objects: only the peer link carries this form.

use std::collections::BTreeSet;

use base::limits::OBJECT_BYTES_MAX;
use base::{ClusterTime, Position, WallTime};
use lz4_flex::block::{compress_with_dict, decompress_into_with_dict};
use minicbor::{Decode, Decoder, Encode, decode};
use xxhash_rust::xxh3::xxh3_64;

use crate::bounded::bounded_list;
use crate::entry::{DELTAS_MAX, ENTRY_BYTES_MAX, Entry};
use crate::store::{Delta, Key, Store};

#[cfg(test)]
mod tests;

/// Shorter values are not worth the work.
const PACKED_BYTES_MIN: usize = 128;

/// One entry, packed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PackedEntry {
    #[n(0)]
    position: Position,
    #[n(1)]
    cluster_time: ClusterTime,
    #[n(2)]
    wall: WallTime,
    #[cbor(n(3), decode_with = "bounded_changes")]
    changes: Vec<Change>,
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
struct Change {
    #[n(0)]
    key: Key,
    #[n(1)]
    value: Value,
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
enum Value {
    #[n(0)]
    Gone,
    #[n(1)]
    Whole(#[cbor(n(0), with = "minicbor::bytes")] Vec<u8>),
    /// An LZ4 block without its length; its dictionary is the object's former value.
    #[n(2)]
    Block {
        #[n(0)]
        length: u32,
        /// The xxh3-64 of the value: another former value would unpack, too, to nonsense.
        #[n(1)]
        hash: u64,
        #[cbor(n(2), with = "minicbor::bytes")]
        block: Vec<u8>,
    },
}

/// Why a packed entry cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnpackError {
    #[error("a packed value is longer than an object may be, or the entry longer than one may be")]
    TooLong,
    #[error("a packed value was not made from the one that is here")]
    Differs,
}

impl PackedEntry {
    /// `replaced` has what each of the entry's objects was, in the same order; what it does not have is packed whole.
    pub fn pack(entry: &Entry, replaced: &[Option<Vec<u8>>]) -> Self {
        let mut changed = BTreeSet::new();
        let mut changes = Vec::with_capacity(entry.deltas.len());
        for (index, delta) in entry.deltas.iter().enumerate() {
            // The follower unpacks by what was before the entry: of that, the second change of an object knows nothing.
            let is_first = changed.insert(&delta.key);
            let former = replaced.get(index).filter(|_| is_first).map(|former| former.as_deref().unwrap_or_default());
            let value = match (&delta.value, former) {
                (None, _) => Value::Gone,
                (Some(value), Some(former)) => Value::pack(value, former),
                (Some(value), None) => Value::Whole(value.clone()),
            };
            changes.push(Change { key: delta.key.clone(), value });
        }
        Self { position: entry.position, cluster_time: entry.cluster_time, wall: entry.wall, changes }
    }

    /// The entry, by the objects as they were before it. Its bounds are checked where it is applied.
    pub(crate) fn unpack(self, store: &Store) -> Result<Entry, UnpackError> {
        let bytes: usize = self.changes.iter().map(|change| change.value.length()).sum();
        if bytes > ENTRY_BYTES_MAX {
            return Err(UnpackError::TooLong);
        }
        let delta = |Change { key, value }: Change| {
            let value = value.unpack(store.value(&key).unwrap_or_default())?;
            Ok(Delta { key, value })
        };
        let deltas = self.changes.into_iter().map(delta).collect::<Result<_, UnpackError>>()?;
        Ok(Entry { position: self.position, cluster_time: self.cluster_time, wall: self.wall, deltas })
    }
}

impl Value {
    fn pack(value: &[u8], former: &[u8]) -> Self {
        if value.len() >= PACKED_BYTES_MIN {
            let block = compress_with_dict(value, former);
            if let Some(length) = u32::try_from(value.len()).ok().filter(|_| block.len() < value.len()) {
                return Self::Block { length, hash: xxh3_64(value), block };
            }
        }
        Self::Whole(value.to_vec())
    }

    fn length(&self) -> usize {
        match self {
            Self::Gone => 0,
            Self::Whole(value) => value.len(),
            Self::Block { length, .. } => *length as usize,
        }
    }

    fn unpack(self, former: &[u8]) -> Result<Option<Vec<u8>>, UnpackError> {
        if self.length() > OBJECT_BYTES_MAX {
            return Err(UnpackError::TooLong);
        }
        match self {
            Self::Gone => Ok(None),
            Self::Whole(value) => Ok(Some(value)),
            Self::Block { length, hash, block } => {
                let mut value = vec![0; length as usize];
                match decompress_into_with_dict(&block, &mut value, former) {
                    Ok(count) if count == value.len() && xxh3_64(&value) == hash => Ok(Some(value)),
                    _ => Err(UnpackError::Differs),
                }
            }
        }
    }
}

/// Reads at most `DELTAS_MAX` changes, and stops before the vector grows beyond that.
fn bounded_changes<C>(d: &mut Decoder<'_>, context: &mut C) -> Result<Vec<Change>, decode::Error> {
    bounded_list(d, context, DELTAS_MAX, "too many changes")
}
