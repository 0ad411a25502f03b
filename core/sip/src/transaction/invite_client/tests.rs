//! Every state x every input of the INVITE client transaction, its timers, and its ACK and CANCEL.

use super::super::tests::{START, after, describe, local, remote, request, response, schedule};
use super::*;
use InviteClientState::{Accepted, Calling, Completed, Proceeding, Terminated};

const STATES: [InviteClientState; 5] = [Calling, Proceeding, Completed, Accepted, Terminated];

fn start() -> InviteClient {
    InviteClient::start(&request(Method::Invite), local(), remote(), START, &mut Vec::new())
}

fn in_state(state: InviteClientState) -> InviteClient {
    let mut client = start();
    let responses: &[u16] = match state {
        Calling => &[],
        Proceeding => &[180],
        Completed | Terminated => &[486],
        Accepted => &[200],
    };
    for status in responses {
        client.response(&response(&request(Method::Invite), *status), START, &mut Vec::new());
    }
    if state == Terminated {
        client.timeout(after(32_000), &mut Vec::new());
    }
    assert_eq!(client.state(), state);
    client
}

#[test]
fn every_state_and_input() {
    let nothing: &[&str] = &[];
    // For each state: what 183, 200, 487, the retransmission timer and the end timer lead to.
    let table = [
        (
            Calling,
            [
                (Proceeding, ["deliver 183"].as_slice()),
                (Accepted, &["deliver 200"]),
                (Completed, &["send ACK", "deliver 487"]),
                (Calling, &["send INVITE"]),
                (Terminated, &["timed out", "terminated"]),
            ],
        ),
        (
            Proceeding,
            [
                (Proceeding, &["deliver 183"]),
                (Accepted, &["deliver 200"]),
                (Completed, &["send ACK", "deliver 487"]),
                (Proceeding, nothing),
                (Terminated, &["timed out", "terminated"]),
            ],
        ),
        (
            Completed,
            [
                (Completed, nothing),
                (Completed, nothing),
                (Completed, &["send ACK"]),
                (Completed, nothing),
                (Terminated, &["terminated"]),
            ],
        ),
        (
            Accepted,
            [
                (Accepted, nothing),
                (Accepted, &["deliver 200"]),
                (Accepted, nothing),
                (Accepted, nothing),
                (Terminated, &["terminated"]),
            ],
        ),
        (Terminated, [(Terminated, nothing); 5]),
    ];
    assert_eq!(table.map(|(state, _)| state), STATES);
    let responses = [183, 200, 487].map(|status| response(&request(Method::Invite), status));
    for (state, rows) in table {
        let inputs = responses.iter().map(|response| Input::Response(Kind::of(response), response));
        let inputs = inputs.chain([Input::Retransmission, Input::End]);
        for (row, (input, (next, outputs))) in inputs.zip(rows).enumerate() {
            let (mut client, mut out) = (in_state(state), Vec::new());
            client.step(input, after(600), &mut out);
            assert_eq!(client.state(), next, "{state:?}, input {row}");
            assert_eq!(describe(&out), outputs, "{state:?}, input {row}");
            assert_eq!(client.is_terminated(), client.state() == Terminated);
        }
    }
}

#[test]
fn timer_a_doubles_until_timer_b() {
    let mut client = start();
    let schedule = schedule(START, |now, out| {
        now.into_iter().for_each(|now| client.timeout(now, out));
        client.deadline()
    });
    let sends = [500, 1_500, 3_500, 7_500, 15_500, 31_500].map(|at| (at, "send INVITE".to_owned()));
    let ends = [(32_000, "timed out".to_owned()), (32_000, "terminated".to_owned())];
    assert_eq!(schedule, sends.into_iter().chain(ends).collect::<Vec<_>>());
}

#[test]
fn deadlines_of_the_states() {
    let ends = STATES.map(|state| in_state(state).deadline());
    assert_eq!(ends, [Some(after(500)), None, Some(after(32_000)), Some(after(32_000)), None]);
}

#[test]
fn nothing_happens_before_the_deadline() {
    let (mut client, mut out) = (start(), Vec::new());
    client.timeout(after(499), &mut out);
    assert_eq!((out.len(), client), (0, start()));
}

/// A takeover takes time; what was missed is sent once, not in a burst.
#[test]
fn missed_retransmissions_are_sent_once() {
    let (mut client, mut out) = (start(), Vec::new());
    client.timeout(after(10_000), &mut out);
    assert_eq!(describe(&out), ["send INVITE"]);
    assert_eq!(client.deadline(), Some(after(11_000)));
}

#[test]
fn what_is_sent_again_after_a_takeover() {
    let sent = STATES.map(|state| {
        let transmit = in_state(state).resend();
        describe(&transmit.map(Output::Send).into_iter().collect::<Vec<_>>()).pop()
    });
    let [invite, ack] = ["send INVITE", "send ACK"].map(|what| Some(what.to_owned()));
    assert_eq!(sent, [invite.clone(), invite, ack, None, None]);
}

#[test]
fn the_invite_is_sent_as_it_was_given() {
    let mut out = Vec::new();
    let client = InviteClient::start(&request(Method::Invite), local(), remote(), START, &mut out);
    assert_eq!(client.branch(), "z9hG4bKbranch1");
    assert_eq!(
        out,
        [Output::Send(Transmit { local: local(), destination: remote(), bytes: request(Method::Invite).to_bytes() })]
    );
}

#[test]
fn the_ack_has_the_branch_of_the_invite_and_the_to_of_the_response() {
    let invite = request(Method::Invite);
    let client = in_state(Completed);
    let ack = client.ack.clone().expect("an ACK");
    assert_eq!((&ack.method, &ack.uri), (&Method::Ack, &invite.uri));
    assert_eq!(ack.headers.values("Via").collect::<Vec<_>>(), [invite.header("Via").expect("Via")]);
    assert_eq!(ack.headers.values("Route").count(), 2);
    assert_eq!(ack.header("To"), Some("<sip:5001@192.0.2.100>;tag=theirs"));
    assert_eq!(ack.header("From"), invite.header("From"));
    assert_eq!(ack.call_id(), "call-1");
    assert_eq!(ack.header("CSeq"), Some("17 ACK"));
    assert_eq!(ack.header("Contact"), None);
}

#[test]
fn cancel_follows_the_invite() {
    let invite = request(Method::Invite);
    let cancel = in_state(Proceeding).cancel_request();
    assert_eq!((&cancel.method, &cancel.uri), (&Method::Cancel, &invite.uri));
    for name in ["Via", "From", "To", "Call-ID"] {
        assert_eq!(cancel.header(name), invite.header(name), "{name}");
    }
    assert_eq!(cancel.headers.values("Route").count(), 2);
    assert_eq!(cancel.header("CSeq"), Some("17 CANCEL"));
    assert_eq!(STATES.map(|state| in_state(state).may_cancel()), [false, true, false, false, false]);
}

#[test]
fn a_cancelled_invite_that_gets_no_final_response_ends() {
    let (mut client, mut out) = (in_state(Proceeding), Vec::new());
    client.cancelled(after(1_000));
    client.cancelled(after(2_000));
    assert_eq!(client.deadline(), Some(after(33_000)));
    client.timeout(after(33_000), &mut out);
    assert_eq!(describe(&out), ["timed out", "terminated"]);

    for state in [Calling, Completed, Accepted, Terminated] {
        let (mut client, before) = (in_state(state), in_state(state));
        client.cancelled(after(1_000));
        assert_eq!(client, before);
    }
}

/// A 1xx between the CANCEL and the final response must not disarm what ends the INVITE.
#[test]
fn a_provisional_response_does_not_prolong_a_cancelled_invite() {
    let mut client = in_state(Proceeding);
    client.cancelled(after(1_000));
    client.response(&response(&request(Method::Invite), 180), after(2_000), &mut Vec::new());
    assert_eq!(client.deadline(), Some(after(33_000)));
}
