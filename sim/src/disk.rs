//! A machine's disk as the storage drives it: writes that take a moment, syncs in groups behind them, and what a death
//! of the process or of the machine leaves.

use std::collections::VecDeque;

use node::Recovered;
use node::base::{ClusterTime, LocalTime, Lsn, Random};
use node::cluster::Durable;
use node::replication::{Checkpoint, Entry, Log};

/// A write of the journal that is under way.
#[derive(Clone, Debug)]
enum Job {
    Append { lsn: Lsn, bytes: Vec<u8> },
    Checkpoint(Box<Checkpoint>),
}

#[derive(Clone, Debug, Default)]
pub struct Disk {
    checkpoint: Checkpoint,
    /// Entries that were written after the checkpoint; the first `synced` of them survive a power cut.
    entries: Vec<Vec<u8>>,
    synced: usize,
    /// Counts checkpoints, so that a sync of the file before is told apart.
    generation: u64,
    jobs: VecDeque<Job>,
    syncing: bool,
    durable: Durable,
    /// Cluster time less local time as of the last entry, and the boot in which it was written.
    clock: Option<(u64, u64)>,
}

/// What the disk did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// Up to where the journal is written; `None` after a checkpoint.
    pub written: Option<Lsn>,
    pub more: bool,
    /// A sync of that many entries begins now.
    pub sync: Option<(usize, u64)>,
}

impl Disk {
    /// Queues an entry. True when the disk was idle: its first write begins.
    pub fn append(&mut self, lsn: Lsn, bytes: Vec<u8>, boot: u64, local: LocalTime) -> bool {
        if let Ok(entry) = Entry::decode(&bytes) {
            self.clock = Some((boot, entry.cluster_time.0.saturating_sub(local.0)));
        }
        self.jobs.push_back(Job::Append { lsn, bytes });
        self.jobs.len() == 1
    }

    pub fn replace(&mut self, checkpoint: Box<Checkpoint>) -> bool {
        self.jobs.push_back(Job::Checkpoint(checkpoint));
        self.jobs.len() == 1
    }

    /// How long the oldest job takes, in microseconds.
    pub fn job_us(&self, random: &mut Random) -> u64 {
        match self.jobs.front() {
            Some(Job::Checkpoint(_)) => 1_500 + random.below(2_000),
            _ => 15 + random.below(80),
        }
    }

    /// The oldest job is done.
    pub fn job_done(&mut self) -> Done {
        let written = match self.jobs.pop_front() {
            Some(Job::Append { lsn, bytes }) => {
                self.entries.push(bytes);
                Some(lsn)
            }
            Some(Job::Checkpoint(checkpoint)) => {
                // A new file, synced before it takes the old one's place.
                self.checkpoint = *checkpoint;
                self.entries.clear();
                self.synced = 0;
                self.generation += 1;
                self.syncing = false;
                None
            }
            None => None,
        };
        let begins = !self.syncing && self.synced < self.entries.len();
        self.syncing |= begins;
        Done { written, more: !self.jobs.is_empty(), sync: begins.then_some((self.entries.len(), self.generation)) }
    }

    /// A sync has ended. Returns the next one, if entries were written meanwhile.
    pub fn synced(&mut self, entries: usize, generation: u64) -> Option<(usize, u64)> {
        if generation != self.generation {
            return None;
        }
        self.synced = self.synced.max(entries.min(self.entries.len()));
        self.syncing = self.synced < self.entries.len();
        self.syncing.then_some((self.entries.len(), self.generation))
    }

    pub fn keep(&mut self, durable: Durable) {
        self.durable = durable;
    }

    /// The process died: what it had not written yet is gone, the kernel keeps the rest.
    pub fn process_died(&mut self) {
        self.jobs.clear();
    }

    /// The machine lost its power: what was not synced survives up to some entry, beyond which the file is torn.
    pub fn power_cut(&mut self, random: &mut Random) {
        self.jobs.clear();
        let unsynced = self.entries.len().saturating_sub(self.synced);
        let kept = self.synced + random.below(unsynced as u64 + 1) as usize;
        self.entries.truncate(kept);
        self.synced = self.entries.len();
        self.syncing = false;
        self.generation += 1;
    }

    /// What the storage reads back when a daemon starts at `local` in this boot.
    pub fn recover(&self, boot: u64, local: LocalTime) -> Recovered {
        let entries = self.entries.iter().map_while(|bytes| Entry::decode(bytes).ok());
        let log = Log::recover(self.checkpoint.clone(), entries).log;
        let offset = self.clock.and_then(|(written_in, offset)| (written_in == boot).then_some(offset));
        let cluster_time = offset.map_or(ClusterTime::ZERO, |offset| ClusterTime(local.0.saturating_add(offset)));
        Recovered { log, durable: self.durable, cluster_time, rebooted: offset.is_none() }
    }
}

#[cfg(test)]
mod tests;
