//! A machine's folder of configuration files and its store of contents, as a shell keeps them: what is synced before it
//! is said, what a death in the middle leaves, and what a disk does to both.

use std::collections::{BTreeMap, BTreeSet};

use node::base::{Random, WallTime};
use node::replication::Hash;
use node::replication::files::{Entry, Manifest, Page, Set, Version, VersionId};

/// Who can read a file of the simulation. It goes with the contents, so that it must arrive, too.
const MODE: u32 = 0o640;

/// A file with this text does not check, on either machine.
pub const BAD: &str = "bad";

/// Nothing younger than this is swept: it may belong to a set that is just being looked at.
const YOUNG_US: u64 = 60_000_000;

/// The texts of a set's files, by path.
pub type Texts = BTreeMap<String, String>;

/// What is on one machine's disk.
#[derive(Clone, Debug, Default)]
pub struct Files {
    pub folder: Texts,
    /// What each file was when it was last synced, where a person's editor has changed it since.
    unsynced: BTreeMap<String, Option<String>>,
    /// Whole contents, each synced before it took its name; and when that was.
    contents: BTreeMap<Hash, (Vec<u8>, u64)>,
    /// Those that are not what they were.
    damaged: BTreeSet<Hash>,
    /// Unfinished ones, which nobody has synced.
    parts: BTreeMap<Hash, Vec<u8>>,
    /// What the folder was made from, and what it is being made.
    marker: Option<Version>,
    installing: Option<VersionId>,
    /// There is no room for anything.
    pub full: bool,
}

/// Why something is not done.
pub const FULL: &str = "no space left on device";

/// What a look at the folder found.
#[derive(Clone, Debug)]
pub enum Look {
    Same,
    Edited {
        version: Version,
        problems: Vec<String>,
        texts: Texts,
    },
    /// It cannot be kept, so that nothing is said of it yet.
    NoRoom,
}

/// The lines that are wrong with a set.
pub fn problems(texts: &Texts) -> Vec<String> {
    let bad = texts.iter().filter(|(_, text)| text.contains(BAD));
    bad.map(|(path, _)| format!("{path}:1: {BAD} is no setting")).collect()
}

fn set(texts: &Texts) -> Set {
    let mut set = Set::default();
    for (path, text) in texts {
        let (content, bytes) = (Hash::of(text.as_bytes()), text.len() as u64);
        let entry = Entry { path: path.clone(), content, bytes, mode: MODE, ..Entry::default() };
        set.put(entry).expect("the simulation's own files are sound");
    }
    set
}

/// What a set of these texts is called.
pub fn manifest_of(texts: &Texts) -> Hash {
    set(texts).pages().expect("the simulation's own files are sound").0.hash()
}

impl Files {
    pub fn new(folder: Texts) -> Self {
        Self { folder, ..Self::default() }
    }

    pub fn marker(&self) -> Option<&Version> {
        self.marker.as_ref()
    }

    /// A person changes a file, or takes it away. Editors do not sync.
    pub fn edit(&mut self, path: &str, text: Option<String>) {
        let before = match text {
            Some(text) => self.folder.insert(path.to_owned(), text),
            None => self.folder.remove(path),
        };
        self.unsynced.entry(path.to_owned()).or_insert(before);
    }

    /// A daemon begins: it ends what another one has begun. Files that a person has changed meanwhile stay; whoever
    /// changed what the version changes, too, may not have seen that: it is an edit of the version before.
    /// Where the store has lost what it takes, the folder is nobody's until that is back.
    pub fn start(&mut self) {
        let Some(id) = self.installing else { return };
        let old = match self.marker.clone() {
            Some(version) => self.texts(version.manifest),
            None => Some(Texts::new()),
        };
        let (Some((new, version)), Some(old)) = (self.load(id), old) else { return };
        self.installing = None;
        let paths: BTreeSet<String> = old.keys().chain(new.keys()).chain(self.folder.keys()).cloned().collect();
        let mut clashes = false;
        for path in paths {
            let now = self.folder.get(&path);
            if now == old.get(&path) {
                self.write(&path, new.get(&path).cloned());
            } else {
                clashes |= now != new.get(&path) && old.get(&path) != new.get(&path);
            }
        }
        if !clashes {
            self.marker = Some(version);
        }
    }

    /// An install that cannot be ended, because the store has lost what it takes and nobody else has it, is given up: the
    /// folder counts as edited, unless it is that version already.
    fn give_up(&mut self) {
        let begun = self.installing.take().and_then(|id| self.version(id));
        let ended = begun.filter(|version| version.manifest == manifest_of(&self.folder));
        self.marker = ended.or(self.marker.take());
    }

    /// Looks at the folder, and keeps what it has. `asked`: the node has nothing else to go by.
    pub fn look(&mut self, author: &str, wall: WallTime, now_us: u64, asked: bool) -> Look {
        self.start();
        if self.installing.is_some() {
            if !asked {
                return Look::NoRoom;
            }
            self.give_up();
        }
        let texts = self.folder.clone();
        let (manifest, pages) = set(&texts).pages().expect("the simulation's own files are sound");
        let known = self.marker.as_ref().is_some_and(|version| version.manifest == manifest.hash());
        if self.full {
            return if known { Look::Same } else { Look::NoRoom };
        }
        for bytes in texts.values().map(|text| text.clone().into_bytes()).chain(pages).chain([manifest.encode()]) {
            self.put(bytes, now_us);
        }
        // What is reported is synced in the folder, too, or a power cut would make another edit of it.
        self.unsynced.clear();
        if known {
            return Look::Same;
        }
        let parents: Vec<VersionId> = self.marker.iter().map(Version::id).collect();
        let why = if parents.is_empty() { "first" } else { "edited" }.to_owned();
        let version = Version { parents, author: author.to_owned(), made_at: wall, why, manifest: manifest.hash() };
        self.put(version.encode(), now_us);
        Look::Edited { version, problems: problems(&texts), texts }
    }

    pub fn put(&mut self, bytes: Vec<u8>, now_us: u64) -> bool {
        if !self.full {
            let hash = Hash::of(&bytes);
            self.contents.entry(hash).or_insert((bytes, now_us)).1 = now_us;
        }
        !self.full
    }

    pub fn has(&self, hash: Hash) -> bool {
        self.contents.contains_key(&hash)
    }

    /// It is here and can be read.
    fn is_sound(&self, hash: Hash) -> bool {
        self.has(hash) && !self.damaged.contains(&hash)
    }

    pub fn part(&self, hash: Hash) -> u64 {
        self.parts.get(&hash).map_or(0, |part| part.len() as u64)
    }

    /// Whole, or `None` where it is not here or damaged; what is damaged is forgotten.
    pub fn read(&mut self, hash: Hash) -> Option<&[u8]> {
        if self.damaged.remove(&hash) {
            self.contents.remove(&hash);
        }
        self.contents.get(&hash).map(|(bytes, _)| bytes.as_slice())
    }

    /// How much of it is here then, and whether it is whole.
    pub fn write_part(
        &mut self,
        hash: Hash,
        offset: u64,
        bytes: &[u8],
        total: u64,
        now_us: u64,
    ) -> Result<(u64, bool), &'static str> {
        if self.full {
            return Err(FULL);
        }
        let part = self.parts.entry(hash).or_default();
        if (part.len() as u64) < offset {
            part.clear();
            return Err("a part is missing");
        }
        part.truncate(offset as usize);
        part.extend_from_slice(bytes);
        let upto = part.len() as u64;
        if upto < total {
            return Ok((upto, false));
        }
        let bytes = self.parts.remove(&hash).unwrap_or_default();
        if Hash::of(&bytes) != hash {
            return Err("it is damaged");
        }
        self.contents.insert(hash, (bytes, now_us));
        self.damaged.remove(&hash);
        Ok((upto, true))
    }

    fn version(&mut self, id: VersionId) -> Option<Version> {
        self.read(id.0).and_then(|bytes| Version::decode(bytes).ok())
    }

    /// The texts of a set, if the store has all of it.
    pub fn texts(&mut self, manifest: Hash) -> Option<Texts> {
        let manifest = Manifest::decode(self.read(manifest)?).ok()?;
        let mut texts = Texts::new();
        for page in manifest.pages {
            for entry in Page::decode(self.read(page)?).ok()?.entries {
                assert_eq!(entry.mode, MODE, "permissions travel with their file");
                texts.insert(entry.path, String::from_utf8(self.read(entry.content)?.to_vec()).ok()?);
            }
        }
        Some(texts)
    }

    /// The set of a version, if the store has all of it.
    pub fn load(&mut self, id: VersionId) -> Option<(Texts, Version)> {
        let version = self.version(id)?;
        Some((self.texts(version.manifest)?, version))
    }

    /// Begins to make the folder this version: some of its files are. False where a person's edit would be lost.
    pub fn begin_install(
        &mut self,
        id: VersionId,
        over: Option<VersionId>,
        random: &mut Random,
    ) -> Result<(), &'static str> {
        self.start();
        let (new, _) = self.load(id).ok_or("the store does not have it")?;
        self.give_up();
        let here = self.marker.clone().and_then(|version| self.texts(version.manifest));
        let over = over.and_then(|id| self.load(id)).map(|(texts, _)| texts);
        if ![here, over, Some(new.clone())].contains(&Some(self.folder.clone())) {
            return Err("somebody has edited the folder");
        }
        if self.full {
            return Err(FULL);
        }
        self.installing = Some(id);
        let paths: Vec<String> = self.folder.keys().chain(new.keys()).cloned().collect();
        for path in paths {
            if random.one_in(2) {
                self.write(&path, new.get(&path).cloned());
            }
        }
        Ok(())
    }

    /// The rest of it. `before` is what the folder was when it began: what has changed since is a person's. Whoever
    /// changed what this version changes, too, has not seen that: it is an edit of the version before.
    pub fn end_install(&mut self, id: VersionId, before: &Texts) -> Result<(), &'static str> {
        let (new, version) = self.load(id).ok_or("the store does not have it")?;
        let old = self.marker.clone().and_then(|version| self.texts(version.manifest)).unwrap_or_default();
        let edited = |path: &&String| self.folder.get(*path) != before.get(*path);
        let mut touched = self.folder.keys().chain(before.keys()).filter(edited);
        if touched.any(|path| old.get(path) != new.get(path) && self.folder.get(path) != new.get(path)) {
            self.installing = None;
            return Err("somebody has edited the folder meanwhile");
        }
        let paths: BTreeSet<String> = before.keys().chain(new.keys()).cloned().collect();
        for path in paths {
            if self.folder.get(&path) == before.get(&path) {
                self.write(&path, new.get(&path).cloned());
            }
        }
        self.installing = None;
        self.marker = Some(version);
        Ok(())
    }

    /// Temporary name, synced, renamed: the file is the one or the other.
    fn write(&mut self, path: &str, text: Option<String>) {
        match text {
            Some(text) => self.folder.insert(path.to_owned(), text),
            None => self.folder.remove(path),
        };
        self.unsynced.remove(path);
    }

    /// Sweeps what no wanted version reaches.
    pub fn keep(&mut self, versions: &[VersionId], now_us: u64) {
        let mut wanted: BTreeSet<Hash> = BTreeSet::new();
        let own: Vec<VersionId> = self.marker.iter().map(Version::id).chain(self.installing).collect();
        for id in versions.iter().copied().chain(own) {
            wanted.insert(id.0);
            let Some(version) = self.version(id) else { continue };
            wanted.insert(version.manifest);
            let manifest = self.read(version.manifest).and_then(|bytes| Manifest::decode(bytes).ok());
            for page in manifest.map(|manifest| manifest.pages).unwrap_or_default() {
                wanted.insert(page);
                let entries = self.read(page).and_then(|bytes| Page::decode(bytes).ok()).unwrap_or_default().entries;
                wanted.extend(entries.into_iter().map(|entry| entry.content));
            }
        }
        self.contents.retain(|hash, (_, put_us)| wanted.contains(hash) || now_us < *put_us + YOUNG_US);
        self.damaged.retain(|hash| self.contents.contains_key(hash));
    }

    /// The machine loses its power: files that nobody has synced are old, new or torn; unfinished contents anything.
    pub fn power_cut(&mut self, random: &mut Random) {
        for (path, before) in std::mem::take(&mut self.unsynced) {
            match (random.below(3), self.folder.get_mut(&path)) {
                (0, _) => {
                    match before {
                        Some(text) => self.folder.insert(path, text),
                        None => self.folder.remove(&path),
                    };
                }
                (1, Some(text)) => text.truncate(text.len() / 2),
                _ => {}
            }
        }
        for part in self.parts.values_mut() {
            let kept = random.below(part.len() as u64 + 1) as usize;
            part[kept..].fill(0);
            if random.one_in(2) {
                part.truncate(kept);
            }
        }
    }

    /// The disk loses a bit of a content: whoever reads it next finds out. The only copy that there is nobody could mend.
    pub fn damage(&mut self, other: &Self, random: &mut Random) {
        let which = random.below(self.contents.len().max(1) as u64) as usize;
        let content = self.contents.keys().nth(which).filter(|hash| other.is_sound(**hash));
        self.damaged.extend(content);
    }
}
