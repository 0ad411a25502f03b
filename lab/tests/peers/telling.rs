//! A pair tells what happens to it: events with the steps of a takeover, an alarm and its end, metrics.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use tandem_lab::LabError;

use crate::pair::{Lab, wait_for};
use crate::pairing::{init, places, tandem};

const METRICS: &str = "127.0.0.1:9123";

/// A pair whose nodes ring a bell after a second and give their events to a program.
fn telling_pair() -> Lab {
    Lab::of_two(|network, directory| {
        let token = init(network, directory);
        let places = places(directory, "b");
        let mut arguments = vec!["join", "-"];
        arguments.extend(places.iter().map(String::as_str));
        assert_eq!(tandem(network.host("b").expect("a host"), &arguments, &token).0, Some(0));
        for node in ["a", "b"] {
            let at = |name: &str| directory.join(node).join(name).display().to_string();
            let file = directory.join(node).join("tandem.toml");
            let text = fs::read_to_string(&file).expect("a file");
            let more = format!(
                "\n[events]\nprogram = \"cat >> {}\"\n\n[alarm]\nafter_seconds = 1\nprogram = \"cat >> {}\"\n\n\
                 [metrics]\nlisten = \"{METRICS}\"\n",
                at("stream"),
                at("bell")
            );
            fs::write(&file, text + &more).expect("a file");
        }
    })
}

/// The lines of JSON of a file.
fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn metrics(lab: &Lab, host: &str) -> String {
    let asked = lab.host(host).enter(|| {
        let failed = |source| LabError::Io { operation: "asking for metrics".into(), source };
        let mut stream = TcpStream::connect(METRICS).map_err(failed)?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").map_err(failed)?;
        let mut text = String::new();
        stream.read_to_string(&mut text).map_err(failed)?;
        Ok(text)
    });
    asked.expect("metrics")
}

fn newest(events: &[Value], kind: &str) -> Option<Value> {
    events.iter().rev().find(|event| event["kind"] == kind).cloned()
}

#[test]
fn a_pair_tells_of_a_dead_standby_and_of_a_takeover() {
    let mut lab = telling_pair();
    wait_for("the metric", || metrics(&lab, "a").contains("\ntandem_protected 1\n").then_some(()));
    let bell = lab.directory.join("a/bell");

    lab.nodes[1].stop();
    let rung = wait_for("the bell", || lines(&bell).first().cloned());
    assert_eq!((rung["alarm"].as_str(), rung["node"].as_str()), (Some("unprotected"), Some("a")));
    wait_for("the metric", || metrics(&lab, "a").contains("\ntandem_protected 0\n").then_some(()));
    let events = lab.nodes[0].ask_lines("events").expect("events");
    assert!(newest(&events, "alarm").is_some() && newest(&events, "unprotected").is_some(), "{events:?}");

    lab.nodes[1].start().expect("a node");
    lab.wait_protected();
    let cleared = wait_for("the all-clear", || lines(&bell).get(1).cloned());
    assert_eq!(cleared["alarm"], "protected");

    // On a busy machine the parent may have given a daemon up before.
    let begun = starts(&lab);
    let daemon = lab.nodes[0].daemon().expect("a daemon");
    lab.nodes[0].signal(daemon, Signal::SIGKILL).expect("a kill");
    let takeover = wait_for("the takeover", || {
        let events = lab.nodes[1].ask_lines("events").expect("events");
        newest(&events, "takeover").filter(|event| event["data"]["cause"] == "the peer's program ended")
    });
    for step in ["silent_ms", "address_ms", "neighbours_ms", "said_again_ms"] {
        assert!(takeover["data"][step].is_f64(), "{step} is not in {takeover}");
    }
    lab.wait_protected();

    let streamed = lines(&lab.directory.join("b/stream"));
    let numbers: Vec<u64> = streamed.iter().filter_map(|event| event["number"].as_u64()).collect();
    assert!(numbers.len() > 5 && numbers.is_sorted(), "{numbers:?}");
    assert!(begun > 0 && starts(&lab) > begun, "events outlive the daemon that was killed");
    maintenance(&mut lab);
}

/// How often node a has told that its daemon started.
fn starts(lab: &Lab) -> usize {
    let events = lab.nodes[0].ask_lines("events").expect("events");
    events.iter().filter(|event| event["kind"] == "started").count()
}

/// Node b serves. It is drained, switched off for longer than the alarm waits, and put back into service.
fn maintenance(lab: &mut Lab) {
    lab.nodes[1].drain(&["--wait"]).expect("b hands over and is out");
    let rung = lines(&lab.directory.join("a/bell")).len();
    assert!(lab.nodes[0].status().expect("a status").serves());
    lab.nodes[1].stop();
    wait_for("the metric", || metrics(lab, "a").contains("\ntandem_protected 0\n").then_some(()));
    thread::sleep(Duration::from_millis(1_500));
    lab.nodes[1].start().expect("a node");
    lab.wait_protected();
    let told = lab.nodes[0].ask("status").expect("a status");
    assert_eq!(told["peer"]["drain"], "drained", "it is still out after its restart");
    assert_eq!(lines(&lab.directory.join("a/bell")).len(), rung, "nobody is alarmed by what was done on purpose");
    assert!(lab.nodes[0].switchover().is_err(), "a drained node is not handed the role");
    lab.nodes[1].drain(&["--end"]).expect("b is back");
    wait_for("the metric", || metrics(lab, "a").contains("\ntandem_peer_drained 0\n").then_some(()));
}
