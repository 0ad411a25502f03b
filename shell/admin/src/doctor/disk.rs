//! Owns what is looked at on the disk that holds the node's state: room, kind, and how long a sync takes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use nix::sys::statvfs::statvfs;

use super::Finding;

/// The journal's two files and call records of some weeks.
const FREE_BYTES_WANTED: u64 = 1024 * 1024 * 1024;
/// Less than this is filled by a journal of 64 MiB and its checkpoint.
const FREE_BYTES_MIN: u64 = 256 * 1024 * 1024;

/// Syncs that are measured, of so many bytes each: what a busy PBX writes between two of them.
const SYNCS: usize = 20;
const SYNC_BYTES: usize = 4096;

/// The declared window of what a power cut of both machines may take is 100 ms.
const WORST_WANTED: Duration = Duration::from_millis(100);
/// Nobody waits for a sync on the path of a call, but a disk this slow fails in other ways as well.
const WORST_MAX: Duration = Duration::from_secs(1);

pub(super) fn findings(state_dir: &Path) -> Vec<Finding> {
    let Some(place) = existing(state_dir) else {
        return vec![Finding::problem("state", format!("{} cannot be made", state_dir.display()), "correct state_dir")];
    };
    vec![kind(&place), room(&place), latency(&place)]
}

/// The directory itself, or what it will be made in.
fn existing(directory: &Path) -> Option<PathBuf> {
    directory.ancestors().find(|path| path.is_dir()).map(Path::to_owned)
}

fn kind(place: &Path) -> Finding {
    const CHECK: &str = "state";
    match statfs(place) {
        Ok(found) if found.filesystem_type() == TMPFS_MAGIC => Finding::problem(
            CHECK,
            format!("{} is in memory: a reboot takes registrations, calls and call records", place.display()),
            "set state_dir to a directory on a disk",
        ),
        Ok(_) => Finding::ok(CHECK, place.display().to_string()),
        Err(error) => Finding::unknown(CHECK, format!("{}: {}", place.display(), error.desc())),
    }
}

fn room(place: &Path) -> Finding {
    const CHECK: &str = "disk space";
    let Ok(found) = statvfs(place) else { return Finding::unknown(CHECK, "the file system does not tell") };
    let free = found.blocks_available().saturating_mul(found.fragment_size());
    // File systems without a fixed number of inodes say 0 of 0.
    let inodes_gone = found.files() > 0 && found.files_available() == 0;
    verdict_of_room(free, inodes_gone)
}

fn verdict_of_room(free: u64, inodes_gone: bool) -> Finding {
    const CHECK: &str = "disk space";
    let text = format!("{} MiB free", free / 1024 / 1024);
    let todo = "make room: without it a restart or a power cut loses registrations, calls and call records";
    if inodes_gone {
        Finding::problem(CHECK, "no inode is free", todo)
    } else if free < FREE_BYTES_MIN {
        Finding::problem(CHECK, text, todo)
    } else if free < FREE_BYTES_WANTED {
        Finding::warning(CHECK, text, todo)
    } else {
        Finding::ok(CHECK, text)
    }
}

fn latency(place: &Path) -> Finding {
    const CHECK: &str = "disk sync";
    match measure(place) {
        Ok(times) => verdict_of_times(times),
        Err(error) => Finding::problem(CHECK, format!("cannot write in {}: {error}", place.display()), "run as root"),
    }
}

fn verdict_of_times(mut times: Vec<Duration>) -> Finding {
    const CHECK: &str = "disk sync";
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    let worst = times.last().copied().unwrap_or_default();
    let millis = |time: Duration| time.as_secs_f64() * 1000.0;
    let text = format!("fdatasync takes {:.1} ms, worst of {} {:.1} ms", millis(median), times.len(), millis(worst));
    let todo = "calls do not wait for it, but a power cut of both machines takes as much; find what else writes to it";
    if worst >= WORST_MAX {
        Finding::problem(CHECK, text, todo)
    } else if worst >= WORST_WANTED {
        Finding::warning(CHECK, text, todo)
    } else {
        Finding::ok(CHECK, text)
    }
}

fn measure(place: &Path) -> io::Result<Vec<Duration>> {
    let path = place.join(format!(".doctor-{}", std::process::id()));
    let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
    let times = syncs(file);
    fs::remove_file(&path)?;
    times
}

fn syncs(mut file: File) -> io::Result<Vec<Duration>> {
    let block = [0; SYNC_BYTES];
    let mut sync = || {
        file.write_all(&block)?;
        let begun = Instant::now();
        file.sync_data()?;
        Ok(begun.elapsed())
    };
    (0..SYNCS).map(|_| sync()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn little_room_is_told_before_there_is_none() {
        let verdict = |free, gone| verdict_of_room(free, gone).verdict;
        assert_eq!(verdict(FREE_BYTES_WANTED, false), Verdict::Ok);
        assert_eq!(verdict(FREE_BYTES_WANTED - 1, false), Verdict::Warning);
        assert_eq!(verdict(FREE_BYTES_MIN - 1, false), Verdict::Problem);
        assert_eq!(verdict(u64::MAX, true), Verdict::Problem);
    }

    #[test]
    fn the_worst_sync_decides() {
        let times = |worst| vec![Duration::from_millis(1), worst, Duration::from_millis(2)];
        assert_eq!(verdict_of_times(times(Duration::from_millis(3))).verdict, Verdict::Ok);
        assert_eq!(verdict_of_times(times(WORST_WANTED)).verdict, Verdict::Warning);
        assert_eq!(verdict_of_times(times(WORST_MAX)).verdict, Verdict::Problem);
    }

    #[test]
    fn measuring_leaves_nothing_behind() {
        let place = std::env::temp_dir().join(format!("tandem-doctor-disk-{}", std::process::id()));
        fs::create_dir_all(&place).unwrap();
        assert_eq!(measure(&place).unwrap().len(), SYNCS);
        assert_eq!(fs::read_dir(&place).unwrap().count(), 0);
        assert_eq!(existing(&place.join("a/b")), Some(place.clone()));
        fs::remove_dir_all(&place).unwrap();
    }
}
