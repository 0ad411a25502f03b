//! Every decision of the parent process, as a pure machine: when to start and kill the daemon, when to hold, renew
//! and remove the address, when to say farewell. It touches nothing; the driver does what it says.
//!
//! ```text
//!              start due                 silent too long
//! Waiting ----------------> Running -----------------------> Killing
//!    ^                         |                                |
//!    |        died             v              died              |
//!    +---------------------- (fall) <---------------------------+
//!                              |
//!                              +--> Leaving (told to stop, or bad configuration) --> exit
//! ```

use std::collections::VecDeque;
use std::time::Duration;

use base::{Epoch, LocalTime};

/// An active daemon with a protected peer that is silent so long has stalled: its loop, which lets the stamps pass,
/// is stuck. The peer takes over.
pub const STALL_PROTECTED: Duration = Duration::from_millis(100);

/// The bound for an active daemon that nobody can replace: killing it early costs more than it may gain. Half a lease,
/// so that its next life finds the address still there.
pub const STALL_ALONE: Duration = Duration::from_secs(1);

/// The bound for a daemon that serves nobody.
pub const STALL_STANDBY: Duration = Duration::from_secs(2);

/// Reading the journal and the configuration may take this long before the first stamp. Then the daemon hangs.
pub const START_MAX: Duration = Duration::from_secs(30);

/// The parent wakes at least this often while it waits for stamps. It counts silence only while it is awake itself:
/// a longer pause between two wake-ups counts as this plus the slack, since the daemon may have been paused as well.
pub const TICK: Duration = Duration::from_millis(25);
pub const TICK_SLACK: Duration = Duration::from_millis(5);

/// Only a stamp younger than this renews the lease, whoever was stalled: a machine that wakes from a pause must not
/// renew before its daemon has had a look around.
pub const STAMP_AGE_MAX: Duration = Duration::from_millis(100);

pub const RENEW_EVERY: Duration = Duration::from_millis(500);

/// The lifetime given to the address: four renewals, so that three may fail. The kernel removes it up to 0.8 s later.
pub const LEASE: Duration = Duration::from_secs(2);

/// When the copies of a farewell leave after the daemon's end: a lost one costs the peer the whole silence it waits.
const FAREWELLS: [Duration; 3] = [Duration::ZERO, Duration::from_millis(2), Duration::from_millis(10)];

/// Pauses before the first, second, ... restart in a row, and before all further ones.
const PAUSES: [Duration; 5] =
    [Duration::ZERO, Duration::ZERO, Duration::from_millis(100), Duration::from_millis(500), Duration::from_secs(1)];

/// A life this long ends a row of failures: it has served, and phones that wait for the next one cost more than a few
/// more starts.
const SETTLED: Duration = Duration::from_secs(2);

/// How long a daemon may take to hand over and end when it is told to stop. Then it is killed.
const STOP_MAX: Duration = Duration::from_secs(2);

/// The daemon's exit code for a configuration that it cannot use (as of a program that is called wrongly).
pub const EXIT_CONFIGURATION: i32 = 2;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The daemon is alive. `at`: when it said so, by the clock that all processes of the machine share.
    Stamp {
        at: LocalTime,
        active: bool,
        epoch: Epoch,
        protected: bool,
    },
    Claim {
        epoch: Epoch,
    },
    /// The address for the claim of this epoch could not be added.
    AddFailed {
        epoch: Epoch,
    },
    Yield,
    StoppingDone,
    /// The kernel says that the address is not on the interface any more.
    AddressGone,
    /// The daemon's lifeline is closed: it will not run again, but it may be a while before it has ended. A thread of
    /// it that waits for a disk dies when the disk answers.
    Dying,
    /// The daemon has ended; `code` unless a signal ended it.
    Died {
        code: Option<i32>,
    },
    /// Somebody wants the whole node to stop.
    Stop,
}

/// What the driver must do, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Start a daemon and hand it the held sockets.
    StartDaemon {
        resume_active: Option<Epoch>,
    },
    KillDaemon,
    /// Add the address, then tell the daemon `Claimed`; or answer with `Input::AddFailed`.
    AddAddress {
        epoch: Epoch,
    },
    RenewAddress,
    RemoveAddress,
    /// One copy of the farewell of the daemon's present or last life, on each link.
    Farewell,
    TellLost {
        epoch: Epoch,
    },
    TellStop,
    Exit {
        code: u8,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Waiting {
        start_at: LocalTime,
    },
    Running,
    /// SIGKILL has been sent.
    Killing,
    /// Nothing but farewells left to do.
    Leaving {
        code: u8,
    },
    Left,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    at: LocalTime,
    active: bool,
    epoch: Epoch,
    protected: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Claim {
    epoch: Epoch,
    renewed_at: LocalTime,
    renew_at: LocalTime,
}

/// The parent's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// Whether another node may take the address.
    has_peer: bool,
    phase: Phase,
    /// The last stamp of the present life.
    stamp: Option<Stamp>,
    claim: Option<Claim>,
    /// The greatest epoch ever claimed; older claims are refused.
    epoch_known: Epoch,
    /// What the next life is told.
    resume: Option<Epoch>,
    /// How long the daemon has said nothing, not counting our own stalls, as of `seen_at`.
    silence: Duration,
    seen_at: LocalTime,
    started_at: LocalTime,
    failures: usize,
    farewells: VecDeque<LocalTime>,
    /// When a daemon that was told to stop is killed.
    stop_until: Option<LocalTime>,
    handed_over: bool,
    /// A daemon has come up since the parent was started.
    has_served: bool,
}

impl Watch {
    /// Call `timeout` at once: the daemon's start is due.
    pub fn new(has_peer: bool, now: LocalTime) -> Self {
        Self {
            has_peer,
            phase: Phase::Waiting { start_at: now },
            stamp: None,
            claim: None,
            epoch_known: Epoch::default(),
            resume: None,
            silence: Duration::ZERO,
            seen_at: now,
            started_at: now,
            failures: 0,
            farewells: VecDeque::new(),
            stop_until: None,
            handed_over: false,
            has_served: false,
        }
    }

    /// Whether a daemon has come up since the parent was started: its loop ran, as active node or standby.
    pub fn has_served(&self) -> bool {
        self.has_served
    }

    /// False while a daemon that was killed does not end: only the one who started both of us can help then. A daemon
    /// that starts, or that has ended and will be started again, has bounds of its own.
    pub fn is_well(&self) -> bool {
        self.phase != Phase::Killing
    }

    /// When `timeout` wants to be called; `None` after `Exit`, and while a killed daemon's end is awaited.
    pub fn deadline(&self) -> Option<LocalTime> {
        let phase = match self.phase {
            Phase::Waiting { start_at } => Some(start_at),
            Phase::Running => Some(self.seen_at + self.silence_max().saturating_sub(self.silence).min(TICK)),
            Phase::Killing | Phase::Leaving { .. } | Phase::Left => None,
        };
        let stop = self.stop_until.filter(|_| self.phase == Phase::Running);
        let renewal = self.claim.map(|claim| claim.renew_at);
        [phase, stop, renewal, self.farewells.front().copied()].into_iter().flatten().min()
    }

    /// Takes an input. Everything that waits must have come in before `timeout` is asked to judge.
    pub fn handle(&mut self, now: LocalTime, input: Input, outputs: &mut Vec<Output>) {
        self.elapse(now);
        match (self.phase, input) {
            (Phase::Leaving { .. } | Phase::Left, _) => {}
            (_, Input::AddressGone) => self.address_gone(now, outputs),
            (_, Input::AddFailed { epoch }) => self.add_failed(epoch, outputs),
            (Phase::Running, Input::Stamp { at, active, epoch, protected }) => {
                self.silence = Duration::ZERO;
                self.resume = None;
                self.has_served = true;
                // A stamp from the future would look fresh for too long.
                self.stamp = Some(Stamp { at: at.min(now), active, epoch, protected });
            }
            (Phase::Running, Input::Claim { epoch }) => self.take_claim(now, epoch, outputs),
            (Phase::Running, Input::Yield) => self.remove_address(outputs),
            (Phase::Running, Input::StoppingDone) => {
                self.handed_over = true;
                self.remove_address(outputs);
                self.stop_until.get_or_insert(now + STOP_MAX);
            }
            // The last words of a daemon that is being killed, or was, change nothing.
            (
                Phase::Waiting { .. } | Phase::Killing,
                Input::Stamp { .. } | Input::Claim { .. } | Input::Yield | Input::StoppingDone,
            ) => {}
            // Only a peer that takes over gains by hearing of it before the end. Everything else waits for the end,
            // because it starts the next life, or needs the exit code.
            (Phase::Running, Input::Dying) if self.is_active_protected() && !self.handed_over => {
                self.kill(now, outputs)
            }
            (_, Input::Dying) => {}
            (Phase::Running, Input::Died { code }) => {
                self.fall(now, outputs);
                self.after_death(now, code, outputs);
            }
            (Phase::Killing, Input::Died { .. }) => self.after_death(now, None, outputs),
            (Phase::Waiting { .. }, Input::Died { .. }) => {}
            (Phase::Running, Input::Stop) if self.stop_until.is_none() => {
                self.stop_until = Some(now + STOP_MAX);
                outputs.push(Output::TellStop);
            }
            // Whoever asks twice does not want to wait.
            (Phase::Running, Input::Stop) => self.kill(now, outputs),
            (Phase::Killing, Input::Stop) => self.stop_until = Some(now),
            (Phase::Waiting { .. }, Input::Stop) => self.leave(0, outputs),
        }
        self.finish(outputs);
    }

    /// Judges what is due.
    pub fn timeout(&mut self, now: LocalTime, outputs: &mut Vec<Output>) {
        self.elapse(now);
        while self.farewells.front().is_some_and(|at| *at <= now) {
            self.farewells.pop_front();
            outputs.push(Output::Farewell);
        }
        match self.phase {
            Phase::Waiting { start_at } if start_at <= now => self.start(now, outputs),
            Phase::Running => {
                let is_stop_over = self.stop_until.is_some_and(|until| until <= now);
                if is_stop_over || self.silence >= self.silence_max() {
                    self.kill(now, outputs);
                }
            }
            _ => {}
        }
        if self.claim.is_some_and(|claim| claim.renew_at <= now) {
            self.renew(now, outputs);
        }
        self.finish(outputs);
    }

    /// Counts silence. What passed beyond a tick was a stall of our own and may have been one of the daemon as well.
    fn elapse(&mut self, now: LocalTime) {
        self.silence += now.since(self.seen_at).min(TICK + TICK_SLACK);
        self.seen_at = self.seen_at.max(now);
    }

    fn silence_max(&self) -> Duration {
        match self.stamp {
            None => START_MAX,
            Some(_) if self.is_active_protected() => STALL_PROTECTED,
            Some(stamp) if stamp.active => STALL_ALONE,
            Some(_) => STALL_STANDBY,
        }
    }

    fn is_active_protected(&self) -> bool {
        self.has_peer && self.stamp.is_some_and(|stamp| stamp.active && stamp.protected)
    }

    fn start(&mut self, now: LocalTime, outputs: &mut Vec<Output>) {
        self.phase = Phase::Running;
        self.stamp = None;
        self.silence = Duration::ZERO;
        self.started_at = now;
        self.handed_over = false;
        // The former life's farewells are said before the driver gives the new life its name.
        outputs.extend(self.farewells.drain(..).map(|_| Output::Farewell));
        outputs.push(Output::StartDaemon { resume_active: self.resume });
    }

    fn kill(&mut self, now: LocalTime, outputs: &mut Vec<Output>) {
        self.fall(now, outputs);
        outputs.push(Output::KillDaemon);
        self.phase = Phase::Killing;
    }

    /// The daemon serves no more: gives the service to the peer, or keeps it for the next life.
    fn fall(&mut self, now: LocalTime, outputs: &mut Vec<Output>) {
        if self.handed_over {
            return;
        }
        if self.is_active_protected() {
            self.resume = None;
            self.remove_address(outputs);
            outputs.push(Output::Farewell);
            self.farewells = FAREWELLS.iter().skip(1).map(|after| now + *after).collect();
            return;
        }
        let claimed = self.claim.map(|claim| claim.epoch);
        self.resume = match self.stamp {
            // What the life before left is passed on by one that has not said a word.
            None => claimed.max(self.resume),
            Some(stamp) if stamp.active => claimed.max(Some(stamp.epoch)),
            Some(_) => claimed,
        };
        // One last renewal: the next life has the whole lease to come up in.
        self.renew(now, outputs);
    }

    fn after_death(&mut self, now: LocalTime, code: Option<i32>, outputs: &mut Vec<Output>) {
        if self.stop_until.is_some() {
            return self.leave(0, outputs);
        }
        if code == Some(EXIT_CONFIGURATION) && self.stamp.is_none() {
            return self.leave(EXIT_CONFIGURATION as u8, outputs);
        }
        if now.since(self.started_at) >= SETTLED {
            self.failures = 0;
        }
        let pause = PAUSES.get(self.failures).or(PAUSES.last()).copied().unwrap_or_default();
        self.failures = self.failures.saturating_add(1);
        // The last farewell leaves first: it names the life that has ended.
        let start_at = self.farewells.back().copied().unwrap_or(now).max(now + pause);
        self.phase = Phase::Waiting { start_at };
        if start_at <= now {
            self.start(now, outputs);
        }
    }

    fn leave(&mut self, code: u8, outputs: &mut Vec<Output>) {
        self.remove_address(outputs);
        self.phase = Phase::Leaving { code };
    }

    fn finish(&mut self, outputs: &mut Vec<Output>) {
        if let Phase::Leaving { code } = self.phase
            && self.farewells.is_empty()
        {
            self.phase = Phase::Left;
            outputs.push(Output::Exit { code });
        }
    }

    fn take_claim(&mut self, now: LocalTime, epoch: Epoch, outputs: &mut Vec<Output>) {
        if epoch < self.epoch_known || self.handed_over {
            outputs.push(Output::TellLost { epoch });
            return;
        }
        self.epoch_known = epoch;
        self.claim = Some(Claim { epoch, renewed_at: now, renew_at: now + RENEW_EVERY });
        outputs.push(Output::AddAddress { epoch });
    }

    fn add_failed(&mut self, epoch: Epoch, outputs: &mut Vec<Output>) {
        if self.claim.take_if(|claim| claim.epoch == epoch).is_some() {
            outputs.push(Output::TellLost { epoch });
        }
    }

    fn may_renew(&self, now: LocalTime, claim: Claim) -> bool {
        let is_vouched_for =
            |stamp: Stamp| stamp.active && stamp.epoch == claim.epoch && now.since(stamp.at) < STAMP_AGE_MAX;
        // Without a peer nobody else can have the address, and a restart may take longer than a lease.
        !self.has_peer || self.stamp.is_some_and(is_vouched_for)
    }

    /// Renews the lease if that is right; lets it go when it has run out.
    fn renew(&mut self, now: LocalTime, outputs: &mut Vec<Output>) {
        let Some(claim) = self.claim else { return };
        if self.may_renew(now, claim) {
            self.claim = Some(Claim { renewed_at: now, renew_at: now + RENEW_EVERY, ..claim });
            outputs.push(Output::RenewAddress);
        } else if now.since(claim.renewed_at) >= LEASE {
            self.lose(claim.epoch, outputs);
        } else {
            self.claim = Some(Claim { renew_at: now + TICK, ..claim });
        }
    }

    fn address_gone(&mut self, now: LocalTime, outputs: &mut Vec<Output>) {
        let Some(claim) = self.claim else { return };
        if self.may_renew(now, claim) {
            self.renew(now, outputs);
        } else {
            self.lose(claim.epoch, outputs);
        }
    }

    fn lose(&mut self, epoch: Epoch, outputs: &mut Vec<Output>) {
        self.remove_address(outputs);
        self.resume = None;
        if self.phase == Phase::Running {
            outputs.push(Output::TellLost { epoch });
        }
    }

    fn remove_address(&mut self, outputs: &mut Vec<Output>) {
        if self.claim.take().is_some() {
            outputs.push(Output::RemoveAddress);
        }
    }
}

#[cfg(test)]
mod tests;
