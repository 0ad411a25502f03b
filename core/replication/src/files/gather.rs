//! All that a version needs, brought together: its manifest, the pages, the files' contents. What the store has stays;
//! what it lacks is wanted from the peer.

use std::collections::{BTreeMap, BTreeSet};

use super::{Manifest, PAGE_BYTES_MAX, Page};
use crate::content::Hash;

#[cfg(test)]
mod tests;

/// What a content is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Manifest,
    Page,
    File,
}

/// Where one content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The store was asked.
    Looking,
    /// It is being read, to know what it names.
    Reading,
    /// The peer is to send it.
    Wanted,
    /// The peer does not have it.
    Lacking,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    Look(Vec<Hash>),
    /// All of it, from its beginning; at most so many bytes.
    Read {
        content: Hash,
        length: u32,
    },
    Want {
        content: Hash,
        from: u64,
    },
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    Going,
    /// Everything is here.
    Whole,
    /// Neither this node nor the peer has all of it.
    Lacking,
    /// A manifest or a page is none: whoever made it did not make a version.
    Malformed,
}

/// One version on its way.
#[derive(Clone, Debug)]
pub struct Gather {
    open: BTreeMap<Hash, (Sort, Stage)>,
    /// Whatever was open once, so that each content is looked for once.
    seen: BTreeSet<Hash>,
    pages: Vec<Hash>,
    malformed: bool,
    outputs: Vec<Output>,
}

impl Gather {
    pub fn new(manifest: Hash) -> Self {
        let mut gather = Self {
            open: BTreeMap::new(),
            seen: BTreeSet::new(),
            pages: Vec::new(),
            malformed: false,
            outputs: Vec::new(),
        };
        gather.look(Sort::Manifest, [manifest]);
        gather
    }

    pub fn progress(&self) -> Progress {
        let lacks = |(_, stage): &(Sort, Stage)| *stage == Stage::Lacking;
        if self.malformed {
            Progress::Malformed
        } else if self.open.is_empty() {
            Progress::Whole
        } else if self.open.values().all(lacks) {
            Progress::Lacking
        } else {
            Progress::Going
        }
    }

    /// The pages that were read, with all that they name when it is whole.
    pub fn pages(&self) -> &[Hash] {
        &self.pages
    }

    pub fn take_outputs(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.outputs)
    }

    /// The store says of some contents what it has. `known` has the pages all of whose files are here.
    pub fn looked(&mut self, here: &[Hash], parts: &[(Hash, u64)], missing: &[Hash]) {
        for content in here {
            self.is_here(*content, Stage::Looking);
        }
        let missing = missing.iter().map(|content| (*content, 0));
        for (content, from) in parts.iter().copied().chain(missing) {
            if self.moves(content, Stage::Looking, Stage::Wanted) {
                self.outputs.push(Output::Want { content, from });
            }
        }
    }

    /// It has come from the peer.
    pub fn came(&mut self, content: Hash) {
        self.is_here(content, Stage::Wanted);
    }

    /// The peer does not have it.
    pub fn lacking(&mut self, content: Hash) {
        self.moves(content, Stage::Wanted, Stage::Lacking);
    }

    /// A manifest or a page was read; `None` where the store has lost it. Pages of `whole` need no look at their files.
    pub fn read(&mut self, content: Hash, bytes: Option<&[u8]>, whole: &BTreeSet<Hash>) {
        let Some((sort, Stage::Reading)) = self.open.get(&content).copied() else { return };
        let Some(bytes) = bytes else {
            self.moves(content, Stage::Reading, Stage::Wanted);
            return self.outputs.push(Output::Want { content, from: 0 });
        };
        self.open.remove(&content);
        match sort {
            Sort::Manifest => match Manifest::decode(bytes) {
                Ok(manifest) => self.look(Sort::Page, manifest.pages.into_iter().filter(|page| !whole.contains(page))),
                Err(_) => self.malformed = true,
            },
            Sort::Page => match Page::decode(bytes) {
                Ok(page) => {
                    self.pages.push(content);
                    self.look(Sort::File, page.entries.into_iter().map(|entry| entry.content));
                }
                Err(_) => self.malformed = true,
            },
            Sort::File => {}
        }
    }

    fn look(&mut self, sort: Sort, contents: impl IntoIterator<Item = Hash>) {
        let mut hashes = Vec::new();
        for content in contents {
            if self.seen.insert(content) {
                self.open.insert(content, (sort, Stage::Looking));
                hashes.push(content);
            }
        }
        if !hashes.is_empty() {
            self.outputs.push(Output::Look(hashes));
        }
    }

    fn is_here(&mut self, content: Hash, before: Stage) {
        let Some((sort, stage)) = self.open.get_mut(&content).filter(|(_, stage)| *stage == before) else { return };
        if *sort == Sort::File {
            self.open.remove(&content);
        } else {
            *stage = Stage::Reading;
            self.outputs.push(Output::Read { content, length: PAGE_BYTES_MAX as u32 });
        }
    }

    /// True when it was at that stage.
    fn moves(&mut self, content: Hash, from: Stage, to: Stage) -> bool {
        match self.open.get_mut(&content) {
            Some((_, stage)) if *stage == from => {
                *stage = to;
                true
            }
            _ => false,
        }
    }
}
