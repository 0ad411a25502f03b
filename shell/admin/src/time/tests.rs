use super::*;

#[test]
fn points_in_time_are_read_and_written() {
    // Seconds as `date -u -d TEXT +%s` has them.
    for (seconds, text) in [
        (0, "1970-01-01 00:00:00"),
        (951_782_399, "2000-02-28 23:59:59"),
        (951_782_400, "2000-02-29 00:00:00"),
        (1_735_689_599, "2024-12-31 23:59:59"),
        (1_769_867_100, "2026-01-31 13:45:00"),
        (4_107_542_400, "2100-03-01 00:00:00"),
        (253_402_300_799, "9999-12-31 23:59:59"),
    ] {
        let time = WallTime(seconds * 1_000_000);
        assert_eq!(utc_text(time), text);
        assert_eq!(text.parse(), Ok(Since::At(time)), "{text}");
        assert_eq!(format!("{}Z", text.replace(' ', "T")).parse(), Ok(Since::At(time)), "{text}");
    }
}

#[test]
fn times_that_cannot_be_written_are_cut() {
    assert!(utc_text(WallTime(u64::MAX)).starts_with("9999-12-31 "));
}

#[test]
fn seconds_and_time_may_be_left_out() {
    let at = |seconds: u64| Ok(Since::At(WallTime(seconds * 1_000_000)));
    assert_eq!("2026-01-31".parse(), at(1_769_817_600));
    assert_eq!("2026-01-31 13:45".parse(), at(1_769_867_100));
}

#[test]
fn ages_count_back_from_now() {
    let now = WallTime(10_000_000_000_000);
    for (text, seconds) in [("90s", 90), ("15m", 900), ("2h", 7200), ("7d", 604_800)] {
        let since: Since = text.parse().unwrap();
        assert_eq!(since.wall_time(now), WallTime(now.0 - seconds * 1_000_000), "{text}");
    }
    assert_eq!(Since::Ago(Duration::from_secs(u64::MAX)).wall_time(now), WallTime(0));
    assert_eq!(Since::At(WallTime(7)).wall_time(now), WallTime(7));
}

#[test]
fn everything_else_is_refused() {
    for text in [
        "",
        "h",
        "s",
        "-1h",
        "+1h",
        "1.5h",
        "2 h",
        "5",
        "2w",
        "yesterday",
        "2026",
        "2026-01",
        "2026-13-01",
        "2026-00-01",
        "2026-02-29",
        "2026-01-00",
        "2100-02-29",
        "1969-12-31",
        "2026-01-31 24:00",
        "2026-01-31 23:60",
        "2026-01-31 23",
        "2026-01-31 23:59:60",
        "2026-01-31 1:2:3:4",
        "10000-01-01",
        "99999999999999999999d",
        "1ä",
    ] {
        assert_eq!(text.parse::<Since>(), Err(SinceError), "{text}");
    }
}
