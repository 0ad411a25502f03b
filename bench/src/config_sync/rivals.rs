//! rsync with its daemon, and csync2 with its own, each as cron would run it on one of the two hosts.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use lab::netns::{Host, Network};
use lab::process;
use miette::{IntoDiagnostic, Result, WrapErr};

const LIMIT: Duration = Duration::from_secs(60);

/// Daemons listen within it.
const START: Duration = Duration::from_secs(1);

/// A daemon that ends with its measurement.
struct Daemon(Child);

impl Daemon {
    fn start(command: &mut Command) -> Result<Self> {
        let child = process::start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()));
        let daemon = Self(child.into_diagnostic()?);
        thread::sleep(START);
        Ok(daemon)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub struct Rsync {
    pub from: PathBuf,
    pub to: PathBuf,
    host: Host,
    target: String,
    _daemon: Daemon,
}

impl Rsync {
    pub fn start(network: &Network, directory: &Path, from: PathBuf, to: PathBuf) -> Result<Self> {
        let (host, other) = (network.host("a").into_diagnostic()?, network.host("b").into_diagnostic()?);
        let file = directory.join("rsyncd.conf");
        let text = format!("use chroot = no\nuid = root\ngid = root\n[pbx]\npath = {}\nread only = no\n", to.display());
        fs::write(&file, text).into_diagnostic()?;
        let mut command = other.command("rsync");
        command.args(["--daemon", "--no-detach", "--config"]).arg(&file);
        let target = format!("rsync://{}/pbx/", other.address);
        Ok(Self { from, to, host: host.clone(), target, _daemon: Daemon::start(&mut command)? })
    }

    pub fn run(&self) -> Result<()> {
        let mut command = self.host.command("rsync");
        command.args(["--archive", "--delete"]).arg(format!("{}/", self.from.display())).arg(&self.target);
        process::run(&mut command, "", LIMIT).map(drop).into_diagnostic().wrap_err("run rsync")
    }
}

pub struct Csync2 {
    pub from: PathBuf,
    pub to: PathBuf,
    host: Host,
    system: PathBuf,
    database: PathBuf,
    _daemon: Daemon,
}

impl Csync2 {
    /// Hosts are called by their addresses, so that no names are needed; without TLS, which makes it faster.
    pub fn start(network: &Network, directory: &Path, from: PathBuf, to: PathBuf) -> Result<Self> {
        let (host, other) = (network.host("a").into_diagnostic()?, network.host("b").into_diagnostic()?);
        let system = directory.join("csync2");
        fs::create_dir_all(&system).into_diagnostic()?;
        let key = system.join("key");
        fs::write(&key, "0123456789abcdef".repeat(4)).into_diagnostic()?;
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).into_diagnostic()?;
        let (a, b) = (host.address, other.address);
        let text = format!(
            "nossl * *;\ngroup pbx {{\n  host {a} {b};\n  key {};\n  include %pbx%;\n  auto younger;\n}}\n\
             prefix pbx {{\n  on {a}: {};\n  on {b}: {};\n}}\n",
            key.display(),
            from.display(),
            to.display()
        );
        fs::write(system.join("csync2.cfg"), text).into_diagnostic()?;
        let database = |host: &Host| -> Result<PathBuf> {
            let folder = directory.join(format!("csync2-database-{}", host.name));
            fs::create_dir_all(&folder).into_diagnostic()?;
            Ok(folder)
        };
        let (own, far) = (database(host)?, database(other)?);
        let daemon = Daemon::start(command(other, &system, &far).arg("-ii"))?;
        let rival = Self { from, to, host: host.clone(), system, database: own, _daemon: daemon };
        // The first run knows every file as new; what is measured is an edit.
        rival.run()?;
        Ok(rival)
    }

    pub fn run(&self) -> Result<()> {
        let mut command = command(&self.host, &self.system, &self.database);
        process::run(command.arg("-x"), "", LIMIT).map(drop).into_diagnostic().wrap_err("run csync2")
    }
}

fn command(host: &Host, system: &Path, database: &Path) -> Command {
    let mut command = host.command("csync2");
    command.env("CSYNC2_SYSTEM_DIR", system).arg("-N").arg(host.address.to_string()).arg("-D").arg(database);
    command
}
