//! The arrows between the rooms (design, section 2), read from each Cargo.toml.

use std::collections::BTreeMap;

use super::{Finding, assert_none, files};

/// Each crate by its folder, and the rooms that it may know. What is not listed must be added here on purpose.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("core/base", &[]),
    ("core/sip", &["base"]),
    ("core/media", &["base"]),
    ("core/cluster", &["base"]),
    ("core/replication", &["base"]),
    ("core/pbx", &["base", "sip", "media"]),
    ("core/node", &["base", "sip", "media", "cluster", "replication", "pbx"]),
    ("shell/net", &["base", "media", "node"]),
    ("shell/storage", &["base", "node", "pbx", "replication"]),
    ("shell/admin", &["base", "node", "pbx"]),
    ("phone", &[]),
    ("sim", &["node", "phone"]),
    ("lab", &["phone"]),
    ("tandem", &["base", "node", "pbx", "net", "storage", "admin", "lab"]),
    ("fuzz", &[]),
    ("bench", &["base", "replication", "net", "lab", "node", "pbx", "sip", "media", "storage", "phone", "sim"]),
];

/// Every crate of the workspace that has a room's name.
const ROOMS: &[&str] = &[
    "base",
    "sip",
    "media",
    "cluster",
    "replication",
    "pbx",
    "node",
    "net",
    "storage",
    "admin",
    "phone",
    "sim",
    "lab",
    "fuzz",
    "bench",
    "tandem",
];

/// What the core must not even be able to call.
const BANNED_IN_CORE: &[&str] =
    &["tokio", "libc", "nix", "socket2", "sqlx", "rand", "getrandom", "mio", "rustix", "tracing"];

/// Dependencies of one kind, by the crate's folder.
fn dependencies(of: &str, manifest: &str) -> Vec<String> {
    let mut section = String::new();
    let mut names = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']).to_owned();
            // A dependency in a table of its own: `[dependencies.name]`.
            if let Some(name) = section.strip_prefix(&format!("{of}.")) {
                names.push(name.to_owned());
            }
        } else if section == of && !line.is_empty() && !line.starts_with('#') {
            let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
            names.push(name.trim_matches('"').to_owned());
        }
    }
    names.iter().map(|name| name.strip_prefix("tandem-").unwrap_or(name).to_owned()).collect()
}

fn manifests() -> BTreeMap<String, String> {
    let manifests = files().into_iter().filter(|file| file.path.ends_with("/Cargo.toml"));
    manifests.map(|file| (file.path.trim_end_matches("/Cargo.toml").to_owned(), file.text)).collect()
}

#[test]
fn rooms_know_only_what_they_may() {
    let mut findings: Vec<Finding> = Vec::new();
    let manifests = manifests();
    for (folder, manifest) in &manifests {
        let Some((_, may_know)) = MAY_KNOW.iter().find(|(of, _)| of == folder) else {
            findings.push(format!(
                "{folder}/Cargo.toml: this crate has no place in the house: give it one in the tidy check"
            ));
            continue;
        };
        for kind in ["dependencies", "build-dependencies"] {
            for name in dependencies(kind, manifest) {
                if ROOMS.contains(&name.as_str()) && !may_know.contains(&name.as_str()) {
                    findings.push(format!("{folder}/Cargo.toml: {folder} must not know {name}"));
                }
            }
        }
    }
    for (folder, _) in MAY_KNOW {
        if !manifests.contains_key(*folder) {
            findings.push(format!("{folder}: the tidy check speaks of a crate that is not there"));
        }
    }
    assert_none(findings);
}

/// A test may look at more than its room, but never from the core into the shell, nor from one shell crate into
/// another, nor at the product from the phone.
#[test]
fn tests_keep_the_great_walls() {
    let mut findings: Vec<Finding> = Vec::new();
    for (folder, manifest) in manifests() {
        for name in dependencies("dev-dependencies", &manifest) {
            let is_shell = ["net", "storage", "admin"].contains(&name.as_str());
            let is_product =
                is_shell || ["base", "sip", "media", "cluster", "replication", "pbx", "node"].contains(&name.as_str());
            let breaks = match folder.split('/').next() {
                Some("core" | "shell") => is_shell || name == "tandem" || name == "lab",
                Some("phone" | "sim") => is_product && !(folder == "sim" && name == "node"),
                _ => false,
            };
            if breaks {
                findings.push(format!("{folder}/Cargo.toml: its tests must not know {name}"));
            }
        }
    }
    assert_none(findings);
}

#[test]
fn the_core_depends_on_nothing_that_touches_the_world() {
    let mut findings: Vec<Finding> = Vec::new();
    for (folder, manifest) in manifests().into_iter().filter(|(folder, _)| folder.starts_with("core/")) {
        for name in dependencies("dependencies", &manifest) {
            if BANNED_IN_CORE.contains(&name.as_str()) {
                findings.push(format!("{folder}/Cargo.toml: the core must not depend on {name}"));
            }
        }
    }
    assert_none(findings);
}

#[test]
fn manifests_are_read_in_every_form() {
    let manifest = "[package]\nname = \"x\"\n[dependencies]\nbase.workspace = true\nnix = { version = \"1\" }\n\"tandem-net\" = \"1\"\n\
        # sim.workspace = true\n\n[dependencies.sip]\nworkspace = true\n[dev-dependencies]\nlab.workspace = true\n";
    assert_eq!(dependencies("dependencies", manifest), ["base", "nix", "net", "sip"]);
    assert_eq!(dependencies("dev-dependencies", manifest), ["lab"]);
}
