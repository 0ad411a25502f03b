//! Owns what can be typed to make a pair of two machines.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{Args, ValueEnum};

use crate::config::PATH_DEFAULT;

/// Where the state is kept unless somebody says otherwise.
const STATE_DIR_DEFAULT: &str = "/var/lib/tandem";

/// The port of the first link on both machines.
pub const PORT_DEFAULT: u16 = 7700;

#[derive(Clone, Debug, Args)]
pub struct InitArguments {
    #[command(flatten)]
    pub files: FileArguments,
    /// This machine's address on the way to the other one; asked for when it is left out
    #[arg(long, value_name = "ADDRESS")]
    pub own_address: Option<IpAddr>,
    /// The other machine's address; asked for when it is left out
    #[arg(long, value_name = "ADDRESS")]
    pub peer_address: Option<IpAddr>,
    /// UDP port of that path, on both machines
    #[arg(long, value_name = "PORT", default_value_t = PORT_DEFAULT, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,
    /// A further path between the machines, over other cables and switches; may be repeated
    #[arg(long, value_name = "OWN,PEER")]
    pub link: Vec<LinkAddresses>,
    /// The address that phones register at, with the length of its subnet's prefix; asked for when it is left out
    #[arg(long, value_name = "ADDRESS/PREFIX")]
    pub service: Option<String>,
    /// The VRRP group of the service address, from 1 to 255; unique among the routers of the network
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(u8).range(1..))]
    pub vrid: u8,
    /// Where the pair's witness listens, on a third machine; may be repeated for further ways to it. Its key is
    /// written beside the pair's
    #[arg(long, value_name = "ADDR:PORT")]
    pub witness: Vec<SocketAddr>,
    /// Whether the role goes back by itself to this machine, which is preferred, once all is well
    #[arg(long, value_enum, default_value_t = FailbackChoice::Manual)]
    pub failback: FailbackChoice,
    /// Print the token alone, for a pipe: tandem init --token-only ... | ssh OTHER tandem join -
    #[arg(long, conflicts_with = "json")]
    pub token_only: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Debug, Args)]
pub struct JoinArguments {
    /// What `tandem init` or `tandem invite` printed on the first machine; - reads it from standard input, so that it
    /// is in no list of processes and in no shell's history
    #[arg(value_name = "TOKEN")]
    pub token: String,
    #[command(flatten)]
    pub files: FileArguments,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Debug, Args)]
pub struct InviteArguments {
    /// Configuration file of this node
    #[arg(long, value_name = "FILE", default_value = PATH_DEFAULT)]
    pub config: PathBuf,
    /// Print the token alone, for a pipe: tandem invite --token-only | ssh OTHER tandem join -
    #[arg(long, conflicts_with = "json")]
    pub token_only: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What both machines choose for themselves.
#[derive(Clone, Debug, Args)]
pub struct FileArguments {
    /// The configuration file to write
    #[arg(long, value_name = "FILE", default_value = PATH_DEFAULT)]
    pub config: PathBuf,
    /// Name of this node, unique in the pair [default: the machine's name]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// The network interface that gets the service address [default: the one with this machine's own address]
    #[arg(long, value_name = "INTERFACE")]
    pub interface: Option<String>,
    /// Where registrations, calls and call records are kept
    #[arg(long, value_name = "DIR", default_value = STATE_DIR_DEFAULT)]
    pub state_dir: PathBuf,
    /// Asterisk's files; an example is written unless the directory is there [default: pbx beside the configuration]
    #[arg(long, value_name = "DIR")]
    pub pbx_dir: Option<PathBuf>,
    /// Where the pair's secret key goes [default: pair.key beside the configuration]
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
}

impl FileArguments {
    pub fn to_pbx_dir(&self) -> PathBuf {
        self.pbx_dir.clone().unwrap_or_else(|| self.beside("pbx"))
    }

    pub fn to_key_file(&self) -> PathBuf {
        self.key_file.clone().unwrap_or_else(|| self.beside("pair.key"))
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.config.parent().unwrap_or(Path::new("")).join(name)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FailbackChoice {
    Manual,
    Automatic,
}

impl FailbackChoice {
    /// As the configuration file says it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Automatic => "automatic",
        }
    }
}

/// Both ends of a path, without ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkAddresses {
    pub own: IpAddr,
    pub peer: IpAddr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write two addresses with a comma, this machine's first, as in 192.168.9.1,192.168.9.2")]
pub struct LinkAddressesError;

impl FromStr for LinkAddresses {
    type Err = LinkAddressesError;

    fn from_str(text: &str) -> Result<Self, LinkAddressesError> {
        let (own, peer) = text.split_once(',').ok_or(LinkAddressesError)?;
        let address = |text: &str| text.trim().parse().map_err(|_| LinkAddressesError);
        Ok(Self { own: address(own)?, peer: address(peer)? })
    }
}
