use super::*;

fn word(text: &str) -> Action {
    Action::Send {
        local: "10.0.0.1:5060".parse().unwrap(),
        destination: "10.0.0.2:5060".parse().unwrap(),
        bytes: text.into(),
    }
}

fn texts(actions: &[Action]) -> Vec<&str> {
    let text = |action: &'_ Action| match action {
        Action::Send { bytes, .. } => std::str::from_utf8(bytes).unwrap().to_owned().leak() as &str,
        other => panic!("{other:?}"),
    };
    actions.iter().map(text).collect()
}

fn three_steps() -> Outbox {
    let mut outbox = Outbox::default();
    for (lsn, text) in [(1, "one"), (2, "two"), (2, "two again"), (3, "three")] {
        outbox.hold(Lsn(lsn), LocalTime::from_millis(lsn), word(text));
    }
    outbox
}

/// facts/linux.md: fdatasync takes up to 694 ms beside one large writer; never on the path of a takeover or of a call.
/// With a peer no gate waits for the disk, and alone only for `write`.
#[test]
fn each_gate_lets_out_what_it_may_in_order() {
    let cases: [(Gate, &[&str]); 6] = [
        (Gate::Closed, &[]),
        (Gate::Peer { acked: Lsn(0) }, &[]),
        (Gate::Peer { acked: Lsn(2) }, &["one", "two", "two again"]),
        (Gate::Journal { written: Lsn(1) }, &["one"]),
        (Gate::Journal { written: Lsn(9) }, &["one", "two", "two again", "three"]),
        (Gate::Open, &["one", "two", "two again", "three"]),
    ];
    for (gate, expected) in cases {
        let mut outbox = three_steps();
        assert_eq!(texts(&outbox.release(gate, Lsn(0))), expected, "{gate:?}");
        assert_eq!(outbox.is_empty(), expected.len() == 4);
    }
}

#[test]
fn what_left_without_the_peer_is_remembered_until_it_has_caught_up() {
    let mut outbox = three_steps();
    outbox.release(Gate::Journal { written: Lsn(2) }, Lsn(1));
    assert!(!outbox.peer_has_all(Lsn(1)), "the second step was told to phones");
    assert!(outbox.peer_has_all(Lsn(2)), "the third was not");
    outbox.release(Gate::Peer { acked: Lsn(3) }, Lsn(3));
    assert!(outbox.peer_has_all(Lsn(2)));
}

#[test]
fn the_first_that_waits_sets_the_deadline() {
    let mut outbox = three_steps();
    assert_eq!(outbox.deadline(), Some(LocalTime::from_millis(1) + HOLD_MAX));
    outbox.release(Gate::Peer { acked: Lsn(1) }, Lsn(1));
    assert_eq!(outbox.deadline(), Some(LocalTime::from_millis(2) + HOLD_MAX));
    outbox.discard();
    assert_eq!(outbox.deadline(), None);
}
