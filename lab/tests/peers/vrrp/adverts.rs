//! Every VRRP packet on a host's cable, in both directions, with the kernel's times, read without the product's code.

use std::net::Ipv4Addr;

use tandem_lab::netns::Host;

use crate::tap::{ETHERTYPE_ALL, Tap};

const VRRP: u8 = 112;

/// One packet of the protocol.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Wall clock.
    pub at_us: u64,
    pub source: Ipv4Addr,
    pub destination: Ipv4Addr,
    pub ttl: u8,
    pub bytes: Vec<u8>,
}

impl Packet {
    pub fn priority(&self) -> u8 {
        self.bytes[2]
    }

    /// The one's complement sum (RFC 1071), which is all ones for a sound packet; with the pseudo-header or without.
    pub fn sum(&self, pseudo_header: bool) -> u16 {
        let mut bytes = self.bytes.clone();
        if pseudo_header {
            bytes.extend(self.source.octets());
            bytes.extend(self.destination.octets());
            bytes.extend([0, VRRP]);
            bytes.extend((self.bytes.len() as u16).to_be_bytes());
        }
        assert_eq!(bytes.len() % 2, 0);
        let words = bytes.chunks(2).map(|pair| u64::from(pair[0]) * 256 + u64::from(pair[1]));
        (1..=4).fold(words.sum::<u64>(), |sum, _| (sum & 0xffff) + (sum >> 16)) as u16
    }
}

/// Listens until it is dropped.
pub struct Adverts(Tap<Packet>);

impl Adverts {
    pub fn start(host: &Host) -> Self {
        Self(Tap::start(host, ETHERTYPE_ALL, packet))
    }

    /// Packets from there since then.
    pub fn of(&self, source: Ipv4Addr, from_us: u64) -> Vec<Packet> {
        self.0.heard(|packet| packet.source == source && packet.at_us >= from_us)
    }
}

fn packet(bytes: &[u8], at_us: u64) -> Option<Packet> {
    if bytes.first()? >> 4 != 4 || *bytes.get(9)? != VRRP {
        return None;
    }
    let address = |at: usize| Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes.get(at..at + 4)?).ok()?));
    let total = usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]));
    let header_bytes = usize::from(bytes.first()? & 0x0f) * 4;
    let payload = bytes.get(header_bytes..total)?.to_vec();
    Some(Packet { at_us, source: address(12)?, destination: address(16)?, ttl: *bytes.get(8)?, bytes: payload })
}

#[test]
fn sums_are_as_a_known_packet_has_them() {
    // What keepalived 2.2.7 sent, with the pseudo-header in its checksum.
    let bytes = b"\x31\x0a\x32\x01\x00\x19\xa7\x2f\x0a\x4d\x00\x64".to_vec();
    let (source, destination) = ([10, 77, 0, 31].into(), [224, 0, 0, 18].into());
    let packet = Packet { at_us: 0, source, destination, ttl: 255, bytes };
    assert_eq!(packet.sum(true), 0xffff);
    assert_ne!(packet.sum(false), 0xffff);
}
