//! Session descriptions, RTP and RTCP, and packets that come to a relay.

use base::{LocalTime, Random};
use fuzz::{Outcome, Target};
use media::rtp::{Header, TelephoneEvent, is_rtcp, set_ssrc};
use media::{
    CodecPolicy, Description, LocalMedia, Port, Relay, Remote, answer_from, answer_locally, default_codecs,
    generate_offer, sdp,
};

use crate::phone::SDP;

const PIECES: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"m=audio ",
    b"m=video 0 RTP/AVP 31\r\n",
    b"c=IN IP4 ",
    b"c=IN IP6 ::1\r\n",
    b"a=rtpmap:",
    b"a=fmtp:",
    b"a=rtcp:",
    b"a=rtcp-mux\r\n",
    b"a=sendonly\r\n",
    b"a=inactive\r\n",
    b"a=ptime:",
    b"0.0.0.0",
    b"224.0.0.1",
    b"host.example",
    b"RTP/SAVP",
    b"RTP/AVP ",
    b" 0 8 101",
    b"/",
    b" ",
    b":",
    b"v=0\r\n",
    b"t=0 0\r\n",
    b"s=\r\n",
    b"o=- 1 1 IN IP4 1.2.3.4\r\n",
    b"z=",
    b"r=",
    b"k=clear:x\r\n",
    b"b=AS:",
    b"\0",
    b"\xff",
];

#[test]
fn media_sdp() {
    let video =
        format!("{SDP}m=video 11800 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 profile-level-id=42e01f\r\n");
    let ipv6 = SDP
        .replace("IP4 10.77.0.21", "IP6 2001:db8::21")
        .replace("a=sendrecv", "a=rtcp:53020 IN IP6 2001:db8::7\r\na=sendonly");
    let secure = SDP.replace("RTP/AVP", "RTP/SAVP");
    let ours = String::from_utf8(generate_offer(&local(), &default_codecs(), sdp::Direction::SendRecv)).expect("text");
    let offer = Description::parse(SDP.as_bytes()).expect("a description");
    let policy = CodecPolicy::default();
    Target::new("media_sdp", [SDP.to_owned(), video, ipv6, secure, ours]).pieces(PIECES).allocates(120, 32_768).run(
        |input| {
            let parsed = Description::parse(input);
            if let Ok(description) = &parsed {
                let audio = description.audio();
                let written = [
                    description.offer_from(&local(), &policy),
                    answer_from(&offer, description, &local(), &policy),
                    answer_from(description, &offer, &local(), &policy),
                    answer_locally(description, &local(), &[], &policy),
                ];
                for bytes in written.into_iter().flatten() {
                    let again = Description::parse(&bytes).expect("what we write can be read");
                    assert!(bytes.len() < 2 * input.len() + 4_096 && again.as_bytes() == bytes);
                }
                let encoded = minicbor::to_vec(description).expect("encoded");
                let decoded: Description = minicbor::decode(&encoded).expect("decoded");
                assert_eq!((decoded.as_bytes(), decoded.audio()), (description.as_bytes(), audio));
            }
            Outcome::of(&parsed)
        },
    );
}

fn local() -> LocalMedia {
    LocalMedia::new([10, 77, 0, 100].into(), 20_000, 77, 1)
}

fn rtp_corpus() -> Vec<Vec<u8>> {
    let mut plain = vec![0x80, 0x00, 0, 1, 0, 0, 0, 160, 1, 2, 3, 4];
    plain.extend([0xd5; 160]);
    let mut extended =
        vec![0xb2, 0xe5, 0, 2, 0, 0, 0, 0, 9, 9, 9, 9, 0, 0, 0, 1, 0, 0, 0, 2, 0xbe, 0xde, 0, 1, 0, 0, 0, 0];
    extended.extend([10, 0x8a, 3, 32, 0, 0, 0, 4]);
    let report =
        vec![0x81, 201, 0, 7, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    vec![plain, extended, report, vec![0x80, 200, 0, 0], vec![0x16, 0xfe, 0xfd]]
}

#[test]
fn media_rtp() {
    Target::new("media_rtp", rtp_corpus()).at_most(2_048).allocates(0, 2_048).run(|input| {
        let _ = is_rtcp(input);
        let mut packet = input.to_vec();
        set_ssrc(&mut packet, 7);
        assert_eq!(packet.len(), input.len());
        let Some(header) = Header::parse(input) else { return Outcome::Refused };
        let payload = header.payload_of(input);
        assert_eq!(header.header_bytes + payload.len() + header.padding_bytes, input.len());
        assert_eq!(Header::parse(&packet).map(|header| header.ssrc), Some(7));
        let _ = TelephoneEvent::parse(payload).map(|event| event.key());
        Outcome::Taken
    });
}

/// Packets come to any of the ports from any of some addresses; the first bytes of the input say which.
#[test]
fn media_relay() {
    let mut random = Random::from_number(1);
    let mut relay = Relay::new();
    let remote =
        |number: u16| Remote { rtp: ([10, 77, 0, 21], number).into(), rtcp: ([10, 77, 0, 21], number + 1).into() };
    for (port, forward_to, symmetric) in [(20_000, 20_002, true), (20_002, 20_000, true), (20_004, 20_004, false)] {
        let echo_ssrc = (port == forward_to).then_some(9);
        let forward_to = Some(forward_to);
        relay.open(Port { port, remote: Some(remote(4_000)), symmetric, forward_to, echo_ssrc, local: None });
    }
    let mut now = LocalTime::from_millis(1_000);
    let corpus = rtp_corpus()
        .into_iter()
        .flat_map(|packet| (0..6).map(move |place| [vec![place, place, 0, 30], packet.clone()].concat()));
    Target::new("media_relay", corpus).at_most(2_048).allocates(2, 4_096).takes_anything().run(|input| {
        let Some((head, packet)) = input.split_first_chunk::<4>() else { return Outcome::Refused };
        now += std::time::Duration::from_millis(u64::from(head[3]));
        let source = ([10, 77, 0, 21 + head[1] % 3], 4_000 + u16::from(head[2] % 4)).into();
        let local_port = 20_000 + u16::from(head[0] % 8);
        let mut bytes = packet.to_vec();
        let forward = relay.handle(now, local_port, source, &mut bytes);
        assert_eq!(bytes.len(), packet.len());
        if let Some(forward) = forward {
            assert!(relay.is_open(forward.local_port), "it leaves by a port of ours");
            assert_eq!(forward.local_port % 2, local_port % 2, "RTP stays RTP and RTCP stays RTCP");
            assert!(!forward.destination.ip().is_unspecified() && forward.destination.port() != 0);
            let untouched = bytes == packet;
            assert!(untouched || local_port == 20_004, "packets are passed on untouched, but for Echo's SSRC");
        }
        if random.one_in(16) {
            let _ = relay.learned();
        }
        Outcome::from(forward.is_some())
    });
}
