//! The one binary: the command line, and the wiring of the rooms.

mod commands;
mod config;
mod daemon;
mod doctor;
mod generate;
mod logging;
mod pair;
mod records;
mod serve;
mod setup;
mod witness;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use miette::MietteHandlerOpts;

/// An IP PBX that outlives its servers
///
/// Two machines, one service address: when either machine dies, the registrations, the calls and their audio go on at
/// the other one. Start with `tandem drill`, which shows it on this machine.
#[derive(Parser)]
#[command(name = "tandem", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[command(flatten)]
    Operate(admin::cli::Command),
    /// Show on this machine that calls survive: a pair, phones, and one fault after another
    ///
    /// Builds hosts in network namespaces, starts two nodes and phones on them, commits faults, and tells what the
    /// phones heard. Needs Linux, and touches nothing outside the namespaces that it makes; without root it makes a user
    /// namespace as well. The exit code is the promise: 0 when every bound was kept.
    Drill(lab::DrillArguments),
    /// Write man pages and shell completions; for packages
    #[command(hide = true)]
    Generate(generate::GenerateArguments),
}

fn main() -> ExitCode {
    // Paths, and places as `file:line`, stay whole, so that they can be copied and found.
    // It is refused only when there is a hook already, and then errors look a little different.
    let _ = miette::set_hook(Box::new(|_| Box::new(MietteHandlerOpts::new().wrap_lines(false).build())));
    match Arguments::parse().command {
        Command::Drill(arguments) => lab::main(arguments),
        Command::Generate(arguments) => {
            commands::to_exit_code(generate::run(&Arguments::command(), &arguments).map(|()| true))
        }
        Command::Operate(command) => commands::run(&command),
    }
}
