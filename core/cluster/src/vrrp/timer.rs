//! The intervals of the RFCs as functions, and how intervals travel in adverts.

use std::time::Duration;

use super::Version;

/// Version 3 has 12 bits for hundredths of a second (RFC 9568 section 5.2.7): 40.95 s.
pub const CENTISECONDS_MAX: u16 = 4_095;

/// Version 2 has eight bits for seconds (RFC 3768 section 5.3.7).
pub const SECONDS_MAX: u8 = 255;

const CENTISECOND: Duration = Duration::from_millis(10);

/// How much longer than three intervals a router waits, so that the one of greatest priority is the first to act
/// (RFC 3768 section 6.1, RFC 9568 section 6.1).
pub fn skew_time(version: Version, priority: u8, interval: Duration) -> Duration {
    let parts = 256 - u32::from(priority);
    match version {
        Version::V2 => Duration::from_secs(1) * parts / 256,
        Version::V3 => interval * parts / 256,
    }
}

/// The silence after which a router that backs up takes an active one for gone: RFC 9568's Active_Down_Interval,
/// RFC 3768's Master_Down_Interval. `interval` is the active router's, which a backup adopts.
pub fn active_down_interval(version: Version, priority: u8, interval: Duration) -> Duration {
    interval * 3 + skew_time(version, priority, interval)
}

/// The interval as the advert's field has it. What the field cannot hold goes out as the nearest that it can; version 2
/// has whole seconds, and says 1 for anything shorter.
pub fn to_wire(version: Version, interval: Duration) -> u16 {
    match version {
        Version::V2 => interval.as_secs().clamp(1, u64::from(SECONDS_MAX)) as u16,
        Version::V3 => (interval.as_millis() / CENTISECOND.as_millis()).clamp(1, u128::from(CENTISECONDS_MAX)) as u16,
    }
}

/// The interval that a field means. Zero is none: version 2 has it where the true interval is below a second, which is
/// taken for one; version 3 never has it, and the shortest is taken.
pub fn from_wire(version: Version, field: u16) -> Duration {
    match version {
        Version::V2 => Duration::from_secs(u64::from(field.max(1))),
        Version::V3 => CENTISECOND * u32::from(field.clamp(1, CENTISECONDS_MAX)),
    }
}

#[cfg(test)]
mod tests;
