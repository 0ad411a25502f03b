//! The drill: builds a pair and phones, commits one fault after another, and tells what the phones saw. Its exit code
//! is the promise (design, section 1).

mod calls;
mod checks;
mod display;
mod fault;
mod flood;
mod records;
mod report;
mod scene;
mod slow_disk;
mod statistics;
mod storm;
mod strike;
mod trial;
mod upgrade;

use std::path::PathBuf;
use std::process::ExitCode;

pub use fault::Fault;

use crate::LabError;
use display::Display;
use fault::Ground;
use report::{FaultReport, Report};
use scene::Scene;
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
    /// How often the fault is committed to the same calls within one trial, back and forth between the nodes. The
    /// questions about holding, hanging up and the like come after the last one.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
    /// How long a flood lasts.
    #[arg(long, default_value_t = 60)]
    pub flood_seconds: u64,
    /// For the fault `upgrade`: what both nodes run before it, such as the program of the release before; the present
    /// one when it is not given.
    #[arg(long, value_name = "PROGRAM")]
    pub previous: Option<PathBuf>,
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

/// Phones that fit into the drill's network.
const PHONES_MAX: u32 = 220;

fn slack(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(slack) if slack >= 1.0 && slack.is_finite() => Ok(slack),
        _ => Err("a number from 1 on".to_owned()),
    }
}

/// Runs the drill. The exit code is 0 when every promise was kept, 1 when one was broken, and 2 when the drill itself
/// could not be run. Call it before any thread is started.
pub fn main(arguments: DrillArguments) -> ExitCode {
    crate::netns::clean_up_on_signals();
    let display = Display::new(arguments.json);
    match run(&arguments, &display) {
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

fn run(arguments: &DrillArguments, display: &Display) -> Result<Report, LabError> {
    if arguments.calls == 0 || phone_count(arguments, Ground::Halves) > PHONES_MAX {
        return Err(LabError::Io {
            operation: format!("the drill needs at least one talking call and at most {PHONES_MAX} phones"),
            source: std::io::ErrorKind::InvalidInput.into(),
        });
    }
    display.introduction(arguments);
    let mut report = Report { slack: arguments.slack, faults: Vec::new() };
    let mut scene: Option<Scene> = None;
    for fault in arguments.fault.list() {
        let mut results = Vec::new();
        for number in 1..=arguments.trials {
            display.trial(fault, number, arguments.trials);
            results.push(one_trial(arguments, display, fault, &mut scene)?);
        }
        report.faults.push(FaultReport::new(fault, arguments.slack, &results));
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
    if scene.as_ref().is_some_and(|scene| scene.ground() != fault.ground()) {
        *scene = None;
    }
    let mut current = match scene.take() {
        Some(scene) => scene,
        // What the machine lacks is told at once; what the product does wrong belongs to the trial.
        None => {
            let scene = Scene::build(arguments, fault.ground())?;
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
        *scene = Some(current).filter(|scene| scene.ground() != Ground::Previous);
    } else {
        let kept = current.keep_files();
        display.nodes_at_failure(&kept);
    }
    Ok(result)
}

const fn phone_count(arguments: &DrillArguments, ground: Ground) -> u32 {
    let apart = if matches!(ground, Ground::Halves | Ground::Previous) { calls::APART } else { 0 };
    arguments
        .calls
        .saturating_add(arguments.held)
        .saturating_add(arguments.ringing)
        .saturating_add(apart)
        .saturating_mul(2)
}

#[cfg(test)]
mod tests;
