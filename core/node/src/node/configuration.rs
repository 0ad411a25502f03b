//! The configuration on both nodes: one head in the log, which both run; edits of either folder, which follow from the
//! head or are a conflict. Nothing is done twice or by halves: each step compares what is with what should be, and asks
//! for the next thing that is missing, so that a death anywhere is the same as a late answer.
//!
//! ```text
//!   a folder is edited     standby: Propose ---> active: fetch what it lacks, check it there
//!                                                 does the head precede it?   no: a conflict, both are kept
//!   standby: fetch, check  <---------------------- Fetch
//!                          Ready ---------------> the head is it (an entry of the log)
//!   each node that has the entry: install it into the folder, run it, say so (Runs)
//! ```

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use base::{Incarnation, Level, LocalTime};
use cluster::Role;
use pbx::configuration::Loaded;
use replication::files::transfer::Transfer;
use replication::files::{Version, VersionId};
use replication::{Delta, Hash};

use super::Node;
use super::peer::Note;
use crate::action::{Action, Tell};
use crate::event::Now;
use crate::files::{FilesAction, FilesEvent};
use asking::Waiting;
use due::Surroundings;
use fetching::Gathering;
use judging::{Judging, Made};

pub(super) mod asking;
mod due;
mod fetching;
mod judging;
pub(super) mod known;
mod running;
mod standing;

pub(super) use due::is_traffic;
pub(super) use known::{Known, Refused, kind};

/// The level that objects of files and of the configuration came with.
const SINCE: Level = Level(3);

/// What was said to the peer and not answered is said again after this.
const AGAIN: Duration = Duration::from_secs(2);

/// The shell answers within this time, or will not: it loads 5,000 files in a second on a slow disk.
const WORK: Duration = Duration::from_secs(60);

/// Edits of a folder that are remembered until one of them is the head.
const LINEAGE_MAX: usize = 64;

/// What the folder is, where that differs from what it was made from.
#[derive(Clone, Debug)]
pub(super) struct Edit {
    pub version: Version,
    pub id: VersionId,
    /// Its parents as the shell told them. The version's own change when an edit that it follows has become the head.
    reported: Vec<VersionId>,
    pub problems: Vec<String>,
}

/// Something that the shell was asked to make of the folder, or to run.
#[derive(Clone, Copy, Debug)]
struct Running {
    version: VersionId,
    install: bool,
    /// From then on it may be asked for again.
    until: LocalTime,
}

/// What the peer says of itself.
#[derive(Clone, Debug, Default)]
pub(super) struct PeerSays {
    pub runs: Option<VersionId>,
    /// The head for which it has everything.
    has: Option<VersionId>,
    /// A version that it has fetched and checked, and what is wrong with that.
    ready: Option<(VersionId, Vec<String>)>,
}

/// Everything that a node has in mind about it. What must survive is in the log, the store and the folder.
#[derive(Debug)]
pub(super) struct Room {
    pub known: Known,
    /// To be appended to the log with this step.
    pub changes: Vec<Delta>,
    /// What the folder was made from, and its identity; `None` until the shell has told.
    holds: Option<Option<(VersionId, Version)>>,
    /// The shell has looked at the folder in this life; until then nobody knows whether it is still as it was refused.
    looked: bool,
    /// What the PBX runs.
    loaded: Option<VersionId>,
    pub edit: Option<Edit>,
    /// What this folder was, in order, since it was made from `holds`.
    lineage: Vec<VersionId>,
    running: Option<Running>,
    transfer: Transfer,
    gathering: Option<Gathering>,
    /// Versions and pages of which everything is here.
    whole: BTreeSet<VersionId>,
    whole_pages: BTreeSet<Hash>,
    /// Versions of the history that neither node has, until the peer begins anew.
    lost: BTreeSet<VersionId>,
    /// Versions that are in the store.
    put: BTreeSet<VersionId>,
    checking: Option<(VersionId, LocalTime)>,
    checked: Option<(VersionId, Vec<String>)>,
    /// As standby: the active node wants us to have it.
    fetch: Option<(VersionId, Version)>,
    proposed_at: Option<LocalTime>,
    refusal_told_at: Option<LocalTime>,
    /// An operator wants another look at what did not check.
    forgiven: bool,
    judging: Option<Judging>,
    /// As active: what the standby proposes, and the head that it knew.
    proposal: Option<(Version, Option<VersionId>)>,
    made: VecDeque<Made>,
    pub peer: PeerSays,
    runs_told: Option<(Option<VersionId>, Option<VersionId>)>,
    waiting: Vec<Waiting>,
    /// We have what we are to run.
    current: bool,
    peer_current: bool,
    /// Which conversation this is.
    conversation: (Incarnation, u64),
    kept: Vec<VersionId>,
    /// Until then this node's own folder, of which something is missing, is not looked at again.
    rests_until: Option<LocalTime>,
    /// The next step has something to do, whatever it begins with.
    stirred: bool,
    /// This step began with something that may concern it.
    pub touched: bool,
    /// As they were when it was looked after last.
    surroundings: Option<Surroundings>,
    driven_at: LocalTime,
    trouble: Option<String>,
}

impl Room {
    pub fn new(bandwidth: u64) -> Self {
        Self {
            known: Known::default(),
            changes: Vec::new(),
            holds: None,
            looked: false,
            loaded: None,
            edit: None,
            lineage: Vec::new(),
            running: None,
            transfer: Transfer::new(bandwidth),
            gathering: None,
            whole: BTreeSet::new(),
            whole_pages: BTreeSet::new(),
            lost: BTreeSet::new(),
            put: BTreeSet::new(),
            checking: None,
            checked: None,
            fetch: None,
            proposed_at: None,
            refusal_told_at: None,
            forgiven: false,
            judging: None,
            proposal: None,
            made: VecDeque::new(),
            peer: PeerSays::default(),
            runs_told: None,
            waiting: Vec::new(),
            current: true,
            peer_current: true,
            conversation: Default::default(),
            kept: Vec::new(),
            rests_until: None,
            stirred: false,
            touched: false,
            surroundings: None,
            driven_at: LocalTime::ZERO,
            trouble: None,
        }
    }

    /// What the folder is: an edit, or what it was made from.
    fn folder(&self) -> Option<(VersionId, &Version)> {
        match &self.edit {
            Some(edit) => Some((edit.id, &edit.version)),
            None => self.holds.as_ref()?.as_ref().map(|(id, version)| (*id, version)),
        }
    }

    fn holds_id(&self) -> Option<VersionId> {
        self.holds.as_ref()?.as_ref().map(|(id, _)| *id)
    }

    /// The head has what this version has, or follows from it.
    fn is_settled(&self, id: VersionId, manifest: Hash) -> bool {
        let same = self.known.head_version().is_some_and(|(_, head)| head.manifest == manifest);
        same || self.known.contains(id)
    }

    /// The folder may be made the head without anything being lost.
    fn folder_is_settled(&self) -> bool {
        let Some((id, version)) = self.folder() else { return false };
        // A version that nobody edited and that a full history does not name was forgotten by it.
        let forgotten = self.edit.is_none() && self.known.is_full() && self.known.version(id).is_none();
        self.is_settled(id, version.manifest) || forgotten
    }

    /// The contents of a version are not all here after all.
    fn is_broken(&mut self, id: VersionId) {
        self.whole.clear();
        self.put.remove(&id);
        self.whole_pages.clear();
        self.gathering = None;
    }
}

impl Node {
    /// Both programs know versions, and the shell has told what the folder is: otherwise each node's files are its own.
    pub(super) fn shares_configuration(&self) -> bool {
        self.level() >= SINCE && self.room.holds.is_some()
    }

    /// There is a peer to speak to.
    fn converses(&self) -> bool {
        self.cluster.peer().up && self.peering.is_some()
    }

    /// Contents go to and fro.
    fn ships(&self) -> bool {
        self.converses() && self.cluster.role() != Role::Starting
    }

    /// There is a peer that follows us, or that we follow, with all of the log.
    fn in_step_with_peer(&self) -> bool {
        match self.cluster.role() {
            Role::Active => self.follower_in_step(),
            Role::Standby => self.cluster.peer().up && self.standby_in_step() && self.offer.is_none(),
            Role::Starting => false,
        }
    }

    pub(super) fn files_event(&mut self, now: Now, event: FilesEvent) {
        match event {
            FilesEvent::Looked { here, parts, missing } => self.looked(&here, &parts, &missing),
            FilesEvent::Read { content, offset, bytes, total } => self.content_read(content, offset, bytes, total),
            FilesEvent::Written { content, upto, whole, failed } => {
                self.content_written(now, content, upto, whole, failed);
            }
            FilesEvent::Checked { version, problems, failed } => self.checked(now, version, problems, failed),
            FilesEvent::Loaded { version, loaded, failed } => self.ran(now, version, loaded, failed, false),
            FilesEvent::Installed { version, loaded, failed } => self.ran(now, version, loaded, failed, true),
            FilesEvent::Edited { version, problems, asked_by } => self.edited(now, version, problems, asked_by),
            FilesEvent::Unchanged { asked_by } => self.unchanged(now, asked_by),
            FilesEvent::Holds { version } => {
                self.room.holds = Some(version.map(|version| (version.id(), version)));
                self.room.loaded = self.room.holds_id();
                self.room.put.extend(self.room.loaded);
            }
        }
    }

    fn edited(&mut self, now: Now, version: Version, problems: Vec<String>, asked_by: Option<u64>) {
        if let Err(error) = version.check() {
            return self.actions.push(Action::Tell(Tell::Trouble(error.to_string())));
        }
        let room = &mut self.room;
        room.looked = true;
        if room.holds.is_none() {
            room.holds = Some(None);
        }
        let same = |edit: &&mut Edit| edit.version.manifest == version.manifest && edit.reported == version.parents;
        match room.edit.as_mut().filter(same) {
            Some(edit) => edit.problems = problems,
            None => {
                if let Some(edit) = room.edit.take().filter(|edit| edit.problems.is_empty()) {
                    room.lineage.push(edit.id);
                    let many = room.lineage.len().saturating_sub(LINEAGE_MAX);
                    room.lineage.drain(..many);
                }
                room.put.insert(version.id());
                room.proposed_at = None;
                room.edit = Some(Edit { id: version.id(), reported: version.parents.clone(), version, problems });
                // What could not be made of the folder because of the edit before is another thing now.
                room.running = None;
            }
        }
        if let Some(number) = asked_by {
            (room.forgiven, room.running) = (true, None);
            self.waits_for_folder(now, number);
        }
    }

    fn unchanged(&mut self, now: Now, asked_by: Option<u64>) {
        self.room.looked = true;
        if self.room.holds.as_ref().is_some_and(Option::is_some) {
            self.room.edit = None;
            self.room.lineage.clear();
        }
        if let Some(number) = asked_by {
            self.waits_for_folder(now, number);
        }
    }

    /// What the folder was before its present state has become the head: the present state follows from it.
    fn rebase(&mut self) {
        let room = &mut self.room;
        let Some(edit) = room.edit.as_mut() else { return };
        let Some(parent) = room.lineage.iter().rev().find(|id| room.known.contains(**id)) else { return };
        if edit.version.parents != [*parent] && !room.known.contains(edit.id) {
            edit.version.parents = vec![*parent];
            edit.id = edit.version.id();
            room.proposed_at = None;
        }
    }

    /// At the end of a step that it is due in, before its changes go into the log: whatever is missing is asked for.
    pub(super) fn drive_configuration(&mut self, now: Now) {
        if self.room.known.refresh(self.log.store()) {
            // What follows from it may be proposed otherwise now.
            self.room.proposed_at = None;
        }
        (self.room.stirred, self.room.touched) = (false, false);
        self.notice_conversation();
        let over = |until: LocalTime| until <= now.local;
        let room = &mut self.room;
        room.checking = room.checking.filter(|(_, until)| !over(*until));
        room.rests_until = room.rests_until.filter(|until| !over(*until));
        if self.shares_configuration() {
            self.rebase();
            if self.cluster.role() == Role::Active {
                self.drive_judging(now);
            } else {
                self.drive_standing(now);
            }
            self.tell_refused(now);
            self.drive_gathering(now);
            self.drive_running(now);
        }
        self.drive_transfer(now);
        self.watch_current();
        self.drive_waiting(now);
        self.keep_versions();
        if self.cluster.role() != Role::Active {
            self.room.changes.clear();
        }
        self.room.surroundings = Some(self.surroundings());
        self.room.driven_at = now.local;
    }

    /// What was said in an earlier conversation may be lost.
    fn notice_conversation(&mut self) {
        let conversation = self.conversation();
        if std::mem::replace(&mut self.room.conversation, conversation) == conversation {
            return;
        }
        let room = &mut self.room;
        room.transfer.restarted();
        (room.proposed_at, room.refusal_told_at, room.runs_told) = (None, None, None);
        room.peer = PeerSays::default();
        (room.proposal, room.fetch) = (None, None);
        room.lost.clear();
        if let Some(judging) = room.judging.as_mut() {
            judging.say_again();
        }
    }

    /// Another role: whoever serves begins anew, and what was to be done because of the log is asked for again.
    pub(super) fn configuration_role_changed(&mut self) {
        const CHANGED: &str = "this node's role has changed";
        self.forget_judging(CHANGED);
        for made in std::mem::take(&mut self.room.made) {
            self.answer(made.asker, false, format!("nothing was changed: {CHANGED}"));
        }
        let room = &mut self.room;
        (room.running, room.proposed_at, room.refusal_told_at, room.runs_told) = (None, None, None, None);
        (room.proposal, room.fetch) = (None, None);
    }

    /// Whether each node has what it is to run; the other one is told.
    fn watch_current(&mut self) {
        let shares = self.shares_configuration();
        let room = &mut self.room;
        let Some(head) = room.known.head.filter(|_| shares) else {
            (room.current, room.peer_current) = (true, true);
            return self.cluster.set_follower_behind(false);
        };
        room.current = room.loaded == Some(head) || (room.whole.contains(&head) && room.current);
        let ready = room.peer.ready.as_ref().is_some_and(|(id, problems)| *id == head && problems.is_empty());
        let has = room.peer.runs == Some(head) || room.peer.has == Some(head);
        room.peer_current = has || (ready && room.peer_current);
        let behind = !room.peer_current;
        let tells = (room.loaded, Some(head).filter(|_| room.current));
        let news = room.runs_told != Some(tells);
        self.cluster.set_follower_behind(behind);
        if news && self.in_step_with_peer() {
            self.room.runs_told = Some(tells);
            self.send_note(&Note::Runs { runs: tells.0, has: tells.1 });
        }
    }

    /// Tells the store what may go: when something has left what is wanted, or come to it.
    fn keep_versions(&mut self) {
        if self.room.holds.is_none() {
            return;
        }
        let room = &self.room;
        let mut versions: BTreeSet<VersionId> = room.known.history.keys().copied().collect();
        versions.extend(room.known.head);
        versions.extend(room.holds_id());
        versions.extend(room.folder().map(|(id, _)| id));
        versions.extend(room.judging.as_ref().map(Judging::id));
        versions.extend(room.fetch.as_ref().map(|(id, _)| *id));
        versions.extend(room.gathering.as_ref().map(Gathering::id));
        if versions.iter().ne(&room.kept) {
            let versions: Vec<VersionId> = versions.into_iter().collect();
            self.room.kept.clone_from(&versions);
            self.files_action(FilesAction::Keep { versions });
        }
    }

    fn files_action(&mut self, action: FilesAction) {
        self.actions.push(Action::Files(action));
    }

    /// The version itself is in the store before anything is asked of it.
    fn put_version(&mut self, version: &Version) {
        if self.room.put.insert(version.id()) {
            self.files_action(FilesAction::Put { bytes: version.encode() });
        }
    }

    /// What is new about a trouble is told once.
    fn configuration_trouble(&mut self, text: String) {
        if self.room.trouble.as_ref() != Some(&text) {
            self.actions.push(Action::Tell(Tell::Trouble(text.clone())));
            self.room.trouble = Some(text);
        }
    }

    fn configure(&mut self, loaded: Loaded) -> bool {
        let taken = loaded.configuration.is_some();
        self.pbx_loaded(loaded, None);
        taken
    }
}
