//! A directory, two versions of it, people who edit meanwhile, and deaths between any two steps.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::install::Step;
use super::*;
use crate::content::tests::State;

/// A state directory with the directory of files beside it.
struct House {
    state: State,
    root: PathBuf,
    store: ContentStore,
}

impl House {
    fn new(test: &str) -> Self {
        let state = State::new(&format!("directory-{test}"));
        let root = state.0.join("pbx");
        fs::create_dir(&root).unwrap();
        let store = state.store();
        Self { state, root, store }
    }

    /// As after a restart.
    fn open(&self) -> Directory {
        self.open_with(&[])
    }

    fn open_with(&self, local: &[&str]) -> Directory {
        let local: Vec<String> = local.iter().map(|&pattern| pattern.to_owned()).collect();
        Directory::open(&self.root, &local, &self.state.0)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn remove(&self, path: &str) {
        fs::remove_file(self.root.join(path)).unwrap();
    }

    /// All files with their texts and modes, by path; folders, too.
    fn files(&self) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let mut open = vec![self.root.clone()];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.strip_prefix(&self.root).unwrap().display().to_string();
                if path.is_dir() {
                    found.push((format!("{name}/"), String::new()));
                    open.push(path);
                } else {
                    found.push((name, fs::read_to_string(path).unwrap()));
                }
            }
        }
        found.sort();
        found
    }

    /// Makes what is in the directory a version, as if it was installed.
    fn commit(&self, directory: &mut Directory) -> Hash {
        let scan = directory.scan();
        assert_eq!(scan.problems, []);
        let edit = directory.commit(&self.store, &scan, "a", WallTime(7)).unwrap().unwrap();
        edit.id
    }

    /// A version of these files, from elsewhere.
    fn version(&self, files: &[(&str, &str, u32)]) -> Hash {
        let mut set = Set::default();
        let mut contents = Vec::new();
        for (path, text, mode) in files {
            let (path, content) = ((*path).to_owned(), Hash::of(text.as_bytes()));
            let bytes = text.len() as u64;
            set.put(Entry { path, content, bytes, mode: *mode, ..Entry::default() }).unwrap();
            contents.push(text.as_bytes().to_vec());
        }
        let (manifest, pages) = set.pages().unwrap();
        let version = Version { author: "b".into(), manifest: manifest.hash(), ..Version::default() };
        contents.extend(pages);
        contents.extend([manifest.encode(), version.encode()]);
        self.store.put_all(contents.iter().map(Vec::as_slice)).unwrap();
        version.id().0
    }
}

fn texts(files: &[(&str, &str)]) -> Vec<(String, String)> {
    files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

const OLD: [(&str, &str, u32); 4] = [
    ("extensions.conf", "old dialplan", 0o640),
    ("keys", "a file that becomes a folder", 0o600),
    ("gone/deep/x.conf", "removed", 0o644),
    ("sip.conf", "same", 0o644),
];
const NEW: [(&str, &str, u32); 4] = [
    ("extensions.conf", "new dialplan", 0o600),
    ("keys/one.key", "key", 0o400),
    ("more.conf", "added", 0o644),
    ("sip.conf", "same", 0o664),
];

fn new_files() -> Vec<(String, String)> {
    texts(&[
        ("extensions.conf", "new dialplan"),
        ("keys/", ""),
        ("keys/one.key", "key"),
        ("more.conf", "added"),
        ("sip.conf", "same"),
    ])
}

#[test]
fn a_directory_becomes_a_version_and_the_same_one_again() {
    let house = House::new("version");
    house.write("sip.conf", "[general]\n");
    house.write("deep/er/x.conf", "x");
    for dropping in [".x.swp", "sip.conf~", "x.swp", "4913", ".git/config", ".tandem-0"] {
        house.write(dropping, "dropping");
    }
    fs::set_permissions(house.root.join("sip.conf"), fs::Permissions::from_mode(0o640)).unwrap();
    let mut directory = house.open();
    let id = house.commit(&mut directory);
    let set = read_set(&house.store, &id).unwrap();
    let paths: Vec<_> = set.iter().map(|entry| (entry.path.as_str(), entry.mode, entry.bytes)).collect();
    assert_eq!(paths, [("deep/er/x.conf", 0o644, 1), ("sip.conf", 0o640, 10)]);
    assert!(set.iter().all(|entry| entry.owner.is_empty() && entry.group.is_empty()));
    let version = read_version(&house.store, &id).unwrap();
    assert_eq!((version.parents.len(), version.why.as_str(), version.author.as_str()), (0, "first", "a"));
    // The next look, and the next life, find the same.
    assert_eq!(house.commit(&mut directory), id);
    assert_eq!(house.commit(&mut house.open()), id);
    house.write("sip.conf", "[general]\n;\n");
    assert_ne!(house.commit(&mut directory), id);
}

#[test]
fn a_change_of_the_same_length_in_the_same_moment_is_seen() {
    let house = House::new("moment");
    let mut directory = house.open();
    for number in 0..50 {
        house.write("sip.conf", &format!("{number:02}"));
        let scan = directory.scan();
        let content = scan.set.entry("sip.conf").unwrap().content;
        assert_eq!(content, Hash::of(format!("{number:02}").as_bytes()), "{number}");
    }
}

#[test]
fn links_may_not_lead_out_and_local_files_are_nobody_elses() {
    let house = House::new("links");
    fs::write(house.state.0.join("secret"), "secret").unwrap();
    house.write("sip.conf", "sip");
    house.write("keys/own.key", "key");
    house.write("keys/deep/own.key", "key");
    symlink("sip.conf", house.root.join("inside.conf")).unwrap();
    symlink("nowhere", house.root.join("lock.conf")).unwrap();
    symlink("../secret", house.root.join("outside.conf")).unwrap();
    symlink("../secret", house.root.join("own.conf")).unwrap();
    let scan = house.open_with(&["own.c?nf", "keys"]).scan();
    let paths: Vec<_> = scan.set.iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(paths, ["inside.conf", "sip.conf"]);
    assert_eq!(scan.local.keys().collect::<Vec<_>>(), ["keys/deep/own.key", "keys/own.key", "own.conf"]);
    let problems: Vec<_> = scan.problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems.len(), 1);
    assert!(problems[0].starts_with("outside.conf:0: error: a symbolic link that leads out"), "{problems:?}");
    let directory = house.open_with(&["own.c?nf", "keys"]);
    let read = directory.texts(&house.store, &Set::default(), &scan).unwrap();
    assert_eq!(read.text("own.conf"), Some("secret"));
}

#[test]
fn too_much_is_refused() {
    let house = House::new("much");
    let long = fs::File::create(house.root.join("long.conf")).unwrap();
    long.set_len(SET_BYTES_MAX + 1).unwrap();
    house.write("sip.conf", "sip");
    let scan = house.open().scan();
    let problems: Vec<_> = scan.problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems, ["long.conf:0: error: the files have more than 64 MiB"]);
    let gone = Directory::open(&house.root.join("gone"), &[], &house.state.0).scan();
    assert!(gone.problems[0].to_string().contains("cannot be read"));
}

#[test]
fn an_install_carries_files_modes_and_removals() {
    let house = House::new("install");
    let (old, new) = (house.version(&OLD), house.version(&NEW));
    let mut directory = house.open();
    assert_eq!(directory.install(&house.store, old, None).unwrap(), Installed::Done);
    assert_eq!(mode(&house.root.join("extensions.conf")), 0o640);
    assert_eq!(directory.install(&house.store, new, None).unwrap(), Installed::Done);
    assert_eq!(house.files(), new_files());
    assert_eq!(mode(&house.root.join("extensions.conf")), 0o600);
    assert_eq!(mode(&house.root.join("sip.conf")), 0o664);
    assert_eq!(mode(&house.root.join("keys/one.key")), 0o400);
    let note = house.open().note().clone();
    assert_eq!((note.installed, note.runs, note.installing), (Some(new), Some(new), None));
    let scan = directory.scan();
    assert!(directory.is(&scan, &read_set(&house.store, &new).unwrap()));
    // Back again, over what it became.
    assert_eq!(directory.install(&house.store, old, None).unwrap(), Installed::Done);
    assert_eq!(mode(&house.root.join("sip.conf")), 0o644);
    assert!(house.root.join("keys").is_file() && !house.root.join("more.conf").exists());
}

/// Whatever the step after which the node dies: the next life ends what was begun, or the old version is untouched.
#[test]
fn a_death_between_any_two_steps_is_mended() {
    let mut died = 0;
    for survived in 0.. {
        let house = House::new("death");
        let (old, new) = (house.version(&OLD), house.version(&NEW));
        house.open().install(&house.store, old, None).unwrap();
        let before = house.files();
        let mut directory = house.open();
        let scan = directory.scan();
        let plan = directory.plan(&house.store, &scan, new, None).unwrap();
        let steps = directory.steps(plan, &scan, new, None);
        let whole = survived >= steps.len();
        let marked = steps.iter().take(survived).any(|step| matches!(step, Step::Note(_)));
        for step in steps.into_iter().take(survived) {
            directory.take(&house.store, step).unwrap();
        }
        let mut next = house.open();
        match next.finish(&house.store) {
            None if marked => assert!(whole, "after {survived}"),
            None => {
                // Nothing was exchanged, and nothing counts as edited.
                let visible: Vec<_> = house.files().into_iter().filter(|(path, _)| !path.starts_with('.')).collect();
                assert_eq!(visible, before, "after {survived}");
                let scan = next.scan();
                assert!(next.is(&scan, &read_set(&house.store, &old).unwrap()), "after {survived}");
                assert_eq!(next.install(&house.store, new, None).unwrap(), Installed::Done);
            }
            Some(finished) => assert_eq!(finished.unwrap(), Installed::Done, "after {survived}"),
        }
        assert_eq!(house.files(), new_files(), "after {survived}");
        assert_eq!(next.note().installed, Some(new), "after {survived}");
        if whole {
            break;
        }
        died += 1;
    }
    // Prepare, note, a removal in the way, three exchanges and a mode, two removals, sync, note.
    assert!(died >= 8, "{died}");
}

#[test]
fn an_edit_of_another_file_stays_and_is_the_next_version() {
    let house = House::new("other");
    let (old, new) = (house.version(&OLD), house.version(&NEW));
    let mut directory = house.open();
    directory.install(&house.store, old, None).unwrap();
    house.write("mine.conf", "mine");
    assert_eq!(directory.install(&house.store, new, None).unwrap(), Installed::Done);
    let mut expected = new_files();
    expected.push(("mine.conf".into(), "mine".into()));
    expected.sort();
    assert_eq!(house.files(), expected);
    let edit = house.commit(&mut directory);
    assert_eq!(read_version(&house.store, &edit).unwrap().parents, [VersionId(new)]);
}

#[test]
fn an_edit_of_a_file_that_is_changed_too_is_never_written_over() {
    type Edit<'a> = (&'a str, &'a dyn Fn(&House));
    let edits: [Edit<'_>; 4] = [
        ("extensions.conf", &|house| house.write("extensions.conf", "mine")),
        ("extensions.conf", &|house| house.remove("extensions.conf")),
        ("more.conf", &|house| house.write("more.conf", "mine")),
        ("gone/deep/x.conf", &|house| house.write("gone/deep/x.conf", "mine")),
    ];
    for (path, edit) in edits {
        let house = House::new("clash");
        let (old, new) = (house.version(&OLD), house.version(&NEW));
        let mut directory = house.open();
        directory.install(&house.store, old, None).unwrap();
        edit(&house);
        let before = house.files();
        let clash = Installed::Clash { paths: vec![path.to_owned()] };
        assert_eq!(directory.install(&house.store, new, None).unwrap(), clash, "{path}");
        assert_eq!(house.files(), before, "{path}");
        assert_eq!(directory.note().installed, Some(old));
        // It is an edit of the version that it was made from; when that has lost on purpose, it goes.
        let lost = house.commit(&mut directory);
        assert_eq!(read_version(&house.store, &lost).unwrap().parents, [VersionId(old)]);
        assert_eq!(directory.install(&house.store, new, Some(lost)).unwrap(), Installed::Done, "{path}");
        assert_eq!(house.files(), new_files(), "{path}");
    }
}

#[test]
fn an_edit_amid_an_install_stays_and_follows_from_the_version_before() {
    for dies in [false, true] {
        let house = House::new("amid");
        let (old, new) = (house.version(&OLD), house.version(&NEW));
        let mut directory = house.open();
        directory.install(&house.store, old, None).unwrap();
        let scan = directory.scan();
        let plan = directory.plan(&house.store, &scan, new, None).unwrap();
        let mut steps = directory.steps(plan, &scan, new, None);
        let rest = steps.split_off(2);
        assert_eq!(
            directory.carry_out(&house.store, steps, Vec::new()).unwrap(),
            Installed::Done,
            "prepared and noted"
        );
        house.write("extensions.conf", "mine");
        let ended = if dies {
            directory = house.open();
            directory.finish(&house.store).unwrap()
        } else {
            directory.carry_out(&house.store, rest, Vec::new())
        };
        assert_eq!(ended.unwrap(), Installed::Clash { paths: vec!["extensions.conf".into()] });
        let visible: Vec<_> = house.files().into_iter().filter(|(path, _)| !path.starts_with('.')).collect();
        let mut expected = new_files();
        expected.iter_mut().filter(|(path, _)| path == "extensions.conf").for_each(|(_, text)| *text = "mine".into());
        assert_eq!(visible, expected, "all but what is somebody's");
        assert!(directory.finish(&house.store).is_none(), "nothing is half done");
        let edit = house.commit(&mut directory);
        assert_eq!(read_version(&house.store, &edit).unwrap().parents, [VersionId(old)], "and so a conflict");
    }
}

#[test]
fn the_same_edit_on_both_sides_is_no_clash() {
    let house = House::new("same");
    let (old, new) = (house.version(&OLD), house.version(&NEW));
    let mut directory = house.open();
    directory.install(&house.store, old, None).unwrap();
    house.write("more.conf", "added");
    house.write("extensions.conf", "new dialplan");
    fs::set_permissions(house.root.join("extensions.conf"), fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(directory.install(&house.store, new, None).unwrap(), Installed::Done);
    assert_eq!(house.files(), new_files());
}

#[test]
fn what_was_never_a_version_is_somebodys() {
    let house = House::new("never");
    let new = house.version(&NEW);
    let mut directory = house.open();
    house.write("extensions.conf", "by hand");
    assert!(matches!(directory.install(&house.store, new, None).unwrap(), Installed::Clash { .. }));
    house.remove("extensions.conf");
    assert_eq!(directory.install(&house.store, new, None).unwrap(), Installed::Done);
    assert_eq!(house.files(), new_files());
}

#[test]
fn a_version_is_not_written_through_a_link() {
    let house = House::new("through");
    let outside = house.state.0.join("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, house.root.join("keys")).unwrap();
    let new = house.version(&NEW);
    let error = house.open().install(&house.store, new, None).unwrap_err();
    assert!(matches!(error, DirectoryError::InTheWay { .. }), "{error}");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn a_version_whose_contents_are_not_here_changes_nothing() {
    let house = House::new("absent");
    let (old, new) = (house.version(&OLD), house.version(&NEW));
    let mut directory = house.open();
    directory.install(&house.store, old, None).unwrap();
    let before = house.files();
    let mut store = house.state.store();
    store.discard(&Hash::of(b"added")).unwrap();
    assert!(directory.install(&house.store, new, None).is_err());
    assert_eq!((house.files(), directory.note().installed), (before, Some(old)));
    assert_eq!(directory.note().installing, None);
}

#[test]
fn what_the_store_has_lost_is_put_back_from_the_directory() {
    let house = House::new("lost");
    house.write("sip.conf", "sip");
    let mut directory = house.open();
    let id = house.commit(&mut directory);
    directory.install(&house.store, id, None).unwrap();
    let manifest = read_version(&house.store, &id).unwrap().manifest;
    let mut store = house.state.store();
    for lost in [Hash::of(b"sip"), manifest] {
        store.discard(&lost).unwrap();
        let scan = directory.scan();
        directory.put_back(&store, &scan).unwrap();
        assert!(store.has(&lost));
    }
    assert_eq!(read_set(&store, &id).unwrap().len(), 1);
}

/// Of a version that was being installed the store has lost something, and no other node has it.
#[test]
fn what_was_begun_and_cannot_be_ended_is_given_up() {
    for whole in [false, true] {
        let house = House::new("given-up");
        let (old, new, next) =
            (house.version(&OLD), house.version(&NEW), house.version(&[("sip.conf", "third", 0o640)]));
        let mut directory = house.open();
        directory.install(&house.store, old, None).unwrap();
        let scan = directory.scan();
        let plan = directory.plan(&house.store, &scan, new, None).unwrap();
        let steps = directory.steps(plan, &scan, new, None);
        // The last one notes that it is done.
        let taken = if whole { steps.len() - 1 } else { 4 };
        for step in steps.into_iter().take(taken) {
            directory.take(&house.store, step).unwrap();
        }
        let mut store = house.state.store();
        store.discard(&read_version(&store, &new).unwrap().manifest).unwrap();
        let before = house.files();
        assert!(directory.finish(&store).unwrap().is_err());
        // Nothing that came from it is written over: nobody can tell it from an edit.
        assert!(matches!(directory.install(&store, next, None), Ok(Installed::Clash { .. })));
        assert_eq!((directory.note().installing, directory.note().over), (None, None));
        assert_eq!(house.files(), before);
        let wanted = if whole { new } else { old };
        assert_eq!(directory.note().installed, Some(wanted), "whole: {whole}");
        assert_eq!(read_set(&store, &new).is_ok(), whole);
    }
}

#[test]
fn owners_travel_by_name_where_they_may() {
    let house = House::new("owners");
    house.write("sip.conf", "sip");
    let mut directory = house.open();
    let first = house.commit(&mut directory);
    directory.install(&house.store, first, None).unwrap();
    let mut set = read_set(&house.store, &first).unwrap();
    let entry = set.entry("sip.conf").unwrap().clone();
    // A user that no machine has: the file stays ours, which is said once, and is no edit.
    set.put(Entry { owner: "nobody-of-that-name".into(), content: Hash::of(b"new"), bytes: 3, ..entry }).unwrap();
    let (manifest, pages) = set.pages().unwrap();
    let version = Version { manifest: manifest.hash(), ..Version::default() };
    let made = [manifest.encode(), version.encode(), b"new".to_vec()];
    house.store.put_all(pages.iter().chain(&made).map(Vec::as_slice)).unwrap();
    let id = version.id().0;
    assert_eq!(directory.install(&house.store, id, None).unwrap(), Installed::Done);
    let told = directory.take_refused();
    assert_eq!(told.len(), 1);
    assert!(told[0].contains("sip.conf cannot be given to nobody-of-that-name"), "{told:?}");
    let scan = directory.scan();
    assert!(directory.is(&scan, &set));
    // The next edit does not make it ours for everybody.
    house.write("more.conf", "more");
    let edit = house.commit(&mut directory);
    let edited = read_set(&house.store, &edit).unwrap();
    assert_eq!(edited.entry("sip.conf").unwrap().owner, "nobody-of-that-name");
}
