//! Owns what keeps a node from being a second master, and who is told of a new role: the sections `[witness]`,
//! `[ping]`, `[fencing]` and `[hooks]`.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use node::cluster::OnFailure;

use super::reader::{Problems, Section, Value};
use super::sections::elsewhere;
use super::telling::command;
use super::witness::{self, Witness};
use super::{Service, value};

const PING_KEYS: [&str; 2] = ["targets", "settle_seconds"];
const FENCING_KEYS: [&str; 4] = ["program", "wait", "timeout_ms", "on_failure"];
const HOOKS_KEYS: [&str; 1] = ["role"];

/// Those of the sections that `[node]` and the others stand beside, with their keys.
pub(super) const SECTIONS: [(&str, &[&str]); 4] =
    [("[witness]", &witness::KEYS), ("[ping]", &PING_KEYS), ("[fencing]", &FENCING_KEYS), ("[hooks]", &HOOKS_KEYS)];

/// Each target costs four packets a second. More add nothing.
pub const PING_TARGETS_MAX: usize = 16;

/// A target that is restarted is no reason to move.
const PING_SETTLE_SECONDS_DEFAULT: u64 = 5;
const PING_SETTLE_SECONDS_MAX: u64 = 3_600;

/// A power switch answers within seconds.
const FENCING_TIMEOUT_MS_DEFAULT: u64 = 5_000;
const FENCING_TIMEOUT_MS_MAX: u64 = 300_000;

/// Everything of these sections; all of it is optional.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Safeguards {
    pub witness: Option<Witness>,
    pub ping: Option<Ping>,
    pub fencing: Option<FencingProgram>,
    /// A line for `sh -c` that is run at each change of role.
    pub role_hook: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ping {
    /// At least one.
    pub targets: Vec<IpAddr>,
    /// How long the peer must see more of them before it is handed the role.
    pub settle: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FencingProgram {
    /// A line for `sh -c`.
    pub program: String,
    pub wait: bool,
    pub timeout: Duration,
    pub on_failure: OnFailure,
}

/// Relative paths start at `directory`.
pub(super) fn safeguards(
    root: &Section<'_>,
    directory: &Path,
    service: Option<&Service>,
    problems: &mut Problems,
) -> Safeguards {
    for section in ["witness", "ping", "fencing"] {
        if !root.has("peer")
            && let Some(found) = root.section(section, &mut Problems::new())
        {
            let help = format!("take [{section}] out, or add the section [peer]");
            problems.push(found.problem(format!("[{section}] is for a pair, and there is no [peer]"), help));
        }
    }
    Safeguards {
        witness: witness::witness(root, directory, service, problems),
        ping: ping(root, service, problems),
        fencing: fencing(root, problems),
        role_hook: hooks(root, problems),
    }
}

fn ping(root: &Section<'_>, service: Option<&Service>, problems: &mut Problems) -> Option<Ping> {
    let section = root.section("ping", problems)?;
    section.check_keys(&PING_KEYS, |key| elsewhere(key, "[ping]"), problems);
    const HELP: &str = "write addresses that answer whenever the network works, as in targets = [\"192.0.2.1\"]";
    let texts = section.texts("targets", "192.0.2.1", problems);
    if texts.is_empty() && !section.has("targets") {
        problems.push(section.problem("[ping] has no `targets`", HELP));
    }
    if let Some(extra) = texts.get(PING_TARGETS_MAX) {
        problems.push(extra.problem(format!("there are {} targets", texts.len()), "keep those that say the most"));
    }
    let mut targets = Vec::new();
    for text in &texts {
        let address = text.value.parse::<IpAddr>().ok();
        let usable = address.filter(|address| value::is_host(*address) && !address.is_loopback());
        match usable {
            None => problems.push(text.problem(format!("`{}` is no address of another machine", text.value), HELP)),
            Some(address) if service.is_some_and(|service| service.has(address)) => {
                problems.push(text.problem(format!("{address} is the service address, which answers always"), HELP));
            }
            Some(address) if targets.contains(&address) => {
                problems.push(text.problem(format!("{address} is there twice"), HELP));
            }
            Some(address) => targets.push(address),
        }
    }
    let range = (1, PING_SETTLE_SECONDS_MAX);
    let settle = section.number_within("settle_seconds", PING_SETTLE_SECONDS_DEFAULT, range, problems)?;
    Some(Ping { targets, settle: Duration::from_secs(settle) })
}

fn fencing(root: &Section<'_>, problems: &mut Problems) -> Option<FencingProgram> {
    let section = root.section("fencing", problems)?;
    section.check_keys(&FENCING_KEYS, |key| elsewhere(key, "[fencing]"), problems);
    let program = section.text_needed("program", "/usr/local/sbin/fence-peer", problems);
    let program = program.and_then(|text| command("program", &text, problems));
    let wait = section.flag("wait", problems).is_some_and(|flag| flag.value);
    let range = (1, FENCING_TIMEOUT_MS_MAX);
    let timeout = section.number_within("timeout_ms", FENCING_TIMEOUT_MS_DEFAULT, range, problems);
    let on_failure = match section.text("on_failure", problems) {
        None => OnFailure::Serve,
        Some(text) => on_failure(&text, wait, problems)?,
    };
    Some(FencingProgram { program: program?, wait, timeout: Duration::from_millis(timeout?), on_failure })
}

fn on_failure(text: &Value<&str>, wait: bool, problems: &mut Problems) -> Option<OnFailure> {
    match text.value {
        "serve" => Some(OnFailure::Serve),
        "stay" if wait => Some(OnFailure::Stay),
        "stay" => {
            let help = "write wait = true, too: a takeover that does not wait cannot be stopped by what comes of it";
            problems.push(text.problem("`on_failure` cannot be `stay` without waiting", help));
            None
        }
        other => {
            let help = "write on_failure = \"serve\" (the default) or on_failure = \"stay\"";
            problems.push(text.problem(format!("`on_failure` cannot be `{other}`"), help));
            None
        }
    }
}

fn hooks(root: &Section<'_>, problems: &mut Problems) -> Option<String> {
    let section = root.section("hooks", problems)?;
    section.check_keys(&HOOKS_KEYS, |key| elsewhere(key, "[hooks]"), problems);
    let role = section.text_needed("role", "/usr/local/sbin/tell-the-cloud", problems)?;
    command("role", &role, problems)
}
