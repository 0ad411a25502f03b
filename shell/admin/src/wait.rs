//! Owns the commands that wait: until the pair is protected, until a drained node serves nobody.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use node::{Operator, Status};

use crate::cli::{DrainArguments, NodeArguments};
use crate::human;
use crate::operate::{self, OperateError, Outcome, outcome_text, show};
use crate::watch;

/// Often enough for a person who waits, and nothing to the node.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Shows the status as soon as the pair is protected, or when `limit` is over: true if it is protected then. A node that
/// does not run yet is waited for; one without a peer is not, since it never will be.
pub fn until_protected(
    arguments: &NodeArguments,
    limit: Duration,
    colours: bool,
    out: &mut impl Write,
) -> Result<bool, OperateError> {
    let state_dir = arguments.target.to_state_dir()?;
    let begun = Instant::now();
    loop {
        let asked = watch::status(&state_dir);
        let protected = asked.as_ref().is_ok_and(|node| node.status.protected);
        let never = asked.as_ref().is_ok_and(|node| node.status.peer.is_none());
        if protected || never || begun.elapsed() >= limit {
            let status = asked.map_err(OperateError::Ask)?;
            show(&status, |status| human::status(status, colours), arguments.json, out).map_err(OperateError::Print)?;
            return Ok(protected);
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// Asks the node to drain, and if the person wants to wait, tells what is left until nothing is.
pub fn drain(arguments: &DrainArguments, colours: bool, out: &mut impl Write) -> Result<bool, OperateError> {
    let node = &arguments.node;
    let mut answer = Vec::new();
    let done = operate::run(Operator::Drain(arguments.to_drain()), node, colours, &mut answer)?;
    let waits = done && arguments.wait;
    // Who reads JSON gets one document: what came of it in the end.
    if !(waits && node.json) {
        out.write_all(&answer).map_err(OperateError::Print)?;
    }
    if !waits {
        return Ok(done);
    }
    let state_dir = node.target.to_state_dir()?;
    let mut said = String::new();
    loop {
        let status = watch::status(&state_dir).map_err(OperateError::Ask)?.status;
        let left = Left::of(&status);
        if left.is_over() {
            let outcome = Outcome { done: left != Left::Ended, text: left.to_string() };
            show(&outcome, outcome_text, node.json, out).map_err(OperateError::Print)?;
            return Ok(outcome.done);
        }
        let text = left.to_string();
        if text != said && !node.json {
            writeln!(out, "{text}").and_then(|()| out.flush()).map_err(OperateError::Print)?;
            said = text;
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// What a drained node still does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// It serves, and waits for the peer to take over.
    Serves,
    Calls(usize),
    /// Nothing: the peer serves.
    StandsBy,
    /// Nothing: there are no calls any more.
    NoCalls,
    /// Somebody has put it back into service meanwhile.
    Ended,
}

impl Left {
    fn of(status: &Status) -> Self {
        let serves = matches!(status.role.as_str(), "active" | "alone");
        match (status.drain.as_deref(), serves) {
            (None, _) => Self::Ended,
            (Some(_), false) => Self::StandsBy,
            (Some("calls"), true) if status.calls == 0 => Self::NoCalls,
            (Some("calls"), true) => Self::Calls(status.calls),
            (Some(_), true) => Self::Serves,
        }
    }

    fn is_over(self) -> bool {
        matches!(self, Self::StandsBy | Self::NoCalls | Self::Ended)
    }
}

impl std::fmt::Display for Left {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Serves => f.write_str("this node still serves, until the peer takes over"),
            Self::Calls(1) => f.write_str("1 call is left"),
            Self::Calls(count) => write!(f, "{count} calls are left"),
            Self::StandsBy => f.write_str("this node serves nobody: the peer does"),
            Self::NoCalls => f.write_str("no call is left: this node may be stopped"),
            Self::Ended => f.write_str("somebody has put this node back into service"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_told_from_the_status() {
        let mut status = human::tests::example().status;
        assert_eq!(Left::of(&status), Left::Ended);
        status.drain = Some("drained".into());
        assert_eq!(Left::of(&status), Left::Serves);
        status.role = "standby".into();
        assert_eq!(Left::of(&status), Left::StandsBy);
        status.role = "alone".into();
        status.drain = Some("calls".into());
        assert_eq!((Left::of(&status), Left::of(&status).to_string()), (Left::Calls(5), "5 calls are left".into()));
        status.calls = 0;
        assert_eq!(Left::of(&status), Left::NoCalls);
        let over = [Left::Ended, Left::StandsBy, Left::NoCalls, Left::Serves, Left::Calls(1)].map(Left::is_over);
        assert_eq!(over, [true, true, true, false, false]);
    }
}
