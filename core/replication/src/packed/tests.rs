use base::{ClusterTime, Epoch, Lsn, NodeIndex, Random, WallTime};

use xxhash_rust::xxh3::xxh3_64;

use super::{PackedEntry, UnpackError, Value};
use crate::log::Log;
use crate::message::Message;
use crate::store::{Delta, Key};

const EPOCH: Epoch = Epoch { number: 1, node: NodeIndex(0) };

fn set(id: &str, value: &[u8]) -> Delta {
    Delta { key: Key::new(2, id), value: Some(value.to_vec()) }
}

fn gone(id: &str) -> Delta {
    Delta { key: Key::new(2, id), value: None }
}

fn text(lines: usize, last: &str) -> Vec<u8> {
    let mut text: String =
        (0..lines).map(|line| format!("Via: SIP/2.0/UDP 10.0.0.{line};branch={}\r\n", line * 7919)).collect();
    text.push_str(last);
    text.into_bytes()
}

/// What the leader sends of the last entry.
fn packed(log: &Log) -> PackedEntry {
    let last = log.entries_since(Lsn(0)).last().expect("there is one");
    PackedEntry::pack(last, log.replaced())
}

fn append(log: &mut Log, deltas: Vec<Delta>) {
    assert!(log.append(EPOCH, deltas, ClusterTime(5), WallTime(6)).is_ok());
}

#[test]
fn a_follower_has_the_same_after_each_entry() {
    let (mut leader, mut follower) = (Log::new(), Log::new());
    let long = text(80, "ringing");
    for deltas in [
        vec![set("a", b"short"), set("b", &long)],
        vec![set("b", &text(80, "answered"))],
        // An object twice in one entry, gone in between.
        vec![set("b", &text(40, "held")), gone("b"), set("b", &long), gone("a")],
        vec![gone("absent"), set("c", &[])],
        vec![],
    ] {
        append(&mut leader, deltas);
        let Ok(Message::Packed(read)) = Message::decode(&Message::Packed(packed(&leader)).encode()) else {
            panic!("not a packed entry")
        };
        let unpacked = read.unpack(follower.store()).map(|entry| follower.apply(entry).cloned());
        assert_eq!(unpacked, Ok(Ok(leader.entries_since(Lsn(0)).last().cloned().expect("it"))));
        assert_eq!(follower.store(), leader.store());
    }
}

#[test]
fn a_small_change_of_a_long_object_is_small() {
    let mut log = Log::new();
    append(&mut log, vec![set("call", &text(80, "ringing"))]);
    append(&mut log, vec![set("call", &text(80, "answered"))]);
    let bytes = Message::Packed(packed(&log)).encode().len();
    assert!(bytes < 120, "{bytes} bytes");
}

#[test]
fn what_was_made_from_another_value_is_refused() {
    let (mut leader, mut follower) = (Log::new(), Log::new());
    append(&mut leader, vec![set("call", &text(80, "ringing"))]);
    append(&mut follower, vec![set("call", &text(80, "RINGING"))]);
    append(&mut leader, vec![set("call", &text(80, "ringing, still"))]);
    assert_eq!(packed(&leader).unpack(follower.store()), Err(UnpackError::Differs));
    assert_eq!(packed(&leader).unpack(Log::new().store()), Err(UnpackError::Differs));
}

#[test]
fn lengths_are_bounded_before_memory_is_taken() {
    let mut log = Log::new();
    append(&mut log, vec![set("call", &text(80, "ringing"))]);
    let mut entry = packed(&log);
    let Some(Value::Block { length, .. }) = entry.changes.first_mut().map(|change| &mut change.value) else {
        panic!("not packed")
    };
    *length = u32::MAX;
    assert_eq!(entry.unpack(Log::new().store()), Err(UnpackError::TooLong));
}

#[test]
fn damaged_blocks_are_refused() {
    let mut random = Random::from_number(3);
    let (mut log, mut before) = (Log::new(), Log::new());
    for log in [&mut log, &mut before] {
        append(log, vec![set("call", &text(30, "ringing"))]);
    }
    append(&mut log, vec![set("call", &text(31, "answered"))]);
    let golden = packed(&log);
    let whole = golden.clone().unpack(before.store());
    for _ in 0..20_000 {
        let mut entry = golden.clone();
        let Some(Value::Block { block, .. }) = entry.changes.first_mut().map(|change| &mut change.value) else {
            panic!("not packed")
        };
        let at = random.below(block.len() as u64) as usize;
        block[at] = random.number() as u8;
        let unpacked = entry.unpack(before.store());
        assert!(unpacked == whole || unpacked == Err(UnpackError::Differs));
    }
}

/// A block as it was first sent: a match of 190 bytes, 150 back, then ten literals.
#[test]
fn the_blocks_of_every_version_are_read() {
    let value = vec![7; 200];
    let block = [&[0x0f, 150, 0, 171, 0xa0][..], &[7; 10]].concat();
    let packed = Value::Block { length: 200, hash: xxh3_64(&value), block };
    assert_eq!(packed.unpack(&[7; 150]), Ok(Some(value)));
}
