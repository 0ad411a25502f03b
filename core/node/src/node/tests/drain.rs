//! An operator takes nodes out of service.

use super::*;

const DRAIN: Operator = Operator::Drain(Drain::Drained);
const NEVER: Operator = Operator::Drain(Drain::Never);
const CALLS: Operator = Operator::Drain(Drain::Calls);
const END: Operator = Operator::Drain(Drain::Ended);

fn is_refused(answer: &Answer, because: &str) -> bool {
    matches!(answer, Answer::Refused { text } if text.contains(because))
}

fn is_done(answer: &Answer) -> bool {
    matches!(answer, Answer::Done { .. })
}

#[test]
fn a_node_that_serves_hands_over_and_stays_out() {
    let mut pair = Pair::protected();
    pair.register(0);
    pair.run(50);
    assert!(is_done(&pair.ask(0, DRAIN)));
    pair.run(1_000);
    assert_eq!(pair.roles(), [Role::Standby, Role::Active]);
    assert!(pair.nodes[1].is_protected(), "it still stands by");
    assert_eq!(pair.nodes[1].pbx().registrations(), 1);
    let [here, there] = [0, 1].map(|index| pair.nodes[index].status(pair.now));
    assert_eq!(here.drain.as_deref(), Some("drained"));
    assert_eq!(there.peer.and_then(|peer| peer.drain).as_deref(), Some("drained"));
    assert!(is_refused(&pair.ask(1, Operator::SwitchOver), "drained"));
    assert!(is_refused(&pair.ask(0, Operator::SwitchOver), "drained"));
    assert!(is_done(&pair.ask(0, END)));
    pair.run(50);
    assert!(is_done(&pair.ask(1, Operator::SwitchOver)));
    pair.run(1_000);
    assert_eq!(pair.roles(), [Role::Active, Role::Standby]);
}

/// Phones come first: who is out serves when nobody else does, and hands back when somebody can.
#[test]
fn a_drained_node_takes_over_from_the_dead_and_hands_back() {
    let mut pair = Pair::protected();
    pair.ask(1, DRAIN);
    pair.run(100);
    pair.kill(0);
    pair.run(100);
    assert_eq!(pair.nodes[1].role(), Role::Active);
    pair.start(0, Level::OWN, 1);
    pair.run(15_000);
    assert_eq!(pair.roles(), [Role::Standby, Role::Active], "the other one has to settle first");
    pair.run(10_000);
    assert_eq!(pair.roles(), [Role::Active, Role::Standby]);
    pair.run(60_000);
    assert_eq!(pair.roles(), [Role::Active, Role::Standby]);
}

#[test]
fn a_node_that_is_out_for_good_protects_nobody() {
    let mut pair = Pair::protected();
    pair.ask(1, NEVER);
    pair.run(100);
    let [active, standby] = [0, 1].map(|index| pair.nodes[index].status(pair.now));
    assert!(!active.protected && !standby.protected);
    assert!(active.unprotected_on_purpose && standby.unprotected_on_purpose);
    assert_eq!(active.unprotected_because.as_deref(), Some("the node that stands by is drained for good"));
    pair.kill(0);
    pair.run(10_000);
    assert_eq!(pair.nodes[1].role(), Role::Standby, "nobody serves, as it was told");
    assert!(is_done(&pair.ask(1, END)));
    pair.run(5_000);
    assert_eq!(pair.nodes[1].role(), Role::Active);
}

#[test]
fn the_wish_survives_a_restart() {
    let mut pair = Pair::protected();
    pair.ask(0, DRAIN);
    pair.run(1_000);
    pair.dead = Some(0);
    pair.run(1_000);
    let peer = pair.nodes[1].status(pair.now);
    assert!(peer.unprotected_on_purpose, "what is down was wanted out");
    assert_eq!(peer.unprotected_because.as_deref(), Some("the peer is drained and down"));
    pair.start(0, Level::OWN, 1);
    pair.run(2_000);
    assert_eq!(pair.nodes[0].status(pair.now).drain.as_deref(), Some("drained"));
    assert_eq!(pair.roles(), [Role::Standby, Role::Active]);
}

/// Both begin with nothing: the one that nobody wants out leads, though the other one has the greater priority.
#[test]
fn a_drained_node_does_not_lead_when_both_start() {
    let mut pair = Pair::new(1);
    pair.ask(0, DRAIN);
    pair.run(3_000);
    assert_eq!(pair.roles(), [Role::Standby, Role::Active]);
}

#[test]
fn what_would_lose_calls_is_refused_with_the_reason() {
    let mut alone = Pair::new(0);
    alone.run(100);
    for operator in [DRAIN, NEVER] {
        assert!(is_refused(&alone.ask(0, operator), "--calls"));
    }
    let mut pair = Pair::protected();
    assert!(is_refused(&pair.ask(0, CALLS), "without --calls"));
    assert!(is_refused(&pair.ask(1, CALLS), "does not serve"));
    pair.kill(1);
    pair.run(500);
    assert!(is_refused(&pair.ask(0, DRAIN), "the peer is down"));
    assert_eq!(pair.nodes[0].status(pair.now).drain, None, "what was refused changed nothing");
}

#[test]
fn a_node_without_a_peer_lets_its_calls_come_to_an_end() {
    let mut pair = Pair::new(0);
    pair.run(100);
    assert!(is_done(&pair.ask(0, CALLS)));
    assert_eq!(pair.nodes[0].status(pair.now).drain.as_deref(), Some("calls"));
    assert_eq!(pair.nodes[0].role(), Role::Active);
    pair.register(0);
    pair.run(50);
    assert_eq!(pair.said[0].last().unwrap(), "SIP/2.0 200 OK", "registrations go on");
    assert_eq!(pair.disks[0].drain, Drain::Calls);
    assert!(is_done(&pair.ask(0, END)));
    assert_eq!(pair.disks[0].drain, Drain::Ended);
}

/// systemd stops a node, or a package is installed: nobody may notice.
#[test]
fn a_stop_is_a_hand_over_first_to_a_drained_peer_too() {
    for drained in [false, true] {
        let mut pair = Pair::protected();
        if drained {
            pair.ask(1, DRAIN);
            pair.run(100);
        }
        pair.step(0, Event::Asked { number: 0, operator: Operator::Stop });
        pair.run(20);
        assert_eq!(pair.roles(), [Role::Standby, Role::Active]);
        assert!(pair.stopped[0]);
        let causes = |tell: &Tell| matches!(tell, Tell::BecameActive { cause, .. } if *cause == "the peer handed over");
        assert!(pair.tells.iter().any(causes));
    }
}

/// The other machine has just been upgraded, and this one is next: what is missing there comes in a moment.
#[test]
fn a_stop_waits_for_a_peer_that_catches_up_but_not_for_ever() {
    for comes in [true, false] {
        let mut pair = Pair::protected();
        pair.log_passes = false;
        pair.register(0);
        pair.run(300);
        assert!(!pair.nodes[0].is_protected());
        pair.step(0, Event::Asked { number: 0, operator: Operator::Stop });
        pair.run(500);
        assert_eq!((pair.nodes[0].role(), pair.stopped[0]), (Role::Active, false), "it goes on serving");
        pair.log_passes = comes;
        pair.run(800);
        assert!(pair.stopped[0]);
        assert_eq!(pair.nodes[1].pbx().registrations(), usize::from(comes), "{comes}");
        assert_eq!(pair.nodes[1].role() == Role::Active, comes, "one that lacks something waits for its leader");
    }
}

#[test]
fn a_stop_during_a_switchover_ends_with_it() {
    let mut pair = Pair::protected();
    pair.ask(0, Operator::SwitchOver);
    pair.step(0, Event::Asked { number: 0, operator: Operator::Stop });
    assert!(!pair.stopped[0]);
    pair.run(20);
    assert_eq!(pair.roles(), [Role::Standby, Role::Active]);
    assert!(pair.stopped[0]);
}
