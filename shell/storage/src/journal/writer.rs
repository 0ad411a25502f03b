//! The journal's two threads: one writes at once, the other syncs, checkpoints, and keeps the epochs.

use std::fs::File;
use std::io::Write;
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
    let writer = Writer { files: files.clone(), log, number, off, unsynced: unsynced.clone(), events: events.clone() };
    let spawn = |name: &str, body: Box<dyn FnOnce() + Send>| {
        std::thread::Builder::new().name(name.to_owned()).spawn(body).map(drop).map_err(JournalError::Thread)
    };
    spawn("journal-write", Box::new(move || writer.run(&commands)))?;
    spawn("journal-sync", Box::new(move || sync(&files, &slow, &unsynced, &events)))
}

struct Writer {
    files: Arc<Files>,
    log: File,
    number: u64,
    off: Sender<Off>,
    /// The present file is waiting to be synced.
    unsynced: Arc<AtomicBool>,
    events: Events,
}

impl Writer {
    fn run(mut self, commands: &Receiver<Command>) {
        while let Ok(first) = commands.recv() {
            let mut bytes = Vec::new();
            let mut last = None;
            for command in std::iter::once(first).chain(commands.try_iter()) {
                match command {
                    Command::Append { position, local, bytes: entry } => {
                        record(&mut bytes, local, &entry);
                        last = Some(position.lsn);
                    }
                    Command::Checkpoint { local, checkpoint } => {
                        self.write(&mut bytes, last.take());
                        self.rotate(local, checkpoint);
                    }
                    Command::Durable(durable) => drop(self.off.send(Off::Durable(durable))),
                }
            }
            self.write(&mut bytes, last);
        }
    }

    fn write(&mut self, bytes: &mut Vec<u8>, last: Option<Lsn>) {
        let Some(lsn) = last else { return };
        match self.log.write_all(bytes) {
            Ok(()) => {
                (self.events)(JournalEvent::Written { lsn });
                // One request for each group, however many writes join it.
                if !self.unsynced.swap(true, Ordering::AcqRel) {
                    match self.log.try_clone() {
                        Ok(log) => drop(self.off.send(Off::Sync(log))),
                        Err(error) => failed(&self.events, "sync the journal", &error),
                    }
                }
            }
            Err(error) => failed(&self.events, "write the journal", &error),
        }
        bytes.clear();
    }

    /// Entries from now on go into a new file; the checkpoint itself is written on the other thread.
    fn rotate(&mut self, local: LocalTime, checkpoint: Box<Checkpoint>) {
        let number = self.number + 1;
        match self.files.create_log(number) {
            Ok(log) => {
                self.log = log;
                self.number = number;
                self.unsynced.store(false, Ordering::Release);
                let _ = self.off.send(Off::Checkpoint { number, local, checkpoint });
            }
            Err(error) => journal_failed(&self.events, "begin a journal file", &error),
        }
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
