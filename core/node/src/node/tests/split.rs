//! Two nodes that served apart, each its own phones, and find each other again.

use super::*;

/// Phones keep talking to both sides for so many milliseconds.
fn serve_apart(pair: &mut Pair, millis: u64) {
    for _ in 0..millis / 20 {
        for index in 0..2 {
            pair.step(index, Event::MediaHeard);
        }
        pair.run(20);
    }
}

/// Both are active and have proof of it; the second one, with the later epoch, will stay.
fn split() -> Pair {
    let mut pair = Pair::protected();
    pair.cut = true;
    serve_apart(&mut pair, 800);
    assert_eq!((pair.nodes[0].role(), pair.nodes[1].role()), (Role::Active, Role::Active));
    pair
}

/// Lets the nodes talk, one datagram after another, until the first one has something in hand for the second one.
fn until_offered(pair: &mut Pair) {
    for _ in 0..1_000 {
        pair.now.local += Duration::from_millis(1);
        for index in 0..2 {
            pair.step(index, Event::Timeout);
        }
        while !pair.wire.is_empty() {
            let (to, bytes) = pair.wire.remove(0);
            pair.step(to, Event::Peer { link: 0, bytes });
            if pair.nodes[0].offer.is_some() {
                return;
            }
        }
    }
    panic!("nothing is offered");
}

fn merged(pair: &Pair) -> Vec<&Tell> {
    pair.tells.iter().filter(|tell| matches!(tell, Tell::Merged { .. })).collect()
}

#[test]
fn what_one_side_did_alone_is_taken_over_by_the_one_that_stays() {
    let mut pair = split();
    pair.register(0);
    serve_apart(&mut pair, 100);
    assert_eq!(pair.said[0].last().unwrap(), "SIP/2.0 200 OK");
    pair.cut = false;
    pair.run(1_000);
    assert_eq!((pair.nodes[0].role(), pair.nodes[1].role()), (Role::Standby, Role::Active));
    assert!(pair.nodes[0].is_protected() && pair.nodes[1].is_protected());
    assert_eq!(merged(&pair), [&Tell::Merged { calls: 0, registrations: 1, records: 0 }]);
    assert_eq!([0, 1].map(|index| pair.nodes[index].pbx().registrations()), [1, 1]);
    assert!(pair.nodes[0].offer.is_none());
}

#[test]
fn a_registration_that_came_just_before_a_cut_was_noticed_is_not_lost() {
    let mut pair = Pair::protected();
    pair.cut = true;
    pair.register(0);
    for _ in 0..40 {
        pair.step(1, Event::MediaHeard);
        pair.run(20);
    }
    pair.cut = false;
    pair.run(1_000);
    assert!(pair.nodes[1].is_protected());
    assert_eq!([0, 1].map(|index| pair.nodes[index].pbx().registrations()), [1, 1]);
}

/// Until the other node has taken everything over, this one's disk keeps what it did alone.
#[test]
fn nothing_is_journalled_or_acknowledged_before_everything_is_taken_over() {
    let mut pair = split();
    pair.register(0);
    serve_apart(&mut pair, 100);
    pair.cut = false;
    until_offered(&mut pair);
    let position = pair.nodes[0].log.position();
    assert!(!pair.nodes[0].standby_in_step());
    let actions = pair.nodes[0].handle(pair.now, Event::Timeout);
    let journals = |action: &Action| matches!(action, Action::JournalAppend { .. } | Action::JournalCheckpoint(_));
    assert!(!actions.iter().any(journals), "{position:?}: {actions:?}");
    // What this step had for the wire is lost, and is said again.
    pair.run(1_000);
    assert!(pair.nodes[0].is_protected());
}

/// The node that stays dies before it has taken anything over.
#[test]
fn a_node_that_serves_with_its_own_offer_in_hand_takes_it_itself() {
    let mut pair = split();
    pair.register(0);
    serve_apart(&mut pair, 100);
    pair.cut = false;
    until_offered(&mut pair);
    pair.cut = true;
    pair.wire.clear();
    pair.run(20_000);
    assert_eq!(pair.nodes[0].role(), Role::Active);
    assert!(pair.nodes[0].offer.is_none());
    assert_eq!(pair.nodes[0].pbx().registrations(), 1);
}
