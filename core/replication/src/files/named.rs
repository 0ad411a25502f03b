//! Named files: objects of the log that say which content a name has now, or that it has none any more. What is shared
//! by name survives a split: the newer word holds, on both nodes alike.

use std::time::Duration;

use base::ClusterTime;
use minicbor::{Decode, Encode};

use super::{FilesError, check_path, whole};
use crate::content::{CONTENT_BYTES_MAX, Hash};
use crate::entry::encoded;

#[cfg(test)]
mod tests;

/// A content of at most this length travels within its name's object: what is as small as a version costs less so.
pub const SMALL_BYTES_MAX: usize = 1024;

/// How long a removal is remembered: longer than machines that are to come back are away. A name that was removed before
/// that may come back from one.
pub const REMOVAL_KEPT: Duration = Duration::from_secs(30 * 86_400);

/// The most removals that are remembered. The oldest leave first.
pub const REMOVALS_MAX: usize = 10_000;

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Named {
    #[n(0)]
    Kept {
        #[n(0)]
        content: Hash,
        /// Of the content.
        #[n(1)]
        bytes: u64,
        #[n(2)]
        changed: ClusterTime,
        /// The content itself, where it is small.
        #[cbor(n(3), with = "minicbor::bytes")]
        small: Option<Vec<u8>>,
    },
    #[n(1)]
    Removed {
        #[n(0)]
        changed: ClusterTime,
    },
}

impl Named {
    /// A name for a content that is in the store.
    pub fn kept(content: Hash, bytes: u64, changed: ClusterTime) -> Self {
        Self::Kept { content, bytes, changed, small: None }
    }

    /// A name for a small content, which it carries.
    pub fn small(content: Vec<u8>, changed: ClusterTime) -> Self {
        let (hash, bytes) = (Hash::of(&content), content.len() as u64);
        let small = (content.len() <= SMALL_BYTES_MAX).then_some(content);
        Self::Kept { content: hash, bytes, changed, small }
    }

    pub fn encode(&self) -> Vec<u8> {
        encoded(self)
    }

    /// Reads what fills `bytes`, and checks every bound; a small content must be what it is named by.
    pub fn decode(bytes: &[u8]) -> Result<Self, FilesError> {
        let named: Self = whole(bytes, "named file")?;
        let fits = match &named {
            Self::Removed { .. } => true,
            Self::Kept { small: None, bytes, .. } => *bytes <= CONTENT_BYTES_MAX,
            Self::Kept { small: Some(small), content, bytes, .. } => {
                small.len() <= SMALL_BYTES_MAX && *bytes == small.len() as u64 && Hash::of(small) == *content
            }
        };
        if fits { Ok(named) } else { Err(FilesError::Malformed { what: "named file" }) }
    }

    pub fn changed(&self) -> ClusterTime {
        match self {
            Self::Kept { changed, .. } | Self::Removed { changed } => *changed,
        }
    }

    pub fn content(&self) -> Option<Hash> {
        match self {
            Self::Kept { content, .. } => Some(*content),
            Self::Removed { .. } => None,
        }
    }

    /// The content, where the object carries it.
    pub fn carried(&self) -> Option<&[u8]> {
        match self {
            Self::Kept { small, .. } => small.as_deref(),
            Self::Removed { .. } => None,
        }
    }

    /// The two objects that give a file another name: what the old name and what the new name become.
    pub fn moved(&self, now: ClusterTime) -> (Self, Self) {
        let mut there = self.clone();
        if let Self::Kept { changed, .. } = &mut there {
            *changed = now;
        }
        (Self::Removed { changed: now }, there)
    }

    /// After a split: whether this word holds against the other side's. The newer one does; of two words of one instant
    /// the one with the greater content, so that both nodes choose the same.
    pub fn outweighs(&self, other: &Self) -> bool {
        (self.changed(), self.content()) > (other.changed(), other.content())
    }

    /// A removal that nobody needs any more.
    pub fn is_over(&self, now: ClusterTime) -> bool {
        matches!(self, Self::Removed { changed } if now.since(*changed) > REMOVAL_KEPT)
    }
}

/// The names whose objects can go: removals that are too old, and the oldest of too many.
pub fn forgettable<'a>(named: impl Iterator<Item = (&'a str, &'a Named)>, now: ClusterTime) -> Vec<&'a str> {
    let mut removals: Vec<(ClusterTime, &str)> = named
        .filter(|(_, named)| matches!(named, Named::Removed { .. }))
        .map(|(name, named)| (named.changed(), name))
        .collect();
    removals.sort_unstable();
    let beyond = removals.len().saturating_sub(REMOVALS_MAX);
    let old =
        |(index, (changed, _)): &(usize, (ClusterTime, &str))| *index < beyond || now.since(*changed) > REMOVAL_KEPT;
    removals.into_iter().enumerate().filter(old).map(|(_, (_, name))| name).collect()
}

/// A name is a path, so that it can be a file's.
pub fn check_name(name: &str) -> Result<(), FilesError> {
    check_path(name)
}
