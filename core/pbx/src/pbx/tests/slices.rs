//! What goes through all objects in slices: the sweep after a snapshot, lists for people, files that are let go of.

use super::*;
use crate::object::{encode, kind};
use crate::registrar::{Binding, BindingKey};

/// A PBX with so many records, registrations and, last, one call.
fn full(count: u64) -> World {
    let mut world = World::new();
    let mut phone = Phone::new("5000", "one", "10.77.0.21:5060");
    phone.invite(&mut world, "600");
    let now = world.now();
    for number in 0..count {
        let record = Record { identity: format!("{number:032x}"), ..Record::default() };
        world.pbx.apply(now, kind::RECORD, &record.identity, Some(&encode(&record))).unwrap();
        let binding = binding(number);
        world.pbx.apply(now, kind::BINDING, &binding.key.to_string(), Some(&encode(&binding))).unwrap();
    }
    world.pbx.take_outputs();
    world
}

fn binding(number: u64) -> Binding {
    Binding {
        key: BindingKey { aor: format!("{number:04}"), contact: "sip:10.77.0.21".into() },
        source: "10.77.0.21:5060".parse().unwrap(),
        local: SERVER.parse().unwrap(),
        call_id: "c".into(),
        cseq: 1,
        expires: ClusterTime::from_millis(9_000_000),
        registered: WallTime(0),
        user_agent: String::new(),
        instance: None,
    }
}

#[test]
fn a_sweep_looks_at_each_object_once_whatever_the_slices_and_drops_what_is_gone() {
    for slice in [1, 2, 3, 7, 100] {
        let mut world = full(5);
        let now = world.now();
        let (mut after, mut seen) = (None, Vec::new());
        loop {
            let seen_now = std::cell::RefCell::new(Vec::new());
            // Of records and registrations those with an odd number are gone; so is the call.
            let stays = |kind: u8, id: String| {
                let even = id.trim_end_matches("|sip:10.77.0.21").ends_with(['0', '2', '4']);
                seen_now.borrow_mut().push((kind, id));
                kind != kind::CALL && even
            };
            after = world.pbx.sweep(now, after.take(), slice, stays);
            assert!(seen_now.borrow().len() <= slice);
            seen.extend(seen_now.into_inner());
            if after.is_none() {
                break;
            }
        }
        let all = seen.iter().collect::<std::collections::BTreeSet<_>>().len();
        assert_eq!((seen.len(), all), (11, 11), "slices of {slice}");
        assert_eq!((world.pbx.records_count(), world.pbx.registrations(), world.pbx.calls_live()), (3, 3, 0));
        assert!(world.pbx.take_outputs().iter().any(|output| matches!(output, Output::ClosePort(_))));
    }
}

#[test]
fn a_sweep_looks_at_fewer_objects_where_many_leave() {
    let mut world = full(5);
    let now = world.now();
    let last = world.pbx.sweep(now, None, 17, |_, _| false);
    assert!(last.is_some());
    assert_eq!(world.pbx.records_count(), 3, "two of five records left");
}

#[test]
fn a_sweep_goes_on_behind_an_object_that_has_left_meanwhile() {
    let mut world = full(5);
    let now = world.now();
    let after = world.pbx.sweep(now, None, 7, |_, _| true).unwrap();
    world.pbx.apply(now, after.kind(), &after.id(), None).unwrap();
    let mut left = 0;
    let counted = std::cell::RefCell::new(&mut left);
    world.pbx.sweep(now, Some(after), 100, |_, _| {
        **counted.borrow_mut() += 1;
        true
    });
    assert_eq!(left, 4, "three registrations and the call");
}

#[test]
fn lists_in_slices_are_the_whole_list() {
    let world = full(5);
    let now = world.now();
    let (whole, none) = world.pbx.phone_views(now, None, 100);
    assert_eq!((whole.len(), none), (5, None));
    for slice in [1, 2, 5] {
        let (mut phones, mut after) = (Vec::new(), None);
        loop {
            let (some, last) = world.pbx.phone_views(now, after.as_ref(), slice);
            assert!(some.len() <= slice);
            phones.extend(some);
            after = last;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(phones, whole, "slices of {slice}");
    }
    let (calls, last) = world.pbx.call_views(now, None, 1);
    assert_eq!(calls.len(), 1);
    assert_eq!(world.pbx.call_views(now, last, 1), (Vec::new(), None));
}

#[test]
fn files_of_no_use_are_let_go_of_bit_by_bit() {
    let mut configuration = load(&files()).configuration.unwrap();
    let mut slices = 0;
    while configuration.discard(2) {
        slices += 1;
        assert!(slices < 100, "it comes to an end");
    }
    assert!(configuration.endpoints.is_empty());
    assert!(slices >= 4, "two phones and six extensions: {slices}");
    assert!(!configuration.discard(1));
}
