//! Tests of URIs.

use super::*;

fn uri(text: &str) -> Uri {
    Uri::parse(text).expect(text)
}

#[test]
fn parts_of_a_uri() {
    let uri = uri("SIP:al%69ce:secret@[2001:db8::1]:5070;transport=udp;lr?Subject=a%20b&Priority=urgent");
    assert_eq!(uri.scheme, Scheme::Sip);
    assert_eq!((uri.user.as_deref(), uri.password.as_deref()), (Some("alice"), Some("secret")));
    assert_eq!((uri.host.as_str(), uri.port), ("2001:db8::1", Some(5070)));
    assert_eq!((uri.params.value("transport"), uri.params.has("lr")), (Some("udp"), true));
    assert_eq!(uri.headers.as_deref(), Some("Subject=a%20b&Priority=urgent"));
    assert_eq!(uri.to_string(), "sip:alice:secret@[2001:db8::1]:5070;transport=udp;lr?Subject=a%20b&Priority=urgent");
}

#[test]
fn users_have_one_form() {
    // What was read, what is kept, what is written.
    let table = [
        ("sip:%35000@h", "5000", "sip:5000@h"),
        ("sip:*98@h", "*98", "sip:*98@h"),
        ("sip:%2398@h", "#98", "sip:%2398@h"),
        ("sip:#98@h", "#98", "sip:%2398@h"),
        ("sip:a%40b@h", "a@b", "sip:a%40b@h"),
        ("sip:a%3ab@h", "a:b", "sip:a%3Ab@h"),
        ("sip:a%00b@h", "a%00b", "sip:a%00b@h"),
        ("sip:a%0d%0ab@h", "a%0D%0Ab", "sip:a%0D%0Ab@h"),
        ("sip:a%2535@h", "a%2535", "sip:a%2535@h"),
        ("sip:100%@h", "100%25", "sip:100%25@h"),
        ("sip:ö@h", "%C3%B6", "sip:%C3%B6@h"),
        ("sip:+49;ext=5@h", "+49;ext=5", "sip:+49;ext=5@h"),
    ];
    for (text, user, written) in table {
        let uri = uri(text);
        assert_eq!((uri.user.as_deref(), uri.to_string().as_str()), (Some(user), written), "{text}");
        assert_eq!(Uri::parse(written), Ok(uri), "{text}");
    }
    assert_eq!(Uri::sip(Some("a b@c\r\n"), "h", None).to_string(), "sip:a%20b%40c%0D%0A@h");
    assert_eq!(uri("sip:@h").user, None);
}

#[test]
fn other_schemes() {
    let tel = uri("tel:+1-201-555-0123;phone-context=example.com");
    assert_eq!((tel.user.as_deref(), tel.host.as_str()), (Some("+1-201-555-0123"), ""));
    assert_eq!(tel.to_string(), "tel:+1-201-555-0123;phone-context=example.com");
    assert_eq!(uri("sips:h").scheme, Scheme::Sips);
    let mail = uri("mailto:a@b;c?d");
    assert_eq!((mail.scheme.as_str(), mail.host.as_str()), ("mailto", "a@b;c?d"));
    assert_eq!(mail.to_string(), "mailto:a@b;c?d");
}

#[test]
fn wrong_uris_are_refused() {
    let wrong = [
        "",
        "5000",
        "sip",
        "sip:",
        ":a",
        "1sip:a",
        "si p:a",
        "<sip:a>",
        "sip:a b@h",
        "sip:a@b@c",
        "sip:a@",
        "sip:a@h:",
        "sip:a@h:65536",
        "sip:a@h:x",
        "sip:a@[::1",
        "sip:a@h;=1",
        "sip:a@\"h\"",
        "sip:a@h\r\nX: y",
        "tel:",
        "tel:;a",
        "sip:a\0@h",
    ];
    for text in wrong {
        assert!(Uri::parse(text).is_err(), "{text:?}");
    }
    let long = format!("sip:{}@h", "a".repeat(URI_BYTES_MAX));
    assert_eq!(Uri::parse(&long), Err(ParseError::TooLong { what: "URI", max: URI_BYTES_MAX }));
}

#[test]
fn socket_addresses() {
    let address = |text: &str| uri(text).socket_address().map(|address| address.to_string());
    assert_eq!(address("sip:a@192.0.2.1").as_deref(), Some("192.0.2.1:5060"));
    assert_eq!(address("sip:192.0.2.1:5062").as_deref(), Some("192.0.2.1:5062"));
    assert_eq!(address("sip:a@[2001:db8::1]").as_deref(), Some("[2001:db8::1]:5060"));
    assert_eq!(address("sip:a@example.com"), None);
    assert_eq!(address("tel:5000"), None);
    assert_eq!(Uri::sip(None, "[2001:db8::1]", None), Uri::sip(None, "2001:db8::1", None));
    assert_eq!(Uri::sip(None, "2001:db8::1", Some(5060)).to_string(), "sip:[2001:db8::1]:5060");
}

/// The examples of RFC 3261 section 19.1.4.
#[test]
fn equivalence() {
    let equivalent = [
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;newparam=5"),
        ("sip:alice@atlanta.com;a=1;b=2", "sip:alice@atlanta.com;b=2;a=1"),
    ];
    let different = [
        ("SIP:ALICE@AtLanTa.CoM", "sip:alice@AtLanTa.CoM"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:bob@biloxi.com;transport=udp", "sip:bob@biloxi.com:6000;transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
        ("sip:carol@chicago.com", "sips:carol@chicago.com"),
        ("sip:carol@chicago.com", "sip:carol@192.0.2.1"),
    ];
    for (pairs, expected) in [(equivalent.as_slice(), true), (&different, false)] {
        for (left, right) in pairs {
            assert_eq!(uri(left).equivalent(&uri(right)), expected, "{left} {right}");
            assert_eq!(uri(right).equivalent(&uri(left)), expected, "{right} {left}");
        }
    }
}
