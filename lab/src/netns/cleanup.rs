//! Leaving nothing behind: namespaces and the processes in them go when their network goes, when the program is
//! stopped, and at the latest when the next run starts.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::thread;

use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;

use super::{COMMAND_LIMIT, NAME_BEGIN, NAMESPACE_DIRECTORY};
use crate::process;

/// Namespaces of this process that still exist.
static OWN: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Ends the program on ctrl-c, on SIGTERM and on a panic, after everything that it made has been removed. Call it
/// before any other thread is started: threads made earlier would still take the signals.
pub fn clean_up_on_signals() {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGTERM);
    if signals.thread_block().is_ok() {
        thread::spawn(move || {
            if signals.wait().is_ok() {
                remove_all();
                std::process::exit(130);
            }
        });
    }
    // A release build aborts on a panic, so that nothing would be dropped.
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        before(panic);
        remove_all();
    }));
}

pub(super) fn remember(namespace: &str) {
    OWN.lock().unwrap_or_else(PoisonError::into_inner).push(namespace.to_owned());
}

fn remove_all() {
    let own = OWN.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for namespace in own {
        remove(&namespace);
    }
    crate::disk::remove_all();
}

/// Removes namespaces whose maker does not live any more.
pub(super) fn remove_leftovers() {
    let Ok(entries) = fs::read_dir(NAMESPACE_DIRECTORY) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let mut parts = name.split('-');
        let ours = parts.next() == Some(NAME_BEGIN);
        let maker = parts.next().and_then(|part| part.parse::<u32>().ok());
        let Some(maker) = maker.filter(|_| ours) else { continue };
        if !Path::new(&format!("/proc/{maker}")).exists() {
            remove(&name);
        }
    }
}

/// Kills what runs in the namespace and removes it. What is gone already is fine.
pub(super) fn remove(namespace: &str) {
    let pids = process::run(Command::new("ip").args(["netns", "pids", namespace]), "", COMMAND_LIMIT);
    for pid in pids.unwrap_or_default().lines().filter_map(|line| line.trim().parse().ok()) {
        if pid != std::process::id() as i32 {
            // It may have ended meanwhile.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
    // Nobody can do more than try; the next run tries again.
    let _ = process::run(Command::new("ip").args(["netns", "del", namespace]), "", COMMAND_LIMIT);
    OWN.lock().unwrap_or_else(PoisonError::into_inner).retain(|name| name != namespace);
}
