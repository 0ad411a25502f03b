//! Measurements that decisions rest on: each compares what we have with its alternatives in one run.
//!
//! `peer_transport` measures what carries the replicated log (docs/decisions/0001-peer-transport.md), `config_sync` how
//! soon an edit of the configuration is on both machines, `step_times` how long the node takes for one event.

pub mod config_sync;
pub mod latency;
pub mod peer_transport;
pub mod step_times;
