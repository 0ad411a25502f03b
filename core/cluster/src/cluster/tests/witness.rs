//! A pair with a witness: never two masters while one of the nodes hears it, and no slower than without.

use std::time::Duration;

use base::{LocalTime, Position, Random};

use super::pair::{A, B, Pair, at, settings};
use crate::cluster::{ResumeActive, Safeguards, Settings};
use crate::heartbeat::Role;
use crate::output::{Notice, Output};
use crate::witness::{Kind, LEASE, Mode, Referee, Verdict};

const ACTIVE: Option<Role> = Some(Role::Active);
const STANDBY: Option<Role> = Some(Role::Standby);

fn safeguards(mode: Mode) -> Safeguards {
    Safeguards { witness: Some(mode), ..Safeguards::default() }
}

/// A leads, B follows in step, and both hear a witness that has been up for a second.
fn pair(mode: Mode) -> Pair {
    let mut pair = Pair::in_step_with(Some(Referee::new(1, LocalTime::ZERO)), safeguards(mode));
    pair.run(300);
    assert!(pair.node(A).witness().is_some_and(|lease| lease.counts() && lease.verdict() == Verdict::Granted));
    pair
}

fn notices(pair: &Pair, node: usize, notice: Notice) -> usize {
    pair.count(node, |output| *output == Output::Notice(notice))
}

fn part(pair: &mut Pair) {
    pair.mute = [true; 2];
}

fn cut(pair: &mut Pair, node: usize) {
    part(pair);
    pair.cut_from_witness[node] = true;
}

#[test]
fn a_split_leaves_the_one_that_holds_the_lease() {
    for mode in [Mode::Prefer, Mode::Require] {
        let mut pair = pair(mode);
        part(&mut pair);
        pair.run(10_000);
        assert_eq!(pair.roles(), [ACTIVE, STANDBY]);
        assert_eq!(notices(&pair, B, Notice::RoleWithheld { answered: true }), 1);
        pair.mute = [false; 2];
        pair.run(2_000);
        assert_eq!(pair.roles(), [ACTIVE, STANDBY]);
        assert_eq!(pair.count(A, |output| matches!(output, Output::BecomeActive { .. })), 1);
        assert_eq!(pair.both_active, Duration::ZERO);
    }
}

#[test]
fn a_cut_is_healed_as_fast_as_without_and_by_one_master_only() {
    for delay in 0..40 {
        let mut pair = pair(Mode::Prefer);
        pair.run(delay);
        cut(&mut pair, A);
        let took = pair.until(B, Role::Active, 1_000);
        assert!(took <= 125, "{took} ms, cut after {delay}");
        assert_eq!(pair.roles(), [STANDBY, ACTIVE]);
        assert_eq!(pair.both_active, Duration::ZERO);
        pair.run(5_000);
        assert_eq!(pair.roles(), [STANDBY, ACTIVE], "who is cut off stays away");
        pair.mute = [false; 2];
        pair.run(2_000);
        assert_eq!(pair.roles(), [STANDBY, ACTIVE]);
        assert_eq!(pair.both_active, Duration::ZERO);
    }
}

#[test]
fn a_standby_that_is_cut_off_from_both_does_not_serve() {
    let mut pair = pair(Mode::Prefer);
    cut(&mut pair, B);
    pair.run(20_000);
    assert_eq!(pair.roles(), [ACTIVE, STANDBY]);
    assert_eq!(notices(&pair, B, Notice::WitnessLost), 1);
    assert_eq!(notices(&pair, B, Notice::RoleWithheld { answered: false }), 1);
}

#[test]
fn a_farewell_needs_nobodys_consent() {
    let mut pair = pair(Mode::Require);
    let life = pair.node(A).incarnation();
    pair.kill(A);
    pair.input(B, |node, now| node.farewell(now, life));
    assert_eq!(pair.node(B).role(), Role::Active);
    pair.run(1_000);
    assert_eq!(pair.node(B).role(), Role::Active, "and the dead one's lease binds nobody");
    assert_eq!(pair.node(B).witness().map(|lease| lease.verdict()), Some(Verdict::Granted));
}

#[test]
fn a_switchover_passes_the_lease_on() {
    let mut pair = pair(Mode::Require);
    pair.input(B, |node, now| node.handed_over(now, Position::default()));
    pair.run(2_000);
    assert_eq!(pair.roles(), [STANDBY, ACTIVE]);
    assert_eq!(pair.count(B, |output| matches!(output, Output::BecomeActive { .. })), 1);
    let now = pair.now;
    assert!(pair.node(B).witness().is_some_and(|lease| lease.holds(now)));
}

#[test]
fn a_lost_witness_disturbs_nobody_who_hears_the_peer() {
    for mode in [Mode::Prefer, Mode::Require] {
        let mut pair = pair(mode);
        pair.witness = None;
        pair.run(10_000);
        assert_eq!(pair.roles(), [ACTIVE, STANDBY]);
        assert_eq!([A, B].map(|node| notices(&pair, node, Notice::WitnessLost)), [1, 1]);
        pair.restart_witness();
        pair.run(1_000);
        assert_eq!([A, B].map(|node| notices(&pair, node, Notice::WitnessHeard)), [2, 2]);
        assert_eq!(pair.count(A, |output| matches!(output, Output::BecomeActive { .. })), 1);
    }
}

#[test]
fn without_any_witness_availability_wins_or_not_as_configured() {
    for (mode, roles) in [(Mode::Prefer, [ACTIVE, ACTIVE]), (Mode::Require, [STANDBY, STANDBY])] {
        let mut pair = pair(mode);
        pair.witness = None;
        pair.run(2_000);
        part(&mut pair);
        pair.run(5_000);
        assert_eq!(pair.roles(), roles, "{mode:?}");
        pair.mute = [false; 2];
        pair.run(3_000);
        let mut roles = pair.roles();
        roles.sort();
        assert_eq!(roles, [STANDBY, ACTIVE], "{mode:?}");
    }
}

#[test]
fn who_is_cut_from_the_witness_alone_lives_by_the_peers_word() {
    let mut pair = pair(Mode::Prefer);
    pair.cut_from_witness[A] = true;
    pair.run(5_000);
    assert_eq!(pair.roles(), [ACTIVE, STANDBY]);
    part(&mut pair);
    let took = pair.until(B, Role::Active, 1_000);
    assert!(took <= 125, "{took} ms");
    assert_eq!(pair.both_active, Duration::ZERO);
    assert_eq!(pair.count(A, |output| matches!(output, Output::Notice(Notice::Resigned { .. }))), 1);
}

#[test]
fn the_peers_word_counts_from_the_heartbeat_that_it_heard() {
    let mut pair = pair(Mode::Prefer);
    pair.cut_from_witness[A] = true;
    pair.run(1_000);
    // A still hears B, which does not hear A any more.
    pair.mute = [true, false];
    pair.until(B, Role::Active, 1_000);
    assert_eq!(pair.node(A).role(), Role::Standby, "it has gone before B came");
    assert_eq!(pair.both_active, Duration::ZERO);
}

#[test]
fn a_witness_that_starts_anew_renews_who_serves() {
    for silent in [0, 20, 50] {
        let mut pair = pair(Mode::Prefer);
        part(&mut pair);
        pair.run(1_000);
        pair.witness = None;
        pair.run(silent);
        pair.restart_witness();
        pair.run(3_000);
        assert_eq!(pair.roles(), [ACTIVE, STANDBY], "silent for {silent} ms");
        assert_eq!(pair.both_active, Duration::ZERO);
    }
}

#[test]
fn who_lost_the_lease_takes_the_role_again_when_nobody_else_has() {
    let mut pair = pair(Mode::Require);
    pair.kill(B);
    pair.run(1_000);
    pair.witness = None;
    pair.run(1_000);
    assert_eq!(pair.node(A).role(), Role::Standby);
    pair.restart_witness();
    let took = pair.until(A, Role::Active, 1_000);
    assert!(took <= 50 + LEASE.as_millis() as u64, "{took} ms");
}

#[test]
fn a_node_alone_outlives_the_witness_when_that_said_that_the_peer_was_gone() {
    let mut pair = pair(Mode::Prefer);
    pair.kill(B);
    pair.run(3_000);
    pair.witness = None;
    pair.run(60_000);
    assert_eq!(pair.node(A).role(), Role::Active);
    assert_eq!(pair.count(A, |output| matches!(output, Output::BecomeActive { .. })), 1);
}

#[test]
fn a_node_that_starts_asks_first_and_serves_without_an_answer_as_configured() {
    let resume = Some(ResumeActive { epoch: at(5, 0, 0).epoch });
    for (mode, witness, longest) in [
        (Mode::Prefer, Some(Referee::new(1, LocalTime::ZERO)), Some(5)),
        (Mode::Prefer, None, Some(110)),
        (Mode::Require, None, None),
    ] {
        let mut pair = Pair::new();
        pair.witness = witness;
        pair.start(A, Settings { restart: resume, safeguards: safeguards(mode), ..settings(A, 150) }, at(5, 0, 9));
        match longest {
            Some(longest) => {
                let took = pair.until(A, Role::Active, 1_000);
                assert!(took <= longest, "{mode:?}: {took} ms");
            }
            None => {
                pair.run(10_000);
                assert_eq!(pair.node(A).role(), Role::Starting);
            }
        }
    }
}

#[test]
fn a_daemon_that_restarts_alone_keeps_the_role_from_a_peer_that_lacks_something() {
    let mut pair = pair(Mode::Prefer);
    part(&mut pair);
    pair.run(1_000);
    let epoch = pair.node(A).epoch();
    pair.kill(A);
    pair.run(300);
    let again =
        Settings { restart: Some(ResumeActive { epoch }), safeguards: safeguards(Mode::Prefer), ..settings(A, 150) };
    pair.start(A, again, at(1, 0, 50));
    pair.run(1_000);
    assert_eq!(pair.roles(), [ACTIVE, STANDBY]);
    assert_eq!(pair.both_active, Duration::ZERO);
    // When it does not come back, the other one takes over with what it has.
    pair.kill(A);
    assert!(pair.until(B, Role::Active, 5_000) >= 2_900);
}

#[test]
fn a_node_that_slept_through_its_lease_gives_up_before_anything_else() {
    let mut pair = pair(Mode::Prefer);
    pair.stall(A, 2_000);
    assert_eq!(pair.roles(), [STANDBY, ACTIVE]);
    pair.run(2_000);
    assert_eq!(pair.roles(), [STANDBY, ACTIVE]);
    assert_eq!(pair.both_active, Duration::ZERO);
    let mut pair = self::pair(Mode::Prefer);
    let now = pair.now + Duration::from_secs(1);
    assert!(pair.node(A).lapse(now).iter().any(|output| matches!(output, Output::BecomeStandby { .. })));
}

#[test]
fn a_peer_of_the_version_before_gives_its_word_by_being_heard() {
    let mut pair = pair(Mode::Prefer);
    let now = pair.now;
    let mut heartbeat = crate::Heartbeat {
        incarnation: pair.node(B).incarnation(),
        sequence: 1_000_000,
        index: base::NodeIndex(1),
        role: Role::Standby,
        heard: Some(pair.node(A).incarnation()),
        carrier: true,
        ..crate::Heartbeat::default()
    };
    pair.kill(B);
    pair.witness = None;
    for step in 1..20 {
        let now = now + Duration::from_millis(30 * step);
        heartbeat.sequence += 1;
        let given = heartbeat.clone();
        pair.run(30);
        assert!(pair.now >= now);
        pair.input(A, |node, now| node.heartbeat(now, 0, given));
    }
    assert_eq!(pair.node(A).role(), Role::Active);
    assert_eq!(pair.count(A, |output| matches!(output, Output::Notice(Notice::Resigned { .. }))), 0);
}

#[test]
fn a_witness_that_comes_back_ends_a_double_master_and_disturbs_no_single_one() {
    let mut pair = pair(Mode::Prefer);
    pair.witness = None;
    pair.run(2_000);
    part(&mut pair);
    pair.run(2_000);
    assert_eq!(pair.roles(), [ACTIVE, ACTIVE]);
    pair.restart_witness();
    pair.run(300);
    let mut roles = pair.roles();
    roles.sort();
    assert_eq!(roles, [STANDBY, ACTIVE]);

    let mut pair = self::pair(Mode::Prefer);
    pair.witness = None;
    pair.run(2_000);
    pair.kill(B);
    pair.run(2_000);
    pair.restart_witness();
    pair.run(2_000);
    assert_eq!(pair.node(A).role(), Role::Active);
    assert_eq!(pair.count(A, |output| matches!(output, Output::BecomeActive { .. })), 1);
    let now = pair.now;
    assert!(pair.node(A).witness().is_some_and(|lease| lease.holds(now)));
}

#[test]
fn a_farewell_is_proof_enough_until_a_lost_witness_answers() {
    let mut pair = pair(Mode::Require);
    let life = pair.node(A).incarnation();
    pair.cut_from_witness[B] = true;
    pair.kill(A);
    pair.input(B, |node, now| node.farewell(now, life));
    pair.run(450);
    assert_eq!(pair.node(B).role(), Role::Active);
    pair.cut_from_witness[B] = false;
    pair.run(1_000);
    assert_eq!(pair.node(B).role(), Role::Active);
    assert_eq!(pair.count(B, |output| matches!(output, Output::BecomeActive { .. })), 1);
}

#[test]
fn what_the_witness_said_of_a_gone_peer_is_over_when_that_is_heard_again() {
    let mut pair = pair(Mode::Prefer);
    pair.kill(B);
    pair.run(3_000);
    pair.cut_from_witness[A] = true;
    pair.run(1_000);
    assert_eq!(pair.node(A).role(), Role::Active);
    pair.start(B, Settings { safeguards: safeguards(Mode::Prefer), ..settings(B, 100) }, Position::default());
    pair.run(500);
    pair.come_into_step(A, B);
    pair.run(500);
    part(&mut pair);
    pair.until(B, Role::Active, 1_000);
    assert_eq!(pair.roles(), [STANDBY, ACTIVE]);
    assert_eq!(pair.both_active, Duration::ZERO);
}

fn with_store(mode: Mode) -> Pair {
    let mut pair = Pair::in_step_with_store(Safeguards { witness_kind: Kind::Record, ..safeguards(mode) });
    pair.run(1_000);
    assert!(pair.node(A).witness().is_some_and(|lease| lease.counts() && lease.verdict() == Verdict::Granted));
    pair
}

#[test]
fn with_a_store_a_cut_takes_as_long_as_its_lease_and_leaves_one_master() {
    for delay in (0..120).step_by(7) {
        let mut pair = with_store(Mode::Prefer);
        pair.run(delay);
        cut(&mut pair, A);
        let took = pair.until(B, Role::Active, 2_000);
        assert!((500..=720).contains(&took), "{took} ms, cut after {delay}");
        assert_eq!(pair.roles(), [STANDBY, ACTIVE]);
        pair.run(3_000);
        pair.mute = [false; 2];
        pair.run(2_000);
        assert_eq!(pair.roles(), [STANDBY, ACTIVE]);
        assert_eq!(pair.both_active, Duration::ZERO);
    }
}

#[test]
fn with_a_store_a_split_leaves_the_holder_and_a_farewell_waits_for_nobody() {
    let mut pair = with_store(Mode::Require);
    part(&mut pair);
    pair.run(10_000);
    assert_eq!(pair.roles(), [ACTIVE, STANDBY]);
    pair.mute = [false; 2];
    pair.run(2_000);
    pair.come_into_step(A, B);
    pair.run(100);
    let life = pair.node(A).incarnation();
    pair.kill(A);
    pair.input(B, |node, now| node.farewell(now, life));
    assert_eq!(pair.node(B).role(), Role::Active);
    pair.run(1_000);
    assert_eq!(pair.count(B, |output| matches!(output, Output::BecomeActive { .. })), 1);
    assert_eq!(pair.node(B).witness().map(|lease| lease.verdict()), Some(Verdict::Granted));
}

#[test]
fn with_a_store_a_switchover_passes_the_record_on_and_a_lone_daemon_takes_its_own_up() {
    let mut pair = with_store(Mode::Require);
    pair.input(B, |node, now| node.handed_over(now, Position::default()));
    pair.run(300);
    let now = pair.now;
    assert!(pair.node(B).witness().is_some_and(|lease| lease.holds(now)));
    pair.kill(A);
    pair.run(300);
    let epoch = pair.node(B).epoch();
    pair.kill(B);
    let restart = Some(ResumeActive { epoch });
    let safeguards = Safeguards { witness_kind: Kind::Record, ..safeguards(Mode::Require) };
    pair.start(B, Settings { restart, safeguards, ..settings(B, 100) }, at(1, 0, 50));
    let took = pair.until(B, Role::Active, 1_000);
    assert!(took <= 5, "{took} ms");
}

/// Whatever is cut, killed and restarted: while the witness counts there is never a second master. In `Require` it
/// always counts.
#[test]
fn no_disturbance_makes_a_second_master() {
    for kind in [Kind::Machine, Kind::Record] {
        let safeguards = Safeguards { witness_kind: kind, ..safeguards(Mode::Require) };
        let mut reigns = 0;
        for seed in 0..50 {
            let mut random = Random::from_number(seed);
            let mut pair = if kind == Kind::Machine { pair(Mode::Require) } else { with_store(Mode::Require) };
            for _ in 0..30 {
                disturb(&mut pair, &mut random, safeguards);
                let pause = random.below(300) * if kind == Kind::Machine { 1 } else { 4 };
                pair.run(pause);
                assert_eq!(pair.both_active, Duration::ZERO, "{kind:?}, seed {seed}");
            }
            (pair.mute, pair.cut_from_witness) = ([false; 2], [false; 2]);
            find_witness(&mut pair, safeguards);
            for node in [A, B] {
                start(&mut pair, &mut random, node, safeguards);
            }
            pair.run(6_000);
            let mut roles = pair.roles();
            roles.sort();
            assert_eq!(roles, [STANDBY, ACTIVE], "{kind:?}, seed {seed}");
            reigns += pair.count(A, |output| matches!(output, Output::BecomeActive { .. }));
        }
        assert!(reigns > 100, "{reigns} reigns: the disturbances disturb too little");
    }
}

fn lose_witness(pair: &mut Pair, safeguards: Safeguards) {
    match safeguards.witness_kind {
        Kind::Machine => pair.witness = None,
        Kind::Record => pair.store_is_away = true,
    }
}

/// A witness knows nothing of before; a store keeps what it has.
fn find_witness(pair: &mut Pair, safeguards: Safeguards) {
    match safeguards.witness_kind {
        Kind::Machine => pair.restart_witness(),
        Kind::Record => pair.store_is_away = false,
    }
}

fn start(pair: &mut Pair, random: &mut Random, node: usize, safeguards: Safeguards) {
    if pair.nodes[node].is_some() {
        return;
    }
    let known = pair.disks[node].epoch;
    let restart = random.one_in(4).then_some(ResumeActive { epoch: known });
    let position = at(known.number, known.node.0, random.below(4));
    pair.start(node, Settings { restart, safeguards, ..settings(node, 100) }, position);
}

fn disturb(pair: &mut Pair, random: &mut Random, safeguards: Safeguards) {
    let node = random.below(2) as usize;
    match random.below(10) {
        0 => pair.kill(node),
        1 => pair.mute[node] = !pair.mute[node],
        2 => pair.mute = [true; 2],
        3 => pair.mute = [false; 2],
        4 => pair.cut_from_witness[node] = !pair.cut_from_witness[node],
        5 => lose_witness(pair, safeguards),
        6 => find_witness(pair, safeguards),
        7 if pair.nodes[node].is_some() => pair.stall(node, random.below(400) + 20),
        _ if pair.nodes[node].is_none() => start(pair, random, node, safeguards),
        _ if pair.roles() == [ACTIVE, STANDBY] => pair.come_into_step(A, B),
        _ if pair.roles() == [STANDBY, ACTIVE] => pair.come_into_step(B, A),
        _ => {}
    }
}
