//! VRRP on the wire, versions 2 (RFC 3768) and 3 (RFC 9568): what the pair says to other routers of its virtual router,
//! and what it makes of what they say.
//!
//! `advert` is the packet, `timer` the RFCs' formulas, `router` the machine. Inside the pair heartbeats decide, never
//! adverts: towards its neighbours the pair is one router that always means to have the address.

pub mod advert;
pub mod router;
pub mod timer;

pub use advert::{Advert, AdvertError, Authentication, Packet};
pub use router::{Foreign, Notice, Output, Router, Settings, Successor};

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use minicbor::{Decode, Encode};

/// The protocol's number in IP headers (RFC 9568 section 5.1.1.4).
pub const PROTOCOL: u8 = 112;

/// The only TTL or hop limit: a packet that a router has passed on is not from this link (RFC 9568 section 5.1.1.3).
pub const TTL: u8 = 255;

/// Where adverts go when no neighbours are named (RFC 9568 sections 5.1.1.2 and 5.1.2.2).
pub const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
pub const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);

/// The priority that says: I am leaving, do not wait for my silence (RFC 9568 section 5.2.4).
pub const PRIORITY_LEAVING: u8 = 0;

/// The version that a virtual router's members speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum Version {
    /// RFC 3768: IPv4, whole seconds.
    #[n(2)]
    V2,
    /// RFC 9568: IPv4 and IPv6, hundredths of a second.
    #[n(3)]
    V3,
}

impl Version {
    pub fn number(self) -> u8 {
        match self {
            Self::V2 => 2,
            Self::V3 => 3,
        }
    }
}

/// The Ethernet address of a virtual router, the same whoever serves (RFC 9568 section 7.3).
pub fn virtual_mac(vrid: u8, address: IpAddr) -> [u8; 6] {
    [0x00, 0x00, 0x5e, 0x00, if address.is_ipv4() { 0x01 } else { 0x02 }, vrid]
}

/// The multicast group of an address family.
pub fn group_of(address: IpAddr) -> IpAddr {
    if address.is_ipv4() { IpAddr::V4(GROUP_V4) } else { IpAddr::V6(GROUP_V6) }
}
