//! Owns making a directory another version, in steps: a node that dies between any two of them finishes in its next
//! life, and never takes a half-made directory for an edit.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use node::replication::content::Hash;
use node::replication::files::{Entry, Set};

use super::plan::{Plan, plan};
use super::scan::{Scan, Stamp, TEMPORARY};
use super::{Directory, DirectoryError, Note, failed, names, read_set, read_version, same};
use crate::content::{self, ContentStore};

/// Beyond it the whole file system is synced once, which takes less time than so many single files.
const SYNC_EACH_MAX: usize = 32;

/// What came of an install.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Installed {
    /// The directory is this version, but for files that were edited and that it does not change.
    Done,
    /// These files were edited here and are changed by the version, too, and stay as they are: what is here follows from
    /// the version before. Nothing was touched, unless the edits came while the directory was being made this version.
    Clash { paths: Vec<String> },
}

/// One thing after which the node may die.
#[derive(Debug)]
pub(super) enum Step {
    /// All files beside their places, synced.
    Prepare(Vec<(PathBuf, Entry)>),
    Note(Note),
    /// As it was when it was looked at: one that has changed since is left alone.
    Remove(String, Option<Stamp>),
    Exchange(PathBuf, String, Option<Stamp>),
    /// The folders of these files.
    Sync(Vec<String>),
}

impl Directory {
    /// Makes the directory `version`. Files that somebody has edited since it was made of a version stay as they are,
    /// but for those that are as in `over`. All contents have to be in the store.
    pub fn install(
        &mut self,
        store: &ContentStore,
        version: Hash,
        over: Option<Hash>,
    ) -> Result<Installed, DirectoryError> {
        let scan = self.scan();
        let plan = self.plan(store, &scan, version, over)?;
        // Half of one version and half of another is of no use to anybody: what was begun is brought to its end.
        if !plan.clash.is_empty() && self.note.installing != Some(version) {
            self.give_up(store)?;
            return Ok(Installed::Clash { paths: plan.clash });
        }
        let clash = plan.clash.clone();
        let steps = self.steps(plan, &scan, version, over);
        self.carry_out(store, steps, clash)
    }

    /// Takes all steps but where somebody's edit is in their way.
    pub(super) fn carry_out(
        &mut self,
        store: &ContentStore,
        steps: Vec<Step>,
        mut clash: Vec<String>,
    ) -> Result<Installed, DirectoryError> {
        for step in steps {
            match step {
                Step::Note(Note { installing: None, .. }) if !clash.is_empty() => {
                    self.write_note(Note { installing: None, over: None, ..self.note.clone() })?;
                }
                step => clash.extend(self.take(store, step)?),
            }
        }
        Ok(if clash.is_empty() { Installed::Done } else { Installed::Clash { paths: clash } })
    }

    /// An install that a former life began is brought to its end; `None` when there is none.
    pub fn finish(&mut self, store: &ContentStore) -> Option<Result<Installed, DirectoryError>> {
        let Note { installing, over, .. } = self.note;
        installing.map(|version| self.install(store, version, over))
    }

    /// An install that was begun and can never be ended, because the store has lost what it takes, is given up: the
    /// directory counts as edited by hand, unless it is that version already. Nothing is done about one that can be.
    pub fn give_up(&mut self, store: &ContentStore) -> Result<(), DirectoryError> {
        let Some(begun) = self.note.installing.filter(|begun| read_set(store, begun).is_err()) else { return Ok(()) };
        let scan = self.scan();
        let (manifest, _) = scan.set.pages().map_err(DirectoryError::Set)?;
        let is_ended = read_version(store, &begun).is_ok_and(|version| version.manifest == manifest.hash());
        if is_ended {
            self.put_back(store, &scan)?;
        }
        let installed = if is_ended { Some(begun) } else { self.note.installed };
        self.write_note(Note { installed, installing: None, over: None, ..self.note.clone() })
    }

    pub(super) fn plan(
        &self,
        store: &ContentStore,
        scan: &Scan,
        version: Hash,
        over: Option<Hash>,
    ) -> Result<Plan, DirectoryError> {
        let target = read_set(store, &version)?;
        let Note { installed, installing, over: over_before, .. } = self.note;
        // What cannot be read any more cannot be told from an edit.
        let read = |version: Option<Hash>| version.and_then(|version| read_set(store, &version).ok());
        let first = read(installed).unwrap_or_default();
        let further: Vec<Set> = [installing, over_before, over].into_iter().filter_map(read).collect();
        let bases: Vec<&Set> = std::iter::once(&first).chain(&further).collect();
        let mut plan = plan(&scan.set, &bases, &target, |file, wanted| same(&self.owners, file, wanted));
        // What is there and cannot be looked at is somebody's.
        let hidden = |path: &str| scan.problems.iter().any(|problem| problem.file == path);
        let (clash, write) = plan.write.into_iter().partition(|entry| hidden(&entry.path));
        plan.write = write;
        let clash: Vec<Entry> = clash;
        plan.clash.extend(clash.into_iter().map(|entry| entry.path));
        Ok(plan)
    }

    pub(super) fn steps(&self, plan: Plan, scan: &Scan, version: Hash, over: Option<Hash>) -> Vec<Step> {
        let Plan { write, remove, .. } = plan;
        let mut steps = Vec::new();
        let Note { root, local, .. } = self.note.clone();
        let done = Note { installed: Some(version), runs: Some(version), root, local, ..Note::default() };
        if write.is_empty() && remove.is_empty() {
            steps.extend((self.note != done).then_some(Step::Note(done)));
            return steps;
        }
        let stamp = |path: &String| scan.stamps.get(path).copied();
        let changed: Vec<String> = write.iter().map(|entry| &entry.path).chain(&remove).cloned().collect();
        let (first, last): (Vec<_>, Vec<_>) =
            remove.into_iter().partition(|path| write.iter().any(|entry| in_the_way(path, &entry.path)));
        let prepared: Vec<(PathBuf, Entry)> = write
            .into_iter()
            .enumerate()
            .map(|(number, entry)| (self.root.join(format!("{TEMPORARY}{number}")), entry))
            .collect();
        let exchanges = prepared
            .iter()
            .map(|(temporary, entry)| Step::Exchange(temporary.clone(), entry.path.clone(), stamp(&entry.path)));
        let exchanges: Vec<Step> = exchanges.collect();
        steps.push(Step::Prepare(prepared));
        steps.push(Step::Note(Note { installing: Some(version), over, ..self.note.clone() }));
        steps.extend(first.into_iter().map(|path| Step::Remove(path.clone(), stamp(&path))));
        steps.extend(exchanges);
        steps.extend(last.into_iter().map(|path| Step::Remove(path.clone(), stamp(&path))));
        steps.push(Step::Sync(changed));
        steps.push(Step::Note(done));
        steps
    }

    /// Gives the path that was left alone, because somebody was faster.
    pub(super) fn take(&mut self, store: &ContentStore, step: Step) -> Result<Option<String>, DirectoryError> {
        let done = match step {
            Step::Prepare(files) => {
                let prepared = self.prepare(store, &files);
                if prepared.is_err() {
                    // A full disk needs the room; what cannot be removed now goes with the next attempt.
                    files.iter().for_each(|(temporary, _)| drop(fs::remove_file(temporary)));
                }
                prepared
            }
            Step::Note(note) => self.write_note(note),
            Step::Remove(path, stamp) => {
                if self.is_changed(&path, stamp) {
                    return Ok(Some(path));
                }
                self.remove(&path)
            }
            Step::Exchange(temporary, path, stamp) => {
                if self.is_changed(&path, stamp) {
                    fs::remove_file(&temporary).map_err(failed("remove", &temporary))?;
                    return Ok(Some(path));
                }
                self.exchange(&temporary, &path)
            }
            Step::Sync(paths) => self.sync(&paths),
        };
        done.map(|()| None)
    }

    fn prepare(&mut self, store: &ContentStore, files: &[(PathBuf, Entry)]) -> Result<(), DirectoryError> {
        let left = fs::read_dir(&self.root).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
        let ours = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(TEMPORARY.as_bytes()))
        };
        for temporary in left.filter(ours) {
            fs::remove_file(&temporary).map_err(failed("remove", &temporary))?;
        }
        let each = files.len() <= SYNC_EACH_MAX;
        for (temporary, entry) in files {
            let bytes = store.read(&entry.content)?;
            self.write(temporary, entry, &bytes, each).map_err(failed("write", temporary))?;
        }
        if each { Ok(()) } else { self.sync_all() }
    }

    fn write(&mut self, temporary: &Path, entry: &Entry, bytes: &[u8], sync: bool) -> io::Result<()> {
        // Nobody else reads it before it has its own mode.
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(temporary)?;
        file.write_all(bytes)?;
        self.owners.give(&file, &entry.path, names(entry))?;
        file.set_permissions(fs::Permissions::from_mode(entry.mode & 0o777))?;
        if sync { file.sync_all() } else { Ok(()) }
    }

    fn exchange(&self, temporary: &Path, path: &str) -> Result<(), DirectoryError> {
        let place = self.root.join(path);
        self.make_folders(path)?;
        fs::rename(temporary, &place).map_err(failed("rename", &place))
    }

    fn remove(&self, path: &str) -> Result<(), DirectoryError> {
        let place = self.root.join(path);
        match fs::remove_file(&place) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed("remove", &place)(error)),
        }
        // Folders that are empty now go, too; the first one that is not ends it.
        let mut folder = place.parent();
        while let Some(empty) = folder.filter(|folder| *folder != self.root && folder.starts_with(&self.root)) {
            if fs::remove_dir(empty).is_err() {
                break;
            }
            folder = empty.parent();
        }
        Ok(())
    }

    /// Somebody was faster: that is the next edit.
    fn is_changed(&self, path: &str, stamp: Option<Stamp>) -> bool {
        self.stamp(&self.root.join(path)) != stamp
    }

    fn stamp(&self, place: &Path) -> Option<Stamp> {
        fs::metadata(place).ok().filter(fs::Metadata::is_file).map(|metadata| Stamp::of(&metadata))
    }

    /// As open to others as the directory itself is.
    fn make_folders(&self, path: &str) -> Result<(), DirectoryError> {
        let mut folder = self.root.clone();
        let parents = path.rsplit_once('/').map(|(parents, _)| parents.split('/')).into_iter().flatten();
        for name in parents {
            folder.push(name);
            match fs::symlink_metadata(&folder) {
                Ok(found) if found.is_dir() => {}
                // A link may lead anywhere, and a file is no folder.
                Ok(_) => return Err(DirectoryError::InTheWay { path: folder }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    fs::create_dir(&folder).map_err(failed("create", &folder))?;
                    let like = fs::metadata(&self.root).map_err(failed("look at", &self.root))?.permissions();
                    fs::set_permissions(&folder, like).map_err(failed("set the mode of", &folder))?;
                }
                Err(error) => return Err(failed("look at", &folder)(error)),
            }
        }
        Ok(())
    }

    /// What an edit is made of is on the disk before it counts. Few editors sync: after a power cut the directory would be
    /// older than the version that it is noted to be, and would be taken for an edit of that.
    pub(super) fn sync_edit(&self, base: Option<&Set>, set: &Set) -> Result<(), DirectoryError> {
        let nothing = Set::default();
        let base = base.unwrap_or(&nothing);
        let written = set.iter().filter(|entry| base.entry(&entry.path) != Some(*entry)).map(|entry| &entry.path);
        let written: Vec<String> = written.cloned().collect();
        if written.len() > SYNC_EACH_MAX {
            self.sync_all()?;
        } else {
            for place in written.iter().map(|path| self.root.join(path)) {
                match File::open(&place).and_then(|file| file.sync_all()) {
                    // It was removed just now: that is the next edit.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    synced => synced.map_err(failed("sync", &place))?,
                }
            }
        }
        let removed = base.iter().filter(|entry| set.entry(&entry.path).is_none()).map(|entry| entry.path.clone());
        self.sync(&written.into_iter().chain(removed).collect::<Vec<_>>())
    }

    fn sync_all(&self) -> Result<(), DirectoryError> {
        let folder = File::open(&self.root).map_err(failed("open", &self.root))?;
        let synced = nix::unistd::syncfs(folder.as_fd()).map_err(io::Error::from);
        synced.map_err(failed("sync the file system of", &self.root))
    }

    fn sync(&self, paths: &[String]) -> Result<(), DirectoryError> {
        let parents = paths.iter().filter_map(|path| self.root.join(path).parent().map(Path::to_owned));
        let mut folders: BTreeSet<PathBuf> = parents.collect();
        folders.insert(self.root.clone());
        for folder in folders.iter().filter(|folder| folder.is_dir()) {
            content::sync_folder(folder)?;
        }
        Ok(())
    }
}

/// One of them is a file where the other one needs a folder.
fn in_the_way(removed: &str, written: &str) -> bool {
    let below = |path: &str, folder: &str| path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    below(written, removed) || below(removed, written)
}
