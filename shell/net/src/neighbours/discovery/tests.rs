use super::*;

const HARDWARE: [u8; 6] = [2, 0, 0, 0, 0, 9];

fn ip(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

/// The one's complement sum of a sound message with its pseudo-header is all ones, computed another way than above.
fn is_sound(frame: &[u8]) -> bool {
    let message = &frame[54..];
    let mut words: Vec<u64> =
        frame[22..54].chunks(2).map(|pair| u64::from(pair[0]) * 256 + u64::from(pair[1])).collect();
    words.extend([message.len() as u64, 58]);
    words.extend(message.chunks(2).map(|pair| u64::from(pair[0]) * 256 + u64::from(pair[1])));
    words.iter().sum::<u64>() % 0xffff == 0
}

#[test]
fn an_unsolicited_advertisement_is_that_of_rfc_4861() {
    let frame = advertisement(HARDWARE, ip("2001:db8::100"));
    let service = ip("2001:db8::100").octets();
    let mut expected = vec![0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 0x86, 0xdd];
    expected.extend([0x60, 0, 0, 0, 0, 32, 58, 255]);
    expected.extend(service);
    expected.extend(ip("ff02::1").octets());
    expected.extend([136, 0]);
    assert_eq!(frame[..expected.len()], expected);
    let rest = &frame[expected.len() + 2..];
    let mut expected = vec![0x20, 0, 0, 0];
    expected.extend(service);
    expected.extend([2, 1, 2, 0, 0, 0, 0, 9]);
    assert_eq!(rest, expected);
    assert!(is_sound(&frame));
}

#[test]
fn a_solicitation_goes_to_those_whose_address_ends_alike() {
    let frame = solicitation(HARDWARE, ip("2001:db8::100"), ip("2001:db8::1:2a:cdef"));
    assert_eq!(frame[..6], [0x33, 0x33, 0xff, 0x2a, 0xcd, 0xef]);
    assert_eq!(frame[38..54], ip("ff02::1:ff2a:cdef").octets());
    assert_eq!((frame[54], frame[58]), (135, 0));
    assert_eq!(frame[62..78], ip("2001:db8::1:2a:cdef").octets());
    assert_eq!(frame[78..], [1, 1, 2, 0, 0, 0, 0, 9]);
    assert!(is_sound(&frame));
}
