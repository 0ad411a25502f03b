use std::collections::BTreeMap;

use base::Random;

use super::{Checksum, Checksums, Delta, Key, Store, object_hash};

fn set(kind: u8, id: &str, value: &[u8]) -> Delta {
    Delta { key: Key::new(kind, id), value: Some(value.to_vec()) }
}

fn gone(kind: u8, id: &str) -> Delta {
    Delta { key: Key::new(kind, id), value: None }
}

/// The checksums by their definition, from scratch.
fn computed(store: &Store) -> Checksums {
    let mut checksums = Checksums::new();
    for (key, value) in store.iter() {
        let checksum: &mut Checksum = checksums.entry(key.kind).or_default();
        checksum.sum = checksum.sum.wrapping_add(object_hash(key, value));
        checksum.count += 1;
    }
    checksums
}

#[test]
fn holds_what_was_set_last() {
    let mut store = Store::new();
    store.apply(&set(1, "a", b"one"));
    store.apply(&set(1, "a", b"three"));
    store.apply(&gone(1, "b"));
    assert_eq!(store.value(&Key::new(1, "a")), Some(&b"three"[..]));
    assert_eq!(store.value(&Key::new(2, "a")), None);
    assert_eq!((store.len(), store.bytes()), (1, 6));
    store.apply(&gone(1, "a"));
    assert!(store.is_empty());
    assert_eq!(store.bytes(), 0);
    assert_eq!(store.checksums(), BTreeMap::new());
}

#[test]
fn checksums_and_bytes_follow_every_change() {
    let mut random = Random::from_number(3);
    let mut store = Store::new();
    for _ in 0..5_000 {
        let key = Key::new(random.below(4) as u8, format!("{}", random.below(60)));
        let value = match random.below(3) {
            0 => None,
            length => Some(vec![random.number() as u8; length as usize * 7]),
        };
        store.apply(&Delta { key, value });
    }
    assert!(store.len() > 20);
    assert_eq!(store.checksums(), computed(&store));
    assert_eq!(store.bytes(), store.iter().map(|(key, value)| key.id.len() + value.len()).sum::<usize>());
}

#[test]
fn checksums_do_not_depend_on_the_order() {
    let deltas = [set(1, "a", b"x"), set(1, "b", b"y"), set(2, "a", b"x")];
    let mut forward = Store::new();
    let mut backward = Store::new();
    deltas.iter().for_each(|delta| forward.apply(delta));
    deltas.iter().rev().for_each(|delta| backward.apply(delta));
    assert_eq!(forward.checksums(), backward.checksums());
    assert_eq!(forward, backward);
}

#[test]
fn checksums_tell_objects_apart_that_run_together() {
    let mut stores = [Store::new(), Store::new(), Store::new(), Store::new()];
    let objects = [set(1, "ab", b"c"), set(1, "a", b"bc"), set(1, "", b"abc"), set(2, "ab", b"c")];
    stores.iter_mut().zip(&objects).for_each(|(store, object)| store.apply(object));
    for (index, store) in stores.iter().enumerate() {
        for other in stores.iter().skip(index + 1) {
            assert_ne!(store.checksums(), other.checksums());
        }
    }
}

#[test]
fn iterates_by_key_from_anywhere() {
    let mut store = Store::new();
    for object in [set(2, "b", b"4"), set(1, "a", b"1"), set(2, "", b"2"), set(2, "a", b"3"), set(3, "a", b"5")] {
        store.apply(&object);
    }
    let values = |objects: Vec<(&Key, &[u8])>| objects.iter().map(|(_, value)| value[0]).collect::<Vec<u8>>();
    assert_eq!(values(store.iter().collect()), b"12345");
    assert_eq!(values(store.iter_from(&Key::new(2, "a")).collect()), b"345");
    assert_eq!(values(store.iter_from(&Key::new(2, "aa")).collect()), b"45");
    assert_eq!(values(store.of_kind(2).collect()), b"234");
    assert_eq!(values(store.of_kind(9).collect()), b"");
}

#[test]
fn a_clone_is_a_snapshot() {
    let mut store = Store::new();
    store.apply(&set(1, "a", b"old"));
    let snapshot = store.clone();
    store.apply(&set(1, "a", b"new"));
    assert_eq!(snapshot.value(&Key::new(1, "a")), Some(&b"old"[..]));
    assert_eq!(snapshot.checksums(), computed(&snapshot));
}

#[test]
fn its_own_encoding_is_readable() {
    let mut store = Store::new();
    for index in 0..300 {
        store.apply(&set((index % 3) as u8, &format!("{index}"), &[7; 40]));
    }
    let bytes = minicbor::to_vec(&store).expect("a vector takes every byte");
    let read: Store = minicbor::decode(&bytes).expect("its own encoding");
    assert_eq!(read, store);
    assert_eq!((read.checksums(), read.bytes()), (store.checksums(), store.bytes()));
    assert!(minicbor::decode::<Store>(&bytes[..bytes.len() - 1]).is_err());
}
