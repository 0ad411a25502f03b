//! What no file of the repository may have, code or not.

use super::{Finding, assert_none, files};

/// Marks of unfinished work, in pieces so that this file does not have them.
const MARKS: &[&str] = &[concat!("FIX", "ME"), concat!("TO", "DO:"), concat!("XX", "X:"), concat!("HA", "CK:")];

/// Folders of somebody's machine, in pieces as above.
const MACHINE_PATHS: &[&str] =
    &[concat!("/wo", "rk/"), concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/Us", "ers/")];

#[test]
fn no_file_has_marks_of_unfinished_work() {
    assert_none(lines_with(MARKS));
}

#[test]
fn no_file_names_somebodys_machine() {
    assert_none(lines_with(MACHINE_PATHS));
}

#[test]
fn no_line_ends_in_blanks() {
    let mut findings: Vec<Finding> = Vec::new();
    for file in
        files().into_iter().filter(|file| file.is_rust() || file.path.ends_with(".md") || file.path.ends_with(".toml"))
    {
        for (index, line) in file.text.lines().enumerate() {
            if line.ends_with([' ', '\t']) {
                findings.push(format!("{}:{}: ends in blanks", file.path, index + 1));
            }
        }
    }
    assert_none(findings);
}

/// Both licenses are there in full, as the manifests say.
#[test]
fn the_licenses_are_there() {
    let text = |name: &str| std::fs::read_to_string(super::root().join(name)).unwrap_or_default();
    assert!(text("LICENSE-MIT").contains("Permission is hereby granted, free of charge"));
    assert!(
        text("LICENSE-APACHE").contains("Apache License")
            && text("LICENSE-APACHE").contains("END OF TERMS AND CONDITIONS")
    );
    assert!(text("Cargo.toml").contains("license = \"MIT OR Apache-2.0\""));
}

fn lines_with(marks: &[&str]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for file in files() {
        for (index, line) in file.text.lines().enumerate() {
            for mark in marks {
                if line.contains(mark) {
                    findings.push(format!("{}:{}: {mark}", file.path, index + 1));
                }
            }
        }
    }
    findings
}
