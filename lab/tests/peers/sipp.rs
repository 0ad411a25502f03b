//! SIPp as a phone: one run of a scenario of `tests/sipp`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tandem_lab::nodes::SERVICE;

use crate::pair::Lab;

/// Every scenario ends well before; SIPp itself gives up a little earlier and says so.
const LIMIT: Duration = Duration::from_secs(60);

/// The node's SIP port and two phones, as an example's files have them.
pub struct Example {
    pub name: &'static str,
    pub port: u16,
    pub caller: Login,
    pub called: Login,
}

#[derive(Clone, Copy)]
pub struct Login {
    pub number: &'static str,
    pub password: &'static str,
}

pub const RAMAIS: Example = Example {
    name: "ramais",
    port: 10_985,
    caller: Login { number: "5000", password: "5000" },
    called: Login { number: "5001", password: "5001" },
};

pub const INTERNAL: Example = Example {
    name: "internal",
    port: 5060,
    caller: Login { number: "201", password: "secret201" },
    called: Login { number: "202", password: "secret202" },
};

pub const PJSIP: Example = Example { name: "pjsip", ..RAMAIS };

/// A SIPp that runs.
pub struct Sipp {
    child: Child,
    name: String,
    errors: PathBuf,
    screen: PathBuf,
}

impl Sipp {
    /// Starts a scenario on a host, as the phone with this login, for so many calls.
    pub fn start(lab: &Lab, host: &str, scenario: &str, login: Login, port: u16, calls: u32, more: &[&str]) -> Self {
        let host = lab.host(host);
        let name = format!("{scenario}-{}", host.name);
        let (errors, screen) =
            (lab.directory.join(format!("{name}.errors")), lab.directory.join(format!("{name}.screen")));
        let text = |path: &Path| path.display().to_string();
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/sipp/{scenario}.xml"));
        let mut command = host.command("sipp");
        command
            .arg(format!("{SERVICE}:{port}"))
            .args([
                "-sf",
                &text(&file),
                "-i",
                &host.address.to_string(),
                "-p",
                "5060",
                "-nostdin",
                "-mi",
                &host.address.to_string(),
            ])
            .args(["-m", &calls.to_string(), "-au", login.number, "-ap", login.password])
            .args(["-key", "own", login.number, "-timeout", "55s", "-timeout_error"])
            .args(["-trace_err", "-error_file", &text(&errors), "-trace_screen", "-screen_file", &text(&screen)])
            .args(["-trace_msg", "-message_file", &text(&lab.directory.join(format!("{name}.messages")))])
            .args(more)
            .current_dir(&lab.directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = command.spawn().expect("SIPp (apt-get install sip-tester)");
        Self { child, name, errors, screen }
    }

    /// Waits for the end; every call must have gone as the scenario says.
    pub fn succeeds(mut self) {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                break Some(status);
            }
            if begun.elapsed() >= LIMIT {
                break None;
            }
            thread::sleep(Duration::from_millis(20));
        };
        let told = |path: &Path| fs::read_to_string(path).unwrap_or_default();
        assert!(
            status.is_some_and(|status| status.success()),
            "SIPp {}: {status:?}\n{}\n{}",
            self.name,
            told(&self.errors).chars().take(6000).collect::<String>(),
            told(&self.screen)
        );
    }
}

impl Drop for Sipp {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Registers the phone on this host.
pub fn register(lab: &Lab, host: &str, login: Login, port: u16) {
    Sipp::start(lab, host, "register", login, port, 1, &[]).succeeds();
}
