//! Each fault of the drill once, with few calls: `tandem drill` itself, as a user calls it, with the bounds for shared
//! machines. Its exit code is the promise.
//!
//! The product is `target/release/tandem`, or what the environment's `TANDEM_BINARY` names; an upgrade begins with the
//! program that `TANDEM_PREVIOUS` names, else with the same one. Faults that other tests of the lab commit as well, or that
//! take long, are left to `tandem drill`.

mod user;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

/// Silence at shared machines may be so many times what is promised.
const SLACK: &str = "3";

/// Two drills at a time would hear each other's load.
static SERIAL: Mutex<()> = Mutex::new(());

fn binary() -> PathBuf {
    let built = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/tandem");
    std::env::var_os("TANDEM_BINARY").map_or_else(built, PathBuf::from)
}

/// Runs the drill and shows what it found when the promise was broken.
fn kept(fault: &str) {
    kept_by(Command::new(binary()), fault, &[]);
}

/// The same with a command that starts the product in a way of its own, and with more arguments. Gives what was found.
fn kept_by(mut command: Command, fault: &str, more: &[&str]) -> Value {
    let _serial = SERIAL.lock().unwrap_or_else(PoisonError::into_inner);
    command.args(["drill", "--fault", fault, "--trials", "1", "--calls", "3", "--held", "1", "--ringing", "1"]);
    command.args(["--setup", "1", "--echo", "1"]);
    if let Some(previous) = std::env::var_os("TANDEM_PREVIOUS") {
        command.arg("--previous").arg(previous);
    }
    let output = command.args(more).args(["--json", "--slack", SLACK]).output().expect("the drill can be started");
    let errors = String::from_utf8_lossy(&output.stderr);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{fault}: {errors}"));
    let found = &report["faults"][0];
    println!("{fault}: longest silence {} ms of {} promised", found["silence_ms"]["worst"], found["promise_ms"]);
    assert!(output.status.success() && report["passed"] == true, "{report:#}\n{errors}");
    assert_eq!(found["fault"], fault);
    found.clone()
}

macro_rules! faults {
    ($($test:ident: $fault:literal,)*) => {$(
        #[test]
        fn $test() {
            kept($fault);
        }
    )*};
}

faults! {
    parent_and_daemon_killed: "kill-parent-too",
    standby_killed: "standby-dies",
    upgraded_one_after_the_other: "upgrade",
    killed_between_two_upgrades: "upgrade-kill",
    nodes_parted_from_each_other: "peer-link-only",
    packets_lost_between_the_nodes: "loss",
    one_of_two_links_cut: "link-cut",
    cable_with_a_loose_contact: "flap",
    address_deleted_by_somebody: "address-deleted",
    strangers_at_the_door: "overload",
    power_lost: "power",
    power_lost_by_both: "power-both",
    disk_full: "disk-full",
    disk_slow: "slow-disk",
    clock_set: "clock-step",
    machine_asleep_and_awake_again: "freeze-all",
    switch_fallen_in_two: "split-and-heal",
}

#[test]
fn killed_while_a_thousand_phones_register_again() {
    let found = kept_by(Command::new(binary()), "kill", &["--avalanche", "1000"]);
    let checks = found["checks"].as_array().expect("a list");
    let again = checks.iter().find(|check| check["name"] == "registered again, all at once").expect("the avalanche");
    assert_eq!((&again["good"], &again["total"]), (&1000.into(), &1000.into()));
}
