//! SIP messages and the parts of them that have decoders of their own.

use std::path::Path;

use base::ClusterTime;
use fuzz::{Outcome, Target};
use sip::digest::{Authorization, Challenge};
use sip::message::{HEADER_BYTES_MAX, HEADERS_MAX, MESSAGE_BYTES_MAX};
use sip::{CSeq, Dialog, Fields, Message, NameAddr, Params, Uri, Via, client_key, server_key};

use crate::pair::Pair;

/// What means something in SIP's grammar.
pub const PIECES: &[&[u8]] = &[
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\r",
    b"\r\n ",
    b"\r\n\t",
    b" SIP/2.0\r\n",
    b"SIP/2.0 ",
    b"SIP/2.0/UDP ",
    b":",
    b";",
    b",",
    b"<",
    b">",
    b"\"",
    b"\\\"",
    b"\\",
    b"@",
    b"?",
    b"&",
    b"=",
    b"%",
    b"%00",
    b"%2",
    b"%FF",
    b"*",
    b"[",
    b"]",
    b"[::1]",
    b"sip:",
    b"sips:",
    b"tel:",
    b";tag=",
    b";branch=z9hG4bK",
    b";received=",
    b";rport",
    b";lr",
    b";expires=",
    b"Content-Length: ",
    b"l:",
    b"Via: ",
    b"v:",
    b"CSeq: ",
    b"Contact: *",
    b"To: ",
    b"From: ",
    b"Call-ID: ",
    b"Max-Forwards: ",
    b"Expires: ",
    b"Route: <sip:",
    b"Record-Route: <sip:",
    b"Authorization: Digest ",
    b"INVITE ",
    b"REGISTER ",
    b"ACK ",
    b"\0",
    b"\xff",
    b"\xc3\x28",
    b"Digest ",
    b"username=\"",
    b"nonce=\"",
    b"algorithm=SHA-256",
    b"nc=",
    b"qop=auth",
];

/// The messages that test parsers, each as a phone could send it.
pub fn torture() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/sip/tests/torture");
    let mut paths: Vec<_> =
        std::fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("a file").path()).collect();
    paths.sort();
    let messages: Vec<_> = paths.iter().map(|path| std::fs::read(path).expect("a message")).collect();
    assert!(messages.len() > 30);
    messages
}

#[test]
fn sip_message() {
    let corpus = torture().into_iter().chain(Pair::conversation().from_phones).chain(Pair::conversation().to_phones);
    Target::new("sip_message", corpus).pieces(PIECES).allocates(300, 16_384).run(|input| {
        let parsed = Message::parse(input);
        let outcome = Outcome::of(&parsed);
        match parsed {
            Ok(message) => exercise(message),
            Err(error) => {
                if let Some((request, status)) = error.refused() {
                    drop(request.respond(status, "", Some("tag")).to_bytes());
                }
            }
        }
        outcome
    });
}

/// Everything that looks into a message finds its way; and what we write is read back as the same.
fn exercise(message: Message) {
    let headers = match &message {
        Message::Request(request) => &request.headers,
        Message::Response(response) => &response.headers,
    };
    // At its bounds a message may have no room for the Content-Length that it lacked, or for a blank after a colon.
    let written = message.to_bytes();
    let longest = headers.iter().map(|header| header.name.len() + header.value.len() + 2).max().unwrap_or_default();
    if headers.len() < HEADERS_MAX && longest <= HEADER_BYTES_MAX && written.len() <= MESSAGE_BYTES_MAX {
        assert_eq!(Message::parse(&written).as_ref(), Ok(&message), "it reads back");
    }
    match message {
        Message::Request(mut request) => {
            request.stamp_received(([192, 0, 2, 1], 5060).into());
            let _ = (request.contacts(), request.expires(), request.max_forwards(), request.content_type());
            let _ = (server_key(&request), Dialog::uas(&request, "local"), request.contact_is_star());
            let response = request.respond(200, "", Some("t"));
            assert!(Message::parse(&response.to_bytes()).is_ok(), "our answer can be read");
            if let Ok(mut dialog) = Dialog::uac(&request, &response) {
                let _ = (dialog.accept(&request), dialog.next_hop());
            }
        }
        Message::Response(response) => {
            let _ = (response.contacts(), response.expires(), client_key(&response));
        }
    }
}

/// The value of a header as a message gives it: text in which folding has been undone, so that no line ends in it.
fn header_value(input: &[u8]) -> Option<&str> {
    str::from_utf8(input).ok().filter(|text| !text.contains(['\r', '\n']))
}

const ADDRESSES: &[&str] = &[
    "sip:5001@10.77.0.100",
    "sips:a%40b:pw@example.com:5061;transport=tls;lr?Subject=x&Priority=urgent",
    "tel:+4930123456;phone-context=x",
    "\"A \\\"B\\\" C\" <sip:5001@[2001:db8::1]:5060;ob>;tag=88;expires=60",
    "<sip:10.77.0.21>",
    "Anonymous <sip:c8oqz84zk7z@privacy.org>;tag=h",
    "sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com",
];

#[test]
fn sip_uri() {
    Target::new("sip_uri", ADDRESSES.iter().map(|text| text.as_bytes())).pieces(PIECES).allocates(300, 8_192).run(
        |input| {
            let Some(text) = header_value(input) else { return Outcome::Refused };
            let parsed = Uri::parse(text);
            if let Ok(uri) = &parsed {
                assert_eq!(Uri::parse(&uri.to_string()).as_ref(), Ok(uri));
                assert!(uri.equivalent(uri));
                let _ = uri.socket_address();
            }
            Outcome::of(&parsed)
        },
    );
}

#[test]
fn sip_name_addr() {
    Target::new("sip_name_addr", ADDRESSES.iter().map(|text| text.as_bytes()))
        .pieces(PIECES)
        .allocates(300, 8_192)
        .run(|input| {
            let Some(text) = header_value(input) else { return Outcome::Refused };
            let _ = (NameAddr::parse_list(text), Params::parse(text));
            let parsed = NameAddr::parse(text);
            if let Ok(address) = &parsed {
                assert_eq!(NameAddr::parse(&address.to_string()).as_ref(), Ok(address));
            }
            Outcome::of(&parsed)
        });
}

#[test]
fn sip_via() {
    let corpus = [
        "SIP/2.0/UDP 10.77.0.21:5060;branch=z9hG4bK390skdjuw;rport",
        "SIP / 2.0 / TCP spindle.example.com ; branch = z9hG4bK9ikj8 ;received=192.0.2.1;rport=4000",
        "SIP/2.0/TLS [2001:db8::9:1]:5061;received=2001:db8::9:255;branch=z9hG4bKas3-111;maddr=224.2.0.1;ttl=16",
    ];
    Target::new("sip_via", corpus).pieces(PIECES).allocates(300, 8_192).run(|input| {
        let Some(text) = header_value(input) else { return Outcome::Refused };
        let parsed = Via::parse(text);
        if let Ok(via) = &parsed {
            assert_eq!(Via::parse(&via.to_string()).as_ref(), Ok(via));
            let _ = (via.received(), via.rport(), via.has_unique_branch());
        }
        Outcome::of(&parsed)
    });
}

#[test]
fn sip_authorization() {
    let corpus = [
        "Digest username=\"5000\",realm=\"tandem\",nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\",uri=\"sip:10.77.0.100\",response=\"6629fae49393a05397450978507c4ef1\",algorithm=MD5,qop=auth,nc=00000001,cnonce=\"0a4f113b\",opaque=\"x\"",
        "Digest realm=\"tandem\", nonce=\"a\", algorithm=SHA-256, qop=\"auth,auth-int\", stale=TRUE",
    ];
    let nonces = sip::digest::Nonces { secret: [7; 32] };
    Target::new("sip_authorization", corpus).pieces(PIECES).allocates(300, 16_384).run(|input| {
        let Some(text) = header_value(input) else { return Outcome::Refused };
        let _ = (Challenge::parse(text), CSeq::parse(text));
        let _ = nonces.check(text, ClusterTime::from_millis(1_000));
        let parsed = Authorization::parse(text);
        if let Ok(authorization) = &parsed {
            // Some phones quote what must be tokens; what comes of that is never written.
            let tokens = [&authorization.qop, &authorization.nc];
            if tokens.into_iter().flatten().all(|value| sip::syntax::is_token(value)) {
                assert_eq!(Authorization::parse(&authorization.to_string()).as_ref(), Ok(authorization));
            }
            let _ = nonces.check(&authorization.nonce, ClusterTime::from_millis(1_000));
            let password = sip::digest::Secret::Plain("one");
            assert!(!sip::digest::verify(authorization, &sip::Method::Register, &password), "nobody guesses");
        }
        Outcome::of(&parsed)
    });
}
