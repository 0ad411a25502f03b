//! This node runs the head: the folder is made it where nothing of a person's would be lost, and otherwise the PBX runs it
//! from the store.

use cluster::Role;
use pbx::configuration::Loaded;
use replication::files::VersionId;

use super::{AGAIN, Running, WORK};
use crate::action::Action;
use crate::event::Now;
use crate::files::FilesAction;
use crate::node::Node;

impl Node {
    pub(super) fn drive_running(&mut self, now: Now) {
        if self.room.running.is_some_and(|running| running.until <= now.local) {
            self.room.running = None;
        }
        let Some((head, install)) = self.to_run() else { return };
        if self.room.running.is_some() {
            return;
        }
        let Some(version) = self.room.known.version(head).cloned() else { return };
        self.put_version(&version);
        let over = self.room.edit.as_ref().map(|edit| (edit.id, edit.version.clone()));
        if let Some((_, edit)) = over.as_ref().filter(|_| install) {
            let edit = edit.clone();
            self.put_version(&edit);
        }
        let action = if install {
            FilesAction::Install { version: head, over: over.map(|(id, _)| id) }
        } else {
            FilesAction::Load { version: head }
        };
        self.room.running = Some(Running { version: head, install, until: now.local + WORK });
        if self.cluster.role() == Role::Active {
            // What a folder has become is as good as said to the outside: the peer has the entry first.
            self.outbox.hold(self.log.position().lsn, now.local, Action::Files(action));
        } else {
            self.files_action(action);
        }
    }

    /// The head, if something is to be done about it, and whether the folder is to be made it.
    pub(super) fn to_run(&self) -> Option<(VersionId, bool)> {
        let room = &self.room;
        let head = room.known.head.filter(|head| room.whole.contains(head))?;
        let mends = self.cluster.role() == Role::Standby && self.offer.is_some();
        if mends || self.cluster.role() == Role::Starting {
            return None;
        }
        // Nobody knows what is in a folder that was made from nothing until it was looked at.
        let install = room.folder_is_settled() && (room.edit.is_some() || room.holds_id() != Some(head));
        (install || room.loaded != Some(head)).then_some((head, install))
    }

    pub(super) fn ran(
        &mut self,
        now: Now,
        version: VersionId,
        loaded: Option<Box<Loaded>>,
        failed: Option<String>,
        install: bool,
    ) {
        let asked = |running: &Running| running.version == version && running.install == install;
        if !self.room.running.as_ref().is_some_and(asked) {
            return;
        }
        self.room.running = None;
        let here = loaded.is_some();
        let taken = loaded.is_some_and(|loaded| self.configure(*loaded));
        if taken {
            self.room.loaded = Some(version);
        }
        match failed {
            None if install => {
                self.room.trouble = None;
                if let Some(made) = self.room.known.version(version).cloned() {
                    self.room.holds = Some(Some((version, made)));
                    self.room.edit = None;
                    self.room.lineage.clear();
                }
            }
            None if here && !taken => {
                self.configuration_trouble(format!("version {} does not check here", version.0.short()));
            }
            None => {}
            Some(failed) => {
                if !here {
                    self.room.is_broken(version);
                }
                // The store may have lost the version of the edit, without which nobody knows the folder for it.
                if let Some(edit) = &self.room.edit {
                    self.room.put.remove(&edit.id);
                }
                self.configuration_trouble(format!("cannot take version {}: {failed}", version.0.short()));
            }
        }
        if self.to_run().is_some() {
            // It rests, or a full disk would be asked all the time.
            self.room.running = Some(Running { version, install, until: now.local + AGAIN });
        }
    }
}
