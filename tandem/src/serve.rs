//! `tandem serve`: the parent process, and the daemon that it starts from this same program.

use std::os::unix::fs::DirBuilderExt;
use std::process::ExitCode;

use admin::cli::ServeArguments;
use miette::{IntoDiagnostic, Report, Result, WrapErr};
use net::parent::{CHANNEL_VARIABLE, Parent};

use crate::setup::Setup;
use crate::{daemon, logging};

/// What cannot be started at all: the parent does not try again.
const NOT_STARTABLE: u8 = 2;

/// Above everything of the node: it must notice that the daemon is stuck.
const PARENT_PRIORITY: u8 = 30;

pub fn run(arguments: &ServeArguments) -> ExitCode {
    let is_daemon = std::env::var_os(CHANNEL_VARIABLE).is_some();
    let setup = match arguments.to_config().map_err(Report::new).and_then(|config| Setup::new(&config)) {
        Ok(setup) => setup,
        Err(error) => return failed(&error, NOT_STARTABLE),
    };
    let code = if is_daemon { serve_daemon(arguments, &setup) } else { serve_parent(&setup) };
    code.unwrap_or_else(|error| failed(&error, 1))
}

fn serve_daemon(arguments: &ServeArguments, setup: &Setup) -> Result<ExitCode> {
    logging::start(arguments.json).into_diagnostic()?;
    lock_memory();
    match daemon::run(setup) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        // Before the loop runs it is the configuration or the machine that is wrong, and trying again does not help.
        Err(error) => Ok(failed(&error, NOT_STARTABLE)),
    }
}

fn serve_parent(setup: &Setup) -> Result<ExitCode> {
    // Call records and the journal are nobody else's business.
    let state_dir = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&setup.state_dir);
    state_dir.into_diagnostic().wrap_err_with(|| format!("create {}", setup.state_dir.display()))?;
    lock_memory();
    let arguments = std::env::args_os().skip(1).collect();
    net::realtime::become_realtime(PARENT_PRIORITY);
    Parent::run(setup.parent_config(arguments)).into_diagnostic().map(ExitCode::from)
}

/// A page fault that waits for a busy disk would stop the heartbeats.
fn lock_memory() {
    if let Err(error) = net::realtime::lock_memory() {
        tracing::warn!(%error, "memory cannot be locked; a busy disk may stall us");
    }
}

fn failed(error: &Report, code: u8) -> ExitCode {
    eprintln!("{error:?}");
    ExitCode::from(code)
}
