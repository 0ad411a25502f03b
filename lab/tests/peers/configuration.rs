//! The PBX's files on both nodes of a pair: edits, mistakes, conflicts, absences, and the commands.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use tandem_lab::nodes::Node;

use crate::pair::{Fault, Lab, wait_for};
use crate::sipp::{Login, RAMAIS, Sipp, register};

/// Files of a set that takes a moment to write.
const MANY: usize = 300;

const LOCAL: &str = "\n[configuration]\nlocal = [\"own.conf\", \"keys/\"]\n";

/// A phone that the example does not have.
const NEW: Login = Login { number: "5002", password: "5002" };

const NEW_ENDPOINT: &str = "\n[5002]\ntype=friend\nusername=5002\nsecret=5002\nhost=dynamic\nnat=yes\ncontext=ramais\n";
const NEW_EXTENSION: &str = "exten => 5002,1,Dial(SIP/5002,25)\nexten => 5002,2,Hangup\n";

fn config(node: &Node, words: &[&str]) -> (Option<i32>, String) {
    node.operate(&[&["config"], words].concat()).expect("the program")
}

fn config_json(node: &Node, words: &[&str]) -> Value {
    let (_, text) = config(node, &[words, &["--json"]].concat());
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{words:?}: {error}: {text}"))
}

/// The version that every node runs, once it is another one than `before`.
fn wait_version(lab: &Lab, before: &str) -> String {
    let run = |node: &Node| {
        let line = node.ask("status").ok()?["configuration"].clone();
        let head = line["head"].as_str()?.to_owned();
        (line["runs_head"] == true && line["peer_runs_head"] != false && head != before).then_some(head)
    };
    wait_for("a version that all nodes run", || {
        let mut heads: Vec<String> = lab.nodes.iter().map(run).collect::<Option<_>>()?;
        heads.dedup();
        (heads.len() == 1).then(|| heads.remove(0))
    })
}

fn read(node: &Node, file: &str) -> Option<String> {
    fs::read_to_string(node.pbx_directory().join(file)).ok()
}

fn append(node: &Node, file: &str, text: &str) {
    let old = read(node, file).expect("a file");
    node.write_pbx_file(file, &(old + text)).expect("a file");
}

/// As editors save: another file takes the name.
fn exchange(node: &Node, file: &str, text: &str) {
    let (place, new) = (node.pbx_directory().join(file), node.pbx_directory().join("new~"));
    fs::write(&new, text).expect("a file");
    fs::rename(new, place).expect("a rename");
}

/// Files with text and mode, but for local ones.
fn set(directory: &Path) -> Vec<(String, String, u32)> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(folder) = open.pop() {
        for path in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            let name = path.strip_prefix(directory).expect("a name").display().to_string();
            if path.is_dir() {
                open.push(path);
            } else if name != "own.conf" && !name.starts_with("keys/") {
                let mode = fs::metadata(&path).expect("a file").permissions().mode() & 0o7777;
                found.push((name, fs::read_to_string(&path).expect("a text"), mode));
            }
        }
    }
    found.sort();
    found
}

fn wait_equal(lab: &Lab) {
    wait_for("equal directories", || {
        let [a, b] = [0, 1].map(|node| set(&lab.nodes[node].pbx_directory()));
        (a == b).then_some(())
    });
}

#[test]
fn an_edit_on_either_node_is_live_on_both() {
    let mut lab = Lab::pair_with(RAMAIS.name, |_| LOCAL.to_owned());
    let active = lab.wait_protected();
    let standby = 1 - active;
    let first = wait_version(&lab, "");

    // In place, on the node that serves: a new extension can be called.
    append(&lab.nodes[active], "extensions.conf", NEW_EXTENSION);
    append(&lab.nodes[active], "sip.conf", NEW_ENDPOINT);
    wait_for("the endpoint's lines", || read(&lab.nodes[standby], "sip.conf").filter(|text| text.contains("[5002]")));
    let second = wait_version(&lab, &first);
    register(&lab, "two", NEW, RAMAIS.port);
    let listening = Sipp::start(&lab, "two", "answers", NEW, RAMAIS.port, 1, &["-aa", "-rtp_echo"]);
    thread::sleep(Duration::from_millis(300));
    let speech = lab.directory.join("speech.ulaw");
    fs::write(speech, [0; 160].repeat(150)).expect("a file");
    register(&lab, "one", RAMAIS.caller, RAMAIS.port);
    Sipp::start(&lab, "one", "calls_and_hangs_up", RAMAIS.caller, RAMAIS.port, 1, &["-s", NEW.number, "-aa"])
        .succeeds();
    listening.succeeds();

    // By rename, in a folder, with a mode, and a removal, on the standby. Local files stay where they are.
    let node = &lab.nodes[standby];
    node.write_pbx_file("own.conf", "; of the standby\n").expect("a file");
    lab.nodes[active].write_pbx_file("own.conf", "; of the other one\n").expect("a file");
    fs::create_dir_all(node.pbx_directory().join("more")).expect("a folder");
    fs::create_dir_all(node.pbx_directory().join("keys")).expect("a folder");
    node.write_pbx_file("keys/own.key", "secret").expect("a file");
    node.write_pbx_file("more/phones.conf", "; more\n").expect("a file");
    let more = node.pbx_directory().join("more/phones.conf");
    fs::set_permissions(more, Permissions::from_mode(0o600)).expect("a mode");
    exchange(node, "extensions.conf", &(read(node, "extensions.conf").expect("a file") + "; exchanged\n"));
    assert_eq!(config(node, &["apply"]).0, Some(0));
    wait_equal(&lab);
    let third = wait_version(&lab, &second);
    assert!(lab.nodes[active].pbx_directory().join("more/phones.conf").exists());
    assert_eq!(read(&lab.nodes[active], "own.conf").as_deref(), Some("; of the other one\n"));
    assert!(!lab.nodes[active].pbx_directory().join("keys").exists());
    fs::remove_dir_all(lab.nodes[active].pbx_directory().join("more")).expect("a removal");
    let fourth = wait_version(&lab, &third);
    wait_for("the removal", || (!lab.nodes[standby].pbx_directory().join("more").exists()).then_some(()));

    a_mistake_changes_nothing(&lab, standby, &fourth);
    what_was_is_found_again(&lab, active, &second);
    an_absence_is_made_up_for(&mut lab, standby);
}

/// Both nodes name file and line, and both run what they ran.
fn a_mistake_changes_nothing(lab: &Lab, standby: usize, head: &str) {
    let node = &lab.nodes[standby];
    let good = read(node, "sip.conf").expect("a file");
    let line = good.lines().count() + 1;
    append(node, "sip.conf", "[unclosed\n");
    let place = format!("sip.conf:{line}: error: ");
    for node in &lab.nodes {
        wait_for("a refusal", || {
            let (code, text) = config(node, &["status"]);
            (code == Some(1) && text.contains("REFUSED on") && text.contains(&place)).then_some(())
        });
        let status = node.ask("status").expect("a status");
        assert_eq!((status["configuration"]["head"].as_str(), status["configuration"]["runs_head"].as_bool()), {
            (Some(head), Some(true))
        });
    }
    let (code, text) = config(node, &["apply"]);
    assert!(code == Some(1) && text.contains(&place), "{text}");
    let other = &lab.nodes[1 - standby];
    assert_eq!(read(other, "sip.conf").expect("a file"), good);
    node.write_pbx_file("sip.conf", &good).expect("a file");
    for node in &lab.nodes {
        wait_for("no refusal", || (config(node, &["status"]).0 == Some(0)).then_some(()));
    }
}

fn what_was_is_found_again(lab: &Lab, active: usize, version: &str) {
    let node = &lab.nodes[1 - active];
    let history = config_json(node, &["history"]);
    let ids: Vec<_> = history.as_array().expect("a list").iter().filter_map(|line| line["id"].as_str()).collect();
    assert!(ids.contains(&version) && ids.len() >= 4, "{history}");
    let (code, text) = config(node, &["diff", &version[..8]]);
    assert!(code == Some(0) && text.contains("+++ b/extensions.conf") && text.contains("+; exchanged"), "{text}");
    let (code, text) = config(node, &["show", &version[..8], "sip.conf"]);
    assert!(code == Some(0) && text.contains("[5002]"), "{text}");
    assert_eq!(config(node, &["rollback", "0000"]).0, Some(1));
    let (code, text) = config(node, &["rollback", &version[..8]]);
    assert_eq!(code, Some(0), "{text}");
    wait_equal(lab);
    assert!(!read(node, "extensions.conf").expect("a file").contains("exchanged"));
}

/// Off while many files change, and killed while it catches up.
fn an_absence_is_made_up_for(lab: &mut Lab, standby: usize) {
    lab.nodes[standby].stop();
    for number in 0..MANY {
        let name = format!("many{number}.conf");
        lab.nodes[1 - standby].write_pbx_file(&name, &format!("; {number}\n")).expect("a file");
    }
    assert_eq!(config(&lab.nodes[1 - standby], &["apply"]).0, Some(0));
    lab.nodes[standby].start().expect("a node");
    wait_for("the first of many", || lab.nodes[standby].pbx_directory().join("many0.conf").exists().then_some(()));
    let daemon = lab.nodes[standby].daemon().expect("a daemon");
    lab.nodes[standby].signal(daemon, Signal::SIGKILL).expect("a kill");
    lab.wait_protected();
    wait_equal(lab);
    let told = wait_version(lab, "");
    let conflict = config_json(&lab.nodes[standby], &["status"])["conflict"].clone();
    assert!(conflict.is_null(), "{conflict} at {told}");
}

#[test]
fn two_edits_of_one_version_are_both_kept_until_somebody_chooses() {
    let mut lab = Lab::pair_with(RAMAIS.name, |_| String::new());
    let active = lab.wait_protected();
    let first = wait_version(&lab, "");
    register(&lab, "one", RAMAIS.caller, RAMAIS.port);
    lab.strike(Fault::Cut, active);
    let alone = |node: &Node| node.status().is_ok_and(|status| status.serves());
    wait_for("two that serve", || lab.nodes.iter().all(alone).then_some(()));
    for (node, text) in lab.nodes.iter().zip(["; edited on a\n", "; edited on b\n"]) {
        append(node, "extensions.conf", text);
        let (code, text) = config(node, &["apply"]);
        assert_eq!(code, Some(0), "{text}");
    }
    lab.heal(Fault::Cut, active);
    let serves = lab.wait_protected();
    for node in &lab.nodes {
        wait_for("the conflict", || {
            let (code, text) = config(node, &["status"]);
            (code == Some(1) && text.contains("CONFLICT") && text.contains("tandem config resolve")).then_some(())
        });
        let diff = config(node, &["diff"]).1;
        assert!(diff.contains("edited on a") && diff.contains("edited on b"), "{diff}");
        let own = format!("; edited on {}", node.name);
        assert!(read(node, "extensions.conf").expect("a file").contains(&own), "each directory keeps its edit");
    }
    let head = wait_version(&lab, &first);
    let history = config_json(&lab.nodes[1 - serves], &["history"]);
    assert!(history.as_array().expect("a list").len() >= 3, "{history}");

    // What somebody has made of both; asked where nobody serves.
    let both = lab.directory.join("both.conf");
    let text = read(&lab.nodes[serves], "extensions.conf").expect("a file") + "; edited on both\n";
    fs::write(&both, &text).expect("a file");
    let path = both.display().to_string();
    let (code, told) = config(&lab.nodes[1 - serves], &["resolve", "--take", &path]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("live on both nodes"), "{told}");
    wait_version(&lab, &head);
    for node in &lab.nodes {
        wait_for("the files", || (read(node, "extensions.conf").as_ref() == Some(&text)).then_some(()));
        assert_eq!(config(node, &["status"]).0, Some(0));
    }
    register(&lab, "one", RAMAIS.caller, RAMAIS.port);
}
