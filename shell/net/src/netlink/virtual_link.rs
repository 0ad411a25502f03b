//! A second Ethernet address on an interface: a macvlan link with the hardware address of a virtual router, and what keeps
//! the two from answering for each other.

use netlink_packet_core::{DefaultNla, NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    AfSpecInet, AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoKind, InfoMacVlan, LinkAttribute, LinkFlags,
    LinkInfo, LinkMessage, MacVlanMode,
};

use super::{Addresses, NetlinkError};

/// Of a link's IPv4 settings (if_link.h), and two of them (ip.h).
const IFLA_INET_CONF: u16 = 1;
const IPV4_DEVCONF_ARP_ANNOUNCE: u16 = 18;
const IPV4_DEVCONF_ARP_IGNORE: u16 = 19;

/// Ask for others in the name of an address of the interface itself (ip-sysctl: arp_announce).
const ARP_ANNOUNCE_OWN: u32 = 2;

/// Answer for an address only on the interface that has it (ip-sysctl: arp_ignore).
const ARP_IGNORE_OTHERS: u32 = 1;

/// Length, kind and value of one setting.
const SETTING_BYTES: u16 = 8;

impl Addresses {
    /// Makes a macvlan link on `lower`, down and without addresses. One of this name that is there already is replaced:
    /// a former life has left it.
    pub fn add_virtual_link(&mut self, name: &str, lower: &str, hardware: [u8; 6]) -> Result<(), NetlinkError> {
        self.remove_link(name)?;
        let lower = self.interface_index(lower)?;
        let mut message = LinkMessage::default();
        let kind = LinkInfo::Kind(InfoKind::MacVlan);
        let mode = LinkInfo::Data(InfoData::MacVlan(vec![InfoMacVlan::Mode(MacVlanMode::Private)]));
        message.attributes = vec![
            LinkAttribute::IfName(name.to_owned()),
            LinkAttribute::Link(lower),
            LinkAttribute::Address(hardware.to_vec()),
            LinkAttribute::LinkInfo(vec![kind, mode]),
        ];
        let flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
        self.request("make a virtual link", RouteNetlinkMessage::NewLink(message), flags)?;
        // An address of its own would be on both nodes. Where there is no IPv6, there is none either.
        let quiet = AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(In6AddrGenMode::None)]);
        if let Err(error) = self.set_link(name, "keep a link from making addresses", vec![quiet]) {
            tracing::debug!(%error, name, "the link may make IPv6 addresses of its own");
        }
        Ok(())
    }

    /// Removing one that is not there is no error.
    pub fn remove_link(&mut self, name: &str) -> Result<(), NetlinkError> {
        let mut message = LinkMessage::default();
        message.header.index = match self.interface_index(name) {
            Ok(index) => index,
            Err(NetlinkError::NoInterface(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
        let flags = NLM_F_REQUEST | NLM_F_ACK;
        self.request("remove a link", RouteNetlinkMessage::DelLink(message), flags).map(drop)
    }

    pub fn set_link_up(&mut self, name: &str, up: bool) -> Result<(), NetlinkError> {
        let mut message = LinkMessage::default();
        message.header.index = self.interface_index(name)?;
        message.header.flags = if up { LinkFlags::Up } else { LinkFlags::empty() };
        message.header.change_mask = LinkFlags::Up;
        let flags = NLM_F_REQUEST | NLM_F_ACK;
        self.request("set a link up or down", RouteNetlinkMessage::SetLink(message), flags).map(drop)
    }

    /// From now on the interface speaks ARP for its own addresses only. Linux answers for every address of the machine on
    /// every interface, and asks in the name of any: two interfaces on one wire would tell two hardware addresses.
    pub fn speak_for_own_addresses(&mut self, name: &str) -> Result<(), NetlinkError> {
        let settings = [(IPV4_DEVCONF_ARP_IGNORE, ARP_IGNORE_OTHERS), (IPV4_DEVCONF_ARP_ANNOUNCE, ARP_ANNOUNCE_OWN)];
        let mut bytes = Vec::new();
        for (kind, value) in settings {
            bytes.extend(SETTING_BYTES.to_ne_bytes());
            bytes.extend(kind.to_ne_bytes());
            bytes.extend(value.to_ne_bytes());
        }
        let inet = AfSpecUnspec::Inet(vec![AfSpecInet::Other(DefaultNla::new(IFLA_INET_CONF, bytes))]);
        self.set_link(name, "keep a link from speaking for others", vec![inet])
    }

    fn set_link(&mut self, name: &str, operation: &'static str, af: Vec<AfSpecUnspec>) -> Result<(), NetlinkError> {
        let mut message = LinkMessage::default();
        message.header.index = self.interface_index(name)?;
        message.attributes = vec![LinkAttribute::AfSpecUnspec(af)];
        let flags = NLM_F_REQUEST | NLM_F_ACK;
        self.request(operation, RouteNetlinkMessage::SetLink(message), flags).map(drop)
    }
}
