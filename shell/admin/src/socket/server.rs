//! Owns the node's side of the operator's socket: threads of its own, bounded in number, time and bytes, so that
//! nobody who asks can slow the node down.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{fs, thread};

use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};
use nix::sys::stat::{Mode, fchmod};
use node::{Answer, Operator};
use thiserror::Error;
use tracing::{debug, warn};

use super::client::connect_within;
use super::line::{self, REQUEST_BYTES_MAX, Request, Response};
use crate::status::Answered;

/// Operators and their scripts are few. Whoever comes while so many are being answered is told to try again.
pub const CONNECTIONS_MAX: usize = 16;

/// How long a client may take to ask and, once there is an answer, to take it; then its connection is closed.
const CLIENT_LIMIT: Duration = Duration::from_secs(5);

/// How long accepting rests when the process has no file descriptor left, rather than to spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long another process at the same socket may take to accept, to be taken for alive.
const PROBE_LIMIT: Duration = Duration::from_secs(1);

/// Connections that wait for the accepting thread; beyond them clients wait in `connect`.
const BACKLOG: i32 = 32;

/// Why a node has no socket for its operators.
#[derive(Debug, Error)]
pub enum ServeError {
    #[error("another node is running with the same state directory: it listens at {}", path.display())]
    AlreadyServed { path: PathBuf },
    #[error("{} is there and no socket: move it away", path.display())]
    NotASocket { path: PathBuf },
    #[error("remove the socket that an earlier node left at {}", path.display())]
    Remove {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("listen at {}", path.display())]
    Listen {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("start the thread that accepts operators")]
    Thread(#[source] io::Error),
}

/// Listens at `path` (mode 0600) for as long as the process lives. `ask` is called from many threads at once and may
/// wait; `None` means that the node gives no answer because it is stopping.
///
/// A socket that a dead node left is replaced; that of a living one is an error.
pub fn serve(path: &Path, ask: impl Fn(Operator) -> Option<Answer> + Send + Sync + 'static) -> Result<(), ServeError> {
    make_room(path)?;
    let listener = open(path).map_err(|source| ServeError::Listen { path: path.to_owned(), source })?;
    let accepting = thread::Builder::new().name("operators".into());
    accepting.spawn(move || accept(&listener, Arc::new(ask))).map_err(ServeError::Thread)?;
    Ok(())
}

fn make_room(path: &Path) -> Result<(), ServeError> {
    let Ok(found) = fs::symlink_metadata(path) else { return Ok(()) };
    if !found.file_type().is_socket() {
        return Err(ServeError::NotASocket { path: path.to_owned() });
    }
    if connect_within(path, PROBE_LIMIT).is_ok() {
        return Err(ServeError::AlreadyServed { path: path.to_owned() });
    }
    fs::remove_file(path).map_err(|source| ServeError::Remove { path: path.to_owned(), source })
}

fn open(path: &Path) -> io::Result<UnixListener> {
    let handle = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    // Linux gives the file the mode of the unbound socket, so that there is no instant at which others may connect.
    fchmod(&handle, Mode::S_IRUSR | Mode::S_IWUSR)?;
    bind(handle.as_raw_fd(), &UnixAddr::new(path)?)?;
    listen(&handle, Backlog::new(BACKLOG)?)?;
    Ok(UnixListener::from(handle))
}

fn accept<A>(listener: &UnixListener, ask: Arc<A>)
where
    A: Fn(Operator) -> Option<Answer> + Send + Sync + 'static,
{
    let open = Arc::new(AtomicUsize::new(0));
    loop {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!(%error, "accept an operator");
                thread::sleep(ACCEPT_PAUSE);
                continue;
            }
        };
        let Some(slot) = Slot::take(&open) else {
            refuse(&stream);
            continue;
        };
        let ask = ask.clone();
        let answering = move || {
            let _slot = slot;
            if let Err(error) = answer(&stream, &*ask) {
                debug!(%error, "answer an operator");
            }
        };
        if let Err(error) = thread::Builder::new().name("operator".into()).spawn(answering) {
            warn!(%error, "start a thread for an operator");
        }
    }
}

fn answer(stream: &UnixStream, ask: impl Fn(Operator) -> Option<Answer>) -> io::Result<()> {
    let request = match line::read(stream, REQUEST_BYTES_MAX, Instant::now() + CLIENT_LIMIT) {
        Ok(request) => request,
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return fail(stream, format!("the question is longer than {REQUEST_BYTES_MAX} bytes"));
        }
        Err(error) => return Err(error),
    };
    let request: Request = match serde_json::from_slice(&request) {
        Ok(request) => request,
        Err(error) => return fail(stream, format!("the question is not understood: {error}")),
    };
    match ask(request.ask.into()) {
        Some(answer) => respond(stream, &Response::Answered(Answered::here(answer))),
        None => fail(stream, "the node is stopping".into()),
    }
}

/// The new socket's buffer is empty, so the accepting thread does not wait here.
fn refuse(stream: &UnixStream) {
    let text = format!("it is answering {CONNECTIONS_MAX} others; try again");
    if let Err(error) = fail(stream, text) {
        debug!(%error, "refuse an operator");
    }
}

fn fail(stream: &UnixStream, reason: String) -> io::Result<()> {
    respond(stream, &Response::Failed(reason))
}

fn respond(stream: &UnixStream, response: &Response) -> io::Result<()> {
    line::write(stream, response, Instant::now() + CLIENT_LIMIT)
}

/// One of the connections that may be open at once.
struct Slot {
    open: Arc<AtomicUsize>,
}

impl Slot {
    fn take(open: &Arc<AtomicUsize>) -> Option<Self> {
        if open.fetch_add(1, Ordering::SeqCst) >= CONNECTIONS_MAX {
            open.fetch_sub(1, Ordering::SeqCst);
            return None;
        }
        Some(Self { open: open.clone() })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::SeqCst);
    }
}
