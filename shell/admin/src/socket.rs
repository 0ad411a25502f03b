//! The operator's socket: one JSON line asks, one JSON line answers, over `control.sock` in the node's state directory.
//!
//! Only the node's own user (and root) may open it, so it needs no passwords. `server` is the node's side, `client` the
//! side of the command line, `line` what passes between them.

use std::path::{Path, PathBuf};

mod client;
mod line;
mod server;
#[cfg(test)]
mod tests;

pub use client::{ASK_SECONDS_MAX, AskError, ask, patience};
pub use server::{CONNECTIONS_MAX, ServeError, serve};

/// Where the socket of a node is that keeps its state in `state_dir`.
pub fn path_in(state_dir: &Path) -> PathBuf {
    state_dir.join("control.sock")
}
