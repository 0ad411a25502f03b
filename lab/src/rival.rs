//! The assembly that people build today, for comparison: Asterisk 16 on two hosts, and a keepalived on each that moves
//! the service address. Both Asterisks run all the time and share nothing but their files (net.ipv4.ip_nonlocal_bind
//! lets the one without the address bind it), which is the fastest of the published ways.

mod root;

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

pub(crate) use root::Root;

use crate::netns::Host;
use crate::nodes::{SERVICE, write_pbx};
use crate::phones::Account;
use crate::{LabError, process};

/// What the comparison is called.
pub(crate) const NAME: &str = "keepalived + Asterisk 16";

/// The address moves when three adverts of this interval are missing.
const ADVERT_S: u32 = 1;

/// How often keepalived looks whether its Asterisk lives.
const LOOK_S: u32 = 2;

const COMMAND_LIMIT: Duration = Duration::from_secs(10);

/// An Asterisk with all its modules starts within a few seconds.
const START_LIMIT: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// One of the two machines.
pub(crate) struct RivalNode {
    pub(crate) host: Host,
    root: PathBuf,
    /// Its files, as a program within the root sees them.
    inside: PathBuf,
    asterisk: Option<Child>,
    keepalived: Option<Child>,
}

impl RivalNode {
    /// Writes the files of one machine into a folder of the root. The one with the greater priority serves.
    pub(crate) fn new(
        host: &Host,
        root: &Root,
        folder: &str,
        priority: u8,
        accounts: &[Account],
    ) -> Result<Self, LabError> {
        let inside = Path::new("/").join(folder).join(&host.name);
        let node = Self { host: host.clone(), root: root.path().to_owned(), inside, asterisk: None, keepalived: None };
        for folder in ["etc", "lib", "spool", "run", "log"] {
            let path = node.outside(folder);
            fs::create_dir_all(&path).map_err(LabError::io(format!("making {}", path.display())))?;
        }
        write_pbx(&node.outside("etc"), accounts)?;
        let sip = node.outside("etc").join("sip.conf");
        let text = fs::read_to_string(&sip).map_err(LabError::io(format!("reading {}", sip.display())))?;
        let bound = text.replace("bindaddr=0.0.0.0", &format!("bindaddr={SERVICE}"));
        node.write("etc/sip.conf", &bound)?;
        node.write("etc/asterisk.conf", &asterisk_conf(&node.inside, root.modules()))?;
        node.write("etc/modules.conf", "[modules]\nautoload=yes\nnoload => chan_pjsip.so\n")?;
        node.write("etc/logger.conf", "[general]\n\n[logfiles]\nmessages => notice,warning,error\n")?;
        node.write("etc/rtp.conf", "[general]\nrtpstart=10000\nrtpend=20000\n")?;
        node.write(
            "check",
            &format!("#!/bin/sh\nkill -0 \"$(cat '{}')\"\n", node.outside("run/asterisk.pid").display()),
        )?;
        let check = node.outside("check");
        fs::set_permissions(&check, fs::Permissions::from_mode(0o755))
            .map_err(LabError::io(format!("making {} a program", check.display())))?;
        node.write("keepalived.conf", &keepalived_conf(&check, priority))?;
        Ok(node)
    }

    /// Starts Asterisk, waits until it is ready, and starts keepalived.
    pub(crate) fn start(&mut self) -> Result<(), LabError> {
        let mut bind = self.host.command("sh");
        process::run(bind.args(["-c", "echo 1 >/proc/sys/net/ipv4/ip_nonlocal_bind"]), "", COMMAND_LIMIT)?;
        let mut asterisk = self.command();
        self.asterisk = Some(self.start_logged(asterisk.arg("-f"), "asterisk")?);
        self.wait_booted()?;
        let mut keepalived = self.host.command("keepalived");
        keepalived.args(["--dont-fork", "--vrrp", "--log-console", "--log-detail", "--use-file"]);
        keepalived.arg(self.outside("keepalived.conf"));
        keepalived.arg("--pid").arg(self.outside("keepalived.pid"));
        keepalived.arg("--vrrp_pid").arg(self.outside("vrrp.pid"));
        self.keepalived = Some(self.start_logged(&mut keepalived, "keepalived")?);
        Ok(())
    }

    /// Kills Asterisk; nobody starts it again.
    pub(crate) fn kill(&mut self) -> Result<(), LabError> {
        let asterisk = self.asterisk.as_mut().ok_or_else(|| LabError::NoProcess { node: self.host.name.clone() })?;
        asterisk.kill().map_err(LabError::io("killing Asterisk"))?;
        asterisk.wait().map(drop).map_err(LabError::io("waiting for Asterisk's end"))
    }

    pub(crate) fn serves(&self) -> Result<bool, LabError> {
        self.host.has_address(SERVICE)
    }

    /// How many phones this Asterisk knows the address of.
    pub(crate) fn registrations(&self) -> Result<usize, LabError> {
        let mut ask = self.command();
        Ok(registered(&process::run(ask.args(["-r", "-x", "sip show peers"]), "", COMMAND_LIMIT)?))
    }

    fn wait_booted(&mut self) -> Result<(), LabError> {
        let begun = Instant::now();
        loop {
            let mut ask = self.command();
            if process::run(ask.args(["-r", "-x", "core waitfullybooted"]), "", COMMAND_LIMIT).is_ok() {
                return Ok(());
            }
            if begun.elapsed() >= START_LIMIT {
                let what =
                    format!("Asterisk on host {}; its words are in {}", self.host.name, self.outside("log").display());
                return Err(LabError::Waited { what, limit_ms: START_LIMIT.as_millis() as u64 });
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    /// Asterisk in its root, with this machine's files.
    fn command(&self) -> Command {
        let mut command = self.host.command("chroot");
        command.arg(&self.root).args(["/usr/sbin/asterisk", "-C"]).arg(self.inside.join("etc/asterisk.conf"));
        command
    }

    fn start_logged(&self, command: &mut Command, name: &str) -> Result<Child, LabError> {
        let path = self.outside("log").join(name);
        let log = File::create(&path).map_err(LabError::io(format!("making {}", path.display())))?;
        let errors = log.try_clone().map_err(LabError::io("sharing the log"))?;
        process::start(command.stdin(Stdio::null()).stdout(log).stderr(errors))
    }

    fn outside(&self, path: &str) -> PathBuf {
        let folder = self.inside.strip_prefix("/").unwrap_or(&self.inside);
        self.root.join(folder).join(path)
    }

    fn write(&self, path: &str, text: &str) -> Result<(), LabError> {
        let path = self.outside(path);
        fs::write(&path, text).map_err(LabError::io(format!("writing {}", path.display())))
    }
}

impl Drop for RivalNode {
    fn drop(&mut self) {
        if let Some(mut keepalived) = self.keepalived.take() {
            // SIGTERM lets it end its own child, too; it may have ended already.
            let _ = kill(Pid::from_raw(keepalived.id() as i32), Signal::SIGTERM);
            let _ = keepalived.wait();
        }
        if let Some(mut asterisk) = self.asterisk.take() {
            let _ = asterisk.kill();
            let _ = asterisk.wait();
        }
        // What cannot be removed now goes with the root.
        let _ = fs::remove_dir_all(self.outside(""));
    }
}

fn asterisk_conf(inside: &Path, modules: &Path) -> String {
    let at = |name: &str| inside.join(name).display().to_string();
    format!(
        "[directories]\nastetcdir => {}\nastmoddir => {}\nastvarlibdir => {lib}\nastdbdir => {lib}\nastkeydir => {lib}\n\
         astdatadir => /usr/share/asterisk\nastagidir => /usr/share/asterisk/agi-bin\nastspooldir => {}\n\
         astrundir => {}\nastlogdir => {}\nastsbindir => /usr/sbin\n",
        at("etc"),
        modules.display(),
        at("spool"),
        at("run"),
        at("log"),
        lib = at("lib")
    )
}

fn keepalived_conf(check: &Path, priority: u8) -> String {
    format!(
        "global_defs {{\nscript_user root\n}}\n\n\
         vrrp_script asterisk {{\nscript \"{}\"\ninterval {LOOK_S}\n}}\n\n\
         vrrp_instance pbx {{\nstate BACKUP\ninterface eth0\nvirtual_router_id 10\npriority {priority}\n\
         advert_int {ADVERT_S}\nvirtual_ipaddress {{\n{SERVICE}/24\n}}\ntrack_script {{\nasterisk\n}}\n}}\n",
        check.display()
    )
}

/// Peers with an address in what `sip show peers` prints.
fn registered(text: &str) -> usize {
    let is_known = |line: &&str| {
        let mut words = line.split_whitespace();
        let named = words.next().is_some_and(|name| name.starts_with(|letter: char| letter.is_ascii_digit()));
        named && words.next().is_some_and(|host| host.parse::<std::net::Ipv4Addr>().is_ok())
    };
    text.lines().filter(is_known).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phones_with_an_address_are_counted() {
        let text = "Name/username             Host                                    Dyn Forcerport Comedia    ACL Port     Status\n\
            5000/5000                 10.77.0.21                               D  Yes        Yes            5060     Unmonitored\n\
            5001                      (Unspecified)                            D  Yes        Yes            0        Unmonitored\n\
            5002/5002                 10.77.0.23                               D  Yes        Yes            5060     Unmonitored\n\
            3 sip peers [Monitored: 0 online, 0 offline Unmonitored: 2 online, 1 offline]\n";
        assert_eq!(registered(text), 2);
        assert_eq!(registered(""), 0);
    }

    #[test]
    fn each_machine_has_files_of_its_own() {
        let text = asterisk_conf(Path::new("/run-1/a"), Path::new("/usr/lib/asterisk/modules"));
        assert!(text.contains("astetcdir => /run-1/a/etc\n") && text.contains("astdbdir => /run-1/a/lib\n"), "{text}");
        let text = keepalived_conf(Path::new("/x/check"), 101);
        assert!(text.contains("script \"/x/check\"") && text.contains("priority 101"), "{text}");
        assert!(text.contains("advert_int 1\n") && text.contains("10.77.0.100/24"), "{text}");
    }
}
