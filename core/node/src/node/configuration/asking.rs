//! What operators ask about the configuration, on either node. Whoever serves decides; who asked is answered when both
//! nodes run the outcome, or when it is known why not.

use std::time::Duration;

use base::LocalTime;
use cluster::Role;
use replication::files::{Version, VersionId};

use super::judging::Made;
use super::known::Conflict;
use super::{Node, Note};
use crate::action::Action;
use crate::event::Now;
use crate::files::{ConfigRequest, FilesAction, Take};
use crate::status::{Answer, ConfigAnswer, ConfigLine, ConflictLine, RefusedLine, VersionLine};

/// An operator waits so long for both nodes. What was begun goes on by itself then.
const WAIT: Duration = Duration::from_secs(20);

/// Questions that wait at once. More are refused.
const WAITING_MAX: usize = 64;

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asker {
    Here(u64),
    /// An operator at the standby; the number is that node's.
    There(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    /// The folder is to be what both run.
    Folder,
    Version(VersionId),
    /// The active node was asked.
    Answer,
}

#[derive(Debug)]
pub(super) struct Waiting {
    asker: Asker,
    about: About,
    pub until: LocalTime,
}

impl Node {
    pub(in crate::node) fn configuration_asked(&mut self, now: Now, number: u64, request: ConfigRequest) {
        if request == ConfigRequest::Status {
            let answer = ConfigAnswer { line: self.config_line(), history: self.version_lines() };
            return self.reply(number, Answer::Config(Box::new(answer)));
        }
        if !self.shares_configuration() {
            return match request {
                ConfigRequest::Apply => self.actions.push(Action::LoadPbx { asked_by: Some(number) }),
                _ => {
                    let text = "the pair keeps no versions yet: one of its programs is older".into();
                    self.reply(number, Answer::Refused { text });
                }
            };
        }
        match (request, self.cluster.role()) {
            (ConfigRequest::Apply, _) => self.files_action(FilesAction::Scan { asked_by: Some(number) }),
            (_, Role::Active) => self.make(now, Asker::Here(number), request),
            (_, Role::Standby) if self.in_step_with_peer() => {
                self.send_note(&Note::Ask { number, request });
                self.waits(now, Asker::Here(number), About::Answer);
            }
            _ => {
                let text = "the active node is not there to be asked".into();
                self.reply(number, Answer::Refused { text });
            }
        }
    }

    /// An operator at the standby asks.
    pub(in crate::node) fn peer_asks(&mut self, now: Now, number: u64, request: ConfigRequest) {
        let asker = Asker::There(number);
        match (self.cluster.role(), request) {
            (Role::Active, ConfigRequest::Rollback(_) | ConfigRequest::Resolve(_)) if self.shares_configuration() => {
                self.make(now, asker, request);
            }
            _ => self.answer(asker, false, "this node is not active".into()),
        }
    }

    pub(in crate::node) fn peer_told(&mut self, number: u64, done: bool, text: String) {
        let meant = |waiting: &Waiting| waiting.asker == Asker::Here(number) && waiting.about == About::Answer;
        if let Some(at) = self.room.waiting.iter().position(meant) {
            self.room.waiting.remove(at);
            self.answer(Asker::Here(number), done, text);
        }
    }

    fn make(&mut self, now: Now, asker: Asker, request: ConfigRequest) {
        let made = match self.version_to_make(now, request) {
            Ok((version, resolves)) => self.judge_made(Made { version, asker, resolves }),
            Err(text) => Err(text),
        };
        if let Err(text) = made {
            self.answer(asker, false, text);
        }
    }

    fn version_to_make(&self, now: Now, request: ConfigRequest) -> Result<(Version, Option<VersionId>), String> {
        let known = &self.room.known;
        let (head, head_version) = known.head_version().ok_or("there is no version yet")?;
        let of = |id: VersionId| {
            let version = known.version(id).ok_or_else(|| format!("the history has no version {id}"))?;
            Ok::<_, String>(version.manifest)
        };
        let (parents, manifest, why, resolves) = match request {
            ConfigRequest::Rollback(id) => {
                let manifest = of(id)?;
                if manifest == head_version.manifest {
                    return Err(format!("both nodes run what version {} has", id.0.short()));
                }
                (vec![head], manifest, format!("rolled back to {}", id.0.short()), None)
            }
            ConfigRequest::Resolve(take) => {
                let Conflict { theirs, author, .. } = known.conflict.as_ref().ok_or("there is no conflict")?;
                let (manifest, taken) = match take {
                    Take::Ours => (head_version.manifest, head_version.author.clone()),
                    Take::Theirs => (of(*theirs)?, author.clone()),
                    Take::Version(id) => (of(id)?, id.0.short()),
                };
                (vec![head, *theirs], manifest, format!("resolved: took {taken}"), Some(*theirs))
            }
            ConfigRequest::Apply | ConfigRequest::Status => return Err("nothing is to be made".into()),
        };
        let author = self.settings.name.clone();
        let version = Version { parents, author, made_at: now.wall, why, manifest };
        version.check().map_err(|error| error.to_string())?;
        Ok((version, resolves))
    }

    pub(super) fn waits_for_folder(&mut self, now: Now, number: u64) {
        if self.shares_configuration() {
            self.waits(now, Asker::Here(number), About::Folder);
        } else {
            self.actions.push(Action::LoadPbx { asked_by: Some(number) });
        }
    }

    pub(super) fn waits_for_version(&mut self, now: Now, asker: Asker, id: VersionId) {
        self.waits(now, asker, About::Version(id));
    }

    fn waits(&mut self, now: Now, asker: Asker, about: About) {
        if self.room.waiting.len() >= WAITING_MAX {
            return self.answer(asker, false, "too many questions wait for an answer".into());
        }
        self.room.waiting.push(Waiting { asker, about, until: now.local + WAIT });
    }

    pub(super) fn answer(&mut self, asker: Asker, done: bool, text: String) {
        match asker {
            Asker::Here(number) => self.reply(number, crate::node::operator::done(done, text)),
            Asker::There(number) => self.send_note(&Note::Told { number, done, text }),
        }
    }

    pub(super) fn drive_waiting(&mut self, now: Now) {
        let waiting = std::mem::take(&mut self.room.waiting);
        for waiting in waiting {
            let outcome = match waiting.about {
                About::Folder => self.folder_outcome(),
                About::Version(id) => self.version_outcome(id),
                About::Answer => None,
            };
            let late = || {
                let why = self.config_line().waits.unwrap_or_else(|| "the active node does not answer".into());
                (waiting.until <= now.local).then(|| (false, format!("not on both nodes yet: {why}")))
            };
            match outcome.or_else(late) {
                Some((done, text)) => self.answer(waiting.asker, done, text),
                None => self.room.waiting.push(waiting),
            }
        }
    }

    fn folder_outcome(&self) -> Option<(bool, String)> {
        if !self.shares_configuration() {
            return Some((false, "the pair keeps no versions any more".into()));
        }
        let room = &self.room;
        let (id, version) = room.folder()?;
        let problems = room.edit.as_ref().map(|edit| edit.problems.as_slice()).unwrap_or_default();
        if !problems.is_empty() {
            return Some((false, format!("the old configuration goes on\n{}", problems.join("\n"))));
        }
        let refused = room.known.refused.get(&self.settings.index.0);
        if let Some(refused) = refused.filter(|it| it.manifest == version.manifest && !room.forgiven) {
            return Some((false, format!("the old configuration goes on\n{}", refused.problems.join("\n"))));
        }
        if room.known.conflict.as_ref().is_some_and(|conflict| conflict.theirs == id) {
            let text = "a conflict: the other node was edited, too; end it with `tandem config resolve`";
            return Some((false, text.into()));
        }
        let (head, _) = room.known.head_version()?;
        let installed = room.edit.is_none() && room.folder_is_settled();
        if installed { self.version_outcome(head) } else { None }
    }

    /// Both nodes run it, or what followed from it.
    fn version_outcome(&self, id: VersionId) -> Option<(bool, String)> {
        let room = &self.room;
        let head = room.known.head.filter(|_| room.known.contains(id))?;
        if room.loaded != Some(head) {
            return None;
        }
        let name = id.0.short();
        if self.settings.links == 0 {
            Some((true, format!("version {name} is live")))
        } else if !self.cluster.peer().up {
            Some((true, format!("version {name} is live here; the peer is down and takes it when it is back")))
        } else {
            (room.peer.runs == Some(head)).then(|| (true, format!("version {name} is live on both nodes")))
        }
    }

    pub(in crate::node) fn config_line(&self) -> ConfigLine {
        let room = &self.room;
        let known = &room.known;
        let runs_head = room.loaded.is_some() && room.loaded == known.head;
        let converses = self.converses() && known.head.is_some();
        let conflict = known.conflict.as_ref().map(|conflict| ConflictLine {
            base: conflict.base.map(|id| id.to_string()),
            ours: conflict.ours.to_string(),
            theirs: conflict.theirs.to_string(),
            author: conflict.author.clone(),
        });
        let refused = known.refused.values();
        let refused = refused.map(|it| RefusedLine { node: it.node.clone(), problems: it.problems.clone() });
        ConfigLine {
            head: known.head.map(|id| id.to_string()),
            runs_head,
            peer_runs_head: converses.then(|| room.peer.runs == known.head),
            waits: self.configuration_waits(runs_head),
            conflict,
            refused: refused.collect(),
        }
    }

    fn configuration_waits(&self, runs_head: bool) -> Option<String> {
        let room = &self.room;
        let text = match room.known.head {
            _ if room.holds.is_none() => return None,
            _ if !self.shares_configuration() => "one of the two programs is older: each node's files are its own",
            Some(head) if !room.whole.contains(&head) && !runs_head => {
                return Some(self.with_trouble("the head's contents are not all here yet"));
            }
            Some(_) if !runs_head => return Some(self.with_trouble("the head is being installed")),
            Some(_) if room.trouble.is_some() && self.to_run().is_some() => {
                return Some(self.with_trouble("the head runs, and the folder is still to be made it"));
            }
            _ if room.judging.is_some() => "a change is on its way to both nodes",
            _ if room.folder().is_some_and(|(id, _)| self.waits_for_conflict(id)) => {
                "the folder's change waits until the conflict is ended"
            }
            _ if !self.is_to_propose() => return None,
            _ if self.cluster.role() == Role::Active => "the folder's change is about to be taken",
            _ => "the folder's change waits for the active node",
        };
        Some(text.into())
    }

    /// With what was told last as the reason: mostly a disk that is full.
    fn with_trouble(&self, text: &str) -> String {
        let reason = self.room.trouble.as_ref().map(|trouble| format!(": {trouble}"));
        format!("{text}{}", reason.unwrap_or_default())
    }

    fn version_lines(&self) -> Vec<VersionLine> {
        let mut history: Vec<_> = self.room.known.history.iter().collect();
        history.sort_by_key(|(id, (put, _))| std::cmp::Reverse((*put, **id)));
        let line = |(id, (_, version)): (&VersionId, &(base::ClusterTime, Version))| VersionLine {
            id: id.to_string(),
            parents: version.parents.iter().map(VersionId::to_string).collect(),
            author: version.author.clone(),
            made_ms: version.made_at.as_millis(),
            why: version.why.clone(),
            manifest: version.manifest.to_string(),
        };
        history.into_iter().map(line).collect()
    }
}
