use std::collections::BTreeMap;

use base::{ClusterTime, Epoch, Lsn, NodeIndex, Position, Random, WallTime};

use super::{MESSAGE_BYTES_MAX, Message, MessageError, VERSION};
use crate::entry::{Entry, EntryError, ID_BYTES_MAX};
use crate::packed::PackedEntry;
use crate::store::{Checksum, Delta, Key};

fn examples() -> Vec<(Message, &'static str)> {
    let epoch = Epoch { number: 3, node: NodeIndex(1) };
    let position = Position { epoch, lsn: Lsn(9) };
    let checksums = BTreeMap::from([(4, Checksum { sum: 500, count: 2 })]);
    let deltas = vec![Delta { key: Key::new(4, "a"), value: Some(vec![7]) }];
    let (cluster_time, wall) = (ClusterTime(5), WallTime(6));
    vec![
        (Message::Leading { version: VERSION, epoch, heard: 4 }, "8200830182030104"),
        (
            Message::Hello { version: VERSION, attempt: 2, position, whole: true, packs: true },
            "82018501028282030109f5f5",
        ),
        (Message::Welcome { attempt: 2, epoch }, "82028202820301"),
        (
            Message::Entry(Entry { position, cluster_time, wall, deltas: deltas.clone() }),
            "82038184828203010905068182820461614107",
        ),
        (Message::Verify { position, checksums: checksums.clone() }, "8204828282030109a104821901f402"),
        (Message::Applied { attempt: 2, position, in_step: true }, "820583028282030109f5"),
        (
            Message::SnapshotBegin { position, cluster_time, wall, trail: vec![position] },
            "82068482820301090506818282030109",
        ),
        (Message::Objects(deltas.clone()), "8207818182820461614107"),
        (Message::SnapshotEnd { position, checksums }, "8208828282030109a104821901f402"),
        (Message::HandOver { position }, "8209818282030109"),
        (Message::Opaque(vec![1, 2]), "820a81420102"),
        (
            Message::Packed(PackedEntry::pack(
                &Entry { position, cluster_time, wall, deltas: deltas.clone() },
                &[Some(vec![7])],
            )),
            "820b8184828203010905068182820461618201814107",
        ),
    ]
}

#[test]
fn encodings_stay_as_they_were() {
    for (message, golden) in examples() {
        let bytes = message.encode();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, golden, "{message:?}");
        assert_eq!(Message::decode(&bytes), Ok(message));
    }
}

/// The version before this field tells no trail.
#[test]
fn a_snapshot_of_an_older_version_is_read() {
    let old = [0x82, 0x06, 0x83, 0x82, 0x82, 0x03, 0x01, 0x09, 0x05, 0x06];
    let Ok(Message::SnapshotBegin { trail, .. }) = Message::decode(&old) else { panic!("not a snapshot") };
    assert_eq!(trail, []);
}

#[test]
fn bounds_hold_inside_messages() {
    let delta = Delta { key: Key::new(4, "i".repeat(ID_BYTES_MAX + 1)), value: None };
    let error = MessageError::Entry(EntryError::IdTooLong { bytes: ID_BYTES_MAX + 1 });
    let entry = Entry { deltas: vec![delta.clone()], ..Entry::default() };
    assert_eq!(Message::decode(&Message::Entry(entry).encode()), Err(error.clone()));
    assert_eq!(Message::decode(&Message::Objects(vec![delta]).encode()), Err(error));
    let bytes = vec![0; MESSAGE_BYTES_MAX + 1];
    assert_eq!(Message::decode(&bytes), Err(MessageError::TooLong { bytes: bytes.len() }));
    let mut bytes = Message::Opaque(vec![1]).encode();
    bytes.push(0);
    assert_eq!(Message::decode(&bytes), Err(MessageError::Malformed));
}

#[test]
fn any_bytes_are_read_or_refused() {
    let mut random = Random::from_number(6);
    let goldens: Vec<_> = examples().into_iter().map(|(message, _)| message.encode()).collect();
    let mut read = 0;
    for round in 0..40_000 {
        let mut bytes = goldens[round % goldens.len()].clone();
        for _ in 0..=random.below(2) {
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] = random.number() as u8;
        }
        bytes.truncate(random.below(3 * bytes.len() as u64) as usize);
        read += u32::from(Message::decode(&bytes).is_ok());
    }
    assert!(read > 1_000, "the changes are too coarse to test anything");
}
