//! Two logs that talk to each other over a network: resume, snapshot, loss, differences, changes of role.

use std::time::Duration;

use base::{ClusterTime, Incarnation, Position, WallTime};

use super::{Session, SessionError, SessionEvent, SessionRole};
use crate::log::{Log, RING_ENTRIES_MAX};
use crate::message::Message;
use crate::network::Network;
use crate::store::Delta;
use crate::stream::{QUEUE_BYTES_MAX, Stream};
use logs::{A, B, Logs, epoch, object, position};

mod logs;
mod packing;

#[test]
fn whoever_speaks_first_they_come_into_step() {
    for leader_first in [true, false] {
        let mut logs = Logs::new(Network::perfect());
        logs.fill(A, 1, 10);
        if leader_first {
            logs.lead(A, 1);
            logs.run(50);
            logs.follow(B);
        } else {
            logs.follow(B);
            logs.run(50);
            logs.lead(A, 1);
        }
        logs.run(50);
        logs.assert_in_step(A);
        assert_eq!(logs.session(A).counters().snapshots, 0);
        assert_eq!(logs.session(B).counters().verifications, 1);
    }
}

#[test]
fn an_entry_is_acknowledged_after_one_round_trip_and_only_once_confirmed() {
    let mut logs = Logs::following(Network::perfect());
    logs.run(50);
    logs.ends[B].confirms = false;
    logs.append(A, 1, vec![object(1, vec![1])]);
    logs.append(A, 1, vec![object(2, vec![2])]);
    let start = logs.network.now;
    logs.run(20);
    assert_eq!(logs.count(B, |event| matches!(event, SessionEvent::Applied(_))), 2);
    assert_eq!(logs.session(A).acked(), Position::default());
    let lag = logs.session(A).lag(&logs.ends[A].log, ClusterTime(start.0 + 20_000));
    assert_eq!((lag.entries, lag.age), (2, Duration::from_millis(20)));
    assert!(lag.bytes > 0);

    logs.ends[B].session.confirm(position(1, 1));
    logs.run(1);
    assert_eq!(logs.session(A).acked(), position(1, 1));
    logs.ends[B].confirms = true;
    let start = logs.network.now;
    logs.append(A, 1, vec![object(3, vec![3])]);
    while logs.session(A).acked() != position(1, 3) {
        assert!(logs.step());
    }
    assert_eq!(logs.network.now.since(start), Duration::from_micros(300));
    assert_eq!(logs.session(A).lag(&logs.ends[A].log, ClusterTime(0)).entries, 0);
}

#[test]
fn a_follower_that_comes_back_resumes_by_position() {
    let mut logs = Logs::following(Network::perfect());
    logs.fill(A, 1, 100);
    logs.run(100);
    logs.assert_in_step(A);
    // B starts again with its journal; A goes on meanwhile.
    logs.fill(A, 1, 50);
    for (end, (own, peer)) in logs.ends.iter_mut().zip([(1, 3), (3, 1)]) {
        end.session = Session::new();
        end.stream = Stream::new(Incarnation(own), Incarnation(peer), 1);
        end.events.clear();
    }
    logs.lead(A, 1);
    logs.follow(B);
    logs.run(100);
    logs.assert_in_step(A);
    assert_eq!((logs.session(A).counters().resumes, logs.session(A).counters().snapshots), (1, 0));
    assert_eq!(logs.count(B, |event| matches!(event, SessionEvent::Applied(_))), 50);
    assert_eq!(logs.count(B, |event| matches!(event, SessionEvent::Replaced { .. })), 0);
}

#[test]
fn a_follower_with_another_history_takes_a_snapshot() {
    let mut logs = Logs::new(Network::perfect());
    logs.fill(A, 1, 20);
    logs.fill(B, 1, 20);
    // B wrote three entries that nobody has acknowledged before A took over.
    for id in 100..103 {
        logs.append(B, 1, vec![object(id, vec![1])]);
    }
    logs.append(A, 2, vec![object(200, vec![2])]);
    logs.lead(A, 2);
    logs.follow(B);
    logs.run(100);
    logs.assert_in_step(A);
    assert_eq!(logs.count(B, |event| matches!(event, SessionEvent::Replaced { .. })), 1);
    assert_eq!(logs.session(A).counters().snapshots, 1);
}

#[test]
fn what_is_no_part_of_the_history_is_never_an_acknowledgement() {
    let mut logs = Logs::new(Network::perfect());
    logs.fill(B, 1, 50);
    logs.fill(A, 2, 3_000);
    logs.lead(A, 2);
    logs.follow(B);
    // Large enough that the follower acknowledges while the snapshot is still coming.
    for _ in 0..400 {
        let acked = logs.session(A).acked();
        assert!(acked == Position::default() || logs.ends[A].log.holds(acked), "{acked:?}");
        logs.step();
    }
    logs.assert_in_step(A);
}

#[test]
fn twenty_thousand_objects_move_under_load_and_loss_in_bounded_memory() {
    for (seed, loss) in [(1, 0), (2, 5)] {
        let mut logs = Logs::new(Network::new(seed, loss));
        logs.fill(A, 1, 20_000);
        let mut log = Log::from_checkpoint(logs.ends[A].log.checkpoint());
        std::mem::swap(&mut logs.ends[A].log, &mut log);
        logs.lead(A, 1);
        logs.follow(B);
        let mut rounds = 0;
        while !(logs.session(A).in_step() && rounds > 300) {
            rounds += 1;
            assert!(rounds < 5_000, "it never comes into step");
            let id = logs.network.random().below(20_500);
            let value = if id.is_multiple_of(5) { None } else { Some(vec![rounds as u8; 200]) };
            logs.append(A, 1, vec![Delta { value, ..object(id, Vec::new()) }]);
            logs.run(1);
        }
        logs.run(200);
        logs.assert_in_step(A);
        assert_eq!(logs.session(A).counters().snapshots, 1);
        assert_eq!(logs.count(B, |event| matches!(event, SessionEvent::Replaced { .. })), 1);
        assert!(logs.queued_bytes_max < 1_000_000, "{}", logs.queued_bytes_max);
    }
}

#[test]
fn the_old_store_is_kept_until_the_new_one_is_verified_and_asked_for_again() {
    let mut logs = Logs::new(Network::perfect());
    logs.fill(A, 2, 2_000);
    logs.fill(B, 1, 5);
    let old = logs.ends[B].log.clone();
    logs.lead(A, 2);
    logs.follow(B);
    while logs.count(B, |event| *event == SessionEvent::Differs) == 0 {
        assert!(logs.step_damaging());
        assert_eq!(logs.ends[B].log, old, "nothing is given up for a snapshot that is wrong");
        assert!(!logs.session(A).in_step() && !logs.session(B).in_step());
    }
    assert_eq!(logs.session(B).counters().snapshots_failed, 1);
    logs.run(500);
    logs.assert_in_step(A);
    assert_eq!(logs.session(A).counters().snapshots, 2);
}

#[test]
fn snapshots_that_always_differ_are_not_asked_for_for_ever() {
    let mut logs = Logs::new(Network::perfect());
    logs.fill(A, 2, 100);
    logs.fill(B, 1, 5);
    logs.lead(A, 2);
    logs.follow(B);
    while logs.step_damaging() {}
    assert!(logs.session(B).has_given_up());
    assert_eq!(logs.session(A).counters().snapshots, u64::from(super::follower::DIFFERENCES_MAX) + 1);
    assert!(!logs.session(A).in_step());
    logs.run(1_000);
    assert!(!logs.session(A).in_step());
    logs.follow(B);
    logs.run(100);
    logs.assert_in_step(A);
    assert!(!logs.session(B).has_given_up());
}

#[test]
fn a_store_that_differs_is_found_and_replaced() {
    let mut logs = Logs::following(Network::perfect());
    logs.fill(A, 1, 30);
    logs.run(100);
    logs.assert_in_step(A);
    // One object of the follower's is not what it was told: its log stands at the same place all the same.
    let mut checkpoint = logs.ends[B].log.checkpoint();
    checkpoint.store.apply(&object(7, b"wrong".to_vec()));
    logs.ends[B].log = Log::from_checkpoint(checkpoint);
    logs.fill(A, 1, 30 - 1);
    // Object 7 is overwritten by that; damage one that is not.
    let mut checkpoint = logs.ends[B].log.checkpoint();
    checkpoint.store.apply(&object(29, b"wrong".to_vec()));
    logs.ends[B].log = Log::from_checkpoint(checkpoint);
    for _ in 0..super::leader::VERIFY_ENTRIES {
        logs.append(A, 1, vec![object(3, vec![3])]);
        logs.run(1);
    }
    logs.run(100);
    logs.assert_in_step(A);
    assert_eq!(logs.session(B).counters().differences, 1);
    assert_eq!(logs.count(B, |event| *event == SessionEvent::Differs), 1);
    assert_eq!(logs.count(B, |event| matches!(event, SessionEvent::Replaced { .. })), 1);
}

#[test]
fn a_store_that_differed_before_is_found_when_it_resumes() {
    let mut logs = Logs::new(Network::perfect());
    logs.fill(A, 1, 30);
    let mut checkpoint = logs.ends[A].log.checkpoint();
    checkpoint.store.apply(&object(7, b"wrong".to_vec()));
    logs.ends[B].log = Log::from_checkpoint(checkpoint);
    logs.lead(A, 1);
    logs.follow(B);
    for _ in 0..100 {
        logs.step();
        assert!(!logs.session(A).in_step() || logs.ends[A].log.store() == logs.ends[B].log.store());
    }
    logs.run(50);
    logs.assert_in_step(A);
    let counters = logs.session(A).counters();
    assert_eq!((counters.resumes, counters.snapshots), (1, 1), "never in step by position alone");
}

#[test]
fn a_store_that_was_replaced_counts_only_once_its_owner_has_rebuilt_from_it() {
    let mut logs = Logs::new(Network::perfect());
    logs.fill(A, 1, 30);
    let mut checkpoint = logs.ends[A].log.checkpoint();
    checkpoint.store.apply(&object(7, b"wrong".to_vec()));
    logs.ends[B].log = Log::from_checkpoint(checkpoint);
    logs.ends[B].session.confirm(position(1, 30));
    logs.ends[B].confirms = false;
    logs.lead(A, 1);
    logs.follow(B);
    logs.run(100);
    assert_eq!(logs.count(B, |event| matches!(event, SessionEvent::Replaced { .. })), 1);
    assert!(!logs.session(A).in_step() && !logs.session(B).in_step());
    logs.ends[B].confirms = true;
    logs.run(10);
    logs.assert_in_step(A);
}

#[test]
fn a_late_acknowledgement_restores_protection_without_a_snapshot() {
    let mut logs = Logs::following(Network::new(3, 2));
    logs.fill(A, 1, 100);
    logs.run(200);
    logs.assert_in_step(A);
    logs.network.cut = true;
    // The leader goes on alone for as long as the ring holds what it writes.
    logs.fill(A, 1, 20_000);
    logs.run(10_000);
    assert!(logs.session(A).acked() < logs.ends[A].log.position());
    assert!(logs.ends[A].stream.queued_bytes() < QUEUE_BYTES_MAX / 4, "the rest waits in the ring");
    logs.network.cut = false;
    logs.run(3_000);
    logs.assert_in_step(A);
    let counters = logs.session(A).counters();
    assert_eq!((counters.resumes, counters.snapshots), (1, 0));
}

#[test]
fn beyond_the_ring_it_starts_again_with_a_snapshot() {
    let mut logs = Logs::following(Network::perfect());
    logs.fill(A, 1, 100);
    logs.run(200);
    logs.network.cut = true;
    for round in 0..RING_ENTRIES_MAX as u64 + 20_000 {
        logs.append(A, 1, vec![object(round % 500, vec![round as u8; 20])]);
        if round % 1_000 == 0 {
            logs.run(1);
        }
    }
    logs.run(100);
    assert!(!logs.session(A).in_step(), "what was acknowledged before says nothing of the next feed");
    logs.network.cut = false;
    logs.run(2_000);
    logs.assert_in_step(A);
    assert_eq!(logs.session(A).counters().snapshots, 1);
}

#[test]
fn a_leader_whose_epoch_is_over_is_refused() {
    let mut logs = Logs::new(Network::perfect());
    logs.fill(A, 1, 10);
    logs.ends[B].session.set_epoch_floor(epoch(5));
    logs.lead(A, 4);
    logs.follow(B);
    logs.run(100);
    assert_eq!(logs.ends[B].log, Log::new());
    assert!(logs.session(B).counters().refused > 0);
    assert!(!logs.session(A).in_step());
    logs.lead(A, 5);
    logs.run(100);
    logs.assert_in_step(A);

    // The floor rises in the midst of a feed: what is under way of it is not taken any more.
    logs.fill(A, 5, 10);
    logs.ends[B].session.set_epoch_floor(epoch(6));
    let before = logs.ends[B].log.clone();
    logs.run(100);
    assert_eq!(logs.ends[B].log, before);
    assert!(!logs.session(B).in_step());
    logs.lead(A, 6);
    logs.run(100);
    logs.assert_in_step(A);
    // It never falls.
    logs.ends[B].session.set_epoch_floor(epoch(1));
    logs.lead(A, 5);
    logs.run(100);
    assert!(!logs.session(A).in_step());
}

#[test]
fn the_roles_change_and_change_again() {
    let mut logs = Logs::following(Network::new(4, 3));
    logs.fill(A, 1, 50);
    logs.run(200);
    for reign in 2..8 {
        let (leader, follower) = if reign % 2 == 0 { (B, A) } else { (A, B) };
        logs.assert_in_step(follower);
        // Something of the former leader's is still under way, and was not acknowledged to anybody.
        if reign == 5 {
            logs.append(follower, reign - 1, vec![object(999, vec![reign as u8])]);
        }
        logs.lead(leader, reign);
        logs.append(leader, reign, vec![object(reign, vec![reign as u8])]);
        logs.run(3);
        logs.ends[follower].session.set_epoch_floor(epoch(reign));
        logs.follow(follower);
        logs.fill(leader, reign, 20);
        logs.run(200);
        assert_eq!(logs.session(follower).role(), SessionRole::Follower);
        logs.assert_in_step(leader);
    }
}

#[test]
fn a_hand_over_comes_after_everything_is_acknowledged() {
    let mut logs = Logs::following(Network::new(5, 10));
    logs.run(100);
    logs.fill(A, 1, 200);
    let end = logs.ends[A].log.position();
    logs.ends[A].session.hand_over(end);
    logs.ends[B].confirms = false;
    logs.run(300);
    let handed = |event: &SessionEvent| *event == SessionEvent::HandedOver { position: end };
    assert_eq!(logs.count(B, handed), 0, "the follower's owner is not ready");
    logs.ends[B].confirms = true;
    logs.run(300);
    assert_eq!(logs.count(B, handed), 1);
    assert_eq!(logs.ends[B].events.last(), Some(&SessionEvent::HandedOver { position: end }));
    assert_eq!(logs.ends[B].log.position(), end);
}

#[test]
fn a_hand_over_is_not_sent_once_it_was_cancelled_or_the_log_went_on() {
    for cancelled in [true, false] {
        let mut logs = Logs::following(Network::perfect());
        logs.run(100);
        logs.fill(A, 1, 5);
        let end = logs.ends[A].log.position();
        logs.ends[A].session.hand_over(end);
        match cancelled {
            true => logs.ends[A].session.cancel_hand_over(),
            false => logs.fill(A, 1, 1),
        }
        logs.run(300);
        assert_eq!(logs.count(B, |event| matches!(event, SessionEvent::HandedOver { .. })), 0);
        logs.assert_in_step(A);
    }
}

#[test]
fn the_owners_own_messages_pass_both_ways_in_order() {
    let mut logs = Logs::following(Network::new(6, 20));
    for index in 0..100_u8 {
        assert_eq!(logs.ends[A].session.send_opaque(vec![index; 50]), Ok(()));
        assert_eq!(logs.ends[B].session.send_opaque(vec![index]), Ok(()));
        logs.append(A, 1, vec![object(1, vec![index])]);
        logs.run(1);
    }
    logs.run(500);
    for (end, length) in [(A, 1), (B, 50)] {
        let opaque = logs.ends[end].events.iter().filter_map(|event| match event {
            SessionEvent::Opaque(bytes) => Some(bytes.clone()),
            _ => None,
        });
        let expected: Vec<Vec<u8>> = (0..100).map(|index| vec![index; length]).collect();
        assert_eq!(opaque.collect::<Vec<_>>(), expected);
    }
    logs.assert_in_step(A);
}

#[test]
fn bounds_and_bytes_that_are_no_message() {
    let mut session = Session::new();
    let mut log = Log::new();
    let too_long = SessionError::OpaqueTooLong { bytes: super::OPAQUE_BYTES_MAX + 1 };
    assert_eq!(session.send_opaque(vec![0; super::OPAQUE_BYTES_MAX + 1]), Err(too_long));
    for _ in 0..super::OUTBOX_MESSAGES_MAX {
        assert_eq!(session.send_opaque(Vec::new()), Ok(()));
    }
    assert_eq!(session.send_opaque(Vec::new()), Err(SessionError::OutboxFull));
    assert!(matches!(session.receive(&[1, 2, 3], &mut log), Err(SessionError::Message(_))));
}

#[test]
fn every_message_in_every_role_is_survived() {
    let entry = crate::Entry { position: position(1, 1), ..crate::Entry::default() };
    let messages = [
        Message::Leading { version: 1, epoch: epoch(1), heard: 5 },
        Message::Hello { version: 1, attempt: 1, position: position(9, 9), whole: false, packs: true },
        Message::Welcome { attempt: 1, epoch: epoch(1) },
        Message::Entry(entry),
        Message::Verify { position: position(1, 1), checksums: Default::default() },
        Message::Applied { attempt: 1, position: position(1, 1), in_step: true },
        Message::SnapshotBegin {
            position: position(1, 7),
            cluster_time: ClusterTime(1),
            wall: WallTime(1),
            trail: Vec::new(),
        },
        Message::Objects(vec![object(1, vec![1])]),
        Message::SnapshotEnd { position: position(1, 7), checksums: Default::default() },
        Message::HandOver { position: position(1, 1) },
        Message::Opaque(vec![1]),
    ];
    let mut random = base::Random::from_number(9);
    for role in [SessionRole::Idle, SessionRole::Leader, SessionRole::Follower] {
        for _ in 0..300 {
            let mut log = Log::new();
            let mut session = Session::new();
            match role {
                SessionRole::Idle => {}
                SessionRole::Leader => session.lead(epoch(1)),
                SessionRole::Follower => session.follow(&log),
            }
            for _ in 0..12 {
                let message = &messages[random.below(messages.len() as u64) as usize];
                let events = session.receive(&message.encode(), &mut log).expect("a sound message");
                let handed_over = events.iter().any(|event| matches!(event, SessionEvent::HandedOver { .. }));
                assert!(!handed_over || role == SessionRole::Follower);
                session.confirm(log.position());
            }
            if role != SessionRole::Follower {
                assert_eq!(log, Log::new(), "only a follower's log is changed from outside");
                assert!(!session.in_step() || role == SessionRole::Leader);
            }
        }
    }
}
