//! Owns contexts, extensions and the search for the line that a call runs next.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::pattern::Pattern;
use super::{Caller, Dialplan};
use crate::conf::Place;

/// Contexts that one search goes through, included ones counted: as many as in Asterisk. Those beyond are not searched,
/// and loading the files warns about it.
pub(super) const CONTEXTS_SEARCHED_MAX: usize = 128;

/// A context of `extensions.conf`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Context {
    /// Extensions without a pattern, by name without dashes; those for one caller come before the one for all.
    pub(super) exact: BTreeMap<String, Vec<Extension>>,
    /// Extensions with a pattern, in the order in which they are tried.
    pub(super) patterns: Vec<(Pattern, Extension)>,
    /// Searched after the context's own extensions, in file order.
    pub(super) includes: Vec<(String, Place)>,
}

/// All priorities of one extension.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Extension {
    pub(super) caller: CallerMatch,
    pub(super) priorities: BTreeMap<u32, Line>,
}

/// Whose calls an extension is for: the part after the `/` in `exten => 5000/201`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum CallerMatch {
    Number(String),
    Pattern(Pattern),
    Anyone,
}

impl CallerMatch {
    fn matches(&self, caller: &Caller) -> bool {
        match self {
            Self::Number(number) => *number == caller.number,
            Self::Pattern(pattern) => pattern.matches(&caller.number),
            Self::Anyone => true,
        }
    }

    /// Asterisk tries the extensions for certain callers before the one for all.
    pub(super) fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Pattern(pattern), Self::Pattern(other)) => pattern.order(other),
            _ => self.rank().cmp(&other.rank()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Number(_) => 0,
            Self::Pattern(_) => 1,
            Self::Anyone => 2,
        }
    }
}

/// One priority.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line {
    pub(super) label: Option<String>,
    pub(super) application: String,
    /// The arguments as written, variables and all.
    pub(super) data: String,
    pub(super) place: Place,
}

/// What is looked for within an extension.
#[derive(Clone, Copy, Debug)]
pub(super) enum Spot<'a> {
    Priority(u32),
    Label(&'a str),
}

impl Extension {
    fn line(&self, spot: Spot<'_>) -> Option<(u32, &Line)> {
        match spot {
            Spot::Priority(priority) => self.priorities.get(&priority).map(|line| (priority, line)),
            Spot::Label(label) => {
                let mut lines = self.priorities.iter();
                lines.find(|(_, line)| line.label.as_deref() == Some(label)).map(|(priority, line)| (*priority, line))
            }
        }
    }
}

impl Context {
    /// The extensions that match, best first.
    fn matching(&self, number: &str, caller: &Caller) -> impl Iterator<Item = &Extension> {
        let exact = self.exact.get(&without_dashes(number)).into_iter().flatten();
        let patterns = self.patterns.iter().filter(|(pattern, _)| pattern.matches(number));
        let all = exact.chain(patterns.map(|(_, extension)| extension));
        all.filter(|extension| extension.caller.matches(caller))
    }
}

/// Dashes in numbers are decoration, as in Asterisk.
pub(super) fn without_dashes(number: &str) -> String {
    number.chars().filter(|letter| *letter != '-').collect()
}

impl Dialplan {
    /// The line at a priority or label. As in Asterisk the search goes on when the best extension lacks it: an
    /// extension's priority 2 may be that of a pattern, or of an included context.
    pub(super) fn line(&self, context: &str, number: &str, caller: &Caller, spot: Spot<'_>) -> Option<(u32, &Line)> {
        self.search(context, |context| context.matching(number, caller).find_map(|extension| extension.line(spot)))
    }

    pub(super) fn has_extension(&self, context: &str, number: &str, caller: &Caller) -> bool {
        self.search(context, |context| context.matching(number, caller).next()).is_some()
    }

    /// What `find` gives for the context, else for those it includes, depth first and each once.
    fn search<'a, T>(&'a self, name: &str, find: impl Fn(&'a Context) -> Option<T>) -> Option<T> {
        let first = self.contexts.get_key_value(name)?;
        let mut waiting = vec![first];
        let mut searched = BTreeSet::new();
        while let Some((name, context)) = waiting.pop() {
            if searched.len() >= CONTEXTS_SEARCHED_MAX {
                return None;
            }
            if !searched.insert(name) {
                continue;
            }
            if let Some(found) = find(context) {
                return Some(found);
            }
            let included = context.includes.iter().rev();
            waiting.extend(included.filter_map(|(name, _)| self.contexts.get_key_value(name)));
        }
        None
    }

    /// Whether a search from here would have to give up on some context.
    pub(super) fn includes_too_many(&self, name: &str) -> bool {
        let Some(first) = self.contexts.get_key_value(name) else { return false };
        let (mut waiting, mut seen) = (vec![first.1], BTreeSet::from([first.0]));
        while let Some(context) = waiting.pop() {
            for (name, _) in &context.includes {
                let Some((name, included)) = self.contexts.get_key_value(name) else { continue };
                if seen.insert(name) {
                    waiting.push(included);
                }
            }
            if seen.len() > CONTEXTS_SEARCHED_MAX {
                return true;
            }
        }
        false
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = &Line> {
        let extensions = self.contexts.values().flat_map(|context| {
            let exact = context.exact.values().flatten();
            exact.chain(context.patterns.iter().map(|(_, extension)| extension))
        });
        extensions.flat_map(|extension| extension.priorities.values())
    }
}
