//! Tests of addresses.

use super::*;

fn address(text: &str) -> NameAddr {
    NameAddr::parse(text).expect(text)
}

#[test]
fn forms_of_an_address() {
    // What was read, the display name, the URI, the header parameters.
    let table = [
        (r#""A. G. Bell" <sip:agb@h>;tag=a48s"#, Some("A. G. Bell"), "sip:agb@h", ";tag=a48s"),
        (r#""a \"b\" \\"<sip:h>"#, Some(r#"a "b" \"#), "sip:h", ""),
        (r#""a <sip:x> ; b" <sip:h> ; tag = 1"#, Some("a <sip:x> ; b"), "sip:h", ";tag=1"),
        ("Joe Doe<sip:joe@h;lr>", Some("Joe Doe"), "sip:joe@h;lr", ""),
        ("\"\" <sip:h>", Some(""), "sip:h", ""),
        ("<sip:joe@h;user=phone>;tag=1;x", None, "sip:joe@h;user=phone", ";tag=1;x"),
        ("< sip:joe@h >", None, "sip:joe@h", ""),
        ("sip:joe@h;tag=1", None, "sip:joe@h", ";tag=1"),
        ("tel:5000;tag=1", None, "tel:5000", ";tag=1"),
        ("<sip:joe@h?Replaces=a%3Bb>;tag=1", None, "sip:joe@h?Replaces=a%3Bb", ";tag=1"),
    ];
    for (text, display, uri, params) in table {
        let address = address(text);
        assert_eq!(address.display.as_deref(), display, "{text}");
        assert_eq!((address.uri.to_string().as_str(), address.params.to_string().as_str()), (uri, params), "{text}");
        assert_eq!(NameAddr::parse(&address.to_string()), Ok(address), "{text}");
    }
}

#[test]
fn wrong_addresses_are_refused() {
    let wrong = [
        "",
        "<>",
        "joe",
        "\"joe <sip:joe@h>",
        "joe\" <sip:joe@h>",
        "\"joe\" sip:joe@h",
        "<sip:joe@h",
        "<sip:joe@h>tag=1",
        "sip:joe@h?a=b",
        "sip:joe,doe@h",
        "*",
        "<sip:a@h> <sip:b@h>",
    ];
    for text in wrong {
        assert!(NameAddr::parse(text).is_err(), "{text:?}");
    }
}

#[test]
fn lists_are_split_outside_quotes() {
    let list = NameAddr::parse_list(r#""a, b" <sip:a@h>;q=1, <sip:b,c@h>, ,sip:d@h"#).expect("a list");
    let users: Vec<_> = list.iter().map(|address| address.uri.user.as_deref()).collect();
    assert_eq!(users, [Some("a"), Some("b,c"), Some("d")]);
    assert!(NameAddr::parse_list("<sip:a@h>, b").is_err());
}

#[test]
fn tags_and_display_names_are_set() {
    let address = NameAddr::new(Uri::sip(Some("a"), "h", None)).with_tag("1").with_tag("2").with_display("x\"\r\ny");
    assert_eq!(address.tag(), Some("2"));
    assert_eq!(address.to_string(), "\"x\\\"  y\" <sip:a@h>;tag=2");
}
