//! ICMP as far as we speak it: echo request and reply (RFC 792, RFC 4443 section 4) and the checksum.

pub(crate) const ECHO_REQUEST: u8 = 8;
pub(crate) const ECHO_REPLY: u8 = 0;
pub(crate) const ECHO_REQUEST_V6: u8 = 128;
pub(crate) const ECHO_REPLY_V6: u8 = 129;

/// Type, code, checksum, identifier and sequence of an echo packet.
pub(crate) const ECHO_HEADER_BYTES: usize = 8;

/// An echo request without its IP header. The kernel fills in the checksum of ICMPv6, which covers addresses.
pub(crate) fn echo_request(is_ipv4: bool, identifier: u16, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![if is_ipv4 { ECHO_REQUEST } else { ECHO_REQUEST_V6 }, 0, 0, 0];
    packet.extend(identifier.to_be_bytes());
    packet.extend(sequence.to_be_bytes());
    packet.extend(payload);
    if is_ipv4 {
        let checksum = checksum(&packet).to_be_bytes();
        packet.splice(2..4, checksum);
    }
    packet
}

/// Identifier and sequence of a received packet if it is an echo reply. IPv4 raw sockets give the IP header, too (raw(7)).
pub(crate) fn echo_reply(is_ipv4: bool, packet: &[u8]) -> Option<(u16, u16)> {
    let (header_bytes, kind) = match packet.first() {
        Some(first) if is_ipv4 => (usize::from(first & 0x0f) * 4, ECHO_REPLY),
        _ => (0, ECHO_REPLY_V6),
    };
    match packet.get(header_bytes..)? {
        [found, 0, _, _, i0, i1, s0, s1, ..] if *found == kind => {
            Some((u16::from_be_bytes([*i0, *i1]), u16::from_be_bytes([*s0, *s1])))
        }
        _ => None,
    }
}

/// The Internet checksum (RFC 1071) of at most 64 KiB, to be written in network byte order.
pub(crate) fn checksum(bytes: &[u8]) -> u16 {
    let (words, odd) = bytes.as_chunks::<2>();
    let odd = odd.first().map_or(0, |high| u32::from(*high) << 8);
    let sum: u32 = words.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum::<u32>() + odd;
    // What overflows once more after the first fold cannot overflow again.
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}
