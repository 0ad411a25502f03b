//! The serving node dies before and after every single action of each reference call, in each way of dying.
//!
//! Without optimisation only some of the crash points are tried, so that the tests of the whole workspace stay short.

use sim::apart;
use sim::edit::{self, Trial};
use sim::exhaustive::{self, Death, Report};
use sim::reference::{self, Reference};
use sim::world::CrashPoint;

/// Every how many crash points one is tried.
const STRIDE: usize = if cfg!(debug_assertions) { 12 } else { 1 };

fn every_action(death: Death) {
    for call in reference::ALL {
        clean(call, death, 1);
    }
}

fn clean(call: Reference, death: Death, seed: u64) {
    let report = exhaustive::run_all(call, death, seed, threads(), STRIDE);
    assert_clean(call.name(), &report, |crash| exhaustive::again(call, death, seed, crash));
}

/// `again` is the command that repeats a run.
fn assert_clean(name: &str, report: &Report, again: impl Fn(Option<CrashPoint>) -> String) {
    assert!(report.actions > 5, "{name} has only {} actions", report.actions);
    if let Some(outcome) = report.failed.first() {
        panic!(
            "{} of {} runs of {name} failed, the first at {:?}: {:?}\nagain: {}",
            report.failed.len(),
            report.runs,
            outcome.crash,
            outcome.failure.as_ref().map(ToString::to_string),
            again(outcome.crash),
        );
    }
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(2, std::num::NonZero::get)
}

#[test]
fn killed_at_every_action() {
    every_action(Death::Kill);
}

#[test]
fn without_power_at_every_action() {
    every_action(Death::Power);
}

#[test]
fn cut_off_at_every_action() {
    every_action(Death::Cut);
}

#[test]
fn cut_off_for_long_at_every_action() {
    every_action(Death::LongCut);
}

#[test]
fn killed_alone_at_every_action() {
    every_action(Death::Alone);
}

/// A split is one long call for both nodes: of its places fewer are tried.
const SPLIT_STRIDE: usize = if cfg!(debug_assertions) { 60 } else { 4 };

#[test]
fn killed_before_a_split_is_merged() {
    for victim in 0..2 {
        let report = apart::run_all(victim, 1, threads(), SPLIT_STRIDE);
        assert_clean(&format!("node {victim}"), &report, |crash| apart::again(victim, 1, crash));
    }
}

/// What is set up at that very moment may be lost with the disks' last writes: of the reference calls those are played
/// whose calls are up.
#[test]
fn both_without_power_at_every_action() {
    for call in [Reference::CallerHangsUp, Reference::CalleeHangsUp, Reference::Held, Reference::RegisterRefresh] {
        for seed in 1..=2 {
            clean(call, Death::BothPower, seed);
        }
    }
}

/// A change of the configuration is short; of its places as many are tried as of a reference call.
#[test]
fn killed_amid_a_change_of_the_configuration() {
    for change in edit::ALL {
        for (death, standby_dies) in
            [(Death::Kill, false), (Death::Kill, true), (Death::Power, false), (Death::Power, true)]
        {
            let trial = Trial { change, death, standby_dies, seed: 2 };
            let report = trial.run_all(threads(), STRIDE);
            assert_clean(change.name(), &report, |crash| trial.again(crash));
        }
    }
}
