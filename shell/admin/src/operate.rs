//! Owns the commands that ask a running node: the question, the answer's print, and the outcome.

use std::io::{self, Write};
use std::path::PathBuf;

use node::{Answer, Operator};
use serde::Serialize;
use thiserror::Error;

use crate::cli::NodeArguments;
use crate::config::ConfigError;
use crate::human;
use crate::socket::{self, AskError};
use crate::status::{Answered, NodeStatus};

#[cfg(test)]
mod tests;

/// Why a command could not do its work.
#[derive(Debug, Error)]
pub enum OperateError {
    /// To be shown by `miette::Report`, which has the file's lines.
    #[error(transparent)]
    Config(Box<ConfigError>),
    #[error("ask the node")]
    Ask(#[from] AskError),
    #[error("read the files below {}", directory.display())]
    ReadFiles {
        directory: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("print the answer")]
    Print(#[source] io::Error),
}

impl From<ConfigError> for OperateError {
    fn from(error: ConfigError) -> Self {
        Self::Config(Box::new(error))
    }
}

/// Asks the node that `arguments` name and prints its answer; false when it refused to do what was asked.
pub fn run(
    operator: Operator,
    arguments: &NodeArguments,
    colours: bool,
    out: &mut impl Write,
) -> Result<bool, OperateError> {
    let path = socket::path_in(&arguments.target.to_state_dir()?);
    let answered = socket::ask(&path, operator)?;
    print(answered, arguments.json, colours, out).map_err(OperateError::Print)
}

/// What `--json` prints for what was done or refused.
#[derive(Serialize)]
pub(crate) struct Outcome {
    pub(crate) done: bool,
    pub(crate) text: String,
}

fn print(answered: Answered, json: bool, colours: bool, out: &mut impl Write) -> io::Result<bool> {
    let Answered { answer, pid, parent_pid } = answered;
    match answer {
        Answer::Status(status) => {
            let status = NodeStatus { status: *status, pid, parent_pid };
            show(&status, |status| human::status(status, colours), json, out)?;
        }
        Answer::Phones(phones) => show(&phones, |phones| human::phones(phones, colours), json, out)?,
        Answer::Calls(calls) => show(&calls, |calls| human::calls(calls, colours), json, out)?,
        Answer::Config(answer) => {
            show(&answer, |answer| human::configuration::history(answer, usize::MAX, colours), json, out)?;
        }
        Answer::Done { text } => show(&Outcome { done: true, text }, outcome_text, json, out)?,
        Answer::Refused { text } => {
            show(&Outcome { done: false, text }, outcome_text, json, out)?;
            return Ok(false);
        }
    }
    Ok(true)
}

pub(crate) fn show<T: Serialize>(
    value: &T,
    human: impl Fn(&T) -> String,
    json: bool,
    out: &mut impl Write,
) -> io::Result<()> {
    if json {
        serde_json::to_writer_pretty(&mut *out, value)?;
        writeln!(out)
    } else {
        out.write_all(human(value).as_bytes())
    }
}

pub(crate) fn outcome_text(outcome: &Outcome) -> String {
    let refused = if outcome.done { "" } else { "refused: " };
    format!("{refused}{}\n", outcome.text)
}
