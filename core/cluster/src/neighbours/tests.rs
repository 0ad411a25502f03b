use base::LocalTime;

use super::Schedule;

#[test]
fn tells_at_each_time_once_and_then_stops() {
    let mut schedule = Schedule::default();
    assert_eq!(schedule.deadline(), None);
    let start = LocalTime::from_millis(100);
    schedule.start(start);
    let mut told = Vec::new();
    while let Some(deadline) = schedule.deadline() {
        assert!(schedule.due(deadline));
        assert!(!schedule.due(deadline));
        told.push(deadline.since(start).as_millis());
    }
    assert_eq!(told, [0, 10, 50, 200, 1_000, 5_000]);
}

#[test]
fn what_came_due_together_is_told_once() {
    let mut schedule = Schedule::default();
    schedule.start(LocalTime::ZERO);
    assert!(schedule.due(LocalTime::from_millis(60)));
    assert_eq!(schedule.deadline(), Some(LocalTime::from_millis(200)));
}

#[test]
fn a_node_that_yields_tells_nobody() {
    let mut schedule = Schedule::default();
    schedule.start(LocalTime::ZERO);
    schedule.stop();
    assert!(!schedule.due(LocalTime::from_millis(60)));
}
