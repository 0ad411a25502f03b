//! Owns the thread that writes events and passes them on: whoever tells waits for nothing, neither disk nor program.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{io, thread};

use thiserror::Error;

use super::file::{self, EventFile};
use super::stream::StreamProgram;
use super::{Event, Telling};

/// Events that may wait for the disk. Beyond it they are counted, and the count is told.
const WAITING_MAX: usize = 1024;

/// The same words again within this time are counted and not written: a disk that is full says so with every write.
const REPEAT_MS: u64 = 60_000;

#[derive(Debug, Error)]
pub enum TellerError {
    #[error("start the thread that writes events")]
    Thread(#[source] io::Error),
}

/// The way to the thread. Copies are cheap, and all lead to the same one.
#[derive(Clone, Debug)]
pub struct Teller {
    queue: SyncSender<Item>,
    lost: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Item {
    /// With the Unix time in milliseconds at which it was told.
    Tell(u64, Telling),
    /// Answer when everything before this is written.
    Flush(SyncSender<()>),
}

impl Teller {
    /// Starts the thread. `program`, if any, gets every event from now on as a line of JSON.
    pub fn start(state_dir: &Path, node: &str, program: Option<StreamProgram>) -> Result<Self, TellerError> {
        let (queue, waiting) = sync_channel(WAITING_MAX);
        let lost = Arc::new(AtomicU64::new(0));
        let writer = Writer {
            state_dir: state_dir.to_owned(),
            file: None,
            node: node.to_owned(),
            last: file::read(state_dir).unwrap_or_default().last().map_or(0, |event| event.number),
            lost: lost.clone(),
            said: None,
            repeated: 0,
            program,
        };
        let thread = thread::Builder::new().name("events".into());
        thread.spawn(move || writer.run(&waiting)).map_err(TellerError::Thread)?;
        Ok(Self { queue, lost })
    }

    /// Returns at once.
    pub fn tell(&self, telling: Telling) {
        match self.queue.try_send(Item::Tell(wall_ms(), telling)) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => drop(self.lost.fetch_add(1, Ordering::Relaxed)),
            // The thread ends with the process.
            Err(TrySendError::Disconnected(_)) => {}
        }
    }

    /// Waits until everything that was told is written, or `wait` is over: for a process that is about to end.
    pub fn flush(&self, wait: Duration) {
        let (done, written) = sync_channel(1);
        if self.queue.try_send(Item::Flush(done)).is_ok() {
            // What is not written by then is not waited for: a slow disk must not delay a hand-over's end.
            let _ = written.recv_timeout(wait);
        }
    }
}

struct Writer {
    state_dir: PathBuf,
    /// `None` while the disk does not let it be opened: a node serves without it, and each event tries again.
    file: Option<EventFile>,
    node: String,
    last: u64,
    lost: Arc<AtomicU64>,
    /// What was said last, and when.
    said: Option<(u64, Telling)>,
    repeated: u64,
    program: Option<StreamProgram>,
}

impl Writer {
    fn run(mut self, waiting: &Receiver<Item>) {
        for item in waiting {
            let (at_ms, telling) = match item {
                Item::Tell(at_ms, telling) => (at_ms, telling),
                Item::Flush(done) => {
                    // Whoever asked may have waited long enough.
                    let _ = done.try_send(());
                    continue;
                }
            };
            let lost = self.lost.swap(0, Ordering::Relaxed);
            if lost > 0 {
                self.write(
                    at_ms,
                    Telling::new("lost", format!("{lost} events were too many at once")).with("count", lost),
                );
            }
            if self.is_repeated(at_ms, &telling) {
                self.repeated += 1;
                continue;
            }
            let repeated = std::mem::take(&mut self.repeated);
            self.said = Some((at_ms, telling.clone()));
            let telling = if repeated > 0 { telling.with("same_before", repeated) } else { telling };
            self.write(at_ms, telling);
        }
    }

    fn is_repeated(&self, at_ms: u64, telling: &Telling) -> bool {
        self.said.as_ref().is_some_and(|(said_ms, said)| said == telling && at_ms.abs_diff(*said_ms) < REPEAT_MS)
    }

    fn keep(&mut self, event: &Event) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(EventFile::open(&self.state_dir)?),
        };
        file.append(event)
    }

    fn write(&mut self, at_ms: u64, telling: Telling) {
        self.last += 1;
        let Telling { kind, text, data } = telling;
        let event = Event { number: self.last, at_ms, node: self.node.clone(), kind: kind.to_owned(), text, data };
        if let Err(error) = self.keep(&event) {
            tracing::warn!(%error, kind, "an event is not kept");
        }
        if let Some(program) = &mut self.program {
            program.give(&event);
        }
    }
}

/// Unix time in milliseconds.
fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
