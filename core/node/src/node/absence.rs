//! How long a pair was off: where no clock of this boot tells, the wall clock does.

use std::time::Duration;

use base::{ClusterTime, WallTime};
use replication::Log;

/// As long as a pair is taken to have been off at most. A registration is rarely granted for longer, so that nothing is
/// left of one after it; and a wall clock that jumped by years moves the pair's time no further.
const ABSENCE_MAX: Duration = Duration::from_secs(3_600);

/// Cluster time as of `wall`, when a node serves with what its disk remembers. A wall clock that is behind the log's says
/// nothing: then time goes on where the log ended.
pub(super) fn cluster_time(log: &Log, wall: WallTime) -> ClusterTime {
    if log.wall() == WallTime::ZERO {
        return log.cluster_time();
    }
    log.cluster_time() + wall.since(log.wall()).min(ABSENCE_MAX)
}

#[cfg(test)]
mod tests;
