//! The raw socket of the VRRP protocol on one interface: adverts out with TTL 255 from the machine's own address,
//! everybody's in with what their IP headers said (RFC 9568 sections 5.1.1 and 5.1.2, RFC 3768 section 5.2).

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt, sockopt,
};
use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;

use crate::netlink::{Addresses, InterfaceAddress, NetlinkError};

pub mod hmac;
#[cfg(test)]
mod tests;

/// The protocol's number in IP headers.
const PROTOCOL: i32 = 112;

/// Checked by everybody who receives.
const TTL: u32 = 255;

/// Internetwork control (RFC 791 section 3.1, class selector 6): routing traffic goes before all other.
const CLASS_INTERNETWORK_CONTROL: u32 = 0xc0;

/// The longest packet that is read: an IPv4 header with all options and 255 IPv6 addresses. Nothing longer is an advert.
const PACKET_BYTES_MAX: usize = 60 + 8 + 255 * 16;

/// Packets read at a time, so that a flood of them leaves the loop its other work. More wait for the next time.
const BATCH: usize = 32;

#[derive(Debug, Error)]
#[error("open a VRRP socket on {interface}: {operation}")]
pub struct OpenError {
    pub interface: String,
    pub operation: &'static str,
    #[source]
    pub source: io::Error,
}

/// A packet of the protocol, without its IP header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrived {
    pub source: IpAddr,
    pub destination: IpAddr,
    /// TTL or hop limit.
    pub ttl: u8,
    pub bytes: Vec<u8>,
}

/// Poll its descriptor for input, then call `receive`.
#[derive(Debug)]
pub struct VrrpSocket {
    socket: Socket,
    index: u32,
    buffer: Vec<u8>,
}

impl VrrpSocket {
    /// A nonblocking socket of the family of `group`, which it joins when it is to hear `multicast`. Needs CAP_NET_RAW.
    pub fn open(interface: &str, group: IpAddr, multicast: bool) -> Result<Self, OpenError> {
        let at = |operation| move |source| OpenError { interface: interface.to_owned(), operation, source };
        let found = Addresses::open().and_then(|mut addresses| addresses.interface_index(interface));
        let index = found.map_err(|error| at("find the interface")(io::Error::other(error)))?;
        let domain = if group.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
        let socket = Socket::new(domain, Type::RAW.nonblocking(), Some(Protocol::from(PROTOCOL)));
        let socket = socket.map_err(at("make it"))?;
        socket.bind_device(Some(interface.as_bytes())).map_err(at("bind it to the interface"))?;
        match group {
            IpAddr::V4(group) => prepare_v4(&socket, group, index, multicast),
            IpAddr::V6(group) => prepare_v6(&socket, group, index, multicast),
        }
        .map_err(at("set its options"))?;
        Ok(Self { socket, index, buffer: vec![0; PACKET_BYTES_MAX] })
    }

    /// Sends from `source`, which is an address of the interface and never the one that moves.
    pub fn send(&self, source: IpAddr, destination: IpAddr, bytes: &[u8]) -> io::Result<()> {
        let slices = [IoSlice::new(bytes)];
        let send = |control: &[ControlMessage<'_>], to: SocketAddr| {
            let to = SockaddrStorage::from(to);
            sendmsg(self.socket.as_raw_fd(), &slices, control, MsgFlags::empty(), Some(&to)).map(drop)
        };
        match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(to)) => {
                // The address is in network order already, byte by byte.
                let ipi_spec_dst = libc::in_addr { s_addr: u32::from_ne_bytes(source.octets()) };
                let ipi_addr = libc::in_addr { s_addr: 0 };
                let info = libc::in_pktinfo { ipi_ifindex: self.index as i32, ipi_spec_dst, ipi_addr };
                send(&[ControlMessage::Ipv4PacketInfo(&info)], SocketAddrV4::new(to, 0).into())?;
            }
            (IpAddr::V6(source), IpAddr::V6(to)) => {
                let ipi6_addr = libc::in6_addr { s6_addr: source.octets() };
                let info = libc::in6_pktinfo { ipi6_addr, ipi6_ifindex: self.index };
                send(&[ControlMessage::Ipv6PacketInfo(&info)], SocketAddrV6::new(to, 0, 0, self.index).into())?;
            }
            _ => return Err(io::Error::from(io::ErrorKind::InvalidInput)),
        }
        Ok(())
    }

    /// What is waiting, at most one batch. Packets that are cut short, or of no sound IP header, are left out.
    pub fn receive(&mut self) -> Vec<Arrived> {
        let mut arrived = Vec::new();
        for _ in 0..BATCH {
            match receive_one(&self.socket, &mut self.buffer) {
                Ok(packet) => arrived.extend(packet),
                // Nothing waits; or an ICMP error for something that we sent, which is no news.
                Err(_) => break,
            }
        }
        arrived
    }
}

impl AsFd for VrrpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn prepare_v4(socket: &Socket, group: Ipv4Addr, index: u32, multicast: bool) -> io::Result<()> {
    socket.set_ttl_v4(TTL)?;
    socket.set_tos_v4(CLASS_INTERNETWORK_CONTROL)?;
    socket.set_multicast_ttl_v4(TTL)?;
    socket.set_multicast_loop_v4(false)?;
    if multicast {
        socket.join_multicast_v4_n(&group, &socket2::InterfaceIndexOrAddress::Index(index))?;
    }
    Ok(())
}

fn prepare_v6(socket: &Socket, group: Ipv6Addr, index: u32, multicast: bool) -> io::Result<()> {
    socket.set_unicast_hops_v6(TTL)?;
    socket.set_tclass_v6(CLASS_INTERNETWORK_CONTROL)?;
    socket.set_recv_hoplimit_v6(true)?;
    setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)?;
    socket.set_multicast_hops_v6(TTL)?;
    socket.set_multicast_loop_v6(false)?;
    socket.set_multicast_if_v6(index)?;
    if multicast {
        socket.join_multicast_v6(&group, index)?;
    }
    Ok(())
}

/// One packet; `None` when it is not whole.
fn receive_one(socket: &Socket, buffer: &mut [u8]) -> io::Result<Option<Arrived>> {
    let mut control = nix::cmsg_space!(libc::in6_pktinfo, libc::c_int);
    let mut slices = [IoSliceMut::new(buffer)];
    let message =
        recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut slices, Some(&mut control), MsgFlags::MSG_DONTWAIT)?;
    if message.flags.contains(MsgFlags::MSG_TRUNC) {
        return Ok(None);
    }
    let source = message.address.as_ref().and_then(SockaddrStorage::as_sockaddr_in6).map(|from| from.ip());
    let (mut hops, mut destination) = (None, None);
    for control in message.cmsgs()? {
        match control {
            ControlMessageOwned::Ipv6HopLimit(limit) => hops = u8::try_from(limit).ok(),
            ControlMessageOwned::Ipv6PacketInfo(info) => destination = Some(Ipv6Addr::from(info.ipi6_addr.s6_addr)),
            _ => {}
        }
    }
    let bytes = message.bytes;
    let packet = buffer.get(..bytes).unwrap_or_default();
    let Some(source) = source else { return Ok(from_ipv4(packet)) };
    Ok(hops.zip(destination).map(|(ttl, destination)| Arrived {
        source: source.into(),
        destination: destination.into(),
        ttl,
        bytes: packet.to_vec(),
    }))
}

/// IPv4 raw sockets give the header, too (raw(7)); its checksum and length were checked by the kernel.
fn from_ipv4(packet: &[u8]) -> Option<Arrived> {
    let (header, _) = packet.split_first_chunk::<20>()?;
    let [first, .., s0, s1, s2, s3, d0, d1, d2, d3] = *header;
    let [.., ttl, _, _, _, _, _, _, _, _, _, _, _] = *header;
    let bytes = packet.get(usize::from(first & 0x0f) * 4..)?.to_vec();
    let source = Ipv4Addr::new(s0, s1, s2, s3).into();
    Some(Arrived { source, destination: Ipv4Addr::new(d0, d1, d2, d3).into(), ttl, bytes })
}

/// The machine's own address on the interface, which adverts come from: for IPv4 preferably in the service address's
/// subnet, for IPv6 the link-local one (RFC 9568 section 5.1.2.1).
pub fn own_address(
    addresses: &mut Addresses,
    interface: &str,
    service: IpAddr,
) -> Result<Option<IpAddr>, NetlinkError> {
    Ok(choose_own(&addresses.list(interface)?, service))
}

fn choose_own(addresses: &[InterfaceAddress], service: IpAddr) -> Option<IpAddr> {
    let own = |entry: &&InterfaceAddress| match (entry.address, service) {
        (IpAddr::V4(address), IpAddr::V4(_)) => entry.address != service && !address.is_loopback(),
        (IpAddr::V6(address), IpAddr::V6(_)) => entry.address != service && address.is_unicast_link_local(),
        _ => false,
    };
    let of_subnet = |entry: &&InterfaceAddress| same_subnet(entry.address, service, entry.prefix);
    let mut usable = addresses.iter().filter(own);
    let first = usable.clone().next();
    usable.find(of_subnet).or(first).map(|entry| entry.address)
}

/// Another service address is a /32 (/128) and shares a subnet with nothing.
fn same_subnet(one: IpAddr, other: IpAddr, prefix: u8) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    };
    let mask = u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0);
    one.is_ipv4() == other.is_ipv4() && (bits(one) ^ bits(other)) & mask == 0
}
