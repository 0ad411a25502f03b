//! Finished calls' records: who stores them, and when they leave the log.

use pbx::object::{Key as ObjectKey, encode, kind};
use pbx::record::{Moment, Record};

use super::*;

/// What each node wants done with records.
#[derive(Debug, Default, PartialEq)]
struct Wanted {
    stored: Vec<String>,
    spooled: Vec<String>,
}

/// Takes a step, and gives what it wants done with records; the rest is done as ever.
fn wanted(pair: &mut Pair, index: usize, event: Event) -> Wanted {
    let mut wanted = Wanted::default();
    for action in pair.nodes[index].handle(pair.now, event) {
        match action {
            Action::StoreRecord(record) => wanted.stored.push(record.identity),
            Action::SpoolRecord(record) => wanted.spooled.push(record.identity),
            Action::PeerSend { bytes, .. } => pair.wire.push((1 - index, bytes)),
            Action::JournalAppend { position, .. } => pair.step(index, Event::JournalWritten { lsn: position.lsn }),
            _ => {}
        }
    }
    pair.deliver();
    wanted
}

fn identity(number: usize) -> String {
    format!("{number:032x}")
}

/// Finished records in both logs, as if calls had ended.
fn with_records(count: usize, shared: bool, kept_max: usize) -> Pair {
    let mut pair = Pair::protected();
    for node in &mut pair.nodes {
        (node.settings.records_shared, node.settings.records_kept_max) = (shared, kept_max);
    }
    let ended = Some(Moment { wall: pair.now.wall, cluster: ClusterTime::from_millis(1) });
    for number in 0..count {
        let record = Record { identity: identity(number), ended, ..Record::default() };
        let key = ObjectKey::Record(record.identity.clone()).id();
        for index in [0, 1] {
            let time = pair.nodes[index].pbx_now(pair.now);
            pair.nodes[index].pbx.apply(time, kind::RECORD, &key, Some(&encode(&record))).unwrap();
            pair.nodes[index].pbx.take_outputs();
        }
    }
    pair
}

fn in_log(pair: &Pair) -> [usize; 2] {
    [0, 1].map(|index| pair.nodes[index].pbx.records_count())
}

fn stored(count: usize) -> Event {
    Event::RecordsStored { identities: (0..count).map(identity).collect() }
}

fn spooled(count: usize) -> Event {
    Event::RecordsSpooled { identities: (0..count).map(identity).collect() }
}

#[test]
fn a_record_leaves_the_log_when_both_nodes_have_stored_it() {
    let mut pair = with_records(2, false, RECORDS_KEPT_MAX);
    wanted(&mut pair, 0, stored(2));
    assert_eq!(in_log(&pair)[0], 2, "the other node has not said so");
    wanted(&mut pair, 1, stored(1));
    pair.run(50);
    assert_eq!(in_log(&pair)[0], 1);
}

#[test]
fn one_word_is_enough_for_a_shared_store() {
    let mut pair = with_records(2, true, RECORDS_KEPT_MAX);
    wanted(&mut pair, 0, stored(1));
    assert_eq!(in_log(&pair)[0], 1);
}

/// The record of a call that goes on at the peer tells that a phone has ended it.
#[test]
fn what_a_shared_store_has_stays_in_the_log_while_the_peer_is_away() {
    let mut pair = with_records(2, true, RECORDS_KEPT_MAX);
    pair.kill(1);
    pair.run(500);
    wanted(&mut pair, 0, stored(2));
    assert_eq!(in_log(&pair)[0], 2);
}

#[test]
fn all_that_the_log_has_is_stored_again_in_short_steps_by_whoever_takes_over() {
    let mut pair = with_records(600, true, RECORDS_KEPT_MAX);
    pair.nodes[1].store_records_again();
    let of_standby = wanted(&mut pair, 1, Event::Timeout);
    assert_eq!(of_standby, Wanted::default(), "the active node stores");
    pair.nodes[0].store_records_again();
    let mut all = Vec::new();
    for _ in 0..3 {
        let step = wanted(&mut pair, 0, Event::Timeout).stored;
        assert!(step.len() <= 256, "{}", step.len());
        all.extend(step);
    }
    assert_eq!(all, (0..600).map(identity).collect::<Vec<_>>());
    assert_eq!(wanted(&mut pair, 0, Event::Timeout), Wanted::default());
}

#[test]
fn too_many_for_the_log_go_to_both_disks_and_leave_it_then() {
    let mut pair = with_records(5, true, 3);
    let record = Box::new(Record { identity: identity(9), ..Record::default() });
    for index in [0, 1] {
        let action = pair.nodes[index].record_action(record.clone());
        assert!(matches!(action, Some(Action::SpoolRecord(_))), "node {index}: {action:?}");
    }
    wanted(&mut pair, 0, spooled(2));
    assert_eq!(in_log(&pair)[0], 5, "one disk is not enough");
    wanted(&mut pair, 1, spooled(1));
    pair.run(50);
    assert_eq!(in_log(&pair)[0], 4);
}

#[test]
fn one_disk_is_enough_when_the_peer_has_been_away_for_very_many_and_it_is_told() {
    let mut pair = with_records(7, true, 3);
    pair.kill(1);
    pair.run(500);
    pair.step(0, spooled(7));
    assert_eq!(in_log(&pair)[0], 6, "down to the bound");
    let told =
        pair.tells.iter().filter(|tell| matches!(tell, Tell::Trouble(text) if text.contains("wait for the peer")));
    assert_eq!(told.count(), 1);
}

#[test]
fn a_node_that_stands_by_leaves_what_waits_for_a_shared_store() {
    let mut pair = with_records(1, true, RECORDS_KEPT_MAX);
    pair.step(1, Event::Asked { number: 1, operator: Operator::SwitchOver });
    pair.run(500);
    assert_eq!((pair.roles(), pair.records_left), ([Role::Standby, Role::Active], [1, 0]));
}
