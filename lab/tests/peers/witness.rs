//! A pair with a witness on a third host: a split leaves one master, and the same one after the heal; a cut moves the
//! role though the witness must consent; a kill is as fast as without; a lost witness disturbs nobody. The role hook and
//! the fencing program are told what they should be.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;
use tandem_lab::netns::Loss;
use tandem_lab::nodes::SERVICE;

use crate::SLACK;
use crate::pair::{Fault, Lab, binary, wait_for};
use crate::sipp::RAMAIS;

const PORT: u16 = 7710;

/// The rest of a lease whose holder is gone, and the way to the witness and back: what is left of the 200 ms of a cut.
const CONSENT_MS: f64 = 40.0;

/// Far longer than any of the two nodes waits for the other.
const SPLIT: Duration = Duration::from_secs(2);

/// The third machine's program; ends with the test.
struct Witness(Child);

impl Witness {
    /// Starts it on host `one` with the key that belongs to the pair's.
    fn start(lab: &Lab) -> Self {
        let key = lab.directory.join("witness.key");
        if !key.exists() {
            let mut command = Command::new(binary());
            command.arg("key").arg(&key).arg("--witness-of").arg(lab.directory.join("pair.key"));
            assert!(command.stdout(Stdio::null()).status().expect("a key").success());
        }
        let mut command = lab.host("one").command(&binary().display().to_string());
        command.args(["witness", "--listen", &format!("0.0.0.0:{PORT}"), "--key"]).arg(&key);
        Self(command.stderr(Stdio::null()).stdout(Stdio::null()).spawn().expect("a witness"))
    }

    fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        // One that has ended already is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.end();
    }
}

pub fn status(lab: &Lab, node: usize) -> Option<Value> {
    lab.nodes[node].ask("status").ok()
}

pub fn wait_witness(lab: &Lab, up: bool) {
    for node in 0..2 {
        wait_for("what the nodes hear of the witness", || {
            status(lab, node).filter(|status| status["witness"]["up"] == up)
        });
    }
}

/// Whether each host has the service address.
fn addresses(lab: &Lab) -> [bool; 2] {
    ["a", "b"].map(|name| lab.host(name).has_address(SERVICE).expect("addresses"))
}

/// From the moment at which the peer was given up to the last takeover.
fn consent_ms(events: &[Value]) -> f64 {
    let newest = |kind: &str| {
        let found = events.iter().rev().find(|event| event["kind"] == kind);
        found.and_then(|event| event["at_ms"].as_f64()).unwrap_or_else(|| panic!("no {kind} in {events:?}"))
    };
    newest("active") - newest("peer_down")
}

pub fn epoch(lab: &Lab, node: usize) -> Option<u64> {
    lab.nodes[node].status().ok()?.epoch_number()
}

fn only(node: usize) -> [bool; 2] {
    [node == 0, node == 1]
}

/// Programs of the operator's write what they are told into files of this directory.
fn programs(directory: &Path, witness: Ipv4Addr) -> String {
    let (roles, fenced) = (directory.join("roles-$TANDEM_NODE"), directory.join("fenced-$TANDEM_NODE"));
    format!(
        "\n[witness]\naddress = [\"{witness}:{PORT}\"]\nmode = \"require\"\n\n[ping]\ntargets = [\"{witness}\"]\n\n\
         [fencing]\nprogram = \"echo $TANDEM_PEER >> {}\"\n\n\
         [hooks]\nrole = \"say() {{ echo $1 $2 >> {}; }}; say\"\n",
        fenced.display(),
        roles.display()
    )
}

fn read(directory: &Path, file: &str) -> Vec<String> {
    let text = fs::read_to_string(directory.join(file)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

pub fn own_directory(name: &str) -> PathBuf {
    let directory = std::env::temp_dir().join(format!("tandem-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).expect("a directory");
    directory
}

/// A split in which phones and witness reach both.
pub fn split_leaves_one_master(lab: &mut Lab, active: usize) {
    let began = epoch(lab, active);
    let parted = [Loss { from: &["a"], to: &["b"], percent: 100 }, Loss { from: &["b"], to: &["a"], percent: 100 }];
    lab.network.lose_between(&parted).expect("a split");
    let begun = Instant::now();
    while begun.elapsed() < SPLIT {
        assert_eq!(addresses(lab), only(active), "{:?} into the split", begun.elapsed());
        thread::sleep(Duration::from_millis(10));
    }
    lab.network.lose_between(&[]).expect("a heal");
    assert_eq!((lab.wait_protected(), epoch(lab, active)), (active, began));
}

/// The cable of the serving machine. The witness may be waited for for so many milliseconds.
pub fn cut_moves_the_role(lab: &mut Lab, active: usize, consent_ms_max: f64) {
    let standby = 1 - active;
    lab.strike(Fault::Cut, active);
    wait_for("the takeover", || lab.nodes[standby].status().ok().filter(|status| status.serves()));
    assert_eq!(addresses(lab), only(standby));
    let waited_ms = consent_ms(&lab.nodes[standby].ask_lines("events").expect("events"));
    assert!(waited_ms <= consent_ms_max * SLACK, "the witness was waited for for {waited_ms} ms");
    lab.heal(Fault::Cut, active);
    assert_eq!(lab.wait_protected(), standby);
    assert_eq!(addresses(lab), only(standby));
}

/// A kill of the serving daemon: its parent says so.
pub fn kill_needs_no_consent(lab: &mut Lab, active: usize) {
    let standby = 1 - active;
    wait_witness(lab, true);
    let before = epoch(lab, active);
    let daemon = lab.nodes[active].daemon().expect("a daemon");
    lab.nodes[active].signal(daemon, Signal::SIGKILL).expect("a kill");
    wait_for("the farewell's takeover", || {
        let found = lab.nodes[standby].ask_lines("events").ok()?;
        let newest = found.iter().rev().find(|event| event["kind"] == "active")?;
        (newest["data"]["cause"] == "the peer's program ended").then_some(())
    });
    assert_eq!(lab.wait_protected(), standby);
    assert!(epoch(lab, standby) > before);
}

#[test]
fn with_a_witness_there_is_one_master_whatever_is_cut() {
    let told = own_directory("witness");
    // Without the witness each lives by the other's word, so that the pair comes up before it.
    let mut lab = Lab::pair_with(RAMAIS.name, |third| programs(&told, third));
    let witness = Witness::start(&lab);
    wait_witness(&lab, true);
    let active = lab.wait_protected();
    let standby = 1 - active;
    let lease = |node: usize| status(&lab, node).map(|status| status["witness"]["lease"].clone());
    wait_for("the lease", || (lease(active)? == "this node" && lease(standby)? == "the peer").then_some(()));
    let pings = status(&lab, active).expect("a status")["pings"].clone();
    assert_eq!((pings["answering"].as_u64(), pings["targets"].as_u64()), (Some(1), Some(1)), "{pings}");

    split_leaves_one_master(&mut lab, active);
    cut_moves_the_role(&mut lab, active, CONSENT_MS);
    let (active, standby) = (standby, active);
    kill_needs_no_consent(&mut lab, active);

    // The witness itself.
    witness.kill();
    wait_witness(&lab, false);
    assert_eq!(lab.wait_protected(), standby);
    assert_eq!(addresses(&lab), only(standby));

    let names = ["a", "b"];
    let roles = |node: usize| read(&told, &format!("roles-{}", names[node]));
    wait_for("the role hook", || roles(standby).last().filter(|last| last.starts_with("active ")).cloned());
    let first: Vec<String> =
        roles(active).iter().map(|line| line.split(' ').next().unwrap_or_default().into()).collect();
    assert!(first.starts_with(&["standby".into(), "active".into()]), "{first:?}");
    let fenced = |node: usize| read(&told, &format!("fenced-{}", names[node]));
    assert_eq!(fenced(active), [names[standby].to_owned()], "only the cut was without farewell");
    assert_eq!(fenced(standby), Vec::<String>::new());
    let _ = fs::remove_dir_all(&told);
}
