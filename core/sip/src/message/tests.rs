//! Tests of responses, stamps, destinations and typed views.

use super::*;

fn request(method: &str, extra: &str) -> Request {
    let text = format!(
        "{method} sip:5001@192.0.2.100 SIP/2.0\r\n\
         Via: SIP/2.0/UDP 10.0.0.5:5062;branch=z9hG4bKa;rport\r\n\
         Via: SIP/2.0/UDP 10.0.0.6\r\n\
         From: <sip:5000@192.0.2.100>;tag=theirs\r\n\
         To: <sip:5001@192.0.2.100>\r\n\
         Call-ID: call-1\r\n\
         CSeq: 7 {method}\r\n\
         {extra}\r\n"
    );
    match Message::parse(text.as_bytes()) {
        Ok(Message::Request(request)) => request,
        other => panic!("{other:?}"),
    }
}

const SOURCE: &str = "198.51.100.7:1024";

fn source() -> SocketAddr {
    SOURCE.parse().expect("an address")
}

#[test]
fn a_response_copies_what_it_must() {
    let invite = request("INVITE", "Record-Route: <sip:p1;lr>, <sip:p2;lr>\r\nTimestamp: 5\r\nSupported: timer\r\n");
    let ok = invite.respond(200, "", Some("ours"));
    let fields: Vec<_> = ok.headers.iter().map(|header| (header.name.as_str(), header.value.as_str())).collect();
    assert_eq!(
        fields,
        [
            ("Via", "SIP/2.0/UDP 10.0.0.5:5062;branch=z9hG4bKa;rport"),
            ("Via", "SIP/2.0/UDP 10.0.0.6"),
            ("From", "<sip:5000@192.0.2.100>;tag=theirs"),
            ("To", "<sip:5001@192.0.2.100>;tag=ours"),
            ("Call-ID", "call-1"),
            ("CSeq", "7 INVITE"),
            ("Record-Route", "<sip:p1;lr>"),
            ("Record-Route", "<sip:p2;lr>"),
        ]
    );
    assert_eq!((ok.status, ok.reason.as_str()), (200, "OK"));
    assert_eq!(invite.respond(486, "Talking", None).reason, "Talking");
}

#[test]
fn record_route_goes_into_responses_that_make_a_dialog() {
    let table = [
        ("INVITE", 100, false),
        ("INVITE", 180, true),
        ("INVITE", 200, true),
        ("INVITE", 486, false),
        ("OPTIONS", 200, false),
        ("SUBSCRIBE", 200, true),
        ("SUBSCRIBE", 404, false),
    ];
    for (method, status, expected) in table {
        let response = request(method, "Record-Route: <sip:p1;lr>\r\n").respond(status, "", None);
        assert_eq!(response.header("Record-Route").is_some(), expected, "{method} {status}");
    }
}

#[test]
fn only_a_100_copies_timestamp() {
    let invite = request("INVITE", "Timestamp: 5\r\n");
    assert_eq!(invite.respond(100, "", None).header("Timestamp"), Some("5"));
    assert_eq!(invite.respond(180, "", None).header("Timestamp"), None);
}

#[test]
fn a_to_tag_is_added_but_never_replaced() {
    let mut invite = request("INVITE", "");
    assert_eq!(invite.respond(200, "", None).to_tag(), None);
    invite.headers.set("To", "sip:5001@h");
    assert_eq!(invite.respond(200, "", Some("ours")).to_tag().as_deref(), Some("ours"));
    invite.headers.set("To", "<sip:5001@h;tag=uri>;tag=first");
    assert_eq!(invite.respond(200, "", Some("ours")).to_tag().as_deref(), Some("first"));
}

#[test]
fn received_and_rport_are_stamped_into_the_top_via() {
    let mut invite = request("INVITE", "");
    invite.stamp_received(source());
    let via = invite.top_via().expect("Via");
    assert_eq!((via.received(), via.rport()), (Some(source().ip()), Some(1024)));
    assert_eq!(invite.headers.values("Via").nth(1), Some("SIP/2.0/UDP 10.0.0.6"));

    invite.headers.replace_first("Via", "SIP/2.0/UDP 10.0.0.5;received=203.0.113.1;branch=z9hG4bKa");
    invite.stamp_received(source());
    let via = invite.top_via().expect("Via");
    assert_eq!((via.received(), via.rport(), via.branch()), (Some(source().ip()), None, Some("z9hG4bKa")));
    invite.stamp_received_and_rport(source());
    assert_eq!(invite.top_via().expect("Via").rport(), Some(1024));
}

#[test]
fn responses_go_where_the_request_came_from() {
    // Top Via, and where the response goes.
    let table = [
        ("SIP/2.0/UDP 10.0.0.5:5062;rport", SOURCE),
        ("SIP/2.0/UDP 10.0.0.5:5062;received=198.51.100.7;rport=1024", SOURCE),
        ("SIP/2.0/UDP 10.0.0.5:5062", "198.51.100.7:5062"),
        ("SIP/2.0/UDP 10.0.0.5", "198.51.100.7:5060"),
        ("SIP/2.0/UDP 10.0.0.5;maddr=203.0.113.1", "198.51.100.7:5060"),
        ("SIP/2.0/UDP 10.0.0.5;received=203.0.113.1", "198.51.100.7:5060"),
    ];
    for (via, destination) in table {
        let mut invite = request("INVITE", "");
        invite.headers.replace_first("Via", via);
        assert_eq!(response_destination(&invite, source()).to_string(), destination, "{via}");
    }
}

#[test]
fn typed_views() {
    let register = request(
        "REGISTER",
        "m: <sip:a@h>;expires=60, <sip:b@h>\r\nContact: \"c, d\" <sip:c@h>\r\nExpires: 300\r\nk: path,  TIMER\r\n\
         Content-Type: Application/SDP;charset=utf-8\r\nMax-Forwards: 9\r\n",
    );
    let users: Vec<_> = register.contacts().expect("Contact").into_iter().filter_map(|c| c.uri.user).collect();
    assert_eq!(users, ["a", "b", "c"]);
    assert!(!register.contact_is_star());
    assert_eq!((register.expires(), register.max_forwards()), (Some(300), Some(9)));
    assert_eq!(register.content_type().as_deref(), Some("application/sdp"));
    assert!(register.lists("Supported", "timer") && !register.lists("Supported", "100rel"));
    assert_eq!((register.from_tag().as_deref(), register.to_tag()), (Some("theirs"), None));
    assert_eq!(register.cseq().to_string(), "7 REGISTER");
    for wrong in ["-1", "+1", "x", "1 2", "99999999999"] {
        let mut wrong_expires = register.clone();
        wrong_expires.headers.set("Expires", wrong);
        assert_eq!(wrong_expires.expires(), None, "{wrong}");
    }
}

#[test]
fn a_message_built_without_headers_reads_as_empty() {
    let request = Request::new(Method::Options, Uri::sip(None, "h", None));
    assert_eq!((request.call_id(), request.cseq().number), ("", 0));
    assert_eq!(Fields::from(&request), Err(ParseError::Missing("From")));
    assert_eq!(request.top_via(), Err(ParseError::Missing("Via")));
}

#[test]
fn every_status_has_a_phrase() {
    assert_eq!(reason_phrase(487), "Request Terminated");
    let classes = [(199, "Progress"), (299, "Success"), (399, "Redirection"), (499, "Request Failure")];
    for (status, phrase) in classes.into_iter().chain([(599, "Server Failure"), (699, "Global Failure")]) {
        assert_eq!(reason_phrase(status), phrase);
    }
}
