//! Every state x every input of the non-INVITE client transaction, and its timers.

use super::super::tests::{START, after, describe, local, remote, request, response, schedule};
use super::*;
use crate::method::Method;
use NonInviteClientState::{Completed, Proceeding, Terminated, Trying};

const STATES: [NonInviteClientState; 4] = [Trying, Proceeding, Completed, Terminated];

fn in_state(state: NonInviteClientState) -> NonInviteClient {
    let options = request(Method::Options);
    let mut client = NonInviteClient::start(&options, local(), remote(), START, &mut Vec::new());
    match state {
        Trying => {}
        Proceeding => client.response(&response(&options, 100), START, &mut Vec::new()),
        Completed | Terminated => client.response(&response(&options, 200), START, &mut Vec::new()),
    }
    if state == Terminated {
        client.timeout(after(5_000), &mut Vec::new());
    }
    assert_eq!(client.state(), state);
    client
}

#[test]
fn every_state_and_input() {
    let nothing: &[&str] = &[];
    // For each state: what 183, 200, 404, the retransmission timer and the end timer lead to.
    let table = [
        (
            Trying,
            [
                (Proceeding, ["deliver 183"].as_slice()),
                (Completed, &["deliver 200"]),
                (Completed, &["deliver 404"]),
                (Trying, &["send OPTIONS"]),
                (Terminated, &["timed out", "terminated"]),
            ],
        ),
        (
            Proceeding,
            [
                (Proceeding, &["deliver 183"]),
                (Completed, &["deliver 200"]),
                (Completed, &["deliver 404"]),
                (Proceeding, &["send OPTIONS"]),
                (Terminated, &["timed out", "terminated"]),
            ],
        ),
        (
            Completed,
            [
                (Completed, nothing),
                (Completed, nothing),
                (Completed, nothing),
                (Completed, nothing),
                (Terminated, &["terminated"]),
            ],
        ),
        (Terminated, [(Terminated, nothing); 5]),
    ];
    assert_eq!(table.map(|(state, _)| state), STATES);
    let responses = [183, 200, 404].map(|status| response(&request(Method::Options), status));
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
fn timer_e_doubles_up_to_t2_until_timer_f() {
    let mut client = in_state(Trying);
    let schedule = schedule(START, |now, out| {
        now.into_iter().for_each(|now| client.timeout(now, out));
        client.deadline()
    });
    let at = [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500];
    let sends = at.map(|at| (at, "send OPTIONS".to_owned()));
    let ends = [(32_000, "timed out".to_owned()), (32_000, "terminated".to_owned())];
    assert_eq!(schedule, sends.into_iter().chain(ends).collect::<Vec<_>>());
}

#[test]
fn a_provisional_response_slows_timer_e_down_and_leaves_timer_f() {
    let mut client = in_state(Proceeding);
    let schedule = schedule(START, |now, out| {
        now.into_iter().for_each(|now| client.timeout(now, out));
        client.deadline()
    });
    let at = [500, 4_500, 8_500, 12_500, 16_500, 20_500, 24_500, 28_500];
    let sends = at.map(|at| (at, "send OPTIONS".to_owned()));
    let ends = [(32_000, "timed out".to_owned()), (32_000, "terminated".to_owned())];
    assert_eq!(schedule, sends.into_iter().chain(ends).collect::<Vec<_>>());
}

#[test]
fn deadlines_and_what_is_sent_again_after_a_takeover() {
    let deadlines = STATES.map(|state| in_state(state).deadline());
    assert_eq!(deadlines, [Some(after(500)), Some(after(500)), Some(after(5_000)), None]);
    assert_eq!(STATES.map(|state| in_state(state).resend().is_some()), [true, true, false, false]);
    let sent = in_state(Trying).resend().map(Output::Send);
    assert_eq!(describe(&Vec::from_iter(sent)), ["send OPTIONS"]);
    assert_eq!(in_state(Trying).branch(), "z9hG4bKbranch1");
}
