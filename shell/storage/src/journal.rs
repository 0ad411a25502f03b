//! The journal: every entry of the log, and now and then the whole state, in files of this node.
//!
//! ```text
//!   journal/7.checkpoint   the state when 7.log was begun
//!   journal/7.log          the entries after it
//!   journal/8.log          begun before 8.checkpoint was complete: both logs are read
//!   epochs                 the epochs known and reserved
//! ```
//!
//! A record is `length, CRC-32, local time, bytes`, so that a torn tail is noticed and left out. One thread writes,
//! another one syncs: a slow disk delays neither.

mod files;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};

use base::{ClusterTime, LocalTime, Lsn, Position};
use node::Recovered;
use node::cluster::Durable;
use node::replication::{ApplyError, Checkpoint};
use thiserror::Error;

/// The name of the folder within the state directory.
const FOLDER: &str = "journal";

#[derive(Debug, Error)]
pub enum JournalError {
    #[error("{operation} {path}")]
    File {
        operation: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("another tandem uses {path}")]
    Locked { path: PathBuf },
    #[error("start the journal's thread")]
    Thread(#[source] std::io::Error),
}

/// What the threads have done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalEvent {
    /// Entries up to this one survive a crash of the process.
    Written { lsn: Lsn },
    /// This reservation survives a power cut.
    Reserved { durable: Durable },
    /// The disk refuses writes (and an operator must know).
    Failed { operation: &'static str, errno: i32 },
}

/// What was found on the disk.
#[derive(Debug)]
pub struct Opened {
    pub recovered: Recovered,
    pub applied: u64,
    /// Why reading stopped early, if it did.
    pub stopped: Option<ApplyError>,
    /// A record at the end was torn; what it held never counted as written.
    pub torn: bool,
}

/// The way to the journal's threads.
pub struct Journal {
    commands: Sender<Command>,
}

enum Command {
    Append { position: Position, local: LocalTime, bytes: Vec<u8> },
    Checkpoint { local: LocalTime, checkpoint: Box<Checkpoint> },
    Durable(Durable),
}

impl Journal {
    /// Reads what is there and starts the threads. `events` is called from them.
    pub fn open(
        state_dir: &Path,
        now: LocalTime,
        events: impl Fn(JournalEvent) + Send + Sync + 'static,
    ) -> Result<(Self, Opened), JournalError> {
        let files = files::Files::open(state_dir)?;
        let opened = files.recover(now)?;
        let first = opened.recovered.log.checkpoint();
        let (commands, receiver) = channel();
        writer::start(files, receiver, events)?;
        let journal = Self { commands };
        // A clean beginning: the state as it was read back, whole.
        journal.checkpoint(now, Box::new(first));
        Ok((journal, opened))
    }

    pub fn append(&self, position: Position, local: LocalTime, bytes: Vec<u8>) {
        // The threads end only with the process.
        let _ = self.commands.send(Command::Append { position, local, bytes });
    }

    pub fn checkpoint(&self, local: LocalTime, checkpoint: Box<Checkpoint>) {
        let _ = self.commands.send(Command::Checkpoint { local, checkpoint });
    }

    pub fn keep_durable(&self, durable: Durable) {
        let _ = self.commands.send(Command::Durable(durable));
    }
}

/// Cluster time now, by an instant at which both were known.
fn cluster_time_now(cluster: ClusterTime, local: LocalTime, now: LocalTime) -> ClusterTime {
    cluster + now.since(local)
}

#[cfg(test)]
mod tests;
