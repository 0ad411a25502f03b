//! What must hold for every input: parsing never panics, and what we write reads back as the same message.

use proptest::prelude::*;
use tandem_sip::digest::{Authorization, Challenge};
use tandem_sip::{Fields, Message, Method, NameAddr, Params, Request, Response, Uri, Via, client_key, server_key};

const SEEDS: [&[u8]; 6] = [
    include_bytes!("torture/valid_wacky_whitespace.sip"),
    include_bytes!("torture/valid_all_token_characters.sip"),
    include_bytes!("torture/valid_escapes_in_user.sip"),
    include_bytes!("torture/valid_unknown_transport.sip"),
    include_bytes!("torture/valid_unusual_reason_phrase.sip"),
    include_bytes!("torture/valid_no_content_length.sip"),
];

/// Reads everything of a message that is read lazily, and checks that what was accepted survives writing.
fn exercise(bytes: &[u8]) {
    let message = match Message::parse(bytes) {
        Ok(message) => message,
        Err(error) => {
            if let Some((request, status)) = error.refused() {
                let _ = request.respond(status, "", Some("tag")).to_bytes();
            }
            return;
        }
    };
    let written = message.to_bytes();
    assert_eq!(Message::parse(&written), Ok(message.clone()), "{}", String::from_utf8_lossy(&written));
    match &message {
        Message::Request(request) => {
            let _ = (request.contacts(), request.expires(), server_key(request));
            let mut stamped = request.clone();
            stamped.stamp_received_and_rport(([192, 0, 2, 1], 5060).into());
            assert_eq!(stamped.top_via().map(|via| via.rport()), Ok(Some(5060)));
            assert!(Message::parse(&stamped.respond(200, "", Some("t")).to_bytes()).is_ok());
            let _ = tandem_sip::Dialog::uas(request, "local");
        }
        Message::Response(response) => {
            let _ = (response.contacts(), client_key(response));
        }
    }
}

/// A seed with some of its bytes overwritten, inserted, removed or repeated.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![prop::sample::select(b"\r\n \t;,:<>\"\\@?=%/[]*0SIP".to_vec()), any::<u8>(),];
    let change = (any::<prop::sample::Index>(), 0..4_u8, byte);
    (0..SEEDS.len(), prop::collection::vec(change, 0..6)).prop_map(|(seed, changes)| {
        let mut bytes = SEEDS[seed].to_vec();
        for (index, kind, byte) in changes {
            let at = index.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => drop(bytes.remove(at)),
                _ => bytes.extend_from_within(at..),
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_messages_never_panic_and_read_back(bytes in mutated()) {
        exercise(&bytes);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        exercise(&bytes);
    }

    #[test]
    fn addresses_read_back(
        text in "[ -~]{0,60}",
        start in prop::sample::select(vec!["", "sip:", "<sip:", "tel:", "\"a\" <sip:"]),
    ) {
        let text = format!("{start}{text}");
        if let Ok(uri) = Uri::parse(&text) {
            prop_assert_eq!(Uri::parse(&uri.to_string()), Ok(uri));
        }
        if let Ok(address) = NameAddr::parse(&text) {
            prop_assert_eq!(NameAddr::parse(&address.to_string()), Ok(address));
        }
        if let Ok(params) = Params::parse(&text) {
            prop_assert_eq!(Params::parse(&params.to_string()), Ok(params));
        }
        if let Ok(via) = Via::parse(&format!("SIP/2.0/UDP {text}")) {
            prop_assert_eq!(Via::parse(&via.to_string()), Ok(via));
        }
    }

    #[test]
    fn digest_headers_read_back(text in "[ -~]{0,40}", user in "\\PC{0,20}") {
        let _ = Challenge::parse(&format!("Digest {text}"));
        let _ = Authorization::parse(&format!("Digest {text}"));
        let challenge = Challenge {
            realm: user,
            nonce: text,
            algorithm: tandem_sip::digest::Algorithm::Sha256,
            stale: true,
        };
        prop_assert_eq!(Challenge::parse(&challenge.to_string()), Ok(challenge));
    }

    /// Whatever stands in a built message, it cannot add a header or end the headers.
    #[test]
    fn values_never_inject_lines(
        value in "[\\x00-\\x7f]{0,40}",
        user in "[\\x00-\\x7f]{0,20}",
        reason in "[\\x00-\\x7f]{0,20}",
    ) {
        let mut request = Request::new(Method::Other(value.clone()), Uri::sip(Some(&user), "192.0.2.1", None));
        request.headers.push("X-Value", value.clone());
        request.headers.push(&format!("X{value}"), "value");
        let lines = request.to_bytes().windows(2).filter(|pair| pair == b"\r\n").count();
        prop_assert_eq!(lines, 5);
        let mut response = Response { status: 200, reason, headers: request.headers, body: Vec::new() };
        response.headers.0.truncate(1);
        let bytes = response.to_bytes();
        prop_assert_eq!(bytes.windows(2).filter(|pair| pair == b"\r\n").count(), 4);
        prop_assert_eq!(bytes.iter().filter(|byte| matches!(byte, b'\r' | b'\n')).count(), 8);
    }
}
