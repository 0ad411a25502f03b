//! Each role with each input, and what comes of it: by hand on one machine.

use base::{ClusterTime, Epoch, Incarnation, Level, LocalTime, Position};

use super::pair::{at, epoch, settings};
use crate::cluster::{Cluster, Durable, Settings};
use crate::heartbeat::{Heartbeat, Reach, Role};
use crate::output::{Notice, Output, SwitchOverRefused};
use crate::peer::FORMER_MAX;

const OWN: Incarnation = Incarnation(1);
const PEER: Incarnation = Incarnation(2);
const KNOWN: Epoch = Epoch { number: 5, node: base::NodeIndex(1) };

fn millis(millis: u64) -> LocalTime {
    LocalTime::from_millis(millis)
}

/// A heartbeat of node 1, which hears us.
fn heard(sequence: u64, role: Role, epoch: Epoch) -> Heartbeat {
    Heartbeat {
        level: Level::FIRST,
        incarnation: PEER,
        sequence,
        index: base::NodeIndex(1),
        role,
        epoch,
        priority: 100,
        carrier: true,
        heard: Some(OWN),
        name: "b".to_owned(),
        ..Heartbeat::default()
    }
}

fn machine(settings: Settings) -> Cluster {
    let durable = Durable { epoch: epoch(4, 1), ..Durable::default() };
    let mut cluster = Cluster::new(settings, durable, OWN, Position::default(), LocalTime::ZERO);
    let outputs = cluster.timeout(LocalTime::ZERO);
    assert!(outputs.contains(&Output::ReserveEpoch(epoch(5, 0))));
    cluster
}

fn starting() -> Cluster {
    machine(settings(0, 100))
}

/// Following node 1 in the known epoch, in step, at 10 ms.
fn standby() -> Cluster {
    let mut cluster = starting();
    cluster.heartbeat(millis(5), 0, heard(10, Role::Active, KNOWN));
    cluster.epoch_reserved(millis(6), epoch(6, 0));
    cluster.synced(millis(10), true);
    assert_eq!(cluster.role(), Role::Standby);
    cluster
}

/// Leading in epoch 6 with node 1 as follower in step, at 20 ms.
fn active() -> Cluster {
    let mut cluster = standby();
    cluster.handed_over(millis(12), Position::default());
    cluster.heartbeat(millis(15), 0, heard(11, Role::Standby, epoch(6, 0)));
    cluster.follower_in_step(millis(20), true);
    assert_eq!((cluster.role(), cluster.epoch(), cluster.is_alone()), (Role::Active, epoch(6, 0), false));
    cluster
}

/// The outputs without heartbeats.
fn told(outputs: Vec<Output>) -> Vec<Output> {
    outputs.into_iter().filter(|output| !matches!(output, Output::SendHeartbeat(_))).collect()
}

#[test]
fn starting_and_each_heartbeat() {
    let up = Output::PeerUp { incarnation: PEER };
    let mut cluster = starting();
    let outputs = cluster.heartbeat(millis(5), 0, heard(1, Role::Active, KNOWN));
    let expected = [
        up.clone(),
        Output::EpochKnown { epoch: KNOWN },
        Output::ReserveEpoch(epoch(6, 0)),
        Output::BecomeStandby { epoch: KNOWN },
    ];
    assert_eq!(told(outputs), expected);

    let mut cluster = starting();
    let stale = cluster.heartbeat(millis(5), 0, heard(1, Role::Active, epoch(3, 1)));
    let refused = Notice::StaleEpochRefused { epoch: epoch(3, 1), known: epoch(4, 1) };
    assert_eq!(told(stale), [up.clone(), Output::Notice(refused)]);
    assert_eq!(cluster.role(), Role::Starting);
    assert!(cluster.peer().up, "it is alive all the same");

    // We lead: our index is lower and all else is equal.
    let mut cluster = starting();
    cluster.heartbeat(millis(5), 0, heard(1, Role::Starting, Epoch::default()));
    assert_eq!(cluster.role(), Role::Active);

    // It does not hear us, so it cannot know that we lead.
    let mut cluster = starting();
    let deaf = Heartbeat { heard: None, ..heard(1, Role::Starting, Epoch::default()) };
    cluster.heartbeat(millis(5), 0, deaf);
    assert_eq!(cluster.role(), Role::Starting);

    // It has more than we have.
    let mut cluster = starting();
    let longer = Heartbeat { position: at(4, 1, 8), ..heard(1, Role::Starting, epoch(4, 1)) };
    cluster.heartbeat(millis(5), 0, longer);
    assert_eq!(cluster.role(), Role::Starting);

    // It has lost its leader and everything is with it: it takes over by itself.
    let mut cluster = starting();
    let synced = Heartbeat { synced: true, ..heard(1, Role::Standby, epoch(4, 1)) };
    cluster.heartbeat(millis(5), 0, synced);
    assert_eq!(cluster.role(), Role::Starting);

    // It has lost its leader and missed something: it is compared like one that starts.
    let mut cluster = starting();
    cluster.heartbeat(millis(5), 0, heard(1, Role::Standby, epoch(4, 1)));
    assert_eq!(cluster.role(), Role::Active);
}

#[test]
fn starting_and_each_other_input() {
    let mut cluster = starting();
    assert_eq!(told(cluster.farewell(millis(5), PEER)), []);
    assert_eq!(told(cluster.synced(millis(5), true)), []);
    assert_eq!(told(cluster.follower_in_step(millis(5), true)), []);
    assert_eq!(told(cluster.epoch_reserved(millis(5), epoch(5, 0))), []);
    assert_eq!(told(cluster.carrier(millis(5), true)), []);
    assert_eq!(cluster.switch_over(millis(5)), Err(SwitchOverRefused::NotActive));
    let refused = [Output::Notice(Notice::HandOverRefused)];
    assert_eq!(told(cluster.handed_over(millis(5), Position::default())), refused);
    assert_eq!(cluster.role(), Role::Starting);

    assert_eq!(told(cluster.carrier(millis(6), false)), []);
    for at in (30..1_500).step_by(30) {
        assert_eq!(told(cluster.timeout(millis(at))), []);
    }
    assert_eq!(told(cluster.timeout(millis(1_500))), [Output::Notice(Notice::NoCarrier)]);
    assert_eq!(told(cluster.carrier(millis(1_501), true)), [], "it listens first: nothing could be heard until now");
    for at in (1_530..1_620).step_by(30) {
        assert_eq!(told(cluster.timeout(millis(at))), []);
    }
    let outputs = told(cluster.timeout(millis(1_621)));
    let expected = [
        Output::BecomeActive { epoch: epoch(5, 0) },
        Output::EpochKnown { epoch: epoch(5, 0) },
        Output::ReserveEpoch(epoch(6, 0)),
        Output::TellNeighbours,
    ];
    assert_eq!(outputs, expected);

    let mut cluster = starting();
    cluster.leave(millis(5));
    for at in (30..6_000).step_by(30) {
        cluster.timeout(millis(at));
    }
    assert_eq!(cluster.role(), Role::Starting, "who leaves takes no role");
}

#[test]
fn standby_and_each_heartbeat() {
    let mut cluster = standby();
    assert_eq!(told(cluster.heartbeat(millis(40), 0, heard(11, Role::Active, KNOWN))), []);
    let newer = cluster.heartbeat(millis(41), 0, heard(12, Role::Active, epoch(7, 1)));
    assert_eq!(told(newer), [Output::EpochKnown { epoch: epoch(7, 1) }, Output::ReserveEpoch(epoch(8, 0))]);
    assert_eq!(cluster.epoch(), epoch(7, 1));

    let stale = cluster.heartbeat(millis(42), 0, heard(13, Role::Active, KNOWN));
    let refused = Notice::StaleEpochRefused { epoch: KNOWN, known: epoch(7, 1) };
    assert_eq!(told(stale), [Output::Notice(refused)]);
    assert_eq!(told(cluster.heartbeat(millis(43), 0, heard(14, Role::Active, KNOWN))), [], "noticed once");

    let mut cluster = standby();
    let alone = Heartbeat { alone: true, ..heard(11, Role::Active, KNOWN) };
    cluster.heartbeat(millis(40), 0, alone);
    assert!(!cluster.is_synced());
    cluster.heartbeat(millis(41), 0, heard(12, Role::Active, KNOWN));
    assert!(cluster.is_synced());

    // The leader has stepped down without a word: its silence as leader counts.
    let mut cluster = standby();
    cluster.heartbeat(millis(40), 0, heard(11, Role::Standby, KNOWN));
    assert_eq!(cluster.role(), Role::Standby);
    for at in [70, 100] {
        assert_eq!(told(cluster.timeout(millis(at))), []);
    }
    cluster.heartbeat(millis(124), 0, heard(12, Role::Standby, KNOWN));
    assert_eq!(cluster.role(), Role::Standby);
    cluster.heartbeat(millis(125), 0, heard(13, Role::Standby, KNOWN));
    assert_eq!(cluster.role(), Role::Active);

    let mut cluster = standby();
    let leaving = Heartbeat { leaving: true, ..heard(11, Role::Standby, KNOWN) };
    let outputs = told(cluster.heartbeat(millis(40), 0, leaving));
    assert_eq!(outputs.first(), Some(&Output::PeerDown { incarnation: PEER }));
    assert_eq!(cluster.role(), Role::Active);
}

#[test]
fn standby_and_each_other_input() {
    let mut cluster = standby();
    assert_eq!(told(cluster.follower_in_step(millis(20), true)), []);
    assert_eq!(cluster.switch_over(millis(20)), Err(SwitchOverRefused::NotActive));
    assert_eq!(told(cluster.epoch_reserved(millis(20), epoch(9, 1))), [], "another's epoch is not ours");
    assert_eq!(told(cluster.synced(millis(20), true)), []);
    assert_eq!(told(cluster.timeout(millis(36))), []);
    assert_eq!(told(cluster.carrier(millis(40), false)), []);
    assert_eq!(told(cluster.handed_over(millis(41), Position::default())), [Output::Notice(Notice::HandOverRefused)]);
    cluster.carrier(millis(42), true);

    let outputs = told(cluster.farewell(millis(50), PEER));
    let expected = [
        Output::PeerDown { incarnation: PEER },
        Output::BecomeActive { epoch: epoch(6, 0) },
        Output::EpochKnown { epoch: epoch(6, 0) },
        Output::ReserveEpoch(epoch(7, 0)),
        Output::TellNeighbours,
    ];
    assert_eq!(outputs, expected);

    let mut cluster = standby();
    cluster.synced(millis(20), false);
    assert_eq!(told(cluster.farewell(millis(50), PEER)), [Output::PeerDown { incarnation: PEER }]);
    assert_eq!(cluster.role(), Role::Standby, "who lacks something waits");
}

#[test]
fn active_and_each_heartbeat() {
    let mut cluster = active();
    let lower = told(cluster.heartbeat(millis(30), 0, heard(20, Role::Active, KNOWN)));
    let both = Notice::DoubleActive { own: epoch(6, 0), peer: KNOWN };
    assert_eq!(lower, [Output::Notice(both), Output::TellNeighbours]);
    let again = told(cluster.heartbeat(millis(31), 0, heard(21, Role::Active, KNOWN)));
    assert_eq!(again, [], "noticed once");
    let healed = told(cluster.heartbeat(millis(33), 0, heard(22, Role::Standby, epoch(6, 0))));
    assert_eq!(healed, [Output::TellNeighbours]);

    let greater = Heartbeat { reach: Reach::Reign, ..heard(23, Role::Active, epoch(7, 1)) };
    let greater = told(cluster.heartbeat(millis(34), 0, greater));
    let expected = [
        Output::Notice(Notice::DoubleActive { own: epoch(6, 0), peer: epoch(7, 1) }),
        Output::EpochKnown { epoch: epoch(7, 1) },
        Output::ReserveEpoch(epoch(8, 0)),
        Output::BecomeStandby { epoch: epoch(7, 1) },
    ];
    assert_eq!(greater, expected);
    assert_eq!(cluster.role(), Role::Standby);

    for role in [Role::Starting, Role::Standby] {
        let mut cluster = active();
        assert_eq!(told(cluster.heartbeat(millis(21), 0, heard(20, role, KNOWN))), []);
        assert_eq!(cluster.role(), Role::Active);

        // It knows of a later reign and has its history: ours is over, unless it has given that reign up.
        let mut cluster = active();
        let longer = Heartbeat { position: at(7, 1, 3), ..heard(20, role, epoch(7, 1)) };
        cluster.heartbeat(millis(30), 0, longer);
        assert_eq!(cluster.role(), if role == Role::Standby { Role::Active } else { Role::Standby });

        // It knows of a later reign but has nothing of it: ours is renewed.
        let mut cluster = active();
        let outputs = told(cluster.heartbeat(millis(30), 0, heard(20, role, epoch(7, 1))));
        assert!(outputs.contains(&Output::BecomeActive { epoch: epoch(8, 0) }));
    }

    let mut cluster = active();
    let leaving = Heartbeat { leaving: true, ..heard(20, Role::Standby, KNOWN) };
    assert_eq!(told(cluster.heartbeat(millis(21), 0, leaving)), [Output::PeerDown { incarnation: PEER }]);
    assert!(cluster.is_alone());
}

#[test]
fn active_and_each_other_input() {
    let mut cluster = active();
    assert_eq!(told(cluster.synced(millis(21), true)), []);
    assert_eq!(told(cluster.handed_over(millis(21), Position::default())), [Output::Notice(Notice::HandOverRefused)]);
    assert_eq!(told(cluster.epoch_reserved(millis(21), epoch(7, 0))), []);
    cluster.follower_in_step(millis(21), false);
    assert!(cluster.is_alone());
    assert_eq!(cluster.switch_over(millis(21)), Err(SwitchOverRefused::PeerNotInStep));
    cluster.follower_in_step(millis(21), true);
    assert_eq!(cluster.switch_over(millis(21)).map(told), Ok(vec![Output::BeginHandOver]));
    let outputs = told(cluster.farewell(millis(22), PEER));
    assert_eq!(outputs, [Output::PeerDown { incarnation: PEER }, Output::HandOverFailed, Output::TellNeighbours]);
    assert!(cluster.is_alone());
    assert_eq!(cluster.switch_over(millis(22)), Err(SwitchOverRefused::PeerDown));
    cluster.follower_in_step(millis(22), true);
    assert!(cluster.is_alone(), "a peer that is down is in step with nobody");

    let mut cluster = active();
    cluster.heartbeat(millis(21), 0, Heartbeat { carrier: false, ..heard(20, Role::Standby, KNOWN) });
    assert_eq!(cluster.switch_over(millis(21)), Err(SwitchOverRefused::PeerWithoutCarrier));
    cluster.carrier(millis(22), false);
    assert!(!cluster.is_handing_over() && cluster.role() == Role::Active, "nobody could do better");

    let mut cluster = active();
    let outputs = told(cluster.leave(millis(21)));
    assert_eq!(outputs, [Output::BecomeStandby { epoch: epoch(6, 0) }]);
}

#[test]
fn whatever_comes_first_after_a_stall_judges_no_silence() {
    type Input = fn(&mut Cluster, LocalTime) -> Vec<Output>;
    let inputs: [Input; 7] = [
        |cluster, now| cluster.timeout(now),
        |cluster, now| cluster.synced(now, true),
        |cluster, now| cluster.carrier(now, true),
        |cluster, now| cluster.follower_in_step(now, false),
        |cluster, now| cluster.epoch_reserved(now, Epoch::default()),
        |cluster, now| cluster.farewell(now, Incarnation(9)),
        |cluster, now| cluster.heartbeat(now, 8, heard(900, Role::Active, KNOWN)),
    ];
    for (index, input) in inputs.into_iter().enumerate() {
        let mut cluster = standby();
        let stalled = told(input(&mut cluster, millis(160)));
        assert!(matches!(stalled[0], Output::Notice(Notice::Stalled { .. })), "input {index}: {stalled:?}");
        assert_eq!(told(cluster.timeout(millis(161))), [], "input {index}");
        for at in [190, 220, 250, 279] {
            assert_eq!(told(cluster.timeout(millis(at))), [], "input {index}");
        }
        cluster.timeout(millis(280));
        assert_eq!(cluster.role(), Role::Active, "input {index}");
    }
}

#[test]
fn replays_are_refused() {
    let mut cluster = standby();
    // The same and earlier ones of this life do not prove that it lives.
    for sequence in [10, 9, 1] {
        assert_eq!(told(cluster.heartbeat(millis(60), 1, heard(sequence, Role::Active, KNOWN))), []);
    }
    assert_eq!(cluster.peer().heard_at, millis(5));

    // A life that does not name us does not take the place of one that is up.
    let recorded =
        Heartbeat { incarnation: Incarnation(77), heard: Some(Incarnation(55)), ..heard(9_000, Role::Active, KNOWN) };
    cluster.heartbeat(millis(61), 0, recorded);
    assert_eq!(cluster.peer().incarnation, Some(PEER));

    // A life that does is the next one, and the one before is over for good.
    let next = Heartbeat { incarnation: Incarnation(3), ..heard(1, Role::Active, KNOWN) };
    cluster.heartbeat(millis(62), 0, next);
    assert_eq!(cluster.peer().incarnation, Some(Incarnation(3)));
    let former = cluster.heartbeat(millis(63), 0, heard(11, Role::Active, epoch(9, 1)));
    let refused = Notice::HeartbeatRefused { incarnation: PEER, link: 0 };
    assert_eq!(told(former), [Output::Notice(refused)]);
    assert_eq!(cluster.epoch(), KNOWN);

    // The list of former lives is bounded.
    for life in 0..3 * FORMER_MAX as u64 {
        let next = Heartbeat { incarnation: Incarnation(100 + life), ..heard(1, Role::Active, KNOWN) };
        cluster.heartbeat(millis(64), 0, next);
    }
    assert_eq!(cluster.peer().incarnation, Some(Incarnation(99 + 3 * FORMER_MAX as u64)));
}

#[test]
fn odd_heartbeats_change_nothing() {
    let mut cluster = standby();
    let before = cluster.clone();
    let own = Heartbeat { incarnation: OWN, ..heard(900, Role::Active, epoch(9, 1)) };
    assert_eq!(cluster.heartbeat(millis(11), 0, own), []);
    assert_eq!(cluster, before);
    let same_index = Heartbeat { index: base::NodeIndex(0), ..heard(900, Role::Active, epoch(9, 0)) };
    let notice = Notice::SameIndex { index: base::NodeIndex(0) };
    assert_eq!(cluster.heartbeat(millis(11), 0, same_index.clone()), [Output::Notice(notice)]);
    assert_eq!(cluster.heartbeat(millis(11), 0, same_index), []);
    cluster.heartbeat(millis(11), 8, heard(900, Role::Active, KNOWN));
    assert_eq!(cluster.peer().heard_at, millis(5), "there are no more than eight links");
}

#[test]
fn each_link_shows_when_it_was_last_heard() {
    let mut cluster = standby();
    cluster.heartbeat(millis(40), 1, heard(11, Role::Active, KNOWN));
    cluster.heartbeat(millis(41), 0, heard(11, Role::Active, KNOWN));
    let links: Vec<_> = cluster.peer().links.iter().map(|(link, state)| (*link, state.heard_at)).collect();
    assert_eq!(links, [(0, millis(41)), (1, millis(40))]);
    assert_eq!(cluster.peer().heard_at, millis(40));
}

#[test]
fn cluster_time_follows_the_leader_and_the_log() {
    let mut cluster = starting();
    let later = Heartbeat { cluster_time: ClusterTime(9_000_000), ..heard(1, Role::Active, KNOWN) };
    cluster.heartbeat(millis(5), 0, later);
    assert_eq!(cluster.cluster_time(millis(5)), ClusterTime(9_000_000));
    cluster.observe(ClusterTime(9_500_000), millis(6));
    assert_eq!(cluster.cluster_time(millis(6)), ClusterTime(9_500_000));

    let mut cluster = active();
    let before = cluster.cluster_time(millis(30));
    let ahead = Heartbeat { cluster_time: ClusterTime(9_000_000), ..heard(20, Role::Standby, KNOWN) };
    cluster.heartbeat(millis(30), 0, ahead);
    assert_eq!(cluster.cluster_time(millis(30)), before, "the leader's own clock is the pair's");
}

#[test]
fn the_machine_is_plain_data() {
    let cluster = active();
    let bytes = minicbor::to_vec(&cluster).expect("a vector takes every byte");
    assert_eq!(minicbor::decode::<Cluster>(&bytes).expect("its own encoding is readable"), cluster);
}
