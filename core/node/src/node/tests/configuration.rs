//! A node without a peer keeps versions, too; with a peer see the simulator.

use pbx::configuration::Loaded;
use std::collections::{BTreeMap, VecDeque};

use replication::Hash;
use replication::files::{Entry, Set, Version, VersionId};

use super::*;
use crate::files::{ConfigRequest, FilesAction, FilesEvent};
use crate::status::ConfigLine;

/// A node alone, and a shell that does at once what it is told.
struct Alone {
    node: Node,
    now: Now,
    contents: BTreeMap<Hash, Vec<u8>>,
    journal_writes: bool,
    journal_waits: Vec<Lsn>,
    /// Why the folder, or the store of contents, cannot be written.
    disk: Option<&'static str>,
    store: Option<&'static str>,
    checks: usize,
    installed: Vec<VersionId>,
    answers: Vec<Answer>,
}

impl Alone {
    fn new() -> Self {
        let now = Now { local: LocalTime::from_millis(10_000), wall: base::WallTime(1_700_000_000_000_000) };
        let node = node_with(0, 0, now, Level::OWN, Durable::default(), 0);
        let mut alone = Self {
            node,
            now,
            contents: BTreeMap::new(),
            journal_writes: true,
            journal_waits: Vec::new(),
            disk: None,
            store: None,
            checks: 0,
            installed: Vec::new(),
            answers: Vec::new(),
        };
        alone.step(Event::Timeout);
        alone.step(Event::Files(FilesEvent::Holds { version: None }));
        alone
    }

    fn put(&mut self, bytes: Vec<u8>) -> Hash {
        let hash = Hash::of(&bytes);
        self.contents.insert(hash, bytes);
        hash
    }

    /// The folder has one file with this text.
    fn edited(&mut self, text: &str, parents: &[VersionId], asked_by: Option<u64>) -> VersionId {
        self.edited_with(text, parents, asked_by, Vec::new())
    }

    fn edited_with(
        &mut self,
        text: &str,
        parents: &[VersionId],
        asked_by: Option<u64>,
        problems: Vec<String>,
    ) -> VersionId {
        self.now.local += Duration::from_millis(5);
        let (content, bytes) = (self.put(text.into()), text.len() as u64);
        let mut set = Set::default();
        set.put(Entry { path: "sip.conf".into(), content, bytes, ..Entry::default() }).unwrap();
        let (manifest, pages) = set.pages().unwrap();
        for page in pages {
            self.put(page);
        }
        let manifest = self.put(manifest.encode());
        let version = Version {
            parents: parents.to_vec(),
            author: "a".into(),
            made_at: self.now.wall,
            why: "edited".into(),
            manifest,
        };
        self.put(version.encode());
        let id = version.id();
        self.step(Event::Files(FilesEvent::Edited { version, problems, asked_by }));
        id
    }

    fn step(&mut self, event: Event) {
        let mut events = VecDeque::from([event]);
        for _ in 0..1_000 {
            let Some(event) = events.pop_front() else {
                if self.node.next_timeout().is_some_and(|due| due <= self.now.local) {
                    events.push_back(Event::Timeout);
                    continue;
                }
                return;
            };
            for action in self.node.handle(self.now, event) {
                match action {
                    Action::Claim { epoch } => events.push_back(Event::Claimed { epoch }),
                    Action::KeepDurable(durable) => {
                        events.push_back(Event::EpochReserved { epoch: durable.reserved });
                    }
                    Action::JournalAppend { position, .. } if self.journal_writes => {
                        events.push_back(Event::JournalWritten { lsn: position.lsn });
                    }
                    Action::JournalAppend { position, .. } => self.journal_waits.push(position.lsn),
                    Action::Reply { answer, .. } => self.answers.push(*answer),
                    Action::Files(action) => events.extend(self.shell(action).map(Event::Files)),
                    _ => {}
                }
            }
        }
        panic!("the node is never done");
    }

    fn shell(&mut self, action: FilesAction) -> Option<FilesEvent> {
        let loaded = || Some(Box::new(Loaded { configuration: Some(configuration()), diagnostics: Vec::new() }));
        Some(match action {
            FilesAction::Look { hashes } => {
                let (here, missing) = hashes.into_iter().partition(|hash| self.contents.contains_key(hash));
                FilesEvent::Looked { here, parts: Vec::new(), missing }
            }
            FilesAction::Read { content, offset, .. } => {
                let bytes = self.contents.get(&content).cloned();
                let total = bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
                FilesEvent::Read { content, offset, bytes, total }
            }
            FilesAction::Put { bytes } if self.store.is_some() => {
                let (content, failed) = (Hash::of(&bytes), self.store.map(str::to_owned));
                FilesEvent::Written { content, upto: 0, whole: false, failed }
            }
            FilesAction::Put { bytes } => {
                let upto = bytes.len() as u64;
                FilesEvent::Written { content: self.put(bytes), upto, whole: true, failed: None }
            }
            FilesAction::Check { version } => {
                self.checks += 1;
                let failed = (!self.contents.contains_key(&version.0)).then(|| "a content is missing".to_owned());
                FilesEvent::Checked { version, problems: Vec::new(), failed }
            }
            FilesAction::Load { version } => FilesEvent::Loaded { version, loaded: loaded(), failed: None },
            FilesAction::Install { version, .. } => {
                let failed = self.disk.map(str::to_owned);
                self.installed.extend(failed.is_none().then_some(version));
                FilesEvent::Installed { version, loaded: loaded(), failed }
            }
            FilesAction::Scan { asked_by } => FilesEvent::Unchanged { asked_by },
            FilesAction::Write { .. } | FilesAction::Keep { .. } => return None,
        })
    }

    /// The daemon dies, and the next one has what the disk has: a folder that was made this version.
    fn restart(&mut self, holds: VersionId) {
        let log = self.node.log.clone();
        let fresh = node_with(0, 0, self.now, Level::OWN, Durable::default(), 1);
        let recovered = Recovered { log, ..Recovered::default() };
        self.node = Node::new(fresh.settings, configuration(), recovered, Random::from_number(1), self.now);
        self.step(Event::Timeout);
        let version = Version::decode(&self.contents[&holds.0]).unwrap();
        self.step(Event::Files(FilesEvent::Holds { version: Some(version) }));
    }

    /// How many nodes' folders are refused, as an operator sees it.
    fn refused(&mut self) -> usize {
        self.line().refused.len()
    }

    fn line(&mut self) -> ConfigLine {
        let Answer::Config(told) = self.ask(ConfigRequest::Status) else { panic!("no status") };
        told.line
    }

    fn ask(&mut self, request: ConfigRequest) -> Answer {
        self.now.local += Duration::from_millis(5);
        self.step(Event::Asked { number: 9, operator: Operator::Config(request) });
        self.answers.pop().expect("an answer")
    }
}

#[test]
fn a_node_without_a_peer_keeps_versions_and_goes_back_to_them() {
    let mut alone = Alone::new();
    let first = alone.edited("one", &[], None);
    assert_eq!(alone.installed, [first]);
    let second = alone.edited("two", &[first], Some(3));
    assert_eq!(alone.installed, [first, second]);
    let answer = alone.answers.pop();
    assert!(matches!(&answer, Some(Answer::Done { text }) if text.contains("is live")), "{answer:?}");
    let back = alone.ask(ConfigRequest::Rollback(first));
    assert!(matches!(back, Answer::Done { .. }), "{back:?}");
    let Answer::Config(told) = alone.ask(ConfigRequest::Status) else { panic!("no status") };
    assert_eq!(told.history.len(), 3);
    assert_eq!(told.history[0].manifest, told.history[2].manifest);
    assert!(told.line.runs_head && told.line.peer_runs_head.is_none() && told.line.conflict.is_none());
}

#[test]
fn a_folder_is_changed_only_when_the_entry_is_as_safe_as_what_phones_are_told() {
    let mut alone = Alone::new();
    alone.journal_writes = false;
    let first = alone.edited("one", &[], None);
    assert_eq!(alone.installed, [], "the journal does not have it yet");
    let written = alone.journal_waits.last().copied().expect("an entry");
    alone.step(Event::JournalWritten { lsn: written });
    assert_eq!(alone.installed, [first]);
}

#[test]
fn what_the_log_says_is_there_after_a_restart() {
    let mut alone = Alone::new();
    let first = alone.edited("one", &[], None);
    alone.restart(first);
    alone.step(Event::Files(FilesEvent::Unchanged { asked_by: None }));
    assert_eq!(alone.installed, [first], "it is there already");
    let Answer::Config(told) = alone.ask(ConfigRequest::Status) else { panic!("no status") };
    assert_eq!((told.line.head, told.line.runs_head), (Some(first.to_string()), true));
}

#[test]
fn what_was_refused_stays_so_until_the_folder_was_looked_at_again() {
    let mut alone = Alone::new();
    let first = alone.edited("one", &[], None);
    alone.edited_with("tow", &[first], None, vec!["sip.conf:1: error: what is `tow`?".into()]);
    assert_eq!(alone.refused(), 1);
    alone.restart(first);
    assert_eq!(alone.refused(), 1, "nobody has looked");
    alone.now.local += Duration::from_secs(10);
    alone.step(Event::Files(FilesEvent::Unchanged { asked_by: None }));
    assert_eq!(alone.refused(), 0, "it is as it was made");
}

#[test]
fn a_folder_that_cannot_be_written_is_told_with_its_reason_until_it_is() {
    let mut alone = Alone::new();
    alone.disk = Some("No space left on device");
    let first = alone.edited("; first", &[], None);
    let line = alone.line();
    assert!(line.runs_head && line.head == Some(first.to_string()), "it runs all the same: {line:?}");
    assert!(line.waits.is_some_and(|text| text.ends_with("No space left on device")));
    alone.disk = None;
    alone.now.local += Duration::from_secs(600);
    alone.step(Event::Timeout);
    assert_eq!((alone.installed.clone(), alone.line().waits), (vec![first], None));
}

#[test]
fn a_store_that_is_full_is_asked_now_and_then_until_it_has_room() {
    let mut alone = Alone::new();
    let first = alone.edited("one", &[], None);
    let second = alone.edited("two", &[first], None);
    alone.store = Some("No space left on device");
    let back = Operator::Config(ConfigRequest::Rollback(first));
    alone.step(Event::Asked { number: 9, operator: back });
    assert_eq!((alone.checks, alone.installed.clone()), (0, vec![first, second]));
    alone.store = None;
    alone.now.local += Duration::from_secs(3);
    alone.step(Event::Timeout);
    assert_eq!((alone.checks, alone.installed.len()), (1, 3));
    let answer = alone.answers.pop();
    assert!(matches!(answer, Some(Answer::Done { .. })), "{answer:?}");
}
