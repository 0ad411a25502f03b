//! What this node lacks of a version is brought here: what the active node judges, what the standby is to have, the
//! head, and at last the history.

use base::LocalTime;
use replication::Hash;
use replication::files::gather::{self, Progress};
use replication::files::transfer::{self, Message};
use replication::files::{Gather, Version, VersionId};

use super::{AGAIN, WORK};
use crate::action::Action;
use crate::event::Now;
use crate::files::FilesAction;
use crate::node::Node;
use crate::node::peer::Note;

/// Versions and pages that are remembered as whole. When there are more all are forgotten, and looked for again.
const WHOLE_MAX: usize = 20_000;

/// A version on its way.
#[derive(Debug)]
pub(super) struct Gathering {
    id: VersionId,
    gather: Gather,
    /// When it is begun again, because something is missing.
    again_at: Option<LocalTime>,
}

impl Gathering {
    fn new(id: VersionId, version: &Version) -> Self {
        Self { id, gather: Gather::new(version.manifest), again_at: None }
    }

    pub fn id(&self) -> VersionId {
        self.id
    }

    pub fn deadline(&self) -> Option<LocalTime> {
        self.again_at
    }

    pub fn progress(&self) -> Progress {
        self.gather.progress()
    }
}

impl Node {
    /// What is to be here next.
    fn to_gather(&self) -> Option<(VersionId, Version)> {
        let room = &self.room;
        let judged = room.judging.as_ref().filter(|judging| judging.gathers());
        let judged = judged.map(|judging| (judging.id(), judging.version()));
        let fetched = room.fetch.as_ref().map(|(id, version)| (*id, version));
        let lacks = |id: &VersionId| !room.whole.contains(id);
        let urgent = judged.or(fetched).filter(|(id, _)| lacks(id)).map(|(id, version)| (id, version.clone()));
        let head = || room.known.head_version().filter(|(id, _)| lacks(id)).map(|(id, version)| (id, version.clone()));
        let history = || {
            // The newest first, and a conflict's other side is among them.
            let mut lacking: Vec<_> = room.known.history.iter().filter(|(id, _)| lacks(id)).collect();
            lacking.retain(|(id, _)| !room.lost.contains(id));
            let (id, (_, version)) = lacking.into_iter().max_by_key(|(_, (put, _))| *put)?;
            Some((*id, version.clone()))
        };
        urgent.or_else(head).or_else(history)
    }

    pub(super) fn drive_gathering(&mut self, now: Now) {
        let again = |gathering: &Gathering| gathering.again_at.is_some_and(|at| at <= now.local);
        if self.room.gathering.as_ref().is_some_and(again) {
            self.room.gathering = None;
        }
        match (self.to_gather(), &self.room.gathering) {
            (Some((id, _)), Some(gathering)) if gathering.id == id => {}
            (Some((id, version)), _) => {
                self.put_version(&version);
                self.room.transfer.want_nothing();
                self.room.gathering = Some(Gathering::new(id, &version));
            }
            (None, Some(_)) => {
                self.room.transfer.want_nothing();
                self.room.gathering = None;
            }
            (None, None) => {}
        }
        self.carry_out_gather();
        self.judge_gathering(now);
    }

    fn carry_out_gather(&mut self) {
        let Some(gathering) = self.room.gathering.as_mut() else { return };
        for output in gathering.gather.take_outputs() {
            match output {
                gather::Output::Look(hashes) => self.files_action(FilesAction::Look { hashes }),
                gather::Output::Read { content, length } => {
                    self.files_action(FilesAction::Read { content, offset: 0, length });
                }
                gather::Output::Want { content, from } => self.room.transfer.want(content, from),
            }
        }
    }

    fn judge_gathering(&mut self, now: Now) {
        let room = &mut self.room;
        let Some(gathering) = room.gathering.as_mut() else { return };
        let id = gathering.id;
        match gathering.progress() {
            Progress::Going => {}
            // The version itself could not be kept: without it the store would let go of what belongs to it.
            Progress::Whole if !room.put.contains(&id) => {
                gathering.again_at.get_or_insert(now.local + AGAIN);
            }
            Progress::Whole => {
                if room.whole.len() + room.whole_pages.len() > WHOLE_MAX {
                    room.whole.clear();
                    room.whole_pages.clear();
                }
                room.whole.insert(id);
                room.whole_pages.extend(gathering.gather.pages());
                room.gathering = None;
                room.stirred = true;
            }
            Progress::Lacking | Progress::Malformed => {
                let urgent = room.known.head == Some(id)
                    || room.fetch.as_ref().is_some_and(|(fetched, _)| *fetched == id)
                    || room.judging.as_ref().is_some_and(|judging| judging.id() == id);
                if urgent {
                    gathering.again_at.get_or_insert(now.local + AGAIN);
                } else {
                    room.lost.insert(id);
                    room.gathering = None;
                    room.stirred = true;
                }
            }
        }
    }

    /// What is being brought here cannot be: nobody has all of it, or it is none.
    pub(super) fn gathering_failed(&self, id: VersionId) -> Option<Progress> {
        let gathering = self.room.gathering.as_ref().filter(|gathering| gathering.id == id)?;
        Some(gathering.progress()).filter(|progress| matches!(progress, Progress::Lacking | Progress::Malformed))
    }

    pub(super) fn looked(&mut self, here: &[Hash], parts: &[(Hash, u64)], missing: &[Hash]) {
        if let Some(gathering) = self.room.gathering.as_mut() {
            gathering.gather.looked(here, parts, missing);
        }
    }

    pub(super) fn content_read(&mut self, content: Hash, offset: u64, bytes: Option<Vec<u8>>, total: u64) {
        let room = &mut self.room;
        room.transfer.read(content, offset, bytes.as_deref(), total);
        // What was read for the peer may be a part of it alone.
        if bytes.is_none() {
            // The folder may have what the store has lost.
            self.actions.push(Action::Files(FilesAction::Scan { asked_by: None }));
        }
        let all = offset == 0 && bytes.as_ref().is_none_or(|bytes| bytes.len() as u64 == total);
        if let Some(gathering) = room.gathering.as_mut().filter(|_| all) {
            gathering.gather.read(content, bytes.as_deref(), &room.whole_pages);
        }
    }

    pub(super) fn content_written(&mut self, now: Now, content: Hash, upto: u64, whole: bool, failed: Option<String>) {
        let fetched = self.room.transfer.written(now.local, content, upto, whole, failed.is_some());
        if let Some(failed) = failed {
            if !fetched {
                self.room.put.remove(&VersionId(content));
                self.room.whole.remove(&VersionId(content));
            }
            self.configuration_trouble(format!("cannot keep the content {}: {failed}", content.short()));
        }
    }

    pub(in crate::node) fn contents_note(&mut self, now: Now, message: Message) {
        self.room.transfer.message(now.local, message);
    }

    pub(super) fn drive_transfer(&mut self, now: Now) {
        let connected = self.ships();
        for output in self.room.transfer.drive(now.local, connected) {
            match output {
                transfer::Output::Say(message) => self.send_note(&Note::Contents(message)),
                transfer::Output::Read { content, offset, length } => {
                    self.files_action(FilesAction::Read { content, offset, length });
                }
                transfer::Output::Write { content, offset, bytes, total } => {
                    self.files_action(FilesAction::Write { content, offset, bytes, total });
                }
                transfer::Output::Whole(content) => {
                    if let Some(gathering) = self.room.gathering.as_mut() {
                        gathering.gather.came(content);
                    }
                    self.room.stirred = true;
                }
                transfer::Output::Lacking(content) => {
                    if let Some(gathering) = self.room.gathering.as_mut() {
                        gathering.gather.lacking(content);
                    }
                    self.room.stirred = true;
                }
            }
        }
    }

    /// What is wrong with a version, once the shell has looked; it is asked to.
    pub(super) fn check(&mut self, now: Now, id: VersionId, version: &Version) -> Option<Vec<String>> {
        if let Some((_, problems)) = self.room.checked.as_ref().filter(|(checked, _)| *checked == id) {
            return Some(problems.clone());
        }
        let asked = self.room.checking.is_some_and(|(checking, until)| checking == id && until > now.local);
        if !asked {
            self.room.checking = Some((id, now.local + WORK));
            self.put_version(version);
            self.files_action(FilesAction::Check { version: id });
        }
        None
    }

    pub(super) fn checked(&mut self, now: Now, version: VersionId, problems: Vec<String>, failed: Option<String>) {
        if self.room.checking.is_none_or(|(checking, _)| checking != version) {
            return;
        }
        self.room.checking = None;
        match failed {
            None => self.room.checked = Some((version, problems)),
            Some(failed) => {
                self.room.is_broken(version);
                // It rests, or a full disk would be asked all the time.
                self.room.checking = Some((version, now.local + AGAIN));
                self.configuration_trouble(format!("cannot read version {}: {failed}", version.0.short()));
            }
        }
    }
}
