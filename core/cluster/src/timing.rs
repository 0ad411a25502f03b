//! The intervals of failure detection, in one place so that a simulation may vary them.

use std::time::Duration;

use minicbor::{Decode, Encode};

/// Every interval that the cluster machine waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Timing {
    /// Between two heartbeats on every link.
    #[n(0)]
    pub heartbeat_interval: Duration,
    /// The peer is down when it was silent on every link for this long: four heartbeats in a row.
    #[n(1)]
    pub down_after: Duration,
    /// A wake-up that comes later than this after its deadline is a stall of our own: what the peer sent meanwhile is
    /// still unread, so its silence proves nothing and it gets a full grace period.
    #[n(2)]
    pub stall_tolerance: Duration,
    /// How long a starting node listens for an active one before it serves by itself.
    #[n(3)]
    pub startup_wait: Duration,
    /// How long a standby that lacks what the active one has told the phones waits for it to come back.
    #[n(4)]
    pub unsynced_wait: Duration,
    /// How long a hand-over may take before the active node goes on by itself.
    #[n(5)]
    pub hand_over_wait: Duration,
    /// How long a standby of greater priority must be in step before it is handed the role.
    #[n(6)]
    pub settle: Duration,
    /// How long heartbeats of an incarnation are ignored after its farewell: they were under way when it died.
    #[n(7)]
    pub farewell_quiet: Duration,
    /// How long a standby must be the better one by what the nodes track before it is handed the role: longer than both
    /// take to notice what has failed for both.
    #[n(8)]
    pub track_settle: Duration,
    /// How long a starting node that hears nobody waits for its peer, which may have more of the log and be slower to
    /// boot; at least `startup_wait`. A peer that is heard is waited for no longer than that.
    #[n(9)]
    pub peer_wait: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            heartbeat_interval: Duration::from_millis(30),
            down_after: Duration::from_millis(120),
            stall_tolerance: Duration::from_millis(40),
            startup_wait: Duration::from_millis(1_500),
            unsynced_wait: Duration::from_secs(3),
            hand_over_wait: Duration::from_millis(250),
            settle: Duration::from_secs(20),
            farewell_quiet: Duration::from_millis(500),
            track_settle: Duration::from_secs(2),
            peer_wait: Duration::from_millis(1_500),
        }
    }
}
