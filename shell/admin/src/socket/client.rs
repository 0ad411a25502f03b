//! Owns the command line's side of the operator's socket.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, setsockopt, socket, sockopt};
use nix::sys::time::TimeVal;
use node::{ConfigRequest, Operator};
use thiserror::Error;

use super::line::{self, ANSWER_BYTES_MAX, Request, Response};
use crate::status::Answered;

/// A node that is well answers within milliseconds; one that has not answered by then is frozen or badly overloaded,
/// and the question fails.
pub const ASK_SECONDS_MAX: u64 = 5;

/// What both nodes have to fetch, check and write takes longer than to tell something: thousands of files on a slow line.
const CONFIG_SECONDS_MAX: u64 = 60;

/// How long the answer to a question is waited for.
pub fn patience(operator: Operator) -> Duration {
    let waits = match operator {
        Operator::Reload => true,
        Operator::Config(request) => request != ConfigRequest::Status,
        _ => false,
    };
    Duration::from_secs(if waits { CONFIG_SECONDS_MAX } else { ASK_SECONDS_MAX })
}

/// Why a question has no answer.
#[derive(Debug, Error)]
pub enum AskError {
    #[error("no node is running there: nobody listens at {}", path.display())]
    NotRunning { path: PathBuf },
    #[error("no permission to speak with the node at {}: try again as root or as the node's user", path.display())]
    NoPermission { path: PathBuf },
    #[error("the node did not answer within {seconds} s: it hangs or is overloaded")]
    Timeout { seconds: u64 },
    #[error("the path of the socket is too long for Linux (107 bytes): {}", path.display())]
    PathTooLong { path: PathBuf },
    #[error("connect to the node at {}", path.display())]
    Connect {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("speak with the node")]
    Speak(#[source] io::Error),
    #[error("understand the node's answer: it may be of another version")]
    Answer(#[source] serde_json::Error),
    /// The node is to be asked again later.
    #[error("the node gave no answer: {reason}")]
    Failed { reason: String },
}

/// Asks the node at the socket `path` and waits for its answer.
pub fn ask(path: &Path, operator: Operator) -> Result<Answered, AskError> {
    ask_within(path, operator, patience(operator))
}

pub(super) fn ask_within(path: &Path, operator: Operator, limit: Duration) -> Result<Answered, AskError> {
    let deadline = Instant::now() + limit;
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::TimedOut => AskError::Timeout { seconds: limit.as_secs() },
        _ => AskError::Speak(error),
    };
    let stream = connect_within(path, limit)?;
    match line::write(&stream, &Request { ask: operator.into() }, deadline) {
        Ok(()) => {}
        // A node that is too busy answers without having read, and closes: its answer says more than the broken pipe.
        Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {}
        Err(error) => return Err(failed(error)),
    }
    let answer = line::read(&stream, ANSWER_BYTES_MAX, deadline).map_err(failed)?;
    match serde_json::from_slice(&answer).map_err(AskError::Answer)? {
        Response::Answered(answered) => Ok(answered),
        Response::Failed(reason) => Err(AskError::Failed { reason }),
    }
}

/// `UnixStream::connect` with a time limit: it would wait for ever on a frozen node whose queue is full.
pub(super) fn connect_within(path: &Path, limit: Duration) -> Result<UnixStream, AskError> {
    let failed = |errno: Errno| {
        let path = path.to_owned();
        match errno {
            Errno::ENOENT | Errno::ECONNREFUSED | Errno::ENOTDIR => AskError::NotRunning { path },
            Errno::EACCES | Errno::EPERM => AskError::NoPermission { path },
            Errno::EAGAIN => AskError::Timeout { seconds: limit.as_secs() },
            Errno::ENAMETOOLONG => AskError::PathTooLong { path },
            other => AskError::Connect { path, source: other.into() },
        }
    };
    let address = UnixAddr::new(path).map_err(failed)?;
    let handle = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).map_err(failed)?;
    let limit_value = time_value(limit);
    setsockopt(&handle, sockopt::SendTimeout, &limit_value).map_err(failed)?;
    connect(handle.as_raw_fd(), &address).map_err(failed)?;
    Ok(UnixStream::from(handle))
}

fn time_value(limit: Duration) -> TimeVal {
    TimeVal::new(i64::try_from(limit.as_secs()).unwrap_or(i64::MAX), i64::from(limit.subsec_micros()))
}
