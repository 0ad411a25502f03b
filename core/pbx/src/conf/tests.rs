use super::*;

fn conf_of(files: &[(&str, &str)]) -> (Conf, Vec<Diagnostic>) {
    let files: Files = files.iter().copied().collect();
    let mut diagnostics = Diagnostics::default();
    let conf = read(&files, "main.conf", &mut diagnostics).unwrap();
    (conf, diagnostics.finish())
}

/// Every section as `name: key=value key=value`, templates with a `!`.
fn told(conf: &Conf) -> Vec<String> {
    let tell = |section: &Section| {
        let lines: Vec<String> =
            section.entries.iter().map(|entry| format!(" {}={}", entry.key, entry.value)).collect();
        format!("{}{}:{}", section.name, if section.template { "!" } else { "" }, lines.concat())
    };
    conf.sections.iter().map(tell).collect()
}

fn sections(text: &str) -> Vec<String> {
    let (conf, diagnostics) = conf_of(&[("main.conf", text)]);
    assert_eq!(diagnostics, [], "{text}");
    told(&conf)
}

fn findings(files: &[(&str, &str)]) -> Vec<String> {
    conf_of(files).1.iter().map(ToString::to_string).collect()
}

#[test]
fn lines() {
    let table = [
        ("[a]\nkey=value", "a: key=value"),
        ("[a]\nkey => value", "a: key=value"),
        ("[a]\n  key  =  two words  \t", "a: key=two words"),
        ("[a]\nkey=", "a: key="),
        ("[a]\nkey=a=b", "a: key=a=b"),
        ("\u{feff}[a]\r\nkey=value\r\n", "a: key=value"),
        ("[ a ] ; the first\nkey=value ; why", "a: key=value"),
        ("[a]\nkey=one\\;two;three", "a: key=one;two"),
        ("[a]\nkey=one;-- no --;two", "a: key=onetwo"),
        ("[a]\nkey=one;-- no\nother=no\n--;two=three", "a: key=one two=three"),
        ("[a]\n;-- outer ;-- inner --; still --;key=value", "a: key=value"),
        ("[a]\n;--;key=no\n--;\nkey=value", "a: key=value"),
        ("[a]\n;------ decoration\nkey=value", "a: key=value"),
        ("[a]\nkey=a\nkey+=b", "a: key=a key=ab"),
    ];
    for (text, expected) in table {
        assert_eq!(sections(text), [expected], "{text}");
    }
}

#[test]
fn object_lines_and_places_are_kept() {
    let (conf, _) = conf_of(&[("main.conf", "[a]\n\n#include \"b.conf\"\nk=v"), ("b.conf", "\nexten => 1")]);
    let entries = &conf.sections[0].entries;
    assert_eq!((&*entries[0].place.file, entries[0].place.line, entries[0].object), ("b.conf", 2, true));
    assert_eq!((&*entries[1].place.file, entries[1].place.line, entries[1].object), ("main.conf", 4, false));
}

#[test]
fn templates() {
    let text = "[base](!)\na=1\n[more](!,base)\nb=2\n[x](more)\na=3\n[y](base,more)\n[x](+)\nc=4";
    assert_eq!(sections(text), ["base!: a=1", "more!: a=1 b=2", "x: a=1 b=2 a=3 c=4", "y: a=1 a=1 b=2"]);
    let (conf, _) = conf_of(&[("main.conf", text)]);
    assert_eq!(&*conf.sections[2].last("A").unwrap().value, "3");
}

#[test]
fn an_addition_may_pick_among_sections_of_one_name() {
    let text = "[x]\ntype=endpoint\n[x]\ntype=aor\n[x](+type=aor)\nk=v";
    assert_eq!(sections(text), ["x: type=endpoint", "x: type=aor k=v"]);
}

#[test]
fn includes() {
    let (conf, diagnostics) = conf_of(&[
        (
            "main.conf",
            "[a]\n#include <one.conf>\nk=3\n#include \"d/*.conf\"\n\
             #tryinclude absent.conf\n#include /etc/asterisk/last.conf",
        ),
        ("one.conf", "k=1\n[b]\nk=2"),
        ("d/2.conf", "[d2]"),
        ("d/1.conf", "[d1]"),
        ("d/1.txt", "[no]"),
        ("d/e/3.conf", "[no]"),
        ("last.conf", "[last]"),
    ]);
    assert_eq!(diagnostics, []);
    assert_eq!(told(&conf), ["a: k=1 k=3", "b: k=2", "d1:", "d2:", "last:"]);
}

#[test]
fn refused_files() {
    let table: &[(&str, &str)] = &[
        ("k=v", "main.conf:1: error: `k` stands before the first section"),
        ("[a]\nword", "main.conf:2: error: cannot read this line: neither `[section]` nor `key = value`"),
        ("[a]\n=v", "main.conf:2: error: cannot read this line: nothing before the `=`"),
        ("[a", "main.conf:1: error: cannot read this line: the section's name has no closing `]`"),
        ("[]", "main.conf:1: error: cannot read this line: the section has no name"),
        ("[a](b", "main.conf:1: error: cannot read this line: the section's templates have no closing `)`"),
        ("[a](b)", "main.conf:1: error: the template [b] does not exist before this line"),
        ("[a](+)", "main.conf:1: error: nothing to add to: there is no section [a] before this line"),
        ("[a]\n;-- open", "main.conf:2: error: the block comment that starts here has no end"),
        ("#exec ls", "main.conf:1: error: #exec is refused: files are read, never run"),
        ("#define x", "main.conf:1: error: unknown directive #define"),
        ("#include", "main.conf:1: error: #include names no file"),
        ("#include absent.conf", "main.conf:1: error: the included file `absent.conf` does not exist"),
        ("#include ../x.conf", "main.conf:1: error: `../x.conf` is outside of the configuration directory"),
        ("#include /etc/passwd", "main.conf:1: error: `/etc/passwd` is outside of the configuration directory"),
    ];
    for (text, expected) in table {
        assert_eq!(findings(&[("main.conf", text)]), [*expected], "{text}");
    }
}

#[test]
fn warnings() {
    assert_eq!(findings(&[("main.conf", "#include d/*.conf")]), ["main.conf:1: warning: no file matches `d/*.conf`"]);
    let rest = "main.conf:1: warning: text after the section's header is ignored";
    assert_eq!(findings(&[("main.conf", "[a] b")]), [rest]);
}

#[test]
fn bounds() {
    let itself = "#include main.conf\n#include main.conf";
    let found = findings(&[("main.conf", itself)]);
    let loops = "main.conf:1: error: more than 10 files include one another; does one include itself?";
    assert_eq!(found, [loops]);

    let long = format!("[a]\nk={}", "v".repeat(9000));
    assert_eq!(findings(&[("main.conf", &long)]), ["main.conf:2: error: the line is longer than 8192 bytes"]);

    // Thirty templates, each inheriting twice from the one before, would make 2^30 lines.
    let mut doubling = "[t0](!)\nk=v\n".to_owned();
    for number in 1..=30 {
        doubling.push_str(&format!("[t{number}](!,t{0},t{0})\n", number - 1));
    }
    let found = findings(&[("main.conf", &doubling)]);
    assert_eq!(found.len(), 1);
    assert!(found[0].ends_with("lines, inherited ones counted in each section"), "{}", found[0]);

    let deep = format!("[a]\n{}", ";-- ".repeat(129));
    assert_eq!(findings(&[("main.conf", &deep)]), ["main.conf:2: error: block comments are nested too deep"]);

    let many = "#include empty.conf\n".repeat(100_001);
    let found = findings(&[("main.conf", &many), ("empty.conf", "")]);
    assert_eq!(found, ["main.conf:100001: error: more than 100000 includes"]);

    let mut grown = "[a]\n".to_owned();
    grown.push_str(&format!("k+={}\n", "v".repeat(5000)).repeat(2));
    assert_eq!(findings(&[("main.conf", &grown)]), ["main.conf:3: error: the value grew longer than 8192 bytes"]);
}

#[test]
fn findings_are_bounded_and_errors_are_not_crowded_out() {
    let mut diagnostics = Diagnostics::default();
    for line in 0..3000 {
        diagnostics.warning(&Place::new("a.conf", line), "w");
        diagnostics.warning(&Place::new("a.conf", line.min(5)), "w");
    }
    diagnostics.error(&Place::new("b.conf", 1), "e");
    assert!(diagnostics.failed());
    let found = diagnostics.finish();
    assert_eq!(found.len(), 1002);
    assert_eq!(found[1000].to_string(), "b.conf:1: error: e");
    assert_eq!(found[1001].text, "2000 more findings are not shown");
}

#[test]
fn glob_patterns() {
    let table = [
        ("*.conf", "a.conf", true),
        ("*.conf", "d/a.conf", false),
        ("d/*.conf", "d/.conf", true),
        ("d/?.conf", "d/ab.conf", false),
        ("d/?.conf", "d/a.conf", true),
        ("a*b*c", "aXbXbc", true),
        ("a*b*c", "aXbXb", false),
        ("*", "", true),
        ("", "a", false),
        ("a**", "a", true),
    ];
    for (pattern, path, expected) in table {
        assert_eq!(glob::matches(pattern, path), expected, "{pattern} {path}");
    }
    assert!(!glob::matches(&"*a".repeat(2000), &"a".repeat(1999)));
}

#[test]
fn suggestions() {
    let words = ["qualify", "context", "Dial", "nat"];
    let table = [
        ("qualiffy", Some("qualify")),
        ("CONTEX", Some("context")),
        ("Dail", Some("Dial")),
        ("nat", Some("nat")),
        ("net", Some("nat")),
        ("xyz", None),
        ("ab", None),
        ("", None),
    ];
    for (word, expected) in table {
        assert_eq!(suggestion::nearest(word, words), expected, "{word}");
    }
    assert_eq!(suggestion::nearest(&"q".repeat(41), words), None);
}
