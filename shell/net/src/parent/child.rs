//! The daemon's process: starting it so that it cannot outlive the parent, and hearing of its end.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{Pid, getpid, getppid};

use super::{CHANNEL_VARIABLE, ParentConfig, ParentError, systemd};
use crate::channel::Channel;

/// A running daemon.
#[derive(Debug)]
pub(super) struct Daemon {
    process: Child,
    /// Becomes readable when the process has ended (pidfd_open(2)).
    pub ended: OwnedFd,
    /// Hangs up when the process begins to die, which may be long before it has ended.
    pub lifeline: Option<OwnedFd>,
    pub channel: Channel,
    /// The daemon may have closed its end although it lives.
    pub is_channel_open: bool,
}

impl Daemon {
    pub fn start(config: &ParentConfig) -> Result<Self, ParentError> {
        let failed = |source| ParentError::Start { program: config.program.clone(), source };
        let (channel, theirs) = Channel::pair().map_err(ParentError::Channel)?;
        let mut command = Command::new(&config.program);
        command
            .args(&config.arguments)
            .env(CHANNEL_VARIABLE, theirs.as_fd().as_raw_fd().to_string())
            .stdin(Stdio::null())
            // A group of its own: control-C on a terminal reaches the parent alone, which ends the daemon in order.
            .process_group(0);
        for variable in systemd::VARIABLES {
            command.env_remove(variable);
        }
        let process = spawn(command, theirs).map_err(failed)?;
        let ended = pidfd(process.id()).map_err(failed)?;
        Ok(Self { process, ended, lifeline: None, channel, is_channel_open: true })
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    pub fn kill(&mut self) {
        if let Err(error) = self.process.kill() {
            tracing::warn!(%error, "cannot kill the daemon");
        }
    }

    /// `Some(exit code)` when the process has ended; the code is `None` when a signal ended it.
    pub fn end(&mut self) -> io::Result<Option<Option<i32>>> {
        Ok(self.process.try_wait()?.map(|status| status.code()))
    }
}

#[allow(unsafe_code)]
fn spawn(mut command: Command, channel: Channel) -> io::Result<Child> {
    let parent = getpid();
    // SAFETY: between fork and exec the closure makes system calls only; it neither allocates nor takes locks.
    unsafe {
        command.pre_exec(move || prepare(&channel, parent));
    }
    command.spawn()
}

/// Runs in the new process before the program does.
fn prepare(channel: &Channel, parent: Pid) -> io::Result<()> {
    fcntl(channel, FcntlArg::F_SETFD(FdFlag::empty()))?;
    // The parent blocks the signals it reads by descriptor; the daemon starts with none blocked.
    SigSet::empty().thread_set_mask()?;
    set_pdeathsig(Signal::SIGKILL)?;
    // A parent that died before the call above would never be noticed.
    if getppid() == parent { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
}

#[allow(unsafe_code)]
fn pidfd(process: u32) -> io::Result<OwnedFd> {
    // SAFETY: the call takes two integers and returns a new descriptor that nobody else knows, or -1.
    unsafe {
        let number = libc::syscall(libc::SYS_pidfd_open, process, 0);
        if number < 0 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(number as i32)) }
    }
}
