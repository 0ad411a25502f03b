//! The reader on good and bad text.

use super::*;

const RESPONSE: &str = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKa;rport=5060\r\n\
    f: \"A, <b>\" <sip:5000@10.0.0.9>;tag=one\r\nTo: <sip:5001@10.0.0.9>;tag=two\r\ni: abc@x\r\n\
    CSeq: 7 INVITE\r\nRecord-Route: <sip:10.0.0.9;lr>, <sip:10.0.0.8;lr>\r\nSubject: folded\r\n  line\r\n\
    Content-Length: 3\r\n\r\nabcdef";

#[test]
fn reads_what_a_dialog_needs() {
    let message = Message::parse(RESPONSE.as_bytes()).expect("a message");
    assert_eq!(message.start, Start::Response { status: 200 });
    assert_eq!(message.branch(), Some("z9hG4bKa"));
    assert_eq!((message.tag_of_from(), message.tag_of_to()), (Some("one"), Some("two")));
    assert_eq!(message.call_id(), "abc@x");
    assert_eq!(message.cseq(), Some((7, "INVITE")));
    assert_eq!(message.list("record-route"), ["<sip:10.0.0.9;lr>", "<sip:10.0.0.8;lr>"]);
    assert_eq!(message.header("subject"), Some("folded\r\n  line"));
    assert_eq!(message.body, "abc");
}

#[test]
fn refuses_what_is_no_message() {
    let cases = [
        "",
        "\r\n\r\n",
        "OPTIONS sip:x SIP/2.0\r\n\r\n",
        &RESPONSE.replace("200 OK", "99 No"),
        &RESPONSE.replace("Content-Length: 3", "Content-Length: 300"),
        &RESPONSE.replace("Content-Length: 3", "Content-Length: -1"),
        &RESPONSE.replace("CSeq: 7", "CSeq: 4294967296"),
        &RESPONSE.replace("i: abc@x", "i: abc@x\r\nCall-ID: other"),
        &RESPONSE.replace(";branch=z9hG4bKa", ""),
        &RESPONSE.replace("Subject: ", "Subject "),
    ];
    for case in cases {
        assert!(Message::parse(case.as_bytes()).is_err(), "{case}");
    }
    assert!(Message::parse(b"OPTIONS \xff SIP/2.0\r\nA: b\r\n\r\n").is_err());
}

#[test]
fn uris_and_addresses() {
    assert_eq!(uri("\"A\" <sip:5000@10.0.0.1:5070;line=x>;expires=60"), "sip:5000@10.0.0.1:5070;line=x");
    assert_eq!(uri("sip:5000@10.0.0.1;tag=x"), "sip:5000@10.0.0.1");
    assert_eq!(user("sip:5000@10.0.0.1"), Some("5000"));
    assert_eq!(socket_address("sip:5000@10.0.0.1:5070;line=x"), "10.0.0.1:5070".parse().ok());
    assert_eq!(socket_address("sip:10.0.0.1"), "10.0.0.1:5060".parse().ok());
    assert_eq!(socket_address("sip:x@[2001:db8::1]"), "[2001:db8::1]:5060".parse().ok());
    assert_eq!(socket_address("sip:x@example.org"), None);
    assert_eq!(tag("<sip:a@b;tag=no>"), None);
}
