//! Owns the lines that pass over the operator's socket, and reading and writing them within a time.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use node::cluster::Drain;
use node::{ConfigRequest, Operator};
use serde::{Deserialize, Serialize};

use crate::status::Answered;

/// Questions have some twenty bytes. A longer line is not read to its end, and the connection is closed.
pub(super) const REQUEST_BYTES_MAX: usize = 64 * 1024;

/// Room for 100,000 phones. A longer answer is not read to its end, and the question fails.
pub(super) const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The least that the kernel takes as a time limit; zero would mean none.
const WAIT_MIN: Duration = Duration::from_millis(1);

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    pub(super) ask: Question,
}

/// `Operator` as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Question {
    Status,
    Phones,
    Calls,
    SwitchOver,
    Drain,
    DrainNever,
    DrainCalls,
    DrainEnd,
    Reload,
    Config(ConfigRequest),
    Stop,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Response {
    Answered(Answered),
    /// There is no answer; why.
    Failed(String),
}

impl From<Operator> for Question {
    fn from(operator: Operator) -> Self {
        match operator {
            Operator::Status => Self::Status,
            Operator::Phones => Self::Phones,
            Operator::Calls => Self::Calls,
            Operator::SwitchOver => Self::SwitchOver,
            Operator::Drain(Drain::Drained) => Self::Drain,
            Operator::Drain(Drain::Never) => Self::DrainNever,
            Operator::Drain(Drain::Calls) => Self::DrainCalls,
            Operator::Drain(Drain::Ended) => Self::DrainEnd,
            Operator::Reload => Self::Reload,
            Operator::Config(request) => Self::Config(request),
            Operator::Stop => Self::Stop,
        }
    }
}

impl From<Question> for Operator {
    fn from(question: Question) -> Self {
        match question {
            Question::Status => Self::Status,
            Question::Phones => Self::Phones,
            Question::Calls => Self::Calls,
            Question::SwitchOver => Self::SwitchOver,
            Question::Drain => Self::Drain(Drain::Drained),
            Question::DrainNever => Self::Drain(Drain::Never),
            Question::DrainCalls => Self::Drain(Drain::Calls),
            Question::DrainEnd => Self::Drain(Drain::Ended),
            Question::Reload => Self::Reload,
            Question::Config(request) => Self::Config(request),
            Question::Stop => Self::Stop,
        }
    }
}

/// Reads up to the first newline, which it leaves out; what follows it is dropped. `TimedOut` when the line is not
/// complete at `deadline`, `InvalidData` when it is longer than `bytes_max`, `UnexpectedEof` when it has no end.
pub(super) fn read(mut stream: &UnixStream, bytes_max: usize, deadline: Instant) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let mut chunk = [0; 16 * 1024];
    loop {
        stream.set_read_timeout(Some(remaining(deadline)?))?;
        let count = match stream.read(&mut chunk) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(timed_out(error)),
        };
        let read = chunk.get(..count).unwrap_or(&chunk);
        let end = read.iter().position(|&byte| byte == b'\n');
        line.extend_from_slice(read.get(..end.unwrap_or(count)).unwrap_or(read));
        if line.len() > bytes_max {
            return Err(io::ErrorKind::InvalidData.into());
        }
        if end.is_some() {
            return Ok(line);
        }
    }
}

/// Writes `message` and a newline.
pub(super) fn write(mut stream: &UnixStream, message: &impl Serialize, deadline: Instant) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    let mut rest = line.as_slice();
    while !rest.is_empty() {
        stream.set_write_timeout(Some(remaining(deadline)?))?;
        match stream.write(rest) {
            Ok(count) => rest = rest.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(timed_out(error)),
        }
    }
    Ok(())
}

fn remaining(deadline: Instant) -> io::Result<Duration> {
    let remaining = deadline.saturating_duration_since(Instant::now());
    if remaining.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(remaining.max(WAIT_MIN)) }
}

/// The kernel reports the end of a socket's time limit as "would block".
fn timed_out(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock { io::ErrorKind::TimedOut.into() } else { error }
}
