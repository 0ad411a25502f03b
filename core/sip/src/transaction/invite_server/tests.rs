//! Every state x every input of the INVITE server transaction, and its timers.

use super::super::tests::{START, after, describe, local, remote, request, response, schedule};
use super::*;
use crate::method::Method;
use InviteServerState::{Accepted, Completed, Confirmed, Proceeding, Terminated};

const STATES: [InviteServerState; 5] = [Proceeding, Completed, Confirmed, Accepted, Terminated];

fn respond(server: &mut InviteServer, status: u16) -> Vec<String> {
    let mut out = Vec::new();
    server.respond(&response(&request(Method::Invite), status), START, &mut out);
    describe(&out)
}

/// In Proceeding a 180 was sent.
fn in_state(state: InviteServerState) -> InviteServer {
    let mut server = InviteServer::receive(&request(Method::Invite), local(), remote(), START);
    respond(&mut server, 180);
    match state {
        Proceeding => {}
        Completed | Confirmed | Terminated => drop(respond(&mut server, 486)),
        Accepted => drop(respond(&mut server, 200)),
    }
    if matches!(state, Confirmed | Terminated) {
        server.acked(START, &mut Vec::new());
    }
    if state == Terminated {
        server.timeout(after(5_000), &mut Vec::new());
    }
    assert_eq!(server.state(), state);
    server
}

#[test]
fn every_state_and_input() {
    let nothing: &[&str] = &[];
    // For each state: what responding with 183, 200 and 487, another INVITE, an ACK, the retransmission timer and the
    // end timer lead to.
    let table = [
        (
            Proceeding,
            [
                (Proceeding, ["send 183"].as_slice()),
                (Accepted, &["send 200"]),
                (Completed, &["send 487"]),
                (Proceeding, &["send 180"]),
                (Proceeding, nothing),
                (Proceeding, nothing),
                (Terminated, &["terminated"]),
            ],
        ),
        (
            Completed,
            [
                (Completed, nothing),
                (Completed, nothing),
                (Completed, nothing),
                (Completed, &["send 486"]),
                (Confirmed, &["acked"]),
                (Completed, &["send 486"]),
                (Terminated, &["timed out", "terminated"]),
            ],
        ),
        (
            Confirmed,
            [
                (Confirmed, nothing),
                (Confirmed, nothing),
                (Confirmed, nothing),
                (Confirmed, nothing),
                (Confirmed, nothing),
                (Confirmed, nothing),
                (Terminated, &["terminated"]),
            ],
        ),
        (
            Accepted,
            [
                (Accepted, nothing),
                (Accepted, &["send 200"]),
                (Accepted, nothing),
                (Accepted, nothing),
                (Accepted, nothing),
                (Accepted, &["send 200"]),
                (Terminated, &["timed out", "terminated"]),
            ],
        ),
        (Terminated, [(Terminated, nothing); 7]),
    ];
    assert_eq!(table.map(|(state, _)| state), STATES);
    let responses = [183, 200, 487].map(|status| response(&request(Method::Invite), status));
    for (state, rows) in table {
        let inputs = responses.iter().map(|response| Input::Respond(Kind::of(response), response));
        let inputs = inputs.chain([Input::Invite, Input::Ack, Input::Retransmission, Input::End]);
        for (row, (input, (next, outputs))) in inputs.zip(rows).enumerate() {
            let (mut server, mut out) = (in_state(state), Vec::new());
            server.step(input, after(600), &mut out);
            assert_eq!(server.state(), next, "{state:?}, input {row}");
            assert_eq!(describe(&out), outputs, "{state:?}, input {row}");
            assert_eq!(server.is_terminated(), server.state() == Terminated);
        }
    }
}

#[test]
fn an_invite_again_before_the_first_response_is_absorbed() {
    let mut server = InviteServer::receive(&request(Method::Invite), local(), remote(), START);
    let mut out = Vec::new();
    server.retransmitted(after(500), &mut out);
    assert_eq!((out.len(), server.resend(), server.deadline()), (0, None, None));
}

/// Timer G doubles up to T2 for every final response; timers H and L end it.
#[test]
fn unacknowledged_final_responses_are_repeated_up_to_64_t1() {
    for (state, status) in [(Completed, 486), (Accepted, 200)] {
        let mut server = in_state(state);
        let schedule = schedule(START, |now, out| {
            now.into_iter().for_each(|now| server.timeout(now, out));
            server.deadline()
        });
        let at = [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
        let sends = at.map(|at| (at, format!("send {status}")));
        let ends = [(32_000, "timed out".to_owned()), (32_000, "terminated".to_owned())];
        assert_eq!(schedule, sends.into_iter().chain(ends).collect::<Vec<_>>());
    }
}

#[test]
fn the_ack_of_a_2xx_ends_its_repetition_but_not_the_transaction() {
    let (mut server, mut out) = (in_state(Accepted), Vec::new());
    assert!(server.awaits_ack_of_success());
    server.acked(after(100), &mut out);
    assert!(!server.awaits_ack_of_success());
    assert_eq!(server.resend(), None);
    assert_eq!(server.deadline(), Some(after(32_000)));
    server.timeout(after(32_000), &mut out);
    assert_eq!(describe(&out), ["terminated"]);
}

#[test]
fn the_ack_of_a_failure_leaves_timer_i() {
    assert_eq!(in_state(Confirmed).deadline(), Some(after(5_000)));
    assert_eq!(in_state(Proceeding).deadline(), None);
    assert_eq!(in_state(Terminated).deadline(), None);
}

#[test]
fn what_is_sent_again_after_a_takeover() {
    let sent = STATES.map(|state| {
        let transmit = in_state(state).resend();
        describe(&transmit.map(Output::Send).into_iter().collect::<Vec<_>>()).pop()
    });
    let [ringing, busy, ok] = ["send 180", "send 486", "send 200"].map(|what| Some(what.to_owned()));
    assert_eq!(sent, [ringing, busy, None, ok, None]);
}

#[test]
fn without_rport_responses_go_to_the_port_of_sent_by() {
    let mut invite = request(Method::Invite);
    invite.headers.replace_first("Via", "SIP/2.0/UDP 10.0.0.9:5099;branch=z9hG4bKold");
    let mut server = InviteServer::receive(&invite, local(), remote(), START);
    let mut out = Vec::new();
    server.respond(&response(&invite, 100), START, &mut out);
    let expected: SocketAddr = ([192, 0, 2, 20], 5099).into();
    assert!(matches!(out.as_slice(), [Output::Send(transmit)] if transmit.destination == expected));
}
