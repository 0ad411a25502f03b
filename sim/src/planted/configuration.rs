//! Shells that tell nodes what is not so of the configuration.

use node::FilesEvent;
use node::replication::files::VersionId;
use node::{Action, FilesAction};

use super::Plant;

/// What is not so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// That the second node's store has what it lacks.
    Contents,
    /// What an edit was made from.
    Parent,
    /// That nothing is wrong with a set.
    Check,
}

pub struct Misled {
    lie: Lie,
    /// What either node was told to install last.
    installed: Option<VersionId>,
    planted: u64,
}

impl Misled {
    pub fn new(lie: Lie) -> Self {
        Self { lie, installed: None, planted: 0 }
    }
}

impl Plant for Misled {
    fn planted(&self) -> u64 {
        self.planted
    }

    fn actions(&mut self, _machine: usize, actions: &mut Vec<Action>) {
        for action in actions {
            if let Action::Files(FilesAction::Install { version, .. } | FilesAction::Load { version }) = action {
                self.installed = Some(*version);
            }
        }
    }

    fn files_event(&mut self, machine: usize, event: &mut FilesEvent) {
        match (self.lie, event) {
            (Lie::Contents, FilesEvent::Looked { here, missing, .. }) if machine == 1 && !missing.is_empty() => {
                here.append(missing);
                self.planted += 1;
            }
            (Lie::Parent, FilesEvent::Edited { version, .. }) => {
                let parents: Vec<VersionId> = self.installed.into_iter().collect();
                if !version.parents.is_empty() && version.parents != parents {
                    version.parents = parents;
                    self.planted += 1;
                }
            }
            (Lie::Check, FilesEvent::Edited { problems, .. } | FilesEvent::Checked { problems, .. })
                if !problems.is_empty() =>
            {
                problems.clear();
                self.planted += 1;
            }
            _ => {}
        }
    }
}
