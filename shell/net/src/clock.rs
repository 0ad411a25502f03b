//! This machine's clocks and its source of randomness, for the shell to hand to the core.

use std::fs::File;
use std::io::{self, Read};
use std::time::{SystemTime, UNIX_EPOCH};

use base::{LocalTime, Random, WallTime};
use nix::time::{ClockId, clock_gettime};

/// Microseconds of CLOCK_MONOTONIC, which all processes of one machine share: a stamp made by the daemon may be
/// compared with the parent's clock.
pub fn local_now() -> LocalTime {
    match clock_gettime(ClockId::CLOCK_MONOTONIC) {
        Ok(time) => LocalTime(time.tv_sec() as u64 * 1_000_000 + time.tv_nsec() as u64 / 1000),
        // The kernel refuses this clock only for a bad pointer, which cannot happen here.
        Err(_) => LocalTime::ZERO,
    }
}

/// Microseconds of the wall clock; zero while it stands before 1970.
pub fn wall_now() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    WallTime(since.as_micros() as u64)
}

/// `N` bytes from the operating system's random source.
pub fn random_bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// A random source seeded by the operating system.
pub fn random() -> io::Result<Random> {
    random_bytes().map(Random::from_seed)
}

/// Whether a time server disciplines this machine's clock (adjtimex(2)); `None` where the kernel does not tell.
#[allow(unsafe_code)]
pub fn is_synchronised() -> Option<bool> {
    // SAFETY: timex is a plain C struct for which all zeroes is a valid value: no modes, so that nothing is changed.
    let mut state: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a live struct of the type that adjtimex(2) fills.
    let result = unsafe { libc::adjtimex(&mut state) };
    (result >= 0).then_some(result != libc::TIME_ERROR && state.status & libc::STA_UNSYNC == 0)
}
