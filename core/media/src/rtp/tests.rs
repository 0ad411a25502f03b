use base::Random;

use super::*;

/// A packet with two contributing sources, an extension of one word, three bytes of payload and four of padding.
const FULL: [u8; 35] = [
    0xb2, 0x88, 0x12, 0x34, 0, 0, 0, 160, 0xca, 0xfe, 0xba, 0xbe, // the fixed header
    0, 0, 0, 1, 0, 0, 0, 2, // contributing sources
    0xbe, 0xde, 0, 1, 9, 9, 9, 9, // extension
    1, 2, 3, 0, 0, 0, 4, // payload and padding
];

#[test]
fn header_is_read_whole() {
    let header = Header::parse(&FULL).unwrap();
    let expected = Header {
        marker: true,
        payload: 8,
        sequence: 0x1234,
        timestamp: 160,
        ssrc: 0xcafe_babe,
        header_bytes: 28,
        padding_bytes: 4,
    };
    assert_eq!(header, expected);
    assert_eq!(header.payload_of(&FULL), [1, 2, 3]);
}

#[test]
fn a_packet_that_is_cut_short_is_none() {
    // Cut anywhere, the last byte is taken for the count of padding; only a cut that leaves a plausible one may pass.
    for length in 0..28 {
        assert_eq!(Header::parse(&FULL[..length]), None, "{length} bytes");
    }
    let plain = [&[0x80u8, 0][..], &[0; 10]].concat();
    assert!(Header::parse(&plain).is_some());
    assert!(Header::parse(&plain[..11]).is_none());
}

#[test]
fn other_versions_and_padding_beyond_the_packet_are_none() {
    for version in [0u8, 1, 3] {
        let mut packet = FULL;
        packet[0] = packet[0] & 0x3f | version << 6;
        assert_eq!(Header::parse(&packet), None, "version {version}");
    }
    for (padding, is_valid) in [(0, true), (7, true), (8, false), (255, false)] {
        let mut packet = FULL;
        packet[34] = padding;
        assert_eq!(Header::parse(&packet).is_some(), is_valid, "padding {padding}");
    }
}

#[test]
fn ssrc_is_replaced_and_nothing_else() {
    let mut packet = FULL;
    set_ssrc(&mut packet, 0x0102_0304);
    assert_eq!(packet[8..12], [1, 2, 3, 4]);
    assert_eq!(packet[..8], FULL[..8]);
    assert_eq!(packet[12..], FULL[12..]);
    let mut short = [0x80; 11];
    set_ssrc(&mut short, 5);
    assert_eq!(short, [0x80; 11]);
}

#[test]
fn rtcp_is_told_from_rtp() {
    let cases: [(&[u8], bool); 9] = [
        (&[0x80, 201, 0, 1, 1, 2, 3, 4], true),  // receiver report
        (&[0x81, 203, 0, 1, 1, 2, 3, 4], true),  // goodbye
        (&[0x80, 203, 0, 0], true),              // goodbye of nobody
        (&[0x80, 201, 0, 2, 1, 2, 3, 4], false), // longer than the packet
        (&[0x40, 201, 0, 1, 1, 2, 3, 4], false), // another version
        (&[0x80, 191, 0, 1, 1, 2, 3, 4], false),
        (&[0x80, 224, 0, 1, 1, 2, 3, 4], false),
        (&[0x80, 0x80, 0, 1, 1, 2, 3, 4, 0, 0, 0, 0], false), // RTP with its marker set
        (&[0x80, 201, 0], false),
    ];
    for (packet, expected) in cases {
        assert_eq!(is_rtcp(packet), expected, "{packet:?}");
    }
}

#[test]
fn telephone_events_are_read() {
    let event = TelephoneEvent::parse(&[11, 0x8a, 0x03, 0x20]).unwrap();
    assert_eq!(event, TelephoneEvent { event: 11, end: true, volume: 10, duration: 800 });
    assert_eq!(event.key(), Some('#'));
    assert_eq!(TelephoneEvent::parse(&[0, 0, 0, 0]).unwrap().key(), Some('0'));
    assert_eq!(TelephoneEvent::parse(&[15, 0, 0, 0]).unwrap().key(), Some('D'));
    assert_eq!(TelephoneEvent::parse(&[16, 0, 0, 0]).unwrap().key(), None);
    assert_eq!(TelephoneEvent::parse(&[1, 2, 3]), None);
}

#[test]
fn no_bytes_make_a_header_longer_than_its_packet() {
    let mut random = Random::from_number(1);
    let mut valid = 0;
    for _ in 0..20_000 {
        let mut packet = random.bytes::<40>();
        packet[0] = packet[0] & 0x3f | 0x80;
        // Small extensions, or hardly any packet would be valid.
        for byte in packet.iter_mut().skip(12).step_by(2) {
            *byte &= 1;
        }
        let packet = &packet[..random.below(41) as usize];
        is_rtcp(packet);
        if let Some(header) = Header::parse(packet) {
            valid += 1;
            assert_eq!(header.header_bytes + header.padding_bytes + header.payload_of(packet).len(), packet.len());
        }
    }
    assert!(valid > 1000, "only {valid} packets were valid");
}
