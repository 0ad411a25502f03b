//! A channel between two processes that carries whole messages and open files (unix(7), SCM_RIGHTS).

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, sendmsg, setsockopt,
    socketpair, sockopt,
};
use thiserror::Error;

/// The longest message. Longer ones are refused by the sender; one received closes the channel.
pub const MESSAGE_BYTES_MAX: usize = 16 * 1024;

/// The most files in one message; the kernel's own bound is 253 (SCM_MAX_FD). More are refused by the sender.
pub const FILES_MAX: usize = 64;

/// What may wait unread in each direction: more than a burst of a thousand calls. Beyond it a sender is told `Full`.
const BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// What was received: the bytes and the files that came with them.
pub type Message = (Vec<u8>, Vec<OwnedFd>);

#[derive(Debug, Error)]
pub enum ChannelError {
    #[error("make a channel")]
    Make(#[source] io::Error),
    #[error("send on the channel")]
    Send(#[source] io::Error),
    #[error("receive on the channel")]
    Receive(#[source] io::Error),
    #[error("the channel is full")]
    Full,
    #[error("the other side has closed the channel")]
    Closed,
    #[error("a message of {bytes} bytes and {files} files is over the channel's bounds")]
    TooLarge { bytes: usize, files: usize },
}

/// One end. Nonblocking; sending and receiving need no lock, since messages are whole.
#[derive(Debug)]
pub struct Channel {
    socket: OwnedFd,
}

impl Channel {
    pub fn pair() -> Result<(Self, Self), ChannelError> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let (one, other) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags).map_err(make)?;
        for socket in [&one, &other] {
            // Without the privilege the system's limit holds, which is enough for small installations.
            if setsockopt(socket, sockopt::SndBufForce, &BUFFER_BYTES).is_err() {
                setsockopt(socket, sockopt::SndBuf, &BUFFER_BYTES).map_err(make)?;
            }
        }
        Ok((Self { socket: one }, Self { socket: other }))
    }

    /// Takes over an end that was inherited.
    pub fn from_fd(socket: OwnedFd) -> Result<Self, ChannelError> {
        fcntl(&socket, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).map_err(make)?;
        fcntl(&socket, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(make)?;
        Ok(Self { socket })
    }

    /// Sends one message with duplicates of `files`. `Full` when the other side does not read fast enough.
    pub fn send(&self, bytes: &[u8], files: &[BorrowedFd<'_>]) -> Result<(), ChannelError> {
        // An empty message could not be told from the end of the channel.
        if bytes.is_empty() || bytes.len() > MESSAGE_BYTES_MAX || files.len() > FILES_MAX {
            return Err(ChannelError::TooLarge { bytes: bytes.len(), files: files.len() });
        }
        let numbers: Vec<RawFd> = files.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&numbers)];
        let control = if numbers.is_empty() { &[][..] } else { &rights[..] };
        loop {
            let result =
                sendmsg::<()>(self.socket.as_raw_fd(), &[IoSlice::new(bytes)], control, MsgFlags::MSG_NOSIGNAL, None);
            return match result {
                Ok(_) => Ok(()),
                Err(Errno::EINTR) => continue,
                // ETOOMANYREFS: too many files are on their way and not yet received.
                Err(Errno::EAGAIN | Errno::ENOBUFS | Errno::ETOOMANYREFS) => Err(ChannelError::Full),
                Err(Errno::EPIPE | Errno::ECONNRESET | Errno::ENOTCONN) => Err(ChannelError::Closed),
                Err(error) => Err(ChannelError::Send(error.into())),
            };
        }
    }

    /// As `send`, but waits up to `patience` for room.
    pub fn send_patiently(
        &self,
        bytes: &[u8],
        files: &[BorrowedFd<'_>],
        patience: Duration,
    ) -> Result<(), ChannelError> {
        match self.send(bytes, files) {
            Err(ChannelError::Full) => {}
            done => return done,
        }
        self.wait(PollFlags::POLLOUT, patience)?;
        self.send(bytes, files)
    }

    /// Waits up to `patience` for a message or for the end of the channel.
    pub fn wait_for_message(&self, patience: Duration) -> Result<(), ChannelError> {
        self.wait(PollFlags::POLLIN, patience)
    }

    /// The next message and its files; `None` when none is waiting.
    pub fn receive(&self) -> Result<Option<Message>, ChannelError> {
        let mut bytes = vec![0; MESSAGE_BYTES_MAX];
        let mut control = cmsg_space!([RawFd; FILES_MAX]);
        let (length, files, cut) = loop {
            let mut parts = [IoSliceMut::new(&mut bytes)];
            let flags = MsgFlags::MSG_CMSG_CLOEXEC;
            match recvmsg::<()>(self.socket.as_raw_fd(), &mut parts, Some(&mut control), flags) {
                Ok(message) => {
                    let mut files = Vec::new();
                    for part in message.cmsgs().map_err(|error| ChannelError::Receive(error.into()))? {
                        if let ControlMessageOwned::ScmRights(numbers) = part {
                            files.extend(numbers.into_iter().map(take_over));
                        }
                    }
                    break (message.bytes, files, message.flags.intersects(MsgFlags::MSG_TRUNC | MsgFlags::MSG_CTRUNC));
                }
                Err(Errno::EINTR) => continue,
                Err(Errno::EAGAIN) => return Ok(None),
                Err(Errno::ECONNRESET) => return Err(ChannelError::Closed),
                Err(error) => return Err(ChannelError::Receive(error.into())),
            }
        };
        if cut {
            return Err(ChannelError::TooLarge { bytes: length, files: files.len() });
        }
        if length == 0 {
            return Err(ChannelError::Closed);
        }
        bytes.truncate(length);
        Ok(Some((bytes, files)))
    }

    fn wait(&self, what: PollFlags, patience: Duration) -> Result<(), ChannelError> {
        let patience = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(self.socket.as_fd(), what)], patience) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(ChannelError::Receive(error.into())),
        }
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn make(error: Errno) -> ChannelError {
    ChannelError::Make(error.into())
}

#[allow(unsafe_code)]
fn take_over(number: RawFd) -> OwnedFd {
    // SAFETY: the kernel has just made this descriptor for the received message, and nobody else knows it.
    unsafe { OwnedFd::from_raw_fd(number) }
}

#[cfg(test)]
mod tests;
