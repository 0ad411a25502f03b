//! Owns what is looked at in a running pair: whether it is protected, and whether the two nodes are alike.

use node::{AboutLine, ConfigLine, PeerLine, Status};

use super::{Finding, Patient};
use crate::human::configuration::short;

/// Call records of the two nodes carry their own clocks' times, and certificates and nonces want clocks that agree.
const CLOCK_MS_WANTED: f64 = 500.0;
const CLOCK_MS_MAX: f64 = 10_000.0;

pub(super) fn findings(patient: &Patient<'_>) -> Vec<Finding> {
    let mut findings = vec![time_source(patient)];
    if patient.config.peer.is_none() {
        findings.push(Finding::unknown("pair", "this node has no peer: nothing protects its calls"));
        return findings;
    }
    let Some(node) = patient.status else { return findings };
    let status = &node.status;
    findings.push(protection(status));
    let Some(peer) = &status.peer else { return findings };
    findings.push(links(peer));
    findings.extend(drained(status));
    match &peer.about {
        Some(about) => findings.extend([
            version(&status.version, about),
            clocks(about),
            configuration(status, about),
            service(patient, about),
        ]),
        None => findings.push(Finding::unknown("peer", "it has told nothing of its version, clock and files yet")),
    }
    findings
}

fn time_source(patient: &Patient<'_>) -> Finding {
    const CHECK: &str = "time source";
    match patient.probes.clock_synchronised {
        Some(true) => Finding::ok(CHECK, "the clock is kept by a time server"),
        Some(false) => Finding::warning(
            CHECK,
            "the clock is kept by nobody",
            "install chrony: call records and logs carry this clock's times",
        ),
        None => Finding::unknown(CHECK, "the kernel does not tell"),
    }
}

fn protection(status: &Status) -> Finding {
    const CHECK: &str = "protection";
    if status.protected {
        return Finding::ok(CHECK, "the death of a node would lose nothing");
    }
    let reason = status.unprotected_because.as_deref().unwrap_or("it does not say why");
    let todo = "run `tandem status` and `tandem doctor` on the other machine, too";
    Finding::problem(CHECK, format!("NOT PROTECTED: {reason}"), todo)
}

/// Somebody has taken a node out of service, perhaps long ago.
fn drained(status: &Status) -> Option<Finding> {
    let there = status.peer.as_ref().and_then(|peer| peer.drain.as_ref()).map(|_| "the peer");
    let who = status.drain.as_ref().map(|_| "this node").or(there)?;
    let text = format!("{who} is drained: it is not handed the role");
    Some(Finding::warning("in service", text, "run `tandem drain --end` there when the work on it is done"))
}

fn links(peer: &PeerLine) -> Finding {
    const CHECK: &str = "links";
    let text = format!("{} of {} links to the peer up", peer.links_up, peer.links);
    if peer.links_up == 0 {
        Finding::problem(CHECK, text, "look at the cables, the peer, and the firewalls on both machines")
    } else if peer.links_up < peer.links {
        Finding::warning(CHECK, text, "look at the cable, switch and firewall of the one that is down")
    } else if peer.links == 1 {
        let todo = "add a second [[peer.link]] over another cable and switch: one of them will fail one day";
        Finding::warning(CHECK, text, todo)
    } else {
        Finding::ok(CHECK, text)
    }
}

fn version(own: &str, peer: &AboutLine) -> Finding {
    const CHECK: &str = "versions";
    if own == peer.version {
        return Finding::ok(CHECK, format!("{own} on both nodes"));
    }
    let text = format!("{own} here, {} there", peer.version);
    Finding::warning(CHECK, text, "finish the upgrade: two versions are meant for the time of an upgrade only")
}

fn clocks(peer: &AboutLine) -> Finding {
    const CHECK: &str = "clocks";
    let ahead = peer.clock_ahead_ms;
    let text = format!("the peer's clock is {:.0} ms {}", ahead.abs(), if ahead < 0.0 { "behind" } else { "ahead" });
    let todo = "let both machines ask the same time server (chrony)";
    if ahead.abs() > CLOCK_MS_MAX {
        Finding::problem(CHECK, text, todo)
    } else if ahead.abs() > CLOCK_MS_WANTED {
        Finding::warning(CHECK, text, todo)
    } else {
        Finding::ok(CHECK, text)
    }
}

fn configuration(status: &Status, peer: &AboutLine) -> Finding {
    const CHECK: &str = "configuration";
    let own = status.configuration_hash.as_str();
    if let Some(config) = status.configuration.as_ref().filter(|config| config.head.is_some()) {
        return versions(config);
    }
    if own == peer.configuration_hash {
        return Finding::ok(CHECK, format!("the phones' files are equal on both nodes ({own})"));
    }
    let text = format!("the phones' files differ: {own} here, {} there", peer.configuration_hash);
    Finding::problem(CHECK, text, "copy pbx_dir to the machine with the old files, then `tandem reload` on both")
}

fn versions(config: &ConfigLine) -> Finding {
    const CHECK: &str = "configuration";
    let head = short(config.head.as_deref().unwrap_or_default());
    if config.conflict.is_some() {
        let todo = "look at `tandem config diff`, then choose with `tandem config resolve`";
        return Finding::problem(CHECK, format!("two edits of the phones' files conflict; {head} runs"), todo);
    }
    if let Some(refused) = config.refused.first() {
        let problem = refused.problems.first().map(String::as_str).unwrap_or_default();
        let text = format!("the phones' files on {} are refused, {head} runs: {problem}", refused.node);
        return Finding::problem(CHECK, text, "correct them; `tandem config status` tells every mistake");
    }
    if config.runs_head && config.peer_runs_head == Some(true) {
        return Finding::ok(CHECK, format!("the phones' files are equal on both nodes ({head})"));
    }
    let whose = if config.runs_head { "the peer does" } else { "this node does" };
    let text = format!("{whose} not run the phones' files {head} yet");
    Finding::warning(CHECK, text, "look again in a minute; `tandem events` tells what the disk refuses")
}

fn service(patient: &Patient<'_>, peer: &AboutLine) -> Finding {
    const CHECK: &str = "service address";
    let own = patient.config.service.as_ref().map(|service| service.group().summary()).unwrap_or_default();
    if own == peer.service {
        Finding::ok(CHECK, format!("{own} on both nodes"))
    } else {
        let text = format!("{own} here, {} there", peer.service);
        Finding::problem(CHECK, text, "write the same addresses below [service] into both configuration files")
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    fn about() -> AboutLine {
        AboutLine {
            version: "1".into(),
            clock_ahead_ms: 0.0,
            configuration_hash: "ab".into(),
            service: "10.77.0.100".into(),
        }
    }

    #[test]
    fn two_nodes_that_differ_are_told() {
        assert_eq!(version("1", &about()).verdict, Verdict::Ok);
        assert_eq!(version("2", &about()).verdict, Verdict::Warning);
        let mut status = crate::human::tests::example().status;
        status.configuration_hash = "ab".into();
        assert_eq!(configuration(&status, &about()).verdict, Verdict::Ok);
        status.configuration_hash = "cd".into();
        assert_eq!(configuration(&status, &about()).verdict, Verdict::Problem);
        // Files that only one machine has differ, and versions know better.
        let config =
            ConfigLine { head: Some("4be1".into()), runs_head: true, peer_runs_head: Some(true), ..<_>::default() };
        let mut verdict = |config: &ConfigLine| {
            status.configuration = Some(config.clone());
            configuration(&status, &about()).verdict
        };
        assert_eq!(verdict(&config), Verdict::Ok);
        assert_eq!(verdict(&ConfigLine { peer_runs_head: Some(false), ..config.clone() }), Verdict::Warning);
        assert_eq!(verdict(&ConfigLine { conflict: Some(<_>::default()), ..config.clone() }), Verdict::Problem);
        assert_eq!(verdict(&ConfigLine { refused: vec![<_>::default()], ..config.clone() }), Verdict::Problem);
    }

    #[test]
    fn clocks_may_differ_a_little_in_either_direction() {
        let verdict = |ahead| clocks(&AboutLine { clock_ahead_ms: ahead, ..about() }).verdict;
        assert_eq!(verdict(-400.0), Verdict::Ok);
        assert_eq!(verdict(600.0), Verdict::Warning);
        assert_eq!(verdict(-20_000.0), Verdict::Problem);
    }

    #[test]
    fn a_drained_node_is_told_of_wherever_one_asks() {
        let mut status = crate::human::tests::example().status;
        assert!(drained(&status).is_none());
        status.drain = Some("drained".into());
        assert_eq!(drained(&status).map(|finding| finding.verdict), Some(Verdict::Warning));
        status.drain = None;
        status.peer.as_mut().unwrap().drain = Some("never".into());
        assert!(drained(&status).is_some_and(|finding| finding.text.starts_with("the peer is drained")));
    }

    #[test]
    fn one_link_is_a_warning_and_none_a_problem() {
        let peer = |links_up, links| PeerLine {
            name: "b".into(),
            up: true,
            role: "standby".into(),
            in_step: true,
            lsn: 1,
            links_up,
            links,
            about: None,
            drain: None,
        };
        assert_eq!(links(&peer(2, 2)).verdict, Verdict::Ok);
        assert_eq!(links(&peer(1, 2)).verdict, Verdict::Warning);
        assert_eq!(links(&peer(1, 1)).verdict, Verdict::Warning);
        assert_eq!(links(&peer(0, 2)).verdict, Verdict::Problem);
    }
}
