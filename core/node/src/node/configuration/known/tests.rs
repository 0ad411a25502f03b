use super::*;

fn id(number: u8) -> VersionId {
    VersionId(Hash([number; 32]))
}

#[test]
fn encodings_stay_as_they_were() {
    let hex =
        |delta: Delta| delta.value.map(|value| value.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    let of = |number: u8| format!("5820{}", format!("{number:02x}").repeat(32));
    assert_eq!(hex(set_head(id(1))), Some(format!("81{}", of(1))));
    let conflict = Conflict { base: Some(id(1)), ours: id(2), theirs: id(3), node: NodeIndex(1), author: "b".into() };
    assert_eq!(hex(set_conflict(Some(&conflict))), Some(format!("85{}{}{}016162", of(1), of(2), of(3))));
    let refused = Refused::new(Hash([4; 32]), "b", &["x:1: y".into()]);
    assert_eq!(hex(set_refused(NodeIndex(1), Some(&refused))), Some(format!("83{}61628166783a313a2079", of(4))));
    assert_eq!(hex(set_conflict(None)), None);
}

#[test]
fn what_is_written_is_read_back_and_goes_again() {
    let mut store = Store::new();
    let mut known = Known::default();
    let version = Version { author: "a".into(), ..Version::default() };
    let conflict = Conflict { base: None, ours: version.id(), theirs: id(3), node: NodeIndex(1), author: "b".into() };
    let refused = Refused::new(Hash([4; 32]), "b", &["x:1: y".into()]);
    store.apply(&set_head(version.id()));
    store.apply(&add_to_history(&version, ClusterTime(5)));
    store.apply(&set_conflict(Some(&conflict)));
    store.apply(&set_refused(NodeIndex(1), Some(&refused)));
    assert!(known.refresh(&store) && !known.refresh(&store));
    assert_eq!(known.head_version(), Some((version.id(), &version)));
    assert_eq!((known.conflict.as_ref(), known.refused.get(&1)), (Some(&conflict), Some(&refused)));
    store.apply(&set_conflict(None));
    store.apply(&set_refused(NodeIndex(1), None));
    store.apply(&take_from_history(version.id()));
    assert!(known.refresh(&store));
    assert!(known.conflict.is_none() && known.refused.is_empty() && known.history.is_empty());
}

#[test]
fn nonsense_in_the_log_is_no_configuration() {
    let mut store = Store::new();
    for (kind, name) in [(17, "head"), (17, "conflict"), (17, "refused/1"), (17, "refused/x"), (16, "configuration/1")]
    {
        store.apply(&Delta { key: Key::new(kind, name), value: Some(vec![0xff, 1, 2]) });
    }
    let mut known = Known::default();
    known.refresh(&store);
    assert!(known.head.is_none() && known.conflict.is_none() && known.refused.is_empty() && known.history.is_empty());
}

#[test]
fn the_oldest_versions_leave_a_full_history_but_never_the_head_or_a_conflict() {
    let mut known = Known::default();
    for number in 0..HISTORY_MAX as u64 {
        let version = Version { made_at: base::WallTime(number), ..Version::default() };
        known.history.insert(version.id(), (ClusterTime(number), version));
    }
    let nth = |number| Version { made_at: base::WallTime(number), ..Version::default() }.id();
    known.head = Some(nth(0));
    let conflict = Conflict { base: None, ours: nth(0), theirs: nth(1), node: NodeIndex(1), author: "b".into() };
    known.conflict = Some(conflict);
    assert_eq!(known.forgettable(), [nth(2)]);
    assert!(known.is_full());
}

#[test]
fn a_refusal_is_cut_to_what_a_person_reads() {
    let long = vec!["ä".repeat(1_000); 100];
    let refused = Refused::new(Hash::default(), "a", &long);
    assert_eq!(refused.problems.len(), PROBLEMS_MAX);
    assert_eq!(refused.problems[0].len(), PROBLEM_BYTES_MAX);
}
