//! What a node's daemon uses of the machine, as the kernel counts it.

use std::fs;

use super::Node;
use crate::LabError;

/// The kernel tells times in hundredths of a second, whatever its own clock is (USER_HZ).
const TICK_MS: f64 = 10.0;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Resident, in bytes.
    pub memory_bytes: u64,
    /// Since the daemon's start, in user and kernel mode, in milliseconds.
    pub cpu_ms: f64,
}

impl Node {
    pub fn usage(&self) -> Result<Usage, LabError> {
        let pid = self.daemon()?;
        let read = |name: &str| {
            let path = format!("/proc/{pid}/{name}");
            fs::read_to_string(&path).map_err(LabError::io(format!("reading {path}")))
        };
        let cpu_ms = ticks(&read("stat")?).unwrap_or(0) as f64 * TICK_MS;
        Ok(Usage { memory_bytes: resident_bytes(&read("status")?).unwrap_or(0), cpu_ms })
    }
}

/// `VmRSS` of proc_pid_status(5).
fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// `utime` and `stime` of proc_pid_stat(5), which come after a name that may have spaces and brackets.
fn ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_words_are_read() {
        assert_eq!(resident_bytes("Name:\tx\nVmRSS:\t    2048 kB\nThreads:\t7\n"), Some(2_097_152));
        let stat = "812 (tan) dem) S 1 812 812 0 -1 4194560 500 0 0 0 37 5 0 0 20 0 7 0 9000 1 2 3";
        assert_eq!(ticks(stat), Some(42));
        assert_eq!((resident_bytes(""), ticks("812 (x) S 1")), (None, None));
    }
}
