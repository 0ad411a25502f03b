//! What arrives at a host's interface, with the kernel's arrival times: RTP as it comes to a phone's ear.

use std::net::Ipv4Addr;
use std::time::{SystemTime, UNIX_EPOCH};

use tandem_lab::netns::Host;

use crate::tap::{ETHERTYPE_IPV4, Tap};

const UDP: u8 = 17;
const UDP_HEADER_BYTES: usize = 8;
const RTP_HEADER_BYTES: usize = 12;

/// One RTP packet with G.711 µ-law.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Wall clock.
    pub at_us: u64,
    pub sequence: u16,
    pub payload: Vec<u8>,
}

/// Listens until it is dropped.
pub struct Capture(Tap<Heard>);

impl Capture {
    pub fn start(host: &Host) -> Self {
        let address = host.address;
        Self(Tap::start(host, ETHERTYPE_IPV4, move |packet, at_us| {
            rtp(packet, address).map(|(sequence, payload)| Heard { at_us, sequence, payload })
        }))
    }

    /// RTP packets that came since then, each one once.
    pub fn since(&self, from_us: u64) -> Vec<Heard> {
        let mut packets = self.0.heard(|heard| heard.at_us >= from_us);
        packets.dedup_by_key(|packet| packet.sequence);
        packets
    }
}

/// The longest time without a packet from `from_us` until `to_us`, in milliseconds.
pub fn longest_gap_ms(packets: &[Heard], from_us: u64, to_us: u64) -> f64 {
    let mut last_us = from_us;
    let mut longest_us = 0;
    let times = packets.iter().map(|packet| packet.at_us).filter(|at_us| (from_us..to_us).contains(at_us));
    for at_us in times.chain([to_us]) {
        longest_us = longest_us.max(at_us.saturating_sub(last_us));
        last_us = at_us;
    }
    longest_us as f64 / 1000.0
}

/// Wall clock, which is what the kernel tells with each packet.
pub fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

/// Sequence number and payload of an IPv4 packet for this address that is RTP with µ-law.
fn rtp(packet: &[u8], address: Ipv4Addr) -> Option<(u16, Vec<u8>)> {
    let header_bytes = usize::from(packet.first()? & 0x0f) * 4;
    if *packet.get(9)? != UDP || packet.get(16..20)? != address.octets() {
        return None;
    }
    let payload = packet.get(header_bytes + UDP_HEADER_BYTES..)?;
    // Version 2, no padding, extension or source list, as all phones here send it; payload type 0, marker or not.
    if *payload.first()? != 0x80 || payload.get(1)? & 0x7f != 0 {
        return None;
    }
    let sequence = u16::from_be_bytes([*payload.get(2)?, *payload.get(3)?]);
    Some((sequence, payload.get(RTP_HEADER_BYTES..)?.to_vec()))
}

#[test]
fn gaps_are_found_at_both_ends_and_between() {
    let packet = |at_us| Heard { at_us, sequence: 0, payload: Vec::new() };
    let packets = [packet(10_000), packet(30_000), packet(90_000)];
    assert_eq!(longest_gap_ms(&packets, 0, 100_000), 60.0);
    assert_eq!(longest_gap_ms(&packets, 0, 190_000), 100.0);
    assert_eq!(longest_gap_ms(&packets, 31_000, 90_001), 59.0);
    assert_eq!(longest_gap_ms(&[], 0, 5_000), 5.0);
}
