//! Addresses and links through rtnetlink, synchronous: one request, one answer (rtnetlink(7)).

use std::io;
use std::net::IpAddr;
use std::os::fd::AsRawFd;
use std::time::Duration;

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressScope, CacheInfo,
};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkLayerType, LinkMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};
use thiserror::Error;

mod events;
mod virtual_link;
mod waiting;

pub use events::{NetworkEvent, Subscription, subscribe};

/// The kernel never makes a longer datagram of answers (NLMSG_GOODSIZE grows with the reader's room up to this).
const ANSWER_BYTES_MAX: usize = 32 * 1024;

/// The kernel answers within microseconds. A request that it does not answer is an error, never a hang.
const ANSWER_WAIT_MS_MAX: i64 = 500;

/// How often a listing is asked for again when addresses changed while the kernel listed them. Then it is an error.
const DUMPS_MAX: usize = 5;

#[derive(Debug, Error)]
pub enum NetlinkError {
    #[error("open a netlink socket")]
    Open(#[source] io::Error),
    #[error("{operation}")]
    Request {
        operation: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("{operation}: the kernel's answer cannot be read")]
    Answer { operation: &'static str },
    #[error("no interface named {0}")]
    NoInterface(String),
}

impl NetlinkError {
    /// The kernel's error number, if it is one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Open(source) | Self::Request { source, .. } => source.raw_os_error(),
            Self::Answer { .. } | Self::NoInterface(_) => None,
        }
    }
}

/// An address as the kernel lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceAddress {
    pub address: IpAddr,
    pub prefix: u8,
    /// Remaining lifetime; `None` is forever.
    pub valid: Option<Duration>,
}

/// A netlink socket for requests. Requests wait for the kernel's answer, which takes tens of microseconds.
#[derive(Debug)]
pub struct Addresses {
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Addresses {
    pub fn open() -> Result<Self, NetlinkError> {
        let socket = open_socket(0).map_err(NetlinkError::Open)?;
        let wait = TimeVal::milliseconds(ANSWER_WAIT_MS_MAX);
        setsockopt(&borrow(&socket), sockopt::ReceiveTimeout, &wait)
            .map_err(|error| NetlinkError::Open(error.into()))?;
        Ok(Self { socket, sequence: 0, buffer: vec![0; ANSWER_BYTES_MAX] })
    }

    /// Adds the address to the interface, or renews its lifetime when it is there. `prefix` must be the full length
    /// (32 or 128) for a service address; IPv6 skips duplicate detection. `valid` is rounded up to whole seconds;
    /// `None` is forever.
    pub fn add(
        &mut self,
        interface: &str,
        address: IpAddr,
        prefix: u8,
        valid: Option<Duration>,
    ) -> Result<(), NetlinkError> {
        let mut message = address_message(self.interface_index(interface)?, address, prefix);
        message.attributes.push(AddressAttribute::CacheInfo(cache_info(valid)));
        let flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
        self.request("add an address", RouteNetlinkMessage::NewAddress(message), flags).map(drop)
    }

    /// Removes the address; removing one that is not there is no error. Returns whether it was there.
    pub fn remove(&mut self, interface: &str, address: IpAddr, prefix: u8) -> Result<bool, NetlinkError> {
        let message = address_message(self.interface_index(interface)?, address, prefix);
        let flags = NLM_F_REQUEST | NLM_F_ACK;
        match self.request("remove an address", RouteNetlinkMessage::DelAddress(message), flags) {
            Ok(_) => Ok(true),
            Err(error) if error.errno() == Some(libc::EADDRNOTAVAIL) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether the interface has this address, with whatever prefix.
    pub fn has(&mut self, interface: &str, address: IpAddr) -> Result<bool, NetlinkError> {
        Ok(self.list(interface)?.iter().any(|entry| entry.address == address))
    }

    /// The addresses of the interface, of both families.
    pub fn list(&mut self, interface: &str) -> Result<Vec<InterfaceAddress>, NetlinkError> {
        let index = self.interface_index(interface)?;
        let messages = self.all_addresses()?;
        Ok(messages.iter().filter(|message| message.header.index == index).filter_map(interface_address).collect())
    }

    /// The interface that has this address, if any.
    pub fn interface_of(&mut self, address: IpAddr) -> Result<Option<String>, NetlinkError> {
        let messages = self.all_addresses()?;
        let has = |message: &&AddressMessage| interface_address(message).is_some_and(|entry| entry.address == address);
        let Some(index) = messages.iter().find(has).map(|message| message.header.index) else { return Ok(None) };
        let mut message = LinkMessage::default();
        message.header.index = index;
        let link = self.link("find an interface by its index", message)?;
        Ok(link.into_iter().flat_map(|link| link.attributes).find_map(|attribute| match attribute {
            LinkAttribute::IfName(name) => Some(name),
            _ => None,
        }))
    }

    pub fn interface_index(&mut self, interface: &str) -> Result<u32, NetlinkError> {
        Ok(self.link_named(interface)?.header.index)
    }

    /// The Ethernet address; `None` for an interface that has none.
    pub fn hardware_address(&mut self, interface: &str) -> Result<Option<[u8; 6]>, NetlinkError> {
        let link = self.link_named(interface)?;
        if link.header.link_layer_type != LinkLayerType::Ether {
            return Ok(None);
        }
        Ok(link.attributes.into_iter().find_map(|attribute| match attribute {
            LinkAttribute::Address(bytes) => bytes.try_into().ok(),
            _ => None,
        }))
    }

    /// Whether the interface is up and its cable, or what stands for it, is connected.
    pub fn carrier(&mut self, interface: &str) -> Result<bool, NetlinkError> {
        Ok(has_carrier(&self.link_named(interface)?))
    }

    fn all_addresses(&mut self) -> Result<Vec<AddressMessage>, NetlinkError> {
        let all = RouteNetlinkMessage::GetAddress(AddressMessage::default());
        let answers = self.request("list addresses", all, NLM_F_REQUEST | NLM_F_DUMP)?;
        let address = |answer| match answer {
            RouteNetlinkMessage::NewAddress(message) => Some(message),
            _ => None,
        };
        Ok(answers.into_iter().filter_map(address).collect())
    }

    fn link_named(&mut self, interface: &str) -> Result<LinkMessage, NetlinkError> {
        let missing = || NetlinkError::NoInterface(interface.into());
        if interface.is_empty() || interface.len() >= libc::IFNAMSIZ {
            return Err(missing());
        }
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::IfName(interface.into()));
        match self.link("find an interface by its name", message) {
            Ok(link) => link.ok_or_else(missing),
            Err(error) if error.errno() == Some(libc::ENODEV) => Err(missing()),
            Err(error) => Err(error),
        }
    }

    fn link(&mut self, operation: &'static str, message: LinkMessage) -> Result<Option<LinkMessage>, NetlinkError> {
        // The answer is the link itself and no acknowledgement: asking for one would leave it unread.
        let answers = self.request(operation, RouteNetlinkMessage::GetLink(message), NLM_F_REQUEST)?;
        Ok(answers.into_iter().find_map(|answer| match answer {
            RouteNetlinkMessage::NewLink(link) => Some(link),
            _ => None,
        }))
    }

    /// Sends one request and reads everything that belongs to its answer.
    fn request(
        &mut self,
        operation: &'static str,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<Vec<RouteNetlinkMessage>, NetlinkError> {
        for _ in 0..DUMPS_MAX {
            self.sequence = self.sequence.wrapping_add(1);
            let mut header = NetlinkHeader::default();
            header.flags = flags;
            header.sequence_number = self.sequence;
            let mut packet = NetlinkMessage::new(header, NetlinkPayload::from(message.clone()));
            packet.finalize();
            let mut bytes = vec![0; packet.buffer_len()];
            packet.serialize(&mut bytes);
            self.socket.send(&bytes, 0).map_err(|source| NetlinkError::Request { operation, source })?;
            if let Some(answers) = self.answers(operation)? {
                return Ok(answers);
            }
        }
        Err(NetlinkError::Answer { operation })
    }

    /// The answers to the request just sent; `None` when a listing was disturbed by a change and must be repeated.
    fn answers(&mut self, operation: &'static str) -> Result<Option<Vec<RouteNetlinkMessage>>, NetlinkError> {
        let mut answers = Vec::new();
        let mut disturbed = false;
        loop {
            let length = match self.socket.recv(&mut &mut self.buffer[..], 0) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(NetlinkError::Request { operation, source }),
            };
            let mut rest = self.buffer.get(..length).unwrap_or_default();
            while let Some((packet, next)) = split_message(rest) {
                rest = next;
                let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(packet);
                let answer = answer.map_err(|_| NetlinkError::Answer { operation })?;
                if answer.header.sequence_number != self.sequence {
                    // The late answer to a request that was given up.
                    continue;
                }
                disturbed |= answer.header.flags & netlink_packet_core::NLM_F_DUMP_INTR != 0;
                let multipart = answer.header.flags & netlink_packet_core::NLM_F_MULTIPART != 0;
                match answer.payload {
                    NetlinkPayload::Done(_) => return Ok((!disturbed).then_some(answers)),
                    NetlinkPayload::Error(error) if error.code.is_some() => {
                        return Err(NetlinkError::Request { operation, source: error.to_io() });
                    }
                    // Error zero is the acknowledgement.
                    NetlinkPayload::Error(_) => return Ok(Some(answers)),
                    NetlinkPayload::InnerMessage(message) => {
                        answers.push(message);
                        if !multipart {
                            return Ok(Some(answers));
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}

fn open_socket(groups: u32) -> io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind(&SocketAddr::new(0, groups))?;
    socket.connect(&SocketAddr::new(0, 0))?;
    Ok(socket)
}

#[allow(unsafe_code)]
fn borrow(socket: &Socket) -> std::os::fd::BorrowedFd<'_> {
    // SAFETY: the descriptor belongs to `socket`, which outlives the borrow.
    unsafe { std::os::fd::BorrowedFd::borrow_raw(socket.as_raw_fd()) }
}

/// The first message of a datagram and what follows it; each starts on four bytes (netlink(7)).
fn split_message(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = u32::from_ne_bytes(*bytes.first_chunk()?) as usize;
    if length < 16 || length > bytes.len() {
        return None;
    }
    let next = length.next_multiple_of(4).min(bytes.len());
    Some((bytes.get(..length)?, bytes.get(next..)?))
}

fn address_message(index: u32, address: IpAddr, prefix: u8) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.header.prefix_len = prefix;
    message.header.index = index;
    message.header.scope = AddressScope::Universe;
    message.attributes = vec![AddressAttribute::Local(address), AddressAttribute::Address(address)];
    if address.is_ipv6() {
        // Duplicate detection would keep the address unusable for a second, and find the dead node's ghost.
        message.header.flags = AddressHeaderFlags::Nodad;
        message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
    }
    message
}

fn cache_info(valid: Option<Duration>) -> CacheInfo {
    let whole = |valid: Duration| valid.as_secs() + u64::from(valid.subsec_nanos() > 0);
    let seconds = valid.map_or(u32::MAX, |valid| u32::try_from(whole(valid).max(1)).unwrap_or(u32::MAX));
    let mut info = CacheInfo::default();
    info.ifa_valid = seconds;
    info.ifa_preferred = seconds;
    info
}

fn interface_address(message: &AddressMessage) -> Option<InterfaceAddress> {
    let (mut address, mut valid) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            // On a point-to-point interface the plain address is the other side's: the local one comes first.
            AddressAttribute::Local(local) => address = Some(*local),
            AddressAttribute::Address(plain) => address = address.or(Some(*plain)),
            AddressAttribute::CacheInfo(info) if info.ifa_valid != u32::MAX => {
                valid = Some(Duration::from_secs(u64::from(info.ifa_valid)));
            }
            _ => {}
        }
    }
    Some(InterfaceAddress { address: address?, prefix: message.header.prefix_len, valid })
}

fn has_carrier(link: &LinkMessage) -> bool {
    link.header.flags.contains(LinkFlags::Up | LinkFlags::LowerUp)
}

#[cfg(test)]
mod tests;
