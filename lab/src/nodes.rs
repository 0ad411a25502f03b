//! Nodes of the product on hosts of the lab: their files, their processes, what they tell, and what is done to them.

mod records;
mod status;
mod usage;

use std::fs::{self, File};
use std::io::Write;
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

pub use records::CallRow;
pub use status::Status;
pub use usage::Usage;

use crate::netns::Host;
use crate::phones::Account;
use crate::{LabError, process};

/// A node that is well answers its operator within milliseconds; a frozen one never does.
const COMMAND_LIMIT: Duration = Duration::from_secs(3);

/// Commands that wait for both nodes give up by themselves before.
const WAITING_LIMIT: Duration = Duration::from_secs(90);

/// How long a node has to end by itself before it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// A node that ends at once is not started again in a busy loop.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// Ring time in the dialplan: longer than a call has to ring through a fault that lasts an hour.
const RING_S: u32 = 7_200;

/// The address that a pair serves.
pub const SERVICE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 100);

const PEER_PORT: u16 = 7700;

/// Whoever calls it hears itself.
pub const ECHO_NUMBER: &str = "600";

/// Gives a program a wall clock of its own (the package libfaketime); this one knows threads.
const CLOCK_LIBRARY: &str = "libfaketimeMT.so.1";

/// One node, running or not.
pub struct Node {
    pub name: String,
    pub host: Host,
    binary: PathBuf,
    directory: PathBuf,
    /// Arguments of `serve`.
    serve: Vec<String>,
    /// Arguments that tell the other commands which node is meant.
    operate: Vec<String>,
    /// The file that says how far the node's wall clock is off, when it has one of its own.
    clock: Option<PathBuf>,
    process: Option<Child>,
    started: Option<Instant>,
}

impl Node {
    /// A node of a pair. Writes its files into `directory/name`; the key has to be there already.
    pub fn in_pair(
        host: &Host,
        peer: &Host,
        binary: &Path,
        directory: &Path,
        key: &Path,
        accounts: &[Account],
    ) -> Result<Self, LabError> {
        let own = directory.join(&host.name);
        write_pbx(&own.join("pbx"), accounts)?;
        let text = format!(
            "[node]\nname = \"{}\"\nstate_dir = \"{}\"\npbx_dir = \"{}\"\nwait_for_peer = 2\n\n\
             [service]\naddress = \"{SERVICE}/24\"\ninterface = \"eth0\"\nvrid = 10\npriority = 150\n\n\
             [peer]\nkey_file = \"{}\"\n\n[[peer.link]]\nlocal = \"{}:{PEER_PORT}\"\nremote = \"{}:{PEER_PORT}\"\n",
            host.name,
            own.join("state").display(),
            own.join("pbx").display(),
            key.display(),
            host.address,
            peer.address
        );
        let file = own.join("tandem.toml");
        write(&file, &text)?;
        let config = vec!["--config".to_owned(), file.display().to_string()];
        Self::new(host, binary, own, config.clone(), config)
    }

    /// A node whose files are in `directory` already, `tandem.toml` first of all.
    pub fn with_config(host: &Host, binary: &Path, directory: &Path) -> Result<Self, LabError> {
        let config = vec!["--config".to_owned(), directory.join("tandem.toml").display().to_string()];
        Self::new(host, binary, directory.to_owned(), config.clone(), config)
    }

    /// A node without a peer, as `serve --asterisk-dir` starts it. Its host has the service address for good.
    pub fn alone(host: &Host, binary: &Path, directory: &Path, accounts: &[Account]) -> Result<Self, LabError> {
        let own = directory.join(&host.name);
        write_pbx(&own.join("pbx"), accounts)?;
        let argument = |name: &str, value: String| [name.to_owned(), value];
        let state = argument("--state-dir", own.join("state").display().to_string());
        let mut serve: Vec<String> = argument("--asterisk-dir", own.join("pbx").display().to_string()).to_vec();
        serve.extend(state.clone());
        serve.extend(argument("--listen", format!("{}:{}", host.address, crate::phones::SIP_PORT)));
        Self::new(host, binary, own, serve, state.to_vec())
    }

    fn new(
        host: &Host,
        binary: &Path,
        directory: PathBuf,
        serve: Vec<String>,
        operate: Vec<String>,
    ) -> Result<Self, LabError> {
        let state = directory.join("state");
        fs::create_dir_all(&state).map_err(LabError::io(format!("making {}", state.display())))?;
        let name = host.name.clone();
        Ok(Self {
            name,
            host: host.clone(),
            binary: binary.to_owned(),
            directory,
            serve,
            operate,
            clock: None,
            process: None,
            started: None,
        })
    }

    /// Installs another program: the node runs it from its next start on.
    pub fn install(&mut self, binary: &Path) {
        self.binary = binary.to_owned();
    }

    /// Takes a setting out of its configuration file, from the node's next start on.
    pub fn remove_setting(&self, key: &str) -> Result<(), LabError> {
        let path = self.directory.join("tandem.toml");
        let text = fs::read_to_string(&path).map_err(LabError::io(format!("reading {}", path.display())))?;
        write(&path, &without_setting(&text, key))
    }

    /// Whether its daemon runs the program that is installed.
    pub fn runs_installed(&self) -> Result<bool, LabError> {
        let path = format!("/proc/{}/exe", self.daemon()?);
        let failed = || LabError::io(format!("comparing {path} with {}", self.binary.display()));
        Ok(fs::read_link(&path).map_err(failed())? == self.binary.canonicalize().map_err(failed())?)
    }

    /// One more link to the peer, from the node's next start on.
    pub fn add_link(&self, local: Ipv4Addr, remote: Ipv4Addr) -> Result<(), LabError> {
        let path = self.directory.join("tandem.toml");
        let text = format!("\n[[peer.link]]\nlocal = \"{local}:{PEER_PORT}\"\nremote = \"{remote}:{PEER_PORT}\"\n");
        let file = File::options().append(true).open(&path);
        let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(LabError::io(format!("adding a link to {}", path.display())))
    }

    /// Puts the PBX's files of another folder in the place of the ones it has.
    pub fn use_pbx_files(&self, folder: &Path) -> Result<(), LabError> {
        let own = self.pbx_directory();
        let failed = |path: &Path| LabError::io(format!("replacing {}", path.display()));
        fs::remove_dir_all(&own).map_err(failed(&own))?;
        fs::create_dir_all(&own).map_err(failed(&own))?;
        for entry in fs::read_dir(folder).map_err(LabError::io(format!("reading {}", folder.display())))? {
            let path = entry.map_err(failed(folder))?.path();
            if let Some(name) = path.file_name().filter(|_| path.is_file()) {
                fs::copy(&path, own.join(name)).map_err(failed(&path))?;
            }
        }
        Ok(())
    }

    /// One more of the PBX's files, or another one of this name.
    pub fn write_pbx_file(&self, name: &str, text: &str) -> Result<(), LabError> {
        write(&self.pbx_directory().join(name), text)
    }

    pub fn pbx_directory(&self) -> PathBuf {
        self.directory.join("pbx")
    }

    /// Where the node keeps what must not be lost.
    pub fn state_directory(&self) -> PathBuf {
        self.directory.join("state")
    }

    /// From its next start on the node has a wall clock of its own, which [`Self::set_clock`] sets.
    pub fn use_own_clock(&mut self) -> Result<(), LabError> {
        self.clock = Some(self.directory.join("clock"));
        self.set_clock(0)
    }

    /// Sets the node's wall clock this far ahead of the machine's; it takes effect within a second.
    pub fn set_clock(&self, ahead_s: i64) -> Result<(), LabError> {
        let path = self.clock.as_deref().ok_or(LabError::NoClock(CLOCK_LIBRARY))?;
        write(path, &format!("{ahead_s:+}\n"))
    }

    /// Starts `tandem serve`. What it logs goes to a file, which [`Self::log_path`] names.
    pub fn start(&mut self) -> Result<(), LabError> {
        let path = self.log_path();
        let log = File::options().create(true).append(true).open(&path);
        let log = log.map_err(LabError::io(format!("opening {}", path.display())))?;
        let errors = log.try_clone().map_err(LabError::io("sharing the log"))?;
        let mut command = match &self.clock {
            None => self.host.command(&self.binary.display().to_string()),
            Some(clock) => self.with_own_clock(clock)?,
        };
        command.arg("serve").args(&self.serve).stdin(Stdio::null()).stdout(log).stderr(errors);
        // A group of its own, so that ctrl-c in the terminal does not end nodes before the drill has seen it.
        command.process_group(0);
        self.process = Some(process::start(&mut command)?);
        self.started = Some(Instant::now());
        Ok(())
    }

    /// The program with a library that reads the clock's file once a second; only the wall clock is its matter. What the
    /// library leaves in shared memory goes with the process, which has that memory to itself.
    fn with_own_clock(&self, clock: &Path) -> Result<Command, LabError> {
        let mut command = self.host.command("sh");
        command.args(["-c", "mount -t tmpfs tmpfs /dev/shm && exec env \"$@\"", "sh"]);
        command.arg(format!("LD_PRELOAD={}", clock_library()?.display()));
        command.arg(format!("FAKETIME_TIMESTAMP_FILE={}", clock.display()));
        command.args(["FAKETIME_CACHE_DURATION=1", "FAKETIME_DONT_FAKE_MONOTONIC=1", "NO_FAKE_STAT=1"]);
        command.arg(&self.binary);
        Ok(command)
    }

    /// Starts the node again when it has ended, at most once a second, as a service manager would.
    pub fn keep_running(&mut self) -> Result<(), LabError> {
        if !self.is_running() && self.started.is_none_or(|started| started.elapsed() >= RESTART_PAUSE) {
            self.start()?;
        }
        Ok(())
    }

    pub fn log_path(&self) -> PathBuf {
        self.directory.join("log.txt")
    }

    /// The last lines of the log.
    pub fn log_tail(&self, lines: usize) -> String {
        let text = fs::read_to_string(self.log_path()).unwrap_or_default();
        let all: Vec<_> = text.lines().collect();
        all.get(all.len().saturating_sub(lines)..).unwrap_or_default().join("\n")
    }

    /// False when `serve` was never started or has ended.
    pub fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| matches!(process.try_wait(), Ok(None)))
    }

    /// What `tandem status --json` says.
    pub fn status(&self) -> Result<Status, LabError> {
        let mut command = self.operator_command("status");
        let text = process::run(&mut command, "", COMMAND_LIMIT)?;
        Status::read(&text).map_err(|source| LabError::Json { command: process::describe(&command), source })
    }

    /// What `tandem cdr --json` says: the call records that this node has.
    pub fn records(&self) -> Result<Vec<CallRow>, LabError> {
        let mut command = self.operator_command("cdr");
        let text = process::run(&mut command, "", COMMAND_LIMIT)?;
        CallRow::read(&text).map_err(|source| LabError::Json { command: process::describe(&command), source })
    }

    /// Asks this node for a planned switchover.
    pub fn switchover(&self) -> Result<(), LabError> {
        process::run(&mut self.operator_command("switchover"), "", COMMAND_LIMIT).map(|_| ())
    }

    /// Takes this node out of service; with `--end` puts it back.
    pub fn drain(&self, arguments: &[&str]) -> Result<(), LabError> {
        process::run(self.operator_command("drain").args(arguments), "", COMMAND_LIMIT).map(|_| ())
    }

    /// What another command of the operator prints with `--json`.
    pub fn ask(&self, name: &str) -> Result<Value, LabError> {
        let mut command = self.operator_command(name);
        let text = process::run(&mut command, "", COMMAND_LIMIT)?;
        serde_json::from_str(&text).map_err(|source| LabError::Json { command: process::describe(&command), source })
    }

    /// Runs a command of several words, such as `config apply`; gives its exit code and everything that it printed.
    pub fn operate(&self, words: &[&str]) -> Result<(Option<i32>, String), LabError> {
        let mut command = self.host.command(&self.binary.display().to_string());
        let output = process::output(command.args(words).args(&self.operate), "", WAITING_LIMIT)?;
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        Ok((output.status.code(), text))
    }

    /// What a command of the operator prints that has one JSON object a line.
    pub fn ask_lines(&self, name: &str) -> Result<Vec<Value>, LabError> {
        lines(&mut self.operator_command(name))
    }

    /// All events that the node has kept, oldest first.
    pub fn events(&self) -> Result<Vec<Value>, LabError> {
        lines(self.operator_command("events").args(["--limit", &usize::MAX.to_string()]))
    }

    fn operator_command(&self, name: &str) -> Command {
        let mut command = self.host.command(&self.binary.display().to_string());
        command.arg(name).arg("--json").args(&self.operate);
        command
    }

    /// Process id of the daemon: from its status, else the child of the process that was started.
    pub fn daemon(&self) -> Result<i32, LabError> {
        let started = self.process.as_ref().map(|process| process.id() as i32);
        let told = || self.status().ok().and_then(|status| status.pid);
        let found = told().or_else(|| started.and_then(first_child)).or(started);
        found.ok_or_else(|| LabError::NoProcess { node: self.name.clone() })
    }

    /// Process id of the daemon's parent, which owns the address; `None` when the node does not run.
    pub fn parent(&self) -> Option<i32> {
        self.process.as_ref().map(|process| process.id() as i32)
    }

    /// Sends one of the node's processes a signal: SIGKILL is a crash, SIGSTOP a freeze.
    pub fn signal(&self, pid: i32, signal: Signal) -> Result<(), LabError> {
        kill(Pid::from_raw(pid), signal).map_err(|errno| LabError::Io {
            operation: format!("sending {signal} to process {pid} of node {}", self.name),
            source: errno.into(),
        })
    }

    /// Kills whatever runs of the node, and waits until it is gone.
    pub fn kill(&mut self) -> Result<(), LabError> {
        let daemon = self.parent().and_then(first_child);
        let Some(mut process) = self.process.take() else { return Ok(()) };
        // One that has ended already is as good.
        let _ = process.kill();
        let _ = process.wait();
        // The kernel kills the daemon of a dead parent as well, a moment later.
        let begun = Instant::now();
        while let Some(daemon) = daemon.filter(|daemon| !process::has_ended(*daemon)) {
            let _ = kill(Pid::from_raw(daemon), Signal::SIGKILL);
            if begun.elapsed() >= STOP_LIMIT {
                let what = format!("the end of the daemon of node {}", self.name);
                return Err(LabError::Waited { what, limit_ms: STOP_LIMIT.as_millis() as u64 });
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Stops the node properly: SIGTERM to the process that was started.
    pub fn stop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        // It may have ended already.
        let _ = kill(Pid::from_raw(process.id() as i32), Signal::SIGTERM);
        let begun = Instant::now();
        while begun.elapsed() < STOP_LIMIT {
            if !matches!(process.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        let _ = process.kill();
        let _ = process.wait();
    }
}

/// The end of a test: the nodes' last words if it failed, and their files unless `TANDEM_KEEP` is set.
pub fn put_away(nodes: &mut Vec<Node>, directory: &Path) {
    if thread::panicking() {
        for node in nodes.iter() {
            eprintln!("node {} said:\n{}", node.name, node.log_tail(30));
        }
    }
    nodes.clear();
    if std::env::var_os("TANDEM_KEEP").is_none() {
        // Somebody may still write there; what cannot be removed now is the temporary directory's business.
        let _ = fs::remove_dir_all(directory);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop();
    }
}

/// One JSON object a line.
fn lines(command: &mut Command) -> Result<Vec<Value>, LabError> {
    let text = process::run(command, "", COMMAND_LIMIT)?;
    let read = |line| {
        serde_json::from_str(line).map_err(|source| LabError::Json { command: process::describe(command), source })
    };
    text.lines().map(read).collect()
}

/// Makes the key of a pair with `tandem key`.
pub fn make_key(binary: &Path, path: &Path) -> Result<(), LabError> {
    process::run(Command::new(binary).arg("key").arg(path), "", COMMAND_LIMIT).map(|_| ())
}

/// Found in a folder of the machine's architecture.
fn clock_library() -> Result<PathBuf, LabError> {
    let folders = fs::read_dir("/usr/lib").map_err(LabError::io("listing /usr/lib"))?;
    let mut paths = folders.flatten().map(|entry| entry.path().join("faketime").join(CLOCK_LIBRARY));
    paths.find(|path| path.is_file()).ok_or(LabError::NoClock(CLOCK_LIBRARY))
}

fn first_child(pid: i32) -> Option<i32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

/// The text less the lines that set this key, in whatever section.
fn without_setting(text: &str, key: &str) -> String {
    let is_other = |line: &&str| line.split('=').next().is_none_or(|word| word.trim() != key);
    text.lines().filter(is_other).map(|line| format!("{line}\n")).collect()
}

fn write(path: &Path, text: &str) -> Result<(), LabError> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(LabError::io(format!("making {}", directory.display())))?;
    }
    fs::write(path, text).map_err(LabError::io(format!("writing {}", path.display())))
}

/// The PBX's files, in the form that people have: friends in sip.conf, one pattern in extensions.conf.
pub(crate) fn write_pbx(directory: &Path, accounts: &[Account]) -> Result<(), LabError> {
    let mut sip = format!(
        "[general]\ncontext=internal\nbindport={}\nbindaddr=0.0.0.0\nsrvlookup=no\ndisallow=all\nallow=ulaw\n",
        crate::phones::SIP_PORT
    );
    for Account { number, password, .. } in accounts {
        sip.push_str(&format!(
            "\n[{number}]\ntype=friend\ncallerid=\"{number}\" <{number}>\nusername={number}\nsecret={password}\n\
             host=dynamic\nnat=yes\ncanreinvite=no\ncontext=internal\n"
        ));
    }
    write(&directory.join("sip.conf"), &sip)?;
    let dialplan = format!(
        "[internal]\nexten => _5XXX,1,Dial(SIP/${{EXTEN}},{RING_S})\nexten => _5XXX,2,Hangup\n\
         exten => {ECHO_NUMBER},1,Answer\nexten => {ECHO_NUMBER},2,Echo\n\
         exten => _7XXXXXX,1,Dial(SIP/${{EXTEN}},{RING_S})\n"
    );
    write(&directory.join("extensions.conf"), &dialplan)
}

#[cfg(test)]
mod tests;
