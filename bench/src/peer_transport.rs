//! How long from a commit's send to the peer application's acknowledgement, over each transport side by side.
//!
//! Each transport has a pair of processes on two hosts of their own network. All pairs run at the same time, so that
//! whatever else the machine does meets them alike. Read `course` (what is sent and measured), then `wire` (the loop
//! of an end) with `ours`, `tcp` and `quic`, then `scene` (the hosts and processes) and `report`.

mod course;
mod end;
mod ours;
mod quic;
mod report;
mod scene;
mod tcp;
mod wire;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use miette::{IntoDiagnostic, Result};
use serde::{Deserialize, Serialize};

/// Measures what carries the replicated log against its alternatives. Needs Linux, root, `ip` and `nft`.
#[derive(Debug, Parser)]
#[command(name = "peer-transport")]
pub struct Arguments {
    /// How long each case sends
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// Percent of the packets lost each way, a case for each
    #[arg(long, value_delimiter = ',', default_value = "0,1,5")]
    losses: Vec<u32>,
    /// Commits per second, a case for each
    #[arg(long, value_delimiter = ',', default_value = "500,2000")]
    rates: Vec<u32>,
    /// Measure these alone
    #[arg(long, value_delimiter = ',')]
    only: Vec<Transport>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum Command {
    /// One end of one transport, started by the measurement itself
    #[command(hide = true)]
    End,
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
pub enum Transport {
    /// TCP with TCP_NODELAY and otherwise as it comes.
    Tcp,
    /// The same over a route with `rto_min 5ms`.
    TcpLowRto,
    /// QUIC by quinn, which asks its peer to acknowledge every packet within a millisecond.
    Quic,
    /// Our stream in our link.
    Tandem,
    /// The same with each datagram on two links whose losses are independent.
    TandemTwoLinks,
}

impl Transport {
    const ALL: [Self; 5] = [Self::Tcp, Self::TcpLowRto, Self::Quic, Self::Tandem, Self::TandemTwoLinks];

    fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::TcpLowRto => "TCP, rto_min 5 ms",
            Self::Quic => "QUIC",
            Self::Tandem => "ours",
            Self::TandemTwoLinks => "ours, two links",
        }
    }
}

/// One line of circumstances under which all transports are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Case {
    loss_percent: u32,
    commits_per_second: u32,
    seconds: u32,
}

/// Runs what the arguments ask for. The exit code is 1 when a commit was never acknowledged.
pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    if let Some(Command::End) = arguments.command {
        return end::run().map(|()| ExitCode::SUCCESS);
    }
    lab::netns::clean_up_on_signals();
    let transports = if arguments.only.is_empty() { &Transport::ALL[..] } else { &arguments.only };
    let mut complete = true;
    for &loss_percent in &arguments.losses {
        for &commits_per_second in &arguments.rates {
            let case = Case { loss_percent, commits_per_second, seconds: arguments.seconds };
            let results = scene::measure(case, transports)?;
            complete &= results.iter().all(|result| result.unacknowledged == 0);
            report::print(&mut std::io::stdout().lock(), case, &results).into_diagnostic()?;
        }
    }
    Ok(if complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
