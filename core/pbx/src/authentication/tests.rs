//! What a phone is asked for, and what it may answer with.

use sip::digest::answer;
use sip::{Message, Method, Via};

use super::*;
use crate::configuration::load;

const NOW: ClusterTime = ClusterTime::from_millis(1_000_000);

fn endpoint(algorithms: &str) -> (Endpoint, General) {
    let pjsip = format!(
        "[1]\ntype=endpoint\ncontext=c\nauth=1\n[1]\ntype=auth\nusername=1\npassword=s\n\
         supported_algorithms_uas={algorithms}\n"
    );
    let files = [("pjsip.conf", pjsip.as_str()), ("extensions.conf", "[c]\n")].into_iter().collect();
    let mut configuration = load(&files).configuration.unwrap();
    (configuration.endpoints.remove("1").unwrap(), configuration.general)
}

fn register() -> Request {
    let text = format!(
        "REGISTER sip:h SIP/2.0\r\nVia: {}\r\nFrom: <sip:1@h>;tag=a\r\nTo: <sip:1@h>\r\nCall-ID: c\r\n\
         CSeq: 1 REGISTER\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
        Via::udp("192.0.2.1:5060".parse().unwrap(), "z9hG4bK1")
    );
    match Message::parse(text.as_bytes()).unwrap() {
        Message::Request(request) => request,
        Message::Response(response) => panic!("{response:?}"),
    }
}

/// The algorithms of the challenges in a 401, in their order, and what comes of an answer to each.
fn challenged(algorithms: &str) -> Vec<(String, Proof)> {
    let authenticator = Authenticator::new([7; 32]);
    let (endpoint, general) = endpoint(algorithms);
    let response = authenticator.challenge(&register(), Some(&endpoint), &general, false, NOW);
    let challenges: Vec<&str> = response.headers.values("WWW-Authenticate").collect();
    let proofs = challenges.iter().map(|challenge| {
        let algorithm = Challenge::parse(challenge).unwrap().algorithm;
        let credentials = answer(challenge, "1", "s", &Method::Register, "sip:h", "cnonce", 1).unwrap();
        let mut request = register();
        request.headers.push("Authorization", credentials);
        (algorithm.as_str().to_owned(), authenticator.check(&request, endpoint.credentials.as_ref().unwrap(), NOW))
    });
    proofs.collect()
}

#[test]
fn every_challenge_can_be_answered_and_they_come_in_the_order_of_the_files() {
    let valid = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), Proof::Valid)).collect::<Vec<_>>();
    assert_eq!(challenged("MD5"), valid(&["MD5"]));
    assert_eq!(challenged("SHA-256"), valid(&["SHA-256"]));
    assert_eq!(challenged("SHA-256,MD5"), valid(&["SHA-256", "MD5"]));
    assert_eq!(challenged("MD5,SHA-256"), valid(&["MD5", "SHA-256"]));
}

#[test]
fn the_weaker_way_is_not_the_phones_to_choose() {
    let authenticator = Authenticator::new([7; 32]);
    let (weak, general) = endpoint("MD5");
    let (strong, _) = endpoint("SHA-256");
    let challenge = authenticator.challenge(&register(), Some(&weak), &general, false, NOW);
    let challenge = challenge.headers.value("WWW-Authenticate").unwrap();
    let credentials = answer(challenge, "1", "s", &Method::Register, "sip:h", "cnonce", 1).unwrap();
    let mut request = register();
    request.headers.push("Authorization", credentials);
    assert_eq!(authenticator.check(&request, weak.credentials.as_ref().unwrap(), NOW), Proof::Valid);
    let asked_again = Proof::Missing { stale: false };
    assert_eq!(authenticator.check(&request, strong.credentials.as_ref().unwrap(), NOW), asked_again);
}
