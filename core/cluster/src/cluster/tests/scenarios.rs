//! Whole scenarios of a pair: start, kill, cut, farewell, restart, switchover, split and heal.

use std::time::Duration;

use base::{Incarnation, LocalTime, Position};

use super::pair::{A, B, Pair, at, epoch, settings};
use crate::cluster::{Failback, ResumeActive, Settings};
use crate::heartbeat::Role;
use crate::output::{Notice, Output, SwitchOverRefused};

fn told(output: &Output) -> bool {
    *output == Output::TellNeighbours
}

fn became_active(output: &Output) -> bool {
    matches!(output, Output::BecomeActive { .. })
}

fn became_standby(output: &Output) -> bool {
    matches!(output, Output::BecomeStandby { .. })
}

#[test]
fn a_node_that_hears_nobody_listens_and_then_serves() {
    let mut pair = Pair::new();
    pair.start(A, settings(A, 150), Position::default());
    assert_eq!(pair.until(A, Role::Active, 2_000), 1_500);
    assert_eq!(pair.node(A).epoch(), epoch(1, 0));
    assert!(pair.node(A).is_alone());
    pair.run(6_000);
    assert_eq!(pair.count(A, told), 6);
}

/// What a node is told that waits ten seconds for its peer.
fn patient(index: usize, priority: u8) -> Settings {
    let mut settings = settings(index, priority);
    settings.timing.peer_wait = Duration::from_secs(10);
    settings
}

#[test]
fn a_node_that_hears_nobody_waits_for_its_peer_as_long_as_it_is_told_to() {
    let mut pair = Pair::new();
    pair.start(A, patient(A, 150), Position::default());
    assert_eq!(pair.until(A, Role::Active, 12_000), 10_000);
}

/// Both machines had no power, and the one that has more of the log is slower to boot.
#[test]
fn a_peer_that_comes_within_the_wait_is_not_waited_for_any_longer() {
    for (position, leader) in [(at(3, 1, 11), B), (at(3, 1, 9), A)] {
        let mut pair = Pair::new();
        pair.start(A, patient(A, 150), at(3, 1, 10));
        pair.run(7_000);
        assert_eq!(pair.node(A).role(), Role::Starting);
        pair.start(B, patient(B, 100), position);
        assert!(pair.until(leader, Role::Active, 2_000) < 100);
        pair.run(3_000);
        assert_eq!(pair.node(1 - leader).role(), Role::Standby);
    }
}

#[test]
fn of_two_that_start_together_the_greater_priority_leads_at_once() {
    for (priorities, leader) in [([150, 100], A), ([100, 150], B), ([100, 100], A)] {
        let mut pair = Pair::new();
        pair.start(A, settings(A, priorities[A]), Position::default());
        pair.start(B, settings(B, priorities[B]), Position::default());
        assert!(pair.until(leader, Role::Active, 2_000) < 100);
        pair.run(3_000);
        assert_eq!(pair.node(1 - leader).role(), Role::Standby);
        assert_eq!(pair.count(1 - leader, became_active), 0);
    }
}

#[test]
fn of_two_that_start_together_the_longer_history_beats_the_priority() {
    let mut pair = Pair::new();
    pair.start(A, settings(A, 200), at(3, 1, 10));
    pair.run(700);
    pair.start(B, settings(B, 100), at(3, 1, 11));
    assert!(pair.until(B, Role::Active, 2_000) < 100);
    assert_eq!(pair.node(B).epoch(), epoch(4, 1));
    pair.run(3_000);
    assert_eq!(pair.roles(), [Some(Role::Standby), Some(Role::Active)]);
    assert_eq!(pair.count(A, became_active), 0);
}

#[test]
fn a_node_that_starts_beside_an_active_one_follows_it() {
    let mut pair = Pair::new();
    pair.start(A, settings(A, 100), Position::default());
    pair.run(2_000);
    pair.start(B, settings(B, 200), at(0, 0, 5_000));
    assert!(pair.until(B, Role::Standby, 2_000) < 40);
    pair.run(30_000);
    assert_eq!(pair.roles(), [Some(Role::Active), Some(Role::Standby)], "no needless move");
    assert_eq!(pair.count(A, became_active), 1);
}

#[test]
fn a_killed_active_node_is_replaced_when_it_was_silent_for_its_time() {
    let mut pair = Pair::in_step();
    pair.kill(A);
    let took = pair.until(B, Role::Active, 1_000);
    assert!((90..=121).contains(&took), "{took} ms");
    assert_eq!(pair.node(B).epoch(), epoch(2, 1));
    assert_eq!(pair.count(B, |output| matches!(output, Output::Notice(Notice::EpochNotReserved { .. }))), 0);
    assert_eq!(pair.count(B, |output| matches!(output, Output::PeerDown { .. })), 1);
    assert!(pair.node(B).is_alone());
}

#[test]
fn a_slow_disk_does_not_delay_a_takeover() {
    let mut pair = Pair::new();
    pair.disk_is_slow = true;
    pair.start(A, settings(A, 150), Position::default());
    pair.start(B, settings(B, 100), Position::default());
    pair.run(200);
    pair.come_into_step(A, B);
    pair.kill(A);
    assert!(pair.until(B, Role::Active, 1_000) <= 121);
    let noticed = Output::Notice(Notice::EpochNotReserved { epoch: epoch(2, 1) });
    assert_eq!(pair.count(B, |output| *output == noticed), 1);
}

#[test]
fn a_farewell_acts_at_once_and_only_for_the_life_it_names() {
    let mut pair = Pair::in_step();
    let life = pair.node(A).incarnation();
    pair.input(B, |node, now| node.farewell(now, Incarnation(life.0 + 77)));
    assert_eq!(pair.node(B).role(), Role::Standby);
    pair.kill(A);
    pair.input(B, |node, now| node.farewell(now, life));
    assert_eq!(pair.node(B).role(), Role::Active);
    // Heartbeats that were under way do not revive it.
    pair.run(400);
    assert!(!pair.node(B).peer().up);
    assert_eq!(pair.count(B, |output| matches!(output, Output::PeerUp { .. })), 1);
}

#[test]
fn a_restarted_daemon_proves_that_the_one_before_is_dead() {
    let mut pair = Pair::in_step();
    pair.kill(A);
    pair.start(A, settings(A, 150), at(1, 0, 7));
    let took = pair.until(B, Role::Active, 1_000);
    assert!(took < 70, "{took} ms: no need to wait for silence");
    pair.run(3_000);
    assert_eq!(pair.roles(), [Some(Role::Standby), Some(Role::Active)]);
    assert_eq!(pair.count(A, became_active), 1, "only in its first life");
    let life = pair.node(A).incarnation();
    assert_eq!(pair.node(B).peer().incarnation, Some(life));
}

#[test]
fn a_standby_that_was_never_in_step_waits_for_the_active_node_to_come_back() {
    let mut pair = Pair::in_step();
    pair.input(B, |node, now| node.synced(now, false));
    pair.kill(A);
    let took = pair.until(B, Role::Active, 5_000);
    assert!((2_960..=3_001).contains(&took), "{took} ms");
    assert_eq!(pair.count(B, |output| *output == Output::Notice(Notice::TookOverUnsynced)), 1);
}

#[test]
fn a_standby_that_was_told_alone_lets_the_restarted_node_go_on() {
    let mut pair = Pair::in_step();
    // B is not heard for a while, so that A goes on alone and says so.
    pair.mute[B] = true;
    pair.run(300);
    assert!(pair.node(A).is_alone());
    assert!(!pair.node(B).is_synced());
    pair.mute[B] = false;
    pair.kill(A);
    pair.run(500);
    assert_eq!(pair.node(B).role(), Role::Standby);
    let restart = Some(ResumeActive { epoch: epoch(1, 0) });
    pair.start(A, crate::Settings { restart, ..settings(A, 150) }, at(1, 0, 40));
    pair.run(100);
    assert_eq!(pair.roles(), [Some(Role::Active), Some(Role::Standby)]);
    assert!(pair.node(A).epoch() > epoch(1, 0));
    let epoch_of_a = pair.node(A).epoch();
    assert_eq!(pair.node(B).epoch(), epoch_of_a);
}

#[test]
fn a_node_that_missed_something_yields_to_the_restarted_one_that_has_it() {
    let mut pair = Pair::in_step();
    pair.input(B, |node, now| node.synced(now, false));
    pair.kill(A);
    pair.start(A, settings(A, 100), at(1, 0, 9));
    assert!(pair.until(A, Role::Active, 1_000) < 70);
    pair.run(4_000);
    assert_eq!(pair.roles(), [Some(Role::Active), Some(Role::Standby)]);
    assert_eq!(pair.count(B, became_active), 0);
}

#[test]
fn cut_links_make_two_active_nodes_and_the_heal_leaves_the_greater_epoch() {
    let mut pair = Pair::in_step();
    pair.mute = [true, true];
    pair.run(10_000);
    assert_eq!(pair.roles(), [Some(Role::Active), Some(Role::Active)]);
    assert!(pair.node(A).is_alone() && pair.node(B).is_alone());
    let told_before = pair.count(B, told);
    pair.mute = [false, false];
    assert!(pair.until(A, Role::Standby, 1_000) < 40);
    pair.run(6_000);
    assert_eq!(pair.roles(), [Some(Role::Standby), Some(Role::Active)]);
    assert!(pair.count(B, told) >= told_before + 6, "the neighbours are told again after a double master");
    assert_eq!(pair.count(A, became_standby), 1);
    assert_eq!(pair.node(A).epoch(), epoch(2, 1));
}

/// Splits the pair, lets some of the nodes hear a phone meanwhile, and heals it.
fn healed_after_phones_spoke_to(nodes: &[usize]) -> Pair {
    let mut pair = Pair::in_step();
    pair.mute = [true, true];
    pair.run(10_000);
    assert_eq!(pair.roles(), [Some(Role::Active), Some(Role::Active)]);
    for node in nodes {
        pair.hear_phones(*node);
    }
    pair.run(1_000);
    pair.mute = [false, false];
    pair.run(6_000);
    pair
}

#[test]
fn the_side_that_heard_phones_during_a_split_stays_whatever_the_numbers_say() {
    let mut pair = healed_after_phones_spoke_to(&[A]);
    assert_eq!(pair.roles(), [Some(Role::Active), Some(Role::Standby)]);
    assert_eq!(pair.node(A).epoch(), epoch(3, 0), "a number beyond both");
    assert_eq!(pair.count(A, became_standby), 0);
    let mut pair = healed_after_phones_spoke_to(&[B]);
    assert_eq!(pair.roles(), [Some(Role::Standby), Some(Role::Active)]);
    assert_eq!(pair.node(B).epoch(), epoch(2, 1));
}

#[test]
fn a_phone_that_is_heard_a_moment_before_the_heal_proves_nothing() {
    let mut pair = Pair::in_step();
    pair.mute = [true, true];
    pair.run(10_000);
    pair.hear_phones(A);
    pair.run(1_000);
    pair.hear_phones(B);
    pair.run(20);
    pair.mute = [false, false];
    pair.run(6_000);
    assert_eq!(pair.roles(), [Some(Role::Active), Some(Role::Standby)]);
}

#[test]
fn a_phone_that_is_heard_just_before_the_heal_outweighs_none() {
    let mut pair = Pair::in_step();
    pair.hear_phones(A);
    pair.run(1_000);
    pair.mute = [true, true];
    pair.run(10_000);
    pair.hear_phones(B);
    pair.run(20);
    pair.mute = [false, false];
    pair.run(6_000);
    assert_eq!(pair.roles(), [Some(Role::Standby), Some(Role::Active)]);
}

#[test]
fn where_both_sides_heard_phones_the_greater_epoch_stays() {
    let pair = healed_after_phones_spoke_to(&[A, B]);
    assert_eq!(pair.roles(), [Some(Role::Standby), Some(Role::Active)]);
}

#[test]
fn in_a_quiet_split_the_side_that_phones_have_reached_before_stays() {
    let mut pair = Pair::in_step();
    pair.hear_phones(A);
    pair.mute = [true, true];
    pair.run(10_000);
    assert_eq!(pair.roles(), [Some(Role::Active), Some(Role::Active)]);
    pair.mute = [false, false];
    let told_before = pair.count(A, told);
    pair.run(6_000);
    assert_eq!(pair.roles(), [Some(Role::Active), Some(Role::Standby)], "the standby was cut off, not we");
    assert_eq!(pair.node(A).epoch(), epoch(3, 0), "a number beyond both");
    assert!(pair.count(A, told) >= told_before + 6, "the neighbours are told again");
}

#[test]
fn a_switchover_at_a_site_where_phones_were_heard_stays() {
    let mut pair = Pair::in_step();
    pair.hear_phones(A);
    pair.run(1_000);
    pair.input(A, |node, now| node.switch_over(now).unwrap());
    pair.input(B, |node, now| node.handed_over(now, Position::default()));
    pair.run(1_000);
    assert_eq!(pair.roles(), [Some(Role::Standby), Some(Role::Active)]);
}

#[test]
fn a_peer_that_returns_is_followed_by_telling_the_neighbours() {
    let mut pair = Pair::in_step();
    pair.run(10_000);
    pair.mute = [true, true];
    pair.run(100);
    let told_before = pair.count(A, told);
    pair.run(1_000);
    pair.mute = [false, false];
    pair.run(6_000);
    assert!(pair.count(A, told) + pair.count(B, told) >= told_before + 6);
}

#[test]
fn phones_that_were_heard_in_a_split_that_is_over_do_not_hold_up_a_switchover() {
    let mut pair = healed_after_phones_spoke_to(&[A]);
    pair.come_into_step(A, B);
    pair.run(100);
    pair.input(A, |node, now| node.switch_over(now).unwrap());
    pair.input(B, |node, now| node.handed_over(now, Position::default()));
    pair.run(1_000);
    assert_eq!(pair.roles(), [Some(Role::Standby), Some(Role::Active)]);
}

#[test]
fn phones_that_were_heard_before_a_pause_do_not_count() {
    let mut pair = Pair::in_step();
    pair.hear_phones(A);
    pair.run(1_000);
    pair.stall(A, 1_000);
    pair.run(3_000);
    assert_eq!(pair.roles(), [Some(Role::Standby), Some(Role::Active)], "the one that slept yields");
}

#[test]
fn a_link_that_is_deaf_one_way_does_not_flap() {
    let mut pair = Pair::in_step();
    pair.mute[B] = true;
    pair.run(10_000);
    assert_eq!(pair.roles(), [Some(Role::Active), Some(Role::Standby)]);
    assert!(pair.node(A).is_alone());
    pair.mute[B] = false;
    pair.run(100);
    pair.come_into_step(A, B);
    pair.run(100);
    assert!(!pair.node(A).is_alone());
    assert!(pair.node(B).is_synced(), "a late acknowledgement restores protection");
}

#[test]
fn a_switchover_moves_the_role_once_and_back() {
    let mut pair = Pair::in_step();
    assert_eq!(pair.node(B).switch_over(LocalTime::ZERO), Err(SwitchOverRefused::NotActive));
    for (from, to) in [(A, B), (B, A)] {
        let now = pair.now;
        let outputs = pair.node(from).switch_over(now).expect("the standby is in step");
        assert!(outputs.contains(&Output::BeginHandOver));
        assert_eq!(pair.node(from).switch_over(now), Err(SwitchOverRefused::UnderWay));
        pair.run(5);
        pair.input(to, |node, now| node.handed_over(now, at(1, 0, 20)));
        assert!(pair.until(from, Role::Standby, 100) <= 1);
        assert_eq!(pair.node(to).role(), Role::Active);
        pair.come_into_step(to, from);
        pair.run(1_000);
    }
    assert_eq!(pair.roles(), [Some(Role::Active), Some(Role::Standby)]);
    assert_eq!(pair.count(A, |output| *output == Output::HandOverFailed), 0);
    assert_eq!(pair.node(A).epoch(), epoch(3, 0));
}

#[test]
fn a_hand_over_that_nobody_takes_fails_in_time() {
    let mut pair = Pair::in_step();
    let now = pair.now;
    pair.node(A).switch_over(now).expect("the standby is in step");
    pair.run(249);
    assert!(pair.node(A).is_handing_over());
    pair.run(2);
    assert!(!pair.node(A).is_handing_over());
    assert_eq!(pair.count(A, |output| *output == Output::HandOverFailed), 1);
    assert_eq!(pair.node(A).role(), Role::Active);
}

#[test]
fn failback_by_priority_waits_until_it_has_settled() {
    for (failback, expected) in [(Failback::Manual, 0), (Failback::Automatic, 1)] {
        let mut pair = Pair::new();
        pair.start(A, crate::Settings { failback, ..settings(A, 100) }, Position::default());
        pair.run(2_000);
        pair.start(B, settings(B, 150), Position::default());
        pair.run(100);
        pair.come_into_step(A, B);
        pair.run(19_900);
        assert_eq!(pair.count(A, |output| *output == Output::BeginHandOver), 0);
        pair.run(200);
        assert_eq!(pair.count(A, |output| *output == Output::BeginHandOver), expected);
    }
}

/// facts/linux.md: scheduling delay with all cores busy; and facts/vrrp.md: (1) double master after a scheduling stall
/// or a paused VM.
#[test]
fn a_stall_of_ones_own_is_no_silence_of_the_peer() {
    let mut pair = Pair::in_step();
    pair.stall(B, 500);
    assert_eq!(pair.count(B, |output| matches!(output, Output::Notice(Notice::Stalled { .. }))), 1);
    assert_eq!(pair.node(B).role(), Role::Standby);
    pair.run(1_000);
    assert_eq!(pair.roles(), [Some(Role::Active), Some(Role::Standby)]);
    assert_eq!(pair.count(B, |output| matches!(output, Output::PeerDown { .. })), 0);
}

#[test]
fn a_peer_that_died_during_a_stall_is_noticed_after_the_grace() {
    let mut pair = Pair::in_step();
    pair.kill(A);
    pair.stall(B, 500);
    assert_eq!(pair.node(B).role(), Role::Standby);
    let took = pair.until(B, Role::Active, 1_000);
    assert_eq!(took, 120);
}

#[test]
fn an_active_node_that_wakes_up_late_finds_its_reign_over() {
    let mut pair = Pair::in_step();
    pair.stall(A, 1_000);
    assert_eq!(pair.node(A).role(), Role::Standby);
    assert_eq!(pair.node(B).role(), Role::Active);
    pair.run(1_000);
    assert_eq!(pair.roles(), [Some(Role::Standby), Some(Role::Active)]);
}

#[test]
fn a_node_that_leaves_is_replaced_at_once() {
    let mut pair = Pair::in_step();
    pair.input(A, |node, now| node.leave(now));
    assert_eq!(pair.node(A).role(), Role::Standby);
    assert!(pair.until(B, Role::Active, 1_000) <= 1);
    pair.run(5_000);
    assert_eq!(pair.roles(), [Some(Role::Standby), Some(Role::Active)]);
    assert!(!pair.node(B).peer().up);
    assert_eq!(pair.count(B, |output| matches!(output, Output::PeerUp { .. })), 1);
}

#[test]
fn a_node_without_a_carrier_hands_over_and_never_takes_over() {
    let mut pair = Pair::in_step();
    pair.input(A, |node, now| node.carrier(now, false));
    assert!(pair.node(A).is_handing_over());
    pair.run(5);
    pair.input(B, |node, now| node.handed_over(now, Position::default()));
    pair.run(50);
    pair.come_into_step(B, A);
    pair.kill(B);
    pair.run(10_000);
    assert_eq!(pair.node(A).role(), Role::Standby);
    assert_eq!(pair.count(A, |output| *output == Output::Notice(Notice::NoCarrier)), 1);
    pair.input(A, |node, now| node.carrier(now, true));
    assert_eq!(pair.node(A).role(), Role::Standby, "nothing could be heard, so that the silence proves nothing yet");
    let took = pair.until(A, Role::Active, 4_000);
    assert!(took >= 120, "{took} ms");
}

#[test]
fn an_active_node_whose_reign_is_history_yields_to_the_longer_one() {
    let mut pair = Pair::new();
    pair.start(A, settings(A, 150), at(1, 0, 10));
    pair.run(2_000);
    assert_eq!(pair.node(A).epoch(), epoch(2, 0));
    // B led in epoch 5 while A was away, wrote more, and has just been restarted.
    pair.start(B, settings(B, 100), at(5, 1, 90));
    pair.run(100);
    assert_eq!(pair.roles(), [Some(Role::Standby), Some(Role::Active)]);
    assert!(pair.node(B).epoch() > epoch(5, 1));
}

#[test]
fn an_active_node_with_the_longer_history_renews_its_reign() {
    let mut pair = Pair::new();
    pair.start(A, settings(A, 150), at(1, 0, 10));
    pair.run(2_000);
    pair.node(A).set_position(at(2, 0, 60));
    // B knows of epoch 5, in which nothing was written that it still has.
    pair.disks[B].epoch = epoch(5, 1);
    pair.start(B, settings(B, 100), at(1, 0, 9));
    pair.run(200);
    assert_eq!(pair.roles(), [Some(Role::Active), Some(Role::Standby)]);
    assert!(pair.node(A).epoch() > epoch(5, 1));
}

#[test]
fn a_node_without_a_peer_serves_at_once_and_alone() {
    let mut pair = Pair::new();
    pair.start(A, crate::Settings { has_peer: false, ..settings(A, 100) }, Position::default());
    pair.run(0);
    assert_eq!(pair.node(A).role(), Role::Active);
    assert!(pair.node(A).is_alone());
    pair.run(6_000);
    assert_eq!(pair.count(A, |output| matches!(output, Output::SendHeartbeat(_))), 0);
    let now = pair.now;
    assert_eq!(pair.node(A).switch_over(now), Err(SwitchOverRefused::NoPeer));
}

#[test]
fn epochs_are_never_used_twice_across_restarts() {
    let mut pair = Pair::new();
    let mut last = epoch(0, 0);
    for life in 0..5 {
        pair.disk_is_slow = life % 2 == 1;
        let restart = Some(ResumeActive { epoch: last });
        pair.start(A, crate::Settings { restart, ..settings(A, 100) }, Position::default());
        pair.run(100);
        assert!(pair.node(A).epoch() > last);
        last = pair.node(A).epoch();
        pair.kill(A);
    }
}

#[test]
fn who_is_not_heard_any_more_yields_to_the_one_that_took_over() {
    let mut pair = Pair::in_step();
    pair.hear_phones(A);
    pair.mute = [true, false];
    pair.run(120 + 30 + 60);
    assert_eq!(pair.roles(), [Some(Role::Standby), Some(Role::Active)], "phones reached it, and yet nobody can tell B");
    assert_eq!(pair.node(A).epoch(), epoch(2, 1));
    pair.run(10_000);
    assert_eq!(pair.roles(), [Some(Role::Standby), Some(Role::Active)], "it follows without being heard");
    assert_eq!(pair.count(A, became_active), 1);
    pair.mute = [false, false];
    pair.run(1_000);
    assert_eq!(pair.roles(), [Some(Role::Standby), Some(Role::Active)]);
    assert_eq!((pair.count(A, became_standby), pair.count(B, became_standby)), (1, 1));
}

#[test]
fn a_standby_that_is_not_heard_changes_nothing() {
    let mut pair = Pair::in_step();
    pair.hear_phones(A);
    pair.mute = [false, true];
    pair.run(10_000);
    assert_eq!(pair.roles(), [Some(Role::Active), Some(Role::Standby)]);
    assert_eq!((pair.node(A).epoch(), pair.count(B, became_active)), (epoch(1, 0), 0));
}

#[test]
fn a_node_that_wakes_up_tells_no_neighbour_before_it_has_heard_who_serves() {
    let mut pair = Pair::in_step();
    // The last of the announcements is due while it sleeps.
    let told_before = pair.count(A, told);
    pair.stall(A, 7_000);
    assert_eq!(pair.roles(), [Some(Role::Standby), Some(Role::Active)]);
    assert_eq!(pair.count(A, told), told_before);
    // One that was asleep alone goes on a little later.
    let mut pair = Pair::in_step();
    pair.kill(B);
    pair.run(500);
    let told_before = pair.count(A, told);
    pair.stall(A, 7_000);
    assert_eq!(pair.count(A, told), told_before);
    let now = pair.now;
    assert!(!pair.node(A).is_certain(now), "a lost address is not claimed again yet");
    pair.run(200);
    let now = pair.now;
    assert!(pair.node(A).is_certain(now));
    assert_eq!(pair.roles(), [Some(Role::Active), None]);
    assert_eq!(pair.count(A, told), told_before + 1);
}
