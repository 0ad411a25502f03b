//! Random kills, restarts, cuts, stalls, slow disks and failing tracks: whatever happened, once it is calm exactly one node
//! serves and the other follows it, and no epoch was ever led in twice.

use std::collections::BTreeSet;

use base::{Position, Random};

use super::pair::{A, B, Pair, at, settings};
use crate::cluster::{ResumeActive, Settings};
use crate::heartbeat::Role;
use crate::output::Output;
use crate::track::Standing;

fn start(pair: &mut Pair, random: &mut Random, node: usize) {
    let priority = 100 + random.below(2) as u8;
    // A node that died has in its journal what it wrote itself, or less.
    let known = pair.disks[node].epoch;
    let position = match random.below(3) {
        0 => Position::default(),
        _ => at(known.number, known.node.0, random.below(4)),
    };
    let restart = random.one_in(4).then_some(ResumeActive { epoch: known });
    pair.start(node, Settings { restart, ..settings(node, priority) }, position);
}

fn disturb(pair: &mut Pair, random: &mut Random) {
    let node = random.below(2) as usize;
    match random.below(10) {
        0 => pair.kill(node),
        1 => pair.mute[node] = !pair.mute[node],
        2 => pair.mute = [true, true],
        3 => pair.mute = [false, false],
        4 => pair.disk_is_slow = !pair.disk_is_slow,
        5 if pair.nodes[node].is_some() => {
            let up = random.one_in(2);
            pair.input(node, |cluster, now| cluster.carrier(now, up));
        }
        6 if pair.nodes[node].is_some() => pair.stall(node, random.below(400) + 50),
        7 if pair.nodes[node].is_some() && pair.node(node).role() == Role::Standby => {
            pair.input(node, |cluster, now| cluster.handed_over(now, Position::default()));
        }
        8 if pair.nodes[node].is_some() => {
            let standing = Standing { penalty: random.below(60) as u8, fault: random.one_in(3) };
            pair.input(node, |cluster, now| cluster.tracked(now, standing));
        }
        _ if pair.nodes[node].is_none() => start(pair, random, node),
        _ if pair.roles() == [Some(Role::Active), Some(Role::Standby)] => pair.come_into_step(A, B),
        _ if pair.roles() == [Some(Role::Standby), Some(Role::Active)] => pair.come_into_step(B, A),
        _ => {}
    }
}

fn calm(pair: &mut Pair, random: &mut Random) {
    pair.mute = [false, false];
    pair.disk_is_slow = false;
    for node in [A, B] {
        if pair.nodes[node].is_none() {
            start(pair, random, node);
        }
        pair.input(node, |cluster, now| cluster.carrier(now, true));
        pair.input(node, |cluster, now| cluster.tracked(now, Standing::default()));
    }
    pair.run(5_000);
}

#[test]
fn once_it_is_calm_one_serves_and_one_follows() {
    let mut reigns = 0;
    for seed in 0..150 {
        let mut random = Random::from_number(seed);
        let mut pair = Pair::new();
        for _ in 0..4 {
            for _ in 0..12 {
                disturb(&mut pair, &mut random);
                let pause = random.below(400);
                pair.run(pause);
            }
            calm(&mut pair, &mut random);
            let mut roles = pair.roles();
            roles.sort();
            assert_eq!(roles, [Some(Role::Standby), Some(Role::Active)], "seed {seed}");
            assert_eq!(pair.node(A).epoch(), pair.node(B).epoch(), "seed {seed}");
            assert!(pair.node(A).peer().up && pair.node(B).peer().up, "seed {seed}");
        }
        let mut epochs = BTreeSet::new();
        for (_, _, output) in &pair.record {
            if let Output::BecomeActive { epoch } = output {
                assert!(epochs.insert(*epoch), "seed {seed}: {epoch} was led in twice");
            }
        }
        reigns += epochs.len();
    }
    assert!(reigns > 600, "{reigns} reigns: the disturbances disturb too little");
}
