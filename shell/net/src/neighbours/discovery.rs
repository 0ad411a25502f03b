//! Neighbour discovery's packets as whole Ethernet frames (RFC 4861 sections 4.3 and 4.4, RFC 2464 sections 4 and 7).

use std::net::Ipv6Addr;

#[cfg(test)]
mod tests;

const ETHERTYPE_IPV6: u16 = 0x86dd;
const NEXT_HEADER_ICMPV6: u8 = 58;

/// Checked by everybody who receives: the packet is from this link (RFC 4861 section 7.1).
const HOP_LIMIT: u8 = 255;

const TYPE_SOLICITATION: u8 = 135;
const TYPE_ADVERTISEMENT: u8 = 136;

/// What is known of the target is to be replaced (RFC 4861 section 4.4). It answers nobody and is no router, so that the
/// other flags are not set.
const FLAG_OVERRIDE: u8 = 0x20;

const OPTION_SOURCE_HARDWARE: u8 = 1;
const OPTION_TARGET_HARDWARE: u8 = 2;

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// An unsolicited advertisement to all nodes that `service` is here (section 7.2.6).
pub fn advertisement(hardware: [u8; 6], service: Ipv6Addr) -> Vec<u8> {
    let message = message(TYPE_ADVERTISEMENT, FLAG_OVERRIDE, service, OPTION_TARGET_HARDWARE, hardware);
    frame(hardware, service, ALL_NODES, message)
}

/// A question of `service` for one party, who learns from it where `service` is (section 7.2.3).
pub fn solicitation(hardware: [u8; 6], service: Ipv6Addr, party: Ipv6Addr) -> Vec<u8> {
    let message = message(TYPE_SOLICITATION, 0, party, OPTION_SOURCE_HARDWARE, hardware);
    frame(hardware, service, solicited_node(party), message)
}

/// The group of everybody whose address ends alike (RFC 4291 section 2.7.1).
fn solicited_node(party: Ipv6Addr) -> Ipv6Addr {
    let [.., twelfth, high, low] = party.octets();
    let low = u16::from_be_bytes([high, low]);
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(twelfth), low)
}

/// Type, code, checksum yet to come, flags, target, and one option of a hardware address.
fn message(kind: u8, flags: u8, target: Ipv6Addr, option: u8, hardware: [u8; 6]) -> Vec<u8> {
    let mut message = vec![kind, 0, 0, 0, flags, 0, 0, 0];
    message.extend(target.octets());
    // The option's length is in units of eight bytes.
    message.extend([option, 1]);
    message.extend(hardware);
    message
}

fn frame(hardware: [u8; 6], source: Ipv6Addr, destination: Ipv6Addr, mut message: Vec<u8>) -> Vec<u8> {
    let checksum = checksum(source, destination, &message);
    if let Some(field) = message.get_mut(2..4) {
        field.copy_from_slice(&checksum.to_be_bytes());
    }
    let [.., d12, d13, d14, d15] = destination.octets();
    let mut frame = vec![0x33, 0x33, d12, d13, d14, d15];
    frame.extend(hardware);
    frame.extend(ETHERTYPE_IPV6.to_be_bytes());
    // Version 6, traffic class and flow label zero.
    frame.extend([0x60, 0, 0, 0]);
    frame.extend((message.len() as u16).to_be_bytes());
    frame.extend([NEXT_HEADER_ICMPV6, HOP_LIMIT]);
    frame.extend(source.octets());
    frame.extend(destination.octets());
    frame.extend(message);
    frame
}

/// Of ICMPv6 with its pseudo-header (RFC 4443 section 2.3, RFC 8200 section 8.1).
fn checksum(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> u16 {
    let mut bytes = Vec::with_capacity(40 + message.len());
    bytes.extend(source.octets());
    bytes.extend(destination.octets());
    bytes.extend((message.len() as u32).to_be_bytes());
    bytes.extend([0, 0, 0, NEXT_HEADER_ICMPV6]);
    bytes.extend(message);
    crate::icmp::checksum(&bytes)
}
