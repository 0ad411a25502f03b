//! Disks that can fail: an ext4 file system in an image, mounted through a loop device. It can be full, it can stand
//! still, and it can lose power, which leaves it with what was synced and what its journal had happened to write. A disk
//! of memory can be full, no more.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::syncfs;

use crate::{LabError, process};

/// Room for the state of a drill's node many times over, and filled within a moment.
const SIZE_BYTES: u64 = 64 * 1024 * 1024;

/// Making, mounting and freezing take milliseconds, and seconds beside a flooded disk.
const COMMAND_LIMIT: Duration = Duration::from_secs(30);

/// How long processes that were killed may keep the file system in use.
const UNMOUNT_LIMIT: Duration = Duration::from_secs(10);

/// `EXT4_IOC_SHUTDOWN`, `_IOR('X', 125, __u32)` of the kernel's fs/ext4/ext4.h: the file system takes nothing any more.
const SHUTDOWN: libc::Ioctl = 0x8004_587d_u32 as libc::Ioctl;

/// `EXT4_GOING_FLAGS_NOLOGFLUSH`: not even the journal in memory is written.
const WITHOUT_FLUSH: u32 = 2;

/// The file that takes the room.
const FILLER: &str = "filler";

/// Mount points of this process that are in use.
static OWN: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// One disk, mounted as long as it lives.
#[derive(Debug)]
pub struct Disk {
    kind: Kind,
    mount_point: PathBuf,
}

#[derive(Debug)]
enum Kind {
    Image(PathBuf),
    Memory { size_bytes: u64 },
}

impl Disk {
    /// Makes the disk in the file `image` and mounts it on the directory. Both must lie in a directory that
    /// [`share`] has prepared.
    pub fn make(image: &Path, mount_point: &Path) -> Result<Self, LabError> {
        Self::make_of(SIZE_BYTES, image, mount_point)
    }

    /// The same with another size. The image takes only the room that is used of it.
    pub fn make_of(size_bytes: u64, image: &Path, mount_point: &Path) -> Result<Self, LabError> {
        let failed = || LabError::io(format!("making {}", image.display()));
        File::create(image).and_then(|file| file.set_len(size_bytes)).map_err(failed())?;
        fs::create_dir_all(mount_point).map_err(failed())?;
        let mut command = Command::new("mkfs.ext4");
        command.args(["-q", "-F", "-m", "0", "-O", "^resize_inode"]).arg(image);
        process::run(&mut command, "", COMMAND_LIMIT)?;
        let disk = Self { kind: Kind::Image(image.to_owned()), mount_point: mount_point.to_owned() };
        disk.mount()?;
        Ok(disk)
    }

    /// A disk of memory, empty, for programs that would find an image's own folder in their way.
    pub fn of_memory(size_bytes: u64, mount_point: &Path) -> Result<Self, LabError> {
        fs::create_dir_all(mount_point).map_err(LabError::io(format!("making {}", mount_point.display())))?;
        let disk = Self { kind: Kind::Memory { size_bytes }, mount_point: mount_point.to_owned() };
        disk.mount()?;
        Ok(disk)
    }

    fn mount(&self) -> Result<(), LabError> {
        let mut command = Command::new("mount");
        match &self.kind {
            Kind::Image(image) => command.args(["-o", "loop,noatime"]).arg(image),
            Kind::Memory { size_bytes } => command.args(["-t", "tmpfs", "-o", &format!("size={size_bytes}"), "tmpfs"]),
        };
        command.arg(&self.mount_point);
        OWN.lock().unwrap_or_else(PoisonError::into_inner).push(self.mount_point.clone());
        process::run(&mut command, "", COMMAND_LIMIT).map(drop)
    }

    /// Writes until no room is left.
    pub fn fill(&self) -> Result<(), LabError> {
        let path = self.mount_point.join(FILLER);
        let failed = || LabError::io(format!("filling {}", path.display()));
        let mut filler = File::options().create(true).append(true).open(&path).map_err(failed())?;
        // Ever smaller pieces, down to the last block.
        for bytes in [1024 * 1024, 4096, 1] {
            let piece = vec![0; bytes];
            loop {
                match filler.write(&piece) {
                    Ok(_) => {}
                    Err(error) if error.raw_os_error() == Some(libc::ENOSPC) => break,
                    Err(error) => return Err(failed()(error)),
                }
            }
        }
        Ok(())
    }

    /// Gives the room back: at once, and not when the journal is written the next time.
    pub fn clear(&self) -> Result<(), LabError> {
        let path = self.mount_point.join(FILLER);
        let failed = || LabError::io(format!("removing {}", path.display()));
        fs::remove_file(&path).map_err(failed())?;
        self.sync()
    }

    /// What was written so far survives [`Self::lose_power`].
    pub fn sync(&self) -> Result<(), LabError> {
        let failed = || LabError::io(format!("syncing {}", self.mount_point.display()));
        let mounted = File::open(&self.mount_point).map_err(failed())?;
        syncfs(mounted).map_err(|errno| failed()(errno.into()))
    }

    /// Nothing is written any more; whoever tries waits.
    pub fn freeze(&self) -> Result<(), LabError> {
        process::run(Command::new("fsfreeze").arg("--freeze").arg(&self.mount_point), "", COMMAND_LIMIT).map(drop)
    }

    pub fn thaw(&self) -> Result<(), LabError> {
        process::run(Command::new("fsfreeze").arg("--unfreeze").arg(&self.mount_point), "", COMMAND_LIMIT).map(drop)
    }

    /// What is in memory only is lost, and the disk takes nothing until [`Self::power_on`]. The cache within a real
    /// disk is not simulated: what the kernel was told to be on the disk, is.
    pub fn lose_power(&self) -> Result<(), LabError> {
        let opened = File::open(&self.mount_point);
        let opened = opened.map_err(LabError::io(format!("opening {}", self.mount_point.display())))?;
        shut_down(&opened).map_err(LabError::io(format!("shutting down {}", self.mount_point.display())))
    }

    /// Mounts what the disk still has. Nobody may use it any more.
    pub fn power_on(&self) -> Result<(), LabError> {
        self.unmount()?;
        self.mount()
    }

    fn unmount(&self) -> Result<(), LabError> {
        let begun = Instant::now();
        loop {
            match umount2(&self.mount_point, MntFlags::empty()) {
                Ok(()) => break,
                Err(nix::errno::Errno::EBUSY) if begun.elapsed() < UNMOUNT_LIMIT => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(errno) => {
                    let operation = format!("unmounting {}", self.mount_point.display());
                    return Err(LabError::Io { operation, source: errno.into() });
                }
            }
        }
        OWN.lock().unwrap_or_else(PoisonError::into_inner).retain(|own| *own != self.mount_point);
        Ok(())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        detach(&self.mount_point);
        OWN.lock().unwrap_or_else(PoisonError::into_inner).retain(|own| *own != self.mount_point);
    }
}

/// Prepares a directory for disks: what is mounted and unmounted in it later is so for processes as well that have
/// mounts of their own, as those that `ip netns exec` starts.
pub fn share(directory: &Path) -> Result<(), LabError> {
    let failed = |errno: nix::errno::Errno| LabError::Io {
        operation: format!("sharing the mounts of {}", directory.display()),
        source: errno.into(),
    };
    let none: Option<&str> = None;
    mount(Some(directory), directory, none, MsFlags::MS_BIND, none).map_err(failed)?;
    OWN.lock().unwrap_or_else(PoisonError::into_inner).insert(0, directory.to_owned());
    mount(none, directory, none, MsFlags::MS_SHARED, none).map_err(failed)
}

/// Undoes [`share`].
pub fn unshare(directory: &Path) {
    detach(directory);
    OWN.lock().unwrap_or_else(PoisonError::into_inner).retain(|own| own != directory);
}

/// Unmounts everything that this process has mounted.
pub(crate) fn remove_all() {
    let own = OWN.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for mount_point in own.iter().rev() {
        detach(mount_point);
    }
}

/// Nobody sees the disk any more; it goes when the last process that uses it does. A disk that stands still would keep
/// that process for ever.
fn detach(mount_point: &Path) {
    // One that is not frozen says so, which is as good.
    let _ = process::output(Command::new("fsfreeze").arg("--unfreeze").arg(mount_point), "", COMMAND_LIMIT);
    let _ = umount2(mount_point, MntFlags::MNT_DETACH);
}

#[allow(unsafe_code)]
fn shut_down(opened: &File) -> std::io::Result<()> {
    let flags: u32 = WITHOUT_FLUSH;
    // SAFETY: the descriptor is open for the whole call, which reads the four bytes that the pointer names.
    let result = unsafe { libc::ioctl(opened.as_raw_fd(), SHUTDOWN, &raw const flags) };
    if result < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
