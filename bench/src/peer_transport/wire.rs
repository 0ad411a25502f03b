//! Owns the loop of an end that waits with `poll`, as the node's own loop does, and what it asks of a transport.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use base::LocalTime;
use miette::{IntoDiagnostic, Result, WrapErr, miette};
use net::clock::local_now;
use nix::poll::{PollFd, PollFlags};
use nix::sys::time::TimeSpec;

use super::course::{Follower, Outcome, Schedule, Tally, acknowledgement, commit, read_acknowledgement};

/// How long the two ends may take to find each other.
pub const CONNECT_MAX: Duration = Duration::from_secs(10);

/// A transport that is driven from outside, without blocking.
pub trait Wire {
    /// Whether messages can pass.
    fn is_ready(&self) -> bool;
    /// Whether the other end has gone, and said so.
    fn is_closed(&self) -> bool;
    /// Takes a message; it leaves with the next `flush`.
    fn send(&mut self, message: &[u8]) -> Result<()>;
    /// Sends what can leave and does what is due.
    fn flush(&mut self, now: LocalTime) -> Result<()>;
    /// Messages that have arrived whole.
    fn receive(&mut self, now: LocalTime) -> Result<Vec<Vec<u8>>>;
    /// When `flush` must be called though nothing came.
    fn deadline(&self) -> Option<LocalTime>;
    /// What `poll` looks at.
    fn descriptors(&self) -> Vec<(BorrowedFd<'_>, PollFlags)>;
}

/// Sends commits as scheduled and measures their acknowledgements.
pub fn lead(wire: &mut impl Wire, commits_per_second: u32, seconds: u32) -> Result<Outcome> {
    let connected_by = local_now() + CONNECT_MAX;
    while !wire.is_ready() {
        if local_now() >= connected_by {
            return Err(miette!("the other end did not answer"));
        }
        wire.flush(local_now())?;
        wait(wire, Some(connected_by))?;
        wire.receive(local_now())?;
    }
    let mut tally = Tally::new(Schedule::new(local_now(), commits_per_second, seconds));
    let mut number = 0;
    loop {
        let now = local_now();
        while tally.next_due().is_some_and(|due| due <= now) {
            tally.sent(local_now());
            wire.send(&commit(number))?;
            wire.flush(local_now())?;
            number += 1;
        }
        wire.flush(local_now())?;
        if tally.is_over(now) {
            return Ok(tally.outcome());
        }
        if wire.is_closed() {
            return Err(miette!("the other end closed the connection"));
        }
        wait(wire, tally.next_due())?;
        for message in wire.receive(local_now())? {
            let count =
                read_acknowledgement(&message).ok_or_else(|| miette!("the other end sent no acknowledgement"))?;
            tally.acknowledged(count, local_now());
        }
    }
}

/// Acknowledges commits until the sender has gone or the process is ended: once for all that were waiting, as a
/// follower does at the end of its step.
pub fn follow(wire: &mut impl Wire) -> Result<()> {
    let mut follower = Follower::default();
    while !wire.is_closed() {
        wire.flush(local_now())?;
        wait(wire, None)?;
        let mut last = None;
        for message in wire.receive(local_now())? {
            last = Some(follower.take(&message).ok_or_else(|| miette!("a commit came twice, damaged or too early"))?);
        }
        if let Some(count) = last {
            wire.send(&acknowledgement(count))?;
        }
    }
    Ok(())
}

/// Sleeps until something comes, the wire wants its turn or a commit is due. The wire's turns are rounded up to
/// milliseconds, as in the node's loop; the rhythm of the commits is kept to the microsecond.
fn wait(wire: &impl Wire, due: Option<LocalTime>) -> Result<()> {
    let now = local_now();
    let turn = wire.deadline().map(|at| Duration::from_millis(at.since(now).as_micros().div_ceil(1000) as u64));
    let commit = due.map(|at| at.since(now));
    let left = [turn, commit].into_iter().flatten().min().map(TimeSpec::from_duration);
    let mut descriptors: Vec<_> = wire.descriptors().into_iter().map(|(fd, flags)| PollFd::new(fd, flags)).collect();
    match nix::poll::ppoll(&mut descriptors, left, None) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
        Err(error) => Err(io::Error::from(error)).into_diagnostic().wrap_err("wait for sockets"),
    }
}
