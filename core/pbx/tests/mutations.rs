//! Damaged configuration files: loading them never panics, never hangs, never shows a secret, and refuses exactly those
//! in which it found an error. Calls run through whatever was loaded.

use base::Random;
use tandem_pbx::conf::{Files, Severity};
use tandem_pbx::configuration::load;
use tandem_pbx::dialplan::{Caller, Step};

const SECRET: &str = "topsecret";

const SIP: &str = include_str!("scenarios/warnings/sip.conf");
const PJSIP: &str = include_str!("scenarios/trunks/pjsip.d/20-trunk.conf");
const EXTENSIONS: &[&str] =
    &[include_str!("scenarios/warnings/extensions.conf"), include_str!("scenarios/trunks/extensions.conf")];

/// Pieces that mean something to a reader, so that damage goes deeper than the first line.
const PIECES: &[&str] = &[
    "[",
    "]",
    "(",
    ")",
    "(!)",
    "(+)",
    "=",
    "=>",
    ";",
    ";--",
    "--;",
    "\\;",
    "#include ",
    "#include *.conf\n",
    "${",
    "}",
    "$[",
    "?",
    ":",
    "::",
    "|",
    "&",
    ",",
    ",n,",
    "same => n,",
    "exten => ",
    "_",
    "X.",
    "!",
    "-",
    "/",
    "\"",
    "<",
    ">",
    "\n",
    "\n[general]\n",
    "0",
    "-1",
    "4294967296",
    "99999999999999999999",
    "ü",
    "\u{0}",
    "all",
    "Goto(1)",
    "include => ",
    "EXTEN:-9223372036854775808",
    "type=",
    "endpoint",
];

fn damaged(text: &str, random: &mut Random) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    for _ in 0..=random.below(8) {
        let place = |random: &mut Random, length: usize| random.below(length as u64 + 1) as usize;
        let at = place(random, letters.len());
        let until = (at + random.below(12) as usize).min(letters.len());
        let piece = match random.below(3) {
            0 => String::new(),
            1 => PIECES[random.below(PIECES.len() as u64) as usize].to_owned(),
            _ => {
                let from = place(random, letters.len());
                letters[from..(from + 30).min(letters.len())].iter().collect()
            }
        };
        letters.splice(at..until, piece.chars());
    }
    letters.into_iter().collect()
}

#[test]
fn damaged_files_neither_panic_nor_show_secrets() {
    let mut random = Random::from_number(2);
    let (mut refused, mut taken, mut calls) = (0, 0, 0);
    for _ in 0..1000 {
        let extensions = EXTENSIONS[random.below(2) as usize];
        let mut files = [
            ("sip.conf", SIP.to_owned()),
            ("pjsip.conf", PJSIP.to_owned()),
            ("extensions.conf", extensions.to_owned()),
        ];
        let at = random.below(3) as usize;
        files[at].1 = damaged(&files[at].1, &mut random);
        let loaded = load(&Files::from_iter(files));
        let has_error = loaded.diagnostics.iter().any(|found| found.severity == Severity::Error);
        assert_eq!(loaded.configuration.is_none(), has_error);
        let Some(configuration) = loaded.configuration else {
            refused += 1;
            continue;
        };
        taken += 1;
        assert!(!format!("{configuration:?}").contains(SECRET));
        for number in ["100", "101", "105", "106", "reception", "493012345", "s", "h", "i"] {
            for context in ["default", "guests", "from-provider"] {
                let caller = Caller { name: "A".to_owned(), number: "201".to_owned() };
                let Some(mut execution) = configuration.dialplan.start(context, number, &caller) else { continue };
                calls += 1;
                let ended = (0..1001).any(|_| !matches!(configuration.dialplan.next(&mut execution), Step::Run(_)));
                assert!(ended, "a call that never waits must end");
            }
        }
    }
    // The damage is neither so small that all is taken nor so great that nothing is.
    assert!(refused > 100 && taken > 100 && calls > 500, "{refused} refused, {taken} taken, {calls} calls");
}
