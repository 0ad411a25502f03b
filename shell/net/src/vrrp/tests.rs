use super::*;

fn listed(entries: &[(&str, u8)]) -> Vec<InterfaceAddress> {
    let entry = |(address, prefix): &(&str, u8)| InterfaceAddress {
        address: address.parse().unwrap(),
        prefix: *prefix,
        valid: None,
    };
    entries.iter().map(entry).collect()
}

#[test]
fn adverts_come_from_the_machines_own_address_and_never_from_the_one_that_moves() {
    let chosen = |entries: &[(&str, u8)], service: &str| {
        choose_own(&listed(entries), service.parse().unwrap()).map(|address| address.to_string())
    };
    let service = "10.77.0.100";
    assert_eq!(chosen(&[(service, 32), ("10.77.0.11", 24)], service).as_deref(), Some("10.77.0.11"));
    assert_eq!(chosen(&[("192.0.2.9", 24), ("10.77.0.11", 24)], service).as_deref(), Some("10.77.0.11"));
    assert_eq!(chosen(&[("192.0.2.9", 24), (service, 32)], service).as_deref(), Some("192.0.2.9"), "better than none");
    assert_eq!(chosen(&[("10.77.0.101", 32), ("10.77.0.11", 16)], service).as_deref(), Some("10.77.0.11"));
    assert_eq!(chosen(&[(service, 32), ("fe80::11", 64)], service), None);
    let service = "2001:db8::100";
    let entries = [("10.77.0.11", 24), (service, 128), ("2001:db8::11", 64), ("fe80::11", 64)];
    assert_eq!(chosen(&entries, service).as_deref(), Some("fe80::11"));
    assert_eq!(chosen(&entries[..3], service), None);
}

#[test]
fn subnets_are_compared_by_their_prefix() {
    let same = |one: &str, other: &str, prefix| same_subnet(one.parse().unwrap(), other.parse().unwrap(), prefix);
    assert!(same("10.77.0.11", "10.77.0.100", 24) && same("10.77.0.11", "192.0.2.1", 0));
    assert!(!same("10.77.0.11", "10.77.1.100", 24) && !same("10.77.0.11", "10.77.0.100", 32));
    assert!(same("2001:db8::1", "2001:db8::2", 64) && !same("2001:db8::1", "2001:db9::1", 64));
    assert!(!same("10.77.0.11", "2001:db8::1", 0));
}

#[test]
fn an_ipv4_header_is_read_with_its_options() {
    let mut packet = vec![0x46, 0xc0, 0, 28, 0, 0, 0, 0, 255, 112, 0, 0, 10, 77, 0, 31, 224, 0, 0, 18, 1, 1, 1, 0];
    packet.extend([0x31, 10, 50, 1]);
    let arrived = from_ipv4(&packet).unwrap();
    assert_eq!((arrived.source, arrived.destination), ([10, 77, 0, 31].into(), [224, 0, 0, 18].into()));
    assert_eq!((arrived.ttl, arrived.bytes), (255, vec![0x31, 10, 50, 1]));
    for length in 0..24 {
        assert_eq!(from_ipv4(&packet[..length]), None);
    }
}
