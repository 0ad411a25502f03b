//! Tests of the shared grammar.

use super::*;

#[test]
fn splitting_respects_quotes_and_brackets() {
    let split = |text| split_top_level(text, ',');
    assert_eq!(split(r#" a , "b,\",c" <sip:x,y> , "#), Ok(vec!["a", r#""b,\",c" <sip:x,y>"#, ""]));
    assert_eq!(split(r#"<sip:"a>,b"#), Ok(vec![r#"<sip:"a>"#, "b"]));
    assert_eq!(split(r#"a,"b"#), Err(ParseError::Malformed("quoted string")));
    assert_eq!(split(r#"a,"b\""#), Err(ParseError::Malformed("quoted string")));
    assert_eq!(split("<a,b"), Err(ParseError::Malformed("address in angle brackets")));
}

#[test]
fn quoted_strings_read_back() {
    for content in ["", "a b", r#"a"b\c"#, "tab\tnull\0", "Jörg"] {
        let quoted = quote(content);
        assert_eq!(quoted_string(&format!("{quoted} rest")), Some((content.to_owned(), " rest")));
        assert_eq!(unquote(&quoted), content);
    }
    assert_eq!(quote("a\r\nb"), "\"a  b\"");
    assert_eq!(quoted_string(r#""open"#), None);
    assert_eq!(quoted_string(r#""open\"#), None);
    assert_eq!(unquote("\"a\"b"), "\"a\"b");
}

#[test]
fn hosts_and_ports() {
    let table = [
        ("example.com", Ok(("example.com", None))),
        ("192.0.2.1:5060", Ok(("192.0.2.1", Some(5060)))),
        ("host : 5062", Ok(("host", Some(5062)))),
        ("[2001:DB8::1]:5061", Ok(("2001:db8::1", Some(5061)))),
        ("[2001:db8::1]", Ok(("2001:db8::1", None))),
        ("", Err("host")),
        ("exa mple", Err("host")),
        ("a@b", Err("host")),
        ("[192.0.2.1]", Err("host")),
        ("[2001:db8::1", Err("host")),
        ("[2001:db8::1]5060", Err("port")),
        ("host:", Err("port")),
        ("host:65536", Err("port")),
        ("host:-1", Err("port")),
        ("host:+1", Err("port")),
    ];
    for (text, expected) in table {
        let expected = expected.map(|(host, port)| (host.to_owned(), port)).map_err(ParseError::Malformed);
        assert_eq!(host_port(text), expected, "{text}");
    }
}
