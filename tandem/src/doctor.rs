//! What `tandem doctor` asks of other rooms: the key, the clock, the way to tell neighbours, the witness; and, in `store`,
//! where call records go.

mod store;

use std::error::Error;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use admin::config::{Config, Service, WitnessPlace};
use admin::doctor::{Finding, Probes};
use net::etcd::gateway::Header;
use net::etcd::{Members, Settings};
use net::key::{KeyError, PairKey};
use net::neighbours::Neighbours;
use net::witness::{DATAGRAM_BYTES_MAX, Seal};
use node::cluster::witness::{Answer, Ask, Want};

use crate::witness::etcd_settings;

/// A witness answers within milliseconds.
const WITNESS_WAIT: Duration = Duration::from_millis(500);
const WITNESS_AGAIN: Duration = Duration::from_millis(100);

/// A pair makes so many changes within half a day. An etcd that still has the oldest of them forgets nothing.
const ETCD_REVISIONS_KEPT_MAX: u64 = 500_000;

pub fn probe(config: &Config) -> Probes {
    let mut findings = Vec::new();
    if let Some(peer) = &config.peer {
        findings.push(key(&peer.key_file));
    }
    for interface in config.service.iter().flat_map(Service::interfaces) {
        findings.push(neighbours(&interface));
    }
    if let (Some(witness), Some(peer)) = (&config.safeguards.witness, &config.peer)
        && let Ok(key) = PairKey::read(&peer.key_file)
    {
        let seal = Seal::new(&key.witness_key());
        findings.extend(match &witness.place {
            WitnessPlace::Machine(addresses) => self::witness(addresses, &seal, config.index.0),
            WitnessPlace::Etcd(etcd) => self::etcd(&etcd_settings(etcd, &seal)),
        });
    }
    findings.extend(store::findings(&config.state_dir, &config.records));
    Probes { clock_synchronised: net::clock::is_synchronised(), findings }
}

fn key(path: &std::path::Path) -> Finding {
    const CHECK: &str = "key file";
    match PairKey::read(path) {
        Ok(_) => Finding::ok(CHECK, format!("{}, readable by its owner alone", path.display())),
        Err(KeyError::Readable { path, mode }) => Finding::problem(
            CHECK,
            format!("{} can be read by others (mode {mode:04o})", path.display()),
            format!("chmod 600 {}", path.display()),
        ),
        Err(error) => Finding::problem(
            CHECK,
            chain(&error),
            "make the pair with `tandem init` and `tandem join`, or copy the key of the other machine",
        ),
    }
}

fn neighbours(interface: &str) -> Finding {
    const CHECK: &str = "gratuitous ARP";
    match Neighbours::open(interface) {
        Ok(_) => Finding::ok(CHECK, format!("can be sent on {interface}")),
        Err(error) => Finding::problem(
            CHECK,
            format!("neighbours cannot be told that the address moved: {}", chain(&error)),
            "run it as root or with CAP_NET_RAW, on an Ethernet interface",
        ),
    }
}

/// Every member is asked, and all must be of one cluster, which must let us write and forget what is long past.
fn etcd(settings: &Settings) -> Vec<Finding> {
    const CHECK: &str = "witness";
    let mut members = match Members::new(settings) {
        Ok(members) => members,
        Err(error) => return vec![Finding::problem(CHECK, chain(&error), "mend the files that [witness] names")],
    };
    let mut findings = Vec::new();
    let mut clusters = Vec::new();
    for (place, address) in settings.members.iter().enumerate() {
        let begun = Instant::now();
        let Header { cluster, revision } = match members.look(place) {
            Ok(header) => header,
            Err(error) => {
                let todo = "let the node reach it, and let its user read and write below /tandem/";
                findings.push(Finding::problem(CHECK, format!("{address}: {}", chain(&error)), todo));
                continue;
            }
        };
        clusters.push(cluster);
        let text = format!("{address} answers within {} ms and lets us write", begun.elapsed().as_millis());
        findings.push(Finding::ok(CHECK, text));
        let long_past = revision.checked_sub(ETCD_REVISIONS_KEPT_MAX).filter(|past| *past > 0);
        if clusters.len() == 1 && long_past.is_some_and(|past| members.remembers(place, past)) {
            let text = "etcd keeps every change for ever, and each lease is renewed ten times a second";
            let todo = "start its members with --auto-compaction-retention=1h, or its disk quota will be used up";
            findings.push(Finding::problem(CHECK, text, todo));
        }
    }
    if clusters.windows(2).any(|pair| pair.first() != pair.last()) {
        let todo = "name the members of one cluster only: two of them would let both nodes serve";
        findings.push(Finding::problem(CHECK, "the members are of different clusters", todo));
    }
    findings
}

/// Every way to the witness is tried, and all must lead to one.
fn witness(addresses: &[SocketAddr], seal: &Seal, index: u8) -> Vec<Finding> {
    const CHECK: &str = "witness";
    let mut findings = Vec::new();
    let mut lives = Vec::new();
    for address in addresses {
        match look(*address, seal, index) {
            Some(answer) => {
                lives.push(answer.life);
                findings.push(Finding::ok(CHECK, format!("{address} answers")));
            }
            None => findings.push(Finding::problem(
                CHECK,
                format!("{address} does not answer"),
                "start `tandem witness` there with this pair's key (`tandem key FILE --witness-of PAIR_KEY` makes it), \
                 and let UDP pass",
            )),
        }
    }
    if lives.windows(2).any(|pair| pair.first() != pair.last()) {
        let todo = "name one witness only, by several addresses: two of them would let both nodes serve";
        findings.push(Finding::problem(CHECK, "the addresses lead to different witnesses", todo));
    }
    findings
}

/// Asks without taking part: nothing changes at the witness.
fn look(address: SocketAddr, seal: &Seal, index: u8) -> Option<Answer> {
    let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).ok()?;
    socket.set_read_timeout(Some(WITNESS_AGAIN)).ok()?;
    let sequence = u64::from_ne_bytes(net::clock::random_bytes().ok()?);
    let ask = Ask { index: base::NodeIndex(index), sequence, want: Want::Look, ..Ask::default() };
    let datagram = seal.seal_ask(&ask.encode());
    let begun = Instant::now();
    let mut buffer = [0; DATAGRAM_BYTES_MAX];
    while begun.elapsed() < WITNESS_WAIT {
        socket.send_to(&datagram, address).ok()?;
        let Ok((length, _)) = socket.recv_from(&mut buffer) else { continue };
        let answer = seal.open_answer(buffer.get(..length)?).and_then(|body| Answer::decode(body).ok());
        if let Some(answer) = answer.filter(|answer| answer.sequence == sequence) {
            return Some(answer);
        }
    }
    None
}

/// The error and its causes in one line.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
