//! The role follows what the nodes track: weights, faults, and the delay of preemption.

use std::time::Duration;

use base::Position;

use super::pair::{A, B, Pair, settings};
use crate::cluster::{Failback, Settings};
use crate::heartbeat::Role;
use crate::output::{Notice, Output, SwitchOverRefused};
use crate::timing::Timing;
use crate::track::Standing;

const WELL: Standing = Standing { penalty: 0, fault: false };
const FAULT: Standing = Standing { penalty: 0, fault: true };

fn worse(penalty: u8) -> Standing {
    Standing { penalty, fault: false }
}

/// A serves, B is in step; both of these priorities, and A's failback.
fn pair(priorities: [u8; 2], failback: Failback, preempt_delay: Duration) -> Pair {
    let mut pair = Pair::new();
    let timing = Timing { settle: preempt_delay, ..Timing::default() };
    pair.start(A, Settings { failback, timing, ..settings(A, priorities[A]) }, Position::default());
    pair.run(2_000);
    pair.start(B, settings(B, priorities[B]), Position::default());
    pair.run(100);
    pair.come_into_step(A, B);
    pair.run(100);
    assert_eq!(pair.roles(), [Some(Role::Active), Some(Role::Standby)]);
    pair
}

fn tracks(pair: &mut Pair, node: usize, standing: Standing) {
    pair.input(node, |cluster, now| cluster.tracked(now, standing));
}

fn hand_overs(pair: &Pair) -> usize {
    pair.count(A, |output| *output == Output::BeginHandOver)
}

/// Priorities of both, what A's and B's tracks subtract, and whether A hands over for it.
#[test]
fn a_failure_moves_the_role_when_the_other_node_is_better_by_it() {
    let cases = [
        ([150, 150], [20, 0], true),
        ([150, 150], [20, 20], false),
        ([150, 150], [20, 30], false),
        ([150, 150], [30, 20], true),
        ([150, 100], [20, 0], false),
        ([150, 100], [50, 0], false),
        ([150, 100], [51, 0], true),
        ([100, 150], [0, 0], false),
        ([100, 150], [1, 0], true),
        ([1, 1], [200, 0], false),
    ];
    for (priorities, penalties, expected) in cases {
        let mut pair = pair(priorities, Failback::Manual, Duration::from_secs(20));
        tracks(&mut pair, B, worse(penalties[B]));
        pair.run(100);
        tracks(&mut pair, A, worse(penalties[A]));
        pair.run(1_950);
        assert_eq!(hand_overs(&pair), 0, "{priorities:?} {penalties:?}: it settles first");
        pair.run(100);
        assert_eq!(hand_overs(&pair), usize::from(expected), "{priorities:?} {penalties:?}");
    }
}

#[test]
fn a_failure_that_ends_in_time_moves_nothing() {
    let mut pair = pair([150, 150], Failback::Manual, Duration::from_secs(20));
    for _ in 0..5 {
        tracks(&mut pair, A, worse(20));
        pair.run(1_900);
        tracks(&mut pair, A, WELL);
        pair.run(100);
    }
    assert_eq!(hand_overs(&pair), 0);
}

#[test]
fn why_the_role_moves_is_told() {
    let mut pair = pair([150, 140], Failback::Manual, Duration::from_secs(20));
    tracks(&mut pair, A, worse(20));
    pair.run(2_100);
    assert_eq!(pair.count(A, |it| *it == Output::Notice(Notice::Outranked { own: 130, peer: 140 })), 1);
}

#[test]
fn a_fault_moves_the_role_at_once_and_keeps_it_away() {
    let mut pair = pair([150, 150], Failback::Manual, Duration::from_secs(20));
    tracks(&mut pair, A, FAULT);
    assert_eq!(hand_overs(&pair), 1);
    let position = Position::default();
    pair.input(B, |cluster, now| cluster.handed_over(now, position));
    pair.run(100);
    assert_eq!(pair.roles(), [Some(Role::Standby), Some(Role::Active)]);
    pair.come_into_step(B, A);
    pair.run(100);
    let now = pair.now;
    assert_eq!(pair.node(B).switch_over(now), Err(SwitchOverRefused::PeerWithoutCarrier));
    pair.kill(B);
    pair.run(10_000);
    assert_eq!(pair.node(A).role(), Role::Standby, "it does not serve, whoever is gone");
    assert_eq!(pair.count(A, |output| *output == Output::Notice(Notice::Fault)), 1);
    tracks(&mut pair, A, WELL);
    pair.until(A, Role::Active, 10_000);
}

/// A node that nobody can take over from goes on: availability comes first.
#[test]
fn a_fault_at_both_nodes_moves_nothing() {
    let mut pair = pair([150, 150], Failback::Manual, Duration::from_secs(20));
    tracks(&mut pair, B, FAULT);
    pair.run(100);
    tracks(&mut pair, A, FAULT);
    pair.run(10_000);
    assert_eq!((hand_overs(&pair), pair.node(A).role()), (0, Role::Active));
}

/// facts/vrrp.md: `nopreempt`, `preempt_delay` (0-1000 s).
#[test]
fn the_preferred_node_takes_back_after_the_delay() {
    for seconds in [0, 1, 30] {
        let delay = Duration::from_secs(seconds);
        let mut pair = pair([100, 150], Failback::Automatic, delay);
        let waited = 140;
        pair.run((seconds * 1_000).saturating_sub(waited));
        assert_eq!(hand_overs(&pair), usize::from(seconds == 0));
        pair.run(waited);
        assert_eq!(hand_overs(&pair), 1, "{seconds} s");
    }
}

#[test]
fn the_preferred_node_does_not_take_back_while_something_fails_there() {
    let mut pair = pair([100, 150], Failback::Automatic, Duration::from_secs(1));
    tracks(&mut pair, B, worse(50));
    pair.run(20_000);
    assert_eq!(hand_overs(&pair), 0);
    tracks(&mut pair, B, WELL);
    pair.run(900);
    assert_eq!(hand_overs(&pair), 0, "the delay begins when it is well");
    pair.run(200);
    assert_eq!(hand_overs(&pair), 1);
}

/// A peer of the version before says nothing of what it tracks.
#[test]
fn a_peer_that_says_nothing_is_taken_at_its_priority() {
    let mut pair = pair([150, 140], Failback::Manual, Duration::from_secs(20));
    assert_eq!(pair.node(A).peer().rank(), 140);
    tracks(&mut pair, B, worse(250));
    pair.run(100);
    assert_eq!(pair.node(A).peer().rank(), 1);
}
