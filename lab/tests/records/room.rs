//! A protected pair whose records go to a server, phones that call, and what the phones did against what is recorded.

use std::fs::{self, File};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use phone::audio::Mark;
use phone::{CallState, EndReason, PhoneCommand};
use tandem_lab::disk::{self, Disk};
use tandem_lab::netns::{Host, Network};
use tandem_lab::nodes::{ECHO_NUMBER, Node, SERVICE, Status, make_key, put_away};
use tandem_lab::phones::{Account, Driver, Phones, SIP_PORT};
use tandem_lab::stores::{PASSWORD, Server};
use tandem_lab::{ExpectedCall, compare_records};

/// What is to come comes within this time, or the test fails.
const WAIT: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub const NODES: [(&str, Ipv4Addr); 2] = [("a", Ipv4Addr::new(10, 77, 0, 11)), ("b", Ipv4Addr::new(10, 77, 0, 12))];
const PHONES: (&str, Ipv4Addr) = ("phones", Ipv4Addr::new(10, 77, 0, 21));

/// Phones that call; one more never answers.
const CALLERS: usize = 8;

/// More than fill any table's last blocks.
const ROUNDS_MAX: usize = 10;

/// This much of a second must be heard of a call's audio.
const PACKETS_HEARD: u64 = 5;

/// A node's machine with its database: sparse, so that only what is used takes room.
const DISK_BYTES: u64 = 256 * 1024 * 1024;

/// Every so many callers ring the phone that does not answer: the first one rings, the others find it busy.
const UNANSWERED_EACH: usize = 4;

static ROOMS: AtomicU32 = AtomicU32::new(0);

pub struct Room {
    pub nodes: Vec<Node>,
    pub network: Network,
    pub directory: PathBuf,
    phones: Phones,
    accounts: Vec<Account>,
    pub made: Vec<ExpectedCall>,
    disks: Option<Disks>,
}

pub struct Ground {
    pub network: Network,
    pub directory: PathBuf,
    disks: Option<Disks>,
}

/// The disks of machines, in the order in which they were made.
struct Disks {
    directory: PathBuf,
    disks: Vec<Disk>,
}

impl Disks {
    fn on(directory: &Path) -> Self {
        disk::share(directory).expect("a directory for disks");
        Self { directory: directory.to_owned(), disks: Vec::new() }
    }
}

impl Drop for Disks {
    fn drop(&mut self) {
        self.disks.clear();
        disk::unshare(&self.directory);
    }
}

impl Ground {
    /// The network with these hosts for servers beside the pair's and the phones'.
    pub fn new(servers: &[(&str, Ipv4Addr)]) -> Self {
        let hosts: Vec<_> = NODES.iter().chain([&PHONES]).chain(servers).copied().collect();
        let number = ROOMS.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("tandem-records-{}-{number}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory");
        Self { network: Network::build(&hosts).expect("a network"), directory, disks: None }
    }

    /// A disk of memory on this folder, which is made; it is the next one after those that there are.
    pub fn add_memory(&mut self, size_bytes: u64, folder: &Path) {
        let disks = self.disks.get_or_insert_with(|| Disks::on(&self.directory));
        disks.disks.push(Disk::of_memory(size_bytes, folder).expect("a disk of memory"));
    }

    /// Each node's machine has a disk of its own that can lose power; all that the machine has is on it.
    pub fn with_disks(mut self) -> Self {
        let mut disks = Disks::on(&self.directory);
        for (name, _) in NODES {
            let image = self.directory.join(format!("{name}.image"));
            disks.disks.push(Disk::make_of(DISK_BYTES, &image, &self.directory.join(name)).expect("a disk"));
        }
        self.disks = Some(disks);
        self
    }

    pub fn host(&self, name: &str) -> &Host {
        self.network.host(name).expect("a host")
    }

    /// A protected pair with this store, which wants a password.
    pub fn pair(self, store: &str) -> Room {
        self.pair_with(&format!("store = \"{store}\"\npassword_file = \"../password\"\n"))
    }

    /// A protected pair with this section `[records]`.
    pub fn pair_with(self, records: &str) -> Room {
        let Self { network, directory, disks } = self;
        write_password(&directory, PASSWORD);
        let key = directory.join("pair.key");
        make_key(&binary(), &key).expect("a key");
        let accounts: Vec<Account> = (0..=CALLERS).map(account).collect();
        let node = |own: &str, other: &str| {
            let (own, other) = (network.host(own).expect("a host"), network.host(other).expect("a host"));
            let node = Node::in_pair(own, other, &binary(), &directory, &key, &accounts).expect("a node's files");
            let file = File::options().append(true).open(directory.join(&own.name).join("tandem.toml"));
            let text = format!("\n[records]\n{records}");
            file.and_then(|mut file| file.write_all(text.as_bytes())).expect("a node's configuration");
            node
        };
        let mut nodes = vec![node("a", "b"), node("b", "a")];
        nodes.iter_mut().for_each(|node| node.start().expect("a node"));
        let server = SocketAddr::from((SERVICE, SIP_PORT));
        let phones = Phones::start(network.host(PHONES.0).expect("a host"), &accounts, server).expect("phones");
        let mut room = Room { nodes, network, directory, phones, accounts, made: Vec::new(), disks };
        room.wait_protected();
        room.register();
        room
    }
}

impl Room {
    /// Waits until one node serves and the other one stands by and knows everything. Gives who serves.
    pub fn wait_protected(&mut self) -> usize {
        let begun = Instant::now();
        loop {
            let told: Vec<Option<Status>> = self.nodes.iter().map(|node| node.status().ok()).collect();
            let active = told.iter().position(|status| status.as_ref().is_some_and(|it| it.serves() && it.protected));
            let stands_by = told.iter().any(|status| status.as_ref().is_some_and(|it| it.role == "standby"));
            if let (Some(active), true) = (active, stands_by) {
                return active;
            }
            assert!(begun.elapsed() < WAIT, "no protected pair: {told:?}");
            self.nodes.iter_mut().for_each(|node| node.keep_running().expect("a node"));
            thread::sleep(LOOK_EVERY);
        }
    }

    fn register(&self) {
        let count = self.accounts.len();
        self.phones
            .with(move |driver| (0..count).for_each(|phone| driver.command(phone, PhoneCommand::Register)))
            .unwrap();
        let all = self.phones.wait_for(WAIT, |driver| {
            driver.handsets.iter().all(|handset| handset.phone.counters().registrations_granted > 0)
        });
        assert!(all.expect("the phones run"), "all phones are registered");
    }

    /// Calls by every caller at once; while they last, `strike` is done. Notes what the phones did.
    pub fn round(&mut self, strike: impl FnOnce(&mut Self)) {
        let numbers: Vec<String> = (0..CALLERS).map(|caller| self.dialled(caller)).collect();
        let dialled = numbers.clone();
        self.phones
            .with(move |driver| {
                for (caller, number) in dialled.into_iter().enumerate() {
                    // Who calls Echo hears itself.
                    let mark = Mark { call: caller as u32, phone: 0 };
                    driver.prepare_audio(caller, mark, mark);
                    driver.command(caller, PhoneCommand::Call { number });
                }
            })
            .expect("calls");
        let is_up = |driver: &Driver, caller: usize| match state(driver, caller) {
            CallState::Talking | CallState::Ended { .. } => true,
            CallState::Ringing => rings(caller),
            _ => false,
        };
        let up = self.phones.wait_for(WAIT, move |driver| (0..CALLERS).all(|caller| is_up(driver, caller)));
        assert!(up.expect("the phones run"), "all calls are up");
        strike(self);
        thread::sleep(Duration::from_millis(300));
        self.phones
            .with(|driver| (0..CALLERS).for_each(|caller| driver.command(caller, PhoneCommand::HangUp)))
            .unwrap();
        let over = self.phones.wait_for(WAIT, |driver| (0..CALLERS).all(|caller| state(driver, caller).is_over()));
        assert!(over.expect("the phones run"), "all calls have ended");
        let sources: Vec<String> = self.accounts.iter().map(|account| account.number.clone()).collect();
        let made = self.phones.with(move |driver| {
            let call = |(caller, dst): (usize, String)| {
                let call = driver.phone(caller)?.call()?;
                let ended_us = call.ended_us?;
                let seconds = |from_us: u64| ended_us.saturating_sub(from_us) as f64 / 1e6;
                Some(ExpectedCall {
                    src: sources.get(caller)?.clone(),
                    dst,
                    is_answered: call.answered_us.is_some(),
                    duration_s: seconds(call.started_us),
                    billed_s: call.answered_us.map_or(0.0, seconds),
                })
            };
            numbers.into_iter().enumerate().filter_map(call).collect::<Vec<_>>()
        });
        let made = made.expect("the phones run");
        assert_eq!(made.len(), CALLERS, "each phone knows its call");
        self.made.extend(made);
    }

    /// Waits until the calls of a round are what they were: who talked talks and hears itself, and what rang still rings.
    pub fn wait_calls(&self) {
        let callers: Vec<usize> = (0..CALLERS).collect();
        self.phones.with(move |driver| driver.start_windows(&callers)).expect("the phones run");
        let is_well = |driver: &Driver, caller: usize| {
            let state = state(driver, caller);
            if rings(caller) {
                return matches!(state, CallState::Ringing | CallState::Ended { reason: EndReason::Rejected(_) });
            }
            let listener = driver.handsets.get(caller).and_then(|handset| handset.listener.as_ref());
            let heard = listener.map_or(0, |listener| listener.report(driver.now_us()).new);
            state == CallState::Talking && heard >= PACKETS_HEARD
        };
        let rings = |driver: &Driver| (0..CALLERS).any(|caller| state(driver, caller) == CallState::Ringing);
        let wanted = move |driver: &Driver| rings(driver) && (0..CALLERS).all(|caller| is_well(driver, caller));
        if !self.phones.wait_for(WAIT, wanted).expect("the phones run") {
            let states = self.phones.with(|driver| (0..CALLERS).map(|at| state(driver, at)).collect::<Vec<_>>());
            panic!("not all calls are what they were: {states:?}");
        }
    }

    /// How often phones were let in, all together: more only when one had to register again.
    pub fn registrations(&self) -> u64 {
        let granted = |driver: &mut Driver| {
            driver.handsets.iter().map(|handset| handset.phone.counters().registrations_granted).sum()
        };
        self.phones.with(granted).expect("the phones run")
    }

    /// A disk, in the order in which they were made.
    pub fn disk(&self, number: usize) -> &Disk {
        &self.disks.as_ref().expect("disks").disks[number]
    }

    /// What `tandem doctor` says on this node of the store: verdicts and texts.
    pub fn doctor(&self, node: usize) -> Vec<(String, String)> {
        doctor(&self.nodes[node])
    }

    fn dialled(&self, caller: usize) -> String {
        if rings(caller) { self.accounts[CALLERS].number.clone() } else { ECHO_NUMBER.to_owned() }
    }

    /// The daemon of the node that serves dies.
    pub fn kill_active(&mut self) {
        let active = self.wait_protected();
        let node = &self.nodes[active];
        node.signal(node.daemon().expect("a daemon"), Signal::SIGKILL).expect("a kill");
    }

    /// Waits until the node that serves says of its store what is wanted.
    pub fn wait_told(&self, what: &str, wanted: impl Fn(&serde_json::Value) -> bool) {
        let begun = Instant::now();
        loop {
            let told = self.told_records();
            if wanted(&told) {
                return;
            }
            assert!(begun.elapsed() < WAIT, "in vain: {what}: {told:?}");
            thread::sleep(LOOK_EVERY);
        }
    }

    /// Calls until what the node that serves says of its store is what is wanted: a table may have room in the blocks that
    /// it has, PostgreSQL's for a dozen rows and MariaDB's for two dozen.
    pub fn rounds_until(&mut self, what: &str, wanted: impl Fn(&serde_json::Value) -> bool) {
        for _ in 0..ROUNDS_MAX {
            self.round(|_| {});
            if wanted(&self.told_records()) {
                return;
            }
        }
        self.wait_told(what, wanted);
    }

    /// What the node that serves says of its store now; nothing when none serves.
    pub fn told_records(&self) -> serde_json::Value {
        let told = self.nodes.iter().filter_map(|node| node.ask("status").ok());
        let serves = |status: &serde_json::Value| matches!(status["role"].as_str(), Some("active" | "alone"));
        told.filter(serves).map(|mut status| status["records"].take()).next().unwrap_or_default()
    }

    /// Waits until the store has a row for each call that the phones made, as either node shows it, and nothing else but
    /// `foreign` rows that others wrote; and until no record waits.
    pub fn wait_records(&mut self, foreign: usize) {
        let begun = Instant::now();
        loop {
            let wrong: Vec<String> = self.nodes.iter().flat_map(|node| self.wrong(node, foreign)).collect();
            if wrong.is_empty() {
                return;
            }
            if begun.elapsed() >= WAIT {
                let logs: Vec<_> = self.nodes.iter().map(|node| node.log_tail(20)).collect();
                panic!("{} calls: {wrong:#?}\n{}", self.made.len(), logs.join("\n--\n"));
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    fn wrong(&self, node: &Node, foreign: usize) -> Vec<String> {
        let rows = match node.records() {
            Ok(rows) => rows,
            Err(error) => return vec![error.chain()],
        };
        let (ours, others): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.src != "asterisk");
        let mut wrong = compare_records(&self.made, &ours);
        if others.len() != foreign {
            wrong.push(format!("{} rows of others", others.len()));
        }
        match node.ask("status") {
            Ok(status) if status["records_waiting"] == 0 => {}
            Ok(status) => wrong.push(format!("{} records wait", status["records_waiting"])),
            Err(error) => wrong.push(error.chain()),
        }
        wrong
    }

    /// Each server has all rows, each identity once; the members of a cluster follow each other.
    pub fn equal(&self, servers: &[&Server], foreign: usize) {
        let sql = "SELECT COUNT(*), COUNT(DISTINCT identity) FROM cdr";
        let wanted = [self.made.len() + foreign, self.made.len()];
        for server in servers {
            let begun = Instant::now();
            loop {
                let text = server.sql(sql).expect("counts");
                let counts: Vec<usize> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
                if counts == wanted {
                    break;
                }
                assert!(begun.elapsed() < WAIT, "{counts:?} instead of {wanted:?} on {}", server.host.name);
                thread::sleep(LOOK_EVERY);
            }
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        put_away(&mut self.nodes, &self.directory);
        if self.disks.take().is_some() {
            // What they were mounted on.
            put_away(&mut self.nodes, &self.directory);
        }
    }
}

/// What `tandem doctor` says of the store of call records: verdicts and texts, an address after the other.
pub fn doctor(node: &Node) -> Vec<(String, String)> {
    let (_, text) = node.operate(&["doctor", "--json"]).expect("the program");
    let report: serde_json::Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let findings = report["findings"].as_array().expect("findings").iter();
    let text = |finding: &serde_json::Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    let found = findings.filter(|finding| finding["check"] == "call records");
    found.map(|finding| (text(finding, "verdict"), text(finding, "text"))).collect()
}

/// What `tandem config status --json` says; nothing when the node does not answer.
pub fn told_configuration(node: &Node) -> serde_json::Value {
    let (_, text) = node.operate(&["config", "status", "--json"]).expect("the program");
    serde_json::from_str(&text).unwrap_or_default()
}

pub fn wait_for(what: &str, mut wanted: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !wanted() {
        assert!(begun.elapsed() < WAIT, "in vain: {what}");
        thread::sleep(LOOK_EVERY);
    }
}

/// As the configuration names it.
pub fn write_password(directory: &Path, password: &str) {
    let path = directory.join("password");
    fs::write(&path, password).expect("a password");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its mode");
}

/// This caller rings the phone that does not answer.
fn rings(caller: usize) -> bool {
    caller % UNANSWERED_EACH == UNANSWERED_EACH - 1
}

fn state(driver: &Driver, phone: usize) -> CallState {
    driver.phone(phone).map_or(CallState::Idle, |phone| phone.state())
}

fn account(index: usize) -> Account {
    let index = u8::try_from(index).expect("few phones");
    Account {
        number: (5000 + u32::from(index)).to_string(),
        password: format!("secret-{index}"),
        address: Ipv4Addr::new(10, 77, 0, 150 + index),
    }
}

/// The product's program.
pub fn binary() -> PathBuf {
    let built = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/tandem");
    let path = std::env::var_os("TANDEM_BINARY").map_or_else(built, PathBuf::from);
    path.canonicalize().unwrap_or_else(|error| panic!("{}: {error}; build it or set TANDEM_BINARY", path.display()))
}
