//! One thread's answers: a directory, what is done to it, and what the node hears.

use std::cell::RefCell;
use std::fs;
use std::path::PathBuf;

use super::*;

const SIP: &str = "[general]\ncontext=x\n[5000]\ntype=friend\nhost=dynamic\nsecret=5000\ncontext=x\n";
const DIALPLAN: &str = "[x]\nexten => 5000,1,Dial(SIP/5000)\n";

struct House {
    path: PathBuf,
    teller: Teller,
    heard: RefCell<Vec<Event>>,
}

impl House {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tandem-keeper-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("pbx")).unwrap();
        let teller = Teller::start(&path, "a", None).unwrap();
        let house = Self { path, teller, heard: RefCell::default() };
        house.write("sip.conf", SIP);
        house.write("extensions.conf", DIALPLAN);
        house
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path.join("pbx").join(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path.join("pbx").join(name)).unwrap()
    }

    fn keeper(&self) -> Keeper {
        Keeper::of(&self.path.join("pbx"), &["own.conf".to_owned()], &self.path, "a").unwrap()
    }

    fn act(&self, keeper: &mut Keeper, action: FilesAction) -> Vec<Event> {
        keeper.act(action, &|event| self.heard.borrow_mut().push(event), &self.teller);
        self.heard.take()
    }

    /// Looks until what was written just now has settled.
    fn look(&self, keeper: &mut Keeper) -> Vec<Event> {
        while keeper.look(None, false, &|event| self.heard.borrow_mut().push(event), &self.teller) == Next::LookSoon {
            std::thread::sleep(SETTLE);
        }
        self.heard.take()
    }

    /// The first version, installed.
    fn begun(&self) -> (Keeper, VersionId) {
        let mut keeper = self.keeper();
        let (first, problems) = edited(&self.look(&mut keeper)).expect("an edit");
        assert_eq!((first.parents.len(), problems.len()), (0, 0));
        self.install(&mut keeper, first.id(), None).unwrap();
        assert!(unchanged(&self.look(&mut keeper)));
        (keeper, first.id())
    }

    /// Whether it was, and is loaded; the reason why not.
    fn install(&self, keeper: &mut Keeper, version: VersionId, over: Option<VersionId>) -> Result<(), (bool, String)> {
        match self.act(keeper, FilesAction::Install { version, over }).as_slice() {
            [Event::Files(FilesEvent::Installed { loaded: Some(_), failed: None, .. })] => Ok(()),
            [Event::Files(FilesEvent::Installed { loaded, failed: Some(failed), .. })] => {
                Err((loaded.is_some(), failed.clone()))
            }
            other => panic!("{other:?}"),
        }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn edited(events: &[Event]) -> Option<(Version, Vec<String>)> {
    match events {
        [Event::Files(FilesEvent::Edited { version, problems, .. })] => Some((version.clone(), problems.clone())),
        _ => None,
    }
}

fn unchanged(events: &[Event]) -> bool {
    matches!(events, [Event::Files(FilesEvent::Unchanged { .. })])
}

#[test]
fn an_edit_is_told_once_and_a_mistake_with_its_line_until_it_is_gone() {
    let house = House::new("edit");
    let (mut keeper, first) = house.begun();
    assert!(house.look(&mut keeper).is_empty());
    house.write("extensions.conf", &format!("{DIALPLAN}[broken\n"));
    let (version, problems) = edited(&house.look(&mut keeper)).expect("an edit");
    assert_eq!(version.parents, [first]);
    assert!(problems[0].starts_with("extensions.conf:3: error: "), "{problems:?}");
    assert!(house.look(&mut keeper).is_empty());
    // Whoever asks is told again.
    assert!(edited(&house.act(&mut keeper, FilesAction::Scan { asked_by: Some(4) })).is_some());
    house.write("extensions.conf", DIALPLAN);
    assert!(unchanged(&house.look(&mut keeper)));
    assert!(house.look(&mut keeper).is_empty());
    assert!(unchanged(&house.act(&mut keeper, FilesAction::Scan { asked_by: None })));
}

#[test]
fn a_restart_takes_neither_a_mistake_nor_another_identity() {
    let house = House::new("restart");
    let (_, first) = house.begun();
    house.write("sip.conf", "[broken\n");
    let mut keeper = house.keeper();
    assert!(keeper.kept().is_some(), "what ran before runs on");
    keeper.begin(&|event| house.heard.borrow_mut().push(event));
    let held = house.heard.take();
    assert!(matches!(held.as_slice(), [Event::Files(FilesEvent::Holds { version: Some(held) })] if held.id() == first));
    let (before, problems) = edited(&house.look(&mut keeper)).expect("an edit");
    assert!(!problems.is_empty());
    let (again, _) = edited(&house.look(&mut house.keeper())).expect("an edit");
    assert_eq!(before.id(), again.id(), "the same edit after the next restart");
}

#[test]
fn an_edit_in_the_way_stays_and_the_version_runs_nevertheless() {
    let house = House::new("way");
    let (mut keeper, first) = house.begun();
    house.write("sip.conf", &SIP.replace("5000", "5001"));
    let (other, _) = edited(&house.look(&mut keeper)).expect("an edit");
    house.install(&mut keeper, other.id(), None).unwrap();
    house.write("sip.conf", &SIP.replace("5000", "5002"));
    let (lost, _) = edited(&house.look(&mut keeper)).expect("an edit");
    let (loaded, failed) = house.install(&mut keeper, first, None).unwrap_err();
    assert!(loaded && failed.contains("sip.conf"), "{failed}");
    assert!(house.read("sip.conf").contains("5002"));
    let (told, _) = edited(&house.look(&mut keeper)).expect("it is told again");
    assert_eq!(told.id(), lost.id());
    // It has lost on purpose.
    house.install(&mut keeper, first, Some(lost.id())).unwrap();
    assert_eq!(house.read("sip.conf"), SIP);
    assert!(unchanged(&house.look(&mut keeper)));
}

#[test]
fn local_files_are_loaded_and_belong_to_no_version() {
    let house = House::new("local");
    house.write("sip.conf", &format!("{SIP}#include own.conf\n"));
    house.write("own.conf", "; mine\n");
    let (mut keeper, first) = house.begun();
    house.write("own.conf", "[6000]\ntype=friend\nhost=dynamic\nsecret=6000\ncontext=x\n");
    let heard = house.look(&mut keeper);
    let [Event::PbxLoaded { loaded, asked_by: None }] = heard.as_slice() else { panic!("{heard:?}") };
    assert!(loaded.configuration.as_ref().unwrap().endpoints.contains_key("6000"));
    let checked = house.act(&mut keeper, FilesAction::Check { version: first });
    assert!(matches!(
        checked.as_slice(),
        [Event::Files(FilesEvent::Checked { problems, failed: None, .. })] if problems.is_empty()
    ));
}

#[test]
fn contents_come_and_go_in_parts() {
    let house = House::new("parts");
    let mut keeper = house.keeper();
    let (bytes, hash) = (b"content".to_vec(), Hash::of(b"content"));
    let look = FilesAction::Look { hashes: vec![hash] };
    let looked = house.act(&mut keeper, look.clone());
    assert!(matches!(looked.as_slice(), [Event::Files(FilesEvent::Looked { missing, .. })] if *missing == [hash]));
    let write = |offset: u64, bytes: &[u8]| FilesAction::Write { content: hash, offset, bytes: bytes.into(), total: 7 };
    house.act(&mut keeper, write(0, &bytes[..3]));
    let looked = house.act(&mut keeper, look.clone());
    assert!(matches!(looked.as_slice(), [Event::Files(FilesEvent::Looked { parts, .. })] if *parts == [(hash, 3)]));
    let written = house.act(&mut keeper, write(3, &bytes[3..]));
    assert!(matches!(
        written.as_slice(),
        [Event::Files(FilesEvent::Written { upto: 7, whole: true, failed: None, .. })]
    ));
    let read = house.act(&mut keeper, FilesAction::Read { content: hash, offset: 2, length: 3 });
    assert!(matches!(
        read.as_slice(),
        [Event::Files(FilesEvent::Read { bytes: Some(bytes), total: 7, .. })] if bytes == b"nte"
    ));
    let absent = house.act(&mut keeper, FilesAction::Read { content: Hash::default(), offset: 0, length: 3 });
    assert!(matches!(absent.as_slice(), [Event::Files(FilesEvent::Read { bytes: None, .. })]));
}

#[test]
fn a_version_reaches_all_that_it_is_made_of() {
    let house = House::new("reach");
    let (mut keeper, first) = house.begun();
    house.write("more.conf", "more");
    let (second, _) = edited(&house.look(&mut keeper)).expect("an edit");
    let mut pages = contents::Pages::new();
    for (version, files) in [(first, 2), (second.id(), 3)] {
        let version = version.0;
        let set = read_set(&keeper.store, &version).unwrap();
        assert_eq!(set.len(), files);
        let mut expected: BTreeSet<Hash> = set.iter().map(|entry| entry.content).collect();
        let manifest = storage::directory::read_manifest(&keeper.store, &version).unwrap();
        expected.extend([version, manifest.hash()]);
        expected.extend(manifest.pages);
        assert_eq!(contents::reachable(&keeper.store, version, &mut pages).unwrap(), expected);
    }
}
