//! Every state x every input of the non-INVITE server transaction, and its timer.

use super::super::tests::{START, after, describe, local, remote, request, response};
use super::*;
use crate::method::Method;
use NonInviteServerState::{Completed, Proceeding, Terminated, Trying};

const STATES: [NonInviteServerState; 4] = [Trying, Proceeding, Completed, Terminated];

fn in_state(state: NonInviteServerState) -> NonInviteServer {
    let options = request(Method::Options);
    let mut server = NonInviteServer::receive(&options, local(), remote(), START);
    match state {
        Trying => {}
        Proceeding => server.respond(&response(&options, 100), START, &mut Vec::new()),
        Completed | Terminated => server.respond(&response(&options, 200), START, &mut Vec::new()),
    }
    if state == Terminated {
        server.timeout(after(32_000), &mut Vec::new());
    }
    assert_eq!(server.state(), state);
    server
}

#[test]
fn every_state_and_input() {
    let nothing: &[&str] = &[];
    // For each state: what responding with 183, 202 and 404, the request again and the end timer lead to.
    let table = [
        (
            Trying,
            [
                (Proceeding, ["send 183"].as_slice()),
                (Completed, &["send 202"]),
                (Completed, &["send 404"]),
                (Trying, nothing),
                (Terminated, &["terminated"]),
            ],
        ),
        (
            Proceeding,
            [
                (Proceeding, &["send 183"]),
                (Completed, &["send 202"]),
                (Completed, &["send 404"]),
                (Proceeding, &["send 100"]),
                (Terminated, &["terminated"]),
            ],
        ),
        (
            Completed,
            [
                (Completed, nothing),
                (Completed, nothing),
                (Completed, nothing),
                (Completed, &["send 200"]),
                (Terminated, &["terminated"]),
            ],
        ),
        (Terminated, [(Terminated, nothing); 5]),
    ];
    assert_eq!(table.map(|(state, _)| state), STATES);
    let responses = [183, 202, 404].map(|status| response(&request(Method::Options), status));
    for (state, rows) in table {
        let inputs = responses.iter().map(|response| Input::Respond(Kind::of(response), response));
        let inputs = inputs.chain([Input::Request, Input::End]);
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
fn timer_j_runs_from_the_final_response() {
    assert_eq!(STATES.map(|state| in_state(state).deadline()), [None, None, Some(after(32_000)), None]);
    let (mut server, mut out) = (in_state(Completed), Vec::new());
    server.timeout(after(31_999), &mut out);
    assert_eq!((out.len(), server.state()), (0, Completed));
    server.retransmitted(after(31_999), &mut out);
    server.timeout(after(32_000), &mut out);
    assert_eq!(describe(&out), ["send 200", "terminated"]);
}

#[test]
fn what_is_sent_again_after_a_takeover() {
    let sent = STATES.map(|state| {
        let transmit = in_state(state).resend();
        describe(&transmit.map(Output::Send).into_iter().collect::<Vec<_>>()).pop()
    });
    assert_eq!(sent, [None, Some("send 100".to_owned()), Some("send 200".to_owned()), None]);
}
