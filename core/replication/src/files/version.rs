//! A version of a set of files: what it was made from, by whom and when. Its identity is the hash of its encoding.

use std::collections::BTreeSet;
use std::fmt;

use base::WallTime;
use minicbor::{Decode, Decoder, Encode, decode};

use super::{FilesError, whole};
use crate::bounded::bounded_list;
use crate::content::Hash;
use crate::entry::encoded;

/// The longest author and reason: a few words for people. A version with longer ones is refused.
pub const TEXT_BYTES_MAX: usize = 200;

/// The longest encoded version, from its bounds.
pub const VERSION_BYTES_MAX: usize = 600;

/// What a version may be made from: one version, or two that are brought together.
const PARENTS_MAX: usize = 2;

/// Versions that are looked at to find an ancestor: the history is shorter, so only nonsense reaches it.
const WALK_MAX: usize = 1000;

/// The hash of a version's encoding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct VersionId(#[n(0)] pub Hash);

/// One state of the whole set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Version {
    /// None for the first one.
    #[cbor(n(0), decode_with = "bounded_parents")]
    pub parents: Vec<VersionId>,
    /// The name of the node where it was made.
    #[n(1)]
    pub author: String,
    #[n(2)]
    pub made_at: WallTime,
    /// `edited`, `first`, `rolled back to ...`, for people.
    #[n(3)]
    pub why: String,
    #[n(4)]
    pub manifest: Hash,
}

impl Version {
    pub fn encode(&self) -> Vec<u8> {
        encoded(self)
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, FilesError> {
        if bytes.len() > VERSION_BYTES_MAX {
            return Err(FilesError::Version);
        }
        let version: Self = whole(bytes, "version")?;
        version.check()?;
        Ok(version)
    }

    pub fn check(&self) -> Result<(), FilesError> {
        let long = self.author.len() > TEXT_BYTES_MAX || self.why.len() > TEXT_BYTES_MAX;
        if long || self.parents.len() > PARENTS_MAX { Err(FilesError::Version) } else { Ok(()) }
    }

    pub fn id(&self) -> VersionId {
        VersionId(Hash::of(&self.encode()))
    }
}

/// Whether `older` is `of` itself or one of those that it was made from. `parents` tells what a version was made from;
/// of one that nobody remembers it tells nothing.
pub fn is_ancestor(older: VersionId, of: VersionId, parents: impl Fn(VersionId) -> Vec<VersionId>) -> bool {
    let (mut seen, mut open) = (BTreeSet::new(), vec![of]);
    while let Some(id) = open.pop() {
        if id == older {
            return true;
        }
        if seen.len() < WALK_MAX && seen.insert(id) {
            open.extend(parents(id));
        }
    }
    false
}

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn bounded_parents<C>(d: &mut Decoder<'_>, context: &mut C) -> Result<Vec<VersionId>, decode::Error> {
    bounded_list(d, context, PARENTS_MAX, "too many parents of a version")
}
