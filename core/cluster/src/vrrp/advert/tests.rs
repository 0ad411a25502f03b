//! The adverts of keepalived 2.2.7 as it sends them, ours beside them, and each way to be refused.

use std::net::IpAddr;
use std::time::Duration;

use super::*;
use crate::vrrp::Version::{V2, V3};

/// What keepalived sends, with the version, source and destination it was sent with.
const KEEPALIVED: [(&str, Version, &str, &str); 6] = [
    ("210a32010001a2420a4d00640000000000000000", V2, "10.77.0.31", "224.0.0.18"),
    // Two addresses, each 2 s, `auth_pass secret`.
    ("210a320201025a420a4d00640a4d00657365637265740000", V2, "10.77.0.31", "224.0.0.18"),
    ("310a32010019a72f0a4d0064", V3, "10.77.0.31", "224.0.0.18"),
    ("310a320100647c9f0a4d0064", V3, "10.77.0.31", "10.77.0.11"),
    ("310a320200646ff6fe80000000000000000000000000010020010db8000000000000000000000100", V3, "fe80::31", "ff02::12"),
    // The first one of version 3 without the pseudo-header in its checksum, as RFC 9568 wants it.
    ("310a32010019922a0a4d0064", V3, "10.77.0.31", "224.0.0.18"),
];

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn packet(source: &str, destination: &str) -> Packet {
    Packet { source: ip(source), destination: ip(destination), ttl: 255 }
}

fn advert(version: Version, millis: u64, addresses: &[&str]) -> Advert {
    Advert {
        version,
        vrid: 10,
        priority: 50,
        interval: Duration::from_millis(millis),
        addresses: addresses.iter().map(|address| ip(address)).collect(),
        authentication: Authentication::None,
    }
}

fn expected() -> [Advert; 6] {
    let authentication = Authentication::password("secret").unwrap();
    [
        advert(V2, 1_000, &["10.77.0.100"]),
        Advert { authentication, ..advert(V2, 2_000, &["10.77.0.100", "10.77.0.101"]) },
        advert(V3, 250, &["10.77.0.100"]),
        advert(V3, 1_000, &["10.77.0.100"]),
        advert(V3, 1_000, &["fe80::100", "2001:db8::100"]),
        advert(V3, 250, &["10.77.0.100"]),
    ]
}

/// Good adverts of both versions, to be damaged.
fn v2() -> (Vec<u8>, Packet) {
    (bytes(KEEPALIVED[0].0), packet("10.77.0.31", "224.0.0.18"))
}

fn v3() -> (Vec<u8>, Packet) {
    (bytes(KEEPALIVED[2].0), packet("10.77.0.31", "224.0.0.18"))
}

fn decode(bytes: &[u8], packet: Packet, version: Version) -> Result<Advert, AdvertError> {
    Advert::decode(bytes, packet, version, Authentication::None)
}

#[test]
fn what_keepalived_sends_is_read() {
    for ((hex, version, source, destination), expected) in KEEPALIVED.into_iter().zip(expected()) {
        let read = Advert::decode(&bytes(hex), packet(source, destination), version, expected.authentication);
        assert_eq!(read, Ok(expected), "{hex}");
    }
}

/// facts/vrrp.md: keepalived includes the pseudo-header by default, RFC 9568 does not. Accept both, send a configurable
/// one.
#[test]
fn what_we_send_is_what_keepalived_sends() {
    for ((hex, _, source, destination), advert) in KEEPALIVED.into_iter().zip(expected()) {
        let rfc_9568 = hex == KEEPALIVED[5].0;
        assert_eq!(advert.encode(ip(source), ip(destination), !rfc_9568), Ok(bytes(hex)));
    }
    // Version 2 and IPv6 leave no choice.
    for choice in [0, 1, 4] {
        let (hex, _, source, destination) = KEEPALIVED[choice];
        assert_eq!(expected()[choice].encode(ip(source), ip(destination), false), Ok(bytes(hex)));
    }
}

/// facts/vrrp.md: TTL / hop limit 255, checked.
#[test]
fn a_packet_that_was_passed_on_is_refused() {
    for ttl in [0, 1, 64, 254] {
        let (bytes, packet) = v3();
        assert_eq!(decode(&bytes, Packet { ttl, ..packet }, V3), Err(AdvertError::Ttl { ttl }));
    }
}

#[test]
fn each_wrong_byte_is_noticed() {
    for (version, (good, packet)) in [(V2, v2()), (V3, v3())] {
        for at in 0..good.len() {
            let mut bytes = good.clone();
            bytes[at] ^= 0x40;
            assert!(decode(&bytes, packet, version).is_err(), "{version:?} byte {at}");
        }
    }
}

#[test]
fn a_checksum_with_a_pseudo_header_of_other_addresses_is_refused() {
    let (bytes, packet) = v3();
    let other = Packet { source: ip("10.77.0.32"), ..packet };
    assert_eq!(decode(&bytes, other, V3), Err(AdvertError::Checksum));
    let (hex, _, source, destination) = KEEPALIVED[4];
    let (bytes, packet) = (self::bytes(hex), self::packet(source, destination));
    let other = Packet { destination: ip("fe80::11"), ..packet };
    assert_eq!(decode(&bytes, other, V3), Err(AdvertError::Checksum), "IPv6 has no other");
}

#[test]
fn a_packet_of_the_wrong_length_is_refused() {
    for (version, (good, packet)) in [(V2, v2()), (V3, v3())] {
        for length in 0..good.len() {
            let error = decode(&good[..length], packet, version).unwrap_err();
            assert_eq!(error, AdvertError::TooShort { bytes: length }, "{version:?}");
        }
        let longer = |more: usize| [&good[..], &vec![0; more][..]].concat();
        assert_eq!(decode(&longer(3), packet, version), Err(AdvertError::TooLong { bytes: 3 }));
        // facts/vrrp.md: keepalived 2.4 `auth_hmac`: 28-byte HMAC-SHA256 trailer.
        assert_eq!(decode(&longer(28), packet, version), Err(AdvertError::HmacTrailer));
    }
}

#[test]
fn versions_and_types_that_we_do_not_speak_are_refused() {
    let (bytes, packet) = v3();
    assert_eq!(decode(&bytes, packet, V2), Err(AdvertError::Version { version: 3, own: 2 }));
    let with = |first: u8| [&[first], &bytes[1..]].concat();
    assert_eq!(decode(&with(0x41), packet, V3), Err(AdvertError::Version { version: 4, own: 3 }));
    assert_eq!(decode(&with(0x32), packet, V3), Err(AdvertError::Type { kind: 2 }));
    let (hex, _, source, destination) = KEEPALIVED[4];
    let as_v2 = [&[0x21], &self::bytes(hex)[1..]].concat();
    assert_eq!(decode(&as_v2, self::packet(source, destination), V2), Err(AdvertError::Family));
}

#[test]
fn an_advert_without_an_address_is_refused_and_not_made() {
    let none = advert(V3, 1_000, &[]);
    let (source, destination) = (ip("10.77.0.31"), ip("224.0.0.18"));
    assert_eq!(none.encode(source, destination, true), Err(AdvertError::NoAddress));
    let mut bytes = vec![0x31, 10, 50, 0, 0, 100, 0, 0];
    let checksum = !sum(0, &bytes);
    bytes[6..8].copy_from_slice(&checksum.to_be_bytes());
    assert_eq!(decode(&bytes, packet("10.77.0.31", "224.0.0.18"), V3), Err(AdvertError::NoAddress));
}

#[test]
fn an_advert_that_no_field_can_hold_is_not_made() {
    let (source, group) = (ip("10.77.0.31"), ip("224.0.0.18"));
    let many = advert(V3, 1_000, &["10.77.0.100"; 256]);
    assert_eq!(many.encode(source, group, true), Err(AdvertError::TooManyAddresses { count: 256 }));
    let full = advert(V3, 1_000, &["10.77.0.100"; 255]);
    let bytes = full.encode(source, group, true).unwrap();
    assert_eq!(decode(&bytes, packet("10.77.0.31", "224.0.0.18"), V3), Ok(full));
    let mixed = advert(V3, 1_000, &["10.77.0.100", "2001:db8::100"]);
    assert_eq!(mixed.encode(source, group, true), Err(AdvertError::Family));
    let v2_over_v6 = advert(V2, 1_000, &["2001:db8::100"]);
    assert_eq!(v2_over_v6.encode(ip("fe80::1"), ip("ff02::12"), true), Err(AdvertError::Family));
}

#[test]
fn version_2_proves_itself_as_it_is_configured_to() {
    let secret = Authentication::password("secret").unwrap();
    let other = Authentication::password("secrets").unwrap();
    let (hex, _, source, destination) = KEEPALIVED[1];
    let (with_password, packet) = (bytes(hex), packet(source, destination));
    let read = |bytes: &[u8], wanted| Advert::decode(bytes, packet, V2, wanted).map(|advert| advert.authentication);
    assert_eq!(read(&with_password, secret), Ok(secret));
    assert_eq!(read(&with_password, other), Err(AdvertError::Password));
    assert_eq!(read(&with_password, Authentication::None), Err(AdvertError::AuthenticationType { kind: 1 }));
    assert_eq!(read(&v2().0, Authentication::None), Ok(Authentication::None));
    assert_eq!(read(&v2().0, secret), Err(AdvertError::AuthenticationType { kind: 0 }));
}

#[test]
fn a_password_has_one_to_eight_bytes() {
    assert_eq!(Authentication::password(""), None);
    assert_eq!(Authentication::password("123456789"), None);
    assert_eq!(Authentication::password("12345678"), Some(Authentication::Password(*b"12345678")));
    assert_eq!(Authentication::password("ab"), Some(Authentication::Password(*b"ab\0\0\0\0\0\0")));
}

/// facts/vrrp.md: the v3 interval is 12 bits of centiseconds; the four bits before it are reserved and ignored.
#[test]
fn reserved_bits_are_no_part_of_the_interval() {
    let longest = advert(V3, 40_950, &["10.77.0.100"]);
    let (source, destination) = (ip("10.77.0.31"), ip("224.0.0.18"));
    let mut bytes = longest.encode(source, destination, false).unwrap();
    assert_eq!(bytes[4..6], [0x0f, 0xff]);
    bytes[4] |= 0xa0;
    bytes[6..8].fill(0);
    let checksum = !sum(0, &bytes);
    bytes[6..8].copy_from_slice(&checksum.to_be_bytes());
    assert_eq!(decode(&bytes, packet("10.77.0.31", "224.0.0.18"), V3), Ok(longest));
}
