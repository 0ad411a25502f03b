//! The log: the store, the place it stands at, and a ring of recent entries from which a peer resumes.

use std::collections::{VecDeque, vec_deque};

use base::{ClusterTime, Epoch, Lsn, Position, WallTime};
use minicbor::{Decode, Encode};

use crate::entry::{Entry, EntryError, check_deltas};
use crate::store::{Delta, Store};

#[cfg(test)]
mod tests;

/// Entries kept for a peer that comes back: half a minute at 2,000 steps a second. The oldest leave first; a peer that
/// was away for longer takes a snapshot.
pub const RING_ENTRIES_MAX: usize = 65_536;

/// Bytes kept for a peer that comes back, so that large entries do not make the ring large. As above when reached.
pub const RING_BYTES_MAX: usize = 32 * 1024 * 1024;

/// The store with the history that leads to it.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Log {
    #[n(0)]
    store: Store,
    #[n(1)]
    position: Position,
    #[n(2)]
    cluster_time: ClusterTime,
    #[n(3)]
    wall: WallTime,
    /// The position just before the ring's first entry; `position` itself when the ring is empty.
    #[n(4)]
    base: Position,
    #[n(5)]
    ring: VecDeque<Slot>,
    /// Bytes of all entries that were ever put into the ring.
    #[n(6)]
    bytes_total: u64,
    /// What each object of the last entry was before it, so that a follower can be sent the difference.
    #[n(7)]
    replaced: Vec<Option<Vec<u8>>>,
}

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Slot {
    #[n(0)]
    entry: Entry,
    /// `Log::bytes_total` just after this entry, so that the bytes between two entries are one subtraction.
    #[n(1)]
    bytes_total: u64,
}

/// The whole state at one position: what a journal starts from and what a snapshot carries. Cloning is cheap.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Checkpoint {
    #[n(0)]
    pub position: Position,
    #[n(1)]
    pub cluster_time: ClusterTime,
    #[n(2)]
    pub wall: WallTime,
    #[n(3)]
    pub store: Store,
}

/// What came of reading a journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Recovery {
    pub log: Log,
    /// Entries that were applied after the checkpoint.
    pub applied: u64,
    /// Entries that the checkpoint already contained.
    pub skipped: u64,
    /// Why reading stopped before the end; what follows is lost to this node, and the peer's log decides.
    pub stopped: Option<ApplyError>,
}

/// Why the leader cannot put changes into its own log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    #[error("cannot append an entry of epoch {epoch} to a log that is in epoch {current}")]
    EpochOlder { epoch: Epoch, current: Epoch },
    #[error("cannot append changes beyond the bounds of an entry")]
    Entry(#[source] EntryError),
}

/// Why an entry does not follow this log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    #[error("cannot apply entry {lsn}: the next one is {expected}")]
    NotNext { lsn: Lsn, expected: Lsn },
    #[error("cannot apply an entry of epoch {epoch} to a log that is in epoch {current}")]
    EpochOlder { epoch: Epoch, current: Epoch },
    #[error("cannot apply an entry beyond its bounds")]
    Entry(#[source] EntryError),
}

impl Log {
    pub fn new() -> Self {
        Self::default()
    }

    /// A log that starts at a checkpoint and has no history before it.
    pub fn from_checkpoint(checkpoint: Checkpoint) -> Self {
        let Checkpoint { position, cluster_time, wall, store } = checkpoint;
        Self { store, position, cluster_time, wall, base: position, ..Self::default() }
    }

    /// Rebuilds the log from a journal: its checkpoint, then its entries in the order they were written. Entries that
    /// the checkpoint contains are skipped; the first one that does not follow ends the recovery.
    pub fn recover(checkpoint: Checkpoint, entries: impl IntoIterator<Item = Entry>) -> Recovery {
        let start = checkpoint.position.lsn;
        let mut recovery = Recovery { log: Self::from_checkpoint(checkpoint), applied: 0, skipped: 0, stopped: None };
        for entry in entries {
            if entry.position.lsn <= start {
                recovery.skipped += 1;
                continue;
            }
            if let Err(error) = recovery.log.apply(entry) {
                recovery.stopped = Some(error);
                break;
            }
            recovery.applied += 1;
        }
        recovery
    }

    /// As leader: makes the next entry in `epoch`, applies it and returns it for the journal. The log is unchanged on
    /// an error.
    pub fn append(
        &mut self,
        epoch: Epoch,
        deltas: Vec<Delta>,
        cluster_time: ClusterTime,
        wall: WallTime,
    ) -> Result<&Entry, AppendError> {
        if epoch < self.position.epoch {
            return Err(AppendError::EpochOlder { epoch, current: self.position.epoch });
        }
        check_deltas(&deltas).map_err(AppendError::Entry)?;
        let position = Position { epoch, lsn: self.position.lsn.next() };
        Ok(self.push(Entry { position, cluster_time, wall, deltas }))
    }

    /// As follower, or from the journal: applies the entry that follows and returns it. The log is unchanged on an
    /// error.
    pub fn apply(&mut self, entry: Entry) -> Result<&Entry, ApplyError> {
        let expected = self.position.lsn.next();
        if entry.position.lsn != expected {
            return Err(ApplyError::NotNext { lsn: entry.position.lsn, expected });
        }
        if entry.position.epoch < self.position.epoch {
            return Err(ApplyError::EpochOlder { epoch: entry.position.epoch, current: self.position.epoch });
        }
        check_deltas(&entry.deltas).map_err(ApplyError::Entry)?;
        Ok(self.push(entry))
    }

    /// Starts at a checkpoint that was verified, and returns what there was before.
    pub fn replace(&mut self, checkpoint: Checkpoint) -> Self {
        std::mem::replace(self, Self::from_checkpoint(checkpoint))
    }

    /// Lets go of so many entries, or of so many objects when no entry is left: for a log that is of no use any more, of
    /// which to free all at once would take long. False when nothing was left.
    pub fn discard(&mut self, count: usize) -> bool {
        if self.ring.is_empty() {
            return self.store.discard(count);
        }
        self.ring.drain(..count.min(self.ring.len()));
        true
    }

    /// The entries after `position`, or `None` when this log does not hold that very position: then the histories
    /// differ, or the ring has lost it, and only a snapshot helps.
    pub fn resume_from(&self, position: Position) -> Option<impl Iterator<Item = &Entry>> {
        let first = self.index_after(position)?;
        Some(self.ring.range(first..).map(|slot| &slot.entry))
    }

    /// Whether the ring reaches back to this very position.
    pub fn holds(&self, position: Position) -> bool {
        self.index_after(position).is_some()
    }

    /// The last entry's position; the default one when there was none.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The last entry's cluster time.
    pub fn cluster_time(&self) -> ClusterTime {
        self.cluster_time
    }

    /// The wall clock of the last entry's writer, as of that entry.
    pub fn wall(&self) -> WallTime {
        self.wall
    }

    /// The position just before the oldest entry that the ring still has.
    pub fn base(&self) -> Position {
        self.base
    }

    /// The last position of this epoch that the ring reaches, the one before the ring included.
    pub(crate) fn last_of(&self, epoch: Epoch) -> Option<Position> {
        let after = self.ring.partition_point(|slot| slot.entry.position.epoch <= epoch);
        let last = match after.checked_sub(1) {
            Some(index) => self.ring.get(index)?.entry.position,
            None => self.base,
        };
        (last.epoch == epoch).then_some(last)
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What each object of the last entry was before it, in the order of its changes; empty when there was no entry.
    pub(crate) fn replaced(&self) -> &[Option<Vec<u8>>] {
        &self.replaced
    }

    /// The whole state as of now.
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            position: self.position,
            cluster_time: self.cluster_time,
            wall: self.wall,
            store: self.store.clone(),
        }
    }

    /// The entry with this number, while the ring has it.
    pub fn entry(&self, lsn: Lsn) -> Option<&Entry> {
        let index = lsn.0.checked_sub(self.base.lsn.0)?.checked_sub(1)?;
        self.ring.get(usize::try_from(index).ok()?).map(|slot| &slot.entry)
    }

    /// The entries after `lsn` that the ring still has, whatever their epochs.
    pub fn entries_since(&self, lsn: Lsn) -> impl ExactSizeIterator<Item = &Entry> {
        self.slots_since(lsn).map(|slot| &slot.entry)
    }

    /// Bytes of the entries after `lsn` that the ring still has.
    pub fn bytes_since(&self, lsn: Lsn) -> u64 {
        self.slots_since(lsn)
            .next()
            .map_or(0, |first| self.bytes_total - (first.bytes_total - first.entry.bytes() as u64))
    }

    fn slots_since(&self, lsn: Lsn) -> vec_deque::Iter<'_, Slot> {
        let first = usize::try_from(lsn.0.saturating_sub(self.base.lsn.0)).unwrap_or(usize::MAX);
        self.ring.range(first.min(self.ring.len())..)
    }

    /// The ring index of the first entry after `position`, which may be one past the end.
    fn index_after(&self, position: Position) -> Option<usize> {
        if position == self.base {
            return Some(0);
        }
        let index = position.lsn.0.checked_sub(self.base.lsn.0)?.checked_sub(1)?;
        let index = usize::try_from(index).ok()?;
        let slot = self.ring.get(index)?;
        (slot.entry.position == position).then_some(index + 1)
    }

    fn push(&mut self, entry: Entry) -> &Entry {
        self.replaced = entry.deltas.iter().map(|delta| self.store.replace(delta).map(|old| old.to_vec())).collect();
        self.position = entry.position;
        self.cluster_time = self.cluster_time.max(entry.cluster_time);
        self.wall = entry.wall;
        self.bytes_total += entry.bytes() as u64;
        if self.ring.capacity() <= RING_ENTRIES_MAX {
            // Once and for all: a ring that grows is copied, and its new memory touched, in the middle of a step.
            self.ring.reserve_exact(RING_ENTRIES_MAX + 1 - self.ring.len());
        }
        self.ring.push_back(Slot { entry, bytes_total: self.bytes_total });
        self.trim();
        match self.ring.back() {
            Some(slot) => &slot.entry,
            None => unreachable!("the ring keeps at least the entry that was pushed"),
        }
    }

    /// Drops the oldest entries while a bound is exceeded, but never the newest one.
    fn trim(&mut self) {
        while self.ring.len() > 1
            && (self.ring.len() > RING_ENTRIES_MAX || self.bytes_since(self.base.lsn) > RING_BYTES_MAX as u64)
        {
            if let Some(slot) = self.ring.pop_front() {
                self.base = slot.entry.position;
            }
        }
    }
}
