//! The VRRP socket against the real kernel: two ends of a cable, in a namespace of their own.

mod common;

use std::fs;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use common::{INTERFACE, OTHER, in_namespace, ip};
use tandem_net::netlink::Addresses;
use tandem_net::vrrp::{Arrived, VrrpSocket, own_address};

const SERVICE: &str = "10.77.0.100";
const ADVERT: &[u8] = b"1\x0a\x32\x01\x00\x19\xa7\x2f\x0a\x4d\x00\x64";

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Both ends are in one namespace, so that a packet comes from an address that the machine has itself.
fn allow_own_sources() {
    for end in [INTERFACE, OTHER] {
        for (setting, value) in [("accept_local", "1"), ("rp_filter", "0")] {
            fs::write(format!("/proc/sys/net/ipv4/conf/{end}/{setting}"), value).unwrap();
        }
    }
    fs::write("/proc/sys/net/ipv4/conf/all/rp_filter", "0").unwrap();
}

fn wait(socket: &mut VrrpSocket) -> Vec<Arrived> {
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let arrived = socket.receive();
        if !arrived.is_empty() {
            return arrived;
        }
        assert!(Instant::now() < until, "nothing comes");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// facts/vrrp.md: TTL / hop limit 255, checked. Multicast 224.0.0.18 / ff02::12, protocol 112.
#[test]
fn a_multicast_advert_leaves_from_the_own_address_with_ttl_255() {
    in_namespace(|| {
        allow_own_sources();
        // The service address is there, too, and must not be taken for the own one.
        Addresses::open().unwrap().add(INTERFACE, address(SERVICE), 32, None).unwrap();
        let group = address("224.0.0.18");
        let mut listener = VrrpSocket::open(OTHER, group, true).unwrap();
        let mut sender = VrrpSocket::open(INTERFACE, group, true).unwrap();
        let source = own_address(&mut Addresses::open().unwrap(), INTERFACE, address(SERVICE)).unwrap().unwrap();
        assert_eq!(source, address("10.77.0.11"));
        sender.send(source, group, ADVERT).unwrap();
        let expected = Arrived { source, destination: group, ttl: 255, bytes: ADVERT.to_vec() };
        assert_eq!(wait(&mut listener), [expected]);
        assert_eq!(sender.receive(), [], "our own adverts do not come back");
    });
}

#[test]
fn a_unicast_advert_reaches_its_neighbour_alone() {
    in_namespace(|| {
        let group = address("224.0.0.18");
        // The loopback stands for the wire: the other end's address is on this machine, too.
        let mut listener = VrrpSocket::open("lo", group, false).unwrap();
        let sender = VrrpSocket::open("lo", group, false).unwrap();
        let (source, destination) = (address("10.77.0.11"), address("10.77.0.12"));
        sender.send(source, destination, ADVERT).unwrap();
        assert_eq!(wait(&mut listener), [Arrived { source, destination, ttl: 255, bytes: ADVERT.to_vec() }]);
    });
}

#[test]
fn a_multicast_advert_over_ipv6_has_hop_limit_255() {
    in_namespace(|| {
        for (end, own) in [(INTERFACE, "fe80::11"), (OTHER, "fe80::12")] {
            ip(&format!("addr add {own}/64 dev {end} nodad"));
        }
        let group = address("ff02::12");
        let mut listener = VrrpSocket::open(OTHER, group, true).unwrap();
        let sender = VrrpSocket::open(INTERFACE, group, true).unwrap();
        let source = address("fe80::11");
        sender.send(source, group, ADVERT).unwrap();
        assert_eq!(wait(&mut listener), [Arrived { source, destination: group, ttl: 255, bytes: ADVERT.to_vec() }]);
    });
}

#[test]
fn mixed_families_and_absent_interfaces_are_errors() {
    in_namespace(|| {
        let group = address("224.0.0.18");
        let error = VrrpSocket::open("absent", group, true).unwrap_err();
        assert_eq!(error.to_string(), "open a VRRP socket on absent: find the interface");
        let socket = VrrpSocket::open(INTERFACE, group, true).unwrap();
        assert!(socket.send(address("fe80::11"), group, ADVERT).is_err());
        assert!(socket.send(address("10.77.0.99"), group, ADVERT).is_err(), "nobody's address");
    });
}
