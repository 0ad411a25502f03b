use base::{ClusterTime, LocalTime};

use super::{CLUSTER_TIME_MAX, ClusterClock};

#[test]
fn follows_the_local_clock_until_it_hears_of_a_later_time() {
    let mut clock = ClusterClock::default();
    assert_eq!(clock.cluster_time(LocalTime(70)), ClusterTime(70));
    clock.observe(ClusterTime(1_000), LocalTime(100));
    assert_eq!(clock.cluster_time(LocalTime(100)), ClusterTime(1_000));
    assert_eq!(clock.cluster_time(LocalTime(150)), ClusterTime(1_050));
    assert_eq!(clock.local_time(ClusterTime(1_050)), LocalTime(150));
    assert_eq!(clock.local_time(ClusterTime(3)), LocalTime::ZERO);
}

#[test]
fn never_runs_backwards() {
    let mut clock = ClusterClock::default();
    clock.observe(ClusterTime(1_000), LocalTime(100));
    clock.observe(ClusterTime(500), LocalTime(101));
    assert_eq!(clock.cluster_time(LocalTime(101)), ClusterTime(1_001));
}

#[test]
fn ignores_what_no_clock_shows() {
    let mut clock = ClusterClock::default();
    clock.observe(ClusterTime(u64::MAX), LocalTime(100));
    clock.observe(ClusterTime(CLUSTER_TIME_MAX.0 + 1), LocalTime(100));
    assert_eq!(clock.cluster_time(LocalTime(100)), ClusterTime(100));
}
