//! Owns `tandem status --watch`: the status again each second, and below it what happened last.

use std::io::{self, Write};
use std::path::Path;
use std::thread;
use std::time::Duration;

use node::{Answer, Operator};

use crate::cli::NodeArguments;
use crate::events::{Event, file, list};
use crate::human;
use crate::operate::OperateError;
use crate::socket::{self, AskError};
use crate::status::NodeStatus;

const EVERY: Duration = Duration::from_secs(1);

/// Events below the status: as many as fit a small terminal.
const EVENTS_SHOWN: usize = 8;

/// Clears the terminal and puts the cursor into its corner (ECMA-48, 8.3.39 and 8.3.21).
const CLEAR: &str = "\u{1b}[2J\u{1b}[H";

/// Runs until the output is closed. On a terminal each picture replaces the one before it.
pub fn run(arguments: &NodeArguments, colours: bool, terminal: bool, out: &mut impl Write) -> Result<(), OperateError> {
    let state_dir = arguments.target.to_state_dir()?;
    loop {
        let asked = status(&state_dir);
        let text = if arguments.json {
            json(&asked)
        } else {
            let picture = picture(&asked, &file::read(&state_dir).unwrap_or_default(), colours);
            if terminal { format!("{CLEAR}{picture}") } else { format!("{picture}\n") }
        };
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(OperateError::Print)?;
        thread::sleep(EVERY);
    }
}

pub(crate) fn status(state_dir: &Path) -> Result<NodeStatus, AskError> {
    let answered = socket::ask(&socket::path_in(state_dir), Operator::Status)?;
    match answered.answer {
        Answer::Status(status) => {
            Ok(NodeStatus { status: *status, pid: answered.pid, parent_pid: answered.parent_pid })
        }
        _ => Err(AskError::Speak(io::ErrorKind::InvalidData.into())),
    }
}

/// A line: the status, or why there is none.
fn json(asked: &Result<NodeStatus, AskError>) -> String {
    let value = match asked {
        Ok(status) => serde_json::to_value(status).unwrap_or_default(),
        Err(error) => serde_json::json!({ "protected": false, "error": error.to_string() }),
    };
    format!("{value}\n")
}

fn picture(asked: &Result<NodeStatus, AskError>, events: &[Event], colours: bool) -> String {
    let mut text = match asked {
        Ok(status) => human::status(status, colours),
        Err(error) => human::not_running(&error.to_string(), colours),
    };
    let shown = events.get(events.len().saturating_sub(EVENTS_SHOWN)..).unwrap_or_default();
    if !shown.is_empty() {
        text.push('\n');
    }
    for event in shown {
        text.push_str(&list::line(event));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Telling;

    fn event() -> Event {
        let Telling { kind, text, data } = Telling::new("protected", "protected again after 2.000 s");
        Event { number: 1, at_ms: 1_000, node: "a".into(), kind: kind.into(), text, data }
    }

    #[test]
    fn the_verdict_is_the_first_word_whether_or_not_the_node_runs() {
        let running = picture(&Ok(human::tests::example()), &[event()], false);
        assert!(running.starts_with("PROTECTED: "), "{running}");
        assert!(
            running.ends_with("1970-01-01 00:00:01.000  protected    protected again after 2.000 s\n"),
            "{running}"
        );
        let gone = picture(&Err(AskError::NotRunning { path: "/s".into() }), &[], false);
        assert!(gone.starts_with("NOT PROTECTED because no node is running there"), "{gone}");
    }

    #[test]
    fn json_is_one_line_each_time() {
        let gone = json(&Err(AskError::NotRunning { path: "/s".into() }));
        let value: serde_json::Value = serde_json::from_str(&gone).unwrap();
        assert_eq!(value["protected"], false);
        let running = json(&Ok(human::tests::example()));
        assert_eq!(running.matches('\n').count(), 1);
    }
}
