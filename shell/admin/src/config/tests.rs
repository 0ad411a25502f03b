//! Every file `src/tests/config/*.toml` against the `.expected` beside it: the configuration, or all complaints.
//! `UPDATE_EXPECTED=1 cargo test -p tandem-admin` writes the expectations anew.

use std::fs;
use std::path::{Path, PathBuf};

use miette::{GraphicalReportHandler, GraphicalTheme};

use super::*;

/// The directory that relative paths in the cases start at.
const CASE_PATH: &str = "/etc/tandem/tandem.toml";

fn cases() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tests/config");
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "toml")).collect();
    cases.sort();
    cases
}

fn outcome(text: &str) -> String {
    match Config::parse(Path::new(CASE_PATH), text.to_owned()) {
        Ok(config) => format!("{config:#?}\n"),
        Err(error) => error.lines(),
    }
}

#[test]
fn each_file_has_the_expected_outcome() {
    let update = std::env::var_os("UPDATE_EXPECTED").is_some();
    let mut different = String::new();
    let cases = cases();
    assert!(cases.len() > 30, "the cases are not where they should be");
    for path in cases {
        let found = outcome(&fs::read_to_string(&path).unwrap());
        let good = path.file_name().unwrap().to_string_lossy().starts_with("good_");
        assert_eq!(good, found.starts_with("Config {"), "{}: {found}", path.display());
        let expected = path.with_extension("expected");
        if update {
            fs::write(&expected, &found).unwrap();
        }
        let wanted = fs::read_to_string(&expected).unwrap_or_default();
        if wanted != found {
            different += &format!("--- {}\nexpected:\n{wanted}found:\n{found}", path.display());
        }
    }
    assert!(different.is_empty(), "{different}");
}

#[test]
fn the_example_can_be_used() {
    let config = Config::parse(Path::new(CASE_PATH), EXAMPLE.to_owned()).unwrap();
    assert_eq!(config.name, "a");
    assert_eq!(config.service.unwrap().priority, 150);
    assert_eq!(config.peer.unwrap().links.len(), 1);
}

/// Each key of the example is needed, but for those with a default.
#[test]
fn the_example_without_any_one_key_is_refused() {
    let lines: Vec<&str> = EXAMPLE.lines().collect();
    let keys: Vec<usize> = (0..lines.len()).filter(|&number| lines[number].contains(" = ")).collect();
    assert_eq!(keys.len(), 17);
    let has_default = |line: &str| {
        let mut keys = vrrp::KEYS.iter().chain([&"failback", &"wait_for_peer"]);
        keys.any(|key| line.starts_with(&format!("{key} = ")))
    };
    for left_out in keys {
        let kept = lines.iter().enumerate().filter(|(number, _)| *number != left_out).map(|(_, line)| *line);
        let text = kept.collect::<Vec<_>>().join("\n");
        let usable = Config::parse(Path::new(CASE_PATH), text).is_ok();
        assert_eq!(usable, has_default(lines[left_out]), "without {}", lines[left_out]);
    }
}

#[test]
fn both_nodes_of_a_pair_come_to_opposite_indices() {
    let exchanged = EXAMPLE.replace("0.11:", "0.99:").replace("0.12:", "0.11:").replace("0.99:", "0.12:");
    let index = |text: String| Config::parse(Path::new(CASE_PATH), text).unwrap().index;
    assert_eq!(index(EXAMPLE.to_owned()), NodeIndex(0));
    assert_eq!(index(exchanged), NodeIndex(1));
    let same_address = EXAMPLE.replace("0.11:7700", "0.12:7701");
    assert_eq!(index(same_address), NodeIndex(1), "of one address, the lower port is node 0");
}

#[test]
fn a_report_shows_the_place_and_the_hint() {
    let text = EXAMPLE.replace("state_dir", "statedir");
    let error = Config::parse(Path::new(CASE_PATH), text).unwrap_err();
    let mut shown = String::new();
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::none()).with_width(120);
    handler.render_report(&mut shown, &error).unwrap();
    assert!(shown.contains("/etc/tandem/tandem.toml:5:1"), "{shown}");
    assert!(shown.contains("did you mean `state_dir`?"), "{shown}");
    assert!(shown.contains("statedir = \"/var/lib/tandem\""), "{shown}");
}

#[test]
fn a_missing_file_and_a_huge_one_are_told_apart() {
    let missing = Config::read(Path::new("/does/not/exist.toml")).unwrap_err();
    assert_eq!(missing.to_string(), "read the configuration file /does/not/exist.toml");
    let path = std::env::temp_dir().join(format!("tandem-admin-huge-{}.toml", std::process::id()));
    fs::write(&path, vec![b'#'; usize::try_from(FILE_BYTES_MAX).unwrap() + 1]).unwrap();
    let huge = Config::read(&path);
    fs::write(&path, EXAMPLE).unwrap();
    let read = Config::read(&path);
    fs::remove_file(&path).unwrap();
    assert!(matches!(huge, Err(ConfigError::TooLarge { .. })));
    assert_eq!(read.unwrap().control_socket(), Path::new("/var/lib/tandem/control.sock"));
}

#[test]
fn the_state_directory_is_found_in_a_file_that_is_wrong_elsewhere() {
    let path = std::env::temp_dir().join(format!("tandem-admin-state-{}.toml", std::process::id()));
    fs::write(&path, "[node]\nstate_dir = \"state\"\nwrong = 1\n").unwrap();
    let found = state_dir(&path);
    fs::write(&path, "[node]\nname = \"a\"\n").unwrap();
    let missing = state_dir(&path);
    fs::remove_file(&path).unwrap();
    assert_eq!(found.unwrap(), std::env::temp_dir().join("state"));
    let lines = missing.unwrap_err().lines();
    assert!(
        lines.ends_with(":1:1: [node] has no `state_dir`; add the line state_dir = \"/var/lib/tandem\"\n"),
        "{lines}"
    );
}

#[test]
fn a_node_alone_has_neither_peer_nor_service_address() {
    let listen = Some("192.0.2.10:5060".parse().unwrap());
    let config = Config::alone(Path::new("/etc/asterisk"), Path::new("/var/lib/tandem"), listen).unwrap();
    assert_eq!((&config.service, &config.peer, config.index), (&None, &None, NodeIndex(0)));
    assert_eq!(config.listen, listen);
    assert!(!config.name.is_empty());
    let relative = Config::alone(Path::new("asterisk"), Path::new("state"), None).unwrap();
    assert!(relative.pbx_dir.is_absolute() && relative.state_dir.is_absolute());
}
