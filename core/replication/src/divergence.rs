//! Two logs that went on from one position without each other: where they parted, and what one of them has since.

use std::collections::BTreeMap;

use base::{Epoch, Position};
use minicbor::{Decode, Decoder, Encode, decode};

use crate::bounded::bounded_list;
use crate::log::Log;
use crate::store::{Delta, Key};

#[cfg(test)]
mod tests;

/// Epochs that a trail goes back. A log that parted before them is not told what it had alone: its node was cut off
/// while the roles changed more often than that.
pub const TRAIL_MAX: usize = 64;

/// Where a log has been: the position before its ring, then the end of each epoch in the ring, in order. The first is a
/// single position; each further one stands for all positions of its epoch up to it. An epoch has one writer, so equal
/// positions are equal entries.
pub type Trail = Vec<Position>;

/// What became of one object in a log after it had parted from another one.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Parted {
    #[n(0)]
    pub key: Key,
    /// The last value that it was given since; empty when it left without one.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub value: Vec<u8>,
    /// It is gone.
    #[n(2)]
    pub gone: bool,
}

/// Everything that a log has alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Orphans {
    /// The last position that both logs hold; `None` when a ring does not reach back to it. Then the objects are all that
    /// the log has.
    #[n(0)]
    pub fork: Option<Position>,
    /// By key; each key once.
    #[n(1)]
    pub objects: Vec<Parted>,
}

/// What became of each object of a log since a position, found out bit by bit, and on as the log goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    fork: Position,
    /// Everything up to here is in it.
    until: Position,
    objects: BTreeMap<Key, Parted>,
}

impl Changes {
    pub fn since(fork: Position) -> Self {
        Self { fork, until: fork, objects: BTreeMap::new() }
    }

    pub fn fork(&self) -> Position {
        self.fork
    }

    /// By key.
    pub fn objects(&self) -> &BTreeMap<Key, Parted> {
        &self.objects
    }

    /// Takes in the next so many entries of the log. True when it has everything, `None` when the ring has lost the next
    /// one.
    pub fn catch_up(&mut self, log: &Log, entries_max: usize) -> Option<bool> {
        for entry in log.resume_from(self.until)?.take(entries_max) {
            for delta in &entry.deltas {
                self.take(delta);
            }
            self.until = entry.position;
        }
        Some(self.until == log.position())
    }

    /// Lets go of so many objects, when all of them are of no use any more. False when none was left.
    pub fn discard(&mut self, count: usize) -> bool {
        (0..count).all(|_| self.objects.pop_first().is_some())
    }

    fn take(&mut self, delta: &Delta) {
        let parted = self.objects.entry(delta.key.clone()).or_insert_with(|| Parted {
            key: delta.key.clone(),
            value: Vec::new(),
            gone: false,
        });
        parted.gone = delta.value.is_none();
        if let Some(value) = &delta.value {
            parted.value.clone_from(value);
        }
    }
}

impl Log {
    /// Where this log has been, for another one to find where it parted from it.
    pub fn trail(&self) -> Trail {
        let mut trail = vec![self.base()];
        let mut begun: Option<Epoch> = None;
        for position in self.entries_since(self.base().lsn).map(|entry| entry.position) {
            match trail.last_mut().filter(|_| begun == Some(position.epoch)) {
                Some(last) => *last = position,
                None => trail.push(position),
            }
            begun = Some(position.epoch);
        }
        trail.split_off(trail.len().saturating_sub(TRAIL_MAX))
    }

    /// What this log has that the one with this trail has not.
    pub fn orphans(&self, trail: &[Position]) -> Orphans {
        let fork = self.fork(trail);
        let objects = match fork.and_then(|fork| self.changes_since(fork)) {
            Some(changes) => changes.into_values().collect(),
            None => {
                let whole =
                    |(key, value): (&Key, &[u8])| Parted { key: key.clone(), value: value.to_vec(), gone: false };
                self.store().iter().map(whole).collect()
            }
        };
        Orphans { fork, objects }
    }

    /// What became of each object that changed here after `fork`; `None` when the ring does not reach back so far.
    pub fn changes_since(&self, fork: Position) -> Option<BTreeMap<Key, Parted>> {
        let mut changes = Changes::since(fork);
        changes.catch_up(self, usize::MAX)?;
        Some(changes.objects)
    }

    /// The latest position that this log and the one with this trail both hold.
    fn fork(&self, trail: &[Position]) -> Option<Position> {
        trail.iter().enumerate().rev().find_map(|(index, end)| {
            let own = self.last_of(end.epoch)?;
            let common = Position { epoch: end.epoch, lsn: own.lsn.min(end.lsn) };
            let theirs = match index.checked_sub(1).and_then(|before| trail.get(before)) {
                Some(before) => common.lsn > before.lsn,
                None => common == *end,
            };
            (theirs && self.holds(common)).then_some(common)
        })
    }
}

/// Reads a trail within its bound.
pub(crate) fn bounded_trail<C>(d: &mut Decoder<'_>, context: &mut C) -> Result<Trail, decode::Error> {
    bounded_list(d, context, TRAIL_MAX, "too long a trail")
}
