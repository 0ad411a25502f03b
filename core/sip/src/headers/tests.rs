//! Tests of header fields.

use super::*;

fn headers(fields: &[(&str, &str)]) -> Headers {
    let mut headers = Headers::new();
    fields.iter().for_each(|(name, value)| headers.push(name, *value));
    headers
}

fn listed(headers: &Headers) -> Vec<(&str, &str)> {
    headers.iter().map(|header| (header.name.as_str(), header.value.as_str())).collect()
}

#[test]
fn names_become_canonical() {
    let table = [
        ("v", "Via"),
        ("V", "Via"),
        ("f", "From"),
        ("t", "To"),
        ("i", "Call-ID"),
        ("m", "Contact"),
        ("c", "Content-Type"),
        ("l", "Content-Length"),
        ("s", "Subject"),
        ("k", "Supported"),
        ("e", "Content-Encoding"),
        ("o", "Event"),
        ("r", "Refer-To"),
        ("x", "Session-Expires"),
        ("call-id", "Call-ID"),
        ("CSEQ", "CSeq"),
        ("www-authenticate", "WWW-Authenticate"),
        ("x-unknown", "x-unknown"),
        ("q", "q"),
        ("", ""),
    ];
    for (name, canonical) in table {
        assert_eq!(canonical_name(name), canonical);
    }
}

#[test]
fn compact_forms_are_unique() {
    let mut compact: Vec<_> = NAMES.iter().map(|(_, compact)| *compact).filter(|compact| !compact.is_empty()).collect();
    compact.sort_unstable();
    let count = compact.len();
    compact.dedup();
    assert_eq!((compact.len(), count), (20, 20));
}

#[test]
fn lookup_ignores_case_and_knows_compact_forms() {
    let headers = headers(&[("Via", "1"), ("x-a", "2"), ("v", "3"), ("X-A", "4")]);
    assert_eq!(headers.value("VIA"), Some("1"));
    assert_eq!(headers.values("v").collect::<Vec<_>>(), ["1", "3"]);
    assert_eq!(headers.values("X-a").collect::<Vec<_>>(), ["2", "4"]);
    assert_eq!(headers.value("From"), None);
    assert_eq!(headers.len(), 4);
}

#[test]
fn changes_keep_the_order() {
    let mut headers = headers(&[("Via", "1"), ("To", "2"), ("Via", "3")]);
    headers.push_front("v", "0");
    assert_eq!(listed(&headers), [("Via", "0"), ("Via", "1"), ("To", "2"), ("Via", "3")]);
    headers.replace_first("via", "9");
    assert_eq!(listed(&headers), [("Via", "9"), ("Via", "1"), ("To", "2"), ("Via", "3")]);
    headers.set("VIA", "5");
    assert_eq!(listed(&headers), [("Via", "5"), ("To", "2")]);
    headers.set("From", "6");
    headers.replace_first("CSeq", "7");
    headers.remove("t");
    assert_eq!(listed(&headers), [("Via", "5"), ("From", "6")]);
    headers.remove("v");
    headers.remove("f");
    assert!(headers.is_empty());
}
