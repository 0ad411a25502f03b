//! The parent process against the real kernel: this program is started again as the parent, which starts it again as
//! a small daemon.

mod common;

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode};
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{INTERFACE, in_namespace, ip};
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use tandem_net::clock::{local_now, random};
use tandem_net::key::PairKey;
use tandem_net::link::{Link, Received};
use tandem_net::netlink::Addresses;
use tandem_net::parent::{FromParent, LinkPath, Parent, ParentConfig, ParentHandle, ServiceAddress};

const LOCAL: &str = "10.77.0.11:7700";
const REMOTE: &str = "10.77.0.12:7700";
/// Where the daemon tells the test what it does.
const REPORTS: &str = "10.77.0.12:9999";
const SERVICE: &str = "10.77.0.100";
/// Of the same group; of the other version.
const FURTHER: &str = "2001:db8::100";

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(10);

fn key() -> PairKey {
    PairKey::from_bytes([7; 32])
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("parent") => run_parent(&arguments[2]),
        Some("daemon") => run_daemon(&arguments[2]),
        filter => run_tests(filter.filter(|filter| !filter.starts_with('-'))),
    }
}

fn run_tests(filter: Option<&str>) -> ExitCode {
    let tests: [(&str, fn()); 11] = [
        ("the_lease_ends_with_a_killed_parent", the_lease_ends_with_a_killed_parent),
        ("the_lease_is_renewed", the_lease_is_renewed),
        ("a_killed_protected_daemon_gives_way", || a_protected_daemon_gives_way(Signal::SIGKILL)),
        ("a_frozen_protected_daemon_gives_way", || a_protected_daemon_gives_way(Signal::SIGSTOP)),
        ("a_daemon_that_dies_slowly_gives_way_at_once", a_daemon_that_dies_slowly_gives_way_at_once),
        ("a_lone_daemon_goes_on", a_lone_daemon_goes_on),
        ("many_sockets_outlive_the_daemon", many_sockets_outlive_the_daemon),
        ("a_deleted_address_comes_back", a_deleted_address_comes_back),
        ("a_second_node_is_refused_the_address", a_second_node_is_refused_the_address),
        ("a_stop_is_in_order", a_stop_is_in_order),
        ("a_bad_configuration_ends_the_parent", a_bad_configuration_ends_the_parent),
    ];
    for (name, test) in tests.iter().filter(|(name, _)| filter.is_none_or(|filter| name.contains(filter))) {
        in_namespace(test);
        println!("test {name} ... ok");
    }
    ExitCode::SUCCESS
}

fn run_parent(mode: &str) -> ExitCode {
    let config = ParentConfig {
        program: PathBuf::from("/proc/self/exe"),
        arguments: vec!["daemon".into(), mode.into()],
        services: [SERVICE, FURTHER]
            .map(|address| ServiceAddress { interface: INTERFACE.into(), address: address.parse().unwrap() })
            .into(),
        virtual_interface: None,
        links: vec![LinkPath { local: LOCAL.parse().unwrap(), remote: REMOTE.parse().unwrap() }],
        key: Some(key()),
    };
    match Parent::run(config) {
        Ok(code) => ExitCode::from(code),
        Err(error) => panic!("{error:?}"),
    }
}

/// A daemon that is active in its first life, or when it is told to resume.
fn run_daemon(mode: &str) -> ExitCode {
    if mode == "bad" {
        return ExitCode::from(2);
    }
    let parent = Arc::new(ParentHandle::connect().unwrap());
    parent.tie_lifeline().unwrap();
    let inheritance = parent.inherit(PATIENCE).unwrap();
    let reports = UdpSocket::bind("10.77.0.11:0").unwrap();
    let report = |text: String| reports.send_to(text.as_bytes(), REPORTS).unwrap();
    let held = inheritance.sockets.len();
    let is_active = held == 0 || inheritance.resume_active.is_some();
    let epoch = inheritance.resume_active.unwrap_or_default().next(base::NodeIndex(0));
    let mut kept = Vec::new();
    if held == 0 {
        let count = if mode == "many" { 3_000 } else { 1 };
        let sockets: Vec<_> = (0..count)
            .map(|number| {
                (format!("socket {number}"), UdpSocket::bind(if number == 0 { LOCAL } else { "127.0.0.1:0" }).unwrap())
            })
            .collect();
        let borrowed: Vec<_> = sockets.iter().map(|(name, socket)| (name.clone(), socket.as_fd())).collect();
        parent.hold_many(&borrowed).unwrap();
        kept = sockets;
    }
    report(format!(
        "started {} {} {} {}",
        std::process::id(),
        inheritance.incarnation.0,
        held,
        inheritance.resume_active.map_or("-".into(), |epoch| epoch.to_string())
    ));
    if is_active {
        parent.claim(epoch).unwrap();
    }
    let protected = mode == "protected";
    loop {
        match parent.receive().unwrap() {
            Some(FromParent::Claimed { epoch }) => {
                // The test may kill as soon as it reads the report.
                parent.stamp(is_active, epoch, protected).unwrap();
                report(format!("claimed {epoch}"));
            }
            Some(FromParent::Stop) => {
                parent.yield_address().unwrap();
                parent.stopping_done().unwrap();
                drop(kept);
                return ExitCode::SUCCESS;
            }
            Some(other) => drop(report(format!("{other:?}"))),
            None => {
                parent.stamp(is_active, epoch, protected && is_active).unwrap();
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

/// What a daemon says when it starts.
#[derive(Debug)]
struct Life {
    pid: Pid,
    incarnation: u64,
    held: usize,
    resume: String,
}

/// A running parent, killed at the end of the test, and what is heard from it.
struct Node {
    parent: Child,
    reports: UdpSocket,
    peer: UdpSocket,
}

impl Node {
    fn start(mode: &str) -> Self {
        let reports = UdpSocket::bind(REPORTS).unwrap();
        let peer = UdpSocket::bind(REMOTE).unwrap();
        for socket in [&reports, &peer] {
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
        }
        let parent = Command::new(std::env::current_exe().unwrap()).args(["parent", mode]).spawn().unwrap();
        Self { parent, reports, peer }
    }

    fn active(mode: &str) -> (Self, Life) {
        let node = Self::start(mode);
        let life = node.life();
        assert_eq!(node.report(), "claimed 1.0");
        assert!(has_service());
        (node, life)
    }

    fn report(&self) -> String {
        let mut buffer = [0; 200];
        let length = self.reports.recv(&mut buffer).expect("a report of the daemon");
        String::from_utf8_lossy(&buffer[..length]).into()
    }

    fn life(&self) -> Life {
        let report = self.report();
        let words: Vec<&str> = report.split(' ').collect();
        assert_eq!((words[0], words.len()), ("started", 5), "{report}");
        Life {
            pid: Pid::from_raw(words[1].parse().unwrap()),
            incarnation: words[2].parse().unwrap(),
            held: words[3].parse().unwrap(),
            resume: words[4].into(),
        }
    }

    fn farewell(&self) -> u64 {
        let mut buffer = [0; 200];
        let (length, source) = self.peer.recv_from(&mut buffer).expect("a farewell");
        let (local, remote): (SocketAddr, SocketAddr) = (REMOTE.parse().unwrap(), LOCAL.parse().unwrap());
        let mut link = Link::new(local, remote, &key(), random().unwrap(), local_now());
        match link.receive(local_now(), source, &buffer[..length]) {
            Received::Farewell(incarnation) => incarnation.0,
            other => panic!("no farewell: {other:?}"),
        }
    }

    fn signal_parent(&self, signal: Signal) {
        kill(Pid::from_raw(self.parent.id() as i32), signal).unwrap();
    }

    fn exit_code(&mut self) -> Option<i32> {
        let mut code = None;
        eventually("the parent ends", || {
            code = self.parent.try_wait().unwrap();
            code.is_some()
        });
        code.unwrap().code()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.parent.kill();
        let _ = self.parent.wait();
    }
}

/// Both addresses are there, or none is: in between is a moment only. Leases of the two versions end within a second.
fn has_service() -> bool {
    let until = Instant::now() + Duration::from_secs(3);
    loop {
        let mut addresses = Addresses::open().unwrap();
        match [SERVICE, FURTHER].map(|it| addresses.has(INTERFACE, it.parse::<IpAddr>().unwrap()).unwrap()) {
            [first, further] if first == further => return first,
            half => assert!(Instant::now() < until, "half of the group: {half:?}"),
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < until, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn is_alive(pid: Pid) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !status.is_empty() && !status.contains(") Z ")
}

/// facts/linux.md: an address with `valid_lft` 2 s disappears 2.1 to 2.8 s after the last renewal.
fn the_lease_ends_with_a_killed_parent() {
    let (node, life) = Node::active("alone");
    node.signal_parent(Signal::SIGKILL);
    eventually("the daemon dies with its parent", || !is_alive(life.pid));
    assert!(has_service(), "nobody is left to remove it, only its lease ends it");
    eventually("the lease ends", || !has_service());
}

fn the_lease_is_renewed() {
    let (_node, _) = Node::active("alone");
    let until = Instant::now() + Duration::from_secs(4);
    while Instant::now() < until {
        assert!(has_service());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// facts/linux.md: the lease does not fence at once, a frozen daemon's kernel still answers ARP until it ends; so the
/// parent removes the address. SIGKILL to pidfd notification takes a fraction of a millisecond.
fn a_protected_daemon_gives_way(signal: Signal) {
    let (mut node, life) = Node::active("protected");
    kill(life.pid, signal).unwrap();
    for _ in 0..3 {
        assert_eq!(node.farewell(), life.incarnation);
        assert!(!has_service());
    }
    let next = node.life();
    assert_ne!((next.pid, next.incarnation), (life.pid, life.incarnation));
    assert_eq!((next.held, next.resume.as_str()), (1, "-"));
    assert!(!is_alive(life.pid));
    // The newcomer is no active node: when it dies in turn, nobody is told.
    std::thread::sleep(Duration::from_millis(200));
    kill(next.pid, Signal::SIGKILL).unwrap();
    assert_eq!(node.life().held, 1);
    node.peer.set_nonblocking(true).unwrap();
    assert_eq!(node.peer.recv(&mut [0; 10]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    node.signal_parent(Signal::SIGTERM);
    assert_eq!(node.exit_code(), Some(0));
}

/// As one whose thread waits for a disk: it is as good as dead, but has not ended.
fn a_daemon_that_dies_slowly_gives_way_at_once() {
    let (mut node, life) = Node::active("protected");
    // The daemon's main thread stops on its way out, until it is let go.
    ptrace::seize(life.pid, ptrace::Options::PTRACE_O_TRACEEXIT).unwrap();
    kill(life.pid, Signal::SIGKILL).unwrap();
    for _ in 0..3 {
        assert_eq!(node.farewell(), life.incarnation);
        assert!(!has_service());
    }
    assert!(is_alive(life.pid), "the next life must wait for the end of this one");
    assert!(matches!(waitpid(life.pid, None).unwrap(), WaitStatus::PtraceEvent(..)));
    ptrace::cont(life.pid, None).unwrap();
    assert!(matches!(waitpid(life.pid, None).unwrap(), WaitStatus::Signaled(..)));
    assert_eq!(node.life().held, 1);
    node.signal_parent(Signal::SIGTERM);
    assert_eq!(node.exit_code(), Some(0));
}

fn a_lone_daemon_goes_on() {
    let (node, mut life) = Node::active("alone");
    for epoch in 1..4 {
        kill(life.pid, Signal::SIGKILL).unwrap();
        life = node.life();
        assert!(has_service());
        assert_eq!((life.held, life.resume), (1, format!("{epoch}.0")));
        life.resume = String::new();
        assert_eq!(node.report(), format!("claimed {}.0", epoch + 1));
        std::thread::sleep(Duration::from_millis(100));
    }
    node.peer.set_nonblocking(true).unwrap();
    assert_eq!(node.peer.recv(&mut [0; 10]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

/// facts/linux.md: when a process dies with its UDP sockets, the kernel answers packets with ICMP port unreachable; a
/// parent that holds the same sockets avoids that. With thousands of sockets the end takes milliseconds.
fn many_sockets_outlive_the_daemon() {
    let (node, life) = Node::active("many");
    std::thread::sleep(Duration::from_millis(100));
    kill(life.pid, Signal::SIGKILL).unwrap();
    assert_eq!(node.life().held, 3_000);
}

fn a_deleted_address_comes_back() {
    let (_node, _) = Node::active("alone");
    std::thread::sleep(Duration::from_millis(50));
    for one in [format!("{SERVICE}/32"), format!("{FURTHER}/128")] {
        ip(&format!("addr del {one} dev {INTERFACE}"));
        eventually("the address is back", has_service);
    }
}

/// Two nodes on one machine have service addresses of their own.
fn a_second_node_is_refused_the_address() {
    let (_node, _) = Node::active("alone");
    let second = Command::new(std::env::current_exe().unwrap()).args(["parent", "alone"]).output().unwrap();
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(!second.status.success() && said.contains(&format!("AlreadyServed {{ address: {SERVICE} }}")), "{said}");
    assert!(has_service(), "and it has taken nothing away");
}

fn a_stop_is_in_order() {
    let (mut node, life) = Node::active("protected");
    node.signal_parent(Signal::SIGTERM);
    assert_eq!(node.exit_code(), Some(0));
    assert!(!has_service() && !is_alive(life.pid));
    node.peer.set_nonblocking(true).unwrap();
    assert_eq!(node.peer.recv(&mut [0; 10]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

fn a_bad_configuration_ends_the_parent() {
    let mut node = Node::start("bad");
    assert_eq!(node.exit_code(), Some(2));
}
