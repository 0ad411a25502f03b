//! Every folder below `tests/examples` and `tests/scenarios` is a configuration: its `*.conf` files are loaded, the
//! calls in its file `calls` are run, and all that comes out must be what its file `expected` says.
//!
//! `UPDATE=1 cargo test -p tandem-pbx --test scenarios` writes the expectations anew.
#![allow(clippy::disallowed_methods, reason = "a test reads its own files; the library does not")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use tandem_pbx::conf::Files;
use tandem_pbx::configuration::{Configuration, load};
use tandem_pbx::dialplan::{Application, Caller, Step};

/// More steps than any scenario needs; a loop shows as that many.
const STEPS_SHOWN_MAX: usize = 20;

#[test]
fn examples() {
    assert_eq!(compare_all("tests/examples"), ["internal", "pjsip", "ramais"]);
}

#[test]
fn scenarios() {
    assert_eq!(compare_all("tests/scenarios"), ["dangling", "errors", "trunks", "warnings"]);
}

#[test]
fn published_examples_load_without_any_finding() {
    for example in ["ramais", "internal", "pjsip"] {
        let loaded = load(&read(&root("tests/examples").join(example)));
        assert_eq!(loaded.diagnostics, [], "{example}");
        assert!(loaded.configuration.is_some(), "{example}");
    }
}

fn root(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(below)
}

/// Compares each folder and gives their names.
fn compare_all(below: &str) -> Vec<String> {
    let mut folders: Vec<PathBuf> = fs::read_dir(root(below)).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    for folder in &folders {
        let told = tell(folder);
        let expectation = folder.join("expected");
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&expectation, &told).unwrap();
        }
        let expected = fs::read_to_string(&expectation).unwrap_or_default();
        assert_eq!(told, expected, "{}", folder.display());
        assert!(!told.contains("topsecret"), "a secret is shown: {}", folder.display());
    }
    folders.iter().map(|folder| folder.file_name().unwrap().to_str().unwrap().to_owned()).collect()
}

fn read(folder: &Path) -> Files {
    let mut files = Files::default();
    let mut waiting = vec![folder.to_owned()];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "conf") {
            let name = path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
            files.0.insert(name, fs::read_to_string(path).unwrap());
        }
    }
    files
}

/// All that is to be seen of a configuration from outside, but for the hash.
fn tell(folder: &Path) -> String {
    let loaded = load(&read(folder));
    let mut told = String::new();
    for diagnostic in &loaded.diagnostics {
        writeln!(told, "{diagnostic}").unwrap();
    }
    let Some(configuration) = loaded.configuration else {
        told.push_str("refused\n");
        return told;
    };
    writeln!(told, "{:#?}", configuration.general).unwrap();
    for endpoint in configuration.endpoints.values() {
        writeln!(told, "{endpoint:#?}").unwrap();
    }
    let calls = fs::read_to_string(folder.join("calls")).unwrap_or_default();
    for call in calls.lines().filter(|line| !line.starts_with('#')) {
        tell_call(call, &configuration, &mut told);
    }
    told
}

/// `context number caller [DIALSTATUS]`
fn tell_call(call: &str, configuration: &Configuration, told: &mut String) {
    writeln!(told, "\ncall: {}", call.trim()).unwrap();
    let mut words = call.split_whitespace();
    let mut word = || words.next().unwrap_or("");
    let (context, number) = (word(), word());
    let caller = Caller { name: "Caller".to_owned(), number: word().to_owned() };
    let status = word();
    let Some(mut execution) = configuration.dialplan.start(context, number, &caller) else {
        told.push_str("  not found\n");
        return;
    };
    for _ in 0..STEPS_SHOWN_MAX {
        let step = configuration.dialplan.next(&mut execution);
        writeln!(told, "  {step:?}").unwrap();
        match step {
            Step::Run(Application::Dial { .. }) => assert!(execution.set("DIALSTATUS", status)),
            Step::Run(Application::Unknown { .. } | Application::Hangup { .. }) => return,
            Step::Run(_) => execution.waited(),
            Step::End | Step::Failed { .. } => return,
        }
    }
    told.push_str("  and so on\n");
}
