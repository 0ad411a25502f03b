//! Every number of what is stored is written down with the level that it came with (`core/fields.txt`): a new one is
//! noticed, and whoever adds it is sent to `core/base/src/level.rs`, which says what an older peer needs.

use std::collections::BTreeMap;
use std::fmt::Write;

use base::Level;

use super::{File, Finding, assert_none, files, root};

const LIST: &str = "core/fields.txt";

/// Where what goes into the log is defined. Heartbeats, messages and notes are not stored.
const PLACES: [&str; 14] = [
    "core/base/src/id.rs",
    "core/media/src/",
    "core/node/src/node/configuration/known.rs",
    "core/pbx/src/",
    "core/replication/src/content.rs",
    "core/replication/src/entry.rs",
    "core/replication/src/files/entry.rs",
    "core/replication/src/files/manifest.rs",
    "core/replication/src/files/named.rs",
    "core/replication/src/files/version.rs",
    "core/replication/src/log.rs",
    "core/replication/src/store.rs",
    "core/sip/src/",
    "core/base/src/level.rs",
];

const HEAD: &str = "\
# Every number of what is stored in the log, with the level that it came with: `file type level: numbers; level: ...`.
# `3.0` is field 0 of variant 3. Numbers are for ever. Before you add one read core/base/src/level.rs; then
# UPDATE=1 cargo test -p tandem-fuzz --test tidy fields
# writes new ones here, under the present level.
";

/// File and type.
type Name = (String, String);
/// The level of each number.
type Numbers = BTreeMap<String, u16>;

/// The types of a file that are encoded, with their numbers in the order of the source.
fn types(text: &str) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("#[derive(") {
        rest = &rest[at..];
        let end = rest.find(")]").unwrap_or(rest.len());
        let (derive, after) = rest.split_at(end);
        rest = after;
        if !derive.contains("Encode") {
            continue;
        }
        // Attributes and the visibility stand between the derive and the word.
        let item = ["struct ", "enum "].iter().filter_map(|word| Some((after.find(word)?, *word))).min();
        let Some((at, word)) = item else { continue };
        let body = &after[at + word.len()..];
        let name: String = body.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
        found.push((name, numbers(body, word == "enum ")));
    }
    found
}

/// The numbers of one item, up to its end.
fn numbers(body: &str, is_enum: bool) -> Vec<String> {
    let mut numbers = Vec::new();
    let (mut depth, mut variant) = (0_i32, String::new());
    for line in body.lines() {
        let code = line.trim_start();
        if code.starts_with("//") {
            continue;
        }
        for (at, _) in line.match_indices("n(") {
            let before = line[..at].chars().next_back();
            let digits: String = line[at + 2..].chars().take_while(char::is_ascii_digit).collect();
            let closed = line[at + 2 + digits.len()..].starts_with(')');
            if digits.is_empty() || !closed || before.is_some_and(|letter| letter.is_alphanumeric() || letter == '_') {
                continue;
            }
            if !is_enum {
                numbers.push(digits);
            } else if depth == 1 && code.starts_with("#[") {
                variant.clone_from(&digits);
                numbers.push(digits);
            } else {
                numbers.push(format!("{variant}.{digits}"));
            }
        }
        depth += line.matches('{').count() as i32 - line.matches('}').count() as i32;
        if depth <= 0 && (line.trim_end().ends_with([';', '}'])) {
            break;
        }
    }
    numbers
}

fn found() -> BTreeMap<Name, Vec<String>> {
    let is_stored =
        |file: &File| file.is_rust() && !file.is_test() && PLACES.iter().any(|place| file.path.starts_with(place));
    let mut all = BTreeMap::new();
    for file in files().into_iter().filter(is_stored) {
        for (name, numbers) in types(&file.text) {
            all.insert((file.path.clone(), name), numbers);
        }
    }
    assert!(all.len() > 20, "only {} types were found", all.len());
    all
}

fn listed(text: &str) -> BTreeMap<Name, Numbers> {
    let mut all = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.splitn(3, ' ');
        let (Some(path), Some(name), levels) = (words.next(), words.next(), words.next()) else { continue };
        let mut numbers = Numbers::new();
        for part in levels.unwrap_or_default().split("; ") {
            let (level, of_level) = part.split_once(": ").unwrap_or(("", ""));
            let level = level.parse().unwrap_or(0);
            numbers.extend(of_level.split_whitespace().map(|number| (number.to_owned(), level)));
        }
        all.insert((path.to_owned(), name.to_owned()), numbers);
    }
    all
}

fn text(found: &BTreeMap<Name, Vec<String>>, listed: &BTreeMap<Name, Numbers>) -> String {
    let mut text = HEAD.to_owned();
    for (name, numbers) in found {
        let mut by_level: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
        for number in numbers {
            let level = listed.get(name).and_then(|known| known.get(number)).copied().unwrap_or(Level::OWN.0);
            by_level.entry(level).or_default().push(number);
        }
        let levels: Vec<_> = by_level.iter().map(|(level, of)| format!("{level}: {}", of.join(" "))).collect();
        let _ = writeln!(text, "{} {} {}", name.0, name.1, levels.join("; "));
    }
    text
}

#[test]
fn every_number_has_its_level() {
    let path = root().join(LIST);
    let found = found();
    let known = listed(&std::fs::read_to_string(&path).unwrap_or_default());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, text(&found, &known)).expect("the list can be written");
        return;
    }
    let mut findings: Vec<Finding> = Vec::new();
    for (name, numbers) in &found {
        let known = known.get(name);
        let new = numbers.iter().filter(|number| known.is_none_or(|known| !known.contains_key(*number)));
        findings.extend(new.map(|number| {
            format!("{}: {} has {number}, which {LIST} lacks: read core/base/src/level.rs first", name.0, name.1)
        }));
    }
    for (name, known) in &known {
        let numbers = found.get(name);
        let gone = known.keys().filter(|number| numbers.is_none_or(|numbers| !numbers.contains(number)));
        findings.extend(gone.map(|number| format!("{}: {} has lost {number}: numbers are for ever", name.0, name.1)));
        let beyond = known.iter().filter(|(_, level)| **level > Level::OWN.0 || **level < Level::FIRST.0);
        findings.extend(beyond.map(|(number, level)| format!("{LIST}: {} {number} has no level {level}", name.1)));
    }
    assert_none(findings);
}

#[test]
fn numbers_are_found_in_every_kind_of_item() {
    let source = "#[derive(Clone, Encode)]\npub struct A {\n    /// n(9)\n    #[n(0)]\n    pub a: u8,\n    #[cbor(n(1), with = \"x\")]\n    \
        b: Option<u8>,\n}\n\n#[derive(Encode, Decode)]\n#[cbor(transparent)]\npub struct B(#[n(0)] pub u64);\n\n#[derive(Encode)]\n\
        enum C {\n    #[n(0)]\n    One,\n    #[n(3)]\n    Two {\n        #[n(0)]\n        x: u8,\n    },\n    #[n(4)]\n    Three(#[n(0)] u8),\n}\n\
        #[derive(Clone)]\nstruct D {\n    #[n(7)]\n    no: u8,\n}\n";
    let found = types(source);
    let expected = [("A", vec!["0", "1"]), ("B", vec!["0"]), ("C", vec!["0", "3", "3.0", "4", "4.0"])];
    assert_eq!(found.len(), expected.len());
    for ((name, numbers), (wanted, fields)) in found.iter().zip(&expected) {
        assert_eq!((name.as_str(), numbers), (*wanted, &fields.iter().map(ToString::to_string).collect()));
    }
    let known = listed("# x\na.rs A 1: 0 1; 2: 3.0\n");
    let numbers = &known[&("a.rs".to_owned(), "A".to_owned())];
    assert_eq!(
        numbers.iter().map(|(number, level)| (number.as_str(), *level)).collect::<Vec<_>>(),
        [("0", 1), ("1", 1), ("3.0", 2)]
    );
}
