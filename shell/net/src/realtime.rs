//! Real-time scheduling and locked memory, for the threads that must notice within milliseconds.

use std::cell::Cell;
use std::io;
use std::thread;

use nix::sys::mman::{MlockAllFlags, mlockall};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

thread_local! {
    static IS_REALTIME: Cell<bool> = const { Cell::new(false) };
}

/// Gives the calling thread SCHED_FIFO with `priority` (1 to 99). Threads and processes it starts do not inherit it.
/// Returns false, after a warning in the log, where the system does not permit it: everything works, less promptly.
pub fn become_realtime(priority: u8) -> bool {
    match set_fifo(priority) {
        Ok(()) => {
            IS_REALTIME.set(true);
            true
        }
        Err(error) => {
            tracing::warn!(priority, %error, "real-time scheduling is not permitted; a busy machine may stall us");
            false
        }
    }
}

#[allow(unsafe_code)]
fn set_fifo(priority: u8) -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: i32::from(priority) };
    // SAFETY: the pointer is to a live struct of the type that sched_setscheduler(2) reads; 0 is the calling thread.
    let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, &parameters) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Lets threads of the same real-time priority run that wait for this core. An ordinary thread goes on: it would be waiting
/// for every program of the machine.
pub fn let_others_go() {
    if IS_REALTIME.get() {
        thread::yield_now();
    }
}

/// Locks all present and future memory of the process, so that no page fault waits for a disk.
pub fn lock_memory() -> io::Result<()> {
    Ok(mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE)?)
}

/// Raises the soft limit of open files to the hard one; returns the limit now in force.
pub fn raise_open_files_limit() -> io::Result<u64> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(hard)
}
