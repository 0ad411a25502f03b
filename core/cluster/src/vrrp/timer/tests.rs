use std::time::Duration;

use super::{active_down_interval, from_wire, skew_time, to_wire};
use crate::vrrp::Version::{V2, V3};

const SECOND: Duration = Duration::from_secs(1);

/// facts/vrrp.md: v2 `(256 - priority) / 256` s; v3 `(256 - priority) * Active_Adver_Interval / 256`.
#[test]
fn skew_is_what_the_rfcs_say() {
    let cases = [
        (V2, 100, SECOND, 609_375),
        (V2, 254, SECOND, 7_812),
        (V2, 1, SECOND, 996_093),
        // Version 2's skew does not depend on the interval.
        (V2, 100, SECOND * 10, 609_375),
        (V3, 100, SECOND, 609_375),
        (V3, 100, SECOND / 10, 60_937),
        (V3, 255, SECOND * 40, 156_250),
    ];
    for (version, priority, interval, expected) in cases {
        let skew = skew_time(version, priority, interval);
        assert_eq!(skew.as_micros(), expected, "{version:?}, priority {priority}");
    }
}

/// facts/vrrp.md: Active_Down_Interval = 3 x interval + skew (v2, priority 100, 1 s: 3.609 s).
#[test]
fn an_active_router_is_gone_after_three_intervals_and_the_skew() {
    assert_eq!(active_down_interval(V2, 100, SECOND).as_millis(), 3_609);
    assert_eq!(active_down_interval(V3, 100, SECOND).as_millis(), 3_609);
    assert_eq!(active_down_interval(V3, 150, SECOND / 10).as_micros(), 300_000 + 41_406);
    assert_eq!(active_down_interval(V2, 150, SECOND * 2).as_micros(), 6_000_000 + 414_062);
}

/// facts/vrrp.md: the v3 interval is 12 bits of centiseconds, at most 40.95 s.
#[test]
fn version_3_has_12_bits_of_hundredths() {
    for (millis, field) in [(10, 1), (250, 25), (1_000, 100), (40_950, 4_095), (60_000, 4_095), (0, 1), (19, 1)] {
        assert_eq!(to_wire(V3, Duration::from_millis(millis)), field, "{millis} ms");
    }
    assert_eq!(from_wire(V3, 4_095), Duration::from_millis(40_950));
    assert_eq!(from_wire(V3, 100), SECOND);
    assert_eq!(from_wire(V3, 0), Duration::from_millis(10), "an active router that never says anything is none");
}

/// facts/vrrp.md: v2 carries whole seconds only; sub-second v2 intervals go out as 0 or 1.
#[test]
fn version_2_has_whole_seconds() {
    for (millis, field) in [(1_000, 1), (3_000, 3), (1_900, 1), (100, 1), (0, 1), (255_000, 255), (300_000, 255)] {
        assert_eq!(to_wire(V2, Duration::from_millis(millis)), field, "{millis} ms");
    }
    assert_eq!(from_wire(V2, 3), SECOND * 3);
    assert_eq!(from_wire(V2, 0), SECOND, "others say 0 for less than a second");
}
