//! The drill: builds a pair and phones, commits one fault after another, and tells what the phones saw. Its exit code
//! is the promise (design, section 1).

mod absence;
mod beside;
mod calls;
mod checks;
mod display;
mod fault;
mod flood;
mod load;
mod records;
mod report;
mod room;
mod scene;
mod slow_disk;
mod statistics;
mod storm;
mod strike;
mod trial;
mod upgrade;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

pub use beside::Beside;
pub use fault::Fault;
pub use records::{ExpectedCall, compare as compare_records};

use crate::rival::Root;
use crate::{LabError, rootless};
use beside::Comparison;
use calls::Counts;
use display::Display;
use report::{FaultReport, Report};
use room::PHONES_MAX;
use scene::{Scene, Stage};
use trial::TrialResult;

/// How the drill is asked for, as the command line takes it.
#[derive(Clone, Debug, clap::Args)]
pub struct DrillArguments {
    /// What goes wrong.
    #[arg(long, value_enum, default_value = "all")]
    pub fault: Fault,
    /// How often each fault is committed.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub trials: u32,
    /// Calls that talk when the fault comes.
    #[arg(long, default_value_t = 5)]
    pub calls: u32,
    /// Calls that are on hold when the fault comes.
    #[arg(long, default_value_t = 2)]
    pub held: u32,
    /// Calls that ring when the fault comes.
    #[arg(long, default_value_t = 2)]
    pub ringing: u32,
    /// Calls that are being made at the very moment at which the fault comes.
    #[arg(long, default_value_t = 2)]
    pub setup: u32,
    /// Calls to the dialplan's Echo, which hear themselves.
    #[arg(long, default_value_t = 2)]
    pub echo: u32,
    /// Registrations in all, most of them of phones without audio.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=CROWD_MAX))]
    pub registrations: u32,
    /// So many phones without audio register again all at once when the fault has come.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=CROWD_MAX))]
    pub avalanche: u32,
    /// Calls in all, most of them answered and without audio.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=CALLS_IN_STATE_MAX))]
    pub calls_in_state: u32,
    /// How often the fault is committed to the same calls within one trial, back and forth between the nodes. The
    /// questions about holding, hanging up and the like come after the last one.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
    /// How long a flood lasts.
    #[arg(long, default_value_t = 60)]
    pub flood_seconds: u64,
    /// For `upgrade` and `upgrade-kill`: what both nodes run before it, such as the program of the release before; the present
    /// one when it is not given.
    #[arg(long, value_name = "PROGRAM")]
    pub previous: Option<PathBuf>,
    /// How long packets are lost, with people calling each other meanwhile; a moment when it is not given.
    #[arg(long)]
    pub loss_seconds: Option<u64>,
    /// Links between the nodes: the LAN, and a cable of their own.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=2))]
    pub links: u32,
    /// How many of the links lose packets when that is the fault.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=2))]
    pub lossy_links: u32,
    /// Commits `kill` and `cut` to another assembly as well, with the same phones, and compares. Needs root.
    #[arg(long, value_enum)]
    pub beside: Option<Beside>,
    /// Prints one JSON document at the end and nothing else.
    #[arg(long)]
    pub json: bool,
    /// Multiplies the promised times, for machines that others use too.
    #[arg(long, default_value_t = 1.0, value_parser = slack)]
    pub slack: f64,
    /// Keeps the nodes' files and logs in any case; they are kept after a failure anyway.
    #[arg(long)]
    pub keep: bool,
    /// The program under test; this one when it is not given.
    #[arg(long, hide = true)]
    pub binary: Option<PathBuf>,
}

/// As many phones as the design promises for, and half as many again.
const CROWD_MAX: i64 = 30_000;

/// Each takes four sockets of each node, of which an ordinary machine allows a process 20,000.
const CALLS_IN_STATE_MAX: i64 = 4_000;

/// From so many calls on, a kill is promised to be heard no longer than this, in milliseconds (design, section 1).
const MANY_CALLS: u32 = 2_000;
const MANY_CALLS_MS: f64 = 100.0;

impl DrillArguments {
    /// The longest silence that is promised for this fault, in milliseconds.
    fn promise_ms(&self, fault: Fault) -> f64 {
        let promise_ms = fault.promise_ms();
        let many =
            self.calls_in_state >= MANY_CALLS && matches!(fault, Fault::Kill | Fault::Double | Fault::UpgradeKill);
        self.slack * if many { promise_ms.max(MANY_CALLS_MS) } else { promise_ms }
    }

    /// How long this fault is asked to last; `None` when that is the fault's own matter.
    fn lasts(&self, fault: Fault) -> Option<Duration> {
        match fault {
            Fault::Flood => Some(Duration::from_secs(self.flood_seconds)),
            Fault::Loss => self.loss_seconds.map(Duration::from_secs),
            _ => None,
        }
    }

    /// The faults that are to be committed; `is_user` when this is not the real root.
    fn faults(&self, is_user: bool) -> Vec<Fault> {
        let possible = |fault: &Fault| !is_user || !fault.needs_root() || self.fault != Fault::All;
        self.fault.list().into_iter().filter(possible).collect()
    }

    fn binary(&self) -> Result<PathBuf, LabError> {
        match &self.binary {
            Some(binary) => Ok(binary.clone()),
            None => std::env::current_exe().map_err(LabError::io("finding this program")),
        }
    }

    fn check(&self, is_user: bool) -> Result<(), LabError> {
        let faults = self.faults(is_user);
        let phones = faults.iter().map(|fault| Counts::new(self, fault.ground()).phones()).max();
        if self.calls == 0 || phones.is_some_and(|phones| phones > PHONES_MAX) {
            return Err(LabError::Arguments(format!(
                "the drill needs at least one talking call and at most {PHONES_MAX} phones"
            )));
        }
        if self.lossy_links > self.links {
            let text = format!("--lossy-links {} needs --links {}", self.lossy_links, self.lossy_links);
            return Err(LabError::Arguments(text));
        }
        if self.beside.is_some() && is_user {
            return Err(LabError::Arguments("--beside makes a system to change into and needs root".to_owned()));
        }
        match faults.iter().find(|fault| is_user && fault.needs_root()) {
            Some(fault) => Err(LabError::Arguments(format!("--fault {} mounts disks and needs root", fault.name()))),
            None => Ok(()),
        }
    }
}

fn slack(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(slack) if slack >= 1.0 && slack.is_finite() => Ok(slack),
        _ => Err("a number from 1 on".to_owned()),
    }
}

/// Runs the drill. The exit code is 0 when every promise was kept, 1 when one was broken, and 2 when the drill itself
/// could not be run. Call it before any thread is started.
pub fn main(arguments: DrillArguments) -> ExitCode {
    let display = Display::new(arguments.json);
    match rootless::become_root_of_own().and_then(|is_user| run(&arguments, &display, is_user)) {
        Ok(report) => {
            display.report(&report);
            if report.passed() { ExitCode::SUCCESS } else { ExitCode::from(1) }
        }
        Err(error) => {
            eprintln!("tandem drill: {}", error.chain());
            ExitCode::from(2)
        }
    }
}

/// `is_user` when this is root of a user namespace only.
fn run(arguments: &DrillArguments, display: &Display, is_user: bool) -> Result<Report, LabError> {
    arguments.check(is_user)?;
    crate::netns::clean_up_on_signals();
    display.introduction(arguments, is_user);
    let calls = Counts::new(arguments, arguments.fault.ground());
    let mut report = Report { slack: arguments.slack, calls, faults: Vec::new() };
    let mut scene: Option<Scene> = None;
    let rival = arguments.beside.map(|_| Root::ready(&arguments.binary()?, arguments.json)).transpose()?;
    for fault in arguments.faults(is_user) {
        let (mut results, mut theirs) = (Vec::new(), Vec::new());
        for number in 1..=arguments.trials {
            display.trial(fault, number, arguments.trials);
            results.push(one_trial(arguments, display, fault, &mut scene)?);
            if let Some(root) = rival.as_ref().filter(|_| beside::is_compared(fault)) {
                // Two assemblies at a time would hear each other's load.
                scene = None;
                theirs.extend(beside::trial(fault, arguments, root, display)?);
            }
        }
        let comparison = Comparison::new(fault, &theirs);
        report
            .faults
            .push(FaultReport { comparison, ..FaultReport::new(fault, arguments.promise_ms(fault), &results) });
    }
    Ok(report)
}

/// One trial, on the scene of the trial before when that one left it well and it fits.
fn one_trial(
    arguments: &DrillArguments,
    display: &Display,
    fault: Fault,
    scene: &mut Option<Scene>,
) -> Result<TrialResult, LabError> {
    let stage = Stage::of(fault, arguments);
    if scene.as_ref().is_some_and(|scene| scene.stage() != stage) {
        *scene = None;
    }
    let mut current = match scene.take() {
        Some(scene) => scene,
        // What the machine lacks is told at once; what the product does wrong belongs to the trial.
        None => {
            let scene = Scene::build(arguments, stage)?;
            if arguments.keep {
                display.files(scene.directory());
                scene.keep_files()
            } else {
                scene
            }
        }
    };
    let result = trial::run(&mut current, fault, arguments, display);
    let result = result.unwrap_or_else(|error| TrialResult::broken(error.chain()));
    display.result(&result);
    if result.is_clean() {
        *scene = Some(current).filter(|_| stage.may_be_used_again());
    } else {
        let kept = current.keep_files();
        display.nodes_at_failure(&kept);
    }
    Ok(result)
}

#[cfg(test)]
mod tests;
