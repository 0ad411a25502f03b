//! Owns colours on terminals.

use std::io::IsTerminal;

use crate::doctor::Verdict;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colour {
    Bold,
    Green,
    Yellow,
    Red,
}

/// Whether what goes to standard output may have colours: it is a terminal, and nobody asked for none (no-color.org).
pub fn wanted() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

pub(super) fn paint(text: &str, colour: Colour, colours: bool) -> String {
    let code = match colour {
        Colour::Bold => "1",
        Colour::Green => "1;32",
        Colour::Yellow => "1;33",
        Colour::Red => "1;31",
    };
    if colours { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}

/// The first word of a finding's line, eight characters wide.
pub(crate) fn paint_verdict(verdict: Verdict, colours: bool) -> String {
    match verdict {
        Verdict::Ok => format!("{:<8}", "ok"),
        Verdict::Unknown => format!("{:<8}", "-"),
        Verdict::Warning => paint(&format!("{:<8}", "warning"), Colour::Yellow, colours),
        Verdict::Problem => paint(&format!("{:<8}", "PROBLEM"), Colour::Red, colours),
    }
}
