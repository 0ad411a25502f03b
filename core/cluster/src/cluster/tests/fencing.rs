//! The fencing of a silent peer: when the program runs, and what waits for it.

use std::time::Duration;

use super::pair::{A, B, Pair};
use crate::cluster::{Fencing, OnFailure, Safeguards};
use crate::heartbeat::Role;
use crate::output::{Notice, Output};

const TIMEOUT: Duration = Duration::from_secs(4);

fn pair(wait: bool, on_failure: OnFailure) -> Pair {
    let fencing = Fencing { wait, timeout: TIMEOUT, on_failure };
    Pair::in_step_with(None, Safeguards { fencing: Some(fencing), ..Safeguards::default() })
}

fn runs(pair: &Pair) -> Vec<u64> {
    let number = |output: &Output| match output {
        Output::Fence(fence) => Some(fence.number),
        _ => None,
    };
    pair.record.iter().filter(|(_, node, _)| *node == B).filter_map(|(_, _, output)| number(output)).collect()
}

fn failures(pair: &Pair, serves: bool) -> usize {
    pair.count(B, |output| *output == Output::Notice(Notice::FencingFailed { serves }))
}

#[test]
fn a_silent_peer_is_fenced_beside_the_takeover_or_before_it() {
    let mut pair = pair(false, OnFailure::Serve);
    pair.kill(A);
    assert!(pair.until(B, Role::Active, 1_000) <= 121);
    assert_eq!(runs(&pair).len(), 1);

    let mut pair = self::pair(true, OnFailure::Serve);
    pair.kill(A);
    pair.run(2_000);
    let numbers = runs(&pair);
    assert_eq!((numbers.len(), pair.node(B).role()), (1, Role::Standby));
    pair.input(B, |node, now| node.fenced(now, numbers[0] + 1, true));
    assert_eq!(pair.node(B).role(), Role::Standby, "that was another one");
    pair.input(B, |node, now| node.fenced(now, numbers[0], true));
    assert_eq!(pair.node(B).role(), Role::Active);
}

#[test]
fn who_is_told_of_the_end_or_asked_to_serve_fences_nobody() {
    for wait in [false, true] {
        let mut pair = pair(wait, OnFailure::Stay);
        let life = pair.node(A).incarnation();
        pair.kill(A);
        pair.input(B, |node, now| node.farewell(now, life));
        assert_eq!((pair.node(B).role(), runs(&pair)), (Role::Active, vec![]));

        let mut pair = self::pair(wait, OnFailure::Stay);
        pair.input(B, |node, now| node.handed_over(now, Default::default()));
        pair.run(1_000);
        assert_eq!((pair.node(B).role(), runs(&pair)), (Role::Active, vec![]));

        let mut pair = self::pair(wait, OnFailure::Stay);
        pair.input(A, |node, now| node.leave(now));
        pair.run(1_000);
        assert_eq!((pair.node(B).role(), runs(&pair)), (Role::Active, vec![]));
    }
}

#[test]
fn a_failure_and_a_timeout_do_what_is_configured() {
    for fails in [true, false] {
        let mut pair = pair(true, OnFailure::Serve);
        pair.kill(A);
        pair.run(1_000);
        if fails {
            let number = runs(&pair)[0];
            pair.input(B, |node, now| node.fenced(now, number, false));
        } else {
            pair.run(TIMEOUT.as_millis() as u64);
        }
        assert_eq!((pair.node(B).role(), failures(&pair, true)), (Role::Active, 1));

        let mut pair = self::pair(true, OnFailure::Stay);
        pair.kill(A);
        pair.run(1_000);
        if fails {
            let number = runs(&pair)[0];
            pair.input(B, |node, now| node.fenced(now, number, false));
        } else {
            pair.run(TIMEOUT.as_millis() as u64);
        }
        assert_eq!((pair.node(B).role(), failures(&pair, false)), (Role::Standby, 1));
        pair.run(10_500);
        let numbers = runs(&pair);
        assert_eq!(numbers.len(), 2, "it is tried again");
        pair.input(B, |node, now| node.fenced(now, numbers[1], true));
        assert_eq!(pair.node(B).role(), Role::Active);
    }
}

#[test]
fn a_peer_that_is_heard_again_is_followed_and_not_replaced() {
    let mut pair = pair(true, OnFailure::Serve);
    pair.mute = [true; 2];
    pair.run(500);
    let numbers = runs(&pair);
    assert_eq!(numbers.len(), 1);
    pair.mute = [false; 2];
    pair.run(500);
    pair.input(B, |node, now| node.fenced(now, numbers[0], true));
    pair.run(5_000);
    assert_eq!(pair.roles(), [Some(Role::Active), Some(Role::Standby)]);
}

#[test]
fn a_takeover_that_did_not_wait_tells_of_a_failure() {
    let mut pair = pair(false, OnFailure::Stay);
    pair.kill(A);
    pair.run(500);
    let number = runs(&pair)[0];
    pair.input(B, |node, now| node.fenced(now, number, false));
    assert_eq!((pair.node(B).role(), failures(&pair, true)), (Role::Active, 1));
}
