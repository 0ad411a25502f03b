//! Versions of the PBX's files as people name and compare them.

use std::borrow::Cow;

use node::ConfigAnswer;
use similar::TextDiff;
use thiserror::Error;

#[cfg(test)]
mod tests;

/// Fewer digits would name several versions before long.
const DIGITS_MIN: usize = 4;

/// Lines around a difference, as diff -u has them.
const CONTEXT_LINES: usize = 3;

/// What the versions of a conflict are called by `resolve`, and the one that runs.
const OURS: &str = "a";
const THEIRS: &str = "b";
const HEAD: &str = "head";

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    #[error("`{name}` is no version: write some digits of one, as `tandem config history` shows them, or head")]
    NotAName { name: String },
    #[error("no version begins with {name}; `tandem config history` lists those that are kept")]
    Unknown { name: String },
    #[error("{name} could be any of {}", ids.join(", "))]
    Ambiguous { name: String, ids: Vec<String> },
    #[error("there is no conflict, and so no `{name}`")]
    NoConflict { name: String },
    #[error("no version runs yet")]
    NoHead,
}

/// All digits of the version that somebody means.
pub fn find(answer: &ConfigAnswer, name: &str) -> Result<String, NameError> {
    let conflict = answer.line.conflict.as_ref();
    let no_conflict = || NameError::NoConflict { name: name.to_owned() };
    match name {
        HEAD => return answer.line.head.clone().ok_or(NameError::NoHead),
        OURS => return conflict.map(|conflict| conflict.ours.clone()).ok_or_else(no_conflict),
        THEIRS => return conflict.map(|conflict| conflict.theirs.clone()).ok_or_else(no_conflict),
        _ => {}
    }
    let name = name.to_ascii_lowercase();
    if name.len() < DIGITS_MIN || !name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(NameError::NotAName { name });
    }
    let mut found: Vec<&String> =
        answer.history.iter().map(|version| &version.id).filter(|id| id.starts_with(&name)).collect();
    found.dedup();
    match found.as_slice() {
        [] => Err(NameError::Unknown { name }),
        [id] => Ok((*id).clone()),
        several => {
            let ids = several.iter().map(|id| crate::human::configuration::short(id)).collect();
            Err(NameError::Ambiguous { name, ids })
        }
    }
}

/// One side of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Side<'a> {
    pub bytes: &'a [u8],
    /// Permission bits.
    pub mode: u32,
    pub owner: &'a str,
    pub group: &'a str,
}

/// What is different in one file, as `diff -u` and git write it; empty where nothing is.
pub fn difference(path: &str, before: Option<Side<'_>>, after: Option<Side<'_>>) -> String {
    let name = |side: Option<Side<'_>>, letter: &str| match side {
        Some(_) => format!("{letter}/{path}"),
        None => "/dev/null".to_owned(),
    };
    let mut text = String::new();
    if let (Some(before), Some(after)) = (before, after) {
        if before.mode != after.mode {
            text += &format!("{path}: mode {:04o} becomes {:04o}\n", before.mode, after.mode);
        }
        if (before.owner, before.group) != (after.owner, after.group) {
            text += &format!("{path}: {} becomes {}\n", whose(before), whose(after));
        }
    }
    let (old, new) = (text_of(before), text_of(after));
    // A file that is new or gone is told even where it is empty.
    if old == new && before.is_some() == after.is_some() {
        return text;
    }
    if old == new {
        return text + &format!("--- {}\n+++ {}\n", name(before, "a"), name(after, "b"));
    }
    let diff = TextDiff::from_lines(old.as_ref(), new.as_ref());
    let mut unified = diff.unified_diff();
    text + &unified.context_radius(CONTEXT_LINES).header(&name(before, "a"), &name(after, "b")).to_string()
}

fn text_of(side: Option<Side<'_>>) -> Cow<'_, str> {
    side.map(|side| String::from_utf8_lossy(side.bytes)).unwrap_or_default()
}

/// `root:root`; whoever runs the node has no name.
pub fn whose(side: Side<'_>) -> String {
    let name = |name: &str| if name.is_empty() { "(the node)".to_owned() } else { name.to_owned() };
    format!("{}:{}", name(side.owner), name(side.group))
}
