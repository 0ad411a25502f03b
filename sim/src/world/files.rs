//! The shells' work with files, one thing after another, and what is seen of it from outside: which sets people have
//! made, which of them a node has called live, and what each folder ever was.

use std::collections::{BTreeMap, BTreeSet};

use node::base::Level;
use node::pbx::configuration::{Configuration, Loaded};
use node::replication::Hash;
use node::replication::files::{Version, VersionId};
use node::{Answer, ConfigAnswer, ConfigRequest, Event, FilesAction, FilesEvent, Operator};

use super::World;
use crate::files::{FULL, Look, Texts, manifest_of, problems};
use crate::queue::Happening;

/// The level whose shell knows versions of the configuration.
const SINCE: Level = Level(3);

/// Until a changed folder is noticed, at least and at most.
const NOTICE_US: (u64, u64) = (150_000, 950_000);

/// After so long a folder is looked at again that could not be kept.
const LOOK_AGAIN_US: u64 = 2_000_000;

/// How a node says that both run it, or that it does and the other one will.
const LIVE: &str = "version ";

/// What the worker of a daemon has to do.
#[derive(Clone, Debug)]
pub enum FilesJob {
    Do(FilesAction),
    /// Something seems to have changed.
    Look {
        asked_by: Option<u64>,
    },
    EndInstall {
        version: VersionId,
        before: Texts,
    },
}

/// What is known of the configuration without asking a node.
#[derive(Debug, Default)]
pub struct Folders {
    /// The texts of each set that a shell has looked at, by manifest.
    sets: BTreeMap<String, Texts>,
    /// What each file of each machine's folder ever was.
    seen: [BTreeMap<String, BTreeSet<Option<Hash>>>; 2],
    /// Each machine's folder when it was last looked at.
    last: [Texts; 2],
    /// Somebody asked for a folder to be taken: whose, and which set it was when the shell looked.
    asked: BTreeMap<u64, (usize, Hash)>,
    pub edits: u64,
}

/// The folder of both machines at first.
pub(super) fn first_folder() -> Texts {
    ["sip.conf", "extensions.conf", "rtp.conf", "users/5000.conf", "users/5001.conf", "sounds/hello"]
        .into_iter()
        .map(|path| (path.to_owned(), format!("; {path} as it came\n")))
        .collect()
}

impl World {
    fn keeps_versions(&self, machine: usize) -> bool {
        self.plan.files && self.machines[machine].level >= SINCE
    }

    /// Every set is another configuration, which `status` shows by its hash.
    fn configuration_of(&self, manifest: Hash) -> Configuration {
        let mut configuration = (*self.configuration).clone();
        let (first, _) = manifest.0.split_at(8);
        configuration.hash = first.iter().fold(0, |hash, byte| hash << 8 | u64::from(*byte));
        configuration
    }

    /// A daemon is started with what its folder was made from, or with the folder.
    pub(super) fn configuration_at_start(&mut self, machine: usize) -> Configuration {
        if !self.keeps_versions(machine) {
            return (*self.configuration).clone();
        }
        let files = &mut self.machines[machine].files;
        files.start();
        self.folder_is(machine);
        let files = &mut self.machines[machine].files;
        let manifest = files.marker().map_or_else(|| manifest_of(&files.folder), |version| version.manifest);
        self.configuration_of(manifest)
    }

    pub(super) fn files_start(&mut self, machine: usize, life: u64) {
        self.machines[machine].file_jobs.clear();
        if self.keeps_versions(machine) {
            let version = self.machines[machine].files.marker().cloned();
            self.tell_files(machine, life, FilesEvent::Holds { version });
            self.look_at_folder(machine, life, None);
        }
    }

    pub(super) fn look_at_folder(&mut self, machine: usize, life: u64, asked_by: Option<u64>) {
        if self.machines[machine].daemon_of(life).is_some() && self.keeps_versions(machine) {
            self.files_action(machine, life, FilesJob::Look { asked_by });
        }
    }

    /// A person changes a file in a folder, or takes it away.
    pub fn edit(&mut self, machine: usize, path: &str, text: Option<String>) {
        self.trace(|| format!("somebody edits {path} on {machine}: {text:?}"));
        self.folders.edits += 1;
        self.folder_is(machine);
        // Who edits on before the answer has come is answered for the later edit.
        let answers = &self.answers;
        self.folders.asked.retain(|number, (of, _)| *of != machine || answers.contains_key(number));
        self.machines[machine].files.edit(path, text);
        if let Some(life) = self.machines[machine].daemon.as_ref().map(|daemon| daemon.life) {
            let delay_us = NOTICE_US.0 + self.random.below(NOTICE_US.1 - NOTICE_US.0);
            self.after(delay_us, Happening::FolderLook { machine, life, asked_by: None });
        }
    }

    pub(super) fn files_action(&mut self, machine: usize, life: u64, job: FilesJob) {
        if !self.keeps_versions(machine) {
            return;
        }
        self.machines[machine].file_jobs.push_back(job);
        if self.machines[machine].file_jobs.len() == 1 {
            self.files_begin(machine, life);
        }
    }

    /// Small things take a moment, and what is synced takes longer.
    fn files_begin(&mut self, machine: usize, life: u64) {
        let delay_us = match self.machines[machine].file_jobs.front() {
            None => return,
            Some(FilesJob::Do(FilesAction::Look { .. } | FilesAction::Read { .. })) => 50 + self.random.below(200),
            Some(FilesJob::Do(FilesAction::Write { .. } | FilesAction::Put { .. })) => 500 + self.random.below(3_000),
            Some(FilesJob::Do(FilesAction::Keep { .. })) => 1_000,
            Some(_) => 5_000 + self.random.below(40_000),
        };
        self.after(delay_us, Happening::FilesWork { machine, life });
    }

    pub(super) fn files_work(&mut self, machine: usize, life: u64) {
        if self.machines[machine].daemon_of(life).is_none() {
            return;
        }
        if self.crash_is_due(machine, false) {
            return self.crash(machine);
        }
        let Some(job) = self.machines[machine].file_jobs.pop_front() else { return };
        let event = match job {
            FilesJob::Do(action) => self.do_with_files(machine, life, action),
            FilesJob::Look { asked_by } => self.look(machine, life, asked_by, false),
            FilesJob::EndInstall { version, before } => {
                let ended = self.machines[machine].files.end_install(version, &before);
                self.folder_is(machine);
                if ended.is_err() {
                    self.after(1_000, Happening::FolderLook { machine, life, asked_by: None });
                }
                Some(self.installed(machine, version, ended.err()))
            }
        };
        self.end_of_step(machine);
        if self.crash_is_due(machine, true) {
            return self.crash(machine);
        }
        self.files_begin(machine, life);
        if let Some(event) = event {
            self.tell_files(machine, life, event);
        }
    }

    fn tell_files(&mut self, machine: usize, life: u64, mut event: FilesEvent) {
        if let Some(plant) = self.plant.as_mut() {
            plant.files_event(machine, &mut event);
        }
        self.trace(|| {
            let text = format!("{event:?}");
            let end = text.chars().rev().take(80).collect::<Vec<_>>().into_iter().rev().collect::<String>();
            format!("shell {machine}: {} .. {end}", text.chars().take(250).collect::<String>())
        });
        self.tell(machine, life, Event::Files(event));
    }

    fn do_with_files(&mut self, machine: usize, life: u64, action: FilesAction) -> Option<FilesEvent> {
        let now_us = self.now_us;
        let files = &mut self.machines[machine].files;
        Some(match action {
            FilesAction::Look { hashes } => {
                let (here, others): (Vec<Hash>, Vec<Hash>) = hashes.into_iter().partition(|hash| files.has(*hash));
                let (parts, missing): (Vec<Hash>, Vec<Hash>) =
                    others.into_iter().partition(|hash| files.part(*hash) > 0);
                let parts = parts.into_iter().map(|hash| (hash, files.part(hash))).collect();
                FilesEvent::Looked { here, parts, missing }
            }
            FilesAction::Read { content, offset, length } => {
                let whole = files.read(content);
                let total = whole.map_or(0, |bytes| bytes.len() as u64);
                let end = (offset + u64::from(length)).min(total) as usize;
                let bytes = whole.and_then(|bytes| bytes.get(offset as usize..end)).map(<[u8]>::to_vec);
                FilesEvent::Read { content, offset, bytes, total }
            }
            FilesAction::Write { content, offset, bytes, total } => {
                let written = files.write_part(content, offset, &bytes, total, now_us);
                let (upto, whole) = written.unwrap_or_else(|_| (files.part(content), false));
                FilesEvent::Written { content, upto, whole, failed: written.err().map(str::to_owned) }
            }
            FilesAction::Put { bytes } => {
                let (content, upto) = (Hash::of(&bytes), bytes.len() as u64);
                let whole = files.put(bytes, now_us);
                FilesEvent::Written { content, upto, whole, failed: (!whole).then(|| FULL.to_owned()) }
            }
            FilesAction::Check { version } => {
                let loaded = files.load(version);
                let failed = loaded.is_none().then(|| "a content is missing".to_owned());
                let problems = loaded.map(|(texts, _)| problems(&texts)).unwrap_or_default();
                FilesEvent::Checked { version, problems, failed }
            }
            FilesAction::Load { version } => {
                let loaded = self.load_version(machine, version);
                let failed = loaded.is_none().then(|| "a content is missing".to_owned());
                FilesEvent::Loaded { version, loaded, failed }
            }
            FilesAction::Install { version, over } => {
                if let Err(failed) = files.begin_install(version, over, &mut self.random) {
                    self.after(1_000, Happening::FolderLook { machine, life, asked_by: None });
                    return Some(self.installed(machine, version, Some(failed)));
                }
                self.folder_is(machine);
                let before = self.machines[machine].files.folder.clone();
                self.machines[machine].file_jobs.push_front(FilesJob::EndInstall { version, before });
                return None;
            }
            FilesAction::Scan { asked_by } => return self.look(machine, life, asked_by, true),
            FilesAction::Keep { versions } => {
                files.keep(&versions, now_us);
                return None;
            }
        })
    }

    fn look(&mut self, machine: usize, life: u64, asked_by: Option<u64>, asked: bool) -> Option<FilesEvent> {
        let wall = self.clocks(machine).wall;
        let now_us = self.now_us;
        self.folder_is(machine);
        let files = &mut self.machines[machine].files;
        let look = files.look(name(machine), wall, now_us, asked || asked_by.is_some());
        if let Some(number) = asked_by {
            let manifest = manifest_of(&files.folder);
            self.folders.asked.insert(number, (machine, manifest));
        }
        self.folder_is(machine);
        match look {
            Look::Same => Some(FilesEvent::Unchanged { asked_by }),
            Look::Edited { version, problems, .. } => Some(FilesEvent::Edited { version, problems, asked_by }),
            Look::NoRoom => {
                self.after(LOOK_AGAIN_US, Happening::FolderLook { machine, life, asked_by });
                None
            }
        }
    }

    /// Somebody, or the shell, has made the folder what it is.
    fn folder_is(&mut self, machine: usize) {
        if self.folders.last[machine] == self.machines[machine].files.folder {
            return;
        }
        let texts = self.machines[machine].files.folder.clone();
        self.folders.last[machine].clone_from(&texts);
        let seen = &mut self.folders.seen[machine];
        for (path, text) in &texts {
            // Before anybody put it there it was not there.
            let texts = seen.entry(path.clone()).or_insert_with(|| BTreeSet::from([None]));
            texts.insert(Some(Hash::of(text.as_bytes())));
        }
        for (_, texts) in seen.iter_mut().filter(|(path, _)| !texts.contains_key(*path)) {
            texts.insert(None);
        }
        self.folders.sets.insert(manifest_of(&texts).to_string(), texts);
    }

    fn installed(&mut self, machine: usize, version: VersionId, failed: Option<&'static str>) -> FilesEvent {
        let loaded = self.load_version(machine, version);
        FilesEvent::Installed { version, loaded, failed: failed.map(str::to_owned) }
    }

    fn load_version(&mut self, machine: usize, id: VersionId) -> Option<Box<Loaded>> {
        let (texts, version) = self.machines[machine].files.load(id)?;
        if let Some(problem) = problems(&texts).first() {
            let text = format!("node {machine} is to run a set that does not check: {problem}");
            self.checks.fail(self.now_us, "configuration", text);
        }
        let configuration = self.configuration_of(version.manifest);
        Some(Box::new(Loaded { configuration: Some(configuration), diagnostics: Vec::new() }))
    }

    /// What a node says of the configuration.
    pub fn config_of(&mut self, machine: usize) -> Option<ConfigAnswer> {
        let number = self.ask(machine, Operator::Config(ConfigRequest::Status));
        match self.answers.remove(&number) {
            Some(Answer::Config(answer)) => Some(*answer),
            _ => None,
        }
    }

    /// All that must hold when everything has come to rest.
    pub(crate) fn check_configuration(&mut self) {
        if !(0..2).all(|machine| self.keeps_versions(machine)) {
            return;
        }
        let told: Vec<ConfigAnswer> = (0..2).filter_map(|machine| self.config_of(machine)).collect();
        let [a, b] = told.as_slice() else { return self.configuration_fails("a node says nothing of it") };
        // Two folders that do not check make no version, as long as there is none.
        let refused = |machine: usize| a.line.refused.iter().any(|line| line.node == name(machine));
        if a.line.head.is_none() && b.line.head.is_none() && (0..2).all(refused) && a.line.refused == b.line.refused {
            return;
        }
        if a.line.head.is_none() || a.line.head != b.line.head {
            return self.configuration_fails(&format!("the heads are {:?} and {:?}", a.line.head, b.line.head));
        }
        let known = |answer: &ConfigAnswer| answer.history.iter().map(|line| line.id.clone()).collect::<BTreeSet<_>>();
        if known(a) != known(b) {
            return self.configuration_fails("the histories differ");
        }
        for (machine, told) in told.iter().enumerate() {
            if let Err(text) = self.check_folder(machine, told) {
                return self.configuration_fails(&text);
            }
        }
        if let Err(text) = self.check_history(&told[0]) {
            self.configuration_fails(&text);
        }
    }

    fn configuration_fails(&mut self, text: &str) {
        self.checks.fail(self.now_us, "configuration", text.to_owned());
    }

    /// A folder is the head's, or it is told why not; the node runs the head.
    fn check_folder(&mut self, machine: usize, told: &ConfigAnswer) -> Result<(), String> {
        let manifest_of_line =
            |id: &str| told.history.iter().find(|line| line.id == id).map(|line| line.manifest.clone());
        let head =
            told.line.head.as_ref().and_then(|id| manifest_of_line(id)).ok_or("the head is not in the history")?;
        if !told.line.runs_head {
            return Err(format!("node {machine} does not run the head: {:?}", told.line.waits));
        }
        let number = self.ask(machine, Operator::Status);
        if let Some(Answer::Status(status)) = self.answers.get(&number)
            && !head.starts_with(&status.configuration_hash)
        {
            return Err(format!("node {machine} runs {}, not the head {head}", status.configuration_hash));
        }
        let folder = self.machines[machine].files.folder.clone();
        let manifest = manifest_of(&folder).to_string();
        let conflict = told.line.conflict.as_ref();
        let theirs = conflict.filter(|it| it.author == name(machine)).and_then(|it| manifest_of_line(&it.theirs));
        let refused = told.line.refused.iter().any(|line| line.node == name(machine));
        let waits = conflict.is_some() && told.line.waits.is_some();
        if refused == problems(&folder).is_empty() {
            return Err(format!("the folder of {machine} has problems {:?}, told: {refused}", problems(&folder)));
        }
        if manifest == head || theirs == Some(manifest) || refused || waits {
            Ok(())
        } else {
            Err(format!("the folder of {machine} is not the head, and nobody says why: {:?}", told.line))
        }
    }

    /// Nothing that was called live is lost, nobody's change was changed by somebody who never saw it, and every set that
    /// is remembered is somewhere.
    fn check_history(&mut self, told: &ConfigAnswer) -> Result<(), String> {
        let asked = std::mem::take(&mut self.folders.asked);
        for (number, (_, manifest)) in asked {
            let live = matches!(self.answers.get(&number), Some(Answer::Done { text }) if text.starts_with(LIVE));
            if live && !told.history.iter().any(|line| line.manifest == manifest.to_string()) {
                return Err(format!("set {manifest} was called live and is lost"));
            }
        }
        let manifest_of_line =
            |id: &str| told.history.iter().find(|line| line.id == id).map(|line| line.manifest.clone());
        for line in &told.history {
            let machine = usize::from(line.author == name(1));
            let edited = matches!(line.why.as_str(), "edited" | "first");
            for parent in line.parents.iter().filter(|_| edited).filter_map(|parent| manifest_of_line(parent)) {
                if let Some(path) = self.changed_unseen(machine, &parent, &line.manifest) {
                    return Err(format!(
                        "{} of node {machine} undoes what {path} was, which nobody saw there",
                        line.id
                    ));
                }
            }
            let manifest = Hash::parse(&line.manifest).ok_or("a manifest is no hash")?;
            let kept: Vec<Texts> = self.machines.iter_mut().filter_map(|of| of.files.texts(manifest)).collect();
            let made = self.folders.sets.get(&line.manifest);
            if kept.is_empty() || kept.iter().any(|texts| made.is_some_and(|made| made != texts)) {
                return Err(format!("the files of version {} are not what they were", line.id));
            }
        }
        Ok(())
    }

    /// A file that differs between two sets, and that was never in this machine's folder as it is in the first one.
    fn changed_unseen(&self, machine: usize, before: &str, after: &str) -> Option<String> {
        let (before, after) = (self.folders.sets.get(before)?, self.folders.sets.get(after)?);
        let mut paths = before.keys().chain(after.keys()).filter(|path| before.get(*path) != after.get(*path));
        let unseen = |path: &&String| {
            let was = before.get(*path).map(|text| Hash::of(text.as_bytes()));
            self.folders.seen[machine].get(*path).is_none_or(|texts| !texts.contains(&was))
        };
        paths.find(unseen).cloned()
    }

    /// The last version that a folder was made from, for scenarios.
    pub fn installed_version(&self, machine: usize) -> Option<&Version> {
        self.machines[machine].files.marker()
    }
}

/// What the nodes are called.
pub fn name(machine: usize) -> &'static str {
    if machine == 0 { "a" } else { "b" }
}

#[cfg(test)]
mod tests;
