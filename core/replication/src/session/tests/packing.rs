//! Entries of which only what is new is sent.

use super::*;
use crate::session::leader::VERIFY_ENTRIES;

fn call(state: &str) -> Delta {
    let lines: String =
        (0..60).map(|line| format!("Via: SIP/2.0/UDP 10.0.0.{line};branch={}\r\n", line * 7919)).collect();
    object(5, format!("{lines}{state}").into_bytes())
}

/// What a leader sends of an entry to a follower that said so in its hello.
fn entry_for(packs: bool) -> Vec<u8> {
    let mut log = Log::new();
    let append = |log: &mut Log, state| {
        assert!(log.append(epoch(1), vec![call(state)], ClusterTime(1), WallTime(1)).is_ok());
    };
    append(&mut log, "ringing");
    let (mut session, mut stream) = (Session::new(), Stream::new(Incarnation(1), Incarnation(2), 1));
    session.lead(epoch(1));
    let hello = Message::Hello { version: 1, attempt: 1, position: log.position(), whole: false, packs };
    assert_eq!(session.receive(&hello.encode(), &mut log), Ok(vec![]));
    append(&mut log, "answered");
    assert_eq!(session.flush(&log, &mut stream), Ok(()));
    let mut peer = Stream::new(Incarnation(2), Incarnation(1), 1);
    let now = base::LocalTime::ZERO;
    while let Some(datagram) = stream.next_datagram(now) {
        assert_eq!(peer.datagram(now, &datagram), Ok(()));
    }
    let mut messages = std::iter::from_fn(|| peer.next_message());
    messages
        .find(|bytes| matches!(Message::decode(bytes), Ok(Message::Entry(_) | Message::Packed(_))))
        .expect("an entry")
}

#[test]
fn a_follower_of_an_older_version_gets_whole_entries() {
    let (whole, packed) = (entry_for(false), entry_for(true));
    assert!(matches!(Message::decode(&whole), Ok(Message::Entry(_))) && whole.len() > 2_000);
    assert!(matches!(Message::decode(&packed), Ok(Message::Packed(_))) && packed.len() < 120, "{}", packed.len());
    // Its hello ends before the field.
    let old = [0x82, 0x01, 0x84, 0x01, 0x02, 0x82, 0x82, 0x03, 0x01, 0x09, 0xf5];
    assert!(matches!(Message::decode(&old), Ok(Message::Hello { packs: false, .. })));
}

#[test]
fn a_follower_has_all_of_it_whatever_is_lost() {
    for seed in 0..3 {
        let mut logs = Logs::following(Network::new(seed, 10));
        logs.run(50);
        for number in 0..200 {
            logs.append(A, 1, vec![call(&format!("state {number}")), object(number % 4, vec![number as u8; 200])]);
            logs.run(number % 3);
        }
        logs.run(2_000);
        logs.assert_in_step(A);
        assert_eq!(logs.session(B).counters().differences, 0);
    }
}

#[test]
fn a_difference_shows_when_the_object_changes() {
    let mut logs = Logs::following(Network::perfect());
    logs.append(A, 1, vec![call("ringing")]);
    logs.run(50);
    logs.assert_in_step(A);
    let mut checkpoint = logs.ends[B].log.checkpoint();
    checkpoint.store.apply(&object(5, b"wrong".to_vec()));
    logs.ends[B].log = Log::from_checkpoint(checkpoint);
    logs.append(A, 1, vec![call("answered")]);
    logs.run(50);
    logs.assert_in_step(A);
    // Two entries: it is not the verification that found it.
    const { assert!(VERIFY_ENTRIES > 2) };
    assert_eq!(logs.count(B, |event| *event == SessionEvent::Differs), 1);
}
