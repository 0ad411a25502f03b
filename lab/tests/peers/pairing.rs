//! Two machines become a pair as a newcomer makes them one: `tandem init` on the first, `tandem join` on the second.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tandem_lab::netns::{Host, Network};
use tandem_lab::nodes::SERVICE;
use tandem_lab::process::output;

use crate::pair::{Lab, binary};

const LIMIT: Duration = Duration::from_secs(10);

/// Runs the product on a host; gives its exit code and what it printed to standard output and to standard error.
pub fn tandem(host: &Host, arguments: &[&str], input: &str) -> (Option<i32>, String, String) {
    let mut command: Command = host.command(&binary().display().to_string());
    let output = output(command.args(arguments), input, LIMIT).expect("the product");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// The flags that keep a node's files in a directory of its own.
pub fn places(directory: &Path, node: &str) -> [String; 6] {
    let at = |name: &str| directory.join(node).join(name).display().to_string();
    ["--config".into(), at("tandem.toml"), "--state-dir".into(), at("state"), "--name".into(), node.into()]
}

/// `tandem init` on host a; gives the token.
pub fn init(network: &Network, directory: &Path) -> String {
    let (a, b) = (network.host("a").expect("a host"), network.host("b").expect("a host"));
    let (own, peer, service) = (a.address.to_string(), b.address.to_string(), format!("{SERVICE}/24"));
    let places = places(directory, "a");
    let mut arguments = vec!["init", "--own-address", &own, "--peer-address", &peer, "--service", &service];
    arguments.extend(places.iter().map(String::as_str));
    arguments.push("--token-only");
    let (code, token, told) = tandem(a, &arguments, "");
    assert_eq!(code, Some(0), "{told}");
    token
}

#[test]
fn init_and_join_make_a_pair_that_is_protected() {
    let lab = Lab::of_two(|network, directory| {
        let token = init(network, directory);
        let places = places(directory, "b");
        let mut arguments = vec!["join", "-"];
        arguments.extend(places.iter().map(String::as_str));
        let (code, told, complaint) = tandem(network.host("b").expect("a host"), &arguments, &token);
        assert_eq!(code, Some(0), "{complaint}");
        assert!(!told.contains(token.trim()), "the secret is not repeated");
    });
    let preferred = lab.nodes.iter().position(|node| node.status().expect("a status").serves());
    assert_eq!(preferred, Some(0), "the first machine serves");
    let key = |node: &str| fs::read(lab.directory.join(node).join("pair.key")).expect("a key");
    assert_eq!(key("a"), key("b"));
}

#[test]
fn init_and_join_overwrite_nothing_and_refuse_what_is_no_token() {
    let mut lab = Lab::of_two(|network, directory| {
        let token = init(network, directory);
        let b = network.host("b").expect("a host");
        let places = places(directory, "b");
        let with = |word: &str| {
            let mut arguments = vec!["join".to_owned(), word.to_owned()];
            arguments.extend(places.iter().cloned());
            arguments
        };
        let run = |arguments: &[String], input: &str| {
            tandem(b, &arguments.iter().map(String::as_str).collect::<Vec<_>>(), input)
        };
        let cut = token.trim().get(..40).expect("a long word");
        let (code, _, told) = run(&with(cut), "");
        assert_eq!(code, Some(1));
        assert!(told.contains("damaged"), "{told}");
        assert!(!directory.join("b").exists(), "nothing is written");
        assert_eq!(run(&with(token.trim()), "").0, Some(0));
        let before = fs::read_to_string(directory.join("b/tandem.toml")).expect("a file");
        let (code, _, told) = run(&with("-"), &token);
        assert_eq!(code, Some(1));
        assert!(told.contains("is there already"), "{told}");
        assert_eq!(fs::read_to_string(directory.join("b/tandem.toml")).expect("a file"), before);
    });
    lab.wait_protected();
}
