//! The drill on a program of your choice: `cargo run -p tandem-lab --example drill -- --binary PATH`.

use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    drill: tandem_lab::DrillArguments,
}

fn main() -> ExitCode {
    tandem_lab::main(Arguments::parse().drill)
}
