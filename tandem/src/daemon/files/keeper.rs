//! Owns what the thread knows: the directory, the store of contents, what was told last.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use admin::events::{Teller, Telling};
use miette::{IntoDiagnostic, Result};
use net::clock::wall_now;
use node::replication::content::Hash;
use node::replication::files::{Set, Version, VersionId};
use node::{Event, FilesAction, FilesEvent};
use pbx::conf::{Diagnostic, Severity};
use pbx::configuration::{Configuration, Loaded, load};
use storage::content::{ContentError, ContentStore};
use storage::directory::{Directory, DirectoryError, Edit, Installed, Scan, Stamp, complaint, read_set, read_version};

use crate::doctor::chain;
use crate::setup::Setup;

/// A file that was changed less than this ago may still be being written.
const SETTLE: Duration = Duration::from_millis(100);

/// Files that never rest are taken as they are after so many looks.
const UNSETTLED_MAX: u32 = 4;

/// What is wrong with a set: the first mistakes are what somebody needs, and the log carries them.
const PROBLEMS_MAX: usize = 20;
const PROBLEM_BYTES_MAX: usize = 500;

mod contents;
#[cfg(test)]
mod tests;

/// What is said of a disk that refuses.
const READ_VERSION: &str = "read a version of the configuration";
const WRITE_FILES: &str = "write the files of the configuration";

/// What the thread should do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    Rest,
    /// Something is unsettled, or was just changed by ourselves.
    LookSoon,
}

/// What was found and told last; the same again is not told again.
struct Told {
    installed: Option<Hash>,
    set: Set,
    problems: Vec<Diagnostic>,
    /// `None`: the directory is as it was installed.
    edit: Option<Found>,
}

/// What somebody has edited.
#[derive(Clone)]
struct Found {
    version: Version,
    problems: Vec<String>,
    /// The disk has everything that it is made of. If not, that is a problem, and the next look tries again.
    kept: bool,
}

pub struct Keeper {
    directory: Directory,
    store: ContentStore,
    author: String,
    told: Option<Told>,
    local: Option<BTreeMap<String, Stamp>>,
    unsettled: u32,
    wanted: Vec<Hash>,
    /// Asked for since the sweep before the last one: a version that they belong to may be about to be named.
    looked: [BTreeSet<Hash>; 2],
    swept: Instant,
}

impl Keeper {
    pub fn open(setup: &Setup) -> Result<Self> {
        Self::of(&setup.pbx_dir, &setup.synchronization.local, &setup.state_dir, &setup.name)
    }

    fn of(pbx_dir: &Path, local: &[String], state_dir: &Path, author: &str) -> Result<Self> {
        let store = ContentStore::open(state_dir).into_diagnostic()?;
        let mut directory = Directory::open(pbx_dir, local, state_dir);
        let finished = directory.finish(&store).transpose().map(drop);
        if let Err(error) = finished.and_then(|()| directory.note_place()) {
            tracing::error!("the files of the configuration could not be written: {}", chain(&error));
        }
        Ok(Self {
            directory,
            store,
            author: author.to_owned(),
            told: None,
            local: None,
            unsettled: 0,
            wanted: Vec::new(),
            looked: Default::default(),
            swept: Instant::now(),
        })
    }

    /// What the node starts with: what it ran last, so that an edit that does not check, or that has lost, does not come
    /// in by a restart. Without a peer that could know better, files that can be used are taken at once.
    pub fn configuration(&mut self, setup: &Setup) -> Result<Configuration> {
        let kept = if setup.links.is_empty() { None } else { self.kept() };
        match kept {
            Some(configuration) => Ok(configuration),
            None => setup.load_pbx().or_else(|error| self.kept().ok_or(error)),
        }
    }

    /// What the node ran last. There is none the first time, and when it cannot be used any more: with other local files,
    /// another program, or a damaged disk.
    fn kept(&mut self) -> Option<Configuration> {
        let version = self.directory.note().runs?;
        let scan = self.directory.scan();
        match self.load(version, &scan) {
            Ok(Loaded { configuration, diagnostics }) => {
                diagnostics.iter().for_each(|diagnostic| tracing::warn!("{diagnostic}"));
                self.local = Some(scan.local);
                configuration
            }
            Err(error) => {
                tracing::error!("the kept configuration cannot be read: {}", chain(&error));
                None
            }
        }
    }

    pub fn begin(&mut self, say: &dyn Fn(Event)) {
        let installed = self.directory.note().installed;
        let version = installed.and_then(|installed| read_version(&self.store, &installed).ok());
        say(Event::Files(FilesEvent::Holds { version }));
    }

    pub fn act(&mut self, action: FilesAction, say: &dyn Fn(Event), teller: &Teller) -> Next {
        let event = match action {
            FilesAction::Look { hashes } => self.look_for(hashes),
            FilesAction::Read { content, offset, length } => self.read(content, offset, length, teller),
            FilesAction::Write { content, offset, bytes, total } => {
                let written = self.store.write(&content, offset, &bytes, total);
                let done = written.map(|progress| (progress.upto, progress.whole));
                self.written(content, done, teller)
            }
            FilesAction::Put { bytes } => {
                let content = Hash::of(&bytes);
                let done = self.store.put(&bytes).map(|_| (bytes.len() as u64, true));
                self.written(content, done, teller)
            }
            FilesAction::Check { version } => {
                let scan = self.directory.scan();
                match self.load(version.0, &scan) {
                    Ok(loaded) => FilesEvent::Checked { version, problems: errors(&loaded.diagnostics), failed: None },
                    Err(error) => {
                        let failed = Some(self.failed(READ_VERSION, &error, teller));
                        FilesEvent::Checked { version, problems: Vec::new(), failed }
                    }
                }
            }
            FilesAction::Load { version } => self.run(version, teller),
            FilesAction::Install { version, over } => {
                say(Event::Files(self.install(version, over, teller)));
                return Next::LookSoon;
            }
            FilesAction::Scan { asked_by } => {
                let scan = self.directory.scan();
                if let Err(error) = self.directory.put_back(&self.store, &scan) {
                    self.failed("keep the files of the configuration", &error, teller);
                }
                return self.look(asked_by, true, say, teller);
            }
            FilesAction::Keep { versions } => {
                self.wanted = versions.into_iter().map(|version| version.0).collect();
                return Next::Rest;
            }
        };
        say(Event::Files(event));
        Next::Rest
    }

    /// Looks at the directory and tells what is new.
    ///
    /// `at_once`: somebody waits, so that what may still be being written is taken as it is, and the same is told again.
    pub fn look(&mut self, asked_by: Option<u64>, at_once: bool, say: &dyn Fn(Event), teller: &Teller) -> Next {
        // What a full disk, or the end of a former life, has stopped.
        if let Some(Err(error)) = self.directory.finish(&self.store) {
            self.failed(WRITE_FILES, &error, teller);
            if at_once && let Err(error) = self.directory.give_up(&self.store) {
                self.failed(WRITE_FILES, &error, teller);
            }
        }
        if self.directory.note().installing.is_some() {
            // Half of one version and half of another is nobody's edit.
            if at_once {
                say(Event::Files(FilesEvent::Unchanged { asked_by }));
            }
            return Next::Rest;
        }
        let scan = self.directory.scan();
        self.look_at_local(&scan, say, teller);
        let installed = self.directory.note().installed;
        let same = self
            .told
            .as_ref()
            .is_some_and(|told| told.installed == installed && told.set == scan.set && told.problems == scan.problems);
        let kept = self.told.as_ref().and_then(|told| told.edit.as_ref()).is_none_or(|found| found.kept);
        if same && kept {
            self.unsettled = 0;
            if at_once {
                self.tell(asked_by, say);
            }
            self.sweep(teller);
            return Next::Rest;
        }
        let base = installed.and_then(|installed| read_set(&self.store, &installed).ok());
        let edit = if base.is_some_and(|base| self.directory.is(&scan, &base)) {
            None
        } else {
            if !at_once && self.is_unsettled(&scan) {
                return Next::LookSoon;
            }
            match self.edit(&scan, teller) {
                Some(edit) => Some(edit),
                None if at_once => return self.look_again(asked_by, say, teller),
                None => return Next::LookSoon,
            }
        };
        self.unsettled = 0;
        let before = self.told.as_ref().and_then(|told| told.edit.as_ref());
        let news = match (before, &edit) {
            // The first look is always told.
            (None, None) => self.told.is_none(),
            (Some(before), Some(found)) => found.kept || before.kept || before.problems != found.problems,
            _ => true,
        };
        let Scan { set, problems, .. } = scan;
        self.told = Some(Told { installed, set, problems, edit });
        if news || at_once {
            self.tell(asked_by, say);
        }
        Next::Rest
    }

    /// A file has changed while it was being kept, and somebody waits.
    fn look_again(&mut self, asked_by: Option<u64>, say: &dyn Fn(Event), teller: &Teller) -> Next {
        self.unsettled += 1;
        if self.unsettled <= UNSETTLED_MAX {
            return self.look(asked_by, true, say, teller);
        }
        self.unsettled = 0;
        let problems = vec![line(&complaint(&self.root(), "the files are being written all the time".to_owned()))];
        say(Event::Files(FilesEvent::Edited { version: self.unkept(), problems, asked_by }));
        Next::LookSoon
    }

    fn tell(&self, asked_by: Option<u64>, say: &dyn Fn(Event)) {
        let edit = self.told.as_ref().and_then(|told| told.edit.clone());
        say(Event::Files(match edit {
            Some(Found { version, problems, .. }) => FilesEvent::Edited { version, problems, asked_by },
            None => FilesEvent::Unchanged { asked_by },
        }));
    }

    /// A version of what was found, and what is wrong with it; `None` when a file has changed meanwhile.
    fn edit(&mut self, scan: &Scan, teller: &Teller) -> Option<Found> {
        let problems = errors(&scan.problems);
        let committed = self.directory.commit(&self.store, scan, &self.author, wall_now());
        let edit = match committed {
            Ok(edit) => edit?,
            Err(error) => {
                let text = self.failed("keep an edit of the configuration", &error, teller);
                let problems = vec![line(&complaint(&self.root(), text))];
                return Some(Found { version: self.unkept(), problems, kept: false });
            }
        };
        let Edit { version, set, .. } = edit;
        if !problems.is_empty() {
            return Some(Found { version, problems, kept: true });
        }
        let problems = match self.directory.texts(&self.store, &set, scan) {
            Ok(texts) => errors(&load(&texts).diagnostics),
            Err(error) => vec![self.failed("read the configuration", &error, teller)],
        };
        Some(Found { version, problems, kept: true })
    }

    fn root(&self) -> String {
        self.directory.root().display().to_string()
    }

    /// Stands for an edit that the disk does not keep: it is refused, and so nobody asks for what it is made of.
    fn unkept(&self) -> Version {
        Version {
            parents: self.directory.note().installed.map(VersionId).into_iter().collect(),
            author: self.author.clone(),
            made_at: wall_now(),
            why: "edited".to_owned(),
            manifest: Hash::default(),
        }
    }

    fn is_unsettled(&mut self, scan: &Scan) -> bool {
        let age = scan.changed.map(|changed| SystemTime::now().duration_since(changed).unwrap_or_default());
        let unsettled = age.is_some_and(|age| age < SETTLE) && self.unsettled < UNSETTLED_MAX;
        self.unsettled += u32::from(unsettled);
        unsettled
    }

    /// Files that only this machine has: they belong to no version, and are loaded when they change.
    fn look_at_local(&mut self, scan: &Scan, say: &dyn Fn(Event), teller: &Teller) {
        let before = self.local.replace(scan.local.clone());
        if before.is_none_or(|before| before == scan.local) {
            return;
        }
        let Some(version) = self.directory.note().runs else { return };
        match self.load(version, scan) {
            Ok(loaded) => say(Event::PbxLoaded { loaded: Box::new(loaded), asked_by: None }),
            Err(error) => drop(self.failed("read the configuration", &error, teller)),
        }
    }

    fn load(&self, version: Hash, scan: &Scan) -> Result<Loaded, DirectoryError> {
        let set: Set = read_set(&self.store, &version)?;
        Ok(load(&self.directory.texts(&self.store, &set, scan)?))
    }

    /// Loads a version for the node to run, whatever the directory holds.
    fn run(&mut self, version: VersionId, teller: &Teller) -> FilesEvent {
        match self.load_to_run(version, teller) {
            Ok(loaded) => FilesEvent::Loaded { version, loaded: Some(loaded), failed: None },
            Err(failed) => FilesEvent::Loaded { version, loaded: None, failed: Some(failed) },
        }
    }

    fn install(&mut self, version: VersionId, over: Option<VersionId>, teller: &Teller) -> FilesEvent {
        let loaded = match self.load_to_run(version, teller) {
            Ok(loaded) => loaded,
            Err(failed) => return FilesEvent::Installed { version, loaded: None, failed: Some(failed) },
        };
        // The directory is one thing, what is run another: a disk that is full keeps nobody from the pair's version.
        let failed = self.exchange(version.0, over.map(|over| over.0), teller).err();
        FilesEvent::Installed { version, loaded: Some(loaded), failed }
    }

    fn load_to_run(&mut self, version: VersionId, teller: &Teller) -> Result<Box<Loaded>, String> {
        let scan = self.directory.scan();
        let loaded = match self.load(version.0, &scan) {
            // It was checked before; only this machine's own files can have changed since.
            Ok(loaded) if loaded.configuration.is_none() => return Err(errors(&loaded.diagnostics).join("\n")),
            Ok(loaded) => loaded,
            Err(error) => return Err(self.failed(READ_VERSION, &error, teller)),
        };
        if let Err(error) = self.directory.runs(version.0) {
            self.failed("note which configuration runs", &error, teller);
        }
        self.local = Some(scan.local);
        Ok(Box::new(loaded))
    }

    /// Unless somebody's edit is in its way.
    fn exchange(&mut self, version: Hash, over: Option<Hash>, teller: &Teller) -> Result<(), String> {
        let installed = self.directory.install(&self.store, version, over);
        for text in self.directory.take_refused() {
            tracing::warn!("{text}");
            teller.tell(Telling::new("configuration", text));
        }
        match installed {
            Ok(Installed::Done) => Ok(()),
            Ok(Installed::Clash { paths }) => {
                // The edit is told again: it has lost what it could have followed.
                self.told = None;
                Err(format!("edited here meanwhile: {}", paths.join(", ")))
            }
            Err(error) => Err(self.failed(WRITE_FILES, &error, teller)),
        }
    }

    /// Tells what the disk is to blame for; the words for whoever asked.
    fn failed(&mut self, operation: &str, error: &DirectoryError, teller: &Teller) -> String {
        match error {
            DirectoryError::Content(error) => self.content_failed(operation, error, teller),
            other => {
                let text = format!("cannot {operation}: {}", chain(other));
                tracing::error!("{text}");
                if other.is_of_disk() {
                    teller.tell(Telling::new("disk", text.clone()));
                }
                text
            }
        }
    }

    fn content_failed(&mut self, operation: &str, error: &ContentError, teller: &Teller) -> String {
        let text = format!("cannot {operation}: {}", chain(error));
        if error.is_of_disk() {
            tracing::error!("{text}");
            teller.tell(Telling::new("disk", text.clone()));
        }
        if let ContentError::Damaged { hash, .. } = error
            && let Err(error) = self.store.discard(hash)
        {
            tracing::error!("a damaged content stays: {}", chain(&error));
        }
        text
    }
}

/// What makes a set unusable, a line each.
fn errors(diagnostics: &[Diagnostic]) -> Vec<String> {
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
    let mut lines: Vec<String> = errors.clone().take(PROBLEMS_MAX).map(line).collect();
    let more = errors.count().saturating_sub(lines.len());
    if more > 0 {
        lines.push(line(&complaint("...", format!("{more} more mistakes"))));
    }
    lines
}

fn line(diagnostic: &Diagnostic) -> String {
    let mut line = diagnostic.to_string();
    let end = (0..=PROBLEM_BYTES_MAX.min(line.len())).rev().find(|end| line.is_char_boundary(*end));
    line.truncate(end.unwrap_or(0));
    line
}
