//! Offers passed on, and our own.

use super::*;

fn passed_on(offer: &str, policy: &CodecPolicy) -> String {
    text(parse(offer).offer_from(&local(), policy).unwrap())
}

#[test]
fn an_offer_is_the_same_but_for_us() {
    let expected = "v=0\r
o=tandem 77 1 IN IP4 10.77.0.100\r
s=SDP data\r
c=IN IP4 10.77.0.100\r
t=0 0\r
m=audio 20000 RTP/AVP 9 0 8 18 101\r
a=rtpmap:9 G722/8000\r
a=rtpmap:0 PCMU/8000\r
a=rtpmap:8 PCMA/8000\r
a=rtpmap:18 G729/8000\r
a=fmtp:18 annexb=no\r
a=rtpmap:101 telephone-event/8000\r
a=fmtp:101 0-15\r
a=ptime:20\r
a=sendrecv\r
";
    assert_eq!(passed_on(YEALINK, &all()), expected);
}

#[test]
fn the_transport_of_the_phone_stays_behind() {
    let expected = "v=0\r
o=tandem 77 1 IN IP4 10.77.0.100\r
s=-\r
c=IN IP4 10.77.0.100\r
t=0 0\r
a=tool:baresip 1.0.0\r
m=audio 20000 RTP/AVPF 8 101\r
a=rtpmap:8 PCMA/8000\r
a=rtpmap:101 telephone-event/8000\r
a=fmtp:101 0-15\r
a=rtcp-fb:* ccm\r
a=label:1\r
a=ptime:20\r
a=sendrecv\r
";
    assert_eq!(passed_on(BARESIP, &only(&["alaw"])), expected);
}

#[test]
fn every_media_line_keeps_its_place() {
    let offer = passed_on(POLYCOM, &all());
    let lines: Vec<&str> = offer.lines().filter(|line| line.starts_with("m=")).collect();
    assert_eq!(lines, ["m=audio 0 RTP/SAVP 9 0 127", "m=audio 20000 RTP/AVP 9 102 0 8 127", "m=video 0 RTP/AVP 109"]);
    for gone in ["172.18.0.5", "crypto", "2226", "H264"] {
        assert!(!offer.contains(gone), "{gone} is still in {offer}");
    }
}

#[test]
fn the_policy_filters_and_orders() {
    let cases: [(&[&str], &str); 6] = [
        (&[], "9=G722/8000 0=PCMU/8000 8=PCMA/8000 18=G729/8000 101=telephone-event/8000"),
        (&["alaw", "ulaw"], "8=PCMA/8000 0=PCMU/8000 101=telephone-event/8000"),
        (&["PCMA", "pcmu"], "8=PCMA/8000 0=PCMU/8000 101=telephone-event/8000"),
        (&["opus", "g729", "g722"], "18=G729/8000 9=G722/8000 101=telephone-event/8000"),
        (&["telephone-event", "ulaw"], "0=PCMU/8000 101=telephone-event/8000"),
        (&["ulaw"], "0=PCMU/8000 101=telephone-event/8000"),
    ];
    for (allowed, expected) in cases {
        assert_eq!(codecs(&audio(&passed_on(YEALINK, &only(allowed)))), expected, "{allowed:?}");
    }
    let refused = parse(YEALINK).offer_from(&local(), &only(&["gsm"]));
    assert_eq!(refused, Err(SdpError::NoCommonCodec));
    let silent = parse(&with_lines("m=audio 4000 RTP/AVP 13 101\r\na=rtpmap:101 telephone-event/8000\r\n"));
    assert_eq!(silent.offer_from(&local(), &all()), Err(SdpError::NoCommonCodec));
    let video = parse(&with_lines("m=video 4000 RTP/AVP 96\r\n"));
    assert_eq!(video.offer_from(&local(), &all()), Err(SdpError::NoAudio));
}

#[test]
fn holds_are_passed_on_in_the_new_style() {
    let cases = [
        ("m=audio 4000 RTP/AVP 0\r\nc=IN IP4 0.0.0.0\r\n", "a=sendonly"),
        ("a=inactive\r\nm=audio 4000 RTP/AVP 0\r\n", "a=inactive"),
        ("a=recvonly\r\nm=audio 4000 RTP/AVP 0\r\na=sendonly\r\n", "a=sendonly"),
    ];
    for (lines, expected) in cases {
        let offer = passed_on(&with_lines(lines), &all());
        let directions: Vec<&str> =
            offer.lines().filter(|line| line.ends_with("only") || line.ends_with("active")).collect();
        assert_eq!(directions, [expected]);
        assert!(!offer.contains("0.0.0.0") && !offer.contains("192.0.2.1"), "{offer}");
    }
}

#[test]
fn keys_stay_behind_and_lines_about_the_call_pass() {
    let offer = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=call\r\ni=about\r\nc=IN IP4 192.0.2.1\r\nb=AS:80\r
t=0 0\r\nk=clear:secret\r\na=X-call:7\r\nm=audio 4000/2 RTP/AVP 0\r
b=TIAS:64000\r\nk=clear:secret\r\na=maxptime:40\r\n";
    let expected = "v=0\r\no=tandem 77 1 IN IP4 10.77.0.100\r\ns=call\r\ni=about\r\nc=IN IP4 10.77.0.100\r\nb=AS:80\r
t=0 0\r\na=X-call:7\r\nm=audio 20000 RTP/AVP 0\r\nb=TIAS:64000\r\na=rtpmap:0 PCMU/8000\r\na=maxptime:40\r
a=sendrecv\r\n";
    assert_eq!(passed_on(offer, &all()), expected);
}

#[test]
fn ipv6_is_written_as_such() {
    let local = LocalMedia { address: "2001:db8::100".parse().unwrap(), ..local() };
    let offer = text(parse(SIPP).offer_from(&local, &all()).unwrap());
    assert!(offer.contains("o=tandem 77 1 IN IP6 2001:db8::100\r\n"), "{offer}");
    assert!(offer.contains("c=IN IP6 2001:db8::100\r\n"), "{offer}");
}

#[test]
fn our_own_offer_is_read_back() {
    let offer = text(generate_offer(&local(), &default_codecs(), Direction::RecvOnly));
    let audio = audio(&offer);
    assert_eq!(audio.rtp.to_string(), "10.77.0.100:20000");
    assert_eq!(audio.rtcp.to_string(), "10.77.0.100:20001");
    assert_eq!(audio.direction, Direction::RecvOnly);
    assert_eq!(audio.codecs, default_codecs());
    assert!(offer.starts_with("v=0\r\no=tandem 77 1 IN IP4 10.77.0.100\r\ns=-\r\n"), "{offer}");
}

#[test]
fn no_text_can_inject_a_line() {
    let local = LocalMedia { username: "x\r\na=evil".into(), ..local() };
    let codec = Codec { fmtp: Some("1\r\na=evil".into()), ..Codec::new(0, "PCMU\na=evil", 8000) };
    let offer = text(generate_offer(&local, &[codec], Direction::SendRecv));
    assert!(!offer.lines().any(|line| line.starts_with("a=evil")), "{offer}");
}
