use base::{ClusterTime, Epoch, Lsn, NodeIndex, Position, WallTime};

use super::*;
use crate::log::Checkpoint;
use crate::store::Delta;

fn epoch(number: u64, node: u8) -> Epoch {
    Epoch { number, node: NodeIndex(node) }
}

fn at(number: u64, node: u8, lsn: u64) -> Position {
    Position { epoch: epoch(number, node), lsn: Lsn(lsn) }
}

fn write(log: &mut Log, epoch: Epoch, id: &str, value: Option<&str>) {
    let delta = Delta { key: Key::new(1, id), value: value.map(|value| value.as_bytes().to_vec()) };
    log.append(epoch, vec![delta], ClusterTime(1), WallTime(1)).unwrap();
}

/// Two logs with three common entries of two epochs.
fn common() -> Log {
    let mut log = Log::new();
    write(&mut log, epoch(1, 0), "a", Some("1"));
    write(&mut log, epoch(1, 0), "b", Some("1"));
    write(&mut log, epoch(2, 1), "c", Some("1"));
    log
}

fn emptied(log: &Log) -> Log {
    let checkpoint: Checkpoint = log.checkpoint();
    Log::from_checkpoint(checkpoint)
}

fn parted(id: &str, value: &str, gone: bool) -> Parted {
    Parted { key: Key::new(1, id), value: value.into(), gone }
}

#[test]
fn a_trail_tells_the_end_of_each_epoch() {
    assert_eq!(Log::new().trail(), [Position::default()]);
    assert_eq!(common().trail(), [Position::default(), at(1, 0, 2), at(2, 1, 3)]);
    let mut log = emptied(&common());
    assert_eq!(log.trail(), [at(2, 1, 3)]);
    write(&mut log, epoch(2, 1), "d", Some("1"));
    write(&mut log, epoch(2, 1), "d", Some("2"));
    assert_eq!(log.trail(), [at(2, 1, 3), at(2, 1, 5)], "the base is a single position");
}

#[test]
fn a_long_trail_keeps_its_end() {
    let mut log = Log::new();
    for number in 1..200 {
        write(&mut log, epoch(number, 0), "a", Some("1"));
    }
    let trail = log.trail();
    assert_eq!((trail.len(), trail.last()), (TRAIL_MAX, Some(&at(199, 0, 199))));
    assert_eq!(log.orphans(&trail), Orphans { fork: Some(at(199, 0, 199)), objects: Vec::new() });
}

#[test]
fn what_one_log_has_alone_is_told_by_key() {
    let (mut loser, mut winner) = (common(), common());
    write(&mut loser, epoch(2, 1), "b", Some("2"));
    write(&mut loser, epoch(2, 1), "b", Some("3"));
    write(&mut loser, epoch(2, 1), "d", Some("1"));
    write(&mut loser, epoch(2, 1), "d", None);
    write(&mut loser, epoch(2, 1), "a", None);
    write(&mut loser, epoch(2, 1), "e", None);
    write(&mut loser, epoch(2, 1), "e", Some("back"));
    write(&mut winner, epoch(3, 0), "a", Some("9"));
    let orphans = loser.orphans(&winner.trail());
    assert_eq!(orphans.fork, Some(at(2, 1, 3)));
    let all = [parted("a", "", true), parted("b", "3", false), parted("d", "1", true), parted("e", "back", false)];
    assert_eq!(orphans.objects, all);
    let changed = winner.changes_since(at(2, 1, 3)).unwrap();
    assert_eq!(changed.into_values().collect::<Vec<_>>(), [parted("a", "9", false)]);
}

/// The writer of an epoch went on in it, and the other one had not heard of that.
#[test]
fn a_fork_within_an_epoch_is_found() {
    let (mut loser, mut winner) = (common(), common());
    for _ in 0..5 {
        write(&mut loser, epoch(2, 1), "b", Some("2"));
    }
    write(&mut winner, epoch(3, 0), "a", Some("9"));
    write(&mut winner, epoch(5, 0), "a", Some("10"));
    write(&mut loser, epoch(4, 1), "c", Some("2"));
    assert_eq!(loser.orphans(&winner.trail()).fork, Some(at(2, 1, 3)));
    assert_eq!(winner.orphans(&loser.trail()).fork, Some(at(2, 1, 3)));
}

#[test]
fn a_follower_that_is_only_behind_has_nothing_alone() {
    let (follower, mut leader) = (common(), common());
    write(&mut leader, epoch(2, 1), "d", Some("1"));
    write(&mut leader, epoch(3, 0), "d", Some("2"));
    assert_eq!(follower.orphans(&leader.trail()), Orphans { fork: Some(at(2, 1, 3)), objects: Vec::new() });
}

#[test]
fn of_logs_that_parted_before_a_ring_begins_one_tells_the_other_all_it_has() {
    let (mut loser, mut winner) = (common(), common());
    write(&mut winner, epoch(3, 0), "a", Some("9"));
    write(&mut loser, epoch(2, 1), "b", None);
    let winner = emptied(&winner);
    let all = vec![parted("a", "1", false), parted("c", "1", false)];
    assert_eq!(loser.orphans(&winner.trail()), Orphans { fork: None, objects: all.clone() });
    assert_eq!(winner.changes_since(at(2, 1, 3)), None);
    let mut restarted = emptied(&loser);
    write(&mut restarted, epoch(4, 1), "c", Some("3"));
    let all = vec![parted("a", "1", false), parted("c", "3", false)];
    let orphans = restarted.orphans(&common().trail());
    assert_eq!(orphans, Orphans { fork: None, objects: all }, "its own ring begins after the fork");
}

#[test]
fn a_ring_that_begins_at_the_fork_is_enough() {
    let (mut loser, mut winner) = (common(), emptied(&common()));
    write(&mut loser, epoch(2, 1), "b", Some("2"));
    write(&mut winner, epoch(3, 0), "a", Some("9"));
    assert_eq!(loser.orphans(&winner.trail()).fork, Some(at(2, 1, 3)));
    assert!(winner.changes_since(at(2, 1, 3)).is_some());
}

#[test]
fn changes_are_found_out_bit_by_bit_and_go_on_with_the_log() {
    let mut log = common();
    let fork = log.position();
    for (id, value) in [("a", Some("2")), ("b", None), ("d", Some("1")), ("d", Some("2"))] {
        write(&mut log, epoch(2, 1), id, value);
    }
    let mut changes = Changes::since(fork);
    assert_eq!(changes.catch_up(&log, 3), Some(false));
    assert_eq!(changes.catch_up(&log, 3), Some(true));
    assert_eq!(changes.objects(), &log.changes_since(fork).unwrap());
    write(&mut log, epoch(2, 1), "b", Some("3"));
    assert_eq!(changes.catch_up(&log, 3), Some(true));
    let all: Vec<_> = changes.objects().values().cloned().collect();
    assert_eq!(all, [parted("a", "2", false), parted("b", "3", false), parted("d", "2", false)]);
    assert_eq!(Changes::since(at(9, 0, 9)).catch_up(&log, 3), None, "nobody knows that position");
}

#[test]
fn a_log_of_no_use_is_let_go_of_bit_by_bit() {
    let mut log = emptied(&common());
    write(&mut log, epoch(2, 1), "d", Some("1"));
    let kept = log.checkpoint();
    assert!(log.discard(2), "its entry");
    assert_eq!(log.store().len(), 4);
    assert!(log.discard(3) && log.store().len() == 1);
    assert!(!log.discard(3) && log.store().is_empty());
    assert_eq!(kept.store.len(), 4, "what shares it has it still");
}
