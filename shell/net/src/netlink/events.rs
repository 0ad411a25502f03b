//! What the kernel reports by itself: addresses and links that changed.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::Socket;

use super::{ANSWER_BYTES_MAX, NetlinkError, borrow, has_carrier, interface_address, open_socket, split_message};

/// Links, IPv4 addresses and IPv6 addresses (rtnetlink(7): RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR).
const GROUPS: u32 = 0x1 | 0x10 | 0x100;

/// A change the kernel reports to a `Subscription`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkEvent {
    /// Also each renewal of a lifetime.
    AddressAdded {
        index: u32,
        address: IpAddr,
    },
    AddressRemoved {
        index: u32,
        address: IpAddr,
    },
    /// The link's present state; may repeat itself.
    Carrier {
        index: u32,
        carrier: bool,
    },
    InterfaceGone {
        index: u32,
    },
    /// Events were lost: ask again for what matters.
    Lost,
}

/// Opens a nonblocking socket that reports changes of addresses and links.
pub fn subscribe() -> Result<Subscription, NetlinkError> {
    let socket = open_socket(GROUPS).map_err(NetlinkError::Open)?;
    socket.set_non_blocking(true).map_err(NetlinkError::Open)?;
    Ok(Subscription { socket, buffer: vec![0; ANSWER_BYTES_MAX] })
}

/// Poll its descriptor for input, then drain `events`.
#[derive(Debug)]
pub struct Subscription {
    socket: Socket,
    buffer: Vec<u8>,
}

impl Subscription {
    /// Everything that has been reported since the last call; empty when nothing was.
    pub fn events(&mut self) -> Vec<NetworkEvent> {
        let mut events = Vec::new();
        loop {
            match self.socket.recv(&mut &mut self.buffer[..], 0) {
                Ok(length) => read_events(self.buffer.get(..length).unwrap_or_default(), &mut events),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The kernel had no room for an event and dropped it.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => events.push(NetworkEvent::Lost),
                Err(_) => return events,
            }
        }
    }
}

impl AsFd for Subscription {
    fn as_fd(&self) -> BorrowedFd<'_> {
        borrow(&self.socket)
    }
}

fn read_events(mut rest: &[u8], events: &mut Vec<NetworkEvent>) {
    while let Some((packet, next)) = split_message(rest) {
        rest = next;
        if let Ok(message) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(packet)
            && let NetlinkPayload::InnerMessage(message) = message.payload
        {
            events.extend(event(&message));
        }
    }
}

fn event(message: &RouteNetlinkMessage) -> Option<NetworkEvent> {
    Some(match message {
        RouteNetlinkMessage::NewAddress(message) => {
            NetworkEvent::AddressAdded { index: message.header.index, address: interface_address(message)?.address }
        }
        RouteNetlinkMessage::DelAddress(message) => {
            NetworkEvent::AddressRemoved { index: message.header.index, address: interface_address(message)?.address }
        }
        RouteNetlinkMessage::NewLink(link) => {
            NetworkEvent::Carrier { index: link.header.index, carrier: has_carrier(link) }
        }
        RouteNetlinkMessage::DelLink(link) => NetworkEvent::InterfaceGone { index: link.header.index },
        _ => return None,
    })
}
