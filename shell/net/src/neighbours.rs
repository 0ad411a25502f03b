//! Telling the neighbours on an Ethernet that the service address has moved: gratuitous ARP (RFC 826, RFC 5227 section
//! 3) and unsolicited neighbour advertisements (RFC 4861 section 7.2.6, in `discovery`).

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use socket2::{Domain, SockAddr, Socket, Type};
use thiserror::Error;

use crate::netlink::{Addresses, NetlinkError};

mod discovery;

const BROADCAST: [u8; 6] = [0xff; 6];
const ETHERTYPE_ARP: u16 = 0x0806;
const OPERATION_REQUEST: u16 = 1;
const OPERATION_REPLY: u16 = 2;

/// An ARP packet for IPv4 over Ethernet behind its Ethernet header: 14 + 28 bytes.
const FRAME_BYTES: usize = 42;

#[derive(Debug, Error)]
pub enum NeighboursError {
    #[error("find interface {interface}")]
    Interface {
        interface: String,
        #[source]
        source: NetlinkError,
    },
    #[error("interface {interface} has no Ethernet address")]
    NoHardwareAddress { interface: String },
    #[error("open a packet socket on {interface}")]
    Open {
        interface: String,
        #[source]
        source: io::Error,
    },
    #[error("tell the neighbours")]
    Send(#[source] io::Error),
}

impl NeighboursError {
    /// The interface is down: a virtual link comes up a moment after the decision to serve.
    pub fn is_down(&self) -> bool {
        matches!(self, Self::Send(error) if error.raw_os_error() == Some(libc::ENETDOWN))
    }
}

/// A packet socket on one interface.
#[derive(Debug)]
pub struct Neighbours {
    socket: Socket,
    hardware: [u8; 6],
}

impl Neighbours {
    pub fn open(interface: &str) -> Result<Self, NeighboursError> {
        let at = |source| NeighboursError::Interface { interface: interface.into(), source };
        let mut addresses = Addresses::open().map_err(at)?;
        let index = addresses.interface_index(interface).map_err(at)?;
        let hardware = addresses.hardware_address(interface).map_err(at)?;
        let hardware = hardware.ok_or_else(|| NeighboursError::NoHardwareAddress { interface: interface.into() })?;
        let socket = open_socket(index);
        let socket = socket.map_err(|source| NeighboursError::Open { interface: interface.into(), source })?;
        Ok(Self { socket, hardware })
    }

    /// IPv4: broadcasts a gratuitous ARP request and a gratuitous reply, because some neighbours heed only one of them.
    /// IPv6: one unsolicited advertisement to all nodes, which overrides what they know.
    pub fn announce(&self, service: IpAddr) -> Result<(), NeighboursError> {
        match service {
            IpAddr::V4(service) => {
                self.send(&frame(OPERATION_REQUEST, self.hardware, service, [0; 6], service))?;
                self.send(&frame(OPERATION_REPLY, self.hardware, service, self.hardware, service))
            }
            IpAddr::V6(service) => self.send(&discovery::advertisement(self.hardware, service)),
        }
    }

    /// Asks for each party of the address's family in the name of the service address, which makes that party learn our
    /// Ethernet address even when it ignores what is announced (RFC 826: who is asked merges the asker first; RFC 4861
    /// section 7.2.3: so does who is solicited).
    pub fn ask(&self, service: IpAddr, parties: &[IpAddr]) -> Result<(), NeighboursError> {
        parties.iter().try_for_each(|party| match (service, *party) {
            (IpAddr::V4(service), IpAddr::V4(party)) => {
                self.send(&frame(OPERATION_REQUEST, self.hardware, service, [0; 6], party))
            }
            (IpAddr::V6(service), IpAddr::V6(party)) => {
                self.send(&discovery::solicitation(self.hardware, service, party))
            }
            _ => Ok(()),
        })
    }

    fn send(&self, frame: &[u8]) -> Result<(), NeighboursError> {
        self.socket.send(frame).map(drop).map_err(NeighboursError::Send)
    }
}

/// The Ethernet frame of one broadcast ARP packet (RFC 826).
fn frame(operation: u16, hardware: [u8; 6], sender: Ipv4Addr, target_hardware: [u8; 6], target: Ipv4Addr) -> Vec<u8> {
    let mut frame = Vec::with_capacity(FRAME_BYTES);
    frame.extend(BROADCAST);
    frame.extend(hardware);
    frame.extend(ETHERTYPE_ARP.to_be_bytes());
    // Hardware type Ethernet, protocol IPv4, and the lengths of their addresses.
    frame.extend([0x00, 0x01, 0x08, 0x00, 6, 4]);
    frame.extend(operation.to_be_bytes());
    frame.extend(hardware);
    frame.extend(sender.octets());
    frame.extend(target_hardware);
    frame.extend(target.octets());
    frame
}

#[allow(unsafe_code)]
fn open_socket(index: u32) -> io::Result<Socket> {
    // Protocol 0 receives nothing: the socket only sends.
    let socket = Socket::new(Domain::PACKET, Type::RAW.nonblocking(), None)?;
    // SAFETY: the storage is large enough for sockaddr_ll and zeroed; the length set is that of sockaddr_ll.
    let ((), address) = unsafe {
        SockAddr::try_init(|storage, length| {
            let address = storage.cast::<libc::sockaddr_ll>();
            (*address).sll_family = libc::AF_PACKET as libc::sa_family_t;
            (*address).sll_ifindex = index as i32;
            *length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
            Ok(())
        })?
    };
    socket.bind(&address)?;
    Ok(socket)
}

#[cfg(test)]
mod tests;
