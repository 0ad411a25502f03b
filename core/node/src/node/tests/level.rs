//! Two programs in one pair: what is written.

use super::*;

const OLDER: Level = Level::FIRST;

#[test]
fn a_pair_writes_what_the_lesser_one_reads_whoever_serves() {
    for levels in [[Level::OWN, OLDER], [OLDER, Level::OWN]] {
        let mut pair = Pair::of_levels(1, levels);
        pair.run(3_000);
        assert!(pair.nodes[0].is_protected());
        for index in [0, 1] {
            assert_eq!(pair.nodes[index].level(), OLDER);
            assert_eq!(pair.nodes[index].pbx().level(), OLDER);
            assert_eq!(pair.disks[index].peer_level, Some(levels[1 - index]), "the disk remembers it");
            assert_eq!(pair.nodes[index].status(pair.now).level, OLDER.0);
        }
    }
}

#[test]
fn the_level_rises_when_the_older_one_is_upgraded() {
    let mut pair = Pair::of_levels(1, [Level::OWN, OLDER]);
    pair.run(3_000);
    pair.kill(1);
    pair.run(500);
    assert_eq!(pair.nodes[0].level(), OLDER, "what is away can still read no more");
    pair.tells.clear();
    pair.start(1, Level::OWN, 1);
    pair.run(2_000);
    assert_eq!(pair.nodes[0].pbx().level(), Level::OWN);
    assert_eq!(pair.nodes[1].pbx().level(), Level::OWN);
    assert!(pair.nodes[0].is_protected());
    let risen = Tell::Level { level: Level::OWN, own: Level::OWN };
    // The upgraded one has known all along what its peer reads.
    assert_eq!(pair.tells.iter().filter(|tell| **tell == risen).count(), 1, "{:?}", pair.tells);
}

#[test]
fn a_node_that_starts_alone_writes_what_its_peer_could_read() {
    let now = Now::default();
    let level = |links, peer_level| {
        let durable = Durable { peer_level, ..Durable::default() };
        node_with(0, links, now, Level::OWN, durable, 0).level()
    };
    assert_eq!(level(1, None), Level::FIRST, "nobody knows what the peer will be");
    assert_eq!(level(1, Some(OLDER)), OLDER);
    assert_eq!(level(1, Some(Level::OWN)), Level::OWN);
    assert_eq!(level(1, Some(Level(99))), Level::OWN, "a later peer does not teach us");
    assert_eq!(level(0, None), Level::OWN, "there is nobody to mind");
}

/// Roles hold between any two programs; the log only where it is understood.
#[test]
fn a_peer_that_is_too_old_gets_no_log_and_is_told_of() {
    let mut pair = Pair::of_levels(1, [Level::OWN, Level(0)]);
    pair.run(3_000);
    assert_eq!(pair.roles(), [Role::Active, Role::Standby], "they do not both serve");
    assert!(pair.nodes[0].peering.is_none() && !pair.nodes[0].is_protected());
    let told = Tell::PeerTooOld { peer: Level(0), oldest: Level::OLDEST };
    assert_eq!(pair.tells.iter().filter(|tell| **tell == told).count(), 1);
    let status = pair.nodes[0].status(pair.now);
    assert!(status.unprotected_because.is_some_and(|cause| cause.contains("too old")));
    pair.register(0);
    pair.run(300);
    assert_eq!(pair.said[0].last().unwrap(), "SIP/2.0 200 OK", "phones are served all the same");
}
