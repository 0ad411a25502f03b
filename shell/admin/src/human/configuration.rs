//! Owns how the configuration's versions are shown to people: a glance among a node's status, and the commands' own
//! pictures.

use base::WallTime;
use node::{ConfigAnswer, ConfigLine, ConflictLine, RefusedLine, VersionLine};

use super::colour::{Colour, paint};
use super::table::{Align, Table, printable};
use crate::time::utc_text;

/// Enough to tell versions from each other.
const DIGITS: usize = 12;

/// Of what is wrong, so many lines are in a node's status; the command has all of them.
const PROBLEMS_GLANCED: usize = 2;

/// The first digits of a version, or of any content.
pub fn short(id: &str) -> String {
    printable(&id.chars().take(DIGITS).collect::<String>()).into_owned()
}

/// Titles and texts: which version runs where, and what stands in the way of a newer one. `hash` is shown where there are
/// no versions, as with a peer of an older program.
pub(super) fn glance(config: Option<&ConfigLine>, hash: &str, has_peer: bool) -> Vec<(&'static str, String)> {
    let Some((config, head)) = config.and_then(|config| Some((config, config.head.as_ref()?))) else {
        let no_versions = if has_peer { ", of this node alone: the pair keeps no versions yet" } else { "" };
        return vec![("configuration", format!("{hash}{no_versions}"))];
    };
    let mut lines = vec![("configuration", format!("{} {}", short(head), runs(config, has_peer)))];
    if let Some(waits) = &config.waits {
        lines.push(("", printable(waits).into_owned()));
    }
    if let Some(conflict) = &config.conflict {
        lines.push(("CONFLICT", self::conflict(conflict)));
    }
    for RefusedLine { node, problems } in &config.refused {
        let mut shown: Vec<_> = problems.iter().take(PROBLEMS_GLANCED).map(|text| printable(text)).collect();
        let more = problems.len().saturating_sub(shown.len());
        if more > 0 {
            shown.push(format!("and {more} more: tandem config status").into());
        }
        lines.push(("REFUSED", format!("on {}: {}", printable(node), shown.join("; "))));
    }
    lines
}

/// `tandem config status`.
pub fn status(answer: &ConfigAnswer, has_peer: bool, colours: bool) -> String {
    let config = &answer.line;
    let Some(head) = &config.head else { return "no version runs yet: each node has files of its own\n".to_owned() };
    let mut text = format!("{} {}\n", short(head), runs(config, has_peer));
    if let Some(version) = answer.history.iter().find(|version| version.id == *head) {
        let VersionLine { author, made_ms, why, .. } = version;
        text += &format!("  {} on {}, {}\n", utc(*made_ms), printable(author), printable(why));
    }
    if let Some(waits) = &config.waits {
        text += &format!("  {}\n", printable(waits));
    }
    if let Some(conflict) = &config.conflict {
        text += &format!("{}: {}\n", paint("CONFLICT", Colour::Red, colours), self::conflict(conflict));
    }
    for RefusedLine { node, problems } in &config.refused {
        text += &format!("{} on {}:\n", paint("REFUSED", Colour::Red, colours), printable(node));
        problems.iter().for_each(|problem| text += &format!("  {}\n", printable(problem)));
    }
    text
}

/// `tandem config history`: the one that runs is marked.
pub fn history(answer: &ConfigAnswer, limit: usize, colours: bool) -> String {
    if answer.history.is_empty() {
        return "there are no versions yet\n".to_owned();
    }
    let heads = [("", Align::Left), ("VERSION", Align::Left), ("MADE (UTC)", Align::Left), ("ON", Align::Left)];
    let mut table = Table::new(&[&heads[..], &[("OF", Align::Left), ("WHY", Align::Left)]].concat());
    let conflict = answer.line.conflict.as_ref();
    for version in answer.history.iter().take(limit) {
        let VersionLine { id, parents, author, made_ms, why, .. } = version;
        let mark = match conflict {
            _ if answer.line.head.as_ref() == Some(id) => "*",
            Some(conflict) if conflict.theirs == *id => "!",
            _ => "",
        };
        let of = parents.iter().map(|parent| short(parent)).collect::<Vec<_>>().join(" ");
        table.row([&mark.to_owned(), &short(id), &utc(*made_ms), author, &of, why]);
    }
    table.text(colours)
}

fn utc(made_ms: u64) -> String {
    utc_text(WallTime(made_ms.saturating_mul(1_000)))
}

fn runs(config: &ConfigLine, has_peer: bool) -> &'static str {
    match (config.runs_head, config.peer_runs_head) {
        (true, _) if !has_peer => "runs",
        (true, Some(true)) => "on both nodes",
        (true, Some(false)) => "here, NOT yet on the peer",
        (true, None) => "here; what the peer runs is not known",
        (false, Some(true)) => "on the peer, NOT yet here",
        (false, _) => "NOT yet here",
    }
}

fn conflict(conflict: &ConflictLine) -> String {
    let ConflictLine { ours, theirs, author, .. } = conflict;
    let (ours, theirs, author) = (short(ours), short(theirs), printable(author));
    format!(
        "{theirs} was edited on {author} beside {ours}, which runs: see `tandem config diff`, then \
         `tandem config resolve --take a` ({ours}) or `b` ({theirs})"
    )
}

#[cfg(test)]
mod tests;
