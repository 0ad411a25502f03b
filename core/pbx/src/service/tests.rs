use std::net::IpAddr;

use super::{Service, ServiceAddress, in_subnet};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn own(text: &str, prefix_bits: u8) -> ServiceAddress {
    ServiceAddress { address: ip(text), prefix_bits }
}

/// The office, a trunk network, and a narrow network inside the wide one of version 6.
fn group() -> Service {
    let further = vec![own("192.0.2.100", 28), own("2001:db8::100", 32), own("2001:db8:7::100", 64)];
    Service::new(own("10.77.0.100", 24), further)
}

#[test]
fn a_party_is_spoken_to_from_the_address_of_its_subnet() {
    let cases = [
        ("10.77.0.21", "10.77.0.100"),
        ("192.0.2.97", "192.0.2.100"),
        ("192.0.2.95", "10.77.0.100"),
        ("198.51.100.7", "10.77.0.100"),
        ("2001:db8:7::21", "2001:db8:7::100"),
        ("2001:db8:8::21", "2001:db8::100"),
        ("2001:4860::1", "2001:db8::100"),
    ];
    for (remote, expected) in cases {
        assert_eq!(group().towards(ip(remote)), ip(expected), "{remote}");
    }
    let v4_only = Service::from(ip("10.77.0.100"));
    assert_eq!(v4_only.towards(ip("2001:db8::21")), ip("10.77.0.100"));
}

#[test]
fn of_two_equal_subnets_the_first_counts() {
    let service = Service::new(own("10.77.0.100", 24), vec![own("10.77.0.101", 24)]);
    assert_eq!(service.towards(ip("10.77.0.21")), ip("10.77.0.100"));
}

#[test]
fn a_socket_says_which_address_is_meant() {
    assert_eq!(group().of(ip("192.0.2.100")), ip("192.0.2.100"));
    assert_eq!(group().of(ip("10.77.0.100")), ip("10.77.0.100"));
    assert_eq!(group().of(ip("10.77.0.11")), ip("10.77.0.100"), "a socket that the files name");
}

#[test]
fn subnets_have_edges() {
    assert!(in_subnet(ip("192.0.2.111"), own("192.0.2.100", 28)));
    assert!(!in_subnet(ip("192.0.2.112"), own("192.0.2.100", 28)));
    assert!(in_subnet(ip("192.0.2.100"), own("192.0.2.100", 32)));
    assert!(!in_subnet(ip("192.0.2.101"), own("192.0.2.100", 32)));
    assert!(!in_subnet(ip("2001:db8::1"), own("192.0.2.100", 1)));
}

#[test]
fn the_summary_tells_groups_apart() {
    assert_eq!(Service::from(ip("10.77.0.100")).summary(), "10.77.0.100");
    let summary = group().summary();
    assert!(summary.starts_with("10.77.0.100 and 3 more (") && summary.len() <= 64, "{summary}");
    let of = |further: &[&str]| {
        Service::new(own("10.77.0.100", 24), further.iter().map(|it| own(it, 24)).collect()).summary()
    };
    assert_eq!(of(&["192.0.2.1", "192.0.2.2"]), of(&["192.0.2.2", "192.0.2.1"]), "their order is no matter");
    assert_ne!(of(&["192.0.2.1"]), of(&["192.0.2.2"]));
}
