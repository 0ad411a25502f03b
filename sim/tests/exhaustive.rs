//! The serving node dies before and after every single action of each reference call, in each way of dying.
//!
//! Without optimisation only some of the crash points are tried, so that the tests of the whole workspace stay short.

use sim::exhaustive::{self, Death};
use sim::reference;

/// Every how many crash points one is tried.
const STRIDE: usize = if cfg!(debug_assertions) { 12 } else { 1 };

fn every_action(death: Death) {
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    for call in reference::ALL {
        let report = exhaustive::run_all(call, death, 1, threads, STRIDE);
        assert!(report.actions > 5, "{} has only {} actions", call.name(), report.actions);
        if let Some(outcome) = report.failed.first() {
            panic!(
                "{} of {} runs of {} failed, the first at {:?}: {:?}\nagain: {}",
                report.failed.len(),
                report.runs,
                call.name(),
                outcome.crash,
                outcome.failure.as_ref().map(ToString::to_string),
                exhaustive::again(call, death, 1, outcome.crash),
            );
        }
    }
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
