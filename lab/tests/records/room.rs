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
use phone::{CallState, PhoneCommand};
use tandem_lab::netns::{Host, Network};
use tandem_lab::nodes::{ECHO_NUMBER, Node, SERVICE, Status, make_key, put_away};
use tandem_lab::phones::{Account, Driver, Phones, SIP_PORT};
use tandem_lab::stores::{PASSWORD, Server};
use tandem_lab::{ExpectedCall, compare_records};

/// What is to come comes within this time, or the test fails.
const WAIT: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(100);

const NODES: [(&str, Ipv4Addr); 2] = [("a", Ipv4Addr::new(10, 77, 0, 11)), ("b", Ipv4Addr::new(10, 77, 0, 12))];
const PHONES: (&str, Ipv4Addr) = ("phones", Ipv4Addr::new(10, 77, 0, 21));

/// Phones that call; one more never answers.
const CALLERS: usize = 8;

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
}

pub struct Ground {
    pub network: Network,
    pub directory: PathBuf,
}

impl Ground {
    /// The network with these hosts for servers beside the pair's and the phones'.
    pub fn new(servers: &[(&str, Ipv4Addr)]) -> Self {
        let hosts: Vec<_> = NODES.iter().chain([&PHONES]).chain(servers).copied().collect();
        let number = ROOMS.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("tandem-records-{}-{number}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory");
        Self { network: Network::build(&hosts).expect("a network"), directory }
    }

    pub fn host(&self, name: &str) -> &Host {
        self.network.host(name).expect("a host")
    }

    /// A protected pair with this store.
    pub fn pair(self, store: &str) -> Room {
        let Self { network, directory } = self;
        write_password(&directory, PASSWORD);
        let key = directory.join("pair.key");
        make_key(&binary(), &key).expect("a key");
        let accounts: Vec<Account> = (0..=CALLERS).map(account).collect();
        let node = |own: &str, other: &str| {
            let (own, other) = (network.host(own).expect("a host"), network.host(other).expect("a host"));
            let node = Node::in_pair(own, other, &binary(), &directory, &key, &accounts).expect("a node's files");
            let file = File::options().append(true).open(directory.join(&own.name).join("tandem.toml"));
            let text = format!("\n[records]\nstore = \"{store}\"\npassword_file = \"../password\"\n");
            file.and_then(|mut file| file.write_all(text.as_bytes())).expect("a node's configuration");
            node
        };
        let mut nodes = vec![node("a", "b"), node("b", "a")];
        nodes.iter_mut().for_each(|node| node.start().expect("a node"));
        let server = SocketAddr::from((SERVICE, SIP_PORT));
        let phones = Phones::start(network.host(PHONES.0).expect("a host"), &accounts, server).expect("phones");
        let mut room = Room { nodes, network, directory, phones, accounts, made: Vec::new() };
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
    pub fn wait_told(&mut self, what: &str, wanted: impl Fn(&serde_json::Value) -> bool) {
        let begun = Instant::now();
        loop {
            let told: Vec<_> = self.nodes.iter().filter_map(|node| node.ask("status").ok()).collect();
            let serves = |status: &&serde_json::Value| matches!(status["role"].as_str(), Some("active" | "alone"));
            let active = told.iter().find(serves);
            if active.is_some_and(|status| wanted(&status["records"])) {
                return;
            }
            assert!(begun.elapsed() < WAIT, "in vain: {what}: {active:?}");
            thread::sleep(LOOK_EVERY);
        }
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
fn binary() -> PathBuf {
    let built = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/tandem");
    let path = std::env::var_os("TANDEM_BINARY").map_or_else(built, PathBuf::from);
    path.canonicalize().unwrap_or_else(|error| panic!("{}: {error}; build it or set TANDEM_BINARY", path.display()))
}
