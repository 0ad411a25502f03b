use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::check::{read_files, report};
use crate::cli::FailbackChoice;

/// A directory of a test's own.
struct Place(PathBuf);

impl Place {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tandem-pairing-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn files(&self, node: &str) -> FileArguments {
        FileArguments {
            config: self.0.join(node).join("tandem.toml"),
            name: Some(node.to_owned()),
            interface: Some("lo".into()),
            state_dir: self.0.join(node).join("state"),
            pbx_dir: None,
            key_file: None,
        }
    }

    fn init(&self) -> InitArguments {
        InitArguments {
            files: self.files("a"),
            own_address: Some("10.77.0.11".parse().unwrap()),
            peer_address: Some("10.77.0.12".parse().unwrap()),
            port: 7700,
            link: vec!["192.168.9.1,192.168.9.2".parse().unwrap()],
            service: Some("10.77.0.100/24".into()),
            vrid: 10,
            witness: Vec::new(),
            failback: FailbackChoice::Automatic,
            token_only: false,
            json: false,
        }
    }

    fn join(&self) -> JoinArguments {
        JoinArguments { token: "-".into(), files: self.files("b"), json: false }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn secrets() -> Secrets {
    Secrets { key_file: "key\n".into(), witness_key_file: "witness key\n".into(), phones: ["one".into(), "two".into()] }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_second_machine_has_what_the_first_has_with_addresses_exchanged() {
    let place = Place::new("exchange");
    let first = Draft::first(&place.init(), None).unwrap();
    let invitation = first.invitation([7; 32]);
    let carried = Invitation::read(&format!("\n {} \n", invitation.token())).unwrap();
    assert!(carried == invitation);
    let second = Draft::second(&place.join(), &carried).unwrap();
    first.write(&secrets()).unwrap();
    second.write(&secrets()).unwrap();
    let (a, b) = (Config::read(&first.config_file).unwrap(), Config::read(&second.config_file).unwrap());
    assert_eq!((a.name.as_str(), b.name.as_str()), ("a", "b"));
    assert_eq!((a.index.0, b.index.0), (0, 1));
    assert_eq!(a.failback, b.failback);
    let (service, other) = (a.service.unwrap(), b.service.unwrap());
    assert_eq!((service.address, service.vrid, service.prefix_bits), (other.address, other.vrid, other.prefix_bits));
    assert_eq!((service.priority, other.priority), (150, 100));
    let links: Vec<Link> = b.peer.unwrap().links.iter().map(exchanged).collect();
    assert_eq!(a.peer.unwrap().links, links);
    assert_eq!(links.len(), 2);
    let files = |node: &str| read_files(&place.0.join(node).join("pbx")).unwrap();
    assert_eq!(files("a").0, files("b").0);
}

#[test]
fn the_examples_can_be_used_and_secrets_are_the_owners_alone() {
    let place = Place::new("examples");
    let draft = Draft::first(&place.init(), None).unwrap();
    let written = draft.write(&secrets()).unwrap();
    assert_eq!(written.files.len(), 4);
    let found = report(&draft.pbx_dir, &read_files(&draft.pbx_dir).unwrap());
    assert_eq!((found.usable, found.errors, found.warnings), (true, 0, 0), "{:?}", found.diagnostics);
    assert_eq!(found.summary.unwrap().endpoints, PHONES.len());
    assert_eq!(mode(&draft.key_file), 0o600);
    assert_eq!(mode(&draft.pbx_dir.join("sip.conf")), 0o600);
    assert_eq!(mode(&draft.state_dir), 0o700);
}

#[test]
fn nothing_is_overwritten() {
    let place = Place::new("overwrite");
    let arguments = place.init();
    fs::create_dir_all(place.0.join("a/pbx")).unwrap();
    fs::write(place.0.join("a/pbx/sip.conf"), "mine").unwrap();
    let draft = Draft::first(&arguments, None).unwrap();
    let written = draft.write(&secrets()).unwrap();
    assert_eq!(written.kept, Some(draft.pbx_dir.clone()));
    assert_eq!(fs::read_to_string(draft.pbx_dir.join("sip.conf")).unwrap(), "mine");
    let refused = Draft::first(&arguments, None).unwrap_err();
    assert!(matches!(&refused, PairingError::Exists { path, .. } if *path == draft.config_file), "{refused}");
    fs::remove_file(&draft.config_file).unwrap();
    let refused = Draft::first(&arguments, None).unwrap_err();
    assert!(matches!(&refused, PairingError::Exists { path, .. } if *path == draft.key_file), "{refused}");
}

#[test]
fn files_are_written_all_or_none() {
    let place = Place::new("none");
    let draft = Draft::first(&place.init(), None).unwrap();
    fs::create_dir_all(&draft.config_file).unwrap();
    let failed = draft.write(&secrets()).unwrap_err();
    assert!(matches!(&failed, PairingError::Write { path, .. } if *path == draft.config_file), "{failed}");
    assert!(!draft.key_file.exists() && !draft.pbx_dir.join("sip.conf").exists());
}

#[test]
fn what_is_wrong_is_told_before_anything_is_written() {
    let place = Place::new("wrong");
    let mut arguments = place.init();
    arguments.service = Some("10.77.0.11/24".into());
    let told = Draft::first(&arguments, None).unwrap_err().to_string();
    assert!(told.contains("10.77.0.11 is the service address, which moves"), "{told}");
    arguments.service = None;
    arguments.own_address = None;
    let told = Draft::first(&arguments, None).unwrap_err().to_string();
    assert!(told.contains("--own-address, --service"), "{told}");
    assert!(!place.0.join("a").exists());
}

#[test]
fn questions_are_put_for_what_is_missing() {
    let place = Place::new("questions");
    let mut arguments = place.init();
    (arguments.own_address, arguments.peer_address, arguments.service) = (None, None, None);
    arguments.files.name = None;
    let typed = "left\n10.77.0.11\nnonsense\n10.77.0.11\n10.77.0.12\n10.77.0.100/24\n";
    let mut shown = Vec::new();
    let questions = Questions { input: &mut typed.as_bytes(), output: &mut shown };
    let draft = Draft::first(&arguments, Some(questions)).unwrap();
    assert_eq!((draft.name.as_str(), draft.service.as_str()), ("left", "10.77.0.100/24"));
    assert_eq!(draft.links[0].remote, "10.77.0.12:7700".parse().unwrap());
    let shown = String::from_utf8(shown).unwrap();
    assert!(shown.contains("`nonsense` is no IP address"), "{shown}");
    assert!(shown.contains("10.77.0.11 is this machine's own address"), "{shown}");
    let questions = Questions { input: &mut &b""[..], output: &mut Vec::new() };
    assert!(matches!(Draft::first(&arguments, Some(questions)), Err(PairingError::Input(_))));
}

#[test]
fn a_token_that_was_cut_or_changed_is_refused() {
    let place = Place::new("token");
    let invitation = Draft::first(&place.init(), None).unwrap().invitation([7; 32]);
    let token = invitation.token();
    for end in 8..token.len() {
        assert_eq!(Invitation::read(&token[..end]).err(), Some(TokenError::Damaged), "{end}");
    }
    let mut changed = token.clone().into_bytes();
    changed[40] = if changed[40] == b'A' { b'B' } else { b'A' };
    assert_eq!(Invitation::read(&String::from_utf8(changed).unwrap()).err(), Some(TokenError::Damaged));
    assert_eq!(Invitation::read("tandem2-abc").err(), Some(TokenError::Version));
    assert_eq!(Invitation::read("nonsense").err(), Some(TokenError::Other));
    assert_eq!(Invitation::read(&format!("tandem1-{}", "A".repeat(TOKEN_BYTES_MAX))).err(), Some(TokenError::Other));
    assert!(!format!("{invitation:?}").contains("key"), "the key is in no log");
}

#[test]
fn the_second_machines_interface_may_have_another_name() {
    let place = Place::new("interface");
    let mut invitation = Draft::first(&place.init(), None).unwrap().invitation([7; 32]);
    invitation.interface = "eth9".into();
    let here = [OwnAddress { interface: "enp1s0".into(), address: "10.77.0.12".parse().unwrap(), prefix_bits: 24 }];
    assert_eq!(interface_for(&invitation, &here, |_| true).unwrap(), "eth9");
    assert_eq!(interface_for(&invitation, &here, |_| false).unwrap(), "enp1s0");
    assert!(matches!(interface_for(&invitation, &[], |_| false), Err(PairingError::NoInterface { .. })));
}

#[test]
fn a_node_invites_again_with_what_it_runs_with() {
    let place = Place::new("again");
    let draft = Draft::first(&place.init(), None).unwrap();
    draft.write(&secrets()).unwrap();
    let config = Config::read(&draft.config_file).unwrap();
    assert!(Invitation::of(&config, &draft.config_file, [7; 32]).unwrap() == draft.invitation([7; 32]));
    let alone = Config { peer: None, ..config };
    assert!(matches!(Invitation::of(&alone, &draft.config_file, [7; 32]), Err(PairingError::NoPeer { .. })));
}

#[test]
fn the_line_for_the_other_machine_is_printed_in_every_form() {
    let place = Place::new("print");
    let invitation = Draft::first(&place.init(), None).unwrap().invitation([7; 32]);
    let shown = |json: bool, token_only: bool| {
        let witness = Some("tandem witness there");
        let invited =
            Invited { written: None, warnings: &[], invitation: Some(&invitation), witness, json, token_only };
        let mut out = Vec::new();
        print(&invited, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    let token = invitation.token();
    assert_eq!(shown(false, true), format!("{token}\n"));
    assert!(shown(false, false).contains(&format!("\ntandem join {token}\n")));
    assert!(shown(false, false).contains("secret"));
    assert!(shown(false, false).ends_with("\n\ntandem witness there\n"));
    let json: serde_json::Value = serde_json::from_str(&shown(true, false)).unwrap();
    assert_eq!(json["token"], token);
}

#[test]
fn a_witness_is_in_both_files_and_its_key_on_the_first_machine() {
    let place = Place::new("witness");
    let witness: Vec<SocketAddr> = vec!["10.77.0.31:7710".parse().unwrap(), "192.168.9.3:7710".parse().unwrap()];
    let arguments = InitArguments { witness: witness.clone(), ..place.init() };
    let first = Draft::first(&arguments, None).unwrap();
    let carried = Invitation::read(&first.invitation([7; 32]).token()).unwrap();
    let second = Draft::second(&place.join(), &carried).unwrap();
    let written = first.write(&secrets()).unwrap();
    second.write(&secrets()).unwrap();
    for file in [&first.config_file, &second.config_file] {
        let config = Config::read(file).unwrap();
        assert_eq!(config.safeguards.witness.unwrap().addresses(), witness);
    }
    let key = place.0.join("a/witness.key");
    assert!(written.files.contains(&key));
    assert_eq!((mode(&key), fs::read_to_string(&key).unwrap().as_str()), (0o600, "witness key\n"));
    assert!(!place.0.join("b/witness.key").exists());
    let line = first.witness_line().unwrap();
    assert_eq!(line, "tandem witness --listen 0.0.0.0:7710 --key /etc/tandem/witness.key");
    assert_eq!(second.witness_line(), None);
    let config = Config::read(&first.config_file).unwrap();
    assert!(Invitation::of(&config, &first.config_file, [7; 32]).unwrap() == carried);
    fs::remove_file(&first.config_file).unwrap();
    fs::remove_file(&first.key_file).unwrap();
    let refused = Draft::first(&arguments, None).unwrap_err();
    assert!(matches!(&refused, PairingError::Exists { path, .. } if *path == key), "{refused}");
}
