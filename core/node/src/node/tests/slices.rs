//! What is too long for one step: a store that was replaced, what must be put back, lists, records that were told of.

use pbx::object::{encode, kind};
use pbx::record::Record;
use pbx::registrar::{Binding, BindingKey};

use super::*;
use crate::node::rebuild::Rebuild;

fn binding(number: usize) -> Delta {
    let key = BindingKey { aor: format!("{number:04}"), contact: "sip:10.77.0.21".into() };
    let binding = Binding {
        key: key.clone(),
        source: PHONE.parse().unwrap(),
        local: format!("{SERVICE}:5060").parse().unwrap(),
        call_id: "c".into(),
        cseq: 1,
        expires: ClusterTime::from_millis(90_000_000),
        registered: base::WallTime(0),
        user_agent: String::new(),
        instance: None,
    };
    Delta { key: Key::new(kind::BINDING, key.to_string()), value: Some(encode(&binding)) }
}

/// Writes past the PBX, as a snapshot does.
fn write(node: &mut Node, deltas: Vec<Delta>) {
    let epoch = node.log.position().epoch;
    node.log.append(epoch, deltas, ClusterTime(1), base::WallTime(1)).unwrap();
}

/// Node b with 600 registrations in its store, of which its PBX knows nothing but a registration that is gone.
fn replaced() -> Pair {
    let mut pair = Pair::protected();
    pair.cut = true;
    let time = pair.nodes[1].pbx_now(pair.now);
    let gone = binding(7_777);
    pair.nodes[1].pbx.apply(time, gone.key.kind, &gone.key.id, gone.value.as_deref()).unwrap();
    write(&mut pair.nodes[1], (0..600).map(binding).collect());
    pair.nodes[1].begin_rebuild();
    pair
}

/// Node a with 600 entries since a fork.
fn gone_on() -> (Pair, base::Position) {
    let mut pair = Pair::protected();
    let fork = pair.nodes[0].log.position();
    (0..600).for_each(|number| write(&mut pair.nodes[0], vec![binding(number)]));
    (pair, fork)
}

fn registrations(pair: &Pair) -> usize {
    pair.nodes[1].pbx.registrations()
}

#[test]
fn a_store_that_was_replaced_comes_into_place_in_slices() {
    let mut pair = replaced();
    let mut known = vec![registrations(&pair)];
    while pair.nodes[1].rebuild.is_some() {
        let asks = pair.nodes[1].next_timeout();
        assert_eq!(asks, Some(LocalTime::ZERO), "it asks to go on");
        pair.nodes[1].rebuild_some(pair.now);
        known.push(registrations(&pair));
    }
    assert_eq!((known.first(), known.last()), (Some(&1), Some(&600)));
    assert!(known.windows(2).all(|two| two[1].saturating_sub(two[0]) <= 300), "{known:?}");
    assert!(known.contains(&0), "what is gone leaves first: {known:?}");
}

/// An object whose turn has not come is taken when it comes, from the store; one whose turn is over is taken at once.
#[test]
fn a_change_that_comes_while_the_store_comes_into_place_is_not_lost() {
    let mut pair = replaced();
    let node = &mut pair.nodes[1];
    while !matches!(&node.rebuild, Some(Rebuild::Take(from)) if *from > Key::new(kind::BINDING, "0001")) {
        node.rebuild_some(pair.now);
    }
    let taken = node.pbx.registrations();
    let (behind, ahead, leaves) = (binding(9_998), binding(0), binding(599));
    let leaves = Delta { value: None, ..leaves };
    let changes = vec![behind.clone(), Delta { value: None, ..ahead.clone() }, leaves.clone()];
    write(node, changes.clone());
    for change in &changes {
        node.apply_to_pbx(pair.now, change);
    }
    assert_eq!(node.pbx.registrations(), taken - 1, "what was taken leaves; what comes waits for its turn");
    node.rebuild_whole(pair.now);
    assert_eq!(node.pbx.registrations(), 599, "one more, two less");
}

#[test]
fn who_takes_over_amid_it_has_everything_when_it_serves() {
    let mut pair = replaced();
    pair.nodes[1].rebuild_some(pair.now);
    assert!(pair.nodes[1].rebuild.is_some());
    pair.kill(0);
    assert_eq!((pair.nodes[1].role(), registrations(&pair)), (Role::Active, 600));
    assert!(pair.nodes[1].rebuild.is_none());
}

#[test]
fn what_the_log_does_not_have_is_put_back() {
    let mut pair = Pair::protected();
    let node = &mut pair.nodes[1];
    let (kept, lost) = (binding(1), binding(2));
    write(node, vec![kept.clone()]);
    let time = node.pbx_now(pair.now);
    node.pbx.apply(time, lost.key.kind, &lost.key.id, lost.value.as_deref()).unwrap();
    let key = |delta: &Delta| pbx::object::Key::parse(delta.key.kind, &delta.key.id).unwrap();
    node.put_back(pair.now, vec![key(&kept), key(&lost)]);
    let (phones, _) = node.pbx.phone_views(time, None, 10);
    assert_eq!(phones.iter().map(|phone| phone.endpoint.as_str()).collect::<Vec<_>>(), ["0001"]);
    assert!(node.rebuild.is_none(), "two objects are no reason for more");
    node.unlogged = true;
    node.put_back(pair.now, Vec::new());
    assert!(node.rebuild.is_some(), "what else differs, nobody can tell");
}

#[test]
fn a_long_list_is_answered_after_some_steps_and_who_asked_first_is_answered_first() {
    let mut pair = replaced();
    pair.nodes[1].rebuild_whole(pair.now);
    for (number, operator) in [(1, Operator::Phones), (2, Operator::Calls)] {
        pair.step(1, Event::Asked { number, operator });
        assert!(pair.answers.is_empty(), "600 phones are too many for one step");
    }
    pair.run(20);
    let [Answer::Phones(phones), Answer::Calls(calls)] = pair.answers.as_slice() else { panic!("{:?}", pair.answers) };
    assert_eq!((phones.len(), calls.len()), (600, 0));
}

#[test]
fn many_records_that_were_told_of_leave_the_log_in_some_steps() {
    let mut pair = Pair::protected();
    let node = &mut pair.nodes[0];
    node.settings.records_shared = true;
    let identities: Vec<String> = (0..300).map(|number| format!("{number:032x}")).collect();
    let time = node.pbx_now(pair.now);
    for identity in &identities {
        let record = Record { identity: identity.clone(), ..Record::default() };
        node.pbx.apply(time, kind::RECORD, identity, Some(&encode(&record))).unwrap();
    }
    node.pbx.take_outputs();
    pair.step(0, Event::RecordsStored { identities });
    assert_eq!(pair.nodes[0].pbx.records_count(), 300 - 128);
    pair.run(10);
    assert_eq!(pair.nodes[0].pbx.records_count(), 0);
    assert!(!pair.nodes[0].has_slices());
}

#[test]
fn what_was_replaced_is_let_go_of_in_slices() {
    let mut pair = Pair::protected();
    let mut log = Log::new();
    for number in 0..600 {
        let epoch = base::Epoch { number: 1, node: NodeIndex(0) };
        log.append(epoch, vec![binding(number)], ClusterTime(1), base::WallTime(1)).unwrap();
    }
    pair.nodes[1].discarded.log(Box::new(log));
    let mut steps = 0;
    while !pair.nodes[1].discarded.is_empty() {
        assert!(pair.nodes[1].has_slices());
        pair.nodes[1].discard_some();
        steps += 1;
    }
    assert!((4..10).contains(&steps), "600 entries and 600 objects: {steps}");
}

#[test]
fn an_offer_that_comes_again_does_not_begin_anew_with_what_became_of_the_objects_here() {
    let (mut pair, fork) = gone_on();
    let now = pair.now;
    let node = &mut pair.nodes[0];
    let mut slices = 1;
    node.orphans_offered(now, 0, Some(fork), Vec::new());
    while node.has_part_to_take() {
        node.orphans_offered(now, 0, Some(fork), Vec::new());
        slices += 1;
        assert!(slices < 10, "it comes to an end");
    }
    assert_eq!((slices, node.orphans_taken.take()), (3, Some(0)));
    node.orphans_offered(now, 0, Some(fork), Vec::new());
    assert_eq!((node.has_part_to_take(), node.orphans_taken), (false, Some(0)), "once more: it is known already");
    node.end_intake();
    assert!(!node.discarded.is_empty(), "it goes bit by bit");
}

#[test]
fn what_a_former_life_of_the_peer_offered_is_not_taken() {
    let (mut pair, fork) = gone_on();
    let now = pair.now;
    let node = &mut pair.nodes[0];
    node.orphans_offered(now, 0, Some(fork), Vec::new());
    node.peer_up(now, Incarnation(7));
    assert!(!node.has_part_to_take());
}
