//! Answers passed on, and our own.

use super::*;

#[test]
fn an_answer_has_the_shape_of_the_offer() {
    let answer = "v=0\r
o=- 9 9 IN IP4 192.0.2.50\r
s=call\r
c=IN IP4 192.0.2.50\r
t=0 0\r
m=audio 0 RTP/SAVP 9\r
m=audio 7000 RTP/AVP 8 9 101\r
a=rtpmap:8 PCMA/8000\r
a=rtpmap:9 G722/8000\r
a=rtpmap:101 telephone-event/8000\r
a=fmtp:101 0-15\r
a=candidate:1 1 UDP 1 192.0.2.50 7000 typ host\r
a=ptime:20\r
a=recvonly\r
m=video 0 RTP/AVP 109\r
";
    let expected = "v=0\r
o=tandem 77 1 IN IP4 10.77.0.100\r
s=-\r
c=IN IP4 10.77.0.100\r
t=0 0\r
m=audio 0 RTP/SAVP 9 0 127\r
m=audio 20000 RTP/AVP 8 9 101\r
a=rtpmap:8 PCMA/8000\r
a=rtpmap:9 G722/8000\r
a=rtpmap:101 telephone-event/8000\r
a=fmtp:101 0-15\r
a=ptime:20\r
a=recvonly\r
m=video 0 RTP/AVP 109\r
";
    let answer = answer_from(&parse(POLYCOM), &parse(answer), &local(), &all()).unwrap();
    assert_eq!(text(answer), expected);
}

#[test]
fn an_answer_keeps_the_answerers_numbers_of_what_was_offered() {
    let cases: [(&str, &[&str], &str); 4] = [
        ("111 0", &[], "111=OPUS/48000/2 0=PCMU/8000"),
        ("111 0 9", &["ulaw"], "0=PCMU/8000"),
        // G.722 was not offered.
        ("9 8 100", &[], "8=PCMA/8000 100=telephone-event/8000"),
        // The answerer's order stays, whatever the policy prefers.
        ("0 8", &["alaw", "ulaw"], "0=PCMU/8000 8=PCMA/8000"),
    ];
    for (formats, allowed, expected) in cases {
        let answer = with_lines(&format!(
            "m=audio 4000 RTP/AVP {formats}\r\na=rtpmap:111 OPUS/48000/2\r\na=rtpmap:100 telephone-event/8000\r\n"
        ));
        let answer = answer_from(&parse(BARESIP), &parse(&answer), &local(), &only(allowed)).unwrap();
        assert_eq!(codecs(&audio(&text(answer))), expected, "{formats}");
    }
}

#[test]
fn an_answer_in_nothing_that_was_offered_is_refused() {
    let offer = parse(SIPP);
    for formats in ["9", "101", "0x"] {
        let answer = with_lines(&format!("m=audio 4000 RTP/AVP {formats}\r\na=rtpmap:101 telephone-event/8000\r\n"));
        let refused = answer_from(&offer, &parse(&answer), &local(), &all());
        assert_eq!(refused, Err(SdpError::NoCommonCodec), "{formats}");
    }
    let answer = parse(&with_lines("m=audio 0 RTP/AVP 0\r\n"));
    assert_eq!(answer_from(&offer, &answer, &local(), &all()), Err(SdpError::NoAudio));
    assert_eq!(answer_from(&answer, &offer, &local(), &all()), Err(SdpError::NoAudio));
}

#[test]
fn our_own_answer_takes_the_first_permitted_codec_and_events() {
    let cases: [(&str, &[&str], &str); 4] = [
        (YEALINK, &[], "9=G722/8000 101=telephone-event/8000"),
        (YEALINK, &["alaw", "g722"], "8=PCMA/8000 101=telephone-event/8000"),
        (BARESIP, &["opus"], "96=opus/48000/2 101=telephone-event/8000"),
        (SIPP, &["alaw", "ulaw"], "0=PCMU/8000"),
    ];
    for (offer, allowed, expected) in cases {
        let answer = answer_locally(&parse(offer), &local(), &[], &only(allowed)).unwrap();
        assert_eq!(codecs(&audio(&text(answer))), expected, "{allowed:?}");
    }
    let refused = answer_locally(&parse(SIPP), &local(), &[], &only(&["alaw"]));
    assert_eq!(refused, Err(SdpError::NoCommonCodec));
    let two = with_lines(
        "m=audio 4000 RTP/AVP 96 100 101\r\na=rtpmap:96 opus/48000/2\r
a=rtpmap:100 telephone-event/8000\r\na=rtpmap:101 telephone-event/48000\r\n",
    );
    let answer = answer_locally(&parse(&two), &local(), &[], &all()).unwrap();
    assert_eq!(codecs(&audio(&text(answer))), "96=opus/48000/2 101=telephone-event/48000");
}

#[test]
fn codecs_in_use_stay_with_their_numbers() {
    let in_use = [
        Codec::new(0, "PCMU", 8000),
        Codec { channels: Some(2), ..Codec::new(111, "opus", 48000) },
        Codec::new(110, "telephone-event", 8000),
    ];
    let answer = answer_locally(&parse(BARESIP), &local(), &in_use, &all()).unwrap();
    assert_eq!(codecs(&audio(&text(answer))), "0=PCMU/8000 111=opus/48000/2 110=telephone-event/8000");
    let answer = answer_locally(&parse(YEALINK), &local(), &in_use, &all()).unwrap();
    assert_eq!(codecs(&audio(&text(answer))), "0=PCMU/8000 110=telephone-event/8000");
    // None of them is offered any more.
    let offer = with_lines("m=audio 4000 RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\n");
    let answer = answer_locally(&parse(&offer), &local(), &in_use, &all()).unwrap();
    assert_eq!(codecs(&audio(&text(answer))), "8=PCMA/8000 101=telephone-event/8000");
}

#[test]
fn the_time_line_is_the_offers() {
    let offer = parse(&SIPP.replace("t=0 0", "t=3900000000 3900003600"));
    let answers = [answer_from(&offer, &parse(CISCO), &local(), &all()), answer_locally(&offer, &local(), &[], &all())];
    for answer in answers {
        let answer = text(answer.unwrap());
        assert!(answer.contains("\r\nt=3900000000 3900003600\r\n"), "{answer}");
    }
}

#[test]
fn hold_and_resume_are_mirrored_in_place() {
    let cases = [
        ("a=sendonly\r\n", "a=recvonly"),
        ("c=IN IP4 0.0.0.0\r\n", "a=recvonly"),
        ("a=recvonly\r\n", "a=sendonly"),
        ("a=inactive\r\n", "a=inactive"),
        ("", "a=sendrecv"),
    ];
    for (line, expected) in cases {
        let offer = with_lines(&format!("m=video 5000 RTP/AVP 96\r\nm=audio 4000 RTP/AVP 0\r\na=ptime:30\r\n{line}"));
        let answer = text(answer_locally(&parse(&offer), &local(), &[], &all()).unwrap());
        let media: Vec<&str> = answer.lines().skip(5).collect();
        assert_eq!(
            media,
            ["m=video 0 RTP/AVP 96", "m=audio 20000 RTP/AVP 0", "a=rtpmap:0 PCMU/8000", "a=ptime:30", expected]
        );
    }
}
