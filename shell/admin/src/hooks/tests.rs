use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::time::Instant;

use node::base::{Epoch, NodeIndex};
use node::cluster::OnFailure;

use super::*;
use crate::events::file;

const WAIT: Duration = Duration::from_secs(20);

fn directory(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("tandem-hooks-{name}-{}", std::process::id()));
    fs::create_dir_all(&path).unwrap();
    path
}

fn wait_for(what: &str, done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < WAIT, "{what} does not come");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn each_change_of_role_is_told_in_order_with_its_cause() {
    let here = directory("roles");
    let told = here.join("told");
    let teller = Teller::start(&here, "a", None).unwrap();
    let line = format!(
        "say() {{ echo \"$1 $2 $TANDEM_CAUSE on $TANDEM_NODE for $TANDEM_ADDRESS\"; }} >> {}; say",
        told.display()
    );
    let hook = RoleHook::start(&line, "a", "10.77.0.100", teller).unwrap();
    for number in 1..=5 {
        let role = if number % 2 == 1 { "active" } else { "standby" };
        hook.changed(RoleChange { role, epoch: format!("{number}.0"), cause: "a test".into() });
    }
    let text = || fs::read_to_string(&told).unwrap_or_default();
    wait_for("the fifth change", || text().lines().count() == 5);
    let first = text().lines().next().unwrap_or_default().to_owned();
    assert_eq!(first, "active 1.0 a test on a for 10.77.0.100");
    let epochs: Vec<String> = text().lines().filter_map(|line| line.split(' ').nth(1).map(str::to_owned)).collect();
    assert_eq!(epochs, ["1.0", "2.0", "3.0", "4.0", "5.0"]);
    fs::remove_dir_all(&here).unwrap();
}

#[test]
fn a_fencing_is_told_its_peer_and_tells_its_end() {
    let here = directory("fencing");
    let teller = Teller::start(&here, "a", None).unwrap();
    let cases = [("test \"$TANDEM_PEER/$TANDEM_EPOCH\" = b/7.1", true), ("exit 3", false), ("sleep 60", false)];
    for (number, (line, expected)) in cases.into_iter().enumerate() {
        let (sender, ends) = channel();
        let program = FencingProgram {
            program: line.into(),
            wait: true,
            timeout: Duration::from_millis(500),
            on_failure: OnFailure::Serve,
        };
        let done = move |number, done| sender.send((number, done)).unwrap_or_default();
        let fencer = Fencer::start(&program, "a", teller.clone(), done).unwrap();
        let number = number as u64;
        let epoch = Epoch { number: 7, node: NodeIndex(1) };
        assert!(fencer.fence(Fence { number, peer: "b".into(), epoch, cause: "a test" }));
        assert_eq!(ends.recv_timeout(WAIT), Ok((number, expected)), "{line}");
    }
    teller.flush(WAIT);
    let kinds: Vec<String> = file::read(&here).unwrap().into_iter().map(|event| event.kind).collect();
    assert!(kinds.iter().filter(|kind| *kind == "fencing").count() >= 4, "{kinds:?}");
    fs::remove_dir_all(&here).unwrap();
}
