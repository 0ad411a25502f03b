//! The manifest: the pages of a set, so that an edit of one file sends one page and not all of them.

use std::collections::BTreeMap;

use minicbor::{Decode, Decoder, Encode, decode};

use super::entry::{Entry, PAGE_BYTES_MAX, Page, part_of};
use super::{FilesError, whole};
use crate::bounded::bounded_list;
use crate::content::Hash;
use crate::entry::encoded;

/// Pages of a set. An edit of one of 5,000 files changes a page of 6 KB, and the manifest of 2 KB.
pub const PARTS: usize = 64;

/// The most files in a set. One with more is refused.
pub const FILES_MAX: usize = 100_000;

/// The names of a set's pages, by part.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Manifest {
    #[cbor(n(0), decode_with = "bounded_pages")]
    pub pages: Vec<Hash>,
}

/// All files of a set, by path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Set {
    entries: BTreeMap<String, Entry>,
}

impl Manifest {
    pub fn encode(&self) -> Vec<u8> {
        encoded(self)
    }

    /// Reads a manifest of exactly `PARTS` pages.
    pub fn decode(bytes: &[u8]) -> Result<Self, FilesError> {
        let manifest: Self = whole(bytes, "manifest")?;
        if manifest.pages.len() == PARTS { Ok(manifest) } else { Err(FilesError::Malformed { what: "manifest" }) }
    }

    /// Its own name as a content.
    pub fn hash(&self) -> Hash {
        Hash::of(&self.encode())
    }

    /// The parts whose pages differ.
    pub fn differing<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = usize> + 'a {
        self.pages.iter().zip(&other.pages).enumerate().filter(|(_, (a, b))| a != b).map(|(part, _)| part)
    }
}

impl Set {
    /// Adds a file, or replaces the one of its path.
    pub fn put(&mut self, entry: Entry) -> Result<(), FilesError> {
        entry.check()?;
        self.entries.insert(entry.path.clone(), entry);
        if self.entries.len() > FILES_MAX {
            return Err(FilesError::TooManyFiles { count: self.entries.len() });
        }
        Ok(())
    }

    pub fn remove(&mut self, path: &str) {
        self.entries.remove(path);
    }

    /// Adds the files of one of its pages.
    pub fn put_page(&mut self, page: Page) -> Result<(), FilesError> {
        page.entries.into_iter().try_for_each(|entry| self.put(entry))
    }

    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    pub fn entry(&self, path: &str) -> Option<&Entry> {
        self.entries.get(path)
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The manifest and the encoded pages that it names, by part.
    pub fn pages(&self) -> Result<(Manifest, Vec<Vec<u8>>), FilesError> {
        let mut pages = vec![Page::default(); PARTS];
        for entry in self.entries.values() {
            if let Some(page) = pages.get_mut(part_of(&entry.path)) {
                page.entries.push(entry.clone());
            }
        }
        let mut contents = Vec::with_capacity(PARTS);
        for page in &pages {
            page.check()?;
            let bytes = page.encode();
            if bytes.len() > PAGE_BYTES_MAX {
                return Err(FilesError::PageTooLong { bytes: bytes.len() });
            }
            contents.push(bytes);
        }
        Ok((Manifest { pages: contents.iter().map(|bytes| Hash::of(bytes)).collect() }, contents))
    }
}

fn bounded_pages<C>(d: &mut Decoder<'_>, context: &mut C) -> Result<Vec<Hash>, decode::Error> {
    bounded_list(d, context, PARTS, "too many pages in a manifest")
}
