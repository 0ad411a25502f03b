use base::limits::OBJECT_BYTES_MAX;
use base::{ClusterTime, Epoch, Lsn, NodeIndex, Position, Random, WallTime};

use super::{DELTAS_MAX, ENTRY_BYTES_MAX, Entry, EntryError, ID_BYTES_MAX, check_deltas};
use crate::store::{Delta, Key};

fn example() -> Entry {
    Entry {
        position: Position { epoch: Epoch { number: 3, node: NodeIndex(1) }, lsn: Lsn(1_000) },
        cluster_time: ClusterTime(77),
        wall: WallTime(1_700_000_000_000_000),
        deltas: vec![
            Delta { key: Key::new(4, "alice"), value: Some(vec![1, 2, 3]) },
            Delta { key: Key::new(5, "bob"), value: None },
        ],
    }
}

fn value(bytes: usize) -> Delta {
    Delta { key: Key::new(1, "a"), value: Some(vec![0; bytes]) }
}

#[test]
fn encoding_stays_as_it_was() {
    let bytes = example().encode();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "84828203011903e8184d1b00060a24181e40008282820465616c6963654301020381820563626f62");
    assert_eq!(Entry::decode(&bytes), Ok(example()));
    assert!(bytes.len() <= example().bytes());
}

#[test]
fn an_empty_value_is_not_gone() {
    let deltas = vec![Delta { key: Key::new(1, ""), value: Some(Vec::new()) }];
    let entry = Entry { deltas, ..example() };
    assert_eq!(Entry::decode(&entry.encode()), Ok(entry));
}

#[test]
fn every_bound_holds_when_made_and_when_read() {
    let long_id = Delta { key: Key::new(1, "i".repeat(ID_BYTES_MAX + 1)), value: None };
    let small = Delta { key: Key::new(1, ""), value: None };
    let cases = [
        (vec![long_id], EntryError::IdTooLong { bytes: ID_BYTES_MAX + 1 }),
        (vec![value(OBJECT_BYTES_MAX + 1)], EntryError::ObjectTooLong { kind: 1, bytes: OBJECT_BYTES_MAX + 1 }),
    ];
    for (deltas, error) in cases {
        assert_eq!(check_deltas(&deltas), Err(error.clone()));
        assert_eq!(Entry::decode(&Entry { deltas, ..example() }.encode()), Err(error));
    }
    let many = vec![small; DELTAS_MAX + 1];
    assert_eq!(check_deltas(&many), Err(EntryError::TooManyDeltas { count: DELTAS_MAX + 1 }));
    assert_eq!(Entry::decode(&Entry { deltas: many, ..example() }.encode()), Err(EntryError::Malformed));
    let large = vec![value(OBJECT_BYTES_MAX); 9];
    assert!(matches!(check_deltas(&large), Err(EntryError::TooLong { .. })));
    assert!(matches!(Entry::decode(&Entry { deltas: large, ..example() }.encode()), Err(EntryError::TooLong { .. })));
}

#[test]
fn the_largest_entry_passes_both_ways() {
    let entry = Entry { deltas: vec![value(OBJECT_BYTES_MAX); 7], ..example() };
    assert_eq!(check_deltas(&entry.deltas), Ok(()));
    let bytes = entry.encode();
    assert!(bytes.len() <= entry.bytes() && entry.bytes() <= ENTRY_BYTES_MAX);
    assert_eq!(Entry::decode(&bytes), Ok(entry));
    let entry = Entry { deltas: vec![Delta { key: Key::new(255, ""), value: None }; DELTAS_MAX], ..example() };
    assert_eq!(Entry::decode(&entry.encode()), Ok(entry));
}

#[test]
fn a_later_version_may_have_more_fields() {
    let mut bytes = example().encode();
    assert_eq!(bytes[0], 0x84);
    bytes[0] = 0x85;
    bytes.push(0x01);
    assert_eq!(Entry::decode(&bytes), Ok(example()));
}

#[test]
fn any_bytes_are_read_or_refused() {
    let mut random = Random::from_number(5);
    let golden = example().encode();
    let mut read = 0;
    for _ in 0..20_000 {
        let mut bytes = golden.clone();
        for _ in 0..=random.below(3) {
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] = random.number() as u8;
        }
        bytes.truncate(random.below(2 * bytes.len() as u64) as usize);
        if let Ok(entry) = Entry::decode(&bytes) {
            read += 1;
            assert_eq!(Entry::decode(&entry.encode()), Ok(entry));
        }
    }
    assert!(read > 100, "the changes are too coarse to test anything");
    for _ in 0..20_000 {
        let bytes: [u8; 24] = random.bytes();
        let _ = Entry::decode(&bytes);
    }
    // An array that claims to be endless allocates nothing.
    assert_eq!(
        Entry::decode(&[0x84, 0x82, 0x82, 1, 1, 1, 1, 1, 0x9b, 255, 255, 255, 255, 255, 255, 255, 255]),
        Err(EntryError::Malformed)
    );
}
