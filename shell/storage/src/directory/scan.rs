//! Owns looking at a directory: which files it holds, with content, mode and owner. What has not changed since the last
//! look is not read again, so that 5,000 files take milliseconds.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use node::replication::content::{CONTENT_BYTES_MAX, Hash};
use node::replication::files::{Entry, Set};
use pbx::conf::{Diagnostic, Severity, glob};

use super::owners::Owners;

/// A PBX with 20,000 phones has some 10 MiB of files. More is a directory that was named by mistake, and refused.
pub const SET_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// As with the bytes.
pub const SET_FILES_MAX: usize = 10_000;

/// Directories within directories. Deeper ones are refused.
const DEPTH_MAX: usize = 16;

/// A file that was changed less than this before it was read may have been changed again within the same tick of the
/// kernel's clock: it is read again at the next look.
const TICK: Duration = Duration::from_millis(50);

/// What our own files are called while they are being written: as any name that begins with a dot they belong to no
/// version.
pub(super) const TEMPORARY: &str = ".tandem-";

/// What vim tries out whether it may write with.
const VIM_PROBE: &str = "4913";

/// What a directory held at one moment.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    pub set: Set,
    /// Files that this machine has for itself.
    pub local: BTreeMap<String, Stamp>,
    /// Why it cannot be a version: what is too much, or cannot be read.
    pub problems: Vec<Diagnostic>,
    /// When the last change was made to any file, by the wall clock.
    pub changed: Option<SystemTime>,
    /// Each file as it was when it was read.
    pub(super) stamps: BTreeMap<String, Stamp>,
}

/// Tells one state of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    mode: u32,
    owner: (u32, u32),
    /// In nanoseconds since 1970; the second one cannot be set by hand.
    modified: i128,
    changed: i128,
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        let nanos = |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            mode: metadata.mode(),
            owner: (metadata.uid(), metadata.gid()),
            modified: nanos(metadata.mtime(), metadata.mtime_nsec()),
            changed: nanos(metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    fn changed_at(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(u64::try_from(self.changed).unwrap_or(0))
    }
}

#[derive(Clone, Copy, Debug)]
struct Known {
    stamp: Stamp,
    content: Hash,
    bytes: u64,
    /// It cannot have been changed unnoticed since it was read.
    settled: bool,
}

/// Looks at one directory again and again.
#[derive(Debug)]
pub(super) struct Scanner {
    root: PathBuf,
    local: Vec<String>,
    known: BTreeMap<String, Known>,
}

impl Scanner {
    pub(super) fn new(root: &Path, local: &[String]) -> Self {
        Self { root: root.to_owned(), local: local.to_vec(), known: BTreeMap::new() }
    }

    pub(super) fn scan(&mut self, owners: &mut Owners) -> Scan {
        let root = self.root.clone();
        let mut looking = Looking {
            inside: fs::canonicalize(&root).unwrap_or_else(|_| root.clone()),
            known: std::mem::take(&mut self.known),
            local: &self.local,
            owners,
            scan: Scan::default(),
            bytes_left: SET_BYTES_MAX,
            full: false,
            seen: BTreeMap::new(),
        };
        looking.folder(&root, "", 0);
        let Looking { scan, seen, .. } = looking;
        self.known = seen;
        scan
    }
}

struct Looking<'a> {
    /// The directory itself, without symbolic links on the way to it.
    inside: PathBuf,
    known: BTreeMap<String, Known>,
    local: &'a [String],
    owners: &'a mut Owners,
    scan: Scan,
    bytes_left: u64,
    /// Told once that there is too much.
    full: bool,
    seen: BTreeMap<String, Known>,
}

impl Looking<'_> {
    /// `prefix` is the folder's path relative to the directory, with a final `/` unless empty.
    fn folder(&mut self, folder: &Path, prefix: &str, depth: usize) {
        if depth > DEPTH_MAX {
            return self.problem(prefix, format!("more than {DEPTH_MAX} folders deep"));
        }
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            // It was removed just now: the next look sees what came of it.
            Err(error) if error.kind() == io::ErrorKind::NotFound && depth > 0 => return,
            Err(error) => {
                let name = if prefix.is_empty() { folder.display().to_string() } else { prefix.to_owned() };
                return self.problem(&name, format!("the folder cannot be read: {error}"));
            }
        };
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => return self.problem(prefix, format!("the folder cannot be read: {error}")),
            };
            let (path, name) = (entry.path(), entry.file_name());
            let Some(name) = name.to_str() else {
                let shown = format!("{prefix}{}", name.to_string_lossy());
                self.problem(&shown, "its name is not UTF-8".to_owned());
                continue;
            };
            if is_dropping(name) {
                continue;
            }
            let relative = format!("{prefix}{name}");
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => self.folder(&path, &format!("{relative}/"), depth + 1),
                Ok(kind) => self.file(&path, relative, kind.is_symlink()),
                Err(error) => self.problem(&relative, format!("it cannot be looked at: {error}")),
            }
        }
    }

    fn file(&mut self, path: &Path, relative: String, is_link: bool) {
        let is_local = is_local(self.local, &relative);
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            // A file that was removed just now, or a link that leads nowhere, as some editors lock a file.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return self.problem(&relative, format!("it cannot be looked at: {error}")),
        };
        if !metadata.is_file() {
            return;
        }
        let stamp = Stamp::of(&metadata);
        if is_local {
            self.scan.local.insert(relative, stamp);
            return;
        }
        if is_link && !fs::canonicalize(path).is_ok_and(|target| target.starts_with(&self.inside)) {
            let text = "a symbolic link that leads out of the directory: put the file itself here, or name it in \
                        [configuration] local";
            return self.problem(&relative, text.to_owned());
        }
        self.count(&stamp, &relative);
        if !self.full {
            self.take(path, relative, stamp);
        }
    }

    /// Tells when there is more than a version holds.
    fn count(&mut self, stamp: &Stamp, relative: &str) {
        let too_much = if self.scan.set.len() >= SET_FILES_MAX {
            Some(format!("there are more than {SET_FILES_MAX} files"))
        } else if stamp.bytes > self.bytes_left || stamp.bytes > CONTENT_BYTES_MAX {
            Some(format!("the files have more than {} MiB", SET_BYTES_MAX / 1024 / 1024))
        } else {
            None
        };
        self.bytes_left = self.bytes_left.saturating_sub(stamp.bytes);
        if let (Some(text), false) = (too_much, self.full) {
            self.full = true;
            self.problem(relative, text);
        }
    }

    fn take(&mut self, path: &Path, relative: String, stamp: Stamp) {
        let known = self.known.get(&relative).filter(|known| known.settled && known.stamp == stamp);
        let known = match known {
            Some(known) => *known,
            None => match read(path) {
                Ok((bytes, after)) => Known {
                    stamp: after,
                    content: Hash::of(&bytes),
                    bytes: bytes.len() as u64,
                    settled: SystemTime::now().duration_since(after.changed_at()).is_ok_and(|age| age > TICK),
                },
                Err(error) if error.kind() == io::ErrorKind::NotFound => return,
                Err(error) => return self.problem(&relative, format!("it cannot be read: {error}")),
            },
        };
        let Stamp { mode, owner, .. } = known.stamp;
        let changed = known.stamp.changed_at();
        self.scan.changed = self.scan.changed.max(Some(changed));
        let entry = Entry {
            path: relative.clone(),
            content: known.content,
            bytes: known.bytes,
            mode: mode & 0o777,
            owner: self.owners.user(owner.0),
            group: self.owners.group(owner.1),
        };
        if let Err(error) = self.scan.set.put(entry) {
            return self.problem(&relative, error.to_string());
        }
        self.scan.stamps.insert(relative.clone(), known.stamp);
        self.seen.insert(relative, known);
    }

    fn problem(&mut self, file: &str, text: String) {
        self.scan.problems.push(Diagnostic { file: file.to_owned(), line: 0, severity: Severity::Error, text });
    }
}

/// The bytes, and what the file was like afterwards.
pub(super) fn read(path: &Path) -> io::Result<(Vec<u8>, Stamp)> {
    let file = File::open(path)?;
    let mut bytes = Vec::new();
    (&file).take(CONTENT_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    let stamp = Stamp::of(&file.metadata()?);
    Ok((bytes, stamp))
}

/// What editors and version control leave beside the files.
fn is_dropping(name: &str) -> bool {
    name.starts_with('.') || name.ends_with('~') || name.ends_with(".swp") || name == VIM_PROBE
}

/// `path`, or a folder that it is in, is one of the patterns.
fn is_local(patterns: &[String], path: &str) -> bool {
    let folders = path.match_indices('/').filter_map(|(end, _)| path.get(..end));
    let mut all = folders.chain([path]);
    all.any(|path| patterns.iter().any(|pattern| glob::matches(pattern, path)))
}
