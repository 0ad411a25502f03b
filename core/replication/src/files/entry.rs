//! One file of a set, pages of them, and what differs between two lists of files.

use minicbor::{Decode, Decoder, Encode, decode};

use super::{FilesError, PARTS, whole};
use crate::bounded::bounded_list;
use crate::content::{CONTENT_BYTES_MAX, Hash};
use crate::entry::encoded;

/// The longest path: Linux' PATH_MAX would not leave room for the folder that the set is in. A set with a longer one is
/// refused.
pub const PATH_BYTES_MAX: usize = 1024;

/// The longest name of an owner or a group: Linux' `LOGIN_NAME_MAX`.
const NAME_BYTES_MAX: usize = 256;

/// Permission bits, with set-user-id, set-group-id and the sticky bit.
const MODE_MAX: u32 = 0o7777;

/// The most files in one page: a set of 100,000 has 1,600 in each. A set with more in one page is refused.
pub const ENTRIES_MAX: usize = 4096;

/// The longest encoded page. As above when it is reached.
pub const PAGE_BYTES_MAX: usize = 1024 * 1024;

/// One file: where it is, what is in it and whose it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Entry {
    /// Relative to the set's folder, with `/` between its parts.
    #[n(0)]
    pub path: String,
    #[n(1)]
    pub content: Hash,
    /// Of the content.
    #[n(2)]
    pub bytes: u64,
    /// Permission bits.
    #[n(3)]
    pub mode: u32,
    /// Names, since numbers differ between machines; empty: whoever runs the program.
    #[n(4)]
    pub owner: String,
    #[n(5)]
    pub group: String,
}

/// The files of one part of a set, by path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Page {
    #[cbor(n(0), decode_with = "bounded_entries")]
    pub entries: Vec<Entry>,
}

/// What became of one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub path: String,
    pub before: Option<Entry>,
    pub after: Option<Entry>,
}

/// A path must stay below the folder: no root, no `..`, no empty part.
pub fn check_path(path: &str) -> Result<(), FilesError> {
    if path.is_empty() || path.len() > PATH_BYTES_MAX {
        return Err(FilesError::PathLength);
    }
    let wrong = |part: &str| part.is_empty() || part == "." || part == ".." || part.contains('\0');
    if path.split('/').any(wrong) {
        return Err(FilesError::PathOutside { path: path.to_owned() });
    }
    Ok(())
}

/// Which page a path belongs to: spread by hash, so that no folder makes a long one.
pub fn part_of(path: &str) -> usize {
    usize::from(Hash::of(path.as_bytes()).0[0]) % PARTS
}

impl Entry {
    /// Checks every bound.
    pub fn check(&self) -> Result<(), FilesError> {
        check_path(&self.path)?;
        if self.bytes > CONTENT_BYTES_MAX {
            return Err(FilesError::TooLong { path: self.path.clone(), bytes: self.bytes });
        }
        let name = |name: &str| name.len() > NAME_BYTES_MAX || name.contains(['\0', ':', '/']);
        if self.mode > MODE_MAX || name(&self.owner) || name(&self.group) {
            return Err(FilesError::Attributes { path: self.path.clone() });
        }
        Ok(())
    }
}

impl Page {
    pub fn encode(&self) -> Vec<u8> {
        encoded(self)
    }

    /// Reads a page that fills `bytes`, and checks every bound and the order.
    pub fn decode(bytes: &[u8]) -> Result<Self, FilesError> {
        if bytes.len() > PAGE_BYTES_MAX {
            return Err(FilesError::PageTooLong { bytes: bytes.len() });
        }
        let page: Self = whole(bytes, "page of files")?;
        page.check()?;
        Ok(page)
    }

    /// Checks every bound but that of the encoding's length.
    pub fn check(&self) -> Result<(), FilesError> {
        if self.entries.len() > ENTRIES_MAX {
            return Err(FilesError::TooManyEntries { count: self.entries.len() });
        }
        self.entries.iter().try_for_each(Entry::check)?;
        if self.entries.windows(2).any(|pair| matches!(pair, [a, b] if a.path >= b.path)) {
            return Err(FilesError::Order);
        }
        Ok(())
    }
}

/// What changes from one list of files to another; both are by path, and so is the answer.
pub fn diff(before: &[Entry], after: &[Entry]) -> Vec<Change> {
    let (mut old, mut new) = (before.iter().peekable(), after.iter().peekable());
    let mut changes = Vec::new();
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return changes,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(a), Some(b)) => a.path.cmp(&b.path),
        };
        let before = if order.is_le() { old.next().cloned() } else { None };
        let after = if order.is_ge() { new.next().cloned() } else { None };
        let path = before.as_ref().or(after.as_ref()).map(|entry| entry.path.clone()).unwrap_or_default();
        if before != after {
            changes.push(Change { path, before, after });
        }
    }
}

/// Stops before the list grows beyond its bound.
fn bounded_entries<C>(d: &mut Decoder<'_>, context: &mut C) -> Result<Vec<Entry>, decode::Error> {
    bounded_list(d, context, ENTRIES_MAX, "too many files in a page")
}
