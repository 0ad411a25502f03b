//! Owns what a node without a configuration file runs with: one machine, Asterisk's files, the machine's own addresses.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use base::NodeIndex;
use node::cluster::Failback;

use crate::config::{
    Config, ConfigError, PREEMPT_DELAY_DEFAULT, Records, Safeguards, Synchronization, Telling, WAIT_FOR_PEER_DEFAULT,
};

impl Config {
    /// What `tandem serve --asterisk-dir DIR --state-dir DIR [--listen ADDR:PORT]` runs with: no peer, and no address
    /// that comes and goes. The node has the machine's name.
    pub fn alone(asterisk_dir: &Path, state_dir: &Path, listen: Option<SocketAddr>) -> Result<Self, ConfigError> {
        Ok(Self {
            name: crate::machine::name(),
            index: NodeIndex(0),
            state_dir: absolute(state_dir)?,
            pbx_dir: absolute(asterisk_dir)?,
            failback: Failback::Manual,
            preempt_delay: PREEMPT_DELAY_DEFAULT,
            wait_for_peer: WAIT_FOR_PEER_DEFAULT,
            service: None,
            vrrp: None,
            tracks: Vec::new(),
            peer: None,
            listen,
            telling: Telling::default(),
            synchronization: Synchronization::default(),
            safeguards: Safeguards::default(),
            records: Records::default(),
        })
    }
}

fn absolute(path: &Path) -> Result<PathBuf, ConfigError> {
    std::path::absolute(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })
}
