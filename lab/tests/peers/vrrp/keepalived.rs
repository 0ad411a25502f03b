//! A keepalived on a host of the lab: its configuration, its process, and whether it has the service address.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tandem_lab::netns::Host;
use tandem_lab::nodes::SERVICE;
use tandem_lab::process;

use super::Way;

const COMMAND_LIMIT: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(20);

pub struct Keepalived {
    host: Host,
    log: PathBuf,
    process: Child,
}

impl Keepalived {
    /// Starts one that is of our virtual router, with an interval of 1 s.
    pub fn start(host: &Host, directory: &std::path::Path, way: Way, priority: u8, peers: &[Ipv4Addr]) -> Self {
        let file = |name: &str| directory.join(format!("keepalived-{name}"));
        let version = way.version();
        let password = way.password().map(|text| format!("authentication {{\nauth_type PASS\nauth_pass {text}\n}}\n"));
        let unicast = way.is_unicast().then(|| {
            let peers: String = peers.iter().map(|peer| format!("{peer}\n")).collect();
            format!("unicast_src_ip {}\nunicast_peer {{\n{peers}}}\n", host.address)
        });
        let text = format!(
            "vrrp_instance third {{\nstate BACKUP\ninterface eth0\nvirtual_router_id 10\npriority {priority}\n\
             advert_int 1\nversion {version}\n{}{}virtual_ipaddress {{\n{SERVICE}/32\n}}\n}}\n",
            password.unwrap_or_default(),
            unicast.unwrap_or_default()
        );
        fs::write(file("conf"), text).expect("keepalived's configuration");
        let log = file("log");
        let out = File::create(&log).expect("keepalived's log");
        let mut command = host.command("keepalived");
        command.args(["--dont-fork", "--vrrp", "--log-console", "--log-detail", "--use-file"]);
        command.arg(file("conf")).arg("--pid").arg(file("pid")).arg("--vrrp_pid").arg(file("vrrp-pid"));
        command.stdin(Stdio::null()).stderr(out.try_clone().expect("a log")).stdout(out);
        let process = process::start(&mut command).expect("keepalived (package keepalived)");
        let started = Self { host: host.clone(), log, process };
        started.wait("its first state", || started.said("Entering BACKUP STATE") > 0);
        started
    }

    /// The host has the service address.
    pub fn has_address(&self) -> bool {
        let mut command = self.host.command("ip");
        let text = process::run(command.args(["-4", "-oneline", "address", "show", "eth0"]), "", COMMAND_LIMIT);
        text.expect("addresses").contains(&format!(" {SERVICE}/"))
    }

    /// How many lines of its log have this text.
    pub fn said(&self, text: &str) -> usize {
        self.log_text().lines().filter(|line| line.contains(text)).count()
    }

    pub fn times_master(&self) -> usize {
        self.said("Entering MASTER STATE")
    }

    pub fn log_text(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until something is so.
    pub fn wait(&self, what: &str, is_so: impl Fn() -> bool) {
        let until = Instant::now() + Duration::from_secs(20);
        while !is_so() {
            assert!(Instant::now() < until, "keepalived: no {what}\n{}", self.log_text());
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

impl Drop for Keepalived {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("keepalived said:\n{}", self.log_text());
        }
        // SIGTERM lets it end its own child, too; it may have ended already.
        let _ = kill(Pid::from_raw(self.process.id() as i32), Signal::SIGTERM);
        let _ = self.process.wait();
    }
}
