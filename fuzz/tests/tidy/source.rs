//! What the code may say.

use super::{File, Finding, assert_none, files};

/// The longest file, in lines. None is excepted: a longer one is two.
const LINES_MAX: usize = 600;

/// What the core must not name, and why.
const BANNED_IN_CORE: &[(&str, &str)] = &[
    ("tokio", "the core has no runtime"),
    ("libc::", "the core does not touch the system"),
    ("nix::", "the core does not touch the system"),
    ("std::thread", "the core is one thread"),
    ("std::fs", "files belong in the shell"),
    ("std::env", "settings are arguments"),
    ("std::process", "the core starts no program"),
    ("std::time::Instant", "time is an argument"),
    ("std::time::SystemTime", "time is an argument"),
    ("Instant::now", "time is an argument"),
    ("SystemTime", "time is an argument"),
    ("UdpSocket", "packets are arguments"),
    ("TcpStream", "packets are arguments"),
    ("TcpListener", "packets are arguments"),
    ("HashMap", "its order is random: use BTreeMap"),
    ("HashSet", "its order is random: use BTreeSet"),
    ("Mutex", "the core is one thread"),
    ("RwLock", "the core is one thread"),
];

/// One line of code without its comment and its strings, with its number.
struct Line {
    number: usize,
    code: String,
}

/// The code of a file that is compiled into the product: without comments, strings and what follows `#[cfg(test)]`.
fn product_lines(text: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut until_depth: Option<i64> = None;
    let mut depth = 0_i64;
    let mut pending = false;
    let blanked = blank(text);
    for (index, code) in blanked.lines().enumerate() {
        let before = depth;
        depth += code.matches('{').count() as i64 - code.matches('}').count() as i64;
        if let Some(outer) = until_depth {
            if depth <= outer {
                until_depth = None;
            }
            continue;
        }
        if pending {
            // The item that the attribute belongs to: a whole block, or one line.
            if depth > before {
                until_depth = Some(before);
            }
            pending = code.trim_start().starts_with("#[") || code.trim().is_empty();
            continue;
        }
        if code.trim_start().starts_with("#[cfg(test)]") {
            pending = true;
            continue;
        }
        lines.push(Line { number: index + 1, code: code.to_owned() });
    }
    lines
}

/// The text with every comment, string and character literal blanked out; lines stay where they are.
fn blank(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < letters.len() {
        let rest = &letters[at..];
        let length = match rest {
            ['/', '/', ..] => rest.iter().position(|letter| *letter == '\n').unwrap_or(rest.len()),
            ['/', '*', ..] => end_after(rest, 2, &['*', '/']),
            ['r', '"', ..] | ['r', '#', ..] if raw_string(rest).is_some() => raw_string(rest).unwrap_or(1),
            ['"', ..] => string(rest),
            ['\'', '\\', ..] => end_after(rest, 3, &['\'']),
            ['\'', _, '\'', ..] => 3,
            _ => {
                out.push(rest[0]);
                at += 1;
                continue;
            }
        };
        out.extend(rest[..length].iter().map(|letter| if *letter == '\n' { '\n' } else { ' ' }));
        at += length;
    }
    out
}

fn end_after(letters: &[char], from: usize, end: &[char]) -> usize {
    let found = letters.iter().enumerate().skip(from).position(|(at, _)| letters[at..].starts_with(end));
    found.map_or(letters.len(), |offset| from + offset + end.len())
}

fn string(letters: &[char]) -> usize {
    let mut at = 1;
    while at < letters.len() && letters[at] != '"' {
        at += if letters[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(letters.len())
}

/// The length of `r#"..."#` with as many hashes as it has, or none when it is a name that begins with r.
fn raw_string(letters: &[char]) -> Option<usize> {
    let hashes = letters.iter().skip(1).take_while(|letter| **letter == '#').count();
    if letters.get(1 + hashes) != Some(&'"') {
        return None;
    }
    let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    Some(end_after(letters, 2 + hashes, &end))
}

fn sources() -> impl Iterator<Item = File> {
    files().into_iter().filter(File::is_rust)
}

#[test]
fn no_file_is_longer_than_a_reader_can_hold() {
    let long = sources().filter(|file| file.text.lines().count() > LINES_MAX);
    assert_none(long.map(|file| format!("{}: over {LINES_MAX} lines", file.path)).collect());
}

#[test]
fn each_file_says_what_it_owns() {
    let silent = sources().filter(|file| !file.is_test() && !file.text.starts_with("//!"));
    assert_none(silent.map(|file| format!("{}:1: does not begin with //!", file.path)).collect());
}

#[test]
fn the_core_touches_nothing() {
    let mut findings: Vec<Finding> = Vec::new();
    for file in sources().filter(|file| file.is_core() && !file.is_test()) {
        for line in product_lines(&file.text) {
            for (name, reason) in BANNED_IN_CORE {
                if line.code.contains(name) {
                    findings.push(format!("{}:{}: {name}: {reason}", file.path, line.number));
                }
            }
        }
    }
    assert_none(findings);
}

#[test]
fn nothing_from_outside_is_unwrapped() {
    let mut findings: Vec<Finding> = Vec::new();
    let product = ["core/", "shell/", "tandem/"];
    let sources = sources().filter(|file| product.iter().any(|room| file.path.starts_with(room)) && !file.is_test());
    for file in sources {
        for line in product_lines(&file.text) {
            for call in [".unwrap()", ".expect(", ".unwrap_err()", ".expect_err("] {
                let found = line.code.split_once(call).map(|(_, rest)| rest.trim_start());
                // A method of that name with arguments of its own is another one: text was blanked out.
                if found.is_some_and(|rest| call.ends_with(')') || rest.is_empty() || rest.starts_with([')', '&'])) {
                    findings.push(format!("{}:{}: {call}: say what happens instead", file.path, line.number));
                }
            }
        }
    }
    assert_none(findings);
}

#[test]
fn nothing_is_left_for_later() {
    let mut findings: Vec<Finding> = Vec::new();
    for file in sources() {
        for (index, code) in blank(&file.text).lines().enumerate() {
            for call in ["todo!", "unimplemented!", "#[ignore", "dbg!("] {
                if code.contains(call) {
                    findings.push(format!("{}:{}: {call}", file.path, index + 1));
                }
            }
        }
    }
    assert_none(findings);
}

#[test]
fn code_is_told_from_what_is_none() {
    let text = "//! a\nuse b; // tokio\nlet s = \"x.unwrap()\\\"\"; let c = '\"'; let d = '\\'';\nlet r = r#\"HashMap \" \"#;\n\
        /* std::fs\n */ y.unwrap()\n#[cfg(test)]\nmod tests;\n#[cfg(test)]\n#[allow(x)]\nmod more {\n  z.expect(1)\n}\nlast()\n";
    let lines = product_lines(text);
    let found: Vec<_> = lines.iter().filter(|line| line.code.contains("unwrap")).map(|line| line.number).collect();
    assert_eq!(found, [6]);
    for absent in ["tokio", "HashMap", "std::fs", "expect"] {
        assert!(lines.iter().all(|line| !line.code.contains(absent)), "{absent}");
    }
    assert_eq!(lines.last().map(|line| (line.number, line.code.as_str())), Some((14, "last()")));
}
