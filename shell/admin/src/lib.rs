//! Configuration file, command line and the operator's socket: everything between a person and a node.
//!
//! `config` is what `tandem serve` runs with, `cli` what can be typed, `socket` the way to a running node, `operate`
//! and `check` the commands that need nothing else, `pairing` what makes a pair of two machines, `versions`
//! those of the PBX's files, `human` and `cdr` how
//! answers are printed.

pub mod alarm;
pub mod alone;
pub mod cdr;
pub mod check;
pub mod cli;
pub mod config;
pub mod doctor;
pub mod events;
pub mod hooks;
pub mod human;
pub mod machine;
pub mod metrics;
pub mod operate;
pub mod pairing;
mod program;
pub mod socket;
pub mod status;
pub mod time;
pub mod versions;
pub mod wait;
pub mod watch;

pub use check::read_files;
pub use config::{Config, ConfigError};
pub use operate::OperateError;
pub use status::NodeStatus;
