//! The directory of the PBX's files, and the versions it is made of.
//!
//! `scan` looks at it, `plan` decides what a new version may touch, `install` carries that out in steps of which each
//! may be the last one of this life: what the directory is made of is written down before and after, and the next life
//! goes on from there.

use base::WallTime;
use minicbor::{Decode, Encode};
use node::replication::content::Hash;
use node::replication::files::{Entry, FilesError, Manifest, Page, Set, Version, VersionId};
use pbx::conf::{Diagnostic, Files, Severity};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use thiserror::Error;

use crate::content::{self, ContentError, ContentStore};

mod install;
mod owners;
mod plan;
mod scan;
#[cfg(test)]
mod tests;

pub use install::Installed;
pub use scan::{SET_BYTES_MAX, SET_FILES_MAX, Scan, Stamp};

use owners::{Names, Owners};
use scan::Scanner;

/// Within the folder of contents: what the directory is made of.
const NOTE: &str = "directory";

#[derive(Debug, Error)]
pub enum DirectoryError {
    #[error("{operation} {}", path.display())]
    File {
        operation: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("keep or read what the configuration's versions are made of")]
    Content(#[from] ContentError),
    #[error("understand the configuration's version {version}")]
    Version {
        version: Hash,
        #[source]
        source: FilesError,
    },
    #[error("make a version of the configuration")]
    Set(#[source] FilesError),
    #[error("{} is in the way of a file of the configuration", path.display())]
    InTheWay { path: PathBuf },
}

impl DirectoryError {
    /// The disk is to blame: an operator must know, and what was tried is tried again.
    pub fn is_of_disk(&self) -> bool {
        match self {
            Self::File { .. } => true,
            Self::Content(error) => error.is_of_disk(),
            Self::Version { .. } | Self::Set(_) | Self::InTheWay { .. } => false,
        }
    }
}

/// What must not be forgotten about the directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Note {
    /// The version that it was made of last: the parent of what is edited in it.
    #[n(0)]
    pub installed: Option<Hash>,
    /// While files are exchanged: by which version.
    #[n(1)]
    pub installing: Option<Hash>,
    /// While files are exchanged: the edit that may be written over, too.
    #[n(2)]
    pub over: Option<Hash>,
    /// What the node runs. It is not what was installed last when the directory holds an edit that lost.
    #[n(3)]
    pub runs: Option<Hash>,
    /// The edit that was told last.
    #[n(4)]
    pub edited: Option<Hash>,
    /// Where the directory is, and which files in it belong to no version: for the command line.
    #[n(5)]
    pub root: Option<String>,
    #[n(6)]
    pub local: Option<Vec<String>>,
}

impl Note {
    /// Without one, as after a disk was lost, the directory counts as edited by hand, which loses nothing.
    pub fn read(state_dir: &Path) -> Self {
        let bytes = fs::read(state_dir.join(content::FOLDER).join(NOTE)).unwrap_or_default();
        minicbor::decode(&bytes).unwrap_or_default()
    }
}

#[derive(Debug)]
pub struct Directory {
    root: PathBuf,
    local: Vec<String>,
    note_path: PathBuf,
    note: Note,
    scanner: Scanner,
    owners: Owners,
}

/// What an edit amounts to.
#[derive(Clone, Debug)]
pub struct Edit {
    pub id: Hash,
    pub version: Version,
    pub set: Set,
}

/// A set with everything that it is made of and that the store may not have.
struct Made {
    set: Set,
    /// What the directory was made of last.
    base: Option<Set>,
    manifest: Hash,
    contents: Vec<Vec<u8>>,
}

impl Directory {
    /// `local` are the patterns of files that belong to no version.
    pub fn open(root: &Path, local: &[String], state_dir: &Path) -> Self {
        let note_path = state_dir.join(content::FOLDER).join(NOTE);
        let note = Note::read(state_dir);
        let (scanner, owners) = (Scanner::new(root, local), Owners::new());
        Self { root: root.to_owned(), local: local.to_vec(), note_path, note, scanner, owners }
    }

    /// The directory of the node that keeps its state there, as that node sees it: for whoever looks beside it, as root.
    /// `None` before that node has run.
    pub fn beside(state_dir: &Path) -> Option<Self> {
        let Note { root, local, .. } = Note::read(state_dir);
        let mut directory = Self::open(Path::new(&root?), &local.unwrap_or_default(), state_dir);
        directory.owners = Owners::of(&state_dir.join(content::FOLDER));
        Some(directory)
    }

    /// Tells the command line where the directory is.
    pub fn note_place(&mut self) -> Result<(), DirectoryError> {
        let (root, local) = (Some(self.root.display().to_string()), Some(self.local.clone()));
        if self.note.root == root && self.note.local == local {
            return Ok(());
        }
        self.write_note(Note { root, local, ..self.note.clone() })
    }

    pub fn note(&self) -> &Note {
        &self.note
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The patterns of files that belong to no version.
    pub fn local(&self) -> &[String] {
        &self.local
    }

    /// What cannot be given to its owner here and was not told yet.
    pub fn take_refused(&mut self) -> Vec<String> {
        self.owners.take_refused()
    }

    pub fn scan(&mut self) -> Scan {
        self.scanner.scan(&mut self.owners)
    }

    /// Whether the files that were found are those of a set.
    pub fn is(&self, scan: &Scan, set: &Set) -> bool {
        let same = |file: &Entry| set.entry(&file.path).is_some_and(|wanted| same(&self.owners, file, wanted));
        scan.problems.is_empty() && scan.set.len() == set.len() && scan.set.iter().all(same)
    }

    /// Makes a version of what was found, and keeps all that it is made of. `None` when a file has changed since the
    /// scan: the next one will see it.
    pub fn commit(
        &mut self,
        store: &ContentStore,
        scan: &Scan,
        author: &str,
        now: WallTime,
    ) -> Result<Option<Edit>, DirectoryError> {
        let Some(Made { set, base, manifest, mut contents }) = self.make(store, scan)? else { return Ok(None) };
        self.sync_edit(base.as_ref(), &set)?;
        let told = self.note.edited.and_then(|edited| Some((edited, read_version(store, &edited).ok()?)));
        let parents: Vec<VersionId> = self.note.installed.map(VersionId).into_iter().collect();
        // The same edit keeps its name, also across a restart.
        if let Some((id, version)) = told
            && version.manifest == manifest
            && version.parents == parents
        {
            store.put_all(contents.iter().map(Vec::as_slice))?;
            return Ok(Some(Edit { id, version, set }));
        }
        let why = if parents.is_empty() { "first" } else { "edited" };
        let version = Version { parents, author: author.to_owned(), made_at: now, why: why.to_owned(), manifest };
        let encoded = version.encode();
        let id = Hash::of(&encoded);
        contents.push(encoded);
        store.put_all(contents.iter().map(Vec::as_slice))?;
        self.write_note(Note { edited: Some(id), ..self.note.clone() })?;
        Ok(Some(Edit { id, version, set }))
    }

    /// Keeps again what the directory has and the store has lost.
    pub fn put_back(&self, store: &ContentStore, scan: &Scan) -> Result<(), DirectoryError> {
        match self.make(store, scan)? {
            Some(Made { contents, .. }) => Ok(store.put_all(contents.iter().map(Vec::as_slice))?),
            None => Ok(()),
        }
    }

    /// `None` when a file has changed since the scan.
    fn make(&self, store: &ContentStore, scan: &Scan) -> Result<Option<Made>, DirectoryError> {
        let base = self.note.installed.and_then(|installed| read_set(store, &installed).ok());
        let set = self.named_as_in(&scan.set, base.as_ref())?;
        let Some(mut contents) = self.missing(store, &set)? else { return Ok(None) };
        let (manifest, pages) = set.pages().map_err(DirectoryError::Set)?;
        contents.extend(pages);
        contents.push(manifest.encode());
        Ok(Some(Made { set, base, manifest: manifest.hash(), contents }))
    }

    /// From now on the node runs this version.
    pub fn runs(&mut self, version: Hash) -> Result<(), DirectoryError> {
        if self.note.runs == Some(version) {
            return Ok(());
        }
        self.write_note(Note { runs: Some(version), ..self.note.clone() })
    }

    /// The texts that the PBX reads: those of a set, and the files that this machine has for itself.
    pub fn texts(&self, store: &ContentStore, set: &Set, scan: &Scan) -> Result<Files, DirectoryError> {
        let mut texts = BTreeMap::new();
        for entry in set.iter() {
            texts.insert(entry.path.clone(), text(store.read(&entry.content)?));
        }
        for path in scan.local.keys() {
            let file = self.root.join(path);
            let (bytes, _) = scan::read(&file).map_err(failed("read", &file))?;
            texts.insert(path.clone(), text(bytes));
        }
        Ok(Files(texts))
    }

    /// Owners that this process could not set are as the base says, so that a file is not edited by being installed.
    pub fn named_as_in(&self, found: &Set, base: Option<&Set>) -> Result<Set, DirectoryError> {
        let mut set = Set::default();
        for entry in found.iter() {
            let before = base.and_then(|base| base.entry(&entry.path));
            let before = before.filter(|before| self.owners.same(names(entry), names(before)));
            let entry = match before {
                Some(before) => Entry { owner: before.owner.clone(), group: before.group.clone(), ..entry.clone() },
                None => entry.clone(),
            };
            set.put(entry).map_err(DirectoryError::Set)?;
        }
        Ok(set)
    }

    /// The contents of files that the store does not have; `None` when one is not any more what it was.
    fn missing(&self, store: &ContentStore, set: &Set) -> Result<Option<Vec<Vec<u8>>>, DirectoryError> {
        let mut contents = Vec::new();
        for entry in set.iter().filter(|entry| !store.has(&entry.content)) {
            let path = self.root.join(&entry.path);
            match scan::read(&path) {
                Ok((bytes, _)) if Hash::of(&bytes) == entry.content => contents.push(bytes),
                Ok(_) => return Ok(None),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(failed("read", &path)(error)),
            }
        }
        Ok(Some(contents))
    }

    fn write_note(&mut self, note: Note) -> Result<(), DirectoryError> {
        let mut bytes = Vec::new();
        // Writing to memory is infallible.
        let _ = minicbor::encode(&note, &mut bytes);
        let temporary = self.note_path.with_extension("new");
        content::write_file(&temporary, &bytes, true)?;
        fs::rename(&temporary, &self.note_path).map_err(failed("rename", &self.note_path))?;
        content::sync_folder(self.note_path.parent().unwrap_or(Path::new("/")))?;
        self.note = note;
        Ok(())
    }
}

/// A complaint about the directory as a whole, in the form of those about its lines.
pub fn complaint(file: &str, text: String) -> Diagnostic {
    Diagnostic { file: file.to_owned(), line: 0, severity: Severity::Error, text }
}

pub fn read_version(store: &ContentStore, version: &Hash) -> Result<Version, DirectoryError> {
    Version::decode(&store.read(version)?).map_err(wrong(version))
}

pub fn read_manifest(store: &ContentStore, version: &Hash) -> Result<Manifest, DirectoryError> {
    let manifest = store.read(&read_version(store, version)?.manifest)?;
    Manifest::decode(&manifest).map_err(wrong(version))
}

/// All files of a version; every content that they are written in has to be here.
pub fn read_set(store: &ContentStore, version: &Hash) -> Result<Set, DirectoryError> {
    let mut set = Set::default();
    for page in &read_manifest(store, version)?.pages {
        set.put_page(read_page(store, version, page)?).map_err(wrong(version))?;
    }
    Ok(set)
}

/// One of a version's pages.
pub fn read_page(store: &ContentStore, version: &Hash, page: &Hash) -> Result<Page, DirectoryError> {
    Page::decode(&store.read(page)?).map_err(wrong(version))
}

fn wrong(version: &Hash) -> impl Fn(FilesError) -> DirectoryError {
    let version = *version;
    move |source| DirectoryError::Version { version, source }
}

fn names(entry: &Entry) -> Names<'_> {
    Names { owner: &entry.owner, group: &entry.group }
}

fn same(owners: &Owners, file: &Entry, wanted: &Entry) -> bool {
    (file.content, file.mode) == (wanted.content, wanted.mode) && owners.same(names(file), names(wanted))
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

fn failed<'p>(operation: &'static str, path: &'p Path) -> impl FnOnce(std::io::Error) -> DirectoryError + 'p {
    move |source| DirectoryError::File { operation, path: path.to_owned(), source }
}
