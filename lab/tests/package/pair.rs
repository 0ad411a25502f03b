//! Two hosts with the installed package: configured from its examples, run as its unit says, used by two phones.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use phone::{CallState, PhoneCommand};
use tandem_lab::netns::Network;
use tandem_lab::nodes::{SERVICE, Status};
use tandem_lab::phones::{Account, Driver, Handset, Phones, SIP_PORT};

use crate::root::Root;
use crate::service::Service;
use crate::unit::Unit;

/// As the example's two machines have them.
const NODE_A: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 11);
const NODE_B: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 12);
const PHONES: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 21);

/// Nobody has more than is needed for what the unit names.
const CAPABILITIES: [(&str, u32); 5] = [
    ("CAP_NET_BIND_SERVICE", 10),
    ("CAP_NET_ADMIN", 12),
    ("CAP_NET_RAW", 13),
    ("CAP_IPC_LOCK", 14),
    ("CAP_SYS_NICE", 23),
];

const EXAMPLES: &str = "usr/share/doc/tandem/examples";
const LIMIT: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What the installed package does on two machines, from its examples to a planned stop of the one that serves.
pub fn serves(root: &Root, unit: &Unit, directory: &Path) {
    let hosts = [("a", NODE_A), ("b", NODE_B), ("phones", PHONES)];
    let network = Network::build(&hosts).expect("a network");
    let host = |name: &str| network.host(name).expect("a host");
    let mut nodes = [host("a"), host("b")].map(|host| Service::new(host, root, unit, directory));
    configure(root, &nodes);
    nodes.iter_mut().for_each(Service::start);
    for node in &mut nodes {
        node.wait_told("READY=1", 1, LIMIT);
        is_least_privileged(node, root);
    }
    let active = wait_protected(&nodes);
    nodes.iter_mut().for_each(|node| node.wait_told("WATCHDOG=1", 2, unit.duration("WatchdogSec")));

    let phones = talk(&network);
    nodes[active].run(&["tandem", "reload"]).unwrap_or_else(|error| panic!("{}", error.chain()));
    assert_eq!(nodes[active].stop(), Some(0), "{}", nodes[active].log());
    assert!(nodes[active].words().contains(&"STOPPING=1".to_owned()));
    let other = &nodes[1 - active];
    wait(other, "the other node serves", |status| status.serves() && status.registration_count() == Some(2));
    phones.with(|driver| driver.command(0, PhoneCommand::HangUp)).expect("phones");
    let ended = |driver: &Driver| driver.handsets.iter().all(|it| matches!(it.phone.state(), CallState::Ended { .. }));
    assert!(phones.wait_for(LIMIT, ended).expect("phones"), "the other node knows the call and ends it at both phones");
}

/// As docs/install.md tells it, by root; the second node has the ends of the link exchanged.
fn configure(root: &Root, nodes: &[Service<'_>; 2]) {
    let text = fs::read_to_string(root.at(EXAMPLES).join("tandem.toml")).expect("the example");
    let [a, b] = nodes;
    a.run(&["tandem", "key", "/etc/tandem/pair.key"]).unwrap_or_else(|error| panic!("{}", error.chain()));
    let key = fs::read(a.configuration("pair.key")).expect("the key");
    for node in nodes {
        node.run(&["cp", "-r", &format!("/{EXAMPLES}/pbx"), "/etc/tandem/"]).expect("a copy");
        node.run(&["chmod", "600", "/etc/tandem/pbx/sip.conf"]).expect("a mode");
    }
    fs::write(a.configuration("tandem.toml"), &text).expect("a file");
    fs::write(b.configuration("tandem.toml"), exchanged(&text)).expect("a file");
    b.run(&["install", "-m", "600", "/dev/null", "/etc/tandem/pair.key"]).expect("a file");
    fs::write(b.configuration("pair.key"), key).expect("the key's copy");
    for node in nodes {
        node.run(&["tandem", "check"]).unwrap_or_else(|error| panic!("{}", error.chain()));
    }
}

fn exchanged(text: &str) -> String {
    let swapped = |line: &str| match line.split_once(' ') {
        Some(("name", _)) => "name = \"b\"".to_owned(),
        Some(("priority", _)) => "priority = 100".to_owned(),
        Some(("local", rest)) => format!("remote {rest}"),
        Some(("remote", rest)) => format!("local {rest}"),
        _ => line.to_owned(),
    };
    text.lines().map(|line| swapped(line) + "\n").collect()
}

/// Parent and daemon have the service's user and the unit's capabilities, which are all that they need.
fn is_least_privileged(node: &Service<'_>, root: &Root) {
    let status = wait(node, "an answer", |status| status.pid.is_some() && status.parent_pid.is_some());
    let bits = CAPABILITIES.iter().fold(0_u64, |bits, (_, number)| bits | 1 << number);
    let user = root.run(&["id", "-u", "tandem"]).trim().to_owned();
    for pid in [status.pid, status.parent_pid].into_iter().flatten() {
        let text = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.unwrap_or_default().split_whitespace().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(field("Uid"), vec![user.clone(); 4]);
        assert_eq!(field("NoNewPrivs"), ["1"]);
        for set in ["CapEff", "CapPrm", "CapBnd", "CapAmb"] {
            assert_eq!(field(set), [format!("{bits:016x}")], "{set}");
        }
    }
    let daemon = status.pid.expect("a daemon");
    let environment = fs::read(format!("/proc/{daemon}/environ")).expect("an environment");
    assert!(!String::from_utf8_lossy(&environment).contains("NOTIFY_SOCKET"), "systemd is the parent's business");
    let log = node.log();
    assert!(!log.contains("is not permitted") && !log.contains("cannot be locked"), "{log}");
}

fn wait(node: &Service<'_>, what: &str, holds: impl Fn(&Status) -> bool) -> Status {
    let begun = Instant::now();
    loop {
        match node.status() {
            Some(status) if holds(&status) => return status,
            status => assert!(begun.elapsed() < LIMIT, "{what}: {status:?}\n{}", node.log()),
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// Gives which of the two serves.
fn wait_protected(nodes: &[Service<'_>; 2]) -> usize {
    let begun = Instant::now();
    loop {
        let told: Vec<_> = nodes.iter().map(|node| node.status().unwrap_or_default()).collect();
        let active = told.iter().position(|status| status.role == "active" && status.protected);
        if let Some(active) = active.filter(|_| told.iter().any(|status| status.role == "standby")) {
            return active;
        }
        assert!(begun.elapsed() < LIMIT, "{told:?}\n{}\n--\n{}", nodes[0].log(), nodes[1].log());
        thread::sleep(LOOK_EVERY);
    }
}

/// The two phones of the example, which register and call each other.
fn talk(network: &Network) -> Phones {
    let account = |number: &str, last: u8| Account {
        number: number.to_owned(),
        password: format!("change-me-{number}"),
        address: Ipv4Addr::new(10, 77, 0, last),
    };
    let accounts = [account("100", 21), account("101", 22)];
    let server = SocketAddr::from((SERVICE, SIP_PORT));
    let phones = Phones::start(network.host("phones").expect("a host"), &accounts, server).expect("phones");
    phones.with(|driver| (0..2).for_each(|at| driver.command(at, PhoneCommand::Register))).expect("phones");
    let registered = phones.wait_for(LIMIT, |driver| driver.handsets.iter().all(|it| it.phone.is_registered()));
    assert!(registered.expect("phones"), "both phones register");
    phones.with(|driver| driver.command(0, PhoneCommand::Call { number: "101".to_owned() })).expect("phones");
    let state = |at: usize, state: CallState| {
        let reached = move |phone: &Handset| phone.phone.state() == state;
        let reached = phones.wait_for(LIMIT, move |driver| driver.handsets.get(at).is_some_and(reached));
        assert!(reached.expect("phones"), "phone {at} reaches its state");
    };
    state(1, CallState::Ringing);
    phones.with(|driver| driver.command(1, PhoneCommand::Answer)).expect("phones");
    (0..2).for_each(|at| state(at, CallState::Talking));
    phones
}
