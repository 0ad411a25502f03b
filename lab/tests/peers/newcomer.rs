//! Mistakes that everybody makes once: each is refused with the place and a way out, and an exit code for scripts.

use std::fs::{self, Permissions};
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tandem_lab::nodes::make_key;
use tandem_lab::process::output;

use crate::pair::{Lab, binary, example_files, own_directory};

/// A refusal comes at once.
const LIMIT: Duration = Duration::from_secs(10);

/// Exit codes: what cannot be started at all, and what was refused or failed.
const NOT_STARTABLE: i32 = 2;
const FAILED: i32 = 1;

/// Runs the product; gives its exit code and everything that it printed.
fn run(command: &mut Command) -> (Option<i32>, String) {
    let output = output(command, "", LIMIT).expect("the product");
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (output.status.code(), text)
}

fn tandem(arguments: &[&str]) -> (Option<i32>, String) {
    run(Command::new(binary()).args(arguments))
}

fn tells(told: &(Option<i32>, String), code: i32, parts: &[&str]) {
    assert_eq!(told.0, Some(code), "{}", told.1);
    for part in parts {
        assert!(told.1.contains(part), "`{part}` is missing in:\n{}", told.1);
    }
}

/// The files of a node of a pair; `change` is made to the configuration file's text.
fn serve_with(directory: &Path, change: impl FnOnce(&str) -> String) -> (Option<i32>, String) {
    let at = |name: &str| directory.join(name).display().to_string();
    let text = format!(
        "[node]\nname = \"a\"\nstate_dir = \"{}\"\npbx_dir = \"{}\"\n\n[service]\naddress = \"10.77.0.100/24\"\n\
         interface = \"eth0\"\nvrid = 10\npriority = 150\n\n[peer]\nkey_file = \"{}\"\n\n[[peer.link]]\n\
         local = \"10.77.0.11:7700\"\nremote = \"10.77.0.12:7700\"\n",
        at("state"),
        example_files("ramais").display(),
        at("pair.key")
    );
    fs::write(at("tandem.toml"), change(&text)).expect("a file");
    tandem(&["serve", "--config", &at("tandem.toml")])
}

#[test]
fn newcomer_mistypes_a_key_of_the_configuration_file() {
    let directory = own_directory();
    let told = serve_with(&directory, |text| text.replace("vrid", "vird"));
    tells(&told, NOT_STARTABLE, &["vird", "did you mean `vrid`?", "tandem.toml:9"]);
    let told = serve_with(&directory, |text| text.replace("priority = 150", "priority = \"high\""));
    tells(&told, NOT_STARTABLE, &["priority", "tandem.toml:10"]);
    let missing = directory.join("nothing.toml").display().to_string();
    tells(&tandem(&["serve", "--config", &missing]), NOT_STARTABLE, &[&missing, "--config"]);
    fs::remove_dir_all(&directory).expect("removal");
}

#[test]
fn newcomer_has_no_key_or_shows_it_to_everybody() {
    let directory = own_directory();
    let key = directory.join("pair.key");
    let named = key.display().to_string();
    let told = serve_with(&directory, str::to_owned);
    tells(&told, NOT_STARTABLE, &[&named, &format!("tandem key {named}")]);
    make_key(&binary(), &key).expect("a key");
    fs::set_permissions(&key, Permissions::from_mode(0o644)).expect("permissions");
    let told = serve_with(&directory, str::to_owned);
    tells(&told, NOT_STARTABLE, &[&named, "0644", &format!("chmod 600 {named}")]);
    fs::set_permissions(&key, Permissions::from_mode(0o600)).expect("permissions");
    fs::write(&key, "a secret\n").expect("a file");
    let told = serve_with(&directory, str::to_owned);
    tells(&told, NOT_STARTABLE, &[&format!("{named} holds no pair key")]);
    let told = tandem(&["key", &named]);
    tells(&told, FAILED, &[&named]);
    fs::remove_dir_all(&directory).expect("removal");
}

#[test]
fn newcomer_breaks_sip_conf_under_a_node_that_runs_and_one_that_starts() {
    let mut lab = Lab::alone("ramais");
    lab.wait_protected();
    let state = lab.directory.join("solo/state").display().to_string();
    let file = lab.nodes[0].pbx_directory().join("sip.conf");
    let good = fs::read_to_string(&file).expect("a file");
    let place = format!("sip.conf:{}", good.lines().count() + 1);
    fs::write(&file, format!("{good}[broken\n")).expect("a file");

    tells(&tandem(&["reload", "--state-dir", &state]), FAILED, &["the old configuration goes on", &place]);
    let asterisk = lab.nodes[0].pbx_directory().display().to_string();
    tells(&tandem(&["check", "--asterisk-dir", &asterisk]), FAILED, &[&place]);
    assert_eq!(lab.nodes[0].status().expect("a status").role, "alone", "it goes on");

    lab.nodes[0].stop();
    // One that has run these files before they were broken would go on with what it has kept of them.
    fs::remove_dir_all(&state).expect("removal");
    lab.nodes[0].start().expect("a node");
    let begun = std::time::Instant::now();
    while lab.nodes[0].is_running() {
        assert!(begun.elapsed() < LIMIT, "it starts all the same");
        std::thread::sleep(Duration::from_millis(20));
    }
    let log = lab.nodes[0].log_tail(20);
    assert!(log.contains(&place), "{log}");

    fs::write(&file, good).expect("a file");
    lab.nodes[0].start().expect("a node");
    lab.wait_protected();
    tells(&tandem(&["reload", "--state-dir", &state]), 0, &["is live"]);
}

#[test]
fn newcomer_starts_a_second_node_on_the_same_state() {
    let mut lab = Lab::alone("ramais");
    lab.wait_protected();
    let state = lab.directory.join("solo/state").display().to_string();
    let asterisk = lab.nodes[0].pbx_directory().display().to_string();
    let mut second = lab.host("solo").command(&binary().display().to_string());
    second.args(["serve", "--asterisk-dir", &asterisk, "--state-dir", &state]);
    second.args(["--listen", &format!("{}:5099", Ipv4Addr::LOCALHOST)]);
    tells(&run(&mut second), NOT_STARTABLE, &["another tandem uses", &state]);
    assert_eq!(lab.nodes[0].status().expect("the first one still answers").role, "alone");
}

#[test]
fn newcomer_asks_a_node_that_does_not_run() {
    let directory = own_directory();
    let state = directory.display().to_string();
    for command in ["status", "phones", "calls", "switchover", "reload"] {
        let told = tandem(&[command, "--state-dir", &state]);
        tells(&told, FAILED, &["no node is running there", &format!("{state}/control.sock")]);
    }
    fs::remove_dir_all(&directory).expect("removal");
}
