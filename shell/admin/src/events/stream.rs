//! Owns the operator's program that gets every event as a line of JSON on its standard input, in order.

use std::io::{self, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::Event;

/// Events that wait for a program that is slow or being started again. Beyond it they are counted, and the count is
/// given in their place.
const WAITING_MAX: usize = 1024;

/// Pauses before a program that has ended is started again: doubled each time up to the last.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_LAST: Duration = Duration::from_secs(60);

/// A program that ran this long is started again without a long pause.
const SETTLED: Duration = Duration::from_secs(60);

/// The way to the program.
#[derive(Debug)]
pub struct StreamProgram {
    queue: SyncSender<Vec<u8>>,
    lost: u64,
}

impl StreamProgram {
    /// Starts the thread that starts `command` (a line for `sh -c`) and keeps it running. The program's other output
    /// goes to the log.
    pub fn start(command: &str) -> io::Result<Self> {
        let (queue, waiting) = sync_channel(WAITING_MAX);
        let command = command.to_owned();
        thread::Builder::new().name("event stream".into()).spawn(move || serve(&command, &waiting))?;
        Ok(Self { queue, lost: 0 })
    }

    pub(super) fn give(&mut self, event: &Event) {
        if self.lost > 0 {
            let Ok(note) = serde_json::to_vec(&serde_json::json!({ "kind": "lost", "count": self.lost })) else {
                return;
            };
            if self.queue.try_send(line(note)).is_err() {
                self.lost += 1;
                return;
            }
            self.lost = 0;
        }
        let Ok(bytes) = serde_json::to_vec(event) else { return };
        if let Err(TrySendError::Full(_)) = self.queue.try_send(line(bytes)) {
            self.lost += 1;
        }
    }
}

fn line(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.push(b'\n');
    bytes
}

/// Runs until nobody gives events any more.
fn serve(command: &str, waiting: &Receiver<Vec<u8>>) {
    let mut pause = PAUSE_FIRST;
    // What a program that ended may not have read is given to the next one again.
    let mut unread: Option<Vec<u8>> = None;
    loop {
        let begun = Instant::now();
        match start(command) {
            Ok(mut child) => {
                let Err(ended) = feed(&mut child, waiting, &mut unread) else {
                    // Its input has been closed, which tells it to end.
                    let _ = child.wait();
                    return;
                };
                let status = child.kill().and_then(|()| child.wait());
                tracing::warn!(command, error = %ended, ?status, "the program that takes events ended");
            }
            Err(error) => tracing::warn!(command, %error, "the program that takes events cannot be started"),
        }
        if begun.elapsed() >= SETTLED {
            pause = PAUSE_FIRST;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(PAUSE_LAST);
    }
}

fn start(command: &str) -> io::Result<Child> {
    Command::new("/bin/sh").args(["-c", command]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn()
}

/// Gives it events until it does not take one.
fn feed(child: &mut Child, waiting: &Receiver<Vec<u8>>, unread: &mut Option<Vec<u8>>) -> io::Result<()> {
    let mut input = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
    loop {
        let line = match unread.take() {
            Some(line) => line,
            None => match waiting.recv() {
                Ok(line) => line,
                Err(_) => return Ok(()),
            },
        };
        if let Err(error) = input.write_all(&line) {
            *unread = Some(line);
            return Err(error);
        }
    }
}
