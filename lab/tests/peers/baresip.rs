//! baresip as a phone: a process with files of its own, told what to do over its control port.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tandem_lab::LabError;
use tandem_lab::netns::Host;
use tandem_lab::nodes::SERVICE;

use crate::capture::Capture;
use crate::sipp::Login;

const CONFIG: &str = include_str!("../baresip/config");
const CONTROL: ([u8; 4], u16) = ([127, 0, 0, 1], 4444);

/// For a program that starts, and for each thing that it is told.
const LIMIT: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Registrations are not refreshed during a test.
const REGISTER_EVERY_S: u32 = 900;

/// A phone that runs. It speaks a sine of a frequency of its own.
pub struct Baresip {
    pub number: &'static str,
    /// What comes to its ear.
    pub ear: Capture,
    child: Child,
    control: TcpStream,
    /// Events that nobody has waited for yet.
    events: Arc<Mutex<VecDeque<Value>>>,
    directory: PathBuf,
}

impl Baresip {
    /// Starts a phone on the host and waits until it is registered.
    pub fn start(host: &Host, directory: &Path, login: Login, port: u16, tone_hertz: f64) -> Self {
        let directory = directory.join(format!("baresip-{}", login.number));
        fs::create_dir_all(&directory).expect("a directory");
        let config = CONFIG
            .replace("{address}", &host.address.to_string())
            .replace("{tone}", &tone_hertz.to_string())
            .replace("{directory}", &directory.display().to_string());
        let account = format!(
            "<sip:{}@{SERVICE}:{port}>;auth_pass={};regint={REGISTER_EVERY_S};audio_codecs=PCMU/8000/1\n",
            login.number, login.password
        );
        fs::write(directory.join("config"), config).expect("a file");
        fs::write(directory.join("accounts"), account).expect("a file");
        let log = File::create(directory.join("log.txt")).expect("a log");
        let errors = log.try_clone().expect("a log");
        let mut command = host.command("baresip");
        command.args(["-s", "-f"]).arg(&directory).stdin(Stdio::null()).stdout(log).stderr(errors);
        let child = command.spawn().expect("baresip (apt-get install baresip-core)");
        let control = connect(host);
        let events = Arc::default();
        listen(control.try_clone().expect("a connection"), Arc::clone(&events));
        let ear = Capture::start(host);
        let phone = Self { number: login.number, ear, child, control, events, directory };
        phone.wait_registered();
        phone
    }

    pub fn dial(&self, number: &str) {
        // The account completes it to an address of its own registrar.
        self.tell("dial", number);
    }

    pub fn accept(&self) {
        self.tell("accept", "");
    }

    pub fn hold(&self) {
        self.tell("hold", "");
    }

    pub fn resume(&self) {
        self.tell("resume", "");
    }

    pub fn hang_up(&self) {
        self.tell("hangup", "");
    }

    /// Waits for an event of this type; earlier ones of other types are forgotten.
    pub fn wait(&self, kind: &str) -> Value {
        let begun = Instant::now();
        while begun.elapsed() < LIMIT {
            if let Some(event) = self.events.lock().expect("a list").pop_front() {
                if event["type"] == kind {
                    return event;
                }
            } else {
                thread::sleep(LOOK_EVERY);
            }
        }
        panic!("{} waited in vain for {kind}; it said:\n{}", self.number, self.log());
    }

    /// What it recorded of the other end in its newest call, as it decoded it.
    pub fn recording(&self) -> PathBuf {
        let files = fs::read_dir(&self.directory).expect("recordings").flatten().map(|entry| entry.path());
        let mut recordings: Vec<_> = files.filter(|path| path.to_string_lossy().ends_with("-dec.wav")).collect();
        recordings.sort();
        recordings.pop().unwrap_or_else(|| panic!("{} recorded nothing", self.number))
    }

    /// REGISTER requests that it has sent.
    pub fn registers_sent(&self) -> usize {
        self.log().matches("\nREGISTER sip:").count()
    }

    /// The log says it too when the event came before anybody listened.
    fn wait_registered(&self) {
        let begun = Instant::now();
        while !self.log().contains("200 OK") || !self.log().contains("REGISTER") {
            assert!(begun.elapsed() < LIMIT, "{} is not registered; it said:\n{}", self.number, self.log());
            thread::sleep(LOOK_EVERY);
        }
    }

    fn log(&self) -> String {
        let bytes = fs::read(self.directory.join("log.txt")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn tell(&self, command: &str, parameters: &str) {
        let order = json!({ "command": command, "params": parameters }).to_string();
        // A netstring: length, colon, text, comma.
        let text = format!("{}:{order},", order.len());
        (&self.control).write_all(text.as_bytes()).expect("a phone that listens");
    }
}

impl Drop for Baresip {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = self.log();
            let tail = log.char_indices().rev().nth(6_000).map_or(0, |(at, _)| at);
            eprintln!("baresip {} said at last:\n{}", self.number, log.get(tail..).unwrap_or_default());
        }
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn connect(host: &Host) -> TcpStream {
    let begun = Instant::now();
    loop {
        let connect = || {
            TcpStream::connect(SocketAddr::from(CONTROL))
                .map_err(|source| LabError::Io { operation: "connecting to baresip".to_owned(), source })
        };
        match host.enter(connect) {
            Ok(stream) => return stream,
            Err(error) => assert!(begun.elapsed() < LIMIT, "{}", error.chain()),
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// Collects the events that the phone tells, until it ends.
fn listen(mut stream: TcpStream, events: Arc<Mutex<VecDeque<Value>>>) {
    thread::spawn(move || {
        let mut waiting = Vec::new();
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut bytes) {
            waiting.extend_from_slice(&bytes[..count]);
            while let Some(value) = netstring(&mut waiting) {
                if value["event"] == true {
                    events.lock().expect("a list").push_back(value);
                }
            }
        }
    });
}

/// Takes the first whole netstring off the bytes.
fn netstring(bytes: &mut Vec<u8>) -> Option<Value> {
    let colon = bytes.iter().position(|byte| *byte == b':')?;
    let length: usize = std::str::from_utf8(&bytes[..colon]).ok()?.trim().parse().ok()?;
    let text = bytes.get(colon + 1..colon + 1 + length)?;
    let value = serde_json::from_slice(text).ok()?;
    bytes.drain(..(colon + 2 + length).min(bytes.len()));
    Some(value)
}

#[test]
fn netstrings_are_read_one_by_one() {
    let mut bytes = b"9:{\"a\":123},2:{}".to_vec();
    assert_eq!(netstring(&mut bytes), Some(json!({ "a": 123 })));
    assert_eq!(netstring(&mut bytes), Some(json!({})));
    bytes = b"9:{\"a\":".to_vec();
    assert_eq!(netstring(&mut bytes), None);
    assert_eq!(bytes.len(), 7, "what is not whole waits");
}
