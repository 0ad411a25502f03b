//! Matching of messages to transactions.

use super::super::tests::{request, response};
use super::*;

#[test]
fn ack_and_cancel_find_their_invite() {
    let invite = server_key(&request(Method::Invite));
    assert_eq!(server_key(&request(Method::Ack)), invite);
    assert_eq!(server_key(&request(Method::Cancel)), invite);
    let cancel = server_key_of(&request(Method::Cancel), &Method::Cancel);
    assert_ne!(cancel, invite);
    assert_ne!(server_key(&request(Method::Bye)), invite);
}

#[test]
fn branch_sent_by_and_method_make_the_key() {
    let with_via = |via: &str| {
        let mut request = request(Method::Invite);
        request.headers.replace_first("Via", via);
        server_key(&request)
    };
    let key = with_via("SIP/2.0/UDP phone.example.com:5060;branch=z9hG4bKone");
    assert_eq!(key, with_via("SIP/2.0/UDP PHONE.example.com;branch=z9hG4bKone;received=192.0.2.1;rport=1024"));
    assert_ne!(key, with_via("SIP/2.0/UDP phone.example.com:5060;branch=z9hG4bKtwo"));
    assert_ne!(key, with_via("SIP/2.0/UDP phone.example.com:5061;branch=z9hG4bKone"));
    assert_ne!(key, with_via("SIP/2.0/UDP other.example.com:5060;branch=z9hG4bKone"));
}

/// RFC 2543 senders have no branch, or one that repeats, or, in one torture message, the bare cookie.
#[test]
fn old_senders_are_matched_by_call_id_cseq_and_from_tag() {
    for branch in ["", ";branch=1", ";branch=z9hG4bK"] {
        let with = |method: Method, name: &str, value: &str| {
            let mut request = request(method);
            request.headers.replace_first("Via", format!("SIP/2.0/UDP 192.0.2.9{branch}"));
            request.headers.replace_first(name, value);
            server_key(&request)
        };
        let key = with(Method::Invite, "To", "<sip:5001@192.0.2.100>");
        // The ACK has the To tag of the response.
        assert_eq!(key, with(Method::Ack, "To", "<sip:5001@192.0.2.100>;tag=theirs"));
        assert_ne!(key, with(Method::Invite, "Call-ID", "call-2"));
        assert_ne!(key, with(Method::Invite, "CSeq", "18 INVITE"));
        assert_ne!(key, with(Method::Invite, "From", "<sip:5000@192.0.2.100>;tag=other"));
        assert_ne!(key, with(Method::Bye, "To", "<sip:5001@192.0.2.100>"));
    }
}

#[test]
fn a_response_finds_the_request_it_answers() {
    let invite = request(Method::Invite);
    let key = client_key_of(&invite);
    assert!(key.is_some());
    assert_eq!(client_key(&response(&invite, 180)), key);
    // A CANCEL has the branch of its INVITE, so the method must tell them apart.
    let cancel = request(Method::Cancel);
    assert_eq!(client_key(&response(&cancel, 200)), client_key_of(&cancel));
    assert_ne!(client_key(&response(&cancel, 200)), key);

    let mut without_branch = response(&invite, 200);
    without_branch.headers.replace_first("Via", "SIP/2.0/UDP 192.0.2.100");
    assert_eq!(client_key(&without_branch), None);
}
