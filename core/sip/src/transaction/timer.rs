//! The timers of RFC 3261 section 17 and appendix A.

use std::time::Duration;

use base::ClusterTime;
use minicbor::{Decode, Encode};

/// The estimated round trip: the first retransmission comes after it.
pub const T1: Duration = Duration::from_millis(500);

/// The longest pause between retransmissions of anything but an INVITE request.
pub const T2: Duration = Duration::from_secs(4);

/// How long a message stays in the network.
pub const T4: Duration = Duration::from_secs(5);

/// 64*T1: how long a side tries before it gives up (timers B, F, H), and how long it absorbs retransmissions (J, L, M).
pub const GIVE_UP: Duration = Duration::from_secs(32);

/// Timer D: how long an INVITE client answers retransmitted final responses; RFC 3261 asks for at least 32 s.
pub const D: Duration = Duration::from_secs(32);

/// A retransmission timer (A, E, G): when it fires next, and the pause after that.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub(super) struct Retransmission {
    #[n(0)]
    pub at: ClusterTime,
    /// Microseconds that it last waited.
    #[n(1)]
    waited_micros: u64,
}

impl Retransmission {
    pub fn start(now: ClusterTime, wait: Duration) -> Self {
        Self { at: now + wait, waited_micros: wait.as_micros() as u64 }
    }

    /// The timer after it fired at `now`: twice the pause, but not more than `wait_max`. It counts from `now`, so that
    /// firings missed during a takeover are not made up for in a burst.
    pub fn doubled(&self, now: ClusterTime, wait_max: Duration) -> Self {
        let doubled = Duration::from_micros(self.waited_micros.saturating_mul(2));
        Self::start(now, doubled.min(wait_max))
    }
}

/// What is due at `now`. Giving up comes before sending once more.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Due {
    Nothing,
    Retransmission,
    End,
}

pub(super) fn due(retransmission: Option<&Retransmission>, end: Option<ClusterTime>, now: ClusterTime) -> Due {
    if end.is_some_and(|end| end <= now) {
        Due::End
    } else if retransmission.is_some_and(|timer| timer.at <= now) {
        Due::Retransmission
    } else {
        Due::Nothing
    }
}

pub(super) fn earlier(retransmission: Option<&Retransmission>, end: Option<ClusterTime>) -> Option<ClusterTime> {
    retransmission.map(|timer| timer.at).into_iter().chain(end).min()
}
