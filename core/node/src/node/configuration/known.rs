//! What the log says of the configuration: the head, the history, a conflict, what was refused.

use std::collections::BTreeMap;

use base::{ClusterTime, NodeIndex};
use minicbor::{Decode, Encode};
use pbx::object::encode;
use replication::files::{Named, Version, VersionId, is_ancestor};
use replication::store::Checksum;
use replication::{Delta, Hash, Key, Store};

/// The kinds of objects that are the node's own. Numbers are for ever; those of the PBX are below.
pub(in crate::node) mod kind {
    /// A named file, by its name.
    pub const FILE: u8 = 16;
    /// `head`, `conflict`, `refused/0`, `refused/1`.
    pub const CONFIGURATION: u8 = 17;
}

/// Versions that the history has at most. The oldest are forgotten, with the contents that nothing else names.
pub(in crate::node) const HISTORY_MAX: usize = 200;

/// Where the history's named files are.
const HISTORY: &str = "configuration/";

const HEAD: &str = "head";
const CONFLICT: &str = "conflict";

/// Lines of one refusal, and bytes of each. A person mends the first ones first.
const PROBLEMS_MAX: usize = 20;
const PROBLEM_BYTES_MAX: usize = 300;

/// Which version both nodes are to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
struct Head {
    #[n(0)]
    version: VersionId,
}

/// Two versions that do not follow from each other.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(in crate::node) struct Conflict {
    /// What `theirs` was made from, if anything.
    #[n(0)]
    pub base: Option<VersionId>,
    /// The head.
    #[n(1)]
    pub ours: VersionId,
    #[n(2)]
    pub theirs: VersionId,
    /// The node whose folder has `theirs`.
    #[n(3)]
    pub node: NodeIndex,
    #[n(4)]
    pub author: String,
}

/// A folder that does not check.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub(in crate::node) struct Refused {
    #[n(0)]
    pub manifest: Hash,
    /// The node whose folder it is.
    #[n(1)]
    pub node: String,
    /// `file:line: text`
    #[n(2)]
    pub problems: Vec<String>,
}

impl Refused {
    /// Within the bounds of what people read.
    pub fn new(manifest: Hash, node: &str, problems: &[String]) -> Self {
        let line = |problem: &String| {
            let end = (0..=PROBLEM_BYTES_MAX.min(problem.len())).rev().find(|at| problem.is_char_boundary(*at));
            problem.get(..end.unwrap_or(0)).unwrap_or_default().to_owned()
        };
        Self { manifest, node: node.to_owned(), problems: problems.iter().take(PROBLEMS_MAX).map(line).collect() }
    }
}

/// Everything that the log says of it.
#[derive(Clone, Debug, Default)]
pub(in crate::node) struct Known {
    pub head: Option<VersionId>,
    pub conflict: Option<Conflict>,
    /// By node.
    pub refused: BTreeMap<u8, Refused>,
    /// With when they were put there.
    pub history: BTreeMap<VersionId, (ClusterTime, Version)>,
    seen: [Checksum; 2],
}

impl Known {
    /// The log has changed since it was read.
    pub fn is_stale(&self, store: &Store) -> bool {
        self.seen != checksums(store)
    }

    /// Reads the log again if it has changed. True when it had.
    pub fn refresh(&mut self, store: &Store) -> bool {
        if !self.is_stale(store) {
            return false;
        }
        *self = Self { seen: checksums(store), ..Self::default() };
        for (key, value) in store.of_kind(kind::FILE) {
            self.read_file(&key.id, value);
        }
        for (key, value) in store.of_kind(kind::CONFIGURATION) {
            self.read_object(&key.id, value);
        }
        true
    }

    fn read_file(&mut self, name: &str, value: &[u8]) {
        let Some(named) = Some(name).filter(|name| name.starts_with(HISTORY)).and_then(|_| Named::decode(value).ok())
        else {
            return;
        };
        let version = named.carried().and_then(|bytes| Version::decode(bytes).ok());
        if let Some((version, content)) = version.zip(named.content()) {
            self.history.insert(VersionId(content), (named.changed(), version));
        }
    }

    /// What a later version has, or what is none, is left where it is.
    fn read_object(&mut self, id: &str, value: &[u8]) {
        match id {
            HEAD => self.head = minicbor::decode::<Head>(value).ok().map(|head| head.version),
            CONFLICT => self.conflict = minicbor::decode(value).ok(),
            _ => {
                let node = id.strip_prefix("refused/").and_then(|node| node.parse().ok());
                if let Some((node, refused)) = node.zip(minicbor::decode(value).ok()) {
                    self.refused.insert(node, refused);
                }
            }
        }
    }

    pub fn version(&self, id: VersionId) -> Option<&Version> {
        self.history.get(&id).map(|(_, version)| version)
    }

    pub fn head_version(&self) -> Option<(VersionId, &Version)> {
        self.head.and_then(|id| Some((id, self.version(id)?)))
    }

    fn parents(&self, id: VersionId) -> Vec<VersionId> {
        self.version(id).map(|version| version.parents.clone()).unwrap_or_default()
    }

    /// The head is this version, or was made from it.
    pub fn contains(&self, id: VersionId) -> bool {
        self.head.is_some_and(|head| is_ancestor(id, head, |id| self.parents(id)))
    }

    /// The head is one of those that this version was made from.
    pub fn precedes(&self, version: &Version) -> bool {
        let Some(head) = self.head else { return true };
        version.parents.iter().any(|parent| is_ancestor(head, *parent, |id| self.parents(id)))
    }

    /// The history is as long as it may be, so that what it does not name may have been in it.
    pub fn is_full(&self) -> bool {
        self.history.len() >= HISTORY_MAX
    }

    /// The history's oldest versions that can go when one more comes.
    pub fn forgettable(&self) -> Vec<VersionId> {
        let conflict = self.conflict.as_ref().map(|conflict| [conflict.theirs, conflict.ours]).unwrap_or_default();
        let mut oldest: Vec<(ClusterTime, VersionId)> = self
            .history
            .iter()
            .filter(|(id, _)| Some(**id) != self.head && !conflict.contains(id))
            .map(|(id, (put, _))| (*put, *id))
            .collect();
        oldest.sort_unstable();
        let many = (self.history.len() + 1).saturating_sub(HISTORY_MAX);
        oldest.into_iter().take(many).map(|(_, id)| id).collect()
    }
}

fn checksums(store: &Store) -> [Checksum; 2] {
    [kind::FILE, kind::CONFIGURATION].map(|kind| store.checksum(kind))
}

pub(super) fn set_head(version: VersionId) -> Delta {
    object(HEAD, Some(encode(&Head { version })))
}

pub(super) fn set_conflict(conflict: Option<&Conflict>) -> Delta {
    object(CONFLICT, conflict.map(encode))
}

pub(super) fn set_refused(node: NodeIndex, refused: Option<&Refused>) -> Delta {
    object(&format!("refused/{}", node.0), refused.map(encode))
}

pub(super) fn add_to_history(version: &Version, now: ClusterTime) -> Delta {
    let named = Named::small(version.encode(), now);
    Delta { key: Key::new(kind::FILE, format!("{HISTORY}{}", version.id())), value: Some(named.encode()) }
}

pub(super) fn take_from_history(id: VersionId) -> Delta {
    Delta { key: Key::new(kind::FILE, format!("{HISTORY}{id}")), value: None }
}

fn object(id: &str, value: Option<Vec<u8>>) -> Delta {
    Delta { key: Key::new(kind::CONFIGURATION, id), value }
}

/// Whether objects of this kind are the node's own and nothing of the PBX.
pub(in crate::node) fn is_own(kind: u8) -> bool {
    matches!(kind, kind::FILE | kind::CONFIGURATION)
}

#[cfg(test)]
mod tests;
