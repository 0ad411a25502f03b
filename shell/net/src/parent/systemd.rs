//! What systemd is told of the node (sd_notify(3)): that it is ready, that it stops, and signs of life for the unit's
//! `WatchdogSec`. Without systemd nothing is told.
//!
//! The crates for this wait when systemd does not read; the parent must not, because it renews the address.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use base::LocalTime;

/// Where messages go: a path, or an abstract name after `@`.
const SOCKET_VARIABLE: &str = "NOTIFY_SOCKET";

/// The longest silence that systemd permits, in microseconds...
const WATCHDOG_VARIABLE: &str = "WATCHDOG_USEC";
/// ...of the process with this number; of whoever reads it, if it is not set.
const WATCHDOG_PROCESS_VARIABLE: &str = "WATCHDOG_PID";

/// What the daemon must not inherit: its words would be taken for the parent's.
pub(super) const VARIABLES: [&str; 3] = [SOCKET_VARIABLE, WATCHDOG_VARIABLE, WATCHDOG_PROCESS_VARIABLE];

/// Signs of life within the permitted silence. sd_watchdog_enabled(3) asks for two; with four, two may be lost.
const SIGNS_PER_SILENCE: u32 = 4;

/// The way to systemd.
#[derive(Debug)]
pub(super) struct Systemd {
    socket: UnixDatagram,
    is_ready: bool,
    watchdog: Option<Watchdog>,
}

#[derive(Debug)]
struct Watchdog {
    every: Duration,
    next: LocalTime,
}

impl Systemd {
    /// `None` when the environment names no socket, or none that can be reached: the node runs all the same.
    pub fn from_environment() -> Option<Self> {
        let socket = std::env::var_os(SOCKET_VARIABLE)?;
        let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
        let is_ours = number(WATCHDOG_PROCESS_VARIABLE).is_none_or(|process| process == u64::from(std::process::id()));
        let silence = number(WATCHDOG_VARIABLE).filter(|_| is_ours).map(Duration::from_micros);
        match Self::connect(&socket, silence) {
            Ok(systemd) => Some(systemd),
            Err(error) => {
                tracing::warn!(%error, ?socket, "systemd cannot be told how the node is");
                None
            }
        }
    }

    /// `silence_max`: what the watchdog permits; `None` without one.
    pub fn connect(name: &OsStr, silence_max: Option<Duration>) -> io::Result<Self> {
        let address = match name.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(name)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        socket.connect_addr(&address)?;
        let every = silence_max.map(|silence| silence / SIGNS_PER_SILENCE).filter(|every| !every.is_zero());
        let watchdog = every.map(|every| Watchdog { every, next: LocalTime::ZERO });
        Ok(Self { socket, is_ready: false, watchdog })
    }

    /// To be called in each round of the parent's loop: a loop that is stuck is silent. `has_served`: a daemon has
    /// come up; `is_well`: see `Watch::is_well`.
    pub fn tell(&mut self, now: LocalTime, has_served: bool, is_well: bool) {
        // What systemd has no room for is said again in the next round.
        if has_served && !self.is_ready {
            self.is_ready = self.say("READY=1");
        }
        let due = self.watchdog.as_ref().is_some_and(|watchdog| is_well && watchdog.next <= now);
        if due && self.say("WATCHDOG=1") {
            self.watchdog.iter_mut().for_each(|watchdog| watchdog.next = now + watchdog.every);
        }
    }

    /// The node was told to stop, by systemd or by somebody else.
    pub fn tell_stopping(&self) {
        self.say("STOPPING=1");
    }

    fn say(&self, words: &str) -> bool {
        self.socket.send(words.as_bytes()).is_ok()
    }
}

#[cfg(test)]
mod tests;
