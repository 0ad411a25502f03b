//! Owns users and groups by name, since their numbers differ between machines, and which of them this process may give
//! files to.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{Gid, Group, Uid, User, fchown, getegid, geteuid, getgroups};

/// Names in the order of their numbers, looked up once.
#[derive(Debug)]
pub(super) struct Owners {
    own: (Uid, Gid),
    /// Of this process, besides its own one.
    groups: Vec<Gid>,
    users: BTreeMap<u32, String>,
    group_names: BTreeMap<u32, String>,
    /// Names that files could not be given to: each is told of once.
    refused: BTreeSet<String>,
    untold: Vec<String>,
}

/// Whom a file belongs to; an empty name is whoever runs the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Names<'a> {
    pub(super) owner: &'a str,
    pub(super) group: &'a str,
}

impl Owners {
    pub(super) fn new() -> Self {
        Self {
            own: (geteuid(), getegid()),
            groups: getgroups().unwrap_or_default(),
            users: BTreeMap::new(),
            group_names: BTreeMap::new(),
            refused: BTreeSet::new(),
            untold: Vec::new(),
        }
    }

    /// As the node sees it that this folder belongs to.
    pub(super) fn of(folder: &Path) -> Self {
        let found = std::fs::metadata(folder).ok();
        let own = found.map(|found| (Uid::from_raw(found.uid()), Gid::from_raw(found.gid())));
        Self { own: own.unwrap_or((geteuid(), getegid())), groups: Vec::new(), ..Self::new() }
    }

    pub(super) fn user(&mut self, number: u32) -> String {
        if number == self.own.0.as_raw() {
            return String::new();
        }
        let look = || User::from_uid(Uid::from_raw(number)).ok().flatten().map(|user| user.name);
        self.users.entry(number).or_insert_with(|| look().unwrap_or_else(|| number.to_string())).clone()
    }

    pub(super) fn group(&mut self, number: u32) -> String {
        if number == self.own.1.as_raw() {
            return String::new();
        }
        let look = || Group::from_gid(Gid::from_raw(number)).ok().flatten().map(|group| group.name);
        self.group_names.entry(number).or_insert_with(|| look().unwrap_or_else(|| number.to_string())).clone()
    }

    /// Whether a file with these names `here` is as one should be that has those: what this process may not give away
    /// stays its own, and that is no difference.
    pub(super) fn same(&self, here: Names<'_>, wanted: Names<'_>) -> bool {
        let owner = here.owner == wanted.owner || (here.owner.is_empty() && self.uid(wanted.owner).is_none());
        let group = here.group == wanted.group || (here.group.is_empty() && self.gid(wanted.group).is_none());
        owner && group
    }

    /// Gives an open file to whom it should belong, as far as this process may.
    pub(super) fn give(&mut self, file: impl AsFd, path: &str, wanted: Names<'_>) -> Result<(), Errno> {
        let (owner, group) = (self.uid(wanted.owner), self.gid(wanted.group));
        for (name, found) in [(wanted.owner, owner.is_some()), (wanted.group, group.is_some())] {
            if !name.is_empty() && !found {
                self.refuse(path, name);
            }
        }
        let change = (owner.filter(|uid| *uid != self.own.0), group.filter(|gid| *gid != self.own.1));
        match change {
            (None, None) => Ok(()),
            (owner, group) => match fchown(file, owner, group) {
                Err(Errno::EPERM | Errno::EINVAL) => {
                    let who = if wanted.owner.is_empty() { wanted.group } else { wanted.owner };
                    self.refuse(path, who);
                    Ok(())
                }
                given => given,
            },
        }
    }

    /// What could not be given away and was not told yet, a line for each name.
    pub(super) fn take_refused(&mut self) -> Vec<String> {
        std::mem::take(&mut self.untold)
    }

    fn refuse(&mut self, path: &str, name: &str) {
        if self.refused.insert(name.to_owned()) {
            let text = format!("{path} cannot be given to {name} on this machine, and stays with the node's own user");
            self.untold.push(text);
        }
    }

    /// `None` where this process may not give a file to that user, or there is none of that name.
    fn uid(&self, name: &str) -> Option<Uid> {
        if name.is_empty() {
            return Some(self.own.0);
        }
        if !self.own.0.is_root() {
            return None;
        }
        let named = User::from_name(name).ok().flatten().map(|user| user.uid);
        named.or_else(|| name.parse().ok().map(Uid::from_raw))
    }

    fn gid(&self, name: &str) -> Option<Gid> {
        if name.is_empty() {
            return Some(self.own.1);
        }
        let named = Group::from_name(name).ok().flatten().map(|group| group.gid);
        let found = named.or_else(|| name.parse().ok().map(Gid::from_raw));
        found.filter(|gid| self.own.0.is_root() || self.groups.contains(gid))
    }
}
