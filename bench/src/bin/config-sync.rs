//! `config-sync`: how long from saving a configuration file until both machines have it.

use clap::Parser;
use miette::Result;
use tandem_bench::config_sync::{self, Arguments};

fn main() -> Result<()> {
    config_sync::run(&Arguments::parse())
}
