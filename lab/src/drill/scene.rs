//! What a drill plays on: a network, one node or a pair, and registered phones.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::DrillArguments;
use super::calls::Counts;
use super::fault::{Fault, Ground};
use super::load::{Load, crowd_phones};
use super::room::{LEFT, RIGHT, Room, SIDES, accounts};
use super::upgrade;
use crate::LabError;
use crate::disk::{self, Disk};
use crate::netns::{Cable, LAN, Network};
use crate::nodes::{Node, SERVICE, make_key};
use crate::phones::{Account, Crowd, SIP_PORT};

/// The nodes of every pair that a drill builds.
pub(super) const PAIR: [(&str, Ipv4Addr); 2] =
    [("a", Ipv4Addr::new(10, 77, 0, 11)), ("b", Ipv4Addr::new(10, 77, 0, 12))];
/// The host of the phones without audio.
const CROWD: (&str, Ipv4Addr) = ("crowd", Ipv4Addr::new(10, 77, 0, 18));
/// Media ports for a large site: two legs of two ports each per call, and half of the range for each node.
const RTP_CONF: &str = "[general]\nrtpstart=10000\nrtpend=59999\n";
/// A setting that the release before refuses as unknown. Only a node that starts and hears nobody asks for it.
const NEW_SETTING: &str = "wait_for_peer";
/// Where their second link ends.
const SECOND: [(&str, Ipv4Addr); 2] = [("a", Ipv4Addr::new(10, 78, 0, 11)), ("b", Ipv4Addr::new(10, 78, 0, 12))];
/// The two halves of a switch that has fallen in two.
pub(super) const WITH_A: [&str; 2] = ["a", LEFT];
pub(super) const WITH_B: [&str; 2] = ["b", RIGHT];

/// How long nodes have to start, to find each other, and to become a protected pair again after a fault.
const PROTECTED_LIMIT: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Scenes of this process, so that each has a directory of its own.
static SCENES: AtomicU32 = AtomicU32::new(0);

pub(super) struct Scene {
    pub(super) room: Room,
    pub(super) nodes: Vec<Node>,
    /// The program under test.
    binary: PathBuf,
    pub(super) network: Network,
    /// Phones without audio, when the drill is asked for a load.
    pub(super) crowd: Option<Crowd>,
    /// What that load cost when it came.
    pub(super) load: Option<Load>,
    stage: Stage,
    links: Vec<Cable>,
    /// One per node, when the ground is disks.
    disks: Vec<Arc<Disk>>,
    directory: PathBuf,
    keep: bool,
}

/// What tells scenes apart: a fault can be committed on any that has its stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stage {
    ground: Ground,
    links: u32,
}

impl Stage {
    pub(super) fn of(fault: Fault, arguments: &DrillArguments) -> Self {
        let ground = fault.ground();
        let links = if ground == Ground::Alone { 0 } else { arguments.links.max(fault.links()) };
        Self { ground, links }
    }

    /// Two nodes that were upgraded cannot begin with the program before once more.
    pub(super) fn may_be_used_again(self) -> bool {
        self.ground != Ground::Previous
    }
}

impl Scene {
    /// Builds network, phones and nodes, and starts the nodes. Nothing is waited for yet.
    pub(super) fn build(arguments: &DrillArguments, stage: Stage) -> Result<Self, LabError> {
        let binary = arguments.binary()?;
        let directory = own_directory()?;
        let counts = Counts::new(arguments, stage.ground);
        let accounts = accounts(counts.phones());
        let alone = stage.ground == Ground::Alone;
        let mut hosts = SIDES.to_vec();
        hosts.extend(if alone { vec![("solo", SERVICE)] } else { PAIR.to_vec() });
        let crowd_count = crowd_phones(arguments, counts);
        if crowd_count > 0 {
            hosts.push(CROWD);
        }
        let network = Network::build(&hosts)?;
        let mut links = vec![LAN];
        if stage.links > 1 {
            let ends = SECOND.map(|(host, address)| (host, format!("{address}/24")));
            links.push(network.add_switch(&ends.each_ref().map(|(host, address)| (*host, address.as_str())))?);
        }
        let crowd_accounts = match crowd_count {
            0 => Vec::new(),
            count => Crowd::accounts(network.host(CROWD.0)?, count),
        };
        let all = [accounts.as_slice(), crowd_accounts.as_slice()].concat();
        let first = if stage.ground == Ground::Previous { upgrade::previous(arguments)? } else { None };
        let nodes = make_nodes(&network, first.as_ref().unwrap_or(&binary), &directory, &all, stage)?;
        let crowd = match crowd_count {
            0 => None,
            _ => Some(start_crowd(&network, &nodes, &crowd_accounts)?),
        };
        let room = Room::start(&network, accounts)?;
        let (load, disks, keep) = (None, Vec::new(), false);
        let mut scene = Self { room, nodes, binary, network, crowd, load, stage, links, disks, directory, keep };
        scene.lay_ground()?;
        for node in &mut scene.nodes {
            node.start()?;
        }
        Ok(scene)
    }

    pub(super) fn binary(&self) -> &Path {
        &self.binary
    }

    fn lay_ground(&mut self) -> Result<(), LabError> {
        match self.stage.ground {
            Ground::Pair | Ground::Alone | Ground::Halves | Ground::Previous => Ok(()),
            Ground::Clocks => self.nodes.iter_mut().try_for_each(Node::use_own_clock),
            Ground::Disks => {
                disk::share(&self.directory)?;
                for node in &self.nodes {
                    let image = self.directory.join(format!("{}.image", node.name));
                    self.disks.push(Arc::new(Disk::make(&image, &node.state_directory())?));
                }
                Ok(())
            }
        }
    }

    pub(super) fn stage(&self) -> Stage {
        self.stage
    }

    pub(super) fn is_alone(&self) -> bool {
        self.stage.ground == Ground::Alone
    }

    /// The cables that the nodes' links go over, the LAN first.
    pub(super) fn links(&self) -> &[Cable] {
        &self.links
    }

    pub(super) fn disks(&self) -> &[Arc<Disk>] {
        &self.disks
    }

    /// The disk of this node.
    pub(super) fn disk(&self, index: usize) -> Result<&Disk, LabError> {
        let disk = self.disks.get(index).map(Arc::as_ref);
        disk.ok_or_else(|| LabError::NoHost(format!("the disk of node {index}")))
    }

    /// The nodes' files stay when the scene goes.
    pub(super) fn keep_files(mut self) -> Self {
        self.keep = true;
        self
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn node(&self, index: usize) -> Result<&Node, LabError> {
        self.nodes.get(index).ok_or_else(|| LabError::NoHost(format!("node {index}")))
    }

    pub(super) fn node_mut(&mut self, index: usize) -> Result<&mut Node, LabError> {
        self.nodes.get_mut(index).ok_or_else(|| LabError::NoHost(format!("node {index}")))
    }

    /// Its name, for messages and for the network.
    pub(super) fn name_of(&self, index: usize) -> String {
        self.nodes.get(index).map_or_else(|| "?".to_owned(), |node| node.name.clone())
    }

    /// Waits until one node serves and, in a pair, the other one stands by and knows everything. Gives the index of
    /// the one that serves.
    pub(super) fn wait_protected(&mut self) -> Result<usize, LabError> {
        let begun = Instant::now();
        loop {
            if let Some(active) = self.protected() {
                return Ok(active);
            }
            if begun.elapsed() >= PROTECTED_LIMIT {
                let what = format!("a protected pair; {}", self.told());
                return Err(LabError::Waited { what, limit_ms: PROTECTED_LIMIT.as_millis() as u64 });
            }
            for node in &mut self.nodes {
                // A machine has a service manager; here that is the drill.
                node.keep_running()?;
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    fn protected(&self) -> Option<usize> {
        let told: Vec<_> = self.nodes.iter().map(|node| node.status().ok()).collect();
        let serving = told.iter().position(|status| status.as_ref().is_some_and(|status| status.serves()))?;
        let well = told.iter().enumerate().all(|(index, status)| match status {
            Some(status) if self.is_alone() => status.serves(),
            Some(status) if index == serving => status.role == "active" && status.protected,
            Some(status) => status.role == "standby",
            None => false,
        });
        well.then_some(serving)
    }

    /// What each node says of itself, for error messages.
    pub(super) fn told(&self) -> String {
        let told = self.nodes.iter().map(|node| match node.status() {
            Ok(status) => format!("{}: {} (protected: {})", node.name, status.role, status.protected),
            Err(error) => format!("{}: {}", node.name, error.chain()),
        });
        told.collect::<Vec<_>>().join("; ")
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.nodes.clear();
        if self.stage.ground == Ground::Disks {
            self.disks.clear();
            disk::unshare(&self.directory);
        }
        if !self.keep {
            // Files that cannot be removed now are the temporary directory's business.
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

fn start_crowd(network: &Network, nodes: &[Node], accounts: &[Account]) -> Result<Crowd, LabError> {
    nodes.iter().try_for_each(|node| node.write_pbx_file("rtp.conf", RTP_CONF))?;
    Crowd::start(network.host(CROWD.0)?, accounts, SocketAddr::from((SERVICE, SIP_PORT)))
}

/// A new directory, for the files of one scene.
pub(super) fn own_directory() -> Result<PathBuf, LabError> {
    let number = SCENES.fetch_add(1, Ordering::Relaxed);
    let directory = std::env::temp_dir().join(format!("tandem-drill-{}-{number}", std::process::id()));
    fs::create_dir_all(&directory).map_err(LabError::io(format!("making {}", directory.display())))?;
    Ok(directory)
}

fn make_nodes(
    network: &Network,
    binary: &Path,
    directory: &Path,
    accounts: &[Account],
    stage: Stage,
) -> Result<Vec<Node>, LabError> {
    if stage.ground == Ground::Alone {
        return Ok(vec![Node::alone(network.host("solo")?, binary, directory, accounts)?]);
    }
    let key = directory.join("pair.key");
    make_key(binary, &key)?;
    let (a, b) = (network.host("a")?, network.host("b")?);
    let nodes = vec![
        Node::in_pair(a, b, binary, directory, &key, accounts)?,
        Node::in_pair(b, a, binary, directory, &key, accounts)?,
    ];
    if stage.links > 1 {
        let [(_, a), (_, b)] = SECOND;
        for (node, (local, remote)) in nodes.iter().zip([(a, b), (b, a)]) {
            node.add_link(local, remote)?;
        }
    }
    if stage.ground == Ground::Previous {
        nodes.iter().try_for_each(|node| node.remove_setting(NEW_SETTING))?;
    }
    Ok(nodes)
}
