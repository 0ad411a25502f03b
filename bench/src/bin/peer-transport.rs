//! `peer-transport`: how long a commit takes over each transport, with and without packet loss.

use std::process::ExitCode;

use clap::Parser;
use miette::Result;
use tandem_bench::peer_transport::{self, Arguments};

fn main() -> Result<ExitCode> {
    peer_transport::run(&Arguments::parse())
}
