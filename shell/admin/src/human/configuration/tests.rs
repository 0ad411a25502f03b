use super::*;

fn id(start: &str) -> String {
    format!("{start:0<64}")
}

fn line() -> ConfigLine {
    ConfigLine { head: Some(id("4be1f09a77c2")), runs_head: true, peer_runs_head: Some(true), ..ConfigLine::default() }
}

fn glanced(config: &ConfigLine) -> Vec<String> {
    glance(Some(config), "deadbeef", true).into_iter().map(|(title, text)| format!("{title}: {text}")).collect()
}

#[test]
fn one_glance_tells_whether_both_run_it() {
    let runs = |here, peer| glanced(&ConfigLine { runs_head: here, peer_runs_head: peer, ..line() });
    assert_eq!(runs(true, Some(true)), ["configuration: 4be1f09a77c2 on both nodes"]);
    assert_eq!(runs(true, Some(false)), ["configuration: 4be1f09a77c2 here, NOT yet on the peer"]);
    assert_eq!(runs(false, Some(true)), ["configuration: 4be1f09a77c2 on the peer, NOT yet here"]);
    assert_eq!(glance(Some(&line()), "", false), [("configuration", "4be1f09a77c2 runs".to_owned())]);
    let none = "deadbeef, of this node alone: the pair keeps no versions yet";
    assert_eq!(glance(None, "deadbeef", true), [("configuration", none.to_owned())]);
    assert_eq!(glance(Some(&ConfigLine::default()), "deadbeef", false), [("configuration", "deadbeef".to_owned())]);
}

#[test]
fn what_stands_in_the_way_is_told_with_what_to_do() {
    let problems = vec!["sip.conf:3: error: x".into(), "sip.conf:4: error: \u{1b}[2J".into(), "more".into()];
    let refused = vec![RefusedLine { node: "a".into(), problems }];
    let theirs = id("1234");
    let conflict = ConflictLine { base: None, ours: id("4be1f09a77c2"), theirs, author: "b".into() };
    let config = ConfigLine { refused, conflict: Some(conflict), ..line() };
    let wanted = [
        "configuration: 4be1f09a77c2 on both nodes",
        "CONFLICT: 123400000000 was edited on b beside 4be1f09a77c2, which runs: see `tandem config diff`, then \
         `tandem config resolve --take a` (4be1f09a77c2) or `b` (123400000000)",
        "REFUSED: on a: sip.conf:3: error: x; sip.conf:4: error: ?[2J; and 1 more: tandem config status",
    ];
    assert_eq!(glanced(&config), wanted);
    let version = VersionLine { id: id("4be1f09a77c2"), author: "b".into(), why: "edited".into(), ..<_>::default() };
    let answer = ConfigAnswer { line: config, history: vec![version] };
    let text = status(&answer, true, false);
    assert!(text.starts_with("4be1f09a77c2 on both nodes\n  1970-01-01 00:00:00 on b, edited\nCONFLICT: "), "{text}");
    assert!(text.ends_with("REFUSED on a:\n  sip.conf:3: error: x\n  sip.conf:4: error: ?[2J\n  more\n"), "{text}");
}

#[test]
fn the_history_marks_what_runs_and_what_conflicts() {
    let version = |start: &str, parents: &[&str], why: &str| VersionLine {
        id: id(start),
        parents: parents.iter().map(|parent| id(parent)).collect(),
        author: "a".into(),
        made_ms: 1_000,
        why: why.into(),
        manifest: id("0"),
    };
    let mut answer = ConfigAnswer {
        line: ConfigLine { head: Some(id("bb")), ..ConfigLine::default() },
        history: vec![version("cc", &["aa"], "edited"), version("bb", &["aa"], "edited"), version("aa", &[], "first")],
    };
    answer.line.conflict = Some(ConflictLine { ours: id("bb"), theirs: id("cc"), ..ConflictLine::default() });
    let wanted = "   VERSION       MADE (UTC)           ON  OF            WHY\n\
                  !  cc0000000000  1970-01-01 00:00:01  a   aa0000000000  edited\n\
                  *  bb0000000000  1970-01-01 00:00:01  a   aa0000000000  edited\n";
    assert_eq!(history(&answer, 2, false), wanted);
    assert_eq!(history(&ConfigAnswer::default(), 9, false), "there are no versions yet\n");
}
