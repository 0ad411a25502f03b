//! Tests of Via.

use super::*;

#[test]
fn parts_of_a_via() {
    let via = Via::parse("sip / 2.0 / UDP  192.0.2.1 : 5062 ; branch=z9hG4bKa ;rport=1024;received=198.51.100.7");
    let via = via.expect("a Via");
    assert_eq!((via.transport.as_str(), via.host.as_str(), via.port), ("UDP", "192.0.2.1", Some(5062)));
    assert_eq!((via.branch(), via.rport()), (Some("z9hG4bKa"), Some(1024)));
    assert_eq!(via.received(), Some([198, 51, 100, 7].into()));
    assert_eq!(via.to_string(), "SIP/2.0/UDP 192.0.2.1:5062;branch=z9hG4bKa;rport=1024;received=198.51.100.7");
}

#[test]
fn our_own_via_asks_for_rport() {
    let via = Via::udp(([192, 0, 2, 1], 5060).into(), "z9hG4bKa");
    assert_eq!(via.to_string(), "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKa;rport");
    assert_eq!((via.rport(), via.received()), (None, None));
    let six = Via::udp("[2001:db8::1]:5060".parse().expect("address"), "z9hG4bKa");
    assert_eq!(six.to_string(), "SIP/2.0/UDP [2001:db8::1]:5060;branch=z9hG4bKa;rport");
    assert_eq!(Via::parse(&six.to_string()), Ok(six));
}

#[test]
fn only_a_cookie_with_something_behind_it_is_unique() {
    let table = [
        (";branch=z9hG4bKa", true),
        (";branch=Z9HG4BKa", true),
        (";branch=z9hG4bK", false),
        (";branch=1", false),
        (";branch=öööööööö", false),
        (";branch", false),
        ("", false),
    ];
    for (params, expected) in table {
        let via = Via::parse(&format!("SIP/2.0/UDP h{params}")).expect(params);
        assert_eq!(via.has_unique_branch(), expected, "{params}");
    }
}

#[test]
fn wrong_vias_are_refused() {
    let wrong = [
        "",
        "SIP/2.0/UDP",
        "SIP/2.0/UDP ",
        "SIP/2.0 h",
        "SIP/3.0/UDP h",
        "HTTP/2.0/UDP h",
        "SIP/2.0/U\"P h",
        "SIP/2.0/UDP h:0x1",
        "SIP/2.0/UDP a b",
        "SIP/2.0/UDP ;branch=a",
        "SIP/2.0/UDP 2001:db8::1",
    ];
    for text in wrong {
        assert!(Via::parse(text).is_err(), "{text:?}");
    }
}
