//! What `tandem doctor` asks of the network room: the key, the clock, the way to tell neighbours.

use std::error::Error;

use admin::config::{Config, Service};
use admin::doctor::{Finding, Probes};
use net::key::{KeyError, PairKey};
use net::neighbours::Neighbours;

pub fn probe(config: &Config) -> Probes {
    let mut findings = Vec::new();
    if let Some(peer) = &config.peer {
        findings.push(key(&peer.key_file));
    }
    for interface in config.service.iter().flat_map(Service::interfaces) {
        findings.push(neighbours(&interface));
    }
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
