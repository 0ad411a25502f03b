//! VRRP adverts, and a virtual router that hears them.

use std::net::IpAddr;
use std::time::Duration;

use base::LocalTime;
use cluster::vrrp::{Advert, Authentication, Output, Packet, Router, Settings, Version, group_of};
use fuzz::{Mutator, Outcome, Target};

/// Version and type, numbers at the end of their range, and the lengths that follow the addresses.
const PIECES: &[&[u8]] = &[
    b"\x21",
    b"\x31",
    b"\x41",
    b"\x00",
    b"\xff",
    b"\x0f\xff",
    b"\xff\xff",
    b"\x00\x00",
    b"\x01\x01",
    &[0; 8],
    &[0; 16],
    &[0; 28],
];

const PASSWORD: &str = "secret";

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// Each way to be spoken to: version, own and foreign address, authentication.
fn ways() -> [(Version, IpAddr, IpAddr, Authentication); 4] {
    let password = Authentication::password(PASSWORD).expect("a password");
    let (own, foreign) = (ip("10.77.0.11"), ip("10.77.0.31"));
    [
        (Version::V2, own, foreign, Authentication::None),
        (Version::V2, own, foreign, password),
        (Version::V3, own, foreign, Authentication::None),
        (Version::V3, ip("fe80::11"), ip("fe80::31"), Authentication::None),
    ]
}

fn addresses(of_family: IpAddr) -> Vec<IpAddr> {
    let (v4, v6) = (["10.77.0.100", "10.77.0.101"], ["fe80::100", "2001:db8::100"]);
    (if of_family.is_ipv4() { v4 } else { v6 }).map(ip).to_vec()
}

/// One advert for each way, in their order.
fn corpus() -> Vec<Vec<u8>> {
    let one = |(version, _, source, authentication): (Version, IpAddr, IpAddr, Authentication)| {
        let interval = Duration::from_secs(1);
        let advert =
            Advert { version, vrid: 10, priority: 100, interval, addresses: addresses(source), authentication };
        advert.encode(source, group_of(source), true).expect("an advert")
    };
    ways().into_iter().map(one).collect()
}

/// Damage nearly always breaks the checksum, so that each input comes with a right one, too.
fn mended(input: &[u8]) -> Vec<u8> {
    let mut bytes = input.to_vec();
    if bytes.len() >= 8 {
        bytes[6..8].fill(0);
        let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
        let total: u32 = words.sum();
        let total = (total & 0xffff) + (total >> 16);
        let checksum = !(((total & 0xffff) + (total >> 16)) as u16);
        bytes[6..8].copy_from_slice(&checksum.to_be_bytes());
    }
    bytes
}

#[test]
fn vrrp_advert() {
    Target::new("vrrp_advert", corpus()).pieces(PIECES).allocates(100, 4_096).run(|input| {
        let taken = read(input);
        Outcome::from(read(&mended(input)) || taken)
    });
}

/// Whether anybody takes it; what was taken can be written and is the same again.
fn read(input: &[u8]) -> bool {
    let mut taken = false;
    for (version, own, source, authentication) in ways() {
        for destination in [group_of(source), own] {
            let packet = Packet { source, destination, ttl: 255 };
            let Ok(advert) = Advert::decode(input, packet, version, authentication) else { continue };
            taken = true;
            let written = advert.encode(source, destination, true).expect("what was read can be written");
            let again = Advert::decode(&written, packet, version, authentication);
            assert_eq!(again.as_ref(), Ok(&advert));
            assert_eq!(written.len(), input.len());
        }
    }
    taken
}

/// Whatever a link says, a serving router's next regular advert leaves in its time, and it answers no packet with more
/// than one of its own.
#[test]
fn vrrp_router() {
    let mut mutator = Mutator::new(12);
    let mut now = LocalTime::from_millis(1_000);
    let mut routers: Vec<Router> = ways().into_iter().map(router).collect();
    routers.iter_mut().for_each(|router| drop(router.serve(now)));
    Target::new("vrrp_router", corpus()).pieces(PIECES).takes_anything().run(|input| {
        let input = if mutator.below(2) == 0 { mended(input) } else { input.to_vec() };
        now += Duration::from_millis(mutator.below(40));
        let ttl = if mutator.below(20) == 0 { 1 } else { 255 };
        for (router, (_, own, source, _)) in routers.iter_mut().zip(ways()) {
            let source = if mutator.below(10) == 0 { own } else { source };
            let packet = Packet { source, destination: group_of(own), ttl };
            let sends =
                |outputs: &[Output]| outputs.iter().filter(|output| matches!(output, Output::Send { .. })).count();
            assert!(sends(&router.received(now, packet, &input, None)) <= 1);
            router.timeout(now);
            assert!(router.deadline().is_some_and(|due| due > now && due <= now + Duration::from_secs(1)));
        }
        Outcome::Taken
    });
}

fn router((version, own, _, authentication): (Version, IpAddr, IpAddr, Authentication)) -> Router {
    let mut router = Router::new(Settings {
        version,
        vrid: 10,
        priority: 100,
        interval: Duration::from_secs(1),
        addresses: addresses(own),
        unicast_peers: Vec::new(),
        checksum_pseudo_header: true,
        authentication,
    });
    router.own_address(LocalTime::ZERO, Some(own));
    router
}
