use std::time::Duration;

use base::LocalTime;

use super::{Cutter, DRAIN_MAX, Follower, Schedule, Tally, acknowledgement, commit, read_acknowledgement};

const START: LocalTime = LocalTime::from_millis(1000);

#[test]
fn commits_are_due_at_a_steady_rate_and_end() {
    let schedule = Schedule::new(START, 500, 2);
    assert_eq!(schedule.due(0), Some(START));
    assert_eq!(schedule.due(1), Some(START + Duration::from_millis(2)));
    // Half a second of warming up, then two seconds.
    assert_eq!(schedule.due(1249), Some(START + Duration::from_millis(2498)));
    assert_eq!(schedule.due(1250), None);
    assert_eq!(schedule.end(), START + Duration::from_millis(2498) + DRAIN_MAX);
}

#[test]
fn an_acknowledgement_counts_for_all_commits_before_it() {
    // One commit of warming up and two that count.
    let mut tally = Tally::new(Schedule::new(START, 2, 1));
    for number in 0..3 {
        assert!(tally.next_due().is_some());
        tally.sent(START + Duration::from_millis(number));
    }
    assert_eq!(tally.next_due(), None);
    assert!(!tally.is_over(START));
    tally.acknowledged(1, START + Duration::from_millis(1));
    tally.acknowledged(3, START + Duration::from_millis(6));
    // An old one that arrives late, and one beyond what was sent, add nothing.
    tally.acknowledged(2, START + Duration::from_millis(9));
    tally.acknowledged(9, START + Duration::from_millis(9));
    assert!(tally.is_over(START));
    let outcome = tally.outcome();
    assert_eq!(outcome.samples_us, [5000, 4000]);
    assert_eq!(outcome.unacknowledged, 0);
}

#[test]
fn commits_without_an_acknowledgement_are_told() {
    let schedule = Schedule::new(START, 2, 1);
    let mut tally = Tally::new(schedule);
    (0..3).for_each(|_| tally.sent(START));
    tally.acknowledged(2, START + Duration::from_millis(7));
    assert!(!tally.is_over(START + Duration::from_secs(1)));
    assert!(tally.is_over(schedule.end()));
    let outcome = tally.outcome();
    assert_eq!(outcome.samples_us, [7000]);
    assert_eq!(outcome.unacknowledged, 1);
}

#[test]
fn a_follower_refuses_what_is_doubled_missing_or_damaged() {
    let mut follower = Follower::default();
    assert_eq!(follower.take(&commit(0)), Some(1));
    assert_eq!(follower.take(&commit(0)), None);
    assert_eq!(follower.take(&commit(2)), None);
    assert_eq!(follower.take(commit(1).get(1..).unwrap()), None);
    assert_eq!(follower.take(&commit(1)), Some(2));
}

#[test]
fn acknowledgements_are_read_back() {
    assert_eq!(read_acknowledgement(&acknowledgement(77)), Some(77));
    assert_eq!(read_acknowledgement(&[0; 7]), None);
}

#[test]
fn messages_are_cut_wherever_the_bytes_were_split() {
    let mut cutter = Cutter::new(3);
    assert!(cutter.take(b"ab").is_empty());
    assert_eq!(cutter.take(b"cdefg"), [b"abc".to_vec(), b"def".to_vec()]);
    assert_eq!(cutter.take(b"hi"), [b"ghi".to_vec()]);
}
