//! Measuring what a node tracks: an interface, a gateway, a process, a disk, a script, a file. Each has a thread of its
//! own, so that one that hangs delays nobody. What a measurement means is judged elsewhere.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, channel, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

mod measure;
#[cfg(test)]
mod tests;

/// What is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    Interface(String),
    Gateway(IpAddr),
    Process(String),
    Disk {
        path: PathBuf,
        free_bytes_min: u64,
    },
    /// A line for the shell.
    Script {
        command: String,
    },
    File(PathBuf),
}

/// How it is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    pub subject: Subject,
    /// Between the beginnings of two measurements.
    pub interval: Duration,
    /// A measurement that takes longer has failed.
    pub timeout: Duration,
}

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    Well,
    Failing,
    Number(i64),
}

/// Measures for as long as the process lives, at once for the first time. `found` is called from the thread after each
/// measurement.
pub fn start(probe: Probe, found: impl Fn(Found) + Send + 'static) -> io::Result<()> {
    let Probe { subject, interval, timeout } = probe;
    let mut meter = measure::Meter::new(subject);
    let mut measurements = Measurements::start(move || meter.measure(timeout))?;
    let watch = move || {
        loop {
            let begun = Instant::now();
            found(measurements.next(timeout + measure::SLACK));
            thread::sleep(interval.saturating_sub(begun.elapsed()));
        }
    };
    thread::Builder::new().name("track".into()).spawn(watch).map(drop)
}

/// A thread that measures when it is asked. While one measurement hangs at most one more waits for its turn.
struct Measurements {
    ask: SyncSender<u64>,
    answers: Receiver<(u64, Found)>,
    asked: u64,
}

impl Measurements {
    fn start(mut measure: impl FnMut() -> Found + Send + 'static) -> io::Result<Self> {
        let (ask, questions) = sync_channel(1);
        let (answer, answers) = channel();
        let work = move || {
            while let Ok(number) = questions.recv() {
                if answer.send((number, measure())).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name("measure".into()).spawn(work)?;
        Ok(Self { ask, answers, asked: 0 })
    }

    /// A measurement that does not end in time has failed; what it says later is thrown away.
    fn next(&mut self, wait: Duration) -> Found {
        let until = Instant::now() + wait;
        self.asked += 1;
        if self.ask.try_send(self.asked).is_err() {
            return Found::Failing;
        }
        loop {
            match self.answers.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok((number, found)) if number == self.asked => return found,
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return Found::Failing,
            }
        }
    }
}
