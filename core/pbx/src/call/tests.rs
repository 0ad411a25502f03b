//! Each state of a call against each input that can meet it there: what becomes of the call, and what is said to whom.
//!
//! The table is in `states.txt`. `UPDATE=1 cargo test -p tandem-pbx --lib call::tests` writes it anew; read the
//! difference before you keep it.

use std::fmt::Write;
use std::time::Duration;

use crate::pbx::tests::bench::Bench;

/// What is done to a bench, by name.
type Named = (&'static str, fn(&mut Bench));

/// How a bench is brought into a state.
const STATES: [Named; 11] = [
    ("dialing, callee silent", |bench| bench.call("5001")),
    ("dialing, callee rings", |bench| {
        bench.call("5001");
        bench.answer(180, false);
    }),
    ("dialing, early media", |bench| {
        bench.call("5001");
        bench.answer(183, true);
    }),
    ("answered, caller's ACK missing", |bench| {
        bench.call("5001");
        bench.answer(200, true);
    }),
    ("bridged", Bench::talk),
    ("bridged, caller holds", |bench| {
        bench.talk();
        bench.hold("sendonly");
        bench.ack();
    }),
    ("echo", |bench| {
        bench.call("600");
        bench.ack();
    }),
    ("waiting", |bench| {
        bench.call("603");
        bench.ack();
    }),
    ("cancelled, callee silent", |bench| {
        bench.call("5001");
        bench.cancel();
    }),
    ("cancelled, callee rings", |bench| {
        bench.call("5001");
        bench.answer(180, false);
        bench.cancel();
    }),
    ("hung up by the caller", |bench| {
        bench.talk();
        bench.bye_of_caller();
    }),
];

const INPUTS: [Named; 22] = [
    ("caller: INVITE again", Bench::invite_again),
    ("caller: ACK", Bench::ack),
    ("caller: CANCEL", Bench::cancel),
    ("caller: BYE", Bench::bye_of_caller),
    ("caller: BYE, old CSeq", Bench::bye_with_old_cseq),
    ("caller: re-INVITE hold", |bench| bench.hold("sendonly")),
    ("caller: re-INVITE resume", |bench| bench.hold("sendrecv")),
    ("caller: re-INVITE without SDP", Bench::reinvite_without_sdp),
    ("caller: OPTIONS", |bench| bench.in_dialog(sip::Method::Options)),
    ("caller: INFO", |bench| bench.in_dialog(sip::Method::Info)),
    ("callee: 100", |bench| bench.answer(100, false)),
    ("callee: 180", |bench| bench.answer(180, false)),
    ("callee: 183 with SDP", |bench| bench.answer(183, true)),
    ("callee: 200", |bench| bench.answer(200, true)),
    ("callee: 200 without SDP", |bench| bench.answer(200, false)),
    ("callee: 302", |bench| bench.answer(302, false)),
    ("callee: 486", |bench| bench.answer(486, false)),
    ("callee: 487", |bench| bench.answer(487, false)),
    ("callee: 503", |bench| bench.answer(503, false)),
    ("callee: BYE", Bench::bye_of_callee),
    ("time: 26 s", |bench| bench.wait(Duration::from_secs(26))),
    ("time: 2 min", |bench| bench.wait(Duration::from_secs(120))),
];

#[test]
fn each_state_meets_each_input() {
    let mut table = String::new();
    for (state, reach) in STATES {
        let _ = writeln!(table, "## {state}");
        for (input, apply) in INPUTS {
            let mut bench = Bench::new();
            reach(&mut bench);
            bench.said.clear();
            apply(&mut bench);
            let _ = writeln!(table, "{input:<30} {:<34} {}", bench.describe(), bench.summary());
            bench.must_be_whole();
        }
    }
    expect(&table);
}

/// After any input in any state the call can still be ended, and nothing of it is left.
#[test]
fn every_call_comes_to_an_end() {
    for (state, reach) in STATES {
        for (input, apply) in INPUTS {
            let mut bench = Bench::new();
            reach(&mut bench);
            apply(&mut bench);
            bench.move_to_other_node();
            bench.bye_of_caller();
            bench.wait(Duration::from_secs(200));
            assert_eq!(bench.describe(), "gone", "{state}, {input}");
            assert_eq!(bench.records(), 1, "{state}, {input}: exactly one record");
            bench.must_be_whole();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "only a test that is asked to writes its expectation")]
fn expect(table: &str) {
    let expected = include_str!("states.txt");
    if std::env::var_os("UPDATE").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/call/states.txt");
        std::fs::write(path, table).unwrap();
        return;
    }
    for (line, (found, wanted)) in table.lines().zip(expected.lines()).enumerate() {
        assert_eq!(found, wanted, "states.txt line {}", line + 1);
    }
    assert_eq!(table.lines().count(), expected.lines().count());
}
