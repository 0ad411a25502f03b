//! The journal's two threads: one writes at once, the other syncs, checkpoints, and keeps the epochs.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use base::{LocalTime, Lsn};
use node::cluster::Durable;
use node::replication::Checkpoint;

use super::files::{Files, record, sync_data};
use super::{Command, JournalError, JournalEvent};

/// How long written entries may wait for the disk: with the disk's own time, the window that a power cut can take.
const SYNC_EVERY: Duration = Duration::from_millis(50);

/// How often what the disk has refused is offered to it again.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// What the disk refuses is kept up to this size, minutes of a busy node. Beyond it everything is given up until the
/// next checkpoint, which has it all: entries behind a gap would be of no use.
const REFUSED_BYTES_MAX: usize = 16 << 20;

type Events = Arc<dyn Fn(JournalEvent) + Send + Sync>;

enum Off {
    /// This file has new entries.
    Sync(File),
    Checkpoint {
        number: u64,
        local: LocalTime,
        checkpoint: Box<Checkpoint>,
    },
    Durable(Durable),
}

pub(super) fn start(
    files: Files,
    commands: Receiver<Command>,
    events: impl Fn(JournalEvent) + Send + Sync + 'static,
) -> Result<(), JournalError> {
    let events: Events = Arc::new(events);
    let number = files.next_number()?;
    let log = files.create_log(number)?;
    let files = Arc::new(files);
    let (off, slow) = channel();
    let unsynced = Arc::new(AtomicBool::new(false));
    let writer = Writer {
        files: files.clone(),
        log: LogFile::at_end(log).map_err(|source| JournalError::File {
            operation: "write",
            path: files.log_path(number),
            source,
        })?,
        number,
        off,
        unsynced: unsynced.clone(),
        events: events.clone(),
        refused: Refused::default(),
    };
    let spawn = |name: &str, body: Box<dyn FnOnce() + Send>| {
        std::thread::Builder::new().name(name.to_owned()).spawn(body).map(drop).map_err(JournalError::Thread)
    };
    spawn("journal-write", Box::new(move || writer.run(&commands)))?;
    spawn("journal-sync", Box::new(move || sync(&files, &slow, &unsynced, &events)))
}

struct Writer {
    files: Arc<Files>,
    log: LogFile,
    number: u64,
    off: Sender<Off>,
    /// The present file is waiting to be synced.
    unsynced: Arc<AtomicBool>,
    events: Events,
    refused: Refused,
}

/// Entries that the disk has not taken yet, in order.
#[derive(Default)]
struct Refused {
    bytes: Vec<u8>,
    last: Option<Lsn>,
    /// When the disk refused them last. It is told of once.
    refused_at: Option<Instant>,
    /// There were too many of them: what follows is of no use before the next checkpoint.
    given_up: bool,
}

impl Writer {
    fn run(mut self, commands: &Receiver<Command>) {
        while let Some(first) = self.next(commands) {
            first.into_iter().chain(commands.try_iter()).for_each(|command| self.take(command));
            self.write();
        }
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Append { position, local, bytes: entry } => self.refused.add(local, &entry, position.lsn),
            Command::Checkpoint { local, checkpoint } => {
                self.write();
                self.rotate(local, checkpoint);
            }
            Command::Durable(durable) => drop(self.off.send(Off::Durable(durable))),
        }
    }

    /// Waits for a command, or for the time to try again; `None` when nobody can command any more.
    fn next(&self, commands: &Receiver<Command>) -> Option<Option<Command>> {
        if self.refused.last.is_none() {
            return commands.recv().ok().map(Some);
        }
        match commands.recv_timeout(RETRY_AFTER) {
            Ok(command) => Some(Some(command)),
            Err(RecvTimeoutError::Timeout) => Some(None),
            Err(RecvTimeoutError::Disconnected) => None,
        }
    }

    fn write(&mut self) {
        let Some(lsn) = self.refused.last.filter(|_| self.refused.is_due()) else { return };
        match self.log.append(&self.refused.bytes) {
            Ok(()) => {
                self.refused = Refused::default();
                (self.events)(JournalEvent::Written { lsn });
                // One request for each group, however many writes join it.
                if !self.unsynced.swap(true, Ordering::AcqRel) {
                    match self.log.file.try_clone() {
                        Ok(log) => drop(self.off.send(Off::Sync(log))),
                        Err(error) => failed(&self.events, "sync the journal", &error),
                    }
                }
            }
            Err(error) => {
                if self.refused.note() {
                    failed(&self.events, "write the journal", &error);
                }
            }
        }
    }

    /// Entries from now on go into a new file; the checkpoint itself is written on the other thread.
    fn rotate(&mut self, local: LocalTime, checkpoint: Box<Checkpoint>) {
        let number = self.number + 1;
        let log = self.files.create_log(number);
        let log = log.and_then(|log| {
            let path = self.files.log_path(number);
            LogFile::at_end(log).map_err(|source| JournalError::File { operation: "write", path, source })
        });
        match log {
            Ok(log) => {
                self.log = log;
                self.number = number;
                self.unsynced.store(false, Ordering::Release);
                // What the old file did not take belongs into the new one: until the checkpoint is complete, both are
                // read.
                self.refused.refused_at = None;
                self.refused.given_up = false;
                let _ = self.off.send(Off::Checkpoint { number, local, checkpoint });
            }
            Err(error) => journal_failed(&self.events, "begin a journal file", &error),
        }
    }
}

impl Refused {
    fn add(&mut self, local: LocalTime, entry: &[u8], lsn: Lsn) {
        if !self.given_up {
            record(&mut self.bytes, local, entry);
            self.last = Some(lsn);
        }
    }

    fn is_due(&self) -> bool {
        self.refused_at.is_none_or(|at| at.elapsed() >= RETRY_AFTER)
    }

    /// The disk has refused them; whether that is news.
    fn note(&mut self) -> bool {
        let is_news = self.refused_at.replace(Instant::now()).is_none();
        if self.bytes.len() > REFUSED_BYTES_MAX {
            *self = Self { given_up: true, refused_at: self.refused_at, ..Self::default() };
        }
        is_news
    }
}

/// A journal file that holds whole groups only: a disk that fills up in the middle of one leaves nothing of it, since
/// nothing after a torn record would be read.
struct LogFile {
    file: File,
    length: u64,
}

impl LogFile {
    fn at_end(mut file: File) -> std::io::Result<Self> {
        let length = file.seek(SeekFrom::End(0))?;
        Ok(Self { file, length })
    }

    fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        // Where the last attempt stopped does not matter.
        if self.file.stream_position()? != self.length {
            self.file.set_len(self.length)?;
            self.file.seek(SeekFrom::Start(self.length))?;
        }
        self.file.write_all(bytes)?;
        self.length += bytes.len() as u64;
        Ok(())
    }
}

/// Syncs what was written, a group at a time, and does what else takes long. Epochs and checkpoints wait for no group.
fn sync(files: &Files, work: &Receiver<Off>, unsynced: &AtomicBool, events: &Events) {
    let mut group: Vec<File> = Vec::new();
    let mut due = Instant::now();
    loop {
        let next = if group.is_empty() {
            work.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            work.recv_timeout(due.saturating_duration_since(Instant::now()))
        };
        match next {
            Ok(Off::Sync(log)) => {
                if group.is_empty() {
                    due = Instant::now() + SYNC_EVERY;
                }
                group.push(log);
            }
            Ok(Off::Durable(durable)) => match files.write_durable(durable) {
                Ok(()) => events(JournalEvent::Reserved { durable }),
                Err(error) => journal_failed(events, "keep the epochs", &error),
            },
            Ok(Off::Checkpoint { number, local, checkpoint }) => {
                if let Err(error) = files.write_checkpoint(number, local, &checkpoint) {
                    journal_failed(events, "write a checkpoint", &error);
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                // What is written from here on belongs to the next group.
                unsynced.store(false, Ordering::Release);
                for log in group.drain(..) {
                    if let Err(error) = sync_data(&log) {
                        failed(events, "sync the journal", &error);
                    }
                }
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn failed(events: &Events, operation: &'static str, error: &std::io::Error) {
    events(JournalEvent::Failed { operation, errno: error.raw_os_error().unwrap_or_default() });
}

fn journal_failed(events: &Events, operation: &'static str, error: &JournalError) {
    match error {
        JournalError::File { source, .. } | JournalError::Thread(source) => failed(events, operation, source),
        JournalError::Locked { .. } => events(JournalEvent::Failed { operation, errno: 0 }),
    }
}

#[cfg(test)]
mod tests;
