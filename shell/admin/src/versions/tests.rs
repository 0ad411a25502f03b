use node::{ConfigLine, ConflictLine, VersionLine};

use super::*;

fn answer() -> ConfigAnswer {
    let id = |start: &str| format!("{start:0<64}");
    let history = ["4be1f0", "4be1aa", "99"].map(|start| VersionLine { id: id(start), ..VersionLine::default() });
    let line = ConfigLine { head: Some(id("4be1f0")), ..ConfigLine::default() };
    ConfigAnswer { line, history: history.to_vec() }
}

#[test]
fn a_version_is_found_by_as_many_digits_as_it_takes() {
    let answer = answer();
    let named = |name| find(&answer, name).map(|id| id.trim_end_matches('0').to_owned());
    assert_eq!(named("4be1f"), Ok("4be1f".into()));
    assert_eq!(named("4BE1A"), Ok("4be1aa".into()));
    assert_eq!(named("9900"), Ok("99".into()));
    assert_eq!(named("head"), Ok("4be1f".into()));
    let ambiguous = named("4be1").unwrap_err();
    assert_eq!(ambiguous.to_string(), "4be1 could be any of 4be1f0000000, 4be1aa000000");
    assert!(matches!(named("4be2"), Err(NameError::Unknown { .. })));
    assert!(matches!(named("99"), Err(NameError::NotAName { .. })));
    assert!(matches!(named("sip.conf"), Err(NameError::NotAName { .. })));
    assert!(matches!(named("b"), Err(NameError::NoConflict { .. })));
}

#[test]
fn the_two_sides_of_a_conflict_have_short_names() {
    let mut answer = answer();
    let conflict = ConflictLine { ours: "1".into(), theirs: "2".into(), ..ConflictLine::default() };
    answer.line.conflict = Some(conflict);
    assert_eq!((find(&answer, "a"), find(&answer, "b")), (Ok("1".into()), Ok("2".into())));
}

fn side(bytes: &str, mode: u32) -> Option<Side<'_>> {
    Some(Side { bytes: bytes.as_bytes(), mode, owner: "", group: "" })
}

#[test]
fn differences_are_written_as_diff_writes_them() {
    let old = "one\ntwo\nthree\nfour\nfive\nsix\nseven\n";
    let new = "one\ntwo\nthree\nfour\nfive\nSIX\nseven\n";
    let wanted = "--- a/x.conf\n+++ b/x.conf\n@@ -3,5 +3,5 @@\n three\n four\n five\n-six\n+SIX\n seven\n";
    assert_eq!(difference("x.conf", side(old, 0o644), side(new, 0o644)), wanted);
    assert_eq!(difference("x.conf", side(old, 0o644), side(old, 0o644)), "");
    assert_eq!(difference("x", side("", 0o644), side("", 0o600)), "x: mode 0644 becomes 0600\n");
    let given = Some(Side { bytes: b"", mode: 0o644, owner: "root", group: "" });
    assert_eq!(difference("x", side("", 0o644), given), "x: (the node):(the node) becomes root:(the node)\n");
}

#[test]
fn files_that_are_new_or_gone_are_told() {
    assert_eq!(difference("x", None, side("a\n", 0o644)), "--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+a\n");
    assert_eq!(difference("x", side("a\n", 0o644), None), "--- a/x\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n");
    assert_eq!(difference("x", None, side("", 0o644)), "--- /dev/null\n+++ b/x\n");
}
