//! One end of one transport, as a process on a host of its own: told by a line on standard input what to do, it says
//! on standard output that it listens, or what it measured.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};

use miette::{IntoDiagnostic, Result, WrapErr, miette};
use net::realtime::become_realtime;
use serde::{Deserialize, Serialize};

use super::course::{ACKNOWLEDGEMENT_BYTES, COMMIT_BYTES, Outcome};
use super::ours::Ours;
use super::quic::{self, Identity};
use super::tcp::Tcp;
use super::{Transport, wire};

/// The real-time priority of both ends, that of the node's loop: what else the machine does is not to be measured.
pub const PRIORITY: u8 = 20;

/// What the receiver says when the sender may begin.
pub const LISTENING: &str = "listening";

/// Names of the two ends of our stream.
const LEADER: u64 = 1;
const FOLLOWER: u64 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    Leader,
    Follower,
}

/// What an end has to do. Only our own transport has more than one path, local and remote.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Task {
    pub transport: Transport,
    pub side: Side,
    pub paths: Vec<(SocketAddr, SocketAddr)>,
    pub commits_per_second: u32,
    pub seconds: u32,
    pub identity: Identity,
}

/// Does the task on standard input.
pub fn run() -> Result<()> {
    let mut line = String::new();
    io::stdin().read_line(&mut line).into_diagnostic().wrap_err("read the task")?;
    let task: Task = serde_json::from_str(&line).into_diagnostic().wrap_err("read the task")?;
    become_realtime(PRIORITY);
    match task.side {
        Side::Leader => {
            let outcome = serde_json::to_string(&lead(&task)?).into_diagnostic()?;
            writeln!(io::stdout(), "{outcome}").into_diagnostic()
        }
        Side::Follower => follow(&task),
    }
}

fn lead(task: &Task) -> Result<Outcome> {
    let (local, remote) = task.path()?;
    let (rate, seconds) = (task.commits_per_second, task.seconds);
    match task.transport {
        Transport::Tcp | Transport::TcpLowRto => {
            wire::lead(&mut Tcp::connect(local, remote, ACKNOWLEDGEMENT_BYTES)?, rate, seconds)
        }
        Transport::Quic => runtime()?.block_on(quic::lead(local, remote, &task.identity, rate, seconds)),
        Transport::Tandem | Transport::TandemTwoLinks => {
            wire::lead(&mut Ours::open(&task.paths, LEADER, FOLLOWER)?, rate, seconds)
        }
    }
}

fn follow(task: &Task) -> Result<()> {
    let (local, _) = task.path()?;
    match task.transport {
        Transport::Tcp | Transport::TcpLowRto => {
            let listener = TcpListener::bind(local).into_diagnostic().wrap_err("listen")?;
            say_listening()?;
            wire::follow(&mut Tcp::accept(&listener, COMMIT_BYTES)?)
        }
        Transport::Quic => runtime()?.block_on(quic::follow(local, &task.identity, say_listening)),
        Transport::Tandem | Transport::TandemTwoLinks => {
            let mut ours = Ours::open(&task.paths, FOLLOWER, LEADER)?;
            say_listening()?;
            wire::follow(&mut ours)
        }
    }
}

impl Task {
    fn path(&self) -> Result<(SocketAddr, SocketAddr)> {
        self.paths.first().copied().ok_or_else(|| miette!("the task has no addresses"))
    }
}

fn say_listening() -> Result<()> {
    writeln!(io::stdout(), "{LISTENING}").into_diagnostic()
}

/// Everything of one end in one thread, as in the node.
fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().into_diagnostic()
}
