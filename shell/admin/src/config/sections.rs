//! Owns the meaning of each section of `tandem.toml`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base::NodeIndex;
use node::cluster::Failback;

use super::configuration::{self, synchronization};
use super::error::Problem;
use super::reader::{Document, Problems, Section};
use super::records::{self, records};
use super::safeguards::{self, safeguards};
use super::telling::{self, telling};
use super::{
    Config, LINKS_MAX, Link, PREEMPT_DELAY_DEFAULT, PREEMPT_DELAY_MAX, Peer, Records, Service, WAIT_FOR_PEER,
    WAIT_FOR_PEER_DEFAULT, service, track, value, vrrp,
};

const ROOT_KEYS: [&str; 14] = [
    "node",
    "service",
    "vrrp",
    "track",
    "peer",
    "configuration",
    "witness",
    "ping",
    "fencing",
    "hooks",
    "events",
    "alarm",
    "metrics",
    "records",
];
const NODE_KEYS: [&str; 6] = ["name", "state_dir", "pbx_dir", "failback", "preempt_delay", "wait_for_peer"];
const PEER_KEYS: [&str; 2] = ["key_file", "link"];
const LINK_KEYS: [&str; 2] = ["local", "remote"];

/// Keys that nobody is told to add, because they have a default or stand for others.
const OPTIONAL_KEYS: [&str; 4] = ["failback", "preempt_delay", "wait_for_peer", "addresses"];

const STATE_DIR_EXAMPLE: &str = "/var/lib/tandem";

/// The whole document. Relative paths start at `directory`.
pub(super) fn config(document: &Document<'_>, directory: &Path) -> Result<Config, Problems> {
    let mut problems = Problems::new();
    let root = document.root();
    root.check_keys(&ROOT_KEYS, |key| elsewhere(key, ""), &mut problems);
    let node = node(&root, directory, &mut problems);
    let service = service::service(&root, &mut problems);
    let vrrp = vrrp::vrrp(&root, directory, service.as_ref(), &mut problems);
    let tracks = track::tracks(&root, directory, &mut problems);
    let peer = peer(&root, directory, service.as_ref(), &mut problems);
    let synchronization = synchronization(&root, &mut problems);
    let safeguards = safeguards(&root, directory, service.as_ref(), &mut problems);
    let telling = telling(&root, directory, root.has("peer"), &mut problems);
    let records = records(&root, directory, &mut problems);
    match (node, service, synchronization, records) {
        (Some(node), Some(service), Some(synchronization), Some(records)) if problems.is_empty() => {
            let Node { name, state_dir, pbx_dir, failback, preempt_delay, wait_for_peer } = node;
            Ok(Config {
                name,
                index: NodeIndex(peer.as_ref().map_or(0, index)),
                state_dir,
                pbx_dir,
                failback,
                preempt_delay,
                wait_for_peer,
                service: Some(service),
                vrrp,
                tracks,
                peer,
                listen: None,
                telling,
                synchronization,
                safeguards,
                records,
            })
        }
        _ => Err(problems),
    }
}

/// Only where the node keeps its state.
pub(super) fn state_dir(document: &Document<'_>, directory: &Path) -> Result<PathBuf, Problems> {
    let mut problems = Problems::new();
    let section = section_needed(&document.root(), "node", &mut problems);
    let path = section.and_then(|section| path(&section, "state_dir", STATE_DIR_EXAMPLE, directory, &mut problems));
    path.ok_or(problems)
}

/// Only where the node keeps its state, and where its call records are.
pub(super) fn records_of(document: &Document<'_>, directory: &Path) -> Result<(PathBuf, Records), Problems> {
    let state_dir = state_dir(document, directory)?;
    let mut problems = Problems::new();
    let records = records(&document.root(), directory, &mut problems);
    records.filter(|_| problems.is_empty()).map(|records| (state_dir, records)).ok_or(problems)
}

struct Node {
    name: String,
    state_dir: PathBuf,
    pbx_dir: PathBuf,
    failback: Failback,
    preempt_delay: Duration,
    wait_for_peer: Duration,
}

fn node(root: &Section<'_>, directory: &Path, problems: &mut Problems) -> Option<Node> {
    let section = section_needed(root, "node", problems)?;
    section.check_keys(&NODE_KEYS, |key| elsewhere(key, "[node]"), problems);
    let name = section.text_needed("name", "a", problems).and_then(|text| value::name(&text, problems));
    let state_dir = path(&section, "state_dir", STATE_DIR_EXAMPLE, directory, problems);
    let pbx_dir = path(&section, "pbx_dir", "/etc/tandem/pbx", directory, problems);
    let failback = match section.text("failback", problems) {
        Some(text) => value::failback(&text, problems),
        None => Some(Failback::Manual),
    };
    let preempt_delay = preempt_delay(&section, failback, problems);
    let wait_for_peer = wait_for_peer(&section, problems);
    Some(Node {
        name: name?,
        state_dir: state_dir?,
        pbx_dir: pbx_dir?,
        failback: failback?,
        preempt_delay,
        wait_for_peer,
    })
}

/// How long the preferred node is in step before the role goes back to it.
fn preempt_delay(section: &Section<'_>, failback: Option<Failback>, problems: &mut Problems) -> Duration {
    let default = PREEMPT_DELAY_DEFAULT.as_secs();
    if section.has("preempt_delay") && failback == Some(Failback::Manual) {
        let help = "write failback = \"automatic\", too, or leave `preempt_delay` out";
        problems.push(section.problem("`preempt_delay` means nothing while the role goes back by hand", help));
    }
    let seconds = section.number_within("preempt_delay", default, (0, PREEMPT_DELAY_MAX.as_secs()), problems);
    Duration::from_secs(seconds.unwrap_or(default))
}

/// How long a node that starts and hears nobody waits before it serves alone.
fn wait_for_peer(section: &Section<'_>, problems: &mut Problems) -> Duration {
    let (least, most) = WAIT_FOR_PEER;
    let default = WAIT_FOR_PEER_DEFAULT.as_secs();
    let seconds = section.number_within("wait_for_peer", default, (least.as_secs(), most.as_secs()), problems);
    Duration::from_secs(seconds.unwrap_or(default))
}

fn peer(root: &Section<'_>, directory: &Path, service: Option<&Service>, problems: &mut Problems) -> Option<Peer> {
    let section = root.section("peer", problems)?;
    section.check_keys(&PEER_KEYS, |key| elsewhere(key, "[peer]"), problems);
    let key_file = path(&section, "key_file", "/etc/tandem/pair.key", directory, problems);
    let sections = section.list("link", "peer.link", problems);
    if !section.has("link") || (sections.is_empty() && problems.is_empty()) {
        let help = "add a section [[peer.link]] with the lines local = \"10.77.0.11:7700\" and \
                    remote = \"10.77.0.12:7700\"";
        problems.push(Problem::new(section.span.clone(), "[peer] has no [[peer.link]]", Some(help.into())));
    }
    if let Some(extra) = sections.get(LINKS_MAX) {
        let text = format!("there are {} links", sections.len());
        let help = format!("keep the {LINKS_MAX} that share the least cables and switches");
        problems.push(Problem::new(extra.span.clone(), text, Some(help)));
    }
    let mut links = Vec::new();
    for section in &sections {
        if let Some(found) = link(section, service, &links, problems) {
            links.push(found);
        }
    }
    Some(Peer { key_file: key_file?, links })
}

fn link(section: &Section<'_>, service: Option<&Service>, before: &[Link], problems: &mut Problems) -> Option<Link> {
    section.check_keys(&LINK_KEYS, |key| elsewhere(key, "[[peer.link]]"), problems);
    let local = section.text_needed("local", "10.77.0.11:7700", problems);
    let remote = section.text_needed("remote", "10.77.0.12:7700", problems);
    let local = local.and_then(|text| value::link_end("local", &text, service, problems));
    let remote = remote.and_then(|text| value::link_end("remote", &text, service, problems));
    let (local, remote) = (local?, remote?);
    let ends = (local.value, remote.value);
    let problem = if (ends.0.ip(), ends.0.port()) == (ends.1.ip(), ends.1.port()) {
        let help = "write this machine's address as local and the other machine's as remote";
        Some(remote.problem("`local` and `remote` are the same", help))
    } else if ends.0.is_ipv4() != ends.1.is_ipv4() {
        let help = "write both as IPv4 or both as IPv6";
        Some(remote.problem("`local` and `remote` are of different address families", help))
    } else if before.iter().any(|link| link.local == ends.0) {
        let help = "each link needs a local address or port of its own";
        Some(local.problem(format!("another link has the local end {} already", ends.0), help))
    } else {
        None
    };
    match problem {
        Some(problem) => {
            problems.push(problem);
            None
        }
        None => Some(Link { local: ends.0, remote: ends.1 }),
    }
}

/// Both nodes come to opposite answers, since one's local end is the other's remote end.
fn index(peer: &Peer) -> u8 {
    peer.links.first().map_or(0, |link| {
        let own = (link.local.ip(), link.local.port());
        u8::from(own > (link.remote.ip(), link.remote.port()))
    })
}

pub(super) fn section_needed<'a>(root: &Section<'a>, key: &str, problems: &mut Problems) -> Option<Section<'a>> {
    if !root.has(key) {
        let keys = sections().into_iter().find(|(title, _)| *title == format!("[{key}]"));
        let keys = keys
            .map(|(_, keys)| {
                keys.iter().filter(|key| !OPTIONAL_KEYS.contains(key)).copied().collect::<Vec<_>>().join(", ")
            })
            .unwrap_or_default();
        let help = format!("add a line [{key}] and below it {keys}");
        problems.push(Problem::new(0..0, format!("there is no section [{key}]"), Some(help)));
    }
    root.section(key, problems)
}

pub(super) fn path(
    section: &Section<'_>,
    key: &str,
    example: &str,
    directory: &Path,
    problems: &mut Problems,
) -> Option<PathBuf> {
    let text = section.text_needed(key, example, problems)?;
    value::path(key, &text, example, directory, problems)
}

/// Where a key belongs that is unknown in the section `title`.
pub(super) fn elsewhere(key: &str, title: &str) -> Option<String> {
    let found = sections().into_iter().find(|(other, keys)| *other != title && keys.contains(&key));
    found.map(|(other, _)| format!("it belongs below {other}"))
}

fn sections() -> Vec<(&'static str, &'static [&'static str])> {
    let mut all: Vec<(&'static str, &'static [&'static str])> = vec![
        ("[node]", &NODE_KEYS),
        ("[service]", &service::KEYS),
        ("[vrrp]", &vrrp::KEYS),
        ("[[track]]", &track::KEYS),
        ("[peer]", &PEER_KEYS),
        ("[[peer.link]]", &LINK_KEYS),
        configuration::SECTION,
    ];
    all.extend(safeguards::SECTIONS);
    all.extend(telling::SECTIONS);
    all.push(("[records]", &records::KEYS));
    all
}
