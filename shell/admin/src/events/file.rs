//! Owns the file of events: a line of JSON each, and beside it the file before it, so that the newest are always there
//! and the disk never fills.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::Event;

/// Some five thousand events; with the file before it twice as many. Then the oldest half goes.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024;

const NAME: &str = "events.jsonl";
const NAME_BEFORE: &str = "events.1.jsonl";

/// Appends events. One process at a time does so: the one that holds the state directory.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    before: PathBuf,
    file: File,
    bytes: u64,
    /// The last line may be half there: the disk was full.
    torn: bool,
}

impl EventFile {
    /// Goes on where the last life ended.
    pub fn open(state_dir: &Path) -> io::Result<Self> {
        let (path, before) = (state_dir.join(NAME), state_dir.join(NAME_BEFORE));
        let file = open(&path)?;
        let bytes = file.metadata()?.len();
        let torn = bytes > 0 && !ends_a_line(&path)?;
        Ok(Self { path, before, file, bytes, torn })
    }

    /// Writes and syncs: the caller is a thread that may wait for the disk.
    pub fn append(&mut self, event: &Event) -> io::Result<()> {
        // A line that a power cut or a full disk tore must not spoil this one.
        let mut line = if self.torn { vec![b'\n'] } else { Vec::new() };
        serde_json::to_writer(&mut line, event)?;
        line.push(b'\n');
        let length = u64::try_from(line.len()).unwrap_or(u64::MAX);
        if self.bytes.saturating_add(length) > FILE_BYTES_MAX && self.bytes > 0 {
            fs::rename(&self.path, &self.before)?;
            self.file = open(&self.path)?;
            self.bytes = 0;
        }
        self.torn = true;
        self.file.write_all(&line)?;
        self.torn = false;
        self.bytes += length;
        self.file.sync_data()
    }
}

/// All events that are kept, oldest first. Lines that cannot be read, such as one that is just being written, are left
/// out; so is everything where there is no file.
pub fn read(state_dir: &Path) -> io::Result<Vec<Event>> {
    let mut events: Vec<Event> = Vec::new();
    // The present file first: when the files change over meanwhile, its lines are read twice, and none is missed.
    for name in [NAME, NAME_BEFORE] {
        let file = match File::open(state_dir.join(name)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        // A file that was made longer by hand is read no further than any of ours may be.
        let lines = BufReader::new(file.take(FILE_BYTES_MAX * 2)).split(b'\n');
        for line in lines {
            events.extend(serde_json::from_slice::<Event>(&line?).ok());
        }
    }
    events.sort_by_key(|event| event.number);
    events.dedup_by_key(|event| event.number);
    Ok(events)
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

fn ends_a_line(path: &Path) -> io::Result<bool> {
    use std::io::{Seek, SeekFrom};
    let mut file = File::open(path)?;
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}
