//! The parent process: it starts and watches the daemon, and owns the service address and the sockets.
//!
//! `decide` makes every decision, `driver` carries them out, `child` is the daemon's process, `held` the sockets it
//! leaves to its next life, `daemon_side` the daemon's end of the channel, `systemd` what the service manager is told.

use std::ffi::OsString;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use thiserror::Error;

use crate::channel::ChannelError;
use crate::key::PairKey;
use crate::netlink::NetlinkError;

mod child;
pub mod daemon_side;
pub mod decide;
mod driver;
mod held;
pub mod message;
mod service;
mod systemd;

pub use daemon_side::{Inheritance, ParentHandle, ParentHandleError};
pub use message::{FromParent, HeldSocket};

/// The environment variable that tells the daemon the number of its end of the channel.
pub const CHANNEL_VARIABLE: &str = "TANDEM_PARENT_CHANNEL";

/// The address that moves between the nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAddress {
    pub interface: String,
    pub address: IpAddr,
}

/// A second Ethernet address for the virtual router's addresses (RFC 9568 section 7.3): a link that exists while the node
/// runs and is up while it serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualInterface {
    /// Service addresses name it as their interface.
    pub name: String,
    /// The interface that it is on.
    pub lower: String,
    pub hardware: [u8; 6],
}

/// One path to the peer, as configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkPath {
    pub local: SocketAddr,
    pub remote: SocketAddr,
}

#[derive(Clone, Debug)]
pub struct ParentConfig {
    /// What to start; `/proc/self/exe` is this very program.
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
    /// Held together or not at all; empty on a single machine without a service address.
    pub services: Vec<ServiceAddress>,
    pub virtual_interface: Option<VirtualInterface>,
    /// Where farewells go; empty without a peer.
    pub links: Vec<LinkPath>,
    /// Signs farewells; needed when there are links.
    pub key: Option<PairKey>,
}

#[derive(Debug, Error)]
pub enum ParentError {
    #[error("prepare signals")]
    Signals(#[source] io::Error),
    #[error("use rtnetlink")]
    Netlink(#[source] NetlinkError),
    #[error("another tandem on this machine serves {address}: each needs service addresses of its own")]
    AlreadyServed { address: IpAddr },
    #[error("reserve the service address {address}")]
    Reserve {
        address: IpAddr,
        #[source]
        source: io::Error,
    },
    #[error("start the daemon {program}")]
    Start {
        program: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("make the daemon's channel")]
    Channel(#[source] ChannelError),
    #[error("wait for events")]
    Wait(#[source] io::Error),
    #[error("make the daemon's incarnation")]
    Random(#[source] io::Error),
}

/// The parent's whole life.
#[derive(Debug)]
pub struct Parent;

impl Parent {
    /// Runs until it is told to stop (SIGTERM, SIGINT) or the daemon ends for good; returns the exit code. Call it on
    /// the main thread before any other thread is started. SIGHUP is handed to the daemon as `Reload`.
    pub fn run(config: ParentConfig) -> Result<u8, ParentError> {
        driver::Driver::new(config)?.run()
    }
}
