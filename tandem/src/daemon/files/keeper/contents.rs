//! Owns the contents' comings and goings: what the peer and the node ask for, and what nobody needs any more.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant, SystemTime};

use admin::events::Teller;
use node::FilesEvent;
use node::replication::content::Hash;
use storage::content::{ContentError, ContentStore};
use storage::directory::{DirectoryError, read_manifest, read_page, read_version};

use super::{Keeper, READ_VERSION};

/// Contents that nobody names cost some room, no more.
const SWEEP_EVERY: Duration = Duration::from_secs(600);

impl Keeper {
    pub(super) fn look_for(&mut self, hashes: Vec<Hash>) -> FilesEvent {
        self.looked[0].extend(&hashes);
        let (here, absent): (Vec<_>, Vec<_>) = hashes.into_iter().partition(|hash| self.store.has(hash));
        let parts = absent.into_iter().map(|hash| (hash, self.store.part(&hash)));
        let (parts, missing): (Vec<_>, Vec<_>) = parts.partition(|(_, bytes)| *bytes > 0);
        FilesEvent::Looked { here, parts, missing: missing.into_iter().map(|(hash, _)| hash).collect() }
    }

    pub(super) fn read(&mut self, content: Hash, offset: u64, length: u32, teller: &Teller) -> FilesEvent {
        let (bytes, total) = match self.store.read_part(&content, offset, length) {
            Ok((bytes, total)) => (Some(bytes), total),
            Err(error) => {
                self.content_failed("read a content for the peer", &error, teller);
                (None, 0)
            }
        };
        FilesEvent::Read { content, offset, bytes, total }
    }

    pub(super) fn written(
        &mut self,
        content: Hash,
        done: Result<(u64, bool), ContentError>,
        teller: &Teller,
    ) -> FilesEvent {
        match done {
            Ok((upto, whole)) => FilesEvent::Written { content, upto, whole, failed: None },
            Err(error) => {
                let text = self.content_failed("keep a content", &error, teller);
                FilesEvent::Written { content, upto: self.store.part(&content), whole: false, failed: Some(text) }
            }
        }
    }

    pub(super) fn sweep(&mut self, teller: &Teller) {
        if self.swept.elapsed() < SWEEP_EVERY || self.wanted.is_empty() {
            return;
        }
        self.swept = Instant::now();
        let mut wanted: BTreeSet<Hash> = self.looked.iter().flatten().copied().collect();
        self.looked.rotate_right(1);
        self.looked[0].clear();
        let note = self.directory.note();
        let own = [note.installed, note.installing, note.over, note.runs, note.edited].into_iter().flatten();
        let mut pages = BTreeMap::new();
        for version in self.wanted.iter().copied().chain(own).collect::<Vec<_>>() {
            match reachable(&self.store, version, &mut pages) {
                Ok(contents) => wanted.extend(contents),
                // Not all of an old version's contents have to be here.
                Err(DirectoryError::Content(ContentError::Absent { .. })) => {}
                // What cannot be read may name anything.
                Err(error) => return drop(self.failed(READ_VERSION, &error, teller)),
            }
        }
        if let Err(error) = self.store.sweep(&wanted, SystemTime::now()) {
            self.content_failed("remove what no version needs", &error, teller);
        }
    }
}

/// The contents that pages name. Versions share nearly all of theirs, which are read once.
pub(super) type Pages = BTreeMap<Hash, Vec<Hash>>;

/// Everything that a version is made of.
pub(super) fn reachable(
    store: &ContentStore,
    version: Hash,
    pages: &mut Pages,
) -> Result<BTreeSet<Hash>, DirectoryError> {
    let mut reached = BTreeSet::from([version, read_version(store, &version)?.manifest]);
    for page in read_manifest(store, &version)?.pages {
        let contents = match pages.entry(page) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(free) => {
                let read = read_page(store, &version, &page)?;
                free.insert(read.entries.into_iter().map(|entry| entry.content).collect())
            }
        };
        reached.insert(page);
        reached.extend(contents.iter());
    }
    Ok(reached)
}
