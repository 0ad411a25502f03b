//! Measuring what a node tracks: an interface, a gateway, a process, a disk, a script, a file. Each has a thread of its
//! own, so that one that hangs delays nobody. What a measurement means is judged elsewhere.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
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
    let measurements = Measurements::start(subject, timeout)?;
    let watch = move || {
        loop {
            let begun = Instant::now();
            found(measurements.next(timeout));
            thread::sleep(interval.saturating_sub(begun.elapsed()));
        }
    };
    thread::Builder::new().name("track".into()).spawn(watch).map(drop)
}

/// A thread that measures when it is asked. One that hangs is not asked again until it has come back.
struct Measurements {
    ask: std::sync::mpsc::SyncSender<()>,
    answers: Receiver<Found>,
}

impl Measurements {
    fn start(subject: Subject, timeout: Duration) -> io::Result<Self> {
        let (ask, asked) = sync_channel(1);
        let (answer, answers) = sync_channel(1);
        let work = move || {
            let mut meter = measure::Meter::new(subject);
            while asked.recv().is_ok() {
                if answer.send(meter.measure(timeout)).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name("measure".into()).spawn(work)?;
        Ok(Self { ask, answers })
    }

    /// A measurement that does not end in time has failed; its late answer is thrown away.
    fn next(&self, timeout: Duration) -> Found {
        let until = Instant::now() + timeout + measure::SLACK;
        while self.answers.try_recv().is_ok() {}
        // Full: it has not yet begun with the last one.
        if self.ask.try_send(()).is_err() {
            return Found::Failing;
        }
        match self.answers.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(found) => found,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Found::Failing,
        }
    }
}
