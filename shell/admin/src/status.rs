//! Owns a node's status as the shell tells it: what the node says of itself, and which processes it is.

use node::{Answer, Status};
use serde::{Deserialize, Serialize};

/// `tandem status --json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeStatus {
    #[serde(flatten)]
    pub status: Status,
    /// The daemon.
    pub pid: u32,
    /// The process that owns the address and starts the daemon again.
    pub parent_pid: u32,
}

/// An answer, and which processes gave it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    pub answer: Answer,
    pub pid: u32,
    pub parent_pid: u32,
}

impl Answered {
    /// An answer of this process.
    pub fn here(answer: Answer) -> Self {
        let parent = nix::unistd::getppid().as_raw();
        Self { answer, pid: std::process::id(), parent_pid: u32::try_from(parent).unwrap_or(0) }
    }
}
