//! UDP sockets as the product needs them, and reading many datagrams with one system call.

use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::{array, fmt, io, mem, ptr};

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, SockAddr, SockAddrStorage, Socket, Type};
use thiserror::Error;

/// The most datagrams that one call reads. More wait for the next call.
pub const BATCH_MAX: usize = 64;

#[derive(Debug, Error)]
#[error("bind UDP socket {address}: {operation}")]
pub struct BindError {
    pub address: SocketAddr,
    pub operation: &'static str,
    #[source]
    pub source: io::Error,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UdpOptions {
    /// Bind although the address is not on this machine yet (IP_FREEBIND).
    pub freebind: bool,
    /// Differentiated services code point, 0 to 63 (RFC 2474).
    pub dscp: Option<u8>,
    /// Receive buffer in bytes; beyond the system's limit where the process may.
    pub receive_buffer_bytes: Option<usize>,
}

/// A nonblocking UDP socket on `address`.
pub fn bind_udp(address: SocketAddr, options: UdpOptions) -> Result<UdpSocket, BindError> {
    let at = |operation| move |source| BindError { address, operation, source };
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::DGRAM.nonblocking(), Some(Protocol::UDP)).map_err(at("make it"))?;
    if domain == Domain::IPV6 {
        socket.set_only_v6(true).map_err(at("take IPv6 only"))?;
    }
    if options.freebind {
        let result = if address.is_ipv4() { socket.set_freebind_v4(true) } else { socket.set_freebind_v6(true) };
        result.map_err(at("allow an absent address"))?;
    }
    if let Some(dscp) = options.dscp {
        // The code point is the upper six bits of the former TOS byte (RFC 2474 section 3).
        let class = u32::from(dscp & 0x3f) << 2;
        let result = if address.is_ipv4() { socket.set_tos_v4(class) } else { socket.set_tclass_v6(class) };
        result.map_err(at("set the DSCP mark"))?;
    }
    if let Some(bytes) = options.receive_buffer_bytes
        && setsockopt(&socket, sockopt::RcvBufForce, &bytes).is_err()
    {
        // Without CAP_NET_ADMIN the system's limit holds; a smaller buffer is no reason to refuse.
        socket.set_recv_buffer_size(bytes).map_err(at("set the receive buffer"))?;
    }
    socket.bind(&SockAddr::from(address)).map_err(at("bind it"))?;
    Ok(socket.into())
}

/// Buffers for `receive_many`.
pub struct Batch {
    buffer: Vec<u8>,
    count: usize,
    bytes: usize,
    truncated: u64,
}

impl Batch {
    /// Room for `count` datagrams (at most `BATCH_MAX`) of at most `bytes` each; longer ones are dropped and counted.
    pub fn new(count: usize, bytes: usize) -> Self {
        let (count, bytes) = (count.clamp(1, BATCH_MAX), bytes.max(1));
        Self { buffer: vec![0; count * bytes], count, bytes, truncated: 0 }
    }

    /// How many datagrams one call can bring.
    pub fn count(&self) -> usize {
        self.count
    }

    /// How many datagrams were longer than the room for one, and dropped.
    pub fn truncated(&self) -> u64 {
        self.truncated
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("count", &self.count).field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

/// Reads what is waiting, at most one batch, without blocking, and shows each datagram to `each`. Returns how many
/// there were: fewer than `batch.count()` means that nothing more was waiting.
pub fn receive_many(
    socket: &UdpSocket,
    batch: &mut Batch,
    mut each: impl FnMut(SocketAddr, &[u8]),
) -> io::Result<usize> {
    let mut sources = array::from_fn(|_| SockAddrStorage::zeroed());
    let headers = match receive_batch(socket, batch, &mut sources) {
        Ok(headers) => headers,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut count = 0;
    for ((header, source), datagram) in headers.into_iter().zip(sources).zip(batch.buffer.chunks(batch.bytes)) {
        count += 1;
        if header.truncated {
            batch.truncated += 1;
        } else if let (Some(source), Some(datagram)) = (source_of(source, header), datagram.get(..header.bytes)) {
            each(source, datagram);
        }
    }
    Ok(count)
}

/// What the kernel says about one received datagram.
#[derive(Clone, Copy)]
struct Header {
    bytes: usize,
    truncated: bool,
    source_bytes: libc::socklen_t,
}

#[allow(unsafe_code)]
fn receive_batch(
    socket: &UdpSocket,
    batch: &mut Batch,
    sources: &mut [SockAddrStorage; BATCH_MAX],
) -> io::Result<Vec<Header>> {
    let mut parts = [libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; BATCH_MAX];
    // SAFETY: mmsghdr is a plain C struct for which all zeroes is a valid value.
    let mut messages: [libc::mmsghdr; BATCH_MAX] = unsafe { mem::zeroed() };
    let room = batch.buffer.chunks_mut(batch.bytes).zip(&mut parts).zip(&mut messages).zip(&mut *sources);
    for (((chunk, part), message), source) in room {
        part.iov_base = chunk.as_mut_ptr().cast();
        part.iov_len = chunk.len();
        message.msg_hdr.msg_iov = part;
        message.msg_hdr.msg_iovlen = 1;
        message.msg_hdr.msg_name = ptr::from_mut(source).cast();
        message.msg_hdr.msg_namelen = source.size_of();
    }
    // SAFETY: the first `count` headers (count <= BATCH_MAX by construction) point to buffers, parts and addresses
    // that outlive the call and are not otherwise used during it.
    let received = unsafe {
        libc::recvmmsg(
            socket.as_raw_fd(),
            messages.as_mut_ptr(),
            batch.count as libc::c_uint,
            libc::MSG_DONTWAIT,
            ptr::null_mut(),
        )
    };
    if received < 0 {
        return Err(io::Error::last_os_error());
    }
    let header = |message: &libc::mmsghdr| Header {
        bytes: message.msg_len as usize,
        truncated: message.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
        source_bytes: message.msg_hdr.msg_namelen,
    };
    Ok(messages.iter().take(received as usize).map(header).collect())
}

#[allow(unsafe_code)]
fn source_of(storage: SockAddrStorage, header: Header) -> Option<SocketAddr> {
    // SAFETY: the kernel has written `source_bytes` bytes of an address into the zeroed storage.
    unsafe { SockAddr::new(storage, header.source_bytes) }.as_socket()
}

#[cfg(test)]
mod tests;
