//! What the tests of the four machines share, and the golden encodings.

use std::fmt::Debug;
use std::net::SocketAddr;
use std::time::Duration;

use base::ClusterTime;
use minicbor::{Decode, Encode};

use super::{InviteClient, InviteServer, NonInviteClient, NonInviteServer, Output};
use crate::message::{Message, Request, Response};
use crate::method::Method;
use crate::uri::Uri;
use crate::via::Via;

pub(super) const START: ClusterTime = ClusterTime::from_millis(1_000_000);

pub(super) fn after(millis: u64) -> ClusterTime {
    START + Duration::from_millis(millis)
}

pub(super) fn local() -> SocketAddr {
    ([192, 0, 2, 100], 5060).into()
}

pub(super) fn remote() -> SocketAddr {
    ([192, 0, 2, 20], 5062).into()
}

pub(super) fn request(method: Method) -> Request {
    let mut request = Request::new(method.clone(), Uri::sip(Some("5001"), "192.0.2.20", Some(5062)));
    request.headers.push("Via", Via::udp(local(), "z9hG4bKbranch1").to_string());
    request.headers.push("Route", "<sip:192.0.2.30;lr>");
    request.headers.push("Route", "<sip:192.0.2.31;lr>");
    request.headers.push("Max-Forwards", "70");
    request.headers.push("From", "\"5000\" <sip:5000@192.0.2.100>;tag=ours");
    request.headers.push("To", "<sip:5001@192.0.2.100>");
    request.headers.push("Call-ID", "call-1");
    request.headers.push("CSeq", format!("17 {method}"));
    request.headers.push("Contact", "<sip:192.0.2.100:5060>");
    request
}

pub(super) fn response(request: &Request, status: u16) -> Response {
    request.respond(status, "", Some("theirs"))
}

/// Outputs in short: `send INVITE`, `send 180`, `deliver 200`, `timed out`, `terminated`, `acked`.
pub(super) fn describe(out: &[Output]) -> Vec<String> {
    let describe = |output: &Output| match output {
        Output::Send(transmit) => {
            assert_eq!((transmit.local, transmit.destination), (local(), remote()));
            match Message::parse(&transmit.bytes).expect("what we send can be read") {
                Message::Request(request) => format!("send {}", request.method),
                Message::Response(response) => format!("send {}", response.status),
            }
        }
        Output::Response(response) => format!("deliver {}", response.status),
        Output::TimedOut => "timed out".to_owned(),
        Output::Terminated => "terminated".to_owned(),
        Output::Acked => "acked".to_owned(),
    };
    out.iter().map(describe).collect()
}

/// Runs a machine until it stops asking for time, and tells at which millisecond after `from` it did what.
pub(super) fn schedule(
    from: ClusterTime,
    mut step: impl FnMut(Option<ClusterTime>, &mut Vec<Output>) -> Option<ClusterTime>,
) -> Vec<(u64, String)> {
    const STEPS_MAX: usize = 100;
    let mut schedule = Vec::new();
    let mut deadline = step(None, &mut Vec::new());
    for _ in 0..STEPS_MAX {
        let Some(now) = deadline else { return schedule };
        let mut out = Vec::new();
        deadline = step(Some(now), &mut out);
        schedule.extend(describe(&out).into_iter().map(|what| (now.since(from).as_millis() as u64, what)));
    }
    panic!("the machine never stops");
}

fn check_golden<T>(name: &str, value: &T, golden: &str)
where
    T: Encode<()> + for<'b> Decode<'b, ()> + Debug + PartialEq,
{
    let bytes = minicbor::to_vec(value).expect("encoding to memory cannot fail");
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let golden: String = golden.split_whitespace().collect();
    assert_eq!(hex, golden, "the encoding of {name} changed: nodes of two versions would not understand each other");
    let decoded: T = minicbor::decode(&bytes).expect("what was encoded can be decoded");
    assert_eq!(&decoded, value);
}

#[test]
fn encodings_stay_as_they_are() {
    let mut out = Vec::new();
    let (invite, options) = (request(Method::Invite), request(Method::Options));

    let mut client = InviteClient::start(&invite, local(), remote(), START, &mut out);
    check_golden("calling", &client, include_str!("../../tests/golden/invite_client_calling.hex"));
    client.response(&response(&invite, 486), after(700), &mut out);
    check_golden("completed", &client, include_str!("../../tests/golden/invite_client_completed.hex"));

    let mut server = InviteServer::receive(&invite, local(), remote(), START);
    server.respond(&response(&invite, 180), after(10), &mut out);
    check_golden("proceeding", &server, include_str!("../../tests/golden/invite_server_proceeding.hex"));
    server.respond(&response(&invite, 200), after(2_000), &mut out);
    check_golden("accepted", &server, include_str!("../../tests/golden/invite_server_accepted.hex"));

    let client = NonInviteClient::start(&options, local(), remote(), START, &mut out);
    check_golden("trying", &client, include_str!("../../tests/golden/non_invite_client_trying.hex"));

    let mut server = NonInviteServer::receive(&options, local(), remote(), START);
    server.respond(&response(&options, 200), after(1), &mut out);
    check_golden("completed", &server, include_str!("../../tests/golden/non_invite_server_completed.hex"));
}
