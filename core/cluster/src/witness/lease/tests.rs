use super::*;

const A: NodeIndex = NodeIndex(0);
const OWN: Incarnation = Incarnation(9);

fn at(millis: u64) -> LocalTime {
    LocalTime::from_millis(millis)
}

fn ask(lease: &mut Lease, now: u64, want: Want) -> Ask {
    lease.ask(at(now), A, OWN, want, Epoch::default())
}

fn answered(ask: &Ask, verdict: Verdict) -> Answer {
    let left_us = if verdict == Verdict::Granted { 100_000 } else { 0 };
    Answer { index: A, incarnation: OWN, sequence: ask.sequence, verdict, left_us, ..Answer::default() }
}

fn take(lease: &mut Lease, now: u64, answer: &Answer) -> bool {
    lease.answer(at(now), A, OWN, answer)
}

#[test]
fn the_lease_counts_from_the_moment_of_asking() {
    let mut lease = Lease::new(Mode::Prefer, Kind::Machine, at(1_000));
    let first = ask(&mut lease, 1_000, Want::Hold);
    assert!(take(&mut lease, 1_050, &answered(&first, Verdict::Granted)));
    assert_eq!(lease.held_until(), at(1_085));
    assert!(lease.holds(at(1_084)) && !lease.holds(at(1_085)));
    assert_eq!(lease.deadline(), at(1_030));
    assert!(ask(&mut lease, 1_060, Want::Hold).holding);
    assert!(!ask(&mut lease, 1_085, Want::Hold).holding);
}

#[test]
fn an_answer_counts_once_and_only_for_the_ask_it_names() {
    let mut lease = Lease::new(Mode::Prefer, Kind::Machine, at(0));
    let first = ask(&mut lease, 0, Want::Hold);
    let second = ask(&mut lease, 10, Want::Hold);
    assert!(take(&mut lease, 20, &answered(&second, Verdict::Held)));
    assert!(!take(&mut lease, 21, &answered(&second, Verdict::Granted)));
    assert!(!take(&mut lease, 22, &answered(&first, Verdict::Granted)), "it was overtaken");
    let third = ask(&mut lease, 30, Want::Hold);
    assert!(!take(&mut lease, 31, &Answer { incarnation: Incarnation(8), ..answered(&third, Verdict::Granted) }));
    assert!(!take(&mut lease, 31, &Answer { index: NodeIndex(1), ..answered(&third, Verdict::Granted) }));
    assert!(!lease.holds(at(31)));
}

#[test]
fn what_is_given_up_is_not_held_by_a_late_answer() {
    let mut lease = Lease::new(Mode::Prefer, Kind::Machine, at(0));
    let hold = ask(&mut lease, 0, Want::Hold);
    let watch = ask(&mut lease, 5, Want::Watch);
    assert!(!take(&mut lease, 6, &answered(&hold, Verdict::Granted)));
    assert!(!lease.holds(at(6)));
    assert!(take(&mut lease, 7, &answered(&watch, Verdict::Free)));
}

#[test]
fn a_challenge_is_said_back_at_once() {
    let mut lease = Lease::new(Mode::Prefer, Kind::Machine, at(0));
    let first = ask(&mut lease, 0, Want::Hold);
    assert_eq!(first.challenge, 0);
    let unproven = Answer { challenge: 55, ..answered(&first, Verdict::Unproven) };
    assert!(take(&mut lease, 3, &unproven));
    assert!(lease.is_due(at(3)));
    assert_eq!(ask(&mut lease, 3, Want::Hold).challenge, 55);
}

#[test]
fn a_denied_node_asks_again_when_the_lease_may_have_run_out() {
    let mut lease = Lease::new(Mode::Prefer, Kind::Machine, at(0));
    let first = ask(&mut lease, 0, Want::Hold);
    take(&mut lease, 1, &Answer { left_us: 7_000, ..answered(&first, Verdict::Held) });
    assert_eq!(lease.deadline(), at(8));
    let second = ask(&mut lease, 8, Want::Hold);
    take(&mut lease, 9, &Answer { left_us: 95_000, ..answered(&second, Verdict::Held) });
    assert_eq!(lease.deadline(), at(39));
}

#[test]
fn a_silent_witness_is_lost_and_told_once() {
    let mut lease = Lease::new(Mode::Prefer, Kind::Machine, at(0));
    assert_eq!(lease.news(at(299)), None);
    assert_eq!((lease.news(at(300)), lease.news(at(301))), (Some(false), None));
    let first = ask(&mut lease, 400, Want::Watch);
    take(&mut lease, 401, &answered(&first, Verdict::Free));
    assert_eq!((lease.news(at(401)), lease.news(at(402))), (Some(true), None));
    assert_eq!((lease.news(at(700)), lease.news(at(701))), (None, Some(false)));
}

#[test]
fn the_witness_counts_when_one_of_the_two_heard_it_last() {
    let mut lease = Lease::new(Mode::Prefer, Kind::Machine, at(0));
    lease.weigh(at(0), None);
    assert!(!lease.counts());
    lease.weigh(at(1), Some(true));
    assert!(lease.counts(), "the peer hears it");
    lease.weigh(at(2), None);
    assert!(lease.counts(), "what was known last stays without contact");
    lease.weigh(at(3), Some(false));
    assert!(!lease.counts());
    let mut required = Lease::new(Mode::Require, Kind::Machine, at(0));
    required.weigh(at(1), Some(false));
    assert!(required.counts());
}

#[test]
fn the_other_one_is_gone_when_the_witness_misses_it_for_long() {
    let mut lease = Lease::new(Mode::Prefer, Kind::Machine, at(0));
    assert!(!lease.says_other_is_gone());
    let first = ask(&mut lease, 5_000, Want::Hold);
    take(&mut lease, 5_001, &Answer { other_silent_us: 999_999, ..answered(&first, Verdict::Granted) });
    assert!(!lease.says_other_is_gone());
    assert!(lease.heard_other_after(at(4_000)) && !lease.heard_other_after(at(4_002)));
    let second = ask(&mut lease, 5_030, Want::Hold);
    take(&mut lease, 5_031, &Answer { other_silent_us: 1_000_000, ..answered(&second, Verdict::Granted) });
    assert!(lease.says_other_is_gone());
}

#[test]
fn a_record_in_a_store_is_relied_on_for_longer_and_asked_for_less_often() {
    let mut lease = Lease::new(Mode::Prefer, Kind::Record, at(0));
    let first = ask(&mut lease, 0, Want::Hold);
    take(&mut lease, 90, &Answer { left_us: 600_000, ..answered(&first, Verdict::Granted) });
    assert_eq!((lease.held_until(), lease.deadline()), (at(500), at(100)));
    assert_eq!((lease.news(at(1_089)), lease.news(at(1_090))), (Some(true), Some(false)));
}

#[test]
fn whoever_was_met_is_not_gone() {
    let mut lease = Lease::new(Mode::Prefer, Kind::Machine, at(0));
    let first = ask(&mut lease, 5_000, Want::Hold);
    take(&mut lease, 5_001, &Answer { other_silent_us: 1_000_000, ..answered(&first, Verdict::Granted) });
    assert!(lease.says_other_is_gone());
    lease.met_other();
    assert!(!lease.says_other_is_gone());
}
