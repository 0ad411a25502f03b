//! Owns `tandem events`: reads the files of events, prints them, and follows what is added.

use std::io::{self, Write};
use std::path::Path;
use std::thread;
use std::time::Duration;

use base::WallTime;

use super::{Event, file};
use crate::cli::EventsArguments;
use crate::human::table::printable;
use crate::operate::OperateError;
use crate::time::utc_text;

/// How often the file is looked at for more.
const FOLLOW_EVERY: Duration = Duration::from_millis(250);

/// The width of the column of kinds.
const KIND_CHARACTERS: usize = 12;

/// Prints what `arguments` want; with `--follow` until the output is closed.
pub fn run(arguments: &EventsArguments, now: WallTime, out: &mut impl Write) -> Result<(), OperateError> {
    let state_dir = arguments.target.to_state_dir()?;
    let mut events = read(&state_dir)?;
    let last = events.last().map_or(0, |event| event.number);
    if let Some(since) = arguments.since {
        let since_ms = since.wall_time(now).as_millis();
        events.retain(|event| event.at_ms >= since_ms);
    }
    let skipped = events.len().saturating_sub(arguments.limit);
    let shown = events.get(skipped..).unwrap_or_default();
    print(shown, arguments.json, out)?;
    if arguments.follow {
        return follow(&state_dir, last, arguments.json, out);
    }
    if !arguments.json {
        write!(out, "{}", summary(shown, now)).map_err(OperateError::Print)?;
    }
    Ok(())
}

fn follow(state_dir: &Path, mut last: u64, json: bool, out: &mut impl Write) -> Result<(), OperateError> {
    loop {
        thread::sleep(FOLLOW_EVERY);
        let mut events = read(state_dir)?;
        events.retain(|event| event.number > last);
        last = events.last().map_or(last, |event| event.number);
        // Even without news, so that a closed output is noticed.
        print(&events, json, out)?;
    }
}

fn read(state_dir: &Path) -> Result<Vec<Event>, OperateError> {
    file::read(state_dir).map_err(|source| OperateError::ReadFiles { directory: state_dir.to_owned(), source })
}

fn print(events: &[Event], json: bool, out: &mut impl Write) -> Result<(), OperateError> {
    let mut print = || -> io::Result<()> {
        for event in events {
            if json {
                serde_json::to_writer(&mut *out, event)?;
                writeln!(out)?;
            } else {
                writeln!(out, "{}", line(event))?;
            }
        }
        out.flush()
    };
    print().map_err(OperateError::Print)
}

/// `2026-01-31 13:45:00.123  takeover     took over ...`
pub fn line(event: &Event) -> String {
    let second = utc_text(WallTime::from_millis(event.at_ms));
    let Event { at_ms, kind, text, .. } = event;
    format!("{second}.{:03}  {:<KIND_CHARACTERS$} {}", at_ms % 1000, printable(kind), printable(text))
}

/// How long calls were without protection in these events.
fn summary(events: &[Event], now: WallTime) -> String {
    if events.is_empty() {
        return "nothing has happened yet\n".into();
    }
    let seconds = |event: &Event| event.data.get("unprotected_seconds").and_then(serde_json::Value::as_f64);
    let times: Vec<f64> = events.iter().filter(|event| event.kind == "protected").filter_map(seconds).collect();
    let mut text = format!("times without protection: {}, {:.1} s in all\n", times.len(), times.iter().sum::<f64>());
    let last = events.iter().rev().find(|event| matches!(event.kind.as_str(), "protected" | "unprotected"));
    if let Some(lost) = last.filter(|event| event.kind == "unprotected") {
        let for_s = now.as_millis().saturating_sub(lost.at_ms) / 1000;
        text += &format!("NOT PROTECTED for {for_s} s now, unless the node has been stopped since\n");
    }
    text
}
