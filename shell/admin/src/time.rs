//! Owns points in time as people write and read them, in UTC.

use std::str::FromStr;
use std::time::Duration;

use base::WallTime;
use thiserror::Error;

const DAY_SECONDS: u64 = 86_400;
const SECOND_MICROS: u64 = 1_000_000;

/// The years that can be written. Times outside are cut to them.
const YEAR_FIRST: u64 = 1970;
const YEAR_LAST: u64 = 9999;

/// Since when: a point in time or an age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    At(WallTime),
    Ago(Duration),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("write an age as 90s, 15m, 2h or 7d, or a time (UTC) as 2026-01-31 or \"2026-01-31 13:45:00\"")]
pub struct SinceError;

impl Since {
    pub fn wall_time(self, now: WallTime) -> WallTime {
        match self {
            Self::At(time) => time,
            Self::Ago(age) => WallTime(now.0.saturating_sub(u64::try_from(age.as_micros()).unwrap_or(u64::MAX))),
        }
    }
}

impl FromStr for Since {
    type Err = SinceError;

    fn from_str(text: &str) -> Result<Self, SinceError> {
        let text = text.trim();
        let found = age(text).map(Self::Ago).or_else(|| point(text).map(Self::At));
        found.ok_or(SinceError)
    }
}

/// `2026-01-31 13:45:00`, in UTC: the form of a call record's `calldate`.
pub fn utc_text(time: WallTime) -> String {
    let seconds = time.0 / SECOND_MICROS;
    let (mut days, second) = (seconds / DAY_SECONDS, seconds % DAY_SECONDS);
    let mut year = YEAR_FIRST;
    while days >= year_days(year) && year < YEAR_LAST {
        days -= year_days(year);
        year += 1;
    }
    let mut month = 1;
    while days >= month_days(year, month) && month < 12 {
        days -= month_days(year, month);
        month += 1;
    }
    let day = days.min(30) + 1;
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)
}

fn age(text: &str) -> Option<Duration> {
    let unit_seconds = match text.bytes().last()? {
        b's' => 1,
        b'm' => 60,
        b'h' => 3600,
        b'd' => DAY_SECONDS,
        _ => return None,
    };
    let number = number(text.get(..text.len() - 1)?)?;
    Some(Duration::from_secs(number.checked_mul(unit_seconds)?))
}

fn point(text: &str) -> Option<WallTime> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, time) = text.split_once([' ', 'T']).unwrap_or((text, "00:00:00"));
    let date: Vec<u64> = date.split('-').map(number).collect::<Option<_>>()?;
    let time: Vec<u64> = time.split(':').map(number).collect::<Option<_>>()?;
    let &[year, month, day] = date.as_slice() else { return None };
    let (hour, minute, second) = match *time.as_slice() {
        [hour, minute] => (hour, minute, 0),
        [hour, minute, second] => (hour, minute, second),
        _ => return None,
    };
    let good = (YEAR_FIRST..=YEAR_LAST).contains(&year)
        && (1..=12).contains(&month)
        && (1..=month_days(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    if !good {
        return None;
    }
    let days =
        (YEAR_FIRST..year).map(year_days).sum::<u64>() + (1..month).map(|month| month_days(year, month)).sum::<u64>();
    let seconds = (days + day - 1) * DAY_SECONDS + hour * 3600 + minute * 60 + second;
    Some(WallTime(seconds * SECOND_MICROS))
}

/// Digits only: no sign, no blank.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

fn year_days(year: u64) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

fn month_days(year: u64, month: u64) -> u64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

#[cfg(test)]
mod tests;
