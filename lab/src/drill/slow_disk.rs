//! Disks that are slow: they stand still most of the time, and work for a moment in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::LabError;
use crate::disk::Disk;

/// The longest sync measured beside one large writer took 694 ms.
const STILL: Duration = Duration::from_millis(700);
const WORKING: Duration = Duration::from_millis(50);

/// The slowness; it ends when this is dropped.
pub(super) struct SlowDisks {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl SlowDisks {
    pub(super) fn begin(disks: &[Arc<Disk>]) -> Result<Self, LabError> {
        let mut slow = Self { over: Arc::default(), threads: Vec::new() };
        for disk in disks {
            let (disk, over) = (Arc::clone(disk), Arc::clone(&slow.over));
            // The first time here, so that a disk that cannot be stopped is told.
            disk.freeze()?;
            let run = move || {
                loop {
                    thread::sleep(STILL);
                    // A disk that cannot be thawed is thawed again when it is unmounted.
                    let _ = disk.thaw();
                    thread::sleep(WORKING);
                    if over.load(Ordering::Relaxed) || disk.freeze().is_err() {
                        return;
                    }
                }
            };
            let thread = thread::Builder::new().name("slow-disk".to_owned()).spawn(run);
            slow.threads.push(thread.map_err(LabError::io("starting a slow disk"))?);
        }
        Ok(slow)
    }
}

impl Drop for SlowDisks {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
