//! Mutual backup: two pairs on the same two machines, each of which is active for one service and standby for the other.
//! docs/mutual-backup.md has the files.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use tandem_lab::netns::Network;
use tandem_lab::nodes::{Status, make_key};
use tandem_lab::process::output;

use crate::pair::{Lab, binary, example_files};
use crate::sipp::INTERNAL;

/// The nodes of the lab: both pairs' on the one machine, then on the other.
const PLACES: [(&str, &str); 4] = [("a", "a-north"), ("a", "a-south"), ("b", "b-north"), ("b", "b-south")];
const A_NORTH: usize = 0;
const A_SOUTH: usize = 1;
const B_NORTH: usize = 2;
const B_SOUTH: usize = 3;

const WAIT: Duration = Duration::from_secs(20);
const COMMAND_LIMIT: Duration = Duration::from_secs(10);

struct Pair {
    name: &'static str,
    address: Ipv4Addr,
    link_port: u16,
    vrid: u8,
    /// The machine that has it while both are well.
    preferred: &'static str,
}

const PAIRS: [Pair; 2] = [
    Pair { name: "north", address: Ipv4Addr::new(10, 77, 0, 100), link_port: 7700, vrid: 10, preferred: "a" },
    Pair { name: "south", address: Ipv4Addr::new(10, 77, 0, 101), link_port: 7710, vrid: 11, preferred: "b" },
];

fn text(network: &Network, pair: &Pair, own: &str, other: &str) -> String {
    let address = |name: &str| network.host(name).expect("a host").address;
    let priority = if own == pair.preferred { 150 } else { 100 };
    let (port, name) = (pair.link_port, pair.name);
    format!(
        "[node]\nname = \"{own}\"\nstate_dir = \"state\"\npbx_dir = \"pbx\"\nfailback = \"automatic\"\n\
         preempt_delay = 1\nwait_for_peer = 2\n\n\
         [service]\naddress = \"{}/24\"\ninterface = \"eth0\"\nvrid = {}\npriority = {priority}\n\n\
         [peer]\nkey_file = \"../{name}.key\"\n\n\
         [[peer.link]]\nlocal = \"{}:{port}\"\nremote = \"{}:{port}\"\n",
        pair.address,
        pair.vrid,
        address(own),
        address(other)
    )
}

fn write_files(network: &Network, directory: &Path) {
    for pair in &PAIRS {
        make_key(&binary(), &directory.join(format!("{}.key", pair.name))).expect("a key");
        for (own, other) in [("a", "b"), ("b", "a")] {
            let folder = directory.join(format!("{own}-{}", pair.name));
            let pbx = folder.join("pbx");
            fs::create_dir_all(&pbx).expect("a folder");
            for file in ["sip.conf", "extensions.conf"] {
                fs::copy(example_files(INTERNAL.name).join(file), pbx.join(file)).expect("a copy");
            }
            fs::write(folder.join("tandem.toml"), text(network, pair, own, other)).expect("a file");
        }
    }
}

fn statuses(lab: &Lab) -> Vec<Option<Status>> {
    lab.nodes.iter().map(|node| node.status().ok()).collect()
}

/// Waits until exactly these nodes serve, protected where there are four, and have the addresses.
fn wait_serving(lab: &Lab, serving: &[usize], protected: bool) {
    let begun = Instant::now();
    loop {
        let told = statuses(lab);
        let serves = |index: usize| told[index].as_ref().is_some_and(Status::serves);
        let is_protected = |index: &usize| told[*index].as_ref().is_some_and(|status| status.protected);
        if (0..PLACES.len()).all(|index| serves(index) == serving.contains(&index))
            && (!protected || serving.iter().all(is_protected))
        {
            break;
        }
        assert!(begun.elapsed() < WAIT, "{serving:?} are to serve: {told:?}");
        thread::sleep(Duration::from_millis(50));
    }
    for (index, (host, folder)) in PLACES.iter().enumerate() {
        let pair = PAIRS.iter().find(|pair| folder.ends_with(pair.name)).expect("a pair");
        let has = lab.host(host).has_address(pair.address).expect("addresses");
        assert_eq!(has, serving.contains(&index), "{} on {host}", pair.address);
    }
}

/// What a further node on this machine says before it gives up.
fn refused(lab: &Lab, folder: &Path) -> String {
    let mut command: Command = lab.host("a").command(&binary().display().to_string());
    let told = output(command.arg("serve").arg("--config").arg(folder.join("tandem.toml")), "", COMMAND_LIMIT);
    let told = told.expect("the end of a node that cannot start");
    assert!(!told.status.success());
    String::from_utf8_lossy(&told.stderr).into_owned()
}

#[test]
fn each_machine_backs_up_the_other() {
    let mut lab = Lab::of_nodes(&PLACES, write_files);
    wait_serving(&lab, &[A_NORTH, B_SOUTH], true);

    // What two nodes on one machine may not share is said by its name, and nobody is disturbed.
    let third = lab.directory.join("third");
    let file = |name: &str| fs::read_to_string(lab.directory.join(name).join("tandem.toml")).expect("a file");
    let pbx = format!("pbx_dir = \"{}\"", lab.directory.join("a-north/pbx").display());
    let begin = |text: String| {
        fs::create_dir_all(&third).expect("a folder");
        fs::write(third.join("tandem.toml"), text.replace("pbx_dir = \"pbx\"", &pbx)).expect("a file");
        refused(&lab, &third)
    };
    let said = begin(file("a-north"));
    assert!(said.contains("another tandem on this machine serves 10.77.0.100"), "{said}");
    let other_address = file("a-north").replace("10.77.0.100", "10.77.0.102");
    let state = format!("state_dir = \"{}\"", lab.directory.join("a-north/state").display());
    let said = begin(other_address.replace("state_dir = \"state\"", &state));
    assert!(said.contains("another tandem uses"), "{said}");
    let said = begin(other_address);
    assert!(said.contains("bind UDP socket 10.77.0.11:7700"), "{said}");
    wait_serving(&lab, &[A_NORTH, B_SOUTH], true);

    // One machine dies, the other one serves both; what comes back takes its own again.
    for index in [A_NORTH, A_SOUTH] {
        lab.nodes[index].kill().expect("a kill");
    }
    wait_until_leases_end(&lab, "a");
    wait_serving(&lab, &[B_NORTH, B_SOUTH], false);
    for index in [A_NORTH, A_SOUTH] {
        lab.nodes[index].start().expect("a node");
    }
    wait_serving(&lab, &[A_NORTH, B_SOUTH], true);
}

/// A machine that died would have no addresses any more; here only the processes died.
fn wait_until_leases_end(lab: &Lab, host: &str) {
    let begun = Instant::now();
    while PAIRS.iter().any(|pair| lab.host(host).has_address(pair.address).expect("addresses")) {
        assert!(begun.elapsed() < WAIT);
        thread::sleep(Duration::from_millis(50));
    }
}
