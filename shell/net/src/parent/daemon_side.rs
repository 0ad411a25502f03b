//! The daemon's end of the channel to its parent.

use std::env;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use base::{Epoch, Incarnation};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{SockType, getsockopt, sockopt};
use nix::unistd::pipe2;
use thiserror::Error;

use super::CHANNEL_VARIABLE;
use super::message::{FromParent, HeldSocket, NAME_BYTES_MAX, ToDaemon, ToParent, decode, encode};
use crate::channel::{Channel, ChannelError, FILES_MAX};
use crate::clock::local_now;
use crate::realtime::become_realtime;

/// How long a message may wait for room. The parent reads at once; beyond it something is wrong and is reported.
const PATIENCE: Duration = Duration::from_millis(20);

/// As high as the parent's: a dying thread, too, needs a processor to close its files.
const LIFELINE_PRIORITY: u8 = 40;

/// The descriptor belongs to one handle only.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

#[derive(Debug, Error)]
pub enum ParentHandleError {
    #[error("{CHANNEL_VARIABLE} names no channel: a daemon is started by its parent process")]
    NoParent,
    #[error("talk with the parent process")]
    Channel(#[source] ChannelError),
    #[error("a message of the parent process cannot be read")]
    Message,
    #[error("the parent process did not hand over its sockets in time")]
    Late,
    #[error("give the parent process a lifeline")]
    Lifeline(#[source] io::Error),
    #[error("the socket name {name:?} is longer than {NAME_BYTES_MAX} bytes")]
    Name { name: String },
}

impl ParentHandleError {
    /// Whether the parent is dead. The kernel then kills the daemon, too.
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Channel(ChannelError::Closed))
    }
}

/// What the former life left behind, and the name of this one.
#[derive(Debug)]
pub struct Inheritance {
    pub sockets: Vec<HeldSocket>,
    pub resume_active: Option<Epoch>,
    pub incarnation: Incarnation,
}

/// Usable from several threads at once through a shared reference (`Arc<ParentHandle>`).
#[derive(Debug)]
pub struct ParentHandle {
    channel: Channel,
}

impl ParentHandle {
    /// Takes the channel that the environment names. Call it once, early: the descriptor is taken over.
    pub fn connect() -> Result<Self, ParentHandleError> {
        let number = env::var(CHANNEL_VARIABLE).ok().and_then(|number| number.parse().ok());
        let socket = number.and_then(take_over).ok_or(ParentHandleError::NoParent)?;
        Ok(Self { channel: Channel::from_fd(socket).map_err(ParentHandleError::Channel)? })
    }

    /// Gives the parent a sign of death that does not wait for disks: a process that is killed has only ended when its
    /// last thread has, and one in fdatasync(2) ends when the disk answers. A thread that waits for nothing holds a
    /// pipe's end that no other thread has. Call it before other files are opened: that thread keeps copies of those
    /// that are open now.
    pub fn tie_lifeline(self: &Arc<Self>) -> Result<(), ParentHandleError> {
        let (done, result) = mpsc::sync_channel(1);
        let parent = Arc::clone(self);
        let hold = move || {
            become_realtime(LIFELINE_PRIORITY);
            let (lifeline, tied) =
                parent.make_lifeline().map_or_else(|error| (None, Err(error)), |it| (Some(it), Ok(())));
            drop(parent);
            // Whoever waits for this is the caller below.
            let _ = done.send(tied);
            while lifeline.is_some() {
                std::thread::park();
            }
        };
        let thread = std::thread::Builder::new().name("lifeline".into()).stack_size(64 * 1024);
        thread.spawn(hold).map_err(ParentHandleError::Lifeline)?;
        result.recv().map_err(|_| ParentHandleError::Lifeline(io::ErrorKind::BrokenPipe.into()))?
    }

    /// As the calling thread: leaves the process's table of open files, and gives the parent the other end of a new
    /// pipe. The returned end is in this thread's table only.
    fn make_lifeline(&self) -> Result<OwnedFd, ParentHandleError> {
        let failed = |error: Errno| ParentHandleError::Lifeline(error.into());
        unshare(CloneFlags::CLONE_FILES).map_err(failed)?;
        let (theirs, ours) = pipe2(OFlag::O_CLOEXEC).map_err(failed)?;
        self.send(&ToParent::Lifeline, &[theirs.as_fd()])?;
        Ok(ours)
    }

    /// Waits up to `patience` for everything that the parent hands over at the start.
    pub fn inherit(&self, patience: Duration) -> Result<Inheritance, ParentHandleError> {
        let until = Instant::now() + patience;
        let mut sockets = Vec::new();
        loop {
            match self.receive()? {
                Some(FromParent::Held(held)) => sockets.extend(held),
                Some(FromParent::HeldEnd { resume_active, incarnation }) => {
                    return Ok(Inheritance { sockets, resume_active, incarnation });
                }
                // Told to stop or to reload this early: the parent sees to the stop; the files are read anyway.
                Some(_) => {}
                None => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Err(ParentHandleError::Late);
                    }
                    self.channel.wait_for_message(left).map_err(ParentHandleError::Channel)?;
                }
            }
        }
    }

    /// Gives the parent a duplicate to keep under this name; an earlier one of the same name is closed.
    pub fn hold(&self, name: &str, socket: BorrowedFd<'_>) -> Result<(), ParentHandleError> {
        self.hold_many(&[(name.to_owned(), socket)])
    }

    /// As `hold`, for many sockets with few messages.
    pub fn hold_many(&self, sockets: &[(String, BorrowedFd<'_>)]) -> Result<(), ParentHandleError> {
        if let Some((name, _)) = sockets.iter().find(|(name, _)| name.len() > NAME_BYTES_MAX) {
            return Err(ParentHandleError::Name { name: name.clone() });
        }
        for batch in sockets.chunks(FILES_MAX) {
            let names = batch.iter().map(|(name, _)| name.clone()).collect();
            let files: Vec<BorrowedFd<'_>> = batch.iter().map(|(_, socket)| *socket).collect();
            self.send(&ToParent::Hold(names), &files)?;
        }
        Ok(())
    }

    /// The parent closes its duplicate.
    pub fn drop_held(&self, name: &str) -> Result<(), ParentHandleError> {
        self.send(&ToParent::Drop(name.into()), &[])
    }

    /// To be sent each 20 ms or more often by the thread that knows that the node's loop is alive. `protected`: the
    /// standby is in step and has everything that was said.
    pub fn stamp(&self, active: bool, epoch: Epoch, protected: bool) -> Result<(), ParentHandleError> {
        self.send(&ToParent::Stamp { at: local_now(), active, epoch, protected }, &[])
    }

    /// Asks for the address in the name of `epoch`; answered by `Claimed` or `Lost`.
    pub fn claim(&self, epoch: Epoch) -> Result<(), ParentHandleError> {
        self.send(&ToParent::Claim(epoch), &[])
    }

    /// Gives the address back; it is removed at once.
    pub fn yield_address(&self) -> Result<(), ParentHandleError> {
        self.send(&ToParent::Yield, &[])
    }

    /// The daemon has handed over, or there was nothing to hand over, and will exit. The whole node then ends.
    pub fn stopping_done(&self) -> Result<(), ParentHandleError> {
        self.send(&ToParent::StoppingDone, &[])
    }

    /// The next message; `None` when none is waiting.
    pub fn receive(&self) -> Result<Option<FromParent>, ParentHandleError> {
        let Some((bytes, files)) = self.channel.receive().map_err(ParentHandleError::Channel)? else {
            return Ok(None);
        };
        Ok(Some(match decode(&bytes).ok_or(ParentHandleError::Message)? {
            ToDaemon::Held(names) if names.len() == files.len() => {
                let held = |(name, socket)| HeldSocket { name, socket };
                FromParent::Held(names.into_iter().zip(files).map(held).collect())
            }
            ToDaemon::Held(_) => return Err(ParentHandleError::Message),
            ToDaemon::HeldEnd { resume_active, incarnation } => FromParent::HeldEnd { resume_active, incarnation },
            ToDaemon::Claimed(epoch) => FromParent::Claimed { epoch },
            ToDaemon::Lost(epoch) => FromParent::Lost { epoch },
            ToDaemon::Stop => FromParent::Stop,
            ToDaemon::Reload => FromParent::Reload,
        }))
    }

    fn send(&self, message: &ToParent, files: &[BorrowedFd<'_>]) -> Result<(), ParentHandleError> {
        self.channel.send_patiently(&encode(message), files, PATIENCE).map_err(ParentHandleError::Channel)
    }
}

impl AsFd for ParentHandle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}

/// The descriptor, if it is open and such a channel, and was not taken before.
#[allow(unsafe_code)]
fn take_over(number: RawFd) -> Option<OwnedFd> {
    if number < 3 {
        return None;
    }
    // SAFETY: the borrow is used for system calls that fail cleanly on a descriptor that is not open.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    fcntl(borrowed, FcntlArg::F_GETFD).ok()?;
    if getsockopt(&borrowed, sockopt::SockType).ok()? != SockType::SeqPacket || IS_TAKEN.swap(true, Ordering::SeqCst) {
        return None;
    }
    // SAFETY: the parent opened it for this process, and the flag above lets it be taken only once.
    Some(unsafe { OwnedFd::from_raw_fd(number) })
}
