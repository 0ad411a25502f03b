//! Owns walking through the machine's packet filter with the first packet of a phone and of the peer: does it get in?
//!
//! The rules come from `nft --json list ruleset`, which shows those of iptables as well where these are made with
//! nftables. What a rule asks that is not known here counts as "perhaps".

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::network::same_network;
use super::{Finding, Patient, kernel_file};

const CHECK: &str = "firewall";

/// Chains that call each other for ever are the kernel's business to refuse; here the walk ends.
const DEPTH_MAX: usize = 16;

/// The first datagram of a conversation, as it comes in.
#[derive(Clone, Copy, Debug)]
struct Packet<'a> {
    port: u16,
    /// `None` for a phone, which may be anywhere.
    source: Option<IpAddr>,
    interface: &'a str,
}

/// Whether it gets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Accepted,
    Dropped,
    Perhaps,
}

/// Whether one expression of a rule applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Applies {
    Yes,
    No,
    Perhaps,
}

pub(super) fn findings(patient: &Patient<'_>) -> Vec<Finding> {
    // Tables of the old kind are not in nft's list.
    let old = kernel_file("/proc/net/ip_tables_names").filter(|names| !names.is_empty());
    let mut findings = match ruleset() {
        Ok(Some(rules)) => judge(patient, &Rules::read(&rules)),
        Ok(None) => vec![Finding::unknown(CHECK, "there is no program nft to ask")],
        Err(reason) => vec![Finding::unknown(CHECK, reason)],
    };
    if let Some(names) = old {
        findings.push(Finding::unknown(
            CHECK,
            format!("tables of the old iptables are in use: {}", names.replace('\n', ", ")),
        ));
    }
    findings
}

/// `None` where nftables is not installed.
fn ruleset() -> Result<Option<Value>, String> {
    let mut command = Command::new("nft");
    command.args(["--json", "list", "ruleset"]).stdin(Stdio::null()).env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin");
    let output = match command.output() {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("nft: {error}")),
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(format!("nft does not show the rules (root may see them): {said}"));
    }
    serde_json::from_slice(&output.stdout).map(Some).map_err(|error| format!("nft's answer is not understood: {error}"))
}

fn judge(patient: &Patient<'_>, rules: &Rules) -> Vec<Finding> {
    let interface = patient.config.service.as_ref().map_or("", |service| service.interface.as_str());
    let mut wanted: Vec<Wanted> = Vec::new();
    if let Some(pbx) = patient.pbx {
        wanted.extend(pbx.general.transports.iter().map(|it| Wanted::new("SIP", it.port, None)));
        let (first, last) = (pbx.general.rtp_port_start, pbx.general.rtp_port_end);
        // Both ends and the middle: firewalls name the range, or a wrong one.
        let middle = first + (last.saturating_sub(first)) / 2;
        wanted.extend([first, middle, last].map(|port| Wanted::new("RTP", port, None)));
    }
    let links = patient.config.peer.iter().flat_map(|peer| &peer.links);
    wanted.extend(links.map(|link| Wanted::new("peer link", link.local.port(), Some(link.remote.ip()))));
    verdicts(rules, &wanted, interface)
}

/// What must get in.
struct Wanted {
    purpose: &'static str,
    port: u16,
    source: Option<IpAddr>,
}

impl Wanted {
    fn new(purpose: &'static str, port: u16, source: Option<IpAddr>) -> Self {
        Self { purpose, port, source }
    }
}

fn verdicts(rules: &Rules, wanted: &[Wanted], interface: &str) -> Vec<Finding> {
    let told = |fate| {
        let fate_of = |it: &&Wanted| rules.fate(Packet { port: it.port, source: it.source, interface }) == fate;
        let named = wanted.iter().filter(fate_of).map(|it| format!("{} (UDP {})", it.purpose, it.port));
        named.collect::<Vec<_>>().join(", ")
    };
    let (dropped, perhaps) = (told(Fate::Dropped), told(Fate::Perhaps));
    let mut findings = Vec::new();
    if !dropped.is_empty() {
        let todo =
            "let these ports in on both machines, as in: nft insert rule inet filter input udp dport 5060 accept";
        findings.push(Finding::problem(CHECK, format!("keeps out {dropped}"), todo));
    }
    if !perhaps.is_empty() {
        let todo = "look at the rules yourself: `nft list ruleset`";
        findings.push(Finding::warning(CHECK, format!("may keep out {perhaps}"), todo));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(CHECK, "lets SIP, RTP and the peer in"));
    }
    findings
}

/// Chains by family, table and name.
#[derive(Debug, Default)]
struct Rules {
    chains: BTreeMap<Key, Chain>,
}

type Key = (String, String, String);

#[derive(Debug, Default)]
struct Chain {
    /// Packets come here first on their way in.
    is_entry: bool,
    drops_at_end: bool,
    /// The expressions of each rule.
    rules: Vec<Vec<Value>>,
}

impl Rules {
    fn read(ruleset: &Value) -> Self {
        let mut rules = Self::default();
        let objects = ruleset.get("nftables").and_then(Value::as_array);
        for object in objects.into_iter().flatten() {
            let text = |of: &Value, key: &str| of.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            let key = |of: &Value, name: &str| (text(of, "family"), text(of, "table"), text(of, name));
            if let Some(chain) = object.get("chain") {
                let hooked = matches!(text(chain, "hook").as_str(), "input" | "prerouting" | "ingress");
                let found = rules.chains.entry(key(chain, "name")).or_default();
                found.is_entry = hooked && text(chain, "type") == "filter" && text(chain, "family") != "ip6";
                found.drops_at_end = text(chain, "policy") == "drop";
            } else if let Some(rule) = object.get("rule") {
                let expressions = rule.get("expr").and_then(Value::as_array).cloned().unwrap_or_default();
                rules.chains.entry(key(rule, "chain")).or_default().rules.push(expressions);
            }
        }
        rules
    }

    fn fate(&self, packet: Packet<'_>) -> Fate {
        let mut worst = Fate::Accepted;
        for (key, chain) in self.chains.iter().filter(|(_, chain)| chain.is_entry) {
            let walk = self.walk(key, chain, packet, 0);
            let policy = if chain.drops_at_end { Fate::Dropped } else { Fate::Accepted };
            match walk.judge(walk.fate.unwrap_or(policy)) {
                Fate::Dropped => return Fate::Dropped,
                Fate::Perhaps => worst = Fate::Perhaps,
                Fate::Accepted => {}
            }
        }
        worst
    }

    fn walk(&self, key: &Key, chain: &Chain, packet: Packet<'_>, depth: usize) -> Walk {
        let mut walk = Walk::default();
        for rule in &chain.rules {
            let applies = all(rule.iter().map(|expression| applies(expression, packet)));
            if applies == Applies::No {
                continue;
            }
            let mut returns = false;
            for expression in rule {
                let inner = self.verdict(key, expression, packet, depth, &mut returns);
                walk.perhaps_accepted |= inner.perhaps_accepted;
                walk.perhaps_dropped |= inner.perhaps_dropped;
                match (inner.fate, applies) {
                    (None, _) => {}
                    (Some(fate), Applies::Yes) => return Walk { fate: Some(fate), ..walk },
                    // An address or two that are kept out, as fail2ban does it, are none of ours.
                    (Some(Fate::Dropped), _) if names_hosts(rule) => {}
                    (Some(Fate::Dropped), _) => walk.perhaps_dropped = true,
                    (Some(Fate::Accepted), _) => walk.perhaps_accepted = true,
                    (Some(Fate::Perhaps), _) => (walk.perhaps_accepted, walk.perhaps_dropped) = (true, true),
                }
            }
            if returns && applies == Applies::Yes {
                break;
            }
        }
        walk
    }

    fn verdict(&self, key: &Key, expression: &Value, packet: Packet<'_>, depth: usize, returns: &mut bool) -> Walk {
        let decided = |fate| Walk { fate: Some(fate), ..Walk::default() };
        let Some((verdict, value)) = expression.as_object().and_then(|object| object.iter().next()) else {
            return Walk::default();
        };
        match verdict.as_str() {
            "accept" => decided(Fate::Accepted),
            "drop" | "reject" => decided(Fate::Dropped),
            "queue" => decided(Fate::Perhaps),
            "return" => {
                *returns = true;
                Walk::default()
            }
            "jump" | "goto" => {
                *returns |= verdict == "goto";
                let target = value.get("target").and_then(Value::as_str).unwrap_or_default();
                let key = (key.0.clone(), key.1.clone(), target.to_owned());
                let chain = self.chains.get(&key).filter(|_| depth < DEPTH_MAX);
                chain.map(|chain| self.walk(&key, chain, packet, depth + 1)).unwrap_or_default()
            }
            _ => Walk::default(),
        }
    }
}

/// How a packet came through a chain.
#[derive(Clone, Copy, Debug, Default)]
struct Walk {
    /// `None` when it came out at the end.
    fate: Option<Fate>,
    /// On the way, rules that perhaps apply would have let it in, or kept it out.
    perhaps_accepted: bool,
    perhaps_dropped: bool,
}

impl Walk {
    fn judge(&self, fate: Fate) -> Fate {
        match fate {
            Fate::Accepted if self.perhaps_dropped => Fate::Perhaps,
            Fate::Dropped if self.perhaps_accepted => Fate::Perhaps,
            fate => fate,
        }
    }
}

fn all(applies: impl Iterator<Item = Applies>) -> Applies {
    applies.fold(Applies::Yes, |so_far, one| match (so_far, one) {
        (Applies::No, _) | (_, Applies::No) => Applies::No,
        (Applies::Perhaps, _) | (_, Applies::Perhaps) => Applies::Perhaps,
        _ => Applies::Yes,
    })
}

/// Whether a rule is about single sources and not about networks.
fn names_hosts(rule: &[Value]) -> bool {
    rule.iter().filter_map(|expression| expression.get("match")).any(|value| {
        let is_source = value.pointer("/left/payload/field").and_then(Value::as_str) == Some("saddr");
        let right = value.get("right").unwrap_or(&Value::Null);
        let elements = right.as_array().or_else(|| right.get("set").and_then(Value::as_array));
        let is_host = |value: &Value| value.as_str().is_some_and(|text| text.parse::<IpAddr>().is_ok());
        let hosts = is_host(right) || elements.is_some_and(|elements| elements.iter().all(is_host));
        is_source && hosts && value.get("op").and_then(Value::as_str) == Some("==")
    })
}

fn applies(expression: &Value, packet: Packet<'_>) -> Applies {
    let Some((kind, value)) = expression.as_object().and_then(|object| object.iter().next()) else {
        return Applies::Perhaps;
    };
    match kind.as_str() {
        "match" => matches(value, packet),
        "accept" | "drop" | "reject" | "jump" | "goto" | "return" | "queue" | "counter" | "log" | "mangle" => {
            Applies::Yes
        }
        // Beyond a limit, a rule does not apply.
        _ => Applies::Perhaps,
    }
}

fn matches(value: &Value, packet: Packet<'_>) -> Applies {
    let (Some(left), Some(right)) = (value.get("left"), value.get("right")) else { return Applies::Perhaps };
    let found = if let Some(payload) = left.get("payload") {
        let part = |key: &str| payload.get(key).and_then(Value::as_str).unwrap_or_default();
        match (part("protocol"), part("field")) {
            ("udp" | "th", "dport") => contains_number(right, packet.port),
            ("tcp" | "sctp" | "dccp" | "icmp" | "icmpv6" | "igmp" | "ip6", _) => Applies::No,
            ("ip", "protocol") => contains_word(right, &["udp", "17"]),
            ("ip", "saddr") => packet.source.map_or(Applies::Perhaps, |source| contains_address(right, source)),
            _ => Applies::Perhaps,
        }
    } else if let Some(key) = left.get("meta").and_then(|meta| meta.get("key")).and_then(Value::as_str) {
        match key {
            "l4proto" => contains_word(right, &["udp", "17"]),
            "nfproto" => contains_word(right, &["ipv4", "2"]),
            "protocol" => contains_word(right, &["ip", "2048"]),
            "iifname" | "iif" => contains_word(right, &[packet.interface]),
            _ => Applies::Perhaps,
        }
    } else if left.get("ct").and_then(|ct| ct.get("key")).and_then(Value::as_str) == Some("state") {
        contains_word(right, &["new"])
    } else {
        Applies::Perhaps
    };
    match (value.get("op").and_then(Value::as_str), found) {
        (Some("==" | "in") | None, found) => found,
        (Some("!="), Applies::Yes) => Applies::No,
        (Some("!="), Applies::No) => Applies::Yes,
        _ => Applies::Perhaps,
    }
}

/// A number, a range, or a set of both.
fn contains_number(right: &Value, port: u16) -> Applies {
    let number = |value: &Value| value.as_u64();
    let yes = |found: bool| if found { Applies::Yes } else { Applies::No };
    if let Some(found) = number(right) {
        return yes(found == u64::from(port));
    }
    if let Some([first, last]) = right.get("range").and_then(Value::as_array).map(Vec::as_slice) {
        return match (number(first), number(last)) {
            (Some(first), Some(last)) => yes((first..=last).contains(&u64::from(port))),
            _ => Applies::Perhaps,
        };
    }
    one_of(right, |element| contains_number(element, port))
}

fn contains_word(right: &Value, words: &[&str]) -> Applies {
    if let Some(word) = right.as_str() {
        // A set with a name is kept elsewhere.
        return match word.starts_with('@') {
            true => Applies::Perhaps,
            false if words.contains(&word) => Applies::Yes,
            false => Applies::No,
        };
    }
    if let Some(number) = right.as_u64() {
        return if words.contains(&number.to_string().as_str()) { Applies::Yes } else { Applies::No };
    }
    one_of(right, |element| contains_word(element, words))
}

fn contains_address(right: &Value, address: IpAddr) -> Applies {
    let yes = |found: bool| if found { Applies::Yes } else { Applies::No };
    if let Some(text) = right.as_str() {
        return text.parse().map_or(Applies::Perhaps, |found: IpAddr| yes(found == address));
    }
    if let Some(prefix) = right.get("prefix") {
        let network = prefix.get("addr").and_then(Value::as_str).and_then(|text| text.parse().ok());
        let bits = prefix.get("len").and_then(Value::as_u64).and_then(|bits| u8::try_from(bits).ok());
        return match (network, bits) {
            (Some(network), Some(bits)) => yes(same_network(network, address, bits)),
            _ => Applies::Perhaps,
        };
    }
    one_of(right, |element| contains_address(element, address))
}

fn one_of(right: &Value, applies: impl Fn(&Value) -> Applies) -> Applies {
    let elements = right.as_array().or_else(|| right.get("set").and_then(Value::as_array));
    let Some(elements) = elements else { return Applies::Perhaps };
    elements.iter().map(applies).fold(Applies::No, |so_far, one| match (so_far, one) {
        (Applies::Yes, _) | (_, Applies::Yes) => Applies::Yes,
        (Applies::Perhaps, _) | (_, Applies::Perhaps) => Applies::Perhaps,
        _ => Applies::No,
    })
}

#[cfg(test)]
mod tests;
