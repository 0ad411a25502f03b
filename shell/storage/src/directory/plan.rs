//! Owns the decision which files of a directory an install may touch: those that nobody has edited since.

use std::collections::BTreeSet;

use node::replication::files::{Entry, Set};

/// What is to be done to make a directory another version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) write: Vec<Entry>,
    pub(super) remove: Vec<String>,
    /// Files that somebody has edited and that the new version leaves as they were: they stay, and are the next edit.
    pub(super) edited: Vec<String>,
    /// Files that somebody has edited and that the new version changes, too: then nothing is touched.
    pub(super) clash: Vec<String>,
}

/// `found` is what the directory holds; `bases` are the versions that its files may be of, the one that it was made of
/// last first. `same` tells whether a file that was found is as one should be.
pub(super) fn plan(found: &Set, bases: &[&Set], target: &Set, same: impl Fn(&Entry, &Entry) -> bool) -> Plan {
    let is = |file: Option<&Entry>, wanted: Option<&Entry>| match (file, wanted) {
        (Some(file), Some(wanted)) => same(file, wanted),
        (None, None) => true,
        _ => false,
    };
    let nothing = Set::default();
    let first = bases.first().copied().unwrap_or(&nothing);
    let paths: BTreeSet<&String> = found.iter().chain(target.iter()).chain(first.iter()).map(|it| &it.path).collect();
    let mut plan = Plan::default();
    for path in paths {
        let (file, wanted) = (found.entry(path), target.entry(path));
        if is(file, wanted) {
            continue;
        }
        let untouched = is(file, first.entry(path)) || bases.iter().any(|base| is(file, base.entry(path)));
        match wanted {
            _ if !untouched && first.entry(path) == wanted => plan.edited.push(path.clone()),
            _ if !untouched => plan.clash.push(path.clone()),
            Some(entry) => plan.write.push(entry.clone()),
            None => plan.remove.push(path.clone()),
        }
    }
    plan
}
