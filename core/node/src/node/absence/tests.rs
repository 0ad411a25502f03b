use base::{Epoch, NodeIndex};
use replication::{Checkpoint, Delta, Key, Log};

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const WRITTEN_AT: WallTime = WallTime(1_790_000_000_000_000);

/// A log with one entry, of cluster time 500 s.
fn log() -> Log {
    let mut log = Log::from_checkpoint(Checkpoint::default());
    let epoch = Epoch { number: 1, node: NodeIndex(0) };
    let delta = Delta { key: Key::new(1, "a".into()), value: Some(vec![1]) };
    log.append(epoch, vec![delta], ClusterTime::from_millis(500_000), WRITTEN_AT).unwrap();
    log
}

fn after(rebooted: bool, off: Duration) -> Duration {
    let recovered = Recovered { log: log(), rebooted, ..Recovered::default() };
    cluster_time(&recovered, WRITTEN_AT + off).since(ClusterTime::from_millis(500_000))
}

#[test]
fn the_wall_clock_tells_how_long_a_machine_was_off() {
    assert_eq!(after(true, 40 * SECOND), 40 * SECOND);
}

#[test]
fn a_wall_clock_that_jumped_moves_time_by_an_hour_at_most() {
    let year = Duration::from_secs(365 * 86_400);
    assert_eq!(after(true, year), ABSENCE_MAX);
    let recovered = Recovered { log: log(), rebooted: true, ..Recovered::default() };
    assert_eq!(cluster_time(&recovered, WRITTEN_AT - year), ClusterTime::from_millis(500_000));
}

/// Within one boot the monotonic clock knows better: somebody may have set the wall clock.
#[test]
fn within_one_boot_the_wall_clock_is_not_asked() {
    assert_eq!(after(false, 40 * SECOND), Duration::ZERO);
}

#[test]
fn a_new_node_has_not_been_away() {
    let recovered = Recovered { rebooted: true, ..Recovered::default() };
    assert_eq!(cluster_time(&recovered, WRITTEN_AT), ClusterTime::ZERO);
}
