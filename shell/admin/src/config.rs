//! Owns what a node is told before it starts: the keys of `tandem.toml`, their checks and their defaults.
//!
//! Every mistake of a file is found at once and told with its place and with what to write instead.

use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base::NodeIndex;
use node::cluster::Failback;

mod configuration;
mod error;
mod reader;
mod records;
mod safeguards;
mod sections;
mod service;
mod telling;
#[cfg(test)]
mod tests;
mod track;
mod value;
mod vrrp;
mod witness;

pub use configuration::{LOCAL_MAX, Synchronization};
pub use error::{ConfigError, Invalid, Problem};
pub use records::{RecordServer, Records, STORE_ADDRESSES_MAX, ServerKind, StoreTls};
pub use safeguards::{FencingProgram, PING_TARGETS_MAX, Ping, Safeguards};
pub use service::{Service, ServiceAddress};
pub use telling::{AlarmSettings, Email, Telling, Webhook};
pub use track::{Subject, Track};
pub use vrrp::{HmacKeyFile, Vrrp};
pub use witness::{Etcd, WITNESS_ADDRESSES_MAX, Witness, WitnessPlace};

use reader::Document;

/// Where the commands look when they are not told otherwise.
pub const PATH_DEFAULT: &str = "/etc/tandem/tandem.toml";

/// A file that shows every key, with comments; it can be used after its addresses have been changed.
pub const EXAMPLE: &str = include_str!("example.toml");

/// A configuration has some twenty lines. A larger file is something else, and is refused before it fills the memory.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Paths to the peer. More than a few add nothing, and each costs a heartbeat every 30 ms.
pub const LINKS_MAX: usize = 8;

/// The settling time before a failback: long enough to see that the node which came back stays.
pub const PREEMPT_DELAY_DEFAULT: Duration = Duration::from_secs(20);

/// How long a node that starts and hears no peer waits for it: two machines whose power comes back at once do not boot
/// within a second of each other, and the one that is later may have more of the log.
pub const WAIT_FOR_PEER_DEFAULT: Duration = Duration::from_secs(10);

/// From what a node listens anyway to an hour: beyond it somebody forgot a unit.
pub const WAIT_FOR_PEER: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(3_600));

/// As in keepalived.
pub const PREEMPT_DELAY_MAX: Duration = Duration::from_secs(1_000);

/// What a node is told before it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Unique in the pair.
    pub name: String,
    /// 0 for the node with the lower local address (then port) of the first link, and for a node without a peer.
    pub index: NodeIndex,
    /// Absolute. Journal, epoch, call records and the operator's socket live there.
    pub state_dir: PathBuf,
    /// Absolute. Asterisk's files.
    pub pbx_dir: PathBuf,
    pub failback: Failback,
    /// How long the preferred node is in step before the role goes back to it.
    pub preempt_delay: Duration,
    /// How long a node that starts and hears no peer waits for it before it serves alone.
    pub wait_for_peer: Duration,
    /// `None`: the machine's own addresses are used as they are.
    pub service: Option<Service>,
    /// `None`: no other router shares the service address.
    pub vrrp: Option<Vrrp>,
    /// What decides, besides heartbeats, how well a node can serve.
    pub tracks: Vec<Track>,
    /// `None`: a single node.
    pub peer: Option<Peer>,
    /// Where SIP listens, instead of what the PBX's files say.
    pub listen: Option<SocketAddr>,
    /// Whom the node tells what happens to it.
    pub telling: Telling,
    /// How the PBX's files are kept equal on both machines.
    pub synchronization: Synchronization,
    /// What keeps two nodes from serving at once.
    pub safeguards: Safeguards,
    /// Where call records are stored.
    pub records: Records,
}

/// The other node of the pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Absolute. The pair's secret, as `tandem key` makes it.
    pub key_file: PathBuf,
    /// 1 to `LINKS_MAX`.
    pub links: Vec<Link>,
}

/// One path to the peer. Both ends are of one address family, and different.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    pub local: SocketAddr,
    pub remote: SocketAddr,
}

impl Config {
    /// Reads and checks a `tandem.toml`. Relative paths in it start at the file's directory.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        Self::parse(path, read_text(path)?)
    }

    /// Checks the text of the file at `path`.
    pub fn parse(path: &Path, text: String) -> Result<Self, ConfigError> {
        let directory = directory_of(path)?;
        let parsed = Document::parse(&text).and_then(|document| sections::config(&document, &directory));
        parsed.map_err(|problems| ConfigError::invalid(path, text, problems))
    }

    /// The operator's socket.
    pub fn control_socket(&self) -> PathBuf {
        crate::socket::path_in(&self.state_dir)
    }
}

/// Only `[node] state_dir` of the file at `path`. A running node can be reached while its file is being edited and is
/// wrong elsewhere.
pub fn state_dir(path: &Path) -> Result<PathBuf, ConfigError> {
    let text = read_text(path)?;
    let directory = directory_of(path)?;
    let found = Document::parse(&text).and_then(|document| sections::state_dir(&document, &directory));
    found.map_err(|problems| ConfigError::invalid(path, text, problems))
}

/// Only where the records are of the node of the file at `path`, which may be wrong elsewhere: its state directory, and
/// its store.
pub fn records(path: &Path) -> Result<(PathBuf, Records), ConfigError> {
    let text = read_text(path)?;
    let directory = directory_of(path)?;
    let found = Document::parse(&text).and_then(|document| sections::records_of(&document, &directory));
    found.map_err(|problems| ConfigError::invalid(path, text, problems))
}

fn read_text(path: &Path) -> Result<String, ConfigError> {
    let failed = |source: io::Error| ConfigError::Read { path: path.to_owned(), source };
    let mut text = String::new();
    File::open(path).map_err(failed)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > FILE_BYTES_MAX {
        return Err(ConfigError::TooLarge { path: path.to_owned() });
    }
    Ok(text)
}

fn directory_of(path: &Path) -> Result<PathBuf, ConfigError> {
    let absolute = std::path::absolute(path);
    let absolute = absolute.map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    Ok(absolute.parent().unwrap_or(Path::new("/")).to_owned())
}
