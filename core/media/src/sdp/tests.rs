use base::Random;

use super::*;

mod answers;
mod offers;
mod samples;

use samples::*;

fn parse(text: &str) -> Description {
    Description::parse(text.as_bytes()).unwrap()
}

fn audio(text: &str) -> Audio {
    parse(text).audio().unwrap()
}

fn local() -> LocalMedia {
    LocalMedia::new("10.77.0.100".parse().unwrap(), 20_000, 77, 1)
}

fn all() -> CodecPolicy {
    CodecPolicy::default()
}

fn only(allowed: &[&str]) -> CodecPolicy {
    CodecPolicy { allowed: allowed.iter().map(|name| name.to_string()).collect() }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// `0=PCMU/8000 101=telephone-event/8000`: what a description says of its codecs, short enough for a table.
fn codecs(audio: &Audio) -> String {
    let each = audio.codecs.iter().map(|codec| {
        let channels = codec.channels.map(|channels| format!("/{channels}")).unwrap_or_default();
        format!("{}={}/{}{channels}", codec.payload, codec.name, codec.clock_hz)
    });
    each.collect::<Vec<_>>().join(" ")
}

fn with_lines(lines: &str) -> String {
    format!("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n{lines}")
}

#[test]
fn audio_of_real_phones_is_read() {
    let cases = [
        (
            YEALINK,
            "192.168.1.21:11780",
            "9=G722/8000 0=PCMU/8000 8=PCMA/8000 18=G729/8000 101=telephone-event/8000",
            Some(20),
        ),
        (
            POLYCOM,
            "172.18.0.5:2226",
            "9=G722/8000 102=G7221/16000 0=PCMU/8000 8=PCMA/8000 127=telephone-event/8000",
            None,
        ),
        (BARESIP, "10.77.0.21:4102", "96=opus/48000/2 0=PCMU/8000 8=PCMA/8000 101=telephone-event/8000", Some(20)),
        (SIPP, "127.0.1.1:6000", "0=PCMU/8000", None),
        (CISCO, "10.1.2.3:16602", "0=PCMU/8000 8=PCMA/8000 18=G729/8000 101=telephone-event/8000", None),
    ];
    for (text, rtp, expected, ptime_ms) in cases {
        let audio = audio(text);
        assert_eq!(audio.rtp.to_string(), rtp);
        assert_eq!(codecs(&audio), expected);
        assert_eq!(audio.ptime_ms, ptime_ms);
        assert_eq!(audio.direction, Direction::SendRecv);
    }
}

#[test]
fn rtcp_is_where_rfc_3605_says() {
    let cases = [
        ("", "192.0.2.1:4001"),
        ("a=rtcp:53020\r\n", "192.0.2.1:53020"),
        ("a=rtcp:53020 IN IP4 192.0.2.77\r\n", "192.0.2.77:53020"),
        ("a=rtcp:53020 IN IP6 2001:db8::7\r\n", "[2001:db8::7]:53020"),
        ("a=rtcp:53020 IN IP4 224.0.0.1\r\n", "192.0.2.1:4001"),
        ("a=rtcp:99999\r\n", "192.0.2.1:4001"),
        ("a=rtcp\r\n", "192.0.2.1:4001"),
    ];
    for (line, rtcp) in cases {
        let audio = audio(&with_lines(&format!("m=audio 4000 RTP/AVP 0\r\n{line}")));
        assert_eq!(audio.rtcp.to_string(), rtcp, "{line}");
    }
    let last = audio(&with_lines("m=audio 65535 RTP/AVP 0\r\n"));
    assert_eq!(last.rtcp.port(), 0, "there is no port above the last one");
}

#[test]
fn connection_and_direction_are_those_of_the_line_or_the_session() {
    use Direction::*;
    let cases = [
        ("m=audio 4000 RTP/AVP 0\r\n", "192.0.2.1", SendRecv),
        ("m=audio 4000 RTP/AVP 0\r\nc=IN IP4 192.0.2.9\r\n", "192.0.2.9", SendRecv),
        ("m=audio 4000 RTP/AVP 0\r\nc=IN IP6 2001:db8::9\r\n", "2001:db8::9", SendRecv),
        ("m=audio 4000 RTP/AVP 0\r\na=sendonly\r\n", "192.0.2.1", SendOnly),
        ("m=audio 4000 RTP/AVP 0\r\na=RecvOnly\r\n", "192.0.2.1", RecvOnly),
        ("a=inactive\r\nm=audio 4000 RTP/AVP 0\r\n", "192.0.2.1", Inactive),
        ("a=inactive\r\nm=audio 4000 RTP/AVP 0\r\na=sendrecv\r\n", "192.0.2.1", SendRecv),
        // The hold of RFC 2543.
        ("m=audio 4000 RTP/AVP 0\r\nc=IN IP4 0.0.0.0\r\n", "0.0.0.0", SendOnly),
        ("m=audio 4000 RTP/AVP 0\r\nc=IN IP4 0.0.0.0\r\na=recvonly\r\n", "0.0.0.0", Inactive),
        ("m=audio 4000 RTP/AVP 0\r\nc=IN IP4 0.0.0.0\r\na=sendonly\r\n", "0.0.0.0", SendOnly),
        ("m=audio 4000 RTP/AVP 0\r\nc=IN IP6 ::\r\n", "::", SendOnly),
    ];
    for (lines, host, direction) in cases {
        let audio = audio(&with_lines(lines));
        assert_eq!((audio.rtp.ip().to_string().as_str(), audio.direction), (host, direction), "{lines}");
    }
    assert_eq!(
        [SendRecv, SendOnly, RecvOnly, Inactive].map(Direction::answer),
        [SendRecv, RecvOnly, SendOnly, Inactive]
    );
}

#[test]
fn the_first_active_audio_line_counts() {
    let cases = [
        ("m=video 5000 RTP/AVP 96\r\nm=audio 4000 RTP/AVP 0\r\n", Some(4000)),
        ("m=audio 0 RTP/AVP 0\r\nm=audio 4002 RTP/AVP 0\r\n", Some(4002)),
        ("m=audio 4000 RTP/AVPF 0\r\nm=audio 4002 RTP/AVP 0\r\n", Some(4000)),
        ("m=audio 4004 RTP/SAVP 0\r\nm=audio 4002 RTP/AVP 0\r\n", Some(4002)),
        ("m=audio 4000 udptl t38\r\n", None),
        ("m=audio 0 RTP/AVP 0\r\n", None),
        ("m=audio 0 RTP/SAVP 0\r\n", None),
        ("m=video 5000 RTP/AVP 96\r\n", None),
        ("", None),
    ];
    for (lines, port) in cases {
        let description = parse(&with_lines(lines));
        assert_eq!(description.audio().map(|audio| audio.rtp.port()), port, "{lines}");
    }
}

#[test]
fn codec_lines_are_read_as_phones_write_them() {
    let cases = [
        ("0 8 18", "", "0=PCMU/8000 8=PCMA/8000 18=G729/8000"),
        ("0 0 8", "", "0=PCMU/8000 8=PCMA/8000"),
        ("0  8", "", "0=PCMU/8000 8=PCMA/8000"),
        ("96", "a=rtpmap:96 opus/48000/2\r\n", "96=opus/48000/2"),
        ("96", "a=rtpmap: 96  opus/48000/2 \r\n", "96=opus/48000/2"),
        ("96 0", "a=rtpmap:96 nonsense\r\n", "0=PCMU/8000"),
        ("0", "a=rtpmap:0 pcmu/8000/1\r\n", "0=pcmu/8000/1"),
        ("0 128 999 x", "", "0=PCMU/8000"),
        ("96 97 0", "", "0=PCMU/8000"),
    ];
    for (formats, lines, expected) in cases {
        let audio = audio(&with_lines(&format!("m=audio 4000 RTP/AVP {formats}\r\n{lines}")));
        assert_eq!(codecs(&audio), expected, "{formats} {lines}");
    }
    let opus = audio(BARESIP).codecs.remove(0);
    assert_eq!(opus.fmtp.as_deref(), Some("stereo=1;sprop-stereo=1"));
}

#[test]
fn what_cannot_be_used_is_refused_with_its_reason() {
    let long = with_lines(&"a=x\r\n".repeat(DESCRIPTION_BYTES_MAX / 5));
    let many = with_lines(&"m=audio 4000 RTP/AVP 0\r\n".repeat(MEDIA_MAX + 1));
    let cases = [
        (long.clone(), SdpError::TooLong { bytes: long.len() }),
        (many, SdpError::TooManyMedia { lines: MEDIA_MAX + 1 }),
        (String::new(), SdpError::Parse(sdp_types::ParserError::NoVersion)),
        (with_lines("m=audio 4000 RTP/SAVP 0\r\n"), SdpError::Secure { protocol: "RTP/SAVP".into() }),
        (with_lines("m=audio 4000 UDP/TLS/RTP/SAVPF 0\r\n"), SdpError::Secure { protocol: "UDP/TLS/RTP/SAVPF".into() }),
        (
            with_lines("m=audio 4000 RTP/AVP 0\r\nc=IN IP4 phone.example.com\r\n"),
            SdpError::HostName { name: "phone.example.com".into() },
        ),
        (
            with_lines("m=audio 4000 RTP/AVP 0\r\nc=IN IP4 224.2.1.1/127\r\n"),
            SdpError::NotUnicast { address: "224.2.1.1".parse().unwrap() },
        ),
        (
            with_lines("m=audio 4000 RTP/AVP 0\r\nc=IN IP4 255.255.255.255\r\n"),
            SdpError::NotUnicast { address: "255.255.255.255".parse().unwrap() },
        ),
        ("v=0\r\ns=-\r\nm=audio 4000 RTP/AVP 0\r\n".into(), SdpError::NoConnection),
    ];
    for (text, expected) in cases {
        assert_eq!(Description::parse(text.as_bytes()), Err(expected));
    }
    assert!(matches!(
        Description::parse(with_lines("m=audio 70000 RTP/AVP 0\r\n").as_bytes()),
        Err(SdpError::Parse(_))
    ));
}

#[test]
fn slips_of_phones_are_forgiven() {
    let sloppy: [&[u8]; 5] = [
        b"v=0\no=- 1 1 IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\nm=audio 4000 RTP/AVP 0\n",
        b"v=0\r\no=- 1 99999999999999999999999 IN IP4 192.0.2.1\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 0\r\n",
        b"v=0\r\no=Snom One 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1 \r\nm=audio 4000 RTP/AVP 0 \r\n\r\n",
        b"v=0\r\ns=B\xfcro\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000  RTP/AVP 0\r\n\0",
        b"v=0\r\nc=IN IP4 192.0.2.1\r\n\r\nm=Audio 4000 rtp/avp 0",
    ];
    for bytes in sloppy {
        let context = String::from_utf8_lossy(bytes);
        let description = Description::parse(bytes).unwrap_or_else(|error| panic!("{error:?}: {context}"));
        assert_eq!(description.audio().unwrap().rtp.to_string(), "192.0.2.1:4000", "{context}");
        assert!(description.offer_from(&local(), &all()).is_ok(), "{context}");
    }
}

#[test]
fn encodings_are_golden() {
    let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let audio = Audio {
        rtp: "192.0.2.1:4000".parse().unwrap(),
        rtcp: "192.0.2.1:4001".parse().unwrap(),
        direction: Direction::SendOnly,
        codecs: vec![Codec { fmtp: Some("x".into()), channels: Some(2), ..Codec::new(96, "opus", 48000) }],
        ptime_ms: Some(20),
    };
    let bytes = minicbor::to_vec(&audio).unwrap();
    assert_eq!(minicbor::decode::<Audio>(&bytes).unwrap(), audio);
    assert_eq!(hex(bytes), "8546c00002010fa046c00002010fa10181851860646f70757319bb8002617814");
    let bytes = minicbor::to_vec(local()).unwrap();
    assert_eq!(minicbor::decode::<LocalMedia>(&bytes).unwrap(), local());
    assert_eq!(hex(bytes), "85440a4d0064194e20184d016674616e64656d");
    let bytes = minicbor::to_vec(only(&["ulaw"])).unwrap();
    assert_eq!(minicbor::decode::<CodecPolicy>(&bytes).unwrap(), only(&["ulaw"]));
    assert_eq!(hex(bytes), "818164756c6177");
    let description = parse(SIPP);
    let bytes = minicbor::to_vec(&description).unwrap();
    assert_eq!(minicbor::decode::<Description>(&bytes).unwrap(), description);
    assert_eq!(bytes[bytes.len() - SIPP.len()..], *SIPP.as_bytes());
    assert!(minicbor::decode::<Description>(b"\x43v=1").is_err());
}

/// Whatever bytes come: nothing panics, and what is written about them is a description of ours.
#[test]
fn mutated_descriptions_never_break_it() {
    const PIECES: [&str; 16] = [
        "\r\n",
        "a=rtcp:1 IN IP4",
        "m=audio 9 RTP/AVP 0\r\n",
        "c=IN IP4 0.0.0.0\r\n",
        "0 8 101",
        "a=rtpmap:0",
        "/",
        ":",
        " ",
        "-1",
        "99999999999",
        "\0",
        "a=fmtp:101",
        "a=sendonly\r\n",
        "é",
        "t=1 2\r\nr=1d 1h 0\r\n",
    ];
    let mut random = Random::from_number(11);
    let originals = [YEALINK, POLYCOM, BARESIP, SIPP, CISCO];
    let other = parse(BARESIP);
    let mut parsed = 0;
    for _ in 0..6_000 {
        let mut bytes = originals[random.below(originals.len() as u64) as usize].as_bytes().to_vec();
        for _ in 0..=random.below(4) {
            let place = random.below(bytes.len() as u64 + 1) as usize;
            match random.below(4) {
                0 => bytes.truncate(place),
                1 => {
                    let end = bytes.len().min(place + random.below(9) as usize);
                    bytes.drain(place..end);
                }
                2 => bytes.insert(place, random.number() as u8),
                _ => {
                    let piece = PIECES[random.below(PIECES.len() as u64) as usize];
                    bytes.splice(place..place, piece.bytes());
                }
            }
        }
        let Ok(description) = Description::parse(&bytes) else { continue };
        parsed += 1;
        let lines = description.session.medias.len();
        let written = [
            description.offer_from(&local(), &all()),
            description.offer_from(&local(), &only(&["alaw", "ulaw"])),
            answer_from(&description, &other, &local(), &all()),
            answer_locally(&description, &local(), &default_codecs(), &all()),
        ];
        for written in written.into_iter().flatten() {
            let ours = Description::parse(&written).unwrap();
            let audio = ours.audio().unwrap();
            assert_eq!(audio.rtp, SocketAddr::new(local().address, local().rtp_port));
            assert_eq!(ours.session.medias.len(), lines);
        }
        answer_from(&other, &description, &local(), &all()).ok();
    }
    assert!(parsed > 1_000, "only {parsed} of them could be parsed");
}
