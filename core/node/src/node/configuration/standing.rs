//! As standby: this node's edits are proposed, and what the active node is about to make the head is fetched and checked
//! here. What does not check in either folder is told by both nodes.

use cluster::Role;
use replication::Hash;

use super::known::{Refused, set_refused};
use super::{AGAIN, Node, Note, PeerSays};
use crate::event::Now;
use replication::files::{Version, VersionId};

impl Node {
    /// The folder has something that neither the head has, nor a conflict, nor a refusal.
    pub(super) fn is_to_propose(&self) -> bool {
        let room = &self.room;
        let Some((id, version)) = room.folder() else { return false };
        let checks = room.edit.as_ref().is_none_or(|edit| edit.problems.is_empty());
        let shown = room.known.conflict.as_ref().is_some_and(|conflict| conflict.theirs == id);
        let refused = self.own_refusal().is_some_and(|refused| refused.manifest == version.manifest);
        let waits = shown || self.waits_for_conflict(id);
        checks && !waits && !refused && self.offer.is_none() && !room.folder_is_settled()
    }

    /// The folder is in conflict with the head, and so is the other node's, which is shown already.
    pub(super) fn waits_for_conflict(&self, id: VersionId) -> bool {
        let room = &self.room;
        let Some((_, version)) = room.folder().filter(|(folder, _)| *folder == id) else { return false };
        let other = room.known.conflict.as_ref().is_some_and(|conflict| conflict.node != self.settings.index);
        other && !room.known.precedes(version) && !room.folder_is_settled()
    }

    fn own_refusal(&self) -> Option<&Refused> {
        self.room.known.refused.get(&self.settings.index.0)
    }

    /// There is an active node that hears us.
    pub(super) fn may_propose(&self) -> bool {
        self.cluster.role() == Role::Standby && self.in_step_with_peer()
    }

    /// What is refused can be written into the log now.
    pub(super) fn may_tell_refused(&self) -> bool {
        self.may_propose() || (self.cluster.role() == Role::Active && self.claimed)
    }

    pub(super) fn drive_standing(&mut self, now: Now) {
        if !self.may_propose() {
            return;
        }
        let due = self.room.proposed_at.is_none_or(|at| now.local.since(at) >= AGAIN);
        if due && self.is_to_propose() {
            self.room.proposed_at = Some(now.local);
            let head = self.room.known.head;
            if let Some(version) = self.room.folder().map(|(_, version)| version.encode()) {
                self.send_note(&Note::Propose { version, head });
            }
        }
        self.drive_fetch(now);
    }

    /// The active node wants us to have a version.
    pub(in crate::node) fn asked_to_fetch(&mut self, bytes: &[u8]) {
        if self.cluster.role() != Role::Standby || !self.shares_configuration() {
            return;
        }
        let Ok(version) = Version::decode(bytes) else { return };
        let id = version.id();
        if self.room.fetch.as_ref().is_none_or(|(known, _)| *known != id) {
            self.room.checked = None;
            self.room.fetch = Some((id, version));
        }
    }

    fn drive_fetch(&mut self, now: Now) {
        let Some((id, version)) = self.room.fetch.clone() else { return };
        if !self.room.whole.contains(&id) {
            return;
        }
        let Some(problems) = self.check(now, id, &version) else { return };
        self.room.fetch = None;
        self.room.checked = None;
        let problems = Refused::new(Hash::default(), "", &problems).problems;
        self.send_note(&Note::Ready { version: id, problems });
    }

    pub(in crate::node) fn peer_is_ready(&mut self, version: VersionId, problems: &[String]) {
        let problems = Refused::new(Hash::default(), "", problems).problems;
        self.room.peer.ready = Some((version, problems));
    }

    pub(in crate::node) fn peer_runs(&mut self, runs: Option<VersionId>, has: Option<VersionId>) {
        self.room.peer = PeerSays { runs, has, ready: self.room.peer.ready.take() };
    }

    /// What the log is to say of this node's folder, where it says something else.
    pub(super) fn refusal_to_tell(&self) -> Option<Option<Refused>> {
        let told = self.own_refusal();
        let edit = self.room.edit.as_ref();
        if let Some(edit) = edit.filter(|edit| !edit.problems.is_empty()) {
            let refused = Refused::new(edit.version.manifest, &self.settings.name, &edit.problems);
            return (told != Some(&refused)).then_some(Some(refused));
        }
        // What did not check at the other node stays refused until the folder is another one, or somebody asks again.
        let folder = self.room.folder().map(|(_, version)| version.manifest);
        let same = |refused: &&Refused| folder == Some(refused.manifest);
        let stays = told.filter(same).is_some() && !self.room.forgiven;
        (told.is_some() && !stays && self.room.looked).then_some(None)
    }

    pub(super) fn tell_refused(&mut self, now: Now) {
        if self.own_refusal().is_none() {
            self.room.forgiven = false;
        }
        let due = self.room.refusal_told_at.is_none_or(|at| now.local.since(at) >= AGAIN);
        if !due || !self.may_tell_refused() {
            return;
        }
        let Some(refused) = self.refusal_to_tell() else { return };
        if self.cluster.role() == Role::Active {
            self.room.changes.push(set_refused(self.settings.index, refused.as_ref()));
        } else {
            self.send_note(&Note::Refused(refused));
        }
        self.room.refusal_told_at = Some(now.local);
    }

    /// The standby's folder does not check, or does again.
    pub(in crate::node) fn peer_refused(&mut self, refused: Option<Refused>) {
        if self.cluster.role() != Role::Active || !self.shares_configuration() {
            return;
        }
        let refused = refused.map(|it| Refused::new(it.manifest, &it.node, &it.problems));
        let peer = base::NodeIndex(1 - self.settings.index.0.min(1));
        if self.room.known.refused.get(&peer.0) != refused.as_ref() {
            self.room.changes.push(set_refused(peer, refused.as_ref()));
        }
    }
}
