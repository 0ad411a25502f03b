//! What an operator is told about the other routers of the virtual router.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use crate::vrrp::AdvertError;

/// Something that an operator wants to know; each is said once while it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A router outside the pair is active, or says something else than before.
    Foreign { source: IpAddr, priority: u8, interval: Duration, claims: bool },
    /// It would keep the address from us by the RFCs' rules: its priority must be lowered.
    Outranked { source: IpAddr, priority: u8, own: u8 },
    /// Its interval is not ours. It is heard all the same, and judged by its own.
    IntervalDiffers { source: IpAddr, interval: Duration, own: Duration },
    /// It has said that it leaves, or was silent for too long.
    ForeignGone { source: IpAddr },
    /// Its adverts cannot be used.
    Refused { source: IpAddr, error: AdvertError },
}

impl Notice {
    /// Somebody should look: only one that goes is as it should be.
    pub fn is_trouble(&self) -> bool {
        !matches!(self, Self::ForeignGone { .. })
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Foreign { source, priority, interval, claims } => {
                let what = if *claims { "has the service address" } else { "has other addresses than we: correct it" };
                let interval = interval.as_millis();
                write!(f, "VRRP: router {source} is active with priority {priority} each {interval} ms and {what}")
            }
            Self::Outranked { source, priority, own } => write!(
                f,
                "VRRP: router {source} has priority {priority} and would keep the address from us, who have {own}: \
                 lower its priority"
            ),
            Self::IntervalDiffers { source, interval, own } => write!(
                f,
                "VRRP: router {source} adverts each {} ms, we each {} ms: set both alike",
                interval.as_millis(),
                own.as_millis()
            ),
            Self::ForeignGone { source } => write!(f, "VRRP: router {source} is not active any more"),
            Self::Refused { source, error } => write!(f, "VRRP: an advert of {source} is refused: {error}"),
        }
    }
}
