//! What a drill plays on: a network, one node or a pair, and registered phones.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use phone::PhoneCommand;

use super::fault::Ground;
use super::records::ExpectedCall;
use super::{DrillArguments, phone_count, upgrade};
use crate::LabError;
use crate::disk::{self, Disk};
use crate::netns::Network;
use crate::nodes::{Node, SERVICE, make_key};
use crate::phones::{Account, Phones, SIP_PORT};

const NODE_A: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 11);
const NODE_B: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 12);
/// The phones live on two hosts, so that a split of the switch can part them: the calls in turn on the one and the
/// other.
pub(super) const LEFT: &str = "left";
pub(super) const RIGHT: &str = "right";
const LEFT_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 19);
const RIGHT_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 20);
/// The two halves of a switch that has fallen in two.
pub(super) const WITH_A: [&str; 2] = ["a", LEFT];
pub(super) const WITH_B: [&str; 2] = ["b", RIGHT];
const PHONES_BEGIN: u8 = 21;
const NUMBERS_BEGIN: u32 = 5000;

/// How long nodes have to start, to find each other, and to become a protected pair again after a fault.
const PROTECTED_LIMIT: Duration = Duration::from_secs(60);
const REGISTER_LIMIT: Duration = Duration::from_secs(40);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Scenes of this process, so that each has a directory of its own.
static SCENES: AtomicU32 = AtomicU32::new(0);

pub(super) struct Scene {
    pub(super) phones: Phones,
    pub(super) nodes: Vec<Node>,
    /// The program under test.
    binary: PathBuf,
    pub(super) network: Network,
    pub(super) accounts: Vec<Account>,
    /// Every call made here so far, for the call records.
    pub(super) made: Vec<ExpectedCall>,
    /// Calls made so far: each has its own mark in its audio.
    pub(super) calls_marked: u32,
    /// Violations seen before this trial, per phone.
    pub(super) violations_before: Vec<usize>,
    ground: Ground,
    /// One per node, when the ground is disks.
    disks: Vec<Arc<Disk>>,
    directory: PathBuf,
    keep: bool,
    registered: bool,
}

impl Scene {
    /// Builds network, phones and nodes, and starts the nodes. Nothing is waited for yet.
    pub(super) fn build(arguments: &DrillArguments, ground: Ground) -> Result<Self, LabError> {
        let binary = match &arguments.binary {
            Some(binary) => binary.clone(),
            None => std::env::current_exe().map_err(LabError::io("finding this program"))?,
        };
        let number = SCENES.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("tandem-drill-{}-{number}", std::process::id()));
        let accounts: Vec<Account> = (0..phone_count(arguments, ground)).map(account).collect();
        let mut hosts = vec![(LEFT, LEFT_ADDRESS), (RIGHT, RIGHT_ADDRESS)];
        let alone = ground == Ground::Alone;
        hosts.extend(if alone { vec![("solo", SERVICE)] } else { vec![("a", NODE_A), ("b", NODE_B)] });
        let network = Network::build(&hosts)?;
        let first = if ground == Ground::Previous { upgrade::previous(arguments)? } else { None };
        let nodes = make_nodes(&network, first.as_ref().unwrap_or(&binary), &directory, &accounts, alone)?;
        let sides = [network.host(LEFT)?, network.host(RIGHT)?];
        let places = accounts.iter().enumerate().map(|(phone, account)| (sides[side_of(phone)], account));
        let phones = Phones::start_on(&places.collect::<Vec<_>>(), SocketAddr::from((SERVICE, SIP_PORT)))?;
        let violations_before = vec![0; accounts.len()];
        let mut scene = Self {
            phones,
            nodes,
            binary,
            network,
            accounts,
            made: Vec::new(),
            calls_marked: 0,
            violations_before,
            ground,
            disks: Vec::new(),
            directory,
            keep: false,
            registered: false,
        };
        scene.lay_ground()?;
        for node in &mut scene.nodes {
            node.start()?;
        }
        Ok(scene)
    }

    fn lay_ground(&mut self) -> Result<(), LabError> {
        match self.ground {
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

    pub(super) fn ground(&self) -> Ground {
        self.ground
    }

    pub(super) fn is_alone(&self) -> bool {
        self.ground == Ground::Alone
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

    /// The program under test.
    pub(super) fn binary(&self) -> &Path {
        &self.binary
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

    /// Registers all phones, once in the life of the scene.
    pub(super) fn register(&mut self) -> Result<(), LabError> {
        if self.registered {
            return Ok(());
        }
        let count = self.accounts.len();
        self.phones.with(move |driver| (0..count).for_each(|at| driver.command(at, PhoneCommand::Register)))?;
        let all = self
            .phones
            .wait_for(REGISTER_LIMIT, |driver| driver.handsets.iter().all(|handset| handset.phone.is_registered()))?;
        if !all {
            let what = "all phones registered".to_owned();
            return Err(LabError::Waited { what, limit_ms: REGISTER_LIMIT.as_millis() as u64 });
        }
        self.registered = true;
        Ok(())
    }

    pub(super) fn number(&self, phone: usize) -> &str {
        self.accounts.get(phone).map_or("?", |account| account.number.as_str())
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.nodes.clear();
        if self.ground == Ground::Disks {
            self.disks.clear();
            disk::unshare(&self.directory);
        }
        if !self.keep {
            // Files that cannot be removed now are the temporary directory's business.
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

/// On which of the two hosts a phone lives: callers and called of one call on the same.
pub(super) const fn side_of(phone: usize) -> usize {
    (phone / 2) % 2
}

fn account(index: u32) -> Account {
    // The service address lies among the phones' and is left out.
    let place = PHONES_BEGIN.saturating_add(u8::try_from(index).unwrap_or(u8::MAX));
    let place = if place >= SERVICE.octets()[3] { place.saturating_add(1) } else { place };
    Account {
        number: (NUMBERS_BEGIN + index).to_string(),
        password: format!("secret-{index}"),
        address: Ipv4Addr::new(10, 77, 0, place),
    }
}

fn make_nodes(
    network: &Network,
    binary: &Path,
    directory: &Path,
    accounts: &[Account],
    alone: bool,
) -> Result<Vec<Node>, LabError> {
    fs::create_dir_all(directory).map_err(LabError::io(format!("making {}", directory.display())))?;
    if alone {
        return Ok(vec![Node::alone(network.host("solo")?, binary, directory, accounts)?]);
    }
    let key = directory.join("pair.key");
    make_key(binary, &key)?;
    let (a, b) = (network.host("a")?, network.host("b")?);
    Ok(vec![
        Node::in_pair(a, b, binary, directory, &key, accounts)?,
        Node::in_pair(b, a, binary, directory, &key, accounts)?,
    ])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_phone_has_a_number_and_an_address_of_its_own() {
        let accounts: Vec<_> = (0..super::super::PHONES_MAX).map(account).collect();
        let addresses: BTreeSet<_> = accounts.iter().map(|account| account.address).collect();
        let numbers: BTreeSet<_> = accounts.iter().map(|account| &account.number).collect();
        assert_eq!((addresses.len(), numbers.len()), (accounts.len(), accounts.len()));
        assert!(!addresses.contains(&SERVICE) && !addresses.contains(&Ipv4Addr::new(10, 77, 0, 255)));
    }
}
