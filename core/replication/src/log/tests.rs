use base::{ClusterTime, Epoch, Lsn, NodeIndex, Position, WallTime};

use super::{AppendError, ApplyError, Checkpoint, Log, RING_BYTES_MAX, RING_ENTRIES_MAX};
use crate::entry::{DELTAS_MAX, Entry, EntryError};
use crate::store::{Delta, Key};

fn epoch(number: u64) -> Epoch {
    Epoch { number, node: NodeIndex(0) }
}

fn position(number: u64, lsn: u64) -> Position {
    Position { epoch: epoch(number), lsn: Lsn(lsn) }
}

fn object(id: u64, value: &[u8]) -> Delta {
    Delta { key: Key::new(1, format!("{id}")), value: Some(value.to_vec()) }
}

fn append(log: &mut Log, number: u64, deltas: Vec<Delta>) -> Entry {
    let time = log.position().lsn.0 + 1;
    log.append(epoch(number), deltas, ClusterTime(time), WallTime(time)).expect("the entry is sound").clone()
}

/// Entries 1 to 3 in epoch 1 and 4 to 5 in epoch 2.
fn example() -> Log {
    let mut log = Log::new();
    for lsn in 1..=5 {
        append(&mut log, if lsn <= 3 { 1 } else { 2 }, vec![object(lsn, b"value")]);
    }
    log
}

#[test]
fn a_follower_that_applies_every_entry_has_the_same_log() {
    let mut leader = Log::new();
    let mut follower = Log::new();
    for round in 0..100 {
        let entry = append(&mut leader, 1, vec![object(round % 7, &[round as u8])]);
        assert_eq!(follower.apply(entry.clone()), Ok(&entry));
    }
    assert_eq!(follower, leader);
    assert_eq!(follower.store().checksums(), leader.store().checksums());
    assert_eq!((leader.position(), leader.cluster_time()), (position(1, 100), ClusterTime(100)));
}

#[test]
fn only_the_next_entry_of_a_present_epoch_is_applied() {
    let mut log = example();
    let before = log.clone();
    let entry = |number, lsn| Entry { position: position(number, lsn), ..Entry::default() };
    for lsn in [0, 1, 5, 7, u64::MAX] {
        let error = ApplyError::NotNext { lsn: Lsn(lsn), expected: Lsn(6) };
        assert_eq!(log.apply(entry(2, lsn)), Err(error));
    }
    assert_eq!(log.apply(entry(1, 6)), Err(ApplyError::EpochOlder { epoch: epoch(1), current: epoch(2) }));
    let many = Entry { deltas: vec![object(1, b""); DELTAS_MAX + 1], ..entry(2, 6) };
    let error = ApplyError::Entry(EntryError::TooManyDeltas { count: DELTAS_MAX + 1 });
    assert_eq!(log.apply(many), Err(error));
    assert_eq!(log, before);
    assert!(log.apply(entry(3, 6)).is_ok());
}

#[test]
fn only_sound_changes_of_a_present_epoch_are_appended() {
    let mut log = example();
    let before = log.clone();
    let error = AppendError::EpochOlder { epoch: epoch(1), current: epoch(2) };
    assert_eq!(log.append(epoch(1), Vec::new(), ClusterTime(9), WallTime(9)), Err(error));
    let many = vec![object(1, b""); DELTAS_MAX + 1];
    let error = AppendError::Entry(EntryError::TooManyDeltas { count: DELTAS_MAX + 1 });
    assert_eq!(log.append(epoch(2), many, ClusterTime(9), WallTime(9)), Err(error));
    assert_eq!(log, before);
}

#[test]
fn resumes_only_from_a_position_that_it_holds() {
    let log = example();
    let lsns = |from| log.resume_from(from).map(|entries| entries.map(|entry| entry.position.lsn.0).collect());
    assert_eq!(lsns(position(0, 0)), Some(vec![1, 2, 3, 4, 5]));
    assert_eq!(lsns(position(1, 3)), Some(vec![4, 5]));
    assert_eq!(lsns(position(2, 4)), Some(vec![5]));
    assert_eq!(lsns(position(2, 5)), Some(vec![]));
    // The same number in another epoch is another history; so is what lies ahead.
    for other in [position(1, 4), position(2, 3), position(1, 5), position(2, 6), position(1, 0), position(0, 1)] {
        assert_eq!(lsns(other), None, "{other:?}");
    }
}

#[test]
fn a_log_from_a_checkpoint_resumes_from_there_on() {
    let mut log = Log::from_checkpoint(example().checkpoint());
    assert_eq!(log.store(), example().store());
    assert!(log.holds(position(2, 5)));
    assert!(!log.holds(position(2, 4)) && !log.holds(position(0, 0)));
    append(&mut log, 2, vec![object(9, b"nine")]);
    assert_eq!(log.resume_from(position(2, 5)).map(Iterator::count), Some(1));
    assert_eq!(log.entry(Lsn(6)).map(|entry| entry.position), Some(position(2, 6)));
    assert_eq!(log.entry(Lsn(5)), None);
}

#[test]
fn the_ring_is_bounded_in_entries() {
    let mut log = Log::new();
    for round in 0..RING_ENTRIES_MAX as u64 + 10 {
        append(&mut log, 1, vec![object(round % 3, b"v")]);
    }
    assert!(!log.holds(position(1, 9)) && !log.holds(position(0, 0)));
    assert_eq!(log.resume_from(position(1, 10)).map(Iterator::count), Some(RING_ENTRIES_MAX));
    assert_eq!(log.entries_since(Lsn(0)).len(), RING_ENTRIES_MAX);
}

#[test]
fn the_ring_is_bounded_in_bytes() {
    let mut log = Log::new();
    for _ in 0..600 {
        append(&mut log, 1, vec![object(1, &[0; 100_000])]);
    }
    let kept: usize = log.entries_since(Lsn(0)).map(Entry::bytes).sum();
    assert!(kept <= RING_BYTES_MAX && kept > RING_BYTES_MAX - 200_000, "{kept}");
    assert_eq!(log.bytes_since(Lsn(0)), kept as u64);
}

#[test]
fn counts_the_bytes_that_a_follower_lacks() {
    let log = example();
    let each = log.entry(Lsn(1)).map_or(0, Entry::bytes) as u64;
    assert_eq!([0, 2, 4, 5, 6].map(|lsn| log.bytes_since(Lsn(lsn))), [5 * each, 3 * each, each, 0, 0]);
}

#[test]
fn a_journal_gives_the_log_back() {
    let log = example();
    let entries: Vec<Entry> = log.entries_since(Lsn(0)).cloned().collect();
    let recovery = Log::recover(Checkpoint::default(), entries.clone());
    assert_eq!((recovery.applied, recovery.skipped, recovery.stopped), (5, 0, None));
    assert_eq!(recovery.log, log);

    // A checkpoint in the middle, with entries before it still in the journal.
    let mut half = Log::new();
    entries.iter().take(3).for_each(|entry| assert!(half.apply(entry.clone()).is_ok()));
    let recovery = Log::recover(half.checkpoint(), entries.clone());
    assert_eq!((recovery.applied, recovery.skipped, recovery.stopped), (2, 3, None));
    assert_eq!(recovery.log.checkpoint(), log.checkpoint());

    // A hole ends it, and what was before the hole stands.
    let mut torn = entries;
    torn.remove(3);
    let recovery = Log::recover(Checkpoint::default(), torn);
    let stopped = Some(ApplyError::NotNext { lsn: Lsn(5), expected: Lsn(4) });
    assert_eq!((recovery.applied, recovery.stopped), (3, stopped));
    assert_eq!(recovery.log.position(), position(1, 3));
}

#[test]
fn the_log_is_plain_data() {
    let log = example();
    let bytes = minicbor::to_vec(&log).expect("a vector takes every byte");
    assert_eq!(minicbor::decode::<Log>(&bytes).expect("its own encoding is readable"), log);
}
