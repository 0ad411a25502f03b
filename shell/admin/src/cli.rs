//! Owns what can be typed: commands, their flags and their help.
//!
//! The program's own `Command` flattens this one (`#[command(flatten)]`) and adds what other rooms bring.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use node::cluster::Drain;

use crate::config::{self as settings, Config, ConfigError, PATH_DEFAULT, Records};
use crate::time::Since;

mod config;
mod pair;

pub use config::{
    ConfigCommand, DiffArguments, EditArguments, HistoryArguments, ResolveArguments, RollbackArguments, ShowArguments,
};
pub use pair::{
    FailbackChoice, FileArguments, InitArguments, InviteArguments, JoinArguments, LinkAddresses, PORT_DEFAULT,
};

/// What fits a terminal.
const EVENTS_SHOWN: usize = 50;

/// A node starts and learns everything within seconds; a minute is for the slowest machine.
const UNTIL_PROTECTED_SECONDS: &str = "60";

#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Make this machine the first of a pair: configuration, key, example phones
    ///
    /// Asks for what it must know when it runs on a terminal, or takes flags for everything. Prints the command that
    /// makes the other machine the second one. Nothing that is there is overwritten.
    Init(Box<InitArguments>),
    /// Make this machine the second of a pair, with the token that the first one printed
    ///
    /// Writes the same configuration with addresses exchanged. Nothing that is there is overwritten. The token holds
    /// the pair's secret key.
    Join(JoinArguments),
    /// Print the command for the second machine again, for instance when that machine is replaced
    Invite(InviteArguments),
    /// Run the PBX on this machine, alone or as one of a pair
    ///
    /// As one of a pair, everything is in a configuration file (--config). On one machine alone, Asterisk's files and a
    /// directory for the node's state are enough (--asterisk-dir and --state-dir). The command stays in the foreground
    /// and logs to standard error; SIGTERM hands over to the peer and ends it, SIGHUP loads the PBX's files again.
    Serve(ServeArguments),
    /// Run the witness of one or more pairs on this third machine
    ///
    /// While two nodes do not hear each other, it lets at most one of them serve. It needs no other file than the key
    /// that `tandem init --witness` or `tandem key --witness-of` makes for it, keeps nothing on disk, and may be
    /// restarted at any time. The command stays in the foreground and logs to standard error.
    Witness(WitnessArguments),
    /// Make the secret key that the two nodes of a pair share, or the one for its witness
    ///
    /// The file is made with mode 0600 and never overwritten. Copy it to the other machine over a safe way, such as
    /// ssh, and name it as key_file in both configuration files.
    Key(KeyArguments),
    /// Check configuration files without using them
    ///
    /// Tells every mistake and everything that has no effect, with file and line, and what the files amount to. Exits
    /// with 1 when there are errors, in which case a running node would refuse the files and keep those it has.
    Check(CheckArguments),
    /// Find what usually goes wrong with a pair before it does
    ///
    /// Looks at this machine, at the running node and, through it, at the peer: run it on both. Each line says ok,
    /// warning or problem, and what to do. Exits with 1 when there are problems. Run it as root to see everything.
    Doctor(DoctorArguments),
    /// Show whether the node is well, and whether its calls would survive its death
    Status(StatusArguments),
    /// List what has happened: role changes with their cause, takeovers step by step, protection lost and back
    ///
    /// The newest are kept across restarts, and are read from the state directory, so the node need not run. Times are
    /// in UTC. JSON is one object a line.
    Events(EventsArguments),
    /// List the phones that are registered
    Phones(NodeArguments),
    /// List the calls in progress
    Calls(NodeArguments),
    /// List the records of past calls
    ///
    /// They are read from the store that the configuration names, so the node need not run. The columns are those of
    /// Asterisk's call records, with an identity that is the same on both nodes. Times are in UTC.
    Cdr(Box<CdrArguments>),
    /// Let the other node take over, without losing anything
    ///
    /// Either node may be asked. Calls go on, phones notice nothing. It is refused while the pair is not protected.
    Switchover(NodeArguments),
    /// Take this node out of service, for instance for maintenance, or put it back
    ///
    /// A node that serves hands over to its peer first; calls go on, phones notice nothing. A drained node stands by, is
    /// not handed the role, and takes over only if the peer dies. So it stays, across restarts too, until `tandem drain
    /// --end`. A node without a peer lets its calls come to an end instead (--calls).
    Drain(DrainArguments),
    /// Load the PBX's files again after a change
    ///
    /// Calls in progress go on. Files with errors are refused, and the node keeps those it has. In a pair it is the same
    /// as `tandem config apply`: both nodes load them.
    Reload(NodeArguments),
    /// The PBX's files: their versions, which are the same on both nodes
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[derive(Clone, Debug, Args)]
pub struct ServeArguments {
    /// Configuration file of the node [default: /etc/tandem/tandem.toml]
    #[arg(long, value_name = "FILE", conflicts_with = "asterisk_dir")]
    pub config: Option<PathBuf>,
    /// Run on one machine alone, with the Asterisk files (sip.conf or pjsip.conf, extensions.conf) in this directory
    #[arg(long, value_name = "DIR", requires = "state_dir")]
    pub asterisk_dir: Option<PathBuf>,
    /// Where registrations, calls and call records are kept across a restart
    #[arg(long, value_name = "DIR", requires = "asterisk_dir")]
    pub state_dir: Option<PathBuf>,
    /// Listen for SIP here instead of where the files say, for example 192.0.2.10:5060
    #[arg(long, value_name = "ADDR:PORT", requires = "asterisk_dir")]
    pub listen: Option<SocketAddr>,
    /// Write the log as JSON, one object a line
    #[arg(long)]
    pub json: bool,
}

impl ServeArguments {
    /// What the node runs with.
    pub fn to_config(&self) -> Result<Config, ConfigError> {
        match (&self.asterisk_dir, &self.state_dir) {
            (Some(asterisk_dir), Some(state_dir)) => Config::alone(asterisk_dir, state_dir, self.listen),
            _ => Config::read(self.config.as_deref().unwrap_or(Path::new(PATH_DEFAULT))),
        }
    }
}

#[derive(Clone, Debug, Args)]
pub struct WitnessArguments {
    /// Where to listen (UDP), for example 0.0.0.0:7710
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: SocketAddr,
    /// The key of a pair's witness; may be repeated, one for each pair
    #[arg(long, value_name = "FILE", required = true)]
    pub key: Vec<PathBuf>,
    /// Write the log as JSON, one object a line
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Debug, Args)]
pub struct KeyArguments {
    /// The file to make
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Make the key for the witness of the pair whose key is in this file. The pair's key cannot be found from it
    #[arg(long, value_name = "PAIR_KEY")]
    pub witness_of: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Debug, Args)]
pub struct CheckArguments {
    /// Check this configuration file, and the PBX's files in the directory that it names
    #[arg(long, value_name = "FILE", conflicts_with = "asterisk_dir", default_value = PATH_DEFAULT)]
    pub config: PathBuf,
    /// Check only the PBX's files in this directory
    #[arg(long, value_name = "DIR")]
    pub asterisk_dir: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Debug, Args)]
pub struct DoctorArguments {
    /// Configuration file of the node
    #[arg(long, value_name = "FILE", default_value = PATH_DEFAULT)]
    pub config: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Which node is meant, and how its answer is printed.
#[derive(Clone, Debug, Args)]
pub struct NodeArguments {
    #[command(flatten)]
    pub target: Target,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Debug, Args)]
pub struct StatusArguments {
    #[command(flatten)]
    pub node: NodeArguments,
    /// Show it again each second, with what happened last, until the program is ended
    #[arg(long)]
    pub watch: bool,
    /// Wait until the pair is protected, at most so long; then show it. Exits with 1 when it is not
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        default_missing_value = UNTIL_PROTECTED_SECONDS,
        conflicts_with = "watch"
    )]
    pub until_protected: Option<u64>,
}

#[derive(Clone, Debug, Args)]
pub struct DrainArguments {
    #[command(flatten)]
    pub node: NodeArguments,
    /// Put the node back into service
    #[arg(long, conflicts_with_all = ["never", "calls", "wait"])]
    pub end: bool,
    /// Do not serve even if the peer dies: nobody would then
    #[arg(long, conflicts_with = "calls")]
    pub never: bool,
    /// Where nobody can take over: refuse new calls, and let those that there are come to an end
    #[arg(long)]
    pub calls: bool,
    /// Wait until the node serves nobody, and show what is left
    #[arg(long)]
    pub wait: bool,
}

impl DrainArguments {
    pub fn to_drain(&self) -> Drain {
        match (self.end, self.never, self.calls) {
            (true, ..) => Drain::Ended,
            (_, true, _) => Drain::Never,
            (.., true) => Drain::Calls,
            _ => Drain::Drained,
        }
    }
}

#[derive(Clone, Debug, Args)]
pub struct EventsArguments {
    #[command(flatten)]
    pub target: Target,
    /// Go on with what happens from now on
    #[arg(long)]
    pub follow: bool,
    /// Only since then: an age (90s, 15m, 2h, 7d) or a time in UTC (2026-01-31, "2026-01-31 13:45")
    #[arg(long, value_name = "WHEN")]
    pub since: Option<Since>,
    /// Only the newest so many
    #[arg(long, value_name = "COUNT", default_value_t = EVENTS_SHOWN)]
    pub limit: usize,
    /// Print JSON, one object a line
    #[arg(long)]
    pub json: bool,
}

/// Which node on this machine is meant.
#[derive(Clone, Debug, Args)]
pub struct Target {
    /// Configuration file of the node
    #[arg(long, value_name = "FILE", default_value = PATH_DEFAULT)]
    pub config: PathBuf,
    /// State directory of the node, for one that runs without a configuration file
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    pub state_dir: Option<PathBuf>,
}

impl Target {
    /// Where the node's call records are: its state directory, and the store that its configuration names.
    pub fn to_records(&self) -> Result<(PathBuf, Records), ConfigError> {
        match &self.state_dir {
            Some(state_dir) => Ok((state_dir.clone(), Records::Sqlite)),
            None => settings::records(&self.config),
        }
    }

    /// The node's state directory. Of a configuration file nothing else is looked at.
    pub fn to_state_dir(&self) -> Result<PathBuf, ConfigError> {
        match &self.state_dir {
            Some(state_dir) => Ok(state_dir.clone()),
            None => settings::state_dir(&self.config),
        }
    }
}

#[derive(Clone, Debug, Args)]
pub struct CdrArguments {
    #[command(flatten)]
    pub target: Target,
    /// Only calls that began since then: an age (90s, 15m, 2h, 7d) or a time in UTC (2026-01-31, "2026-01-31 13:45")
    #[arg(long, value_name = "WHEN")]
    pub since: Option<Since>,
    /// Only calls that began before then
    #[arg(long, value_name = "WHEN")]
    pub until: Option<Since>,
    /// Only the newest so many [default: all]
    #[arg(long, value_name = "COUNT", conflicts_with = "by")]
    pub limit: Option<u32>,
    /// Only calls from this number
    #[arg(long, value_name = "NUMBER")]
    pub src: Option<String>,
    /// Only calls to this number
    #[arg(long, value_name = "NUMBER")]
    pub dst: Option<String>,
    /// Only calls from or to this number
    #[arg(long, value_name = "NUMBER")]
    pub party: Option<String>,
    /// Only calls with this outcome
    #[arg(long, value_name = "OUTCOME", value_enum)]
    pub disposition: Option<CdrDisposition>,
    /// Only calls with this account code
    #[arg(long, value_name = "CODE")]
    pub account: Option<String>,
    /// Only calls that lasted at least so long, from the first ring to the end
    #[arg(long, value_name = "SECONDS")]
    pub seconds_min: Option<u64>,
    /// Go on with the calls that end from now on, one a line
    #[arg(long, conflicts_with = "by")]
    pub follow: bool,
    /// Count the calls instead of listing them; by extension, each call counts for both of its parties
    #[arg(long, value_enum)]
    pub by: Option<CdrBy>,
    /// How to print them
    #[arg(long, value_enum, default_value_t = CdrFormat::Human, conflicts_with = "json")]
    pub format: CdrFormat,
    /// The same as --format json
    #[arg(long)]
    pub json: bool,
}

impl CdrArguments {
    pub fn to_format(&self) -> CdrFormat {
        if self.json { CdrFormat::Json } else { self.format }
    }
}

/// Asterisk's outcomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CdrDisposition {
    Answered,
    NoAnswer,
    Busy,
    Failed,
    Congestion,
}

impl CdrDisposition {
    /// As it is in the store.
    pub fn text(self) -> &'static str {
        match self {
            Self::Answered => "ANSWERED",
            Self::NoAnswer => "NO ANSWER",
            Self::Busy => "BUSY",
            Self::Failed => "FAILED",
            Self::Congestion => "CONGESTION",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CdrBy {
    Day,
    Extension,
    Disposition,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CdrFormat {
    /// A table with the columns that matter most
    Human,
    /// A JSON array of objects with all columns
    Json,
    /// A line of column names, then a line for each call (RFC 4180)
    Csv,
}

#[cfg(test)]
mod tests;
