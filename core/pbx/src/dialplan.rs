//! Owns the dialplan: what `extensions.conf` says, and where a running call stands in it.
//!
//! `Dialplan` is derived from the files; `Execution` is the plain data that a call carries and the peer node gets.
//! Assignments, jumps and expressions are done inside `next`; it returns what the call machine must do.

use std::collections::BTreeMap;
use std::time::Duration;

use minicbor::{Decode, Encode};

use crate::conf::Place;
use crate::configuration::Technology;

mod application;
mod context;
mod execution;
mod expression;
mod parse;
mod pattern;
mod substitute;
#[cfg(test)]
mod tests;

use context::{Context, Spot};
pub use execution::{STEPS_AT_ONCE_MAX, STEPS_MAX};
pub(crate) use parse::load;

/// Who calls, as the dialplan sees it: `${CALLERID(num)}` and `${CALLERID(name)}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Caller {
    #[n(0)]
    pub name: String,
    #[n(1)]
    pub number: String,
}

/// Where a call stands in the dialplan.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Execution {
    #[n(0)]
    pub context: String,
    #[n(1)]
    pub extension: String,
    /// The priority that runs next, from 1.
    #[n(2)]
    pub priority: u32,
    /// Changed by `Set(CALLERID(num)=...)`; the legs that Dial makes show it.
    #[n(3)]
    pub caller: Caller,
    #[n(4)]
    variables: BTreeMap<String, String>,
    /// Priorities run so far.
    #[n(5)]
    steps: u32,
    /// Priorities run since the call last waited for anything.
    #[n(6)]
    steps_at_once: u32,
    /// The application of the last `Step::Run` and its data after substitution: `lastapp` and `lastdata` of the call
    /// record.
    #[n(7)]
    pub last_application: String,
    #[n(8)]
    pub last_data: String,
}

/// What the call machine must do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Run(Application),
    /// No priority is left: the call is hung up by what `DIALSTATUS` says (`autofallthrough=yes`).
    End,
    /// The call cannot go on. The place is that of the line which failed.
    Failed {
        reason: String,
        file: String,
        line: u32,
    },
}

/// A dialplan application and its arguments after substitution.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Application {
    #[n(0)]
    Dial {
        /// Rung at once, in order; empty targets end as `CHANUNAVAIL`.
        #[n(0)]
        targets: Vec<Target>,
        #[n(1)]
        timeout: Option<Duration>,
        /// Option letters as written.
        #[n(2)]
        options: String,
    },
    #[n(1)]
    Hangup {
        /// A Q.850 cause; `None` keeps what the call has.
        #[n(0)]
        cause: Option<u8>,
    },
    #[n(2)]
    Answer {
        /// How long to wait after the answer.
        #[n(0)]
        delay: Duration,
    },
    #[n(3)]
    Echo,
    #[n(4)]
    Wait(#[n(0)] Duration),
    /// The text is for the log.
    #[n(5)]
    NoOp(#[n(0)] String),
    #[n(6)]
    Busy {
        /// How long until the call is hung up; `None`: until the caller does.
        #[n(0)]
        timeout: Option<Duration>,
    },
    #[n(7)]
    Congestion {
        #[n(0)]
        timeout: Option<Duration>,
    },
    /// Not supported; loading the files warned about it. Asterisk hangs up when it meets an unknown application.
    #[n(8)]
    Unknown {
        #[n(0)]
        name: String,
    },
}

/// Whom Dial rings.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Target {
    /// `None` for a channel technology that is not supported: the target is unreachable.
    #[n(0)]
    pub technology: Option<Technology>,
    /// The endpoint's name.
    #[n(1)]
    pub endpoint: String,
    /// The number to ask for at the endpoint, a trunk; `None` for a phone.
    #[n(2)]
    pub number: Option<String>,
}

/// The contexts of `extensions.conf`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dialplan {
    globals: BTreeMap<String, String>,
    contexts: BTreeMap<String, Context>,
}

/// The longest number that can be called and the longest number or name of a caller, in characters, as in Asterisk. A
/// longer called number is not found; a caller's is cut off.
const NUMBER_CHARACTERS_MAX: usize = 80;

/// The extension for a call without a number.
const START: &str = "s";

impl Dialplan {
    /// Lets go of one extension, or of a context without any. False when there was nothing left.
    pub(crate) fn discard_one(&mut self) -> bool {
        let Some(mut context) = self.contexts.first_entry() else { return false };
        let extensions = context.get_mut();
        if extensions.exact.pop_first().is_none() && extensions.patterns.pop().is_none() {
            context.remove();
        }
        true
    }

    /// Begins a call at priority 1. `None` when the context has no such number: the answer is 404.
    ///
    /// The number and the caller come from outside. A number that could be read as more than one argument of Dial once
    /// it is put into `${EXTEN}` is not found, and such characters are taken out of the caller's number.
    pub fn start(&self, context: &str, number: &str, caller: &Caller) -> Option<Execution> {
        let number = if number.is_empty() { START } else { number };
        if number.chars().count() > NUMBER_CHARACTERS_MAX || !number.chars().all(is_harmless) {
            return None;
        }
        let printable = |letter: &char| !letter.is_control() && !matches!(letter, '"' | '$');
        let caller = Caller {
            name: caller.name.chars().filter(printable).take(NUMBER_CHARACTERS_MAX).collect(),
            number: caller.number.chars().filter(|&digit| is_harmless(digit)).take(NUMBER_CHARACTERS_MAX).collect(),
        };
        self.line(context, number, &caller, Spot::Priority(1))?;
        Some(Execution {
            context: context.to_owned(),
            extension: number.to_owned(),
            priority: 1,
            caller,
            variables: BTreeMap::new(),
            steps: 0,
            steps_at_once: 0,
            last_application: String::new(),
            last_data: String::new(),
        })
    }

    /// Whether the files have this context, with extensions or without.
    pub fn has_context(&self, context: &str) -> bool {
        self.contexts.contains_key(context)
    }

    /// Every Dial target that does not depend on the call, and the place that names it.
    pub(crate) fn fixed_targets(&self) -> impl Iterator<Item = (&Place, Target)> {
        self.lines().flat_map(|line| {
            let targets = application::fixed_targets(&line.application, &line.data);
            targets.into_iter().map(|target| (&line.place, target))
        })
    }
}

/// What may stand in a called number or a caller's: no separator of arguments, no quote, no variable.
fn is_harmless(letter: char) -> bool {
    !letter.is_control() && !letter.is_whitespace() && !"&,|$(){}[]<>\"'`;\\".contains(letter)
}
