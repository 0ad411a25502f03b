//! Tests of dialogs, seen from both sides of one INVITE.

use super::*;

fn uri(text: &str) -> Uri {
    Uri::parse(text).expect(text)
}

fn via() -> Via {
    Via::udp(([192, 0, 2, 100], 5060).into(), "z9hG4bKnew")
}

fn invite() -> Request {
    let mut invite = Request::new(Method::Invite, uri("sip:5001@192.0.2.20:5062"));
    for (name, value) in [
        ("Via", "SIP/2.0/UDP 192.0.2.10;branch=z9hG4bKa"),
        ("From", "\"Five\" <sip:5000@pbx>;tag=caller;x=y"),
        ("To", "<sip:5001@pbx>"),
        ("Call-ID", "call-1"),
        ("CSeq", "17 INVITE"),
        ("Contact", "<sip:5000@192.0.2.10:5064>"),
        ("Record-Route", "<sip:p1;lr>"),
        ("Record-Route", "<sip:p2;lr>"),
    ] {
        invite.headers.push(name, value);
    }
    invite
}

fn response(status: u16) -> Response {
    let mut response = invite().respond(status, "", Some("callee"));
    response.headers.push("Contact", "\"x\" <sip:5001@192.0.2.20:5099>;expires=5");
    response
}

fn field<'a>(message: &'a Request, name: &'a str) -> Vec<&'a str> {
    message.headers.values(name).collect()
}

/// A request of `method` and CSeq `number` from the other side.
fn theirs(method: Method, number: u32) -> Request {
    let mut request = invite();
    request.headers.set("CSeq", format!("{number} {method}"));
    request.headers.set("Contact", "<sip:moved@192.0.2.11>");
    request.method = method;
    request
}

#[test]
fn the_callee_takes_tags_target_and_routes_from_the_request() {
    let dialog = Dialog::uas(&invite(), "callee").expect("a dialog");
    assert_eq!((dialog.call_id.as_str(), dialog.local_tag.as_str()), ("call-1", "callee"));
    assert_eq!(dialog.remote_tag.as_deref(), Some("caller"));
    assert_eq!(dialog.local.to_string(), "<sip:5001@pbx>");
    assert_eq!(dialog.remote.to_string(), "\"Five\" <sip:5000@pbx>;x=y");
    assert_eq!((dialog.local_cseq, dialog.remote_cseq), (0, Some(17)));
    assert_eq!(dialog.route_set, ["<sip:p1;lr>", "<sip:p2;lr>"]);
    assert_eq!(dialog.remote_target, uri("sip:5000@192.0.2.10:5064"));
    assert_eq!(dialog.state, DialogState::Early);
}

#[test]
fn the_caller_takes_tags_target_and_reversed_routes_from_the_response() {
    let dialog = Dialog::uac(&invite(), &response(200)).expect("a dialog");
    assert_eq!(dialog.local_tag, "caller");
    assert_eq!(dialog.remote_tag.as_deref(), Some("callee"));
    assert_eq!(dialog.local.to_string(), "\"Five\" <sip:5000@pbx>;x=y");
    assert_eq!(dialog.remote.to_string(), "<sip:5001@pbx>");
    assert_eq!((dialog.local_cseq, dialog.remote_cseq), (17, None));
    assert_eq!(dialog.route_set, ["<sip:p2;lr>", "<sip:p1;lr>"]);
    assert_eq!(dialog.remote_target, uri("sip:5001@192.0.2.20:5099"));
    assert_eq!(dialog.state, DialogState::Confirmed);
    assert_eq!(Dialog::uac(&invite(), &response(180)).map(|dialog| dialog.state), Ok(DialogState::Early));
}

#[test]
fn messages_that_make_no_dialog() {
    for status in [100, 302, 486] {
        assert_eq!(Dialog::uac(&invite(), &response(status)), Err(DialogError::Status(status)));
    }
    let mut without_contact = invite();
    without_contact.headers.remove("Contact");
    assert_eq!(Dialog::uas(&without_contact, "callee"), Err(DialogError::NoContact));
    let mut wrong_contact = invite();
    wrong_contact.headers.set("Contact", "<nonsense>");
    assert!(matches!(Dialog::uas(&wrong_contact, "callee"), Err(DialogError::Header { name: "Contact", .. })));
    let mut wrong_to = response(200);
    wrong_to.headers.set("To", "nonsense");
    assert!(matches!(Dialog::uac(&invite(), &wrong_to), Err(DialogError::Header { name: "To", .. })));
}

#[test]
fn a_response_without_contact_leaves_the_request_uri_as_target() {
    let mut ringing = response(180);
    ringing.headers.remove("Contact");
    let dialog = Dialog::uac(&invite(), &ringing).expect("a dialog");
    assert_eq!(dialog.remote_target, uri("sip:5001@192.0.2.20:5062"));
}

#[test]
fn matching_needs_call_id_and_both_tags() {
    let mut dialog = Dialog::uas(&invite(), "callee").expect("a dialog");
    assert!(dialog.matches("call-1", "callee", Some("caller")));
    assert!(!dialog.matches("call-2", "callee", Some("caller")));
    assert!(!dialog.matches("call-1", "caller", Some("callee")));
    assert!(!dialog.matches("call-1", "callee", Some("other")));
    assert!(!dialog.matches("call-1", "callee", None));
    dialog.remote_tag = None;
    assert!(dialog.matches("call-1", "callee", None));
}

#[test]
fn requests_count_up_and_follow_loose_routes() {
    let mut dialog = Dialog::uac(&invite(), &response(200)).expect("a dialog");
    let bye = dialog.request(Method::Bye, &via(), Some(&uri("sip:192.0.2.100")));
    assert_eq!((&bye.method, &bye.uri), (&Method::Bye, &uri("sip:5001@192.0.2.20:5099")));
    assert_eq!(field(&bye, "Route"), ["<sip:p2;lr>", "<sip:p1;lr>"]);
    assert_eq!(field(&bye, "Via"), [via().to_string()]);
    assert_eq!(field(&bye, "Max-Forwards"), ["70"]);
    assert_eq!(field(&bye, "From"), ["\"Five\" <sip:5000@pbx>;x=y;tag=caller"]);
    assert_eq!(field(&bye, "To"), ["<sip:5001@pbx>;tag=callee"]);
    assert_eq!(field(&bye, "Call-ID"), ["call-1"]);
    assert_eq!(field(&bye, "CSeq"), ["18 BYE"]);
    assert_eq!(field(&bye, "Contact"), ["<sip:192.0.2.100>"]);
    assert_eq!(dialog.next_hop(), uri("sip:p2;lr"));

    let info = dialog.request(Method::Info, &via(), None);
    assert_eq!((field(&info, "CSeq"), field(&info, "Contact").len()), (vec!["19 INFO"], 0));
    assert_eq!(field(&dialog.request(Method::Ack, &via(), None), "CSeq"), ["19 ACK"]);
    assert_eq!(field(&dialog.request(Method::Cancel, &via(), None), "CSeq"), ["19 CANCEL"]);
    assert_eq!(field(&dialog.ack(17, &via(), None), "CSeq"), ["17 ACK"]);
    assert_eq!(dialog.local_cseq, 19);
    let written = dialog.ack(17, &via(), None).to_bytes();
    assert!(crate::Message::parse(&written).is_ok());
}

#[test]
fn strict_routers_get_themselves_as_request_uri() {
    let mut dialog = Dialog::uac(&invite(), &response(200)).expect("a dialog");
    dialog.route_set = vec!["<sip:strict;method=X?a=b>".to_owned(), "<sip:p1;lr>".to_owned()];
    let bye = dialog.request(Method::Bye, &via(), None);
    assert_eq!(bye.uri, uri("sip:strict"));
    assert_eq!(field(&bye, "Route"), ["<sip:p1;lr>", "<sip:5001@192.0.2.20:5099>"]);
}

#[test]
fn without_routes_requests_go_to_the_target() {
    let mut dialog = Dialog::uas(&invite(), "callee").expect("a dialog");
    dialog.route_set.clear();
    let bye = dialog.request(Method::Bye, &via(), None);
    assert_eq!((&bye.uri, field(&bye, "Route").len()), (&uri("sip:5000@192.0.2.10:5064"), 0));
    assert_eq!(field(&bye, "CSeq"), ["1 BYE"]);
    assert_eq!(dialog.next_hop(), uri("sip:5000@192.0.2.10:5064"));
}

#[test]
fn a_dialog_with_an_old_phone_has_no_remote_tag() {
    let mut old = invite();
    old.headers.set("From", "<sip:5000@pbx>");
    let mut dialog = Dialog::uas(&old, "callee").expect("a dialog");
    assert_eq!(dialog.remote_tag, None);
    assert_eq!(field(&dialog.request(Method::Bye, &via(), None), "To"), ["<sip:5000@pbx>"]);
}

#[test]
fn requests_out_of_order_are_refused() {
    let mut dialog = Dialog::uas(&invite(), "callee").expect("a dialog");
    for (method, number, expected) in [
        (Method::Ack, 17, Ok(())),
        (Method::Info, 17, Err(DialogError::CSeqTooLow { received: 17, latest: 17 })),
        (Method::Info, 16, Err(DialogError::CSeqTooLow { received: 16, latest: 17 })),
        (Method::Info, 18, Ok(())),
        (Method::Bye, 40, Ok(())),
        (Method::Cancel, 17, Ok(())),
        (Method::Info, 39, Err(DialogError::CSeqTooLow { received: 39, latest: 40 })),
    ] {
        assert_eq!(dialog.accept(&theirs(method.clone(), number)), expected, "{method} {number}");
    }
    assert_eq!(dialog.remote_cseq, Some(40));
    let mut dialog = Dialog::uac(&invite(), &response(200)).expect("a dialog");
    assert_eq!(dialog.accept(&theirs(Method::Bye, 1)), Ok(()));
    assert_eq!(dialog.remote_cseq, Some(1));
}

#[test]
fn the_target_follows_invite_and_update_only() {
    let (before, moved) = (uri("sip:5000@192.0.2.10:5064"), uri("sip:moved@192.0.2.11"));
    for (method, number, expected) in [
        (Method::Info, 18, &before),
        (Method::Ack, 18, &before),
        (Method::Invite, 17, &before),
        (Method::Invite, 18, &moved),
        (Method::Update, 18, &moved),
    ] {
        let mut dialog = Dialog::uas(&invite(), "callee").expect("a dialog");
        let _ = dialog.accept(&theirs(method.clone(), number));
        assert_eq!(&dialog.remote_target, expected, "{method} {number}");
    }
    let mut without_contact = theirs(Method::Invite, 18);
    without_contact.headers.remove("Contact");
    let mut dialog = Dialog::uas(&invite(), "callee").expect("a dialog");
    assert_eq!(dialog.accept(&without_contact), Ok(()));
    assert_eq!(dialog.remote_target, before);
}

#[test]
fn the_target_follows_a_2xx() {
    for (status, method, expected) in [
        (200, Method::Invite, "sip:moved@192.0.2.21"),
        (200, Method::Update, "sip:moved@192.0.2.21"),
        (200, Method::Info, "sip:5001@192.0.2.20:5099"),
        (488, Method::Invite, "sip:5001@192.0.2.20:5099"),
        (180, Method::Invite, "sip:5001@192.0.2.20:5099"),
    ] {
        let mut dialog = Dialog::uac(&invite(), &response(200)).expect("a dialog");
        let mut answer = theirs(method.clone(), 18).respond(status, "", None);
        answer.headers.push("Contact", "<sip:moved@192.0.2.21>");
        dialog.target_refresh(&answer);
        assert_eq!(dialog.remote_target, uri(expected), "{method} {status}");
    }
}

#[test]
fn a_2xx_confirms_with_its_own_routes_and_target() {
    let mut dialog = Dialog::uac(&invite(), &response(180)).expect("a dialog");
    let mut ok = response(200);
    ok.headers.set("Record-Route", "<sip:p9;lr>");
    ok.headers.set("Contact", "<sip:answered@192.0.2.20>");
    dialog.confirmed_by(&ok);
    assert_eq!(dialog.state, DialogState::Confirmed);
    assert_eq!(dialog.route_set, ["<sip:p9;lr>"]);
    assert_eq!(dialog.remote_target, uri("sip:answered@192.0.2.20"));
    // The route set never changes later (RFC 3261 section 12.2).
    dialog.confirmed_by(&response(200));
    assert_eq!(dialog.route_set, ["<sip:p9;lr>"]);

    let mut early = Dialog::uac(&invite(), &response(180)).expect("a dialog");
    early.confirmed_by(&response(183));
    assert_eq!(early.state, DialogState::Early);
}

#[test]
fn states() {
    let mut dialog = Dialog::uas(&invite(), "callee").expect("a dialog");
    dialog.confirm();
    assert_eq!(dialog.state, DialogState::Confirmed);
    dialog.terminate();
    dialog.confirm();
    dialog.confirmed_by(&response(200));
    assert_eq!(dialog.state, DialogState::Terminated);
}

#[test]
fn numbers_are_left_out_and_never_wrap() {
    let mut dialog = Dialog::uas(&invite(), "callee").expect("a dialog");
    dialog.skip_cseq(100);
    assert_eq!(field(&dialog.request(Method::Bye, &via(), None), "CSeq"), ["101 BYE"]);
    dialog.skip_cseq(u32::MAX);
    assert_eq!(dialog.local_cseq, u32::MAX);
}

#[test]
fn the_encoding_stays_as_it_is() {
    let dialog = Dialog::uac(&invite(), &response(200)).expect("a dialog");
    let bytes = minicbor::to_vec(&dialog).expect("encoding to memory cannot fail");
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let golden: String = include_str!("../../tests/golden/dialog.hex").split_whitespace().collect();
    assert_eq!(hex, golden);
    assert_eq!(minicbor::decode::<Dialog>(&bytes).expect("what was encoded can be decoded"), dialog);
}
