//! What operators want of the role, on two machines.

use base::Position;

use super::pair::{A, B, Pair, settings};
use crate::cluster::Failback;
use crate::heartbeat::{Drain, Role};
use crate::output::{Notice, Output, SwitchOverRefused};

fn begins(output: &Output) -> bool {
    *output == Output::BeginHandOver
}

/// Lets the node that serves lose its peer's farewell.
fn farewell(pair: &mut Pair, dead: usize) {
    let incarnation = pair.node(dead).incarnation();
    pair.kill(dead);
    pair.input(1 - dead, |node, now| node.farewell(now, incarnation));
}

#[test]
fn a_drained_standby_takes_over_from_the_dead() {
    let mut pair = Pair::in_step();
    pair.input(B, |node, now| node.set_drain(now, Drain::Drained));
    pair.run(100);
    farewell(&mut pair, A);
    assert_eq!(pair.node(B).role(), Role::Active);
}

#[test]
fn one_that_is_drained_for_good_does_not_and_says_so_once() {
    let mut pair = Pair::in_step();
    pair.input(B, |node, now| node.set_drain(now, Drain::Never));
    pair.run(100);
    farewell(&mut pair, A);
    pair.run(20_000);
    assert_eq!(pair.node(B).role(), Role::Standby);
    assert_eq!(pair.count(B, |output| *output == Output::Notice(Notice::DrainedForGood)), 1);
    pair.input(B, |node, now| node.set_drain(now, Drain::Ended));
    assert_eq!(pair.node(B).role(), Role::Active, "nobody was heard since the leader's end");
}

#[test]
fn nobody_is_handed_the_role_who_is_drained() {
    let mut pair = Pair::in_step();
    for (drain, by_operator, when_stopped) in [
        (Drain::Drained, Err(SwitchOverRefused::PeerDrained), Ok(())),
        (Drain::Never, Err(SwitchOverRefused::PeerDrained), Err(SwitchOverRefused::PeerDrained)),
        (Drain::Ended, Ok(()), Ok(())),
    ] {
        pair.input(B, |node, now| node.set_drain(now, drain));
        pair.run(50);
        assert_eq!(pair.node(A).may_step_down(), when_stopped, "{drain:?}");
        let now = pair.now;
        let asked = pair.node(A).clone().switch_over(now).map(|_| ());
        assert_eq!(asked, by_operator, "{drain:?}");
    }
}

#[test]
fn a_preferred_node_is_not_handed_the_role_while_it_is_drained() {
    let mut pair = Pair::new();
    let automatic =
        |node, priority| crate::cluster::Settings { failback: Failback::Automatic, ..settings(node, priority) };
    pair.start(A, automatic(A, 100), Position::default());
    pair.run(2_000);
    pair.disks[B].drain = Drain::Drained;
    pair.start(B, automatic(B, 150), Position::default());
    pair.run(200);
    pair.come_into_step(A, B);
    pair.run(60_000);
    assert_eq!(pair.count(A, begins), 0);
    pair.input(B, |node, now| node.set_drain(now, Drain::Ended));
    pair.run(100);
    assert_eq!(pair.count(A, begins), 1, "it has been in step for long");
}

/// One that had to take over hands back when the other one has settled.
#[test]
fn a_drained_node_that_serves_hands_over_when_somebody_can_take_over() {
    let mut pair = Pair::in_step();
    pair.run(1_000);
    pair.input(A, |node, now| node.set_drain(now, Drain::Drained));
    pair.run(18_000);
    assert_eq!(pair.count(A, begins), 0);
    pair.run(2_000);
    assert_eq!(pair.count(A, begins), 1);
    // Where both are wanted out there is nobody to hand to.
    let mut pair = Pair::in_step();
    pair.input(A, |node, now| node.set_drain(now, Drain::Drained));
    pair.input(B, |node, now| node.set_drain(now, Drain::Drained));
    pair.run(60_000);
    assert_eq!(pair.count(A, begins), 0);
}

#[test]
fn one_that_is_behind_is_not_handed_the_role_by_choice_but_takes_over_from_the_dead() {
    let mut pair = Pair::in_step();
    pair.nodes[A].as_mut().unwrap().set_follower_behind(true);
    let now = pair.now;
    let asked = pair.node(A).clone().switch_over(now).map(|_| ());
    assert_eq!(asked, Err(SwitchOverRefused::PeerBehind));
    assert!(pair.node(A).clone().step_down(now).is_ok(), "a node that ends leaves the role to whoever there is");
    farewell(&mut pair, A);
    assert_eq!(pair.node(B).role(), Role::Active);
}
