//! Cluster time: the pair's common clock, made of this machine's monotonic clock and an offset that only grows.

use base::{ClusterTime, LocalTime};
use minicbor::{Decode, Encode};

#[cfg(test)]
mod tests;

/// A cluster time beyond this (285 years) was not made by a clock: it is ignored, because accepting it would leave no
/// room for time to pass.
pub const CLUSTER_TIME_MAX: ClusterTime = ClusterTime(1 << 53);

/// Turns local time into cluster time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct ClusterClock {
    /// Microseconds that cluster time is ahead of this machine's monotonic clock.
    #[n(0)]
    offset: u64,
}

impl ClusterClock {
    /// Cluster time as of `local`. It never runs backwards as long as `local` does not.
    pub fn cluster_time(&self, local: LocalTime) -> ClusterTime {
        ClusterTime(local.0.saturating_add(self.offset))
    }

    /// The local time at which cluster time will be `cluster_time`; zero when that was before the machine started.
    pub fn local_time(&self, cluster_time: ClusterTime) -> LocalTime {
        LocalTime(cluster_time.0.saturating_sub(self.offset))
    }

    /// Takes note of a cluster time that another node, or this one before a restart, has reached at `local`: from here
    /// on ours is not behind it.
    pub fn observe(&mut self, cluster_time: ClusterTime, local: LocalTime) {
        if cluster_time <= CLUSTER_TIME_MAX {
            self.offset = self.offset.max(cluster_time.0.saturating_sub(local.0));
        }
    }
}
