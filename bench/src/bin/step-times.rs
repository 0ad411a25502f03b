//! `step-times`: how long the node takes for one event, with a large site in state and whatever befalls a pair.

use clap::Parser;
use miette::Result;
use tandem_bench::step_times::{self, Arguments};

fn main() -> Result<()> {
    step_times::run(&Arguments::parse())
}
