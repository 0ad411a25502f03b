//! What was written comes back, what was torn or damaged is left out, and nothing comes back that was never written.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use base::{Epoch, Level, NodeIndex, WallTime};
use fuzz::Mutator;
use node::cluster::Drain;
use node::replication::{Delta, Entry, Key, Log};

use super::files::{Files, record};
use super::*;

const EPOCH: Epoch = Epoch { number: 3, node: NodeIndex(1) };

/// Generous: it bounds a failure, not a success.
const PATIENCE: Duration = Duration::from_secs(20);

/// A state directory that is removed at the end of its test.
struct Directory(PathBuf);

impl Directory {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tandem-journal-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join(FOLDER)).unwrap();
        Self(path)
    }

    /// What a crash of the process at this instant would leave behind.
    fn copy(&self, test: &str) -> Self {
        let copy = Self::new(test);
        for folder in [".", FOLDER] {
            for entry in fs::read_dir(self.0.join(folder)).unwrap() {
                let path = entry.unwrap().path();
                if path.is_file() && path.file_name().is_some_and(|name| name != "lock") {
                    fs::copy(&path, copy.0.join(folder).join(path.file_name().unwrap())).unwrap();
                }
            }
        }
        copy
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(FOLDER).join(name)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.join(FOLDER)).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name != "lock");
        names.sort();
        names
    }

    fn recover(&self) -> Opened {
        Files::open(&self.0).unwrap().recover(LocalTime::from_millis(50_000)).unwrap()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn local(lsn: u64) -> LocalTime {
    LocalTime::from_millis(10_000 + lsn)
}

/// The states of a log after each of its entries, from the empty one on, and the entries.
fn history(entries: u64) -> (Vec<Checkpoint>, Vec<Entry>) {
    let mut log = Log::new();
    let mut states = vec![log.checkpoint()];
    for number in 0..entries {
        let value = (number % 4 != 3).then(|| vec![number as u8; 20 + number as usize]);
        let deltas = vec![Delta { key: Key::new(2, format!("call-{}", number % 5)), value }];
        assert!(log.append(EPOCH, deltas, ClusterTime::from_millis(1_000 + number), WallTime(number)).is_ok());
        states.push(log.checkpoint());
    }
    (states, log.entries_since(Lsn::ZERO).cloned().collect())
}

fn open(directory: &Directory) -> (Journal, Opened, Receiver<JournalEvent>) {
    let (sender, events) = channel();
    let tell = move |event| {
        let _ = sender.send(event);
    };
    // It waits for the threads of the journal before.
    let (journal, opened) = Journal::open(&directory.0, LocalTime::from_millis(50_000), tell).expect("a journal");
    (journal, opened, events)
}

fn append(journal: &Journal, entries: &[Entry]) {
    for entry in entries {
        journal.append(entry.position, local(entry.position.lsn.0), entry.encode());
    }
}

fn wait_for(events: &Receiver<JournalEvent>, wanted: JournalEvent) {
    while events.recv_timeout(PATIENCE).expect("an event") != wanted {}
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The bytes of a log file: its head, then these entries.
fn log_file(boot: &str, entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    record(&mut bytes, LocalTime::ZERO, &minicbor::to_vec((1_u16, boot)).unwrap());
    for entry in entries {
        record(&mut bytes, local(entry.position.lsn.0), &entry.encode());
    }
    bytes
}

#[test]
fn an_empty_directory_is_a_new_node() {
    let directory = Directory::new("empty");
    let (_journal, opened, _events) = open(&directory);
    assert_eq!(opened.recovered.log, Log::new());
    assert_eq!(opened.recovered.durable, Durable::default());
    assert_eq!((opened.applied, opened.stopped, opened.torn), (0, None, false));
}

#[test]
fn what_was_written_survives_a_crash() {
    let directory = Directory::new("crash");
    let (states, entries) = history(30);
    let (journal, _, events) = open(&directory);
    append(&journal, &entries);
    wait_for(&events, JournalEvent::Written { lsn: Lsn(30) });
    let opened = directory.copy("crash-after").recover();
    assert_eq!(opened.recovered.log.checkpoint(), states[30]);
    assert_eq!(opened.recovered.durable.epoch, EPOCH);
    assert_eq!((opened.applied, opened.stopped, opened.torn), (30, None, false));
}

#[test]
fn a_restart_goes_on_where_it_was() {
    let directory = Directory::new("restart");
    let (states, entries) = history(30);
    for part in 0..3 {
        let (journal, opened, events) = open(&directory);
        assert_eq!(opened.recovered.log.checkpoint(), states[part * 10]);
        append(&journal, &entries[part * 10..part * 10 + 10]);
        wait_for(&events, JournalEvent::Written { lsn: Lsn(part as u64 * 10 + 10) });
    }
    let (_journal, opened, _events) = open(&directory);
    assert_eq!(opened.recovered.log.checkpoint(), states[30]);
}

#[test]
fn a_checkpoint_takes_the_place_of_what_came_before() {
    let directory = Directory::new("checkpoint");
    let (states, entries) = history(15);
    let (journal, _, events) = open(&directory);
    append(&journal, &entries[..10]);
    journal.checkpoint(local(10), Box::new(states[10].clone()));
    append(&journal, &entries[10..]);
    wait_for(&events, JournalEvent::Written { lsn: Lsn(15) });
    wait_until("the checkpoint is complete", || directory.names() == ["3.checkpoint", "3.log"]);
    let opened = directory.copy("checkpoint-after").recover();
    assert_eq!(opened.recovered.log.checkpoint(), states[15]);
    assert_eq!(opened.applied, 5);
}

#[test]
fn a_crash_before_the_checkpoint_is_complete_loses_nothing() {
    let (states, entries) = history(12);
    let directory = Directory::new("incomplete");
    fs::write(directory.file("7.log"), log_file("boot", &entries[..6])).unwrap();
    fs::write(directory.file("8.log"), log_file("boot", &entries[6..])).unwrap();
    fs::write(directory.file("8.checkpoint.new"), b"half of").unwrap();
    let opened = directory.recover();
    assert_eq!(opened.recovered.log.checkpoint(), states[12]);
    assert!(!opened.torn);
    // The next files take numbers that none of these has.
    assert_eq!(Files::open(&directory.0).unwrap().next_number().unwrap(), 9);
}

#[test]
fn a_torn_tail_is_left_out_wherever_it_was_torn() {
    let (states, entries) = history(6);
    let directory = Directory::new("torn");
    let whole = log_file("boot", &entries);
    let ends: Vec<usize> = (0..=6).map(|count| log_file("boot", &entries[..count]).len()).collect();
    for length in 0..=whole.len() {
        fs::write(directory.file("1.log"), &whole[..length]).unwrap();
        let opened = directory.recover();
        let complete = ends.iter().filter(|end| **end <= length).count().saturating_sub(1);
        assert_eq!(opened.recovered.log.checkpoint(), states[complete], "{length} bytes");
        assert_eq!(opened.torn, !ends.contains(&length), "{length} bytes");
    }
}

#[test]
fn a_torn_file_before_the_last_one_does_not_hide_a_gap() {
    let (states, entries) = history(12);
    let directory = Directory::new("gap");
    let mut first = log_file("boot", &entries[..6]);
    first.truncate(first.len() - 1);
    fs::write(directory.file("1.log"), &first).unwrap();
    fs::write(directory.file("2.log"), log_file("boot", &entries[6..])).unwrap();
    let opened = directory.recover();
    assert_eq!(opened.recovered.log.checkpoint(), states[5]);
    assert!(opened.torn && opened.stopped.is_some());
    // As after a restart on the torn file: what follows begins where it ended.
    fs::write(directory.file("2.log"), log_file("boot", &entries[5..])).unwrap();
    assert_eq!(directory.recover().recovered.log.checkpoint(), states[12]);
}

#[test]
fn files_of_another_format_are_not_read() {
    let (states, entries) = history(2);
    let directory = Directory::new("format");
    let mut bytes = Vec::new();
    record(&mut bytes, LocalTime::ZERO, &minicbor::to_vec((2_u16, "boot")).unwrap());
    record(&mut bytes, local(1), &entries[0].encode());
    fs::write(directory.file("1.log"), bytes).unwrap();
    let opened = directory.recover();
    assert_eq!(opened.recovered.log.checkpoint(), states[0]);
    assert!(opened.torn);
}

/// Damage of every kind in every file: whatever comes back was the state of this very log at some time.
#[test]
fn damage_never_panics_and_invents_nothing() {
    let (states, entries) = history(20);
    let source = Directory::new("damage-source");
    let (journal, _, events) = open(&source);
    append(&journal, &entries[..8]);
    journal.checkpoint(local(8), Box::new(states[8].clone()));
    append(&journal, &entries[8..]);
    journal.keep_durable(Durable { epoch: EPOCH, reserved: EPOCH.next(NodeIndex(1)), ..Durable::default() });
    wait_for(&events, JournalEvent::Written { lsn: Lsn(20) });
    wait_until("the epochs are kept", || source.0.join("epochs").exists());
    wait_until("the checkpoint is complete", || source.names() == ["3.checkpoint", "3.log"]);
    let directory = source.copy("damage");
    let paths = [directory.file("3.checkpoint"), directory.file("3.log"), directory.0.join("epochs")];
    let whole: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    let mut mutator = Mutator::new(11);
    let mut lengths = std::collections::BTreeSet::new();
    for _ in 0..2_000 {
        let place = mutator.below(3) as usize;
        let mut bytes = whole[place].clone();
        for _ in 0..=mutator.below(2) {
            mutator.damage(&mut bytes, &whole, &[]);
        }
        fs::write(&paths[place], &bytes).unwrap();
        let opened = directory.recover();
        let state = opened.recovered.log.checkpoint();
        assert_eq!(Some(&state), states.get(state.position.lsn.0 as usize));
        let Durable { epoch, reserved, .. } = opened.recovered.durable;
        assert!(epoch <= EPOCH && reserved <= EPOCH.next(NodeIndex(1)));
        lengths.insert(state.position.lsn.0);
        fs::write(&paths[place], &whole[place]).unwrap();
    }
    assert!(lengths.len() > 5, "the damage reaches every part: {lengths:?}");
    assert_eq!(directory.recover().recovered.log.checkpoint(), states[20]);
}

#[test]
fn two_processes_do_not_write_one_journal() {
    let directory = Directory::new("lock");
    let (journal, _, _events) = open(&directory);
    let second = Journal::open(&directory.0, LocalTime::ZERO, |_| {});
    assert!(matches!(second, Err(JournalError::Locked { .. })));
    drop(journal);
    // Free again once the threads have ended.
    drop(open(&directory));
}

#[test]
fn cluster_time_goes_on_within_a_boot_and_stands_still_across_one() {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let (_, entries) = history(5);
    let last = entries[4].cluster_time;
    let directory = Directory::new("clock");
    fs::write(directory.file("1.log"), log_file(boot.trim(), &entries)).unwrap();
    let passed = LocalTime::from_millis(50_000).since(local(5));
    assert_eq!(directory.recover().recovered.cluster_time, last + passed);
    fs::write(directory.file("1.log"), log_file("another boot", &entries)).unwrap();
    let recovered = directory.recover().recovered;
    assert_eq!((recovered.cluster_time, recovered.rebooted), (last, true));
    // This machine was booted between the two: only what was written since tells the time.
    fs::write(directory.file("1.log"), log_file("another boot", &entries[..3])).unwrap();
    fs::write(directory.file("2.log"), log_file(boot.trim(), &entries[3..])).unwrap();
    assert_eq!(directory.recover().recovered.cluster_time, last + passed);
}

#[test]
fn epochs_are_kept_and_the_last_one_counts() {
    let directory = Directory::new("epochs");
    let (journal, _, events) = open(&directory);
    let mut durable = Durable::default();
    for number in 1..=3 {
        durable = Durable {
            epoch: Epoch { number, ..EPOCH },
            reserved: Epoch { number: number + 1, ..EPOCH },
            peer_level: Some(Level(2)),
            drain: [Drain::Ended, Drain::Calls, Drain::Never][number as usize - 1],
            alone_since: [None, None, Some(ClusterTime(7))][number as usize - 1],
        };
        journal.keep_durable(durable);
        wait_for(&events, JournalEvent::Reserved { durable });
    }
    drop(journal);
    let (_journal, opened, _events) = open(&directory);
    assert_eq!(opened.recovered.durable, durable);
}

#[test]
fn a_disk_that_refuses_is_told_of_and_the_journal_goes_on() {
    let directory = Directory::new("refuses");
    let (states, entries) = history(2);
    let (journal, _, events) = open(&directory);
    append(&journal, &entries[..1]);
    wait_for(&events, JournalEvent::Written { lsn: Lsn(1) });
    wait_until("the first checkpoint is complete", || directory.names() == ["2.checkpoint", "2.log"]);
    fs::remove_dir_all(directory.0.join(FOLDER)).unwrap();
    journal.checkpoint(local(1), Box::new(states[1].clone()));
    let failed = JournalEvent::Failed { operation: "begin a journal file", errno: nix::errno::Errno::ENOENT as i32 };
    wait_for(&events, failed);
    fs::create_dir_all(directory.0.join(FOLDER)).unwrap();
    journal.checkpoint(local(1), Box::new(states[1].clone()));
    append(&journal, &entries[1..]);
    wait_for(&events, JournalEvent::Written { lsn: Lsn(2) });
    wait_until("a checkpoint is complete", || directory.names().iter().any(|name| name.ends_with(".checkpoint")));
    assert_eq!(directory.copy("refuses-after").recover().recovered.log.checkpoint(), states[2]);
}

#[test]
fn a_directory_that_cannot_be_made_is_an_error() {
    let directory = Directory::new("no-directory");
    let path = directory.0.join("file");
    fs::write(&path, b"").unwrap();
    let opened = Journal::open(Path::new(&path), LocalTime::ZERO, |_| {});
    assert!(matches!(opened, Err(JournalError::File { operation: "create", .. })));
}
