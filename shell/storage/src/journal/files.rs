//! The journal's files: their names, their records, and reading them back.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use base::{ClusterTime, LocalTime};
use minicbor::{Decode, Encode};
use nix::fcntl::{Flock, FlockArg};
use node::Recovered;
use node::cluster::{Drain, Durable};
use node::replication::{Checkpoint, Entry, Log};

use super::{FOLDER, JournalError, Opened, cluster_time_now};

/// Before a record's bytes: their length, the CRC-32 of local time and bytes, the local time.
const RECORD_HEAD: usize = 4 + 4 + 8;

/// The longest record that is read; a longer length is a torn or foreign file.
const RECORD_BYTES_MAX: usize = 1 << 30;

/// A process that was killed has its files until its memory is given back and its last thread has come back from the disk:
/// some milliseconds, and up to 700 beside a large writer (facts/linux.md).
const LOCK_WAIT: Duration = Duration::from_secs(2);
const LOCK_AGAIN: Duration = Duration::from_millis(1);

/// The first record of each file.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct Head {
    #[n(0)]
    format: u16,
    /// Local times mean something only within one boot of the machine.
    #[n(1)]
    boot: String,
}

const FORMAT: u16 = 1;

#[derive(Clone, Copy, Debug, Default, Encode, Decode)]
struct Epochs {
    #[n(0)]
    epoch: base::Epoch,
    #[n(1)]
    reserved: base::Epoch,
    #[n(2)]
    peer_level: Option<base::Level>,
    #[n(3)]
    drain: Option<Drain>,
    #[n(4)]
    alone_since: Option<ClusterTime>,
}

impl Epochs {
    fn of(durable: Durable) -> Self {
        let Durable { epoch, reserved, peer_level, drain, alone_since } = durable;
        Self { epoch, reserved, peer_level, drain: drain.is_on().then_some(drain), alone_since }
    }

    fn durable(self) -> Durable {
        let Self { epoch, reserved, peer_level, drain, alone_since } = self;
        Durable { epoch, reserved, peer_level, drain: drain.unwrap_or_default(), alone_since }
    }
}

pub(super) struct Files {
    state_dir: PathBuf,
    folder: PathBuf,
    boot: String,
    /// Held as long as the process lives, so that two do not write one journal.
    _lock: Flock<File>,
}

struct Record {
    local: LocalTime,
    bytes: Vec<u8>,
}

/// What one file held.
struct Contents {
    same_boot: bool,
    records: Vec<Record>,
    torn: bool,
}

impl Files {
    pub(super) fn open(state_dir: &Path) -> Result<Self, JournalError> {
        let folder = state_dir.join(FOLDER);
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&folder).map_err(file("create", &folder))?;
        let path = folder.join("lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let lock = lock.map_err(file("open", &path))?;
        let lock = take_lock(lock).ok_or_else(|| JournalError::Locked { path: folder.clone() })?;
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned();
        Ok(Self { state_dir: state_dir.to_owned(), folder, boot, _lock: lock })
    }

    /// Reads the newest complete checkpoint and every log from it on.
    pub(super) fn recover(&self, now: LocalTime) -> Result<Opened, JournalError> {
        let mut torn = false;
        let mut clock: Option<(ClusterTime, LocalTime)> = None;
        let mut checkpoint = Checkpoint::default();
        let mut from = 0;
        for number in self.numbers("checkpoint")?.into_iter().rev() {
            let contents = self.read(&self.path(number, "checkpoint"))?;
            let record = contents.records.into_iter().next();
            let read =
                record.and_then(|it| minicbor::decode::<Checkpoint>(&it.bytes).ok().map(|read| (read, it.local)));
            if let Some((read, local)) = read {
                clock = contents.same_boot.then_some((read.cluster_time, local));
                checkpoint = read;
                from = number;
                break;
            }
            torn = true;
        }
        let mut entries = Vec::new();
        for number in self.numbers("log")?.into_iter().filter(|number| *number >= from) {
            let contents = self.read(&self.path(number, "log"))?;
            torn |= contents.torn;
            for record in contents.records {
                let Ok(entry) = Entry::decode(&record.bytes) else {
                    torn = true;
                    break;
                };
                clock = if contents.same_boot { Some((entry.cluster_time, record.local)) } else { None };
                entries.push(entry);
            }
        }
        let recovery = Log::recover(checkpoint, entries);
        let cluster_time = match clock {
            Some((cluster, local)) => cluster_time_now(cluster, local, now),
            None => recovery.log.cluster_time(),
        };
        let mut durable = self.read_durable();
        durable.epoch = durable.epoch.max(recovery.log.position().epoch);
        let recovered = Recovered { log: recovery.log, durable, cluster_time, rebooted: clock.is_none() };
        Ok(Opened { recovered, applied: recovery.applied, stopped: recovery.stopped, torn })
    }

    /// The number after every one in use.
    pub(super) fn next_number(&self) -> Result<u64, JournalError> {
        let logs = self.numbers("log")?.into_iter().max().unwrap_or(0);
        Ok(logs.max(self.numbers("checkpoint")?.into_iter().max().unwrap_or(0)) + 1)
    }

    pub(super) fn create_log(&self, number: u64) -> Result<File, JournalError> {
        let path = self.path(number, "log");
        let mut log = self.create(&path)?;
        log.write_all(&self.head()).map_err(file("write", &path))?;
        Ok(log)
    }

    pub(super) fn log_path(&self, number: u64) -> PathBuf {
        self.path(number, "log")
    }

    /// Writes a checkpoint, synced before its name appears, and removes what it makes useless.
    pub(super) fn write_checkpoint(
        &self,
        number: u64,
        local: LocalTime,
        checkpoint: &Checkpoint,
    ) -> Result<(), JournalError> {
        let path = self.path(number, "checkpoint");
        let temporary = self.folder.join(format!("{number}.checkpoint.new"));
        let mut out = self.create(&temporary)?;
        let mut bytes = self.head();
        record(&mut bytes, local, &encoded(checkpoint));
        out.write_all(&bytes).map_err(file("write", &temporary))?;
        out.sync_all().map_err(file("sync", &temporary))?;
        std::fs::rename(&temporary, &path).map_err(file("rename", &path))?;
        self.sync_folder(&self.folder)?;
        for kind in ["log", "checkpoint"] {
            for old in self.numbers(kind)?.into_iter().filter(|old| *old < number) {
                let path = self.path(old, kind);
                std::fs::remove_file(&path).map_err(file("remove", &path))?;
            }
        }
        Ok(())
    }

    pub(super) fn write_durable(&self, durable: Durable) -> Result<(), JournalError> {
        let path = self.state_dir.join("epochs");
        let temporary = self.state_dir.join("epochs.new");
        let mut out = self.create(&temporary)?;
        let mut bytes = Vec::new();
        record(&mut bytes, LocalTime::ZERO, &encoded(&Epochs::of(durable)));
        out.write_all(&bytes).map_err(file("write", &temporary))?;
        out.sync_all().map_err(file("sync", &temporary))?;
        std::fs::rename(&temporary, &path).map_err(file("rename", &path))?;
        self.sync_folder(&self.state_dir)
    }

    fn read_durable(&self) -> Durable {
        let bytes = std::fs::read(self.state_dir.join("epochs")).unwrap_or_default();
        let (records, _) = records(&bytes);
        let epochs = records.first().and_then(|record| minicbor::decode::<Epochs>(&record.bytes).ok());
        epochs.map(Epochs::durable).unwrap_or_default()
    }

    fn sync_folder(&self, folder: &Path) -> Result<(), JournalError> {
        let opened = File::open(folder).map_err(file("open", folder))?;
        opened.sync_all().map_err(file("sync", folder))
    }

    fn create(&self, path: &Path) -> Result<File, JournalError> {
        let options = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(path);
        options.map_err(file("create", path))
    }

    fn head(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        record(&mut bytes, LocalTime::ZERO, &encoded(&Head { format: FORMAT, boot: self.boot.clone() }));
        bytes
    }

    fn read(&self, path: &Path) -> Result<Contents, JournalError> {
        let mut bytes = Vec::new();
        let mut opened = File::open(path).map_err(file("open", path))?;
        opened.read_to_end(&mut bytes).map_err(file("read", path))?;
        let (mut records, torn) = records(&bytes);
        let head = (!records.is_empty()).then(|| records.remove(0));
        let head =
            head.and_then(|head| minicbor::decode::<Head>(&head.bytes).ok()).filter(|head| head.format == FORMAT);
        Ok(match head {
            Some(head) => Contents { same_boot: head.boot == self.boot, records, torn },
            None => Contents { same_boot: false, records: Vec::new(), torn: true },
        })
    }

    fn path(&self, number: u64, kind: &str) -> PathBuf {
        self.folder.join(format!("{number}.{kind}"))
    }

    /// The numbers of the files of a kind, ascending.
    fn numbers(&self, kind: &str) -> Result<Vec<u64>, JournalError> {
        let entries = std::fs::read_dir(&self.folder).map_err(file("list", &self.folder))?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let number = |name: String| name.strip_suffix(kind)?.strip_suffix('.')?.parse().ok();
        let mut numbers: Vec<u64> = names.filter_map(number).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }
}

/// Puts one record behind the others.
pub(super) fn record(out: &mut Vec<u8>, local: LocalTime, bytes: &[u8]) {
    let time = local.as_micros().to_be_bytes();
    let mut crc = crc32fast::Hasher::new();
    crc.update(&time);
    crc.update(bytes);
    out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(&crc.finalize().to_be_bytes());
    out.extend_from_slice(&time);
    out.extend_from_slice(bytes);
}

/// Reads records up to the first that is not whole; true when there was one.
fn records(mut bytes: &[u8]) -> (Vec<Record>, bool) {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let Some((read, rest)) = one_record(bytes) else { return (records, true) };
        records.push(read);
        bytes = rest;
    }
    (records, false)
}

fn one_record(bytes: &[u8]) -> Option<(Record, &[u8])> {
    let (head, rest) = bytes.split_at_checked(RECORD_HEAD)?;
    let length = u32::from_be_bytes(head[..4].try_into().ok()?) as usize;
    let sum = u32::from_be_bytes(head[4..8].try_into().ok()?);
    let time = &head[8..];
    if length > RECORD_BYTES_MAX {
        return None;
    }
    let (body, rest) = rest.split_at_checked(length)?;
    let mut crc = crc32fast::Hasher::new();
    crc.update(time);
    crc.update(body);
    let local = LocalTime(u64::from_be_bytes(time.try_into().ok()?));
    (crc.finalize() == sum).then(|| (Record { local, bytes: body.to_vec() }, rest))
}

fn encoded<T: Encode<()>>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    match minicbor::encode(value, &mut bytes) {
        Ok(()) => bytes,
        Err(_) => unreachable!("writing to memory is infallible"),
    }
}

fn file<'p>(operation: &'static str, path: &'p Path) -> impl FnOnce(std::io::Error) -> JournalError + 'p {
    move |source| JournalError::File { operation, path: path.to_owned(), source }
}

/// Makes what was written to a file survive a power cut.
pub(super) fn sync_data(log: &File) -> std::io::Result<()> {
    nix::unistd::fdatasync(log.as_fd()).map_err(std::io::Error::from)
}

/// A node that was killed and is started again at once may find its former life still ending.
fn take_lock(mut file: File) -> Option<Flock<File>> {
    let until = Instant::now() + LOCK_WAIT;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Some(lock),
            Err(_) if Instant::now() >= until => return None,
            Err((unlocked, _)) => file = unlocked,
        }
        thread::sleep(LOCK_AGAIN);
    }
}

#[cfg(test)]
mod tests;
