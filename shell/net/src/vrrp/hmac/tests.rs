use super::*;

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// Version 3, virtual router 10, priority 150, one address.
const ADVERT: [u8; 12] = [0x31, 10, 150, 1, 0, 100, 0x12, 0x34, 10, 77, 0, 100];

const SECOND_US: u64 = 1_000_000;
const NOW: WallTime = WallTime(1_700_000_000 * SECOND_US + 500_000);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn authenticator(key: &str, id: u8) -> Authenticator {
    Authenticator::new(HmacKey::parse(id, key).unwrap(), Duration::from_secs(1))
}

fn later(seconds: u64) -> WallTime {
    WallTime(NOW.as_micros() + seconds * SECOND_US)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Computed with Python's hmac module by the layout above.
#[test]
fn the_trailer_is_golden() {
    let sealed = authenticator(KEY, 7).seal(NOW, ip("10.77.0.11"), &ADVERT);
    assert_eq!(sealed[..12], ADVERT);
    assert_eq!(hex(&sealed[12..24]), "010700006553f10080000000");
    assert_eq!(hex(&sealed[24..]), "e6827f2027bad2cf6393b02fa7de9427");
    let advert = [&ADVERT[..8], &ip6("fe80::11")].concat();
    let sealed = authenticator(KEY, 7).seal(NOW, ip("fe80::11"), &advert);
    assert_eq!(hex(&sealed[36..]), "fadef5a3a79cb8421d0e623adbc81e1f");
}

fn ip6(text: &str) -> [u8; 16] {
    text.parse::<std::net::Ipv6Addr>().unwrap().octets()
}

/// facts/vrrp.md: keepalived 2.4 `auth_hmac`: 28-byte HMAC-SHA256 trailer with a replay window, not together with the
/// legacy PASS authentication.
#[test]
fn what_one_seals_the_other_opens() {
    for (source, advert) in [
        ("10.77.0.11", ADVERT.to_vec()),
        ("10.77.0.11", [&[0x21], &ADVERT[1..], &[0; 8]].concat()),
        ("fe80::11", [&ADVERT[..8], &ip6("2001:db8::100")].concat()),
    ] {
        let (mut one, mut other) = (authenticator(KEY, 7), authenticator(KEY, 7));
        for _ in 0..3 {
            let sealed = one.seal(NOW, ip(source), &advert);
            assert_eq!(sealed.len(), advert.len() + TRAILER_BYTES);
            assert_eq!(other.open(NOW, ip(source), &sealed), Ok(&advert[..]));
        }
    }
}

#[test]
fn wrong_ones_are_refused_each_for_its_reason() {
    let source = ip("10.77.0.11");
    let sealed = authenticator(KEY, 7).seal(NOW, source, &ADVERT);
    let open = |wall, source, bytes: &[u8]| authenticator(KEY, 7).open(wall, source, bytes).map(<[u8]>::to_vec);
    assert_eq!(open(NOW, source, &ADVERT), Err(HmacError::Absent));
    assert_eq!(open(NOW, source, &[]), Err(HmacError::Absent));
    assert_eq!(open(NOW, source, &sealed[..sealed.len() - 1]), Err(HmacError::Kind));
    assert_eq!(open(NOW, source, &[&sealed[..], &[0]].concat()), Err(HmacError::Kind));
    assert_eq!(open(NOW, ip("10.77.0.12"), &sealed), Err(HmacError::Hmac), "of another sender");
    let other_key = KEY.replace("00", "ff");
    assert_eq!(authenticator(&other_key, 7).open(NOW, source, &sealed), Err(HmacError::Hmac));
    assert_eq!(authenticator(KEY, 8).open(NOW, source, &sealed), Err(HmacError::KeyId { id: 7, own: 8 }));
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert!(open(NOW, source, &changed).is_err(), "byte {at}");
    }
}

#[test]
fn old_ones_are_refused() {
    let source = ip("10.77.0.11");
    let (mut one, mut other) = (authenticator(KEY, 7), authenticator(KEY, 7));
    let first = one.seal(NOW, source, &ADVERT);
    let second = one.seal(NOW, source, &ADVERT);
    assert!(first < second, "the number grows though the clock does not");
    assert!(other.open(NOW, source, &second).is_ok());
    assert_eq!(other.open(NOW, source, &second), Err(HmacError::Replayed));
    assert_eq!(other.open(NOW, source, &first), Err(HmacError::Replayed));
    let stale = Err(HmacError::Stale { window: Duration::from_secs(5) });
    assert_eq!(authenticator(KEY, 7).open(later(6), source, &first), stale);
    let ahead = one.seal(later(6), source, &ADVERT);
    assert_eq!(authenticator(KEY, 7).open(NOW, source, &ahead), stale);
    assert!(other.open(later(5), source, &ahead).is_ok());
    // A clock that was set back goes on from where it was.
    let back = one.seal(NOW, source, &ADVERT);
    assert!(other.open(later(5), source, &back).is_ok());
}

#[test]
fn the_window_follows_the_interval() {
    let mut slow = Authenticator::new(HmacKey::parse(7, KEY).unwrap(), Duration::from_secs(10));
    let sealed = authenticator(KEY, 7).seal(NOW, ip("10.77.0.11"), &ADVERT);
    assert!(slow.open(later(30), ip("10.77.0.11"), &sealed).is_ok());
}

#[test]
fn many_senders_do_not_fill_the_memory() {
    let mut other = authenticator(KEY, 7);
    for number in 0..100_u8 {
        let source = IpAddr::from([10, 77, 1, number]);
        let sealed = authenticator(KEY, 7).seal(NOW, source, &ADVERT);
        assert!(other.open(NOW, source, &sealed).is_ok());
    }
    assert_eq!(other.heard.len(), SENDERS_MAX);
}

#[test]
fn keys_are_hexadecimal_and_long_enough() {
    assert!(HmacKey::parse(1, &format!(" {KEY}\n")).is_ok());
    assert!(HmacKey::parse(1, &"0f".repeat(64)).is_ok());
    for bad in ["", "00", &KEY[1..], &KEY.replace("00", "0g"), &"0f".repeat(65), &KEY.replace("00", "+0")] {
        assert_eq!(HmacKey::parse(1, bad), Err(HmacKeyError), "{bad}");
    }
    assert!(!format!("{:?}", HmacKey::parse(1, KEY).unwrap()).contains("31"));
}
