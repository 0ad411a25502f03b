//! Golden files: what one version left on a disk, every later one must read, and write as long as the pair's level asks
//! for it.
//!
//! `UPDATE=1` writes them anew; do so only in a new folder for a new level.

use base::{Epoch, Lsn, NodeIndex, Position, WallTime};
use node::replication::{Delta, Key};

use super::*;

const EPOCH: Epoch = Epoch { number: 3, node: NodeIndex(1) };
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/journal/files/golden");
const FILES: [&str; 3] = ["epochs", "journal/7.checkpoint", "journal/7.log"];

/// A state directory that is removed at the end of its test.
struct Directory(PathBuf);

impl Directory {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tandem-journal-golden-{test}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(path.join(FOLDER)).unwrap();
        Self(path)
    }

    fn open(&self) -> Files {
        Files { boot: "a-boot".to_owned(), ..Files::open(&self.0).unwrap() }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn entry(lsn: u64, id: &str, value: Option<&[u8]>) -> Entry {
    Entry {
        position: Position { epoch: EPOCH, lsn: Lsn(lsn) },
        cluster_time: ClusterTime::from_millis(lsn * 1_000),
        wall: WallTime(1_700_000_000_000_000),
        deltas: vec![Delta { key: Key::new(2, id), value: value.map(<[u8]>::to_vec) }],
    }
}

fn log() -> Log {
    Log::recover(Checkpoint::default(), [entry(1, "first", Some(&[1, 2, 3]))]).log
}

fn durable() -> Durable {
    Durable { epoch: EPOCH, reserved: EPOCH.next(NodeIndex(0)), ..Durable::default() }
}

fn golden(name: &str, level: u16) -> PathBuf {
    Path::new(GOLDEN).join(level.to_string()).join(format!("{}.hex", name.trim_start_matches("journal/")))
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.trim().as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

#[test]
fn files_of_the_first_level_are_written_as_ever() {
    let directory = Directory::new("written");
    let files = directory.open();
    files.write_checkpoint(7, LocalTime::from_millis(40_000), &log().checkpoint()).unwrap();
    let mut journal = files.create_log(7).unwrap();
    let mut records = Vec::new();
    for (at_ms, entry) in [(41_000, entry(2, "second", Some(&[4]))), (42_000, entry(3, "first", None))] {
        record(&mut records, LocalTime::from_millis(at_ms), &entry.encode());
    }
    journal.write_all(&records).unwrap();
    files.write_durable(durable()).unwrap();
    for name in FILES {
        let written = std::fs::read(directory.0.join(name)).unwrap();
        let hex: String = written.iter().map(|byte| format!("{byte:02x}")).collect();
        let path = golden(name, 1);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &hex).unwrap();
        }
        assert_eq!(hex, std::fs::read_to_string(&path).unwrap().trim(), "{name}");
    }
}

#[test]
fn files_of_the_first_level_are_read() {
    let directory = Directory::new("read");
    for name in FILES {
        let hex = std::fs::read_to_string(golden(name, 1)).unwrap();
        std::fs::write(directory.0.join(name), bytes(&hex)).unwrap();
    }
    let opened = directory.open().recover(LocalTime::from_millis(43_000)).unwrap();
    let mut expected = log();
    expected.apply(entry(2, "second", Some(&[4]))).unwrap();
    expected.apply(entry(3, "first", None)).unwrap();
    assert_eq!(opened.recovered.log.checkpoint(), expected.checkpoint());
    assert_eq!(opened.recovered.durable, durable());
    assert_eq!(opened.recovered.cluster_time, ClusterTime::from_millis(4_000));
    assert_eq!((opened.applied, opened.torn), (2, false));
}
