//! As active: one proposal after another becomes the head, a conflict, a refusal, or nothing.

use base::{LocalTime, NodeIndex};
use cluster::Role;
use replication::files::gather::Progress;
use replication::files::{Version, VersionId};

use super::asking::Asker;
use super::known::{Conflict, Refused, add_to_history, set_conflict, set_head, set_refused, take_from_history};
use super::{AGAIN, Node, Note};
use crate::event::Now;

/// A standby that has not fetched and checked a version within this time is not waited for: it catches up later.
const SHIP_WAIT: std::time::Duration = std::time::Duration::from_secs(10);

/// Versions of operators that wait to be judged. More are refused.
const MADE_MAX: usize = 16;

/// A version that an operator asked for.
#[derive(Clone, Debug)]
pub(super) struct Made {
    pub version: Version,
    pub asker: Asker,
    /// It ends the conflict with this one.
    pub resolves: Option<VersionId>,
}

/// Where a version comes from.
#[derive(Clone, Debug)]
enum From {
    /// This node's folder.
    Own,
    /// The standby's.
    Peer,
    Operator(Made),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// All of it is brought here, and checked.
    Here,
    /// The standby fetches and checks it.
    There { since: LocalTime, said: Option<LocalTime> },
}

/// The version that is being judged.
#[derive(Debug)]
pub(super) struct Judging {
    id: VersionId,
    version: Version,
    from: From,
    stage: Stage,
}

impl Judging {
    fn new(version: Version, from: From) -> Self {
        Self { id: version.id(), version, from, stage: Stage::Here }
    }

    pub fn id(&self) -> VersionId {
        self.id
    }

    pub fn version(&self) -> &Version {
        &self.version
    }

    pub fn gathers(&self) -> bool {
        self.stage == Stage::Here
    }

    pub fn say_again(&mut self) {
        if let Stage::There { said, .. } = &mut self.stage {
            *said = None;
        }
    }

    pub fn deadline(&self) -> Option<LocalTime> {
        match self.stage {
            Stage::Here => None,
            Stage::There { since, said } => {
                Some((since + SHIP_WAIT).min(said.map_or(LocalTime::ZERO, |said| said + AGAIN)))
            }
        }
    }
}

/// What becomes of a version that checks.
enum Verdict {
    Head,
    /// The head has it already.
    Nothing,
    Conflict,
    /// It waits until another conflict is ended.
    Waits,
}

impl Node {
    pub(super) fn drive_judging(&mut self, now: Now) {
        if self.room.judging.is_none() {
            self.room.judging = self.next_to_judge();
        }
        match self.room.judging.as_ref().map(|judging| judging.stage) {
            None => {}
            Some(Stage::Here) => self.judge_here(now),
            Some(Stage::There { since, said }) => self.judge_there(now, since, said),
        }
    }

    fn next_to_judge(&mut self) -> Option<Judging> {
        // What another node did alone is in the history first, or what follows from it would look like a conflict.
        if !self.claimed || self.orphans_taken.is_some() {
            return None;
        }
        self.room.checked = None;
        if let Some(made) = self.room.made.pop_front() {
            return Some(Judging::new(made.version.clone(), From::Operator(made)));
        }
        if self.is_to_propose() && self.room.rests_until.is_none() {
            let (_, version) = self.room.folder()?;
            return Some(Judging::new(version.clone(), From::Own));
        }
        // The first version is the active node's, once it is known what its folder is.
        if self.room.known.head.is_none() && self.room.folder().is_none() {
            return None;
        }
        let (proposal, knew) = self.room.proposal.take()?;
        if knew != self.room.known.head {
            return None;
        }
        let waits = matches!(self.verdict(&proposal, self.peer_index()), Verdict::Waits);
        if waits || self.is_known_conflict(proposal.id()) {
            return None;
        }
        Some(Judging::new(proposal, From::Peer))
    }

    /// The standby's folder. What it proposes without knowing the head, it proposes again when it does: its folder may
    /// have gone on from there.
    pub(in crate::node) fn proposed(&mut self, bytes: &[u8], head: Option<VersionId>) {
        if self.cluster.role() != Role::Active || !self.shares_configuration() {
            return;
        }
        let Ok(version) = Version::decode(bytes) else { return };
        let judged = self.room.judging.as_ref().is_some_and(|judging| judging.id == version.id());
        if !judged && !self.room.is_settled(version.id(), version.manifest) {
            self.room.proposal = Some((version, head));
            self.room.stirred = true;
        }
    }

    pub(super) fn judge_made(&mut self, made: Made) -> Result<(), String> {
        if self.room.made.len() >= MADE_MAX {
            return Err("too many changes of the configuration are under way".into());
        }
        self.room.made.push_back(made);
        self.room.stirred = true;
        Ok(())
    }

    fn peer_index(&self) -> NodeIndex {
        NodeIndex(1 - self.settings.index.0.min(1))
    }

    fn is_known_conflict(&self, id: VersionId) -> bool {
        self.room.known.conflict.as_ref().is_some_and(|conflict| conflict.theirs == id)
    }

    fn verdict(&self, version: &Version, author: NodeIndex) -> Verdict {
        let known = &self.room.known;
        if known.head.is_some() && self.room.is_settled(version.id(), version.manifest) {
            return Verdict::Nothing;
        }
        if known.precedes(version) {
            return Verdict::Head;
        }
        match &known.conflict {
            Some(conflict) if conflict.node != author => Verdict::Waits,
            _ => Verdict::Conflict,
        }
    }

    fn judge_here(&mut self, now: Now) {
        let Some(judging) = self.room.judging.as_ref() else { return };
        let id = judging.id;
        if !self.room.whole.contains(&id) {
            return self.watch_gathering(now, id);
        }
        // A folder was checked by the shell that looked at it.
        if !matches!(judging.from, From::Own) {
            let version = judging.version.clone();
            match self.check(now, id, &version) {
                None => return,
                Some(problems) if problems.is_empty() => {}
                Some(problems) => return self.does_not_check(&problems, true),
            }
        }
        let Some(judging) = self.room.judging.as_ref() else { return };
        let operator = matches!(judging.from, From::Operator(_));
        let author = if matches!(judging.from, From::Peer) { self.peer_index() } else { self.settings.index };
        let follows = self.room.known.head.is_none_or(|head| judging.version.parents.contains(&head));
        match self.verdict(&judging.version, author) {
            // What an operator made has the contents of an older version, and follows from the head all the same.
            _ if operator && follows => self.begin_shipping(now),
            _ if operator => self.forget_judging("the configuration has changed meanwhile: ask again"),
            Verdict::Head => self.begin_shipping(now),
            Verdict::Conflict => self.conflicts(now, author),
            Verdict::Nothing | Verdict::Waits => self.judged(),
        }
    }

    /// What cannot be brought here is not judged: whoever proposes it says so again.
    fn watch_gathering(&mut self, now: Now, id: VersionId) {
        let Some(judging) = self.room.judging.as_ref() else { return };
        let gone = matches!(judging.from, From::Peer) && !self.converses();
        match self.gathering_failed(id) {
            Some(failed) => {
                self.room.rests_until = Some(now.local + AGAIN);
                self.forget_judging(match failed {
                    Progress::Malformed => "it is damaged",
                    _ => "no node that is up has all of its contents",
                });
            }
            None if gone => self.judged(),
            None => {}
        }
    }

    fn begin_shipping(&mut self, now: Now) {
        if !self.in_step_with_peer() || !self.shares_configuration() {
            return self.becomes_head(now);
        }
        self.room.peer.ready = None;
        if let Some(judging) = self.room.judging.as_mut() {
            judging.stage = Stage::There { since: now.local, said: None };
            self.room.stirred = true;
        }
    }

    fn judge_there(&mut self, now: Now, since: LocalTime, said: Option<LocalTime>) {
        let Some(judging) = self.room.judging.as_mut() else { return };
        let ready = self.room.peer.ready.as_ref().filter(|(id, _)| *id == judging.id);
        match ready.map(|(_, problems)| problems.clone()) {
            Some(problems) if problems.is_empty() => return self.becomes_head(now),
            Some(problems) => return self.does_not_check(&problems, false),
            None if !self.cluster.peer().up || now.local.since(since) >= SHIP_WAIT => return self.becomes_head(now),
            None => {}
        }
        if said.is_none_or(|said| now.local.since(said) >= AGAIN) {
            judging.stage = Stage::There { since, said: Some(now.local) };
            let note = Note::Fetch(judging.version.encode());
            self.send_note(&note);
        }
    }

    /// The version is the head from now on, for both.
    fn becomes_head(&mut self, now: Now) {
        let Some(judging) = self.room.judging.take() else { return };
        let time = self.cluster.cluster_time(now.local);
        let known = &self.room.known;
        let mut changes: Vec<_> = known.forgettable().into_iter().map(take_from_history).collect();
        changes.push(add_to_history(&judging.version, time));
        changes.push(set_head(judging.id));
        if let Some(conflict) = &known.conflict {
            let resolves = matches!(&judging.from, From::Operator(made) if made.resolves == Some(conflict.theirs));
            let joins = judging.version.parents.contains(&conflict.theirs);
            let conflict = Conflict { ours: judging.id, ..conflict.clone() };
            changes.push(set_conflict(Some(&conflict).filter(|_| !resolves && !joins)));
        }
        self.room.changes.extend(changes);
        if let From::Operator(made) = judging.from {
            self.waits_for_version(now, made.asker, judging.id);
        }
        self.room.stirred = true;
    }

    /// Two edits that do not follow from each other: both are kept, and a person chooses.
    fn conflicts(&mut self, now: Now, node: NodeIndex) {
        let Some(judging) = self.room.judging.take() else { return };
        let Some(head) = self.room.known.head else { return };
        let time = self.cluster.cluster_time(now.local);
        let known = &self.room.known;
        let base = judging.version.parents.iter().copied().find(|parent| known.version(*parent).is_some());
        let author = judging.version.author.clone();
        let conflict = Conflict { base, ours: head, theirs: judging.id, node, author };
        let mut changes: Vec<_> = known.forgettable().into_iter().map(take_from_history).collect();
        changes.push(add_to_history(&judging.version, time));
        changes.push(set_conflict(Some(&conflict)));
        self.room.changes.extend(changes);
        self.room.stirred = true;
    }

    fn does_not_check(&mut self, problems: &[String], here: bool) {
        let Some(judging) = self.room.judging.take() else { return };
        let name = if here { self.settings.name.clone() } else { self.cluster.peer().name.clone() };
        let problems: Vec<String> = problems.iter().map(|problem| format!("on {name}: {problem}")).collect();
        self.room.stirred = true;
        let node = match &judging.from {
            From::Own => self.settings.index,
            From::Peer => self.peer_index(),
            From::Operator(made) => {
                let asker = made.asker;
                return self.answer(asker, false, format!("it does not check\n{}", problems.join("\n")));
            }
        };
        let refused = Refused::new(judging.version.manifest, &judging.version.author, &problems);
        self.room.changes.push(set_refused(node, Some(&refused)));
    }

    /// Nothing comes of it.
    fn judged(&mut self) {
        self.room.judging = None;
        self.room.stirred = true;
    }

    /// It cannot be judged; an operator is told why.
    pub(super) fn forget_judging(&mut self, why: &str) {
        let judging = self.room.judging.take().map(|judging| judging.from);
        let made: Vec<Made> = match judging {
            Some(From::Operator(made)) => vec![made],
            _ => Vec::new(),
        };
        for made in made {
            self.answer(made.asker, false, format!("nothing was changed: {why}"));
        }
        self.room.stirred = true;
    }
}
