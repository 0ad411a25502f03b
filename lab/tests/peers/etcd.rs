//! A pair whose witness is a real etcd of three members, reached with certificates on both sides: a split leaves one
//! master, a lost member and a lost cluster disturb nobody, a cut moves the role, and a kill waits for no lease.

use std::fs::{self, Permissions};
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tandem_lab::netns::Host;

use crate::pair::{Lab, binary, wait_for};
use crate::sipp::RAMAIS;
use crate::witness::{
    cut_moves_the_role, epoch, kill_needs_no_consent, own_directory, split_leaves_one_master, status, wait_witness,
};

const MEMBERS: usize = 3;

/// The rest of a lease of 600 ms whose holder is gone, the reading that came last before it, and a write.
const CONSENT_MS: f64 = 720.0;

/// The cluster's programs on one host; they end with the test.
struct Etcd {
    members: Vec<Option<Child>>,
    directory: PathBuf,
}

fn client_port(member: usize) -> usize {
    2379 + 10 * member
}

fn urls(host: Ipv4Addr) -> Vec<String> {
    (0..MEMBERS).map(|member| format!("https://{host}:{}", client_port(member))).collect()
}

impl Etcd {
    fn start(lab: &Lab, directory: &Path) -> Self {
        let mut etcd = Self { members: (0..MEMBERS).map(|_| None).collect(), directory: directory.to_owned() };
        (0..MEMBERS).for_each(|member| etcd.start_member(lab.host("one"), member));
        etcd
    }

    fn start_member(&mut self, host: &Host, member: usize) {
        let file = |name: &str| self.directory.join(name).display().to_string();
        let peer = |member: usize| format!("http://127.0.0.1:{}", client_port(member) + 1);
        let cluster: Vec<String> = (0..MEMBERS).map(|member| format!("m{member}={}", peer(member))).collect();
        let (own, client) = (peer(member), format!("https://0.0.0.0:{}", client_port(member)));
        let mut command = host.command("etcd");
        command.args(["--name", &format!("m{member}"), "--data-dir", &file(&format!("m{member}"))]);
        command.args(["--listen-peer-urls", &own, "--initial-advertise-peer-urls", &own]);
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--initial-cluster", &cluster.join(",")]);
        command.args(["--client-cert-auth", "--trusted-ca-file", &file("ca.pem")]);
        command.args(["--cert-file", &file("member.pem"), "--key-file", &file("member.key")]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("an etcd");
        self.members[member] = Some(child);
    }

    fn kill_member(&mut self, member: usize) {
        if let Some(mut child) = self.members[member].take() {
            // One that has ended already is as good.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        (0..MEMBERS).for_each(|member| self.kill_member(member));
    }
}

/// Who signs, and a certificate for the members at `host` and one for the nodes.
fn certificates(directory: &Path, host: Ipv4Addr) {
    let openssl = |words: &str| {
        let mut command = Command::new("openssl");
        command.args(words.split(' ')).current_dir(directory).stderr(Stdio::null()).stdout(Stdio::null());
        assert!(command.status().expect("openssl").success(), "openssl {words}");
    };
    let new = "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(&format!("{new} -x509 -days 2 -subj /CN=ca -keyout ca.key -out ca.pem"));
    for name in ["member", "node"] {
        openssl(&format!("{new} -subj /CN={name} -keyout {name}.key -out {name}.csr"));
        fs::write(directory.join("names"), format!("subjectAltName=IP:{host},IP:127.0.0.1\n")).expect("a file");
        let sign = "x509 -req -days 2 -CA ca.pem -CAkey ca.key -CAcreateserial -extfile names";
        openssl(&format!("{sign} -in {name}.csr -out {name}.pem"));
    }
    fs::set_permissions(directory.join("node.key"), Permissions::from_mode(0o600)).expect("a mode");
}

fn section(directory: &Path, host: Ipv4Addr) -> String {
    if !directory.join("ca.pem").exists() {
        certificates(directory, host);
    }
    let file = |key: &str, name: &str| format!("{key} = \"{}\"\n", directory.join(name).display());
    let (ca, certificate, key) =
        (file("ca_file", "ca.pem"), file("cert_file", "node.pem"), file("key_file", "node.key"));
    format!("\n[witness]\netcd = {:?}\n{ca}{certificate}{key}mode = \"require\"\n", urls(host))
}

/// What `tandem doctor` says of the witness.
fn doctors_word(lab: &Lab, node: usize) -> String {
    let name = ["a", "b"][node];
    let mut command = lab.host(name).command(&binary().display().to_string());
    command.args(["doctor", "--config"]).arg(lab.directory.join(name).join("tandem.toml"));
    let output = command.output().expect("a doctor");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn with_an_etcd_as_witness_there_is_one_master_whatever_is_cut() {
    let own = own_directory("etcd");
    let mut lab = Lab::pair_with(RAMAIS.name, |third| section(&own, third));
    let mut etcd = Etcd::start(&lab, &own);
    wait_witness(&lab, true);
    let active = lab.wait_protected();
    let standby = 1 - active;
    let began = epoch(&lab, active);
    let lease = |lab: &Lab, node: usize| status(lab, node).map(|status| status["witness"]["lease"].clone());
    wait_for("the lease", || {
        (lease(&lab, active)? == "this node" && lease(&lab, standby)? == "the peer").then_some(())
    });
    let word = doctors_word(&lab, active);
    assert_eq!(word.matches("and lets us write").count(), MEMBERS, "{word}");

    split_leaves_one_master(&mut lab, active);

    // A majority of the members, and back.
    etcd.kill_member(0);
    etcd.kill_member(1);
    wait_witness(&lab, false);
    assert_eq!((lab.wait_protected(), epoch(&lab, active)), (active, began));
    etcd.start_member(lab.host("one"), 1);
    wait_witness(&lab, true);
    assert_eq!((lab.wait_protected(), epoch(&lab, active)), (active, began));
    wait_for("the lease", || (lease(&lab, active)? == "this node").then_some(()));

    cut_moves_the_role(&mut lab, active, CONSENT_MS);
    let (active, standby) = (standby, active);
    kill_needs_no_consent(&mut lab, active);
    wait_for("the lease", || status(&lab, standby).filter(|status| status["witness"]["lease"] == "this node"));
    drop(etcd);
    fs::remove_dir_all(own).expect("the test's own directory");
}
