//! A busy machine: programs that use every core, and writers that keep the disk full of work.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use phone::audio::Gap;

use super::absence::{self, Absences, Attendance};
use crate::LabError;
use crate::process::start;

/// Busy programs per core, so that the scheduler always has another one to run.
const BUSY_PER_CORE: usize = 2;

/// Programs that write without end.
const WRITERS: usize = 2;

/// Writes half a gigabyte again and again, each time until the disk has it, and over what it wrote before: a virtual
/// machine whose files are cut off returns their memory to its host, and is stopped when it wants it back.
const WRITE: &str =
    "while kill -0 $PPID; do dd if=/dev/zero of=\"$0\" bs=1M count=512 conv=notrunc,fdatasync 2>/dev/null; done";
/// Ends with who started it, too.
const SPIN: &str = "while kill -0 $PPID; do :; done";

/// The load; it ends when this is dropped.
pub(super) struct Flood {
    attendance: Option<Attendance>,
    programs: Vec<Child>,
    files: Vec<PathBuf>,
}

impl Flood {
    /// Floods every core, and the disk that `directory` is on.
    pub(super) fn begin(directory: &Path) -> Result<Self, LabError> {
        let attendance = Some(Attendance::begin()?);
        let mut flood = Self { attendance, programs: Vec::new(), files: Vec::new() };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..cores * BUSY_PER_CORE {
            flood.programs.push(start(&mut shell(SPIN))?);
        }
        for number in 0..WRITERS {
            let file = directory.join(format!("flood-{number}"));
            flood.programs.push(start(shell(WRITE).arg(&file))?);
            flood.files.push(file);
        }
        Ok(flood)
    }

    /// Ends the watch over the cores, and puts what the phones heard beside it.
    pub(super) fn absences(&mut self, gaps: &[Gap]) -> Absences {
        absence::judge(&self.attendance.take().map_or_else(Vec::new, Attendance::end), gaps)
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        for program in &mut self.programs {
            // The shell and the writer that it started are one group; one that has ended needs no signal.
            let _ = killpg(Pid::from_raw(program.id() as i32), Signal::SIGKILL);
            let _ = program.wait();
        }
        for file in &self.files {
            let _ = std::fs::remove_file(file);
        }
    }
}

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::null()).process_group(0);
    command
}
