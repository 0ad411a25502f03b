//! The commands of an operator, and their exit codes: 0 done, 1 refused or failed, 2 not startable.

use std::io::{IsTerminal, Write, stdout};
use std::process::ExitCode;
use std::time::Duration;

use admin::cli::{Command, KeyArguments, StatusArguments};
use admin::{OperateError, check, operate};
use miette::{IntoDiagnostic, Report, Result};
use net::clock::wall_now;
use net::key::PairKey;
use node::Operator;

use crate::{config, doctor, pair, records, serve, witness};

pub fn run(command: &Command) -> ExitCode {
    let mut out = stdout().lock();
    let colours = admin::human::colours_wanted();
    let done = match command {
        Command::Serve(arguments) => {
            drop(out);
            return serve::run(arguments);
        }
        Command::Witness(arguments) => {
            drop(out);
            return witness::run(arguments);
        }
        Command::Init(arguments) => pair::init(arguments, &mut out).map(|()| true),
        Command::Join(arguments) => pair::join(arguments, &mut out).map(|()| true),
        Command::Invite(arguments) => pair::invite(arguments, &mut out).map(|()| true),
        Command::Key(arguments) => key(arguments, &mut out).map(|()| true),
        Command::Check(arguments) => check::run(arguments, &mut out).map_err(report),
        Command::Doctor(arguments) => admin::doctor::run(arguments, doctor::probe, colours, &mut out).map_err(report),
        Command::Status(StatusArguments { node, watch: true, .. }) => {
            let terminal = stdout().is_terminal();
            admin::watch::run(node, colours, terminal, &mut out).map(|()| true).map_err(report)
        }
        Command::Status(StatusArguments { node, until_protected: Some(seconds), .. }) => {
            let limit = Duration::from_secs(*seconds);
            admin::wait::until_protected(node, limit, colours, &mut out).map_err(report)
        }
        Command::Status(StatusArguments { node, .. }) => {
            operate::run(Operator::Status, node, colours, &mut out).map_err(report)
        }
        Command::Events(arguments) => {
            admin::events::list::run(arguments, wall_now(), &mut out).map(|()| true).map_err(report)
        }
        Command::Phones(arguments) => operate::run(Operator::Phones, arguments, colours, &mut out).map_err(report),
        Command::Calls(arguments) => operate::run(Operator::Calls, arguments, colours, &mut out).map_err(report),
        Command::Switchover(arguments) => {
            operate::run(Operator::SwitchOver, arguments, colours, &mut out).map_err(report)
        }
        Command::Drain(arguments) => admin::wait::drain(arguments, colours, &mut out).map_err(report),
        Command::Reload(arguments) => operate::run(Operator::Reload, arguments, colours, &mut out).map_err(report),
        Command::Config(command) => config::run(command, colours, &mut out),
        Command::Cdr(arguments) => records::run(arguments, colours, &mut out).map(|()| true),
    };
    to_exit_code(done)
}

/// `false` is a refusal that has been told already.
pub fn to_exit_code(done: Result<bool>) -> ExitCode {
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(report) => {
            if !is_closed_output(&report) {
                eprintln!("{report:?}");
            }
            ExitCode::FAILURE
        }
    }
}

/// Whoever read the output has seen enough and closed it (`tandem phones | head`): no reason to complain.
fn is_closed_output(report: &Report) -> bool {
    let broken = |error: &std::io::Error| error.kind() == std::io::ErrorKind::BrokenPipe;
    report.chain().any(|error| error.downcast_ref().is_some_and(broken))
}

/// An error of the configuration file is shown with its lines.
pub fn report(error: OperateError) -> Report {
    match error {
        OperateError::Config(error) => Report::new(*error),
        other => Err::<(), _>(other).into_diagnostic().err().unwrap_or_else(|| miette::miette!("unknown")),
    }
}

fn key(arguments: &KeyArguments, out: &mut impl Write) -> Result<()> {
    let told = match &arguments.witness_of {
        Some(pair) => {
            PairKey::read(pair).into_diagnostic()?.witness_key().write(&arguments.file).into_diagnostic()?;
            "the witness's key. Move it to the third machine, for `tandem witness --key`."
        }
        None => {
            PairKey::generate().into_diagnostic()?.write(&arguments.file).into_diagnostic()?;
            "a new key. Copy it to the other machine, and name it as key_file on both."
        }
    };
    let file = arguments.file.display().to_string();
    if arguments.json {
        writeln!(out, "{}", serde_json::json!({ "file": file })).into_diagnostic()
    } else {
        writeln!(out, "{file}: {told}").into_diagnostic()
    }
}
