//! Owns the sections `[[track]]`: what is watched besides heartbeats, and what it costs when it fails.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use node::cluster::track::Weight;

use super::reader::{Problems, Section};
use super::sections::{self, elsewhere};
use super::value;

pub(super) const KEYS: [&str; 14] = [
    "kind",
    "name",
    "weight",
    "fault",
    "interval",
    "timeout",
    "rise",
    "fall",
    "interface",
    "address",
    "process",
    "path",
    "free_mib_min",
    "command",
];

/// Keys that every kind has.
const COMMON: [&str; 8] = ["kind", "name", "weight", "fault", "interval", "timeout", "rise", "fall"];

/// Each track has a thread, and a line in `tandem status`.
pub const TRACKS_MAX: usize = 32;

/// A priority has no more to lose.
const WEIGHT_MAX: i64 = 253;

const INTERVAL_MS_DEFAULT: u64 = 1_000;
const INTERVAL_MS: (u64, u64) = (100, 3_600_000);
const TIMEOUT_MS_DEFAULT: u64 = 1_000;
const TIMEOUT_MS: (u64, u64) = (10, 600_000);
const IN_A_ROW: (u64, u64) = (1, 100);

/// A lost packet is no lost gateway.
const GATEWAY_FALL: u64 = 3;

/// Less than this is used up by the journal of a busy day.
const FREE_MIB_DEFAULT: u64 = 64;
const FREE_MIB: (u64, u64) = (0, 1 << 30);

const KINDS: &str = "write kind = \"interface\", \"gateway\", \"process\", \"disk\", \"script\" or \"file\"";

/// One thing that is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    /// Unique among the tracks.
    pub name: String,
    pub subject: Subject,
    pub weight: Weight,
    /// Between two measurements.
    pub interval: Duration,
    /// A measurement that takes longer has failed.
    pub timeout: Duration,
    /// So many good ones in a row end a failure, and so many bad ones begin one.
    pub rise: u8,
    pub fall: u8,
}

/// What is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// It is up and has a carrier.
    Interface(String),
    /// It answers an echo request (ping).
    Gateway(IpAddr),
    /// A process of this name, or of this program, runs.
    Process(String),
    /// The folder can be written to, and its disk has room.
    Disk { path: PathBuf, free_mib_min: u64 },
    /// It ends with exit code 0.
    Script { command: String },
    /// The number in it counts: below zero it is subtracted.
    File(PathBuf),
}

pub(super) fn tracks(root: &Section<'_>, directory: &Path, problems: &mut Problems) -> Vec<Track> {
    let sections = root.list("track", "track", problems);
    if let Some(extra) = sections.get(TRACKS_MAX) {
        let text = format!("there are {} tracks", sections.len());
        problems.push(extra.problem(text, format!("keep {TRACKS_MAX}; a script can look at several things")));
    }
    let mut tracks: Vec<Track> = Vec::new();
    for section in &sections {
        let Some(found) = track(section, directory, problems) else { continue };
        if tracks.iter().any(|other| other.name == found.name) {
            let text = format!("there are two tracks `{}`", found.name);
            problems.push(section.problem(text, "give one of them another name"));
        }
        tracks.push(found);
    }
    tracks
}

fn track(section: &Section<'_>, directory: &Path, problems: &mut Problems) -> Option<Track> {
    section.check_keys(&KEYS, |key| elsewhere(key, "[[track]]"), problems);
    let subject = subject(section, directory, problems);
    let weight = weight(section, matches!(subject, Some(Subject::File(_))), problems);
    let millis = |key, default, range, problems: &mut Problems| {
        section.number_within(key, default, range, problems).map(Duration::from_millis)
    };
    let interval = millis("interval", INTERVAL_MS_DEFAULT, INTERVAL_MS, problems);
    let timeout = millis("timeout", TIMEOUT_MS_DEFAULT, TIMEOUT_MS, problems);
    let fall = if matches!(subject, Some(Subject::Gateway(_))) { GATEWAY_FALL } else { 1 };
    let in_a_row = |key, default, problems: &mut Problems| {
        section.number_within(key, default, IN_A_ROW, problems).and_then(|number| u8::try_from(number).ok())
    };
    let rise = in_a_row("rise", 1, problems);
    let fall = in_a_row("fall", fall, problems);
    let subject = subject?;
    let name = match section.text("name", problems) {
        Some(text) => value::name(&text, problems)?,
        None => subject.name(),
    };
    Some(Track { name, subject, weight: weight?, interval: interval?, timeout: timeout?, rise: rise?, fall: fall? })
}

impl Subject {
    /// What the track is called that nobody has named.
    fn name(&self) -> String {
        match self {
            Self::Interface(interface) => format!("interface {interface}"),
            Self::Gateway(address) => format!("gateway {address}"),
            Self::Process(name) => format!("process {name}"),
            Self::Disk { path, .. } => format!("disk {}", path.display()),
            Self::Script { command } => format!("script {command}"),
            Self::File(path) => format!("file {}", path.display()),
        }
    }
}

fn subject(section: &Section<'_>, directory: &Path, problems: &mut Problems) -> Option<Subject> {
    let kind = section.text_needed("kind", "gateway", problems)?;
    let mut own: Vec<&str> = COMMON.to_vec();
    let subject = match kind.value {
        "interface" => {
            own.push("interface");
            let text = section.text_needed("interface", "eth1", problems);
            text.and_then(|text| value::interface(&text, problems)).map(Subject::Interface)
        }
        "gateway" => {
            own.push("address");
            let text = section.text_needed("address", "10.77.0.1", problems)?;
            let address = text.value.parse::<IpAddr>().ok().filter(|address| value::is_host(*address));
            if address.is_none() {
                let help = "write the gateway's address, as in address = \"10.77.0.1\"";
                problems.push(text.problem(format!("`{}` is no address of a gateway", text.value), help));
            }
            address.map(Subject::Gateway)
        }
        "process" => {
            own.push("process");
            let text = section.text_needed("process", "asterisk", problems)?;
            if text.value.is_empty() || text.value.contains('/') {
                let help = "write the program's name without its folder, as `ps -A` shows it";
                problems.push(text.problem(format!("`{}` is no name of a process", text.value), help));
                return None;
            }
            Some(Subject::Process(text.value.to_owned()))
        }
        "disk" => {
            own.extend(["path", "free_mib_min"]);
            let path = sections::path(section, "path", "/var/lib/tandem", directory, problems);
            let free = section.number_within("free_mib_min", FREE_MIB_DEFAULT, FREE_MIB, problems);
            path.zip(free).map(|(path, free_mib_min)| Subject::Disk { path, free_mib_min })
        }
        "script" => {
            own.push("command");
            let text = section.text_needed("command", "/usr/local/bin/check-trunk", problems)?;
            if text.value.trim().is_empty() {
                problems.push(text.problem("`command` is empty", "write what a shell is to run"));
                return None;
            }
            Some(Subject::Script { command: text.value.to_owned() })
        }
        "file" => {
            own.push("path");
            sections::path(section, "path", "/run/tandem/weight", directory, problems).map(Subject::File)
        }
        other => {
            problems.push(kind.problem(format!("there is no track of kind `{other}`"), KINDS));
            return None;
        }
    };
    let strange = KEYS.iter().find(|key| section.has(key) && !own.contains(key));
    if let Some(strange) = strange {
        let text = format!("a track of kind `{}` has no `{strange}`", kind.value);
        problems.push(kind.problem(text, "leave it out, or name another kind"));
    }
    subject
}

/// A file brings its weight itself.
fn weight(section: &Section<'_>, is_file: bool, problems: &mut Problems) -> Option<Weight> {
    const HELP: &str = "write weight = -20, which it subtracts from the priority while it fails, or fault = true, with \
                        which a node that fails does not serve";
    let fault = section.flag("fault", problems).is_some_and(|flag| flag.value);
    match (section.has("weight"), fault) {
        (true, true) => {
            problems.push(section.problem("a track has a `weight` or is a `fault`, not both", HELP));
            None
        }
        (false, true) => Some(Weight::Fault),
        (true, false) if is_file => {
            let help = "leave it out: the number in the file is the weight";
            problems.push(section.problem("a track of kind `file` has no `weight`", help));
            None
        }
        (false, false) if is_file => Some(Weight::Number),
        (true, false) => {
            let weight = section.negative("weight", WEIGHT_MAX, problems)?;
            Some(Weight::Subtract(weight))
        }
        (false, false) => {
            problems.push(section.problem("a track has no `weight`", HELP));
            None
        }
    }
}
