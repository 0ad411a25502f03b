//! Owns the operator's programs that act: the one that is told each change of role, and the one that fences the peer.
//!
//! Each has a thread of its own and runs one after another, so that their order is that of what happened; the node
//! waits for neither.

use std::io;
use std::process::Command;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use node::cluster::output::Fence;

use crate::config::FencingProgram;
use crate::events::{Teller, Telling};
use crate::program::{run, shell};

#[cfg(test)]
mod tests;

/// Changes of role that wait for the program. They are minutes apart; where so many wait, the program hangs, and what
/// comes then is dropped and told as an event.
const WAITING_MAX: usize = 64;

/// How long the program may take for one change.
const ROLE_LIMIT: Duration = Duration::from_secs(60);

/// A change of role, as the program is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleChange {
    /// `active` or `standby`.
    pub role: &'static str,
    pub epoch: String,
    pub cause: String,
}

/// The way to the program that is told of roles.
#[derive(Clone, Debug)]
pub struct RoleHook {
    queue: SyncSender<RoleChange>,
    teller: Teller,
}

impl RoleHook {
    /// `address` is the service address; empty where there is none.
    pub fn start(line: &str, node: &str, address: &str, teller: Teller) -> io::Result<Self> {
        let (queue, waiting) = sync_channel::<RoleChange>(WAITING_MAX);
        let (line, node, address, told) = (line.to_owned(), node.to_owned(), address.to_owned(), teller.clone());
        let serve = move || {
            for change in waiting {
                let mut command = shell(&format!("{line} \"$@\""));
                command.args(["sh", change.role, &change.epoch]);
                command.env("TANDEM_ROLE", change.role).env("TANDEM_EPOCH", &change.epoch);
                command.env("TANDEM_CAUSE", &change.cause).env("TANDEM_NODE", &node);
                command.env("TANDEM_ADDRESS", &address);
                if let Err(reason) = run(&mut command, &[], ROLE_LIMIT) {
                    let text = format!("the program for the role {} did not do its work: {reason}", change.role);
                    told.tell(Telling::new("hook", text).with("role", change.role));
                }
            }
        };
        thread::Builder::new().name("role hook".into()).spawn(serve)?;
        Ok(Self { queue, teller })
    }

    /// Returns at once.
    pub fn changed(&self, change: RoleChange) {
        if self.queue.try_send(change).is_err() {
            self.teller
                .tell(Telling::new("hook", "too many changes of role wait for their program; this one is left out"));
        }
    }
}

/// The way to the program that fences the peer.
#[derive(Clone, Debug)]
pub struct Fencer {
    queue: SyncSender<Fence>,
}

impl Fencer {
    /// `done` hears of each fencing's end: its number, and whether it did what it should.
    pub fn start(
        program: &FencingProgram,
        node: &str,
        teller: Teller,
        done: impl Fn(u64, bool) + Send + 'static,
    ) -> io::Result<Self> {
        let (queue, waiting) = sync_channel::<Fence>(1);
        let (program, node) = (program.clone(), node.to_owned());
        let serve = move || {
            for fence in waiting {
                teller.tell(Telling::new("fencing", format!("fencing the peer: {}", fence.cause)));
                let result = run(&mut fencing_command(&program, &node, &fence), &[], program.timeout);
                done(fence.number, result.is_ok());
                let text = match &result {
                    Ok(()) => "the peer is fenced".to_owned(),
                    Err(reason) => format!("the peer could not be fenced: {reason}"),
                };
                teller.tell(Telling::new("fencing", text).with("done", result.is_ok()));
            }
        };
        thread::Builder::new().name("fencing".into()).spawn(serve)?;
        Ok(Self { queue })
    }

    /// Returns at once. False when the program still runs for the fencing before.
    pub fn fence(&self, fence: Fence) -> bool {
        self.queue.try_send(fence).is_ok()
    }
}

fn fencing_command(program: &FencingProgram, node: &str, fence: &Fence) -> Command {
    let mut command = shell(&program.program);
    command.env("TANDEM_NODE", node).env("TANDEM_PEER", &fence.peer);
    command.env("TANDEM_EPOCH", fence.epoch.to_string()).env("TANDEM_CAUSE", fence.cause);
    command
}
