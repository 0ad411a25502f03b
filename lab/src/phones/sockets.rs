//! What the standard library lacks: arrival times from the kernel, waiting for many sockets, a real-time thread.

use std::io::IoSliceMut;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::signal::SigSet;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;

use crate::LabError;

/// Larger than any datagram that a phone is sent.
const DATAGRAM_BYTES: usize = 8192;

pub(super) struct Arrival<'a> {
    pub(super) source: SocketAddr,
    /// Wall clock of the arrival, when the kernel tells it.
    pub(super) wall_ns: Option<u64>,
    pub(super) bytes: &'a [u8],
}

pub(super) struct Reader {
    buffer: Box<[u8; DATAGRAM_BYTES]>,
    control: Vec<u8>,
}

impl Reader {
    pub(super) fn new() -> Self {
        Self { buffer: Box::new([0; DATAGRAM_BYTES]), control: nix::cmsg_space!(TimeSpec) }
    }

    /// The next datagram that waits; `None` when there is none, or when the socket reports an error of an earlier send.
    pub(super) fn receive(&mut self, socket: &UdpSocket) -> Option<Arrival<'_>> {
        let (length, source, wall_ns) = {
            let mut slices = [IoSliceMut::new(self.buffer.as_mut_slice())];
            let message = recvmsg::<SockaddrStorage>(
                socket.as_raw_fd(),
                &mut slices,
                Some(&mut self.control),
                MsgFlags::MSG_DONTWAIT,
            )
            .ok()?;
            let wall_ns = message.cmsgs().ok()?.find_map(|control| match control {
                ControlMessageOwned::ScmTimestampns(time) => {
                    Some((time.tv_sec() as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec() as u64))
                }
                _ => None,
            });
            let address = message.address?;
            let v4 = address.as_sockaddr_in().map(|v4| SocketAddr::from((v4.ip(), v4.port())));
            let v6 = || address.as_sockaddr_in6().map(|v6| SocketAddr::from((v6.ip(), v6.port())));
            (message.bytes, v4.or_else(v6)?, wall_ns)
        };
        Some(Arrival { source, wall_ns, bytes: self.buffer.get(..length)? })
    }
}

pub(super) fn tell_arrival_times(socket: &UdpSocket) -> Result<(), LabError> {
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true)
        .map_err(|errno| LabError::Io { operation: "asking for arrival times".to_owned(), source: errno.into() })
}

/// Sleeps until one of the sockets has something, or the time is over.
pub(super) fn wait(sockets: &[BorrowedFd<'_>], limit: Duration) {
    let mut polled: Vec<_> = sockets.iter().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)).collect();
    // An interrupted wait only means one round more.
    let _ = ppoll(&mut polled, Some(TimeSpec::from_duration(limit)), Some(SigSet::all()));
}

/// Asks for this much room for what arrives; the system's limit may be less.
pub(super) fn room_for(socket: &UdpSocket, bytes: usize) {
    if setsockopt(socket, sockopt::RcvBufForce, &bytes).is_err() {
        // A smaller buffer loses what comes again by itself.
        let _ = setsockopt(socket, sockopt::RcvBuf, &bytes);
    }
}

/// Tells which of many sockets have something, without a look at each.
pub(super) struct Ready {
    epoll: Epoll,
    events: Vec<EpollEvent>,
}

/// So many sockets are told of at a time; the others are told of in the next round.
const READY_MAX: usize = 256;

impl Ready {
    pub(super) fn new() -> Result<Self, LabError> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(watching)?;
        Ok(Self { epoll, events: vec![EpollEvent::empty(); READY_MAX] })
    }

    /// Watches one more socket, which is told of by this number.
    pub(super) fn add(&self, socket: &UdpSocket, number: u64) -> Result<(), LabError> {
        self.epoll.add(socket, EpollEvent::new(EpollFlags::EPOLLIN, number)).map_err(watching)
    }

    /// Has something as soon as one of them has.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.epoll.0.as_fd()
    }

    /// The numbers of those that have something now.
    pub(super) fn numbers(&mut self) -> Vec<u64> {
        // One that is told of too late waits.
        let count = self.epoll.wait(&mut self.events, EpollTimeout::ZERO).unwrap_or(0);
        self.events.iter().take(count).map(EpollEvent::data).collect()
    }
}

fn watching(errno: Errno) -> LabError {
    LabError::Io { operation: "watching the phones' sockets".to_owned(), source: errno.into() }
}

pub(super) fn fd(socket: &UdpSocket) -> BorrowedFd<'_> {
    socket.as_fd()
}

/// Makes the calling thread real-time (1 to 99) where the machine allows it; elsewhere the figures are less exact, and the
/// drill tells how late its own clockwork was.
#[allow(unsafe_code)]
pub(crate) fn become_real_time(priority: i32) {
    let parameters = libc::sched_param { sched_priority: priority };
    // SAFETY: the pointer is to a whole `sched_param` that lives through the call, and 0 means the calling thread.
    let _ = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, &raw const parameters) };
}
