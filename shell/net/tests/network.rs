//! rtnetlink and ARP against the real kernel, in namespaces of their own.

mod common;

use std::io::Read;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use common::{INTERFACE, OTHER, in_namespace, ip};
use socket2::{Domain, Protocol, Socket, Type};
use tandem_net::echo::Echo;
use tandem_net::neighbours::Neighbours;
use tandem_net::netlink::{Addresses, InterfaceAddress, NetlinkError, NetworkEvent, subscribe};
use tandem_net::sockets::{UdpOptions, bind_udp};

const SERVICE: &str = "10.77.0.100";

fn service() -> IpAddr {
    SERVICE.parse().unwrap()
}

#[test]
fn an_address_is_added_renewed_and_removed() {
    in_namespace(|| {
        for (address, prefix) in [(service(), 32), ("2001:db8::100".parse().unwrap(), 128)] {
            let mut addresses = Addresses::open().unwrap();
            assert!(!addresses.has(INTERFACE, address).unwrap());
            assert_eq!(addresses.interface_of(address).unwrap(), None);
            assert!(!addresses.remove(INTERFACE, address, prefix).unwrap());
            addresses.add(INTERFACE, address, prefix, None).unwrap();
            let listed = |addresses: &mut Addresses| {
                addresses.list(INTERFACE).unwrap().into_iter().find(|entry| entry.address == address).unwrap()
            };
            assert_eq!(listed(&mut addresses), InterfaceAddress { address, prefix, valid: None });
            addresses.add(INTERFACE, address, prefix, Some(Duration::from_secs(100))).unwrap();
            let valid = listed(&mut addresses).valid.unwrap();
            assert!((Duration::from_secs(90)..=Duration::from_secs(100)).contains(&valid), "{valid:?}");
            assert!(!addresses.has(OTHER, address).unwrap());
            assert_eq!(addresses.interface_of(address).unwrap().as_deref(), Some(INTERFACE));
            assert!(addresses.remove(INTERFACE, address, prefix).unwrap());
            assert!(!addresses.has(INTERFACE, address).unwrap());
        }
    });
}

#[test]
fn a_version_6_address_is_usable_at_once() {
    in_namespace(|| {
        let address: IpAddr = "2001:db8::100".parse().unwrap();
        Addresses::open().unwrap().add(INTERFACE, address, 128, None).unwrap();
        std::net::UdpSocket::bind((address, 0)).unwrap();
    });
}

#[test]
fn an_address_that_is_not_renewed_ends() {
    in_namespace(|| {
        let mut addresses = Addresses::open().unwrap();
        addresses.add(INTERFACE, service(), 32, Some(Duration::from_secs(1))).unwrap();
        let until = Instant::now() + Duration::from_secs(10);
        while addresses.has(INTERFACE, service()).unwrap() {
            assert!(Instant::now() < until, "the lease does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
        // The node's own address is not touched.
        assert!(addresses.has(INTERFACE, "10.77.0.11".parse().unwrap()).unwrap());
    });
}

#[test]
fn carrier_and_hardware_address() {
    in_namespace(|| {
        let mut addresses = Addresses::open().unwrap();
        assert!(addresses.carrier(INTERFACE).unwrap());
        assert!(addresses.hardware_address(INTERFACE).unwrap().is_some());
        ip(&format!("link set {OTHER} down"));
        assert!(!addresses.carrier(INTERFACE).unwrap());
        assert!(matches!(addresses.carrier("absent"), Err(NetlinkError::NoInterface(_))));
    });
}

#[test]
fn changes_are_reported() {
    in_namespace(|| {
        let mut addresses = Addresses::open().unwrap();
        let index = addresses.interface_index(INTERFACE).unwrap();
        let mut subscription = subscribe().unwrap();
        assert_eq!(subscription.events(), []);
        addresses.add(INTERFACE, service(), 32, None).unwrap();
        assert_eq!(subscription.events(), [NetworkEvent::AddressAdded { index, address: service() }]);
        addresses.remove(INTERFACE, service(), 32).unwrap();
        assert_eq!(subscription.events(), [NetworkEvent::AddressRemoved { index, address: service() }]);
        ip(&format!("link set {OTHER} down"));
        let until = Instant::now() + Duration::from_secs(10);
        while !subscription.events().contains(&NetworkEvent::Carrier { index, carrier: false }) {
            assert!(Instant::now() < until, "no lost carrier is reported");
            std::thread::sleep(Duration::from_millis(5));
        }
        ip(&format!("link del {INTERFACE}"));
        let until = Instant::now() + Duration::from_secs(10);
        while !subscription.events().contains(&NetworkEvent::InterfaceGone { index }) {
            assert!(Instant::now() < until, "no lost interface is reported");
            std::thread::sleep(Duration::from_millis(5));
        }
    });
}

/// A packet that waits for a neighbour leaves when that one answers, also a second later. A node that has lost its cable
/// has many of them.
#[test]
fn what_waits_for_a_silent_neighbour_can_be_dropped() {
    in_namespace(|| {
        let mut addresses = Addresses::open().unwrap();
        addresses.add(INTERFACE, service(), 24, None).unwrap();
        let protocol = Protocol::from(i32::from(0x0800u16.to_be()));
        let mut listener = Socket::new(Domain::PACKET, Type::RAW, Some(protocol)).unwrap();
        listener.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        listener.bind_device(Some(OTHER.as_bytes())).unwrap();
        let mut next = || loop {
            let mut frame = [0; 200];
            let length = listener.read(&mut frame).unwrap();
            if frame[26..30] == [10, 77, 0, 100] {
                return String::from_utf8_lossy(&frame[42..length]).trim_end_matches('\0').to_owned();
            }
        };
        let socket = std::net::UdpSocket::bind((service(), 0)).unwrap();
        let answers =
            || ip(&format!("neigh replace 10.77.0.21 lladdr 02:00:00:00:00:21 dev {INTERFACE} nud reachable"));
        let forgets = || ip(&format!("neigh del 10.77.0.21 dev {INTERFACE}"));
        let say = |text: &str| socket.send_to(text.as_bytes(), "10.77.0.21:5060").unwrap();
        say("kept");
        answers();
        assert_eq!(next(), "kept");
        forgets();
        say("dropped");
        assert_eq!(addresses.drop_waiting(INTERFACE).unwrap(), 1);
        answers();
        say("later");
        assert_eq!(next(), "later");
        assert_eq!(addresses.drop_waiting(INTERFACE).unwrap(), 0);
    });
}

/// facts/linux.md: some switches and phones ignore gratuitous ARP: an ARP request from the service address to each
/// on-link peer works everywhere, and warms the neighbour table of both.
#[test]
fn neighbours_hear_who_has_the_address() {
    in_namespace(|| {
        let mut addresses = Addresses::open().unwrap();
        let hardware = addresses.hardware_address(INTERFACE).unwrap().unwrap();
        let protocol = Protocol::from(i32::from(0x0806u16.to_be()));
        let mut listener = Socket::new(Domain::PACKET, Type::RAW, Some(protocol)).unwrap();
        listener.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        listener.bind_device(Some(OTHER.as_bytes())).unwrap();
        let neighbours = Neighbours::open(INTERFACE).unwrap();
        let IpAddr::V4(service) = service() else { unreachable!() };
        let party = std::net::Ipv4Addr::new(10, 77, 0, 21);
        neighbours.announce(service.into()).unwrap();
        neighbours.ask(service.into(), &[party.into(), "2001:db8::21".parse().unwrap()]).unwrap();
        // Operation and the address asked about, of the three packets that came from the service address.
        let mut seen = Vec::new();
        while seen.len() < 3 {
            let mut frame = [0; 100];
            let length = listener.read(&mut frame).unwrap();
            assert!(length >= 42);
            if frame[28..32] == service.octets() && frame[..6] == [0xff; 6] {
                assert_eq!((&frame[6..12], &frame[22..28]), (&hardware[..], &hardware[..]));
                let asked = std::net::Ipv4Addr::from(<[u8; 4]>::try_from(&frame[38..42]).unwrap());
                if !seen.contains(&(frame[21], asked)) {
                    seen.push((frame[21], asked));
                }
            }
        }
        assert_eq!(seen, [(1, service), (2, service), (1, party)]);
    });
}

/// RFC 4861 section 7.2.6: who knew another node's hardware address replaces it. Whom we ask learns it, too.
#[test]
fn version_6_neighbours_hear_who_has_the_address() {
    in_namespace(|| {
        let service: IpAddr = "2001:db8::100".parse().unwrap();
        let party: IpAddr = "2001:db8::21".parse().unwrap();
        let hardware = Addresses::open().unwrap().hardware_address(INTERFACE).unwrap().unwrap();
        let hardware = hardware.map(|byte| format!("{byte:02x}")).join(":");
        ip(&format!("-6 addr add {party}/64 dev {OTHER} nodad"));
        let known = |expected: &str| {
            let until = Instant::now() + Duration::from_secs(5);
            loop {
                let shown =
                    std::process::Command::new("ip").args(["-6", "neigh", "show", "dev", OTHER]).output().unwrap();
                let shown = String::from_utf8(shown.stdout).unwrap();
                let entry = shown.lines().find(|line| line.starts_with("2001:db8::100 ")).unwrap_or_default();
                if entry.contains(expected) {
                    return;
                }
                assert!(Instant::now() < until, "{expected} is not what is known: {shown}");
                std::thread::sleep(Duration::from_millis(10));
            }
        };
        let neighbours = Neighbours::open(INTERFACE).unwrap();
        ip(&format!("-6 neigh replace {service} lladdr 02:00:00:00:00:99 nud reachable dev {OTHER}"));
        known("02:00:00:00:00:99");
        neighbours.announce(service).unwrap();
        known(&hardware);
        ip(&format!("-6 neigh replace {service} lladdr 02:00:00:00:00:99 nud reachable dev {OTHER}"));
        known("02:00:00:00:00:99");
        neighbours.ask(service, &[party]).unwrap();
        known(&hardware);
    });
}

/// facts/vrrp.md, issue (8) of its users: with a macvlan the base address stays reachable, because each interface answers
/// for its own addresses only.
#[test]
fn a_virtual_link_has_the_virtual_routers_hardware_address() {
    in_namespace(|| {
        let link = "tandem4.10";
        let mut addresses = Addresses::open().unwrap();
        let hardware = [0, 0, 0x5e, 0, 1, 10];
        for _ in 0..2 {
            addresses.add_virtual_link(link, INTERFACE, hardware).unwrap();
        }
        addresses.speak_for_own_addresses(link).unwrap();
        addresses.speak_for_own_addresses(INTERFACE).unwrap();
        assert_eq!(addresses.hardware_address(link).unwrap(), Some(hardware));
        assert!(!addresses.carrier(link).unwrap(), "it is down at first");
        for interface in [link, INTERFACE] {
            for (setting, expected) in [("arp_ignore", "1"), ("arp_announce", "2")] {
                let path = format!("/proc/sys/net/ipv4/conf/{interface}/{setting}");
                assert_eq!(std::fs::read_to_string(path).unwrap().trim(), expected, "{setting} of {interface}");
            }
        }
        addresses.add(link, service(), 32, None).unwrap();
        addresses.set_link_up(link, true).unwrap();
        assert!(addresses.carrier(link).unwrap());
        let listed: Vec<IpAddr> = addresses.list(link).unwrap().into_iter().map(|entry| entry.address).collect();
        assert_eq!(listed, [service()], "it has made no address of its own");
        addresses.set_link_up(link, false).unwrap();
        assert!(!addresses.carrier(link).unwrap());
        addresses.remove_link(link).unwrap();
        addresses.remove_link(link).unwrap();
        assert!(matches!(addresses.carrier(link), Err(NetlinkError::NoInterface(_))));
    });
}

/// facts/linux.md: a service address added as /24 before the node's own address in that subnet becomes the primary one, and
/// its end takes both; as a /32 it is nobody's primary.
#[test]
fn a_service_address_takes_no_other_with_it() {
    in_namespace(|| {
        ip(&format!("addr del 10.77.0.11/24 dev {INTERFACE}"));
        let mut addresses = Addresses::open().unwrap();
        addresses.add(INTERFACE, service(), 32, None).unwrap();
        ip(&format!("addr add 10.77.0.11/24 dev {INTERFACE}"));
        assert!(addresses.remove(INTERFACE, service(), 32).unwrap());
        assert!(addresses.has(INTERFACE, "10.77.0.11".parse().unwrap()).unwrap());
    });
}

/// facts/linux.md: UDP sockets bound with IP_FREEBIND to an absent address receive as soon as the address is added; once it
/// is removed, sends from it fail with ENETUNREACH. That is a fence. IPv6 has none: there the kernel sends on.
#[test]
fn a_socket_of_an_address_works_while_the_address_is_there() {
    in_namespace(|| {
        let mut addresses = Addresses::open().unwrap();
        for (service, own, prefix) in [("10.77.0.100", "10.77.0.11", 32), ("2001:db8::100", "2001:db8::11", 128)] {
            if prefix == 128 {
                ip(&format!("-6 addr add {own}/64 dev {INTERFACE} nodad"));
            }
            let (service, own): (IpAddr, IpAddr) = (service.parse().unwrap(), own.parse().unwrap());
            let options = UdpOptions { freebind: true, ..UdpOptions::default() };
            let socket = bind_udp((service, 5060).into(), options).unwrap();
            let other = std::net::UdpSocket::bind((own, 0)).unwrap();
            other.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let to = other.local_addr().unwrap();
            let fenced = |bytes: &[u8]| {
                let error = socket.send_to(bytes, to).err().and_then(|error| error.raw_os_error());
                assert!(prefix == 128 || error == Some(libc::ENETUNREACH), "{error:?}");
            };
            fenced(b"before");
            addresses.add(INTERFACE, service, prefix, None).unwrap();
            let until = Instant::now() + Duration::from_secs(5);
            let mut bytes = [0; 10];
            while socket.recv(&mut bytes).is_err() {
                assert!(Instant::now() < until, "nothing arrives at {service}");
                // The kernel takes a moment to make the route of an IPv6 address.
                other.send_to(b"in", (service, 5060)).unwrap();
                std::thread::sleep(Duration::from_millis(1));
            }
            socket.send_to(b"out", to).unwrap();
            let mut from = None;
            while from.is_none() || bytes[..3] != *b"out" {
                from = Some(other.recv_from(&mut bytes).unwrap().1);
            }
            assert_eq!(from, Some((service, 5060).into()), "packets leave from the service address");
            addresses.remove(INTERFACE, service, prefix).unwrap();
            fenced(b"after");
        }
    });
}

#[test]
fn a_gateway_answers_or_does_not() {
    in_namespace(|| {
        ip("addr add 2001:db8::12/64 dev lo nodad");
        for (there, absent) in [("10.77.0.12", "10.77.0.99"), ("2001:db8::12", "2001:db9::99")] {
            let mut there = Echo::open(there.parse().unwrap(), 7).unwrap();
            let mut absent = Echo::open(absent.parse().unwrap(), 7).unwrap();
            for _ in 0..3 {
                assert!(there.ask(Duration::from_secs(5)).unwrap());
                assert!(!absent.ask(Duration::from_millis(20)).unwrap());
            }
        }
    });
}
