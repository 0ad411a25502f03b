//! Ping targets: who sees nothing does not serve, who sees more is handed the role.

use std::time::Duration;

use super::pair::{A, B, Pair};
use crate::cluster::{Pings, Safeguards};
use crate::heartbeat::Role;
use crate::output::{Notice, Output, SwitchOverRefused};

const SETTLE: Duration = Duration::from_secs(5);
const ALL: Pings = Pings { answering: 2, targets: 2 };
const ONE: Pings = Pings { answering: 1, targets: 2 };
const NONE: Pings = Pings { answering: 0, targets: 2 };

fn pair() -> Pair {
    let mut pair = Pair::in_step_with(None, Safeguards { ping_settle: SETTLE, ..Safeguards::default() });
    told(&mut pair, A, ALL);
    told(&mut pair, B, ALL);
    pair.run(100);
    pair
}

fn told(pair: &mut Pair, node: usize, pings: Pings) {
    pair.input(node, |cluster, now| cluster.pings(now, pings));
}

fn hand_overs(pair: &Pair) -> usize {
    pair.count(A, |output| *output == Output::BeginHandOver)
}

#[test]
fn who_sees_no_target_does_not_take_over() {
    let mut pair = pair();
    told(&mut pair, B, NONE);
    pair.kill(A);
    pair.run(10_000);
    assert_eq!(pair.node(B).role(), Role::Standby);
    assert_eq!(pair.count(B, |output| *output == Output::Notice(Notice::SeesNothing)), 1);
    told(&mut pair, B, ONE);
    assert_eq!(pair.node(B).role(), Role::Active);
}

#[test]
fn who_sees_fewer_for_long_hands_over_and_not_for_a_moment() {
    let mut pair = pair();
    told(&mut pair, A, ONE);
    pair.run(4_900);
    told(&mut pair, A, ALL);
    pair.run(4_900);
    assert_eq!(hand_overs(&pair), 0, "it was a moment");
    told(&mut pair, A, NONE);
    pair.run(4_990);
    assert_eq!(hand_overs(&pair), 0);
    pair.run(50);
    assert_eq!(hand_overs(&pair), 1);
}

#[test]
fn targets_that_nobody_sees_move_nothing() {
    let mut pair = pair();
    told(&mut pair, A, NONE);
    told(&mut pair, B, NONE);
    pair.run(60_000);
    assert_eq!((hand_overs(&pair), pair.roles()), (0, [Some(Role::Active), Some(Role::Standby)]));
    let now = pair.now;
    assert_eq!(pair.node(A).switch_over(now), Err(SwitchOverRefused::PeerSeesNothing));
}

#[test]
fn a_peer_that_does_not_know_yet_is_not_taken_for_a_better_one() {
    let mut pair = Pair::in_step_with(None, Safeguards { ping_settle: SETTLE, ..Safeguards::default() });
    told(&mut pair, A, NONE);
    pair.run(60_000);
    assert_eq!(hand_overs(&pair), 0);
}
