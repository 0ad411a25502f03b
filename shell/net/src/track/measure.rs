//! One measurement of each kind.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::sys::statvfs::statvfs;
use nix::unistd::Pid;

use super::{Found, Subject};
use crate::clock::random_bytes;
use crate::echo::Echo;
use crate::netlink::Addresses;

/// What a measurement may take beyond its own time limit, at which a script is killed.
pub const SLACK: Duration = Duration::from_millis(100);

/// How often a script is asked whether it has ended.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A number with its sign and some white space. More is no file of a number.
const NUMBER_BYTES_MAX: u64 = 64;

/// What is written to find out whether a disk takes anything, under a name that says whose it is.
const TRIAL_NAME: &str = ".tandem-track";

/// What one subject's measurements keep between them.
pub struct Meter {
    subject: Subject,
    addresses: Option<Addresses>,
    echo: Option<Echo>,
    /// The last number that was read.
    number: i64,
    /// Why the last measurement could not be made, told once.
    told: Option<String>,
}

impl Meter {
    pub fn new(subject: Subject) -> Self {
        Self { subject, addresses: None, echo: None, number: 0, told: None }
    }

    pub fn measure(&mut self, timeout: Duration) -> Found {
        let result = match &self.subject {
            Subject::Interface(interface) => carrier(&mut self.addresses, interface),
            Subject::Gateway(address) => answers(&mut self.echo, *address, timeout),
            Subject::Process(name) => runs(name),
            Subject::Disk { path, free_bytes_min } => has_room(path, *free_bytes_min),
            Subject::Script { command } => succeeds(command, timeout),
            Subject::File(path) => return self.number(&path.clone()),
        };
        match result {
            Ok(well) => {
                self.told = None;
                if well { Found::Well } else { Found::Failing }
            }
            Err(error) => {
                self.tell(error.to_string());
                Found::Failing
            }
        }
    }

    /// A file that is not there counts as zero; what cannot be read changes nothing.
    fn number(&mut self, path: &Path) -> Found {
        match number_in(path) {
            Ok(number) => {
                self.told = None;
                self.number = number;
            }
            Err(error) => self.tell(error.to_string()),
        }
        Found::Number(self.number)
    }

    fn tell(&mut self, text: String) {
        if self.told.as_ref() != Some(&text) {
            tracing::warn!(subject = ?self.subject, "cannot measure: {text}");
            self.told = Some(text);
        }
    }
}

fn carrier(addresses: &mut Option<Addresses>, interface: &str) -> io::Result<bool> {
    let open = match addresses.take() {
        Some(open) => open,
        None => Addresses::open().map_err(io::Error::other)?,
    };
    addresses.insert(open).carrier(interface).map_err(io::Error::other)
}

fn answers(echo: &mut Option<Echo>, address: std::net::IpAddr, timeout: Duration) -> io::Result<bool> {
    let open = match echo.take() {
        Some(open) => open,
        None => Echo::open(address, u16::from_ne_bytes(random_bytes()?)).map_err(io::Error::other)?,
    };
    echo.insert(open).ask(timeout).map_err(io::Error::other)
}

/// Looks for a process whose name, or whose program's file name, is this one (proc(5)).
fn runs(name: &str) -> io::Result<bool> {
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(|pid| pid.bytes().all(|byte| byte.is_ascii_digit()))
            && is_of_name(&entry.path(), name)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// One that ends while it is looked at is none. A zombie has no program any more.
fn is_of_name(process: &Path, name: &str) -> bool {
    let line = fs::read(process.join("cmdline")).unwrap_or_default();
    if line.is_empty() {
        return false;
    }
    let program = line.split(|byte| *byte == 0).next().unwrap_or_default();
    let file_name = program.rsplit(|byte| *byte == b'/').next();
    let comm = fs::read_to_string(process.join("comm")).unwrap_or_default();
    file_name == Some(name.as_bytes()) || comm.trim_end() == name
}

fn has_room(folder: &Path, free_bytes_min: u64) -> io::Result<bool> {
    let disk = statvfs(folder)?;
    let free = disk.blocks_available().saturating_mul(disk.fragment_size());
    if free < free_bytes_min {
        return Ok(false);
    }
    let trial = folder.join(TRIAL_NAME);
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(&trial)?;
    let written = file.write_all(b"tandem\n");
    // Whether or not it was written, nothing stays behind.
    fs::remove_file(&trial)?;
    written.map(|()| true)
}

/// Exit code 0. A script that takes too long is killed with everything that it has started.
fn succeeds(command: &str, timeout: Duration) -> io::Result<bool> {
    let until = Instant::now() + timeout;
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", command]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    let mut script = shell.spawn()?;
    loop {
        if let Some(status) = script.try_wait()? {
            return Ok(status.success());
        }
        if Instant::now() >= until {
            end(&mut script);
            return Ok(false);
        }
        thread::sleep(LOOK_EVERY);
    }
}

fn end(script: &mut Child) {
    // It may have ended this very moment.
    let _ = i32::try_from(script.id()).map(|group| killpg(Pid::from_raw(group), Signal::SIGKILL));
    let _ = script.wait();
}

fn number_in(path: &Path) -> io::Result<i64> {
    let mut text = String::new();
    match File::open(path) {
        Ok(file) => file.take(NUMBER_BYTES_MAX).read_to_string(&mut text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let text = text.trim();
    if text.is_empty() {
        return Ok(0);
    }
    text.parse().map_err(|_| io::Error::new(io::ErrorKind::InvalidData, format!("`{text}` is no whole number")))
}
