//! The store of contents: bytes that never change, each in a file that is called by its SHA-256.
//!
//! ```text
//!   content/3f/9a...        a whole content: written under another name, synced, renamed
//!   content/parts/3f9a...   what has come so far of one that is on its way
//! ```
//!
//! One thread writes; other processes (the command line) may read beside it. What is read is compared with its name, so
//! that a disk that forgets or changes bytes is noticed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use node::replication::content::{CONTENT_BYTES_MAX, Hash};
use thiserror::Error;

#[cfg(test)]
pub(crate) mod tests;

/// The name of the folder within the state directory.
pub const FOLDER: &str = "content";

const PARTS: &str = "parts";

/// How many digits of a name are its folder's: 256 folders, so that none grows long.
const FOLDER_DIGITS: usize = 2;

/// Beyond it the whole file system is synced once, which takes less time than so many single files.
const SYNC_EACH_MAX: usize = 32;

/// What nobody names stays so long: it may belong to a version that is just being made or sent.
const SWEEP_AFTER: Duration = Duration::from_secs(3_600);

/// A content that is on its way and did not go on for so long is not waited for.
const SWEEP_PARTS_AFTER: Duration = Duration::from_secs(30 * 86_400);

#[derive(Debug, Error)]
pub enum ContentError {
    #[error("{operation} {}", path.display())]
    File {
        operation: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The disk gives other bytes than were written.
    #[error("the content {hash} is damaged: {}", path.display())]
    Damaged { hash: Hash, path: PathBuf },
    #[error("the content {hash} is not on this machine")]
    Absent { hash: Hash },
    #[error("the content {hash} has {bytes} bytes, and {CONTENT_BYTES_MAX} are the most")]
    TooLong { hash: Hash, bytes: u64 },
}

impl ContentError {
    /// The disk is to blame, not what was asked.
    pub fn is_of_disk(&self) -> bool {
        matches!(self, Self::File { .. } | Self::Damaged { .. })
    }
}

/// What came of one part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// So many bytes are on the disk, from the first one on.
    pub upto: u64,
    pub whole: bool,
}

#[derive(Debug)]
pub struct ContentStore {
    folder: PathBuf,
    /// The content that was read last: the peer fetches a long one in many parts, and it is compared with its name once.
    last: Option<(Hash, Vec<u8>)>,
}

impl ContentStore {
    /// Makes the folders that are missing.
    pub fn open(state_dir: &Path) -> Result<Self, ContentError> {
        let store = Self::existing(state_dir);
        let parts = store.folder.join(PARTS);
        DirBuilder::new().recursive(true).mode(0o700).create(&parts).map_err(file("create", &parts))?;
        Ok(store)
    }

    /// To read only, as the command line does beside a node that runs.
    pub fn existing(state_dir: &Path) -> Self {
        Self { folder: state_dir.join(FOLDER), last: None }
    }

    /// It is here; whether its bytes are still good is seen when it is read.
    pub fn has(&self, hash: &Hash) -> bool {
        self.path(hash).is_file()
    }

    /// How many bytes of a content that is on its way are here.
    pub fn part(&self, hash: &Hash) -> u64 {
        fs::metadata(self.part_path(hash)).map_or(0, |part| part.len())
    }

    /// All bytes, compared with the name.
    pub fn read(&self, hash: &Hash) -> Result<Vec<u8>, ContentError> {
        let path = self.path(hash);
        let opened = match File::open(&path) {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ContentError::Absent { hash: *hash });
            }
            Err(error) => return Err(file("open", &path)(error)),
        };
        let mut bytes = Vec::new();
        opened.take(CONTENT_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(file("read", &path))?;
        if Hash::of(&bytes) == *hash { Ok(bytes) } else { Err(ContentError::Damaged { hash: *hash, path }) }
    }

    /// At most `length` bytes from `offset` on, and how many there are in all.
    pub fn read_part(&mut self, hash: &Hash, offset: u64, length: u32) -> Result<(Vec<u8>, u64), ContentError> {
        if self.last.as_ref().is_none_or(|(last, _)| last != hash) {
            self.last = Some((*hash, self.read(hash)?));
        }
        let bytes = self.last.as_ref().map(|(_, bytes)| bytes.as_slice()).unwrap_or_default();
        let total = bytes.len();
        let from = usize::try_from(offset).unwrap_or(total).min(total);
        let upto = from.saturating_add(length as usize).min(total);
        Ok((bytes.get(from..upto).unwrap_or_default().to_vec(), total as u64))
    }

    /// Puts `bytes` behind the first `offset` ones. A part that does not follow what is here changes nothing; whoever
    /// sends goes on at `upto`, which is 0 when the whole did not fit its name.
    pub fn write(&mut self, hash: &Hash, offset: u64, bytes: &[u8], total: u64) -> Result<Progress, ContentError> {
        if self.has(hash) {
            return Ok(Progress { upto: total, whole: true });
        }
        let after = offset.saturating_add(bytes.len() as u64);
        if total > CONTENT_BYTES_MAX || after > total {
            return Err(ContentError::TooLong { hash: *hash, bytes: total.max(after) });
        }
        let path = self.part_path(hash);
        let options = OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(&path);
        let mut part = options.map_err(file("open", &path))?;
        let here = part.metadata().map_err(file("look at", &path))?.len();
        if here > total {
            // Of an earlier attempt that was torn, or of a sender that said another length.
            part.set_len(0).map_err(file("shorten", &path))?;
            return Ok(Progress { upto: 0, whole: false });
        }
        if here != offset {
            return Ok(Progress { upto: here, whole: false });
        }
        part.seek(SeekFrom::Start(offset)).map_err(file("write", &path))?;
        if let Err(error) = part.write_all(bytes) {
            // What a full disk took of it is taken back, so that the next attempt begins where this one did.
            let _ = part.set_len(offset);
            return Err(file("write", &path)(error));
        }
        if after < total {
            return Ok(Progress { upto: after, whole: false });
        }
        self.complete(hash, part, &path)
    }

    fn complete(&self, hash: &Hash, mut part: File, path: &Path) -> Result<Progress, ContentError> {
        let mut bytes = Vec::new();
        part.seek(SeekFrom::Start(0)).map_err(file("read", path))?;
        part.read_to_end(&mut bytes).map_err(file("read", path))?;
        if Hash::of(&bytes) != *hash {
            fs::remove_file(path).map_err(file("remove", path))?;
            return Ok(Progress { upto: 0, whole: false });
        }
        part.sync_all().map_err(file("sync", path))?;
        let (folder, whole) = (self.make_folder(hash)?, self.path(hash));
        fs::rename(path, &whole).map_err(file("rename", &whole))?;
        sync_folder(&folder)?;
        Ok(Progress { upto: bytes.len() as u64, whole: true })
    }

    /// Keeps one content; its name.
    pub fn put(&self, bytes: &[u8]) -> Result<Hash, ContentError> {
        self.put_all([bytes])?;
        Ok(Hash::of(bytes))
    }

    /// Keeps all of them: when this returns they survive a power cut.
    pub fn put_all<'a>(&self, contents: impl IntoIterator<Item = &'a [u8]>) -> Result<(), ContentError> {
        let named = contents.into_iter().map(|bytes| (Hash::of(bytes), bytes));
        let missing: BTreeMap<Hash, &[u8]> = named.filter(|(hash, _)| !self.has(hash)).collect();
        let each = missing.len() <= SYNC_EACH_MAX;
        let mut folders = BTreeSet::new();
        let mut made = Vec::new();
        for (hash, bytes) in missing {
            if bytes.len() as u64 > CONTENT_BYTES_MAX {
                return Err(ContentError::TooLong { hash, bytes: bytes.len() as u64 });
            }
            let folder = self.make_folder(&hash)?;
            let temporary = folder.join(format!("{}.new", self.name(&hash)));
            let written = write_file(&temporary, bytes, each);
            if written.is_err() {
                // A full disk needs the room; what cannot be removed is swept later.
                let _ = fs::remove_file(&temporary);
            }
            written?;
            made.push((temporary, self.path(&hash)));
            folders.insert(folder);
        }
        if !each {
            let whole = File::open(&self.folder).map_err(file("open", &self.folder))?;
            let synced = nix::unistd::syncfs(whole.as_fd()).map_err(io::Error::from);
            synced.map_err(file("sync the file system of", &self.folder))?;
        }
        for (temporary, path) in &made {
            fs::rename(temporary, path).map_err(file("rename", path))?;
        }
        folders.iter().try_for_each(|folder| sync_folder(folder))
    }

    /// Removes a content that was found damaged, so that it is fetched again.
    pub fn discard(&mut self, hash: &Hash) -> Result<(), ContentError> {
        self.last = None;
        let path = self.path(hash);
        fs::remove_file(&path).map_err(file("remove", &path))
    }

    /// Removes what is not among `wanted`, unless it is young; how many files that were.
    pub fn sweep(&mut self, wanted: &BTreeSet<Hash>, now: SystemTime) -> Result<usize, ContentError> {
        self.last = None;
        let mut removed = 0;
        for folder in list(&self.folder)? {
            let parts = folder.ends_with(PARTS);
            let keep = if parts { SWEEP_PARTS_AFTER } else { SWEEP_AFTER };
            for path in list(&folder)? {
                let hash = if parts { None } else { self.hash_of(&path) };
                let young = || {
                    let modified = fs::metadata(&path).and_then(|it| it.modified());
                    modified.is_ok_and(|modified| now.duration_since(modified).unwrap_or_default() < keep)
                };
                if hash.is_some_and(|hash| wanted.contains(&hash)) || young() {
                    continue;
                }
                fs::remove_file(&path).map_err(file("remove", &path))?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// `None` for what has no content's name, such as one that was being written when the node died.
    fn hash_of(&self, path: &Path) -> Option<Hash> {
        let folder = path.parent()?.file_name()?.to_str()?;
        Hash::parse(&format!("{folder}{}", path.file_name()?.to_str()?))
    }

    fn make_folder(&self, hash: &Hash) -> Result<PathBuf, ContentError> {
        let path = self.path(hash);
        let folder = path.parent().unwrap_or(&self.folder).to_owned();
        if !folder.is_dir() {
            DirBuilder::new().mode(0o700).create(&folder).map_err(file("create", &folder))?;
            sync_folder(&self.folder)?;
        }
        Ok(folder)
    }

    fn path(&self, hash: &Hash) -> PathBuf {
        let digits = hash.to_string();
        self.folder.join(digits.get(..FOLDER_DIGITS).unwrap_or_default()).join(self.name(hash))
    }

    fn name(&self, hash: &Hash) -> String {
        hash.to_string().get(FOLDER_DIGITS..).unwrap_or_default().to_owned()
    }

    fn part_path(&self, hash: &Hash) -> PathBuf {
        self.folder.join(PARTS).join(hash.to_string())
    }
}

pub(crate) fn write_file(path: &Path, bytes: &[u8], sync: bool) -> Result<(), ContentError> {
    let options = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path);
    let mut out = options.map_err(file("create", path))?;
    out.write_all(bytes).map_err(file("write", path))?;
    if sync { out.sync_all().map_err(file("sync", path)) } else { Ok(()) }
}

/// What a folder holds; nothing where there is none.
fn list(folder: &Path) -> Result<Vec<PathBuf>, ContentError> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(folder).map_err(file("list", folder))?;
    let paths: Result<Vec<_>, _> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
    paths.map_err(file("list", folder))
}

pub(crate) fn sync_folder(folder: &Path) -> Result<(), ContentError> {
    let opened = File::open(folder).map_err(file("open", folder))?;
    opened.sync_all().map_err(file("sync", folder))
}

pub(crate) fn file<'p>(operation: &'static str, path: &'p Path) -> impl FnOnce(io::Error) -> ContentError + 'p {
    move |source| ContentError::File { operation, path: path.to_owned(), source }
}
