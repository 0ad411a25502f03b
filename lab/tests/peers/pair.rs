//! Nodes on hosts of the lab with published example files, and the hosts on which peers run.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tandem_lab::LabError;
use tandem_lab::netns::{Host, Network};
use tandem_lab::nodes::{CallRow, Node, SERVICE, Status, make_key, put_away};

const NODE_A: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 11);
const NODE_B: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 12);
const ONE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 21);
const TWO: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 22);

/// Nodes have so long to find each other, or to be a pair again after a fault.
const PROTECTED_LIMIT: Duration = Duration::from_secs(30);

/// Records have so long to be on both nodes.
const RECORDS_LIMIT: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What is to come comes within this time, or the test fails.
const WAIT: Duration = Duration::from_secs(20);

/// Two labs that listen at a time would hear each other's load.
static SERIAL: Mutex<()> = Mutex::new(());
static LABS: AtomicU32 = AtomicU32::new(0);

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    Kill,
    Cut,
}

impl Fault {
    /// The longest silence that is promised (design, section 1).
    pub fn promise_ms(self) -> f64 {
        match self {
            Self::Kill => 60.0,
            Self::Cut => 200.0,
        }
    }
}

/// One node or a pair, and two hosts for peers. Everything ends and goes with it.
pub struct Lab {
    pub nodes: Vec<Node>,
    pub network: Network,
    pub directory: PathBuf,
    _serial: Option<MutexGuard<'static, ()>>,
}

/// Whether a lab hears phones, and so must not be disturbed by another one that does.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Attention {
    Listens,
    /// It waits for what takes seconds, and milliseconds do not matter.
    Waits,
}

impl Lab {
    /// A protected pair that serves an example of `core/pbx/tests/examples`.
    pub fn pair(example: &str) -> Self {
        Self::make_pair(example, Attention::Listens, |_| String::new())
    }

    /// The same, beside other labs and with more in each node's configuration; `more` is told the address of the host
    /// `one`.
    pub fn pair_with(example: &str, more: impl Fn(Ipv4Addr) -> String) -> Self {
        Self::make_pair(example, Attention::Waits, more)
    }

    fn make_pair(example: &str, attention: Attention, more: impl Fn(Ipv4Addr) -> String) -> Self {
        let (network, directory, serial) = prepare(&[("a", NODE_A), ("b", NODE_B)], attention);
        let key = directory.join("pair.key");
        make_key(&binary(), &key).expect("a key");
        let node = |own: &str, other: &str| {
            let (own, other) = (network.host(own).expect("a host"), network.host(other).expect("a host"));
            let node = Node::in_pair(own, other, &binary(), &directory, &key, &[]).expect("a node's files");
            node.use_pbx_files(&example_files(example)).expect("an example's files");
            let file = File::options().append(true).open(directory.join(&own.name).join("tandem.toml"));
            file.and_then(|mut file| file.write_all(more(ONE).as_bytes())).expect("a node's configuration");
            node
        };
        let nodes = vec![node("a", "b"), node("b", "a")];
        let mut lab = Self { nodes, network, directory, _serial: serial };
        lab.nodes.iter_mut().for_each(|node| node.start().expect("a node"));
        lab.wait_protected();
        lab
    }

    /// Two hosts `a` and `b` whose files `prepare_files` writes into a directory for each; waits until they are a protected
    /// pair.
    pub fn of_two(prepare_files: impl FnOnce(&Network, &Path)) -> Self {
        let mut lab = Self::of_nodes(&[("a", "a"), ("b", "b")], prepare_files);
        lab.wait_protected();
        lab
    }

    /// Nodes on the hosts `a` and `b`, each with the folder that `prepare_files` writes for it. They are started, no more.
    pub fn of_nodes(places: &[(&str, &str)], prepare_files: impl FnOnce(&Network, &Path)) -> Self {
        let (network, directory, serial) = prepare(&[("a", NODE_A), ("b", NODE_B)], Attention::Waits);
        prepare_files(&network, &directory);
        let node = |(host, folder): &(&str, &str)| {
            let host = network.host(host).expect("a host");
            Node::with_config(host, &binary(), &directory.join(folder)).expect("a node")
        };
        let nodes = places.iter().map(node).collect();
        let mut lab = Self { nodes, network, directory, _serial: serial };
        lab.nodes.iter_mut().for_each(|node| node.start().expect("a node"));
        lab
    }

    /// One node without a peer, at the same address. It is not started yet.
    pub fn alone(example: &str) -> Self {
        let (network, directory, serial) = prepare(&[("solo", SERVICE)], Attention::Listens);
        let host = network.host("solo").expect("a host");
        let node = Node::alone(host, &binary(), &directory, &[]).expect("a node's files");
        node.use_pbx_files(&example_files(example)).expect("an example's files");
        Self { nodes: vec![node], network, directory, _serial: serial }
    }

    pub fn host(&self, name: &str) -> &Host {
        self.network.host(name).expect("a host")
    }

    /// Waits until one node serves and the other one, if any, stands by and knows everything. Gives who serves.
    pub fn wait_protected(&mut self) -> usize {
        let begun = Instant::now();
        loop {
            let told: Vec<_> = self.nodes.iter().map(|node| node.status().ok()).collect();
            if let Some(active) = serving(&told) {
                return active;
            }
            if begun.elapsed() >= PROTECTED_LIMIT {
                let logs: Vec<_> = self.nodes.iter().map(|node| node.log_tail(20)).collect();
                panic!("no protected pair: {told:?}\n{}", logs.join("\n--\n"));
            }
            self.nodes.iter_mut().for_each(|node| node.keep_running().expect("a node"));
            thread::sleep(LOOK_EVERY);
        }
    }

    pub fn strike(&self, fault: Fault, active: usize) {
        let node = &self.nodes[active];
        match fault {
            Fault::Kill => {
                let daemon = node.daemon().expect("a daemon");
                node.signal(daemon, Signal::SIGKILL).expect("a kill");
            }
            Fault::Cut => self.network.cut(&node.name).expect("a cut"),
        }
    }

    pub fn heal(&self, fault: Fault, broken: usize) {
        if fault == Fault::Cut {
            self.network.heal(&self.nodes[broken].name).expect("a heal");
        }
    }

    /// The registration times that the node which serves knows, by endpoint: a new REGISTER would change them.
    pub fn registered_ms(&self) -> Vec<(String, u64)> {
        let serving = self.nodes.iter().find(|node| node.status().is_ok_and(|status| status.serves()));
        let phones = serving.expect("a node that serves").ask("phones").expect("phones");
        let phones = phones.as_array().expect("a list").iter().map(|phone| {
            let endpoint = phone["endpoint"].as_str().expect("an endpoint").to_owned();
            (endpoint, phone["registered_ms"].as_u64().expect("a time"))
        });
        phones.collect()
    }

    /// Waits until every node has so many records, all answered, and the same ones; gives them.
    pub fn wait_records(&self, count: usize) -> Vec<CallRow> {
        let begun = Instant::now();
        loop {
            let rows: Result<Vec<Vec<CallRow>>, LabError> = self.nodes.iter().map(Node::records).collect();
            match rows {
                Ok(rows) if rows.iter().all(|rows| rows.len() == count) => return exact(rows, count),
                rows if begun.elapsed() >= RECORDS_LIMIT => {
                    let counts = rows.map(|rows| rows.iter().map(Vec::len).collect::<Vec<_>>());
                    panic!("{count} calls, records: {counts:?}");
                }
                _ => thread::sleep(LOOK_EVERY),
            }
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        put_away(&mut self.nodes, &self.directory);
    }
}

fn serving(told: &[Option<Status>]) -> Option<usize> {
    let active = told.iter().position(|status| status.as_ref().is_some_and(Status::serves))?;
    let well = told.iter().enumerate().all(|(index, status)| match status {
        Some(status) if told.len() == 1 => status.serves(),
        Some(status) if index == active => status.role == "active" && status.protected,
        Some(status) => status.role == "standby",
        None => false,
    });
    well.then_some(active)
}

/// Checks that each node's records are the same ones, one per call.
fn exact(mut rows: Vec<Vec<CallRow>>, count: usize) -> Vec<CallRow> {
    let sets: Vec<BTreeSet<String>> =
        rows.iter().map(|rows| rows.iter().map(|row| row.identity.to_string()).collect()).collect();
    assert!(sets.iter().all(|set| set.len() == count), "identities are unique: {rows:?}");
    assert!(sets.windows(2).all(|pair| pair[0] == pair[1]), "both nodes have the same records: {sets:?}");
    let odd: Vec<_> = rows.iter().flatten().filter(|row| row.disposition != "ANSWERED").collect();
    assert!(odd.is_empty(), "{odd:?}");
    rows.swap_remove(0)
}

/// The product's program.
pub fn binary() -> PathBuf {
    let built = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/tandem");
    let path = std::env::var_os("TANDEM_BINARY").map_or_else(built, PathBuf::from);
    path.canonicalize().unwrap_or_else(|error| {
        panic!("{}: {error}; build it (cargo build --release -p tandem) or set TANDEM_BINARY", path.display())
    })
}

pub fn example_files(example: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../core/pbx/tests/examples").join(example)
}

/// A directory that no other lab uses.
pub fn own_directory() -> PathBuf {
    let number = LABS.fetch_add(1, Ordering::Relaxed);
    let directory = std::env::temp_dir().join(format!("tandem-peers-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a directory");
    directory
}

fn prepare(nodes: &[(&str, Ipv4Addr)], attention: Attention) -> (Network, PathBuf, Option<MutexGuard<'static, ()>>) {
    let serial = (attention == Attention::Listens).then(|| SERIAL.lock().unwrap_or_else(PoisonError::into_inner));
    let hosts: Vec<_> = [("one", ONE), ("two", TWO)].into_iter().chain(nodes.iter().copied()).collect();
    (Network::build(&hosts).expect("a network"), own_directory(), serial)
}

/// Looks until there is something to find.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < WAIT, "in vain: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
