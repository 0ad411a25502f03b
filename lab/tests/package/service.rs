//! The service as systemd would run it, without systemd: its user and capabilities are read from the unit, and this test
//! hears what systemd would be told. The unit's limits of resources are left out: raising them takes a right that
//! containers withhold, and the capabilities are enough for what is needed here.

use std::fs::{self, File};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tandem_lab::LabError;
use tandem_lab::netns::Host;
use tandem_lab::nodes::Status;
use tandem_lab::process;

use crate::root::Root;
use crate::unit::Unit;

const LIMIT: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Runs a command in the system with a configuration and a state of its own. The first two arguments are the system
/// and the folder that holds both.
const ENTER: &str = "set -e\nroot=$1 own=$2 mask=$3\nshift 3\n\
    mount --bind \"$own/etc\" \"$root/etc/tandem\"\nmount --bind \"$own/state\" \"$root/var/lib/tandem\"\n\
    mount -t proc proc \"$root/proc\"\nmount --bind /dev \"$root/dev\"\numask \"$mask\"\nexec chroot \"$root\" \"$@\"\n";

/// As a login has it.
const UMASK_OPERATOR: &str = "0022";

/// One installed node on a host of the lab.
pub struct Service<'a> {
    host: &'a Host,
    root: &'a Root,
    unit: &'a Unit,
    /// Holds `etc`, which is /etc/tandem for this node, `state`, which is /var/lib/tandem, and the log.
    own: PathBuf,
    /// What systemd would hear.
    told: UnixDatagram,
    notify: String,
    process: Option<Child>,
}

impl<'a> Service<'a> {
    /// Copies what installing has made, with owners and modes.
    pub fn new(host: &'a Host, root: &'a Root, unit: &'a Unit, directory: &Path) -> Self {
        let own = directory.join(&host.name);
        fs::create_dir_all(&own).expect("a folder");
        for (from, to) in [("etc/tandem", "etc"), ("var/lib/tandem", "state")] {
            let mut copy = Command::new("cp");
            process::run(copy.arg("-a").arg(root.at(from)).arg(own.join(to)), "", LIMIT).expect("a copy");
        }
        // Abstract names belong to a network namespace.
        let notify = format!("tandem-package-{}", host.name);
        let told = host.enter(|| {
            let address = SocketAddr::from_abstract_name(&notify);
            let socket = address.and_then(|address| UnixDatagram::bind_addr(&address));
            Ok(socket.and_then(|socket| socket.set_nonblocking(true).map(|()| socket)).expect("a socket"))
        });
        Self { host, root, unit, own, told: told.expect("a socket"), notify, process: None }
    }

    /// A file of this node's /etc/tandem.
    pub fn configuration(&self, name: &str) -> PathBuf {
        self.own.join("etc").join(name)
    }

    /// Runs a command as root on this machine.
    pub fn run(&self, command: &[&str]) -> Result<String, LabError> {
        process::run(&mut self.command(UMASK_OPERATOR, command), "", LIMIT)
    }

    pub fn status(&self) -> Option<Status> {
        Status::read(&self.run(&["tandem", "status", "--json"]).ok()?).ok()
    }

    fn command(&self, umask: &str, command: &[&str]) -> Command {
        let mut enter = self.host.command("sh");
        enter.args(["-c", ENTER, "sh"]).arg(&self.root.path).arg(&self.own).arg(umask).args(command);
        enter
    }

    /// `ExecStartPre`, all of which the unit marks to be run as root, then `ExecStart`.
    pub fn start(&mut self) {
        for before in self.unit.all("ExecStartPre") {
            let line = before.strip_prefix('+').expect("a command for root");
            self.run(&line.split(' ').collect::<Vec<_>>()).unwrap_or_else(|error| panic!("{}", error.chain()));
        }
        let mut words = self.privileges();
        words.extend(self.unit.one("ExecStart").split(' ').map(str::to_owned));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let log = File::options().create(true).append(true).open(self.own.join("log.txt")).expect("a log");
        let mut command = self.command(self.unit.one("UMask"), &words);
        let silence = self.unit.duration("WatchdogSec");
        command.env("NOTIFY_SOCKET", format!("@{}", self.notify)).env("WATCHDOG_USEC", silence.as_micros().to_string());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.process = Some(process::start(&mut command).expect("the service"));
    }

    fn privileges(&self) -> Vec<String> {
        let list = |setting| {
            let names = self.unit.one(setting).split(' ').map(|name| name.trim_start_matches("CAP_").to_lowercase());
            std::iter::once("-all".to_owned()).chain(names.map(|name| format!("+{name}"))).collect::<Vec<_>>().join(",")
        };
        let (user, group) = (self.unit.one("User"), self.unit.one("Group"));
        let mut words: Vec<String> =
            ["setpriv", "--reuid", user, "--regid", group, "--init-groups"].map(str::to_owned).to_vec();
        words.extend(["--inh-caps".to_owned(), list("AmbientCapabilities")]);
        words.extend(["--ambient-caps".to_owned(), list("AmbientCapabilities")]);
        words.extend(["--bounding-set".to_owned(), list("CapabilityBoundingSet")]);
        if self.unit.one("NoNewPrivileges") == "yes" {
            words.push("--no-new-privs".to_owned());
        }
        words
    }

    /// Everything that systemd would have heard since the last time.
    pub fn words(&self) -> Vec<String> {
        let mut bytes = [0; 64];
        let next = || match self.told.recv(&mut bytes) {
            Ok(length) => Some(String::from_utf8_lossy(&bytes[..length]).into_owned()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
            Err(error) => panic!("{error}"),
        };
        std::iter::from_fn(next).collect()
    }

    /// Waits until systemd has heard these words so many times.
    pub fn wait_told(&mut self, words: &str, times: usize, limit: Duration) {
        let begun = Instant::now();
        let mut heard = Vec::new();
        while heard.iter().filter(|heard| *heard == words).count() < times {
            let ended = self.process.as_mut().and_then(|process| process.try_wait().ok().flatten());
            assert!(ended.is_none(), "{}: {ended:?}\n{}", self.host.name, self.log());
            assert!(begun.elapsed() < limit, "{}: no {words}, but {heard:?}\n{}", self.host.name, self.log());
            thread::sleep(LOOK_EVERY);
            heard.extend(self.words());
        }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.own.join("log.txt")).unwrap_or_default()
    }

    /// What systemd does with `KillMode=mixed`: SIGTERM to the parent process alone. Gives its exit code.
    pub fn stop(&mut self) -> Option<i32> {
        assert_eq!(self.unit.one("KillMode"), "mixed");
        let mut process = self.process.take().expect("a service that runs");
        kill(Pid::from_raw(process.id() as i32), Signal::SIGTERM).expect("a signal");
        let begun = Instant::now();
        let limit = self.unit.duration("TimeoutStopSec");
        loop {
            if let Some(status) = process.try_wait().expect("a status") {
                return status.code();
            }
            if begun.elapsed() >= limit {
                self.process = Some(process);
                panic!("{} does not stop:\n{}", self.host.name, self.log());
            }
            thread::sleep(LOOK_EVERY);
        }
    }
}

impl Drop for Service<'_> {
    fn drop(&mut self) {
        // The daemon dies with its parent.
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
