//! Owns what is sent and what is measured: commits at a steady rate, cumulative acknowledgements, and their times.

use std::time::Duration;

use base::LocalTime;
use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// A typical step's entry: a call object with its two legs.
pub const COMMIT_BYTES: usize = 500;

/// An acknowledgement is the count of commits received so far.
pub const ACKNOWLEDGEMENT_BYTES: usize = 8;

/// What is sent before the measurement counts: the link between two nodes is up for weeks, and no transport shall be
/// judged by what it assumes before its first round trips.
pub const WARM_UP: Duration = Duration::from_millis(500);

/// How long after the last commit acknowledgements are waited for. Commits without one then are told as such.
pub const DRAIN_MAX: Duration = Duration::from_secs(5);

/// When each commit is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    start: LocalTime,
    commits_per_second: u32,
    warm_up_commits: u64,
    commits: u64,
}

impl Schedule {
    pub fn new(start: LocalTime, commits_per_second: u32, seconds: u32) -> Self {
        let commits_per_second = commits_per_second.max(1);
        let warm_up_commits = u64::from(commits_per_second) * WARM_UP.as_millis() as u64 / 1000;
        let commits = warm_up_commits + u64::from(commits_per_second) * u64::from(seconds);
        Self { start, commits_per_second, warm_up_commits, commits }
    }

    /// When the commit of this number, from 0, is due; `None` beyond the last.
    pub fn due(&self, number: u64) -> Option<LocalTime> {
        let after = Duration::from_micros(number * 1_000_000 / u64::from(self.commits_per_second));
        (number < self.commits).then(|| self.start + after)
    }

    /// When waiting for acknowledgements ends.
    pub fn end(&self) -> LocalTime {
        self.due(self.commits.saturating_sub(1)).unwrap_or(self.start) + DRAIN_MAX
    }
}

/// What one sender found, in microseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    pub samples_us: Vec<u64>,
    pub unacknowledged: u64,
}

/// When commits left and when they were acknowledged.
#[derive(Clone, Debug)]
pub struct Tally {
    schedule: Schedule,
    sent: Vec<LocalTime>,
    acknowledged_us: Vec<u64>,
}

impl Tally {
    pub fn new(schedule: Schedule) -> Self {
        Self { schedule, sent: Vec::new(), acknowledged_us: Vec::new() }
    }

    /// When the next commit is due; `None` when all were sent.
    pub fn next_due(&self) -> Option<LocalTime> {
        self.schedule.due(self.sent.len() as u64)
    }

    /// The next commit was handed to the transport.
    pub fn sent(&mut self, at: LocalTime) {
        self.sent.push(at);
    }

    /// The peer says that it has so many commits.
    pub fn acknowledged(&mut self, count: u64, at: LocalTime) {
        let newly =
            self.sent.iter().take(usize::try_from(count).unwrap_or(usize::MAX)).skip(self.acknowledged_us.len());
        let newly: Vec<u64> = newly.map(|&sent| at.since(sent).as_micros() as u64).collect();
        self.acknowledged_us.extend(newly);
    }

    /// Nothing is left to wait for.
    pub fn is_over(&self, now: LocalTime) -> bool {
        self.next_due().is_none() && (self.acknowledged_us.len() == self.sent.len() || now >= self.schedule.end())
    }

    pub fn outcome(mut self) -> Outcome {
        let unacknowledged = self.schedule.commits - self.acknowledged_us.len() as u64;
        let warm_up = usize::try_from(self.schedule.warm_up_commits).unwrap_or(usize::MAX);
        self.acknowledged_us.drain(..warm_up.min(self.acknowledged_us.len()));
        Outcome { samples_us: self.acknowledged_us, unacknowledged }
    }
}

/// The commit of this number: its number, then bytes that do not matter.
pub fn commit(number: u64) -> [u8; COMMIT_BYTES] {
    let mut commit = [0x5a; COMMIT_BYTES];
    if let Some(head) = commit.first_chunk_mut() {
        *head = number.to_be_bytes();
    }
    commit
}

pub fn acknowledgement(count: u64) -> [u8; ACKNOWLEDGEMENT_BYTES] {
    count.to_be_bytes()
}

/// The count that an acknowledgement says; `None` for what is none.
pub fn read_acknowledgement(message: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(message.try_into().ok()?))
}

/// The receiving application: it takes each commit once and in order, or the transport is broken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Follower {
    count: u64,
}

impl Follower {
    /// The count to acknowledge; `None` when this is not the next commit.
    pub fn take(&mut self, message: &[u8]) -> Option<u64> {
        if message != commit(self.count) {
            return None;
        }
        self.count += 1;
        Some(self.count)
    }
}

/// Cuts a byte stream into messages of one fixed length.
#[derive(Clone, Debug)]
pub struct Cutter {
    length: usize,
    bytes: Vec<u8>,
}

impl Cutter {
    pub fn new(length: usize) -> Self {
        Self { length, bytes: Vec::new() }
    }

    /// The whole messages there are with these bytes.
    pub fn take(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.bytes.extend_from_slice(bytes);
        let whole = self.bytes.len() / self.length * self.length;
        let whole: Vec<u8> = self.bytes.drain(..whole).collect();
        whole.chunks(self.length).map(<[u8]>::to_vec).collect()
    }
}
