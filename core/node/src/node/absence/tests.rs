use base::{Epoch, NodeIndex};
use replication::{Delta, Key};

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const WRITTEN_AT: WallTime = WallTime(1_790_000_000_000_000);
const WRITTEN: ClusterTime = ClusterTime::from_millis(500_000);

/// A log with one entry.
fn log() -> Log {
    let mut log = Log::new();
    let epoch = Epoch { number: 1, node: NodeIndex(0) };
    let delta = Delta { key: Key::new(1, "a"), value: Some(vec![1]) };
    log.append(epoch, vec![delta], WRITTEN, WRITTEN_AT).unwrap();
    log
}

#[test]
fn the_wall_clock_tells_how_long_a_pair_was_off() {
    assert_eq!(cluster_time(&log(), WRITTEN_AT + 40 * SECOND), WRITTEN + 40 * SECOND);
}

#[test]
fn a_wall_clock_that_jumped_moves_time_by_an_hour_at_most() {
    let year = Duration::from_secs(365 * 86_400);
    assert_eq!(cluster_time(&log(), WRITTEN_AT + year), WRITTEN + ABSENCE_MAX);
    assert_eq!(cluster_time(&log(), WRITTEN_AT - year), WRITTEN);
}

#[test]
fn a_new_pair_has_not_been_away() {
    assert_eq!(cluster_time(&Log::new(), WRITTEN_AT), ClusterTime::ZERO);
}
