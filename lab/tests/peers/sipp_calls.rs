//! Calls between two SIPps through a pair.

use std::thread;
use std::time::Duration;

use crate::capture::{Capture, now_us};
use crate::pair::{Fault, Lab};
use crate::sipp::{Example, INTERNAL, PJSIP, RAMAIS, Sipp, register};

/// Calls of a loaded run, ten new ones a second; each talks for six seconds.
const CALLS: u32 = 50;

/// In the middle: 25 calls are up or being made, 25 are to come.
const STRIKE_AFTER: Duration = Duration::from_millis(2_500);

/// The caller speaks for three seconds, 50 packets each, all of which come back.
const ECHOED_MIN: usize = 120;

/// Both phones register, and call each other with audio: once the caller hangs up, once the called.
fn calls_each_other(example: &Example) {
    let mut lab = Lab::pair(example.name);
    let Example { port, caller, called, .. } = *example;
    // Three seconds of G.711 for the scenarios to play: the same packet again and again.
    let word: Vec<u8> = (0..160).collect();
    std::fs::write(lab.directory.join("speech.ulaw"), word.repeat(150)).expect("a file");
    let ear = Capture::start(lab.host("one"));
    register(&lab, "one", caller, port);
    register(&lab, "two", called, port);
    let talks = |caller_scenario, called_scenario| {
        let from_us = now_us();
        let listening = Sipp::start(&lab, "two", called_scenario, called, port, 1, &["-aa", "-rtp_echo"]);
        // It must have its socket before the call comes.
        thread::sleep(Duration::from_millis(300));
        let talking = Sipp::start(&lab, "one", caller_scenario, caller, port, 1, &["-s", called.number, "-aa"]);
        talking.succeeds();
        listening.succeeds();
        let heard = ear.since(from_us);
        assert!(heard.len() >= ECHOED_MIN, "{} packets came back to the caller", heard.len());
        assert!(heard.iter().all(|packet| packet.payload == word), "they are the ones that were sent");
    };
    talks("calls_and_hangs_up", "answers");
    talks("calls", "answers_and_hangs_up");
    let rows = lab.wait_records(2);
    assert!(rows.iter().all(|row| row.src == caller.number && row.dst == called.number), "{rows:?}");
    assert!(rows.iter().all(|row| (2.0..=5.0).contains(&row.billsec)), "{rows:?}");
    lab.wait_protected();
}

/// Fifty calls at ten a second while the node that serves is struck in the middle: SIPp loses none.
fn loses_no_call(fault: Fault) {
    let mut lab = Lab::pair(RAMAIS.name);
    let Example { port, caller, called, .. } = RAMAIS;
    register(&lab, "two", called, port);
    let active = lab.wait_protected();
    let calls = CALLS.to_string();
    let listening = Sipp::start(&lab, "two", "answers", called, port, CALLS, &["-aa"]);
    thread::sleep(Duration::from_millis(300));
    let load = ["-s", called.number, "-r", "10", "-l", &calls, "-aa"];
    let talking = Sipp::start(&lab, "one", "calls_under_load", caller, port, CALLS, &load);
    thread::sleep(STRIKE_AFTER);
    lab.strike(fault, active);
    talking.succeeds();
    listening.succeeds();
    lab.heal(fault, active);
    assert_eq!(lab.wait_protected(), 1 - active, "the other node serves");
    let rows = lab.wait_records(CALLS as usize);
    assert!(rows.iter().all(|row| (5.0..=9.0).contains(&row.billsec)), "{rows:?}");
}

#[test]
fn sipp_calls_with_the_first_published_example() {
    calls_each_other(&RAMAIS);
}

#[test]
fn sipp_calls_with_the_second_published_example() {
    calls_each_other(&INTERNAL);
}

#[test]
fn sipp_calls_with_the_pjsip_form() {
    calls_each_other(&PJSIP);
}

#[test]
fn sipp_loses_no_call_when_the_node_is_killed() {
    loses_no_call(Fault::Kill);
}

#[test]
fn sipp_loses_no_call_when_the_node_is_cut_off() {
    loses_no_call(Fault::Cut);
}
