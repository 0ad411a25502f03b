//! `tandem doctor`: finds what usually goes wrong with a pair before it does, and says what to do about it.
//!
//! `network`, `firewall`, `system`, `disk` and `pair` own the checks of one thing each; here they are put in order and
//! printed. Nothing is changed on the machine but a file that measures the disk, which is removed again.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use node::{Answer, Operator};
use pbx::configuration::Configuration;
use serde::Serialize;

use crate::cli::DoctorArguments;
use crate::config::Config;
use crate::human::paint_verdict;
use crate::operate::OperateError;
use crate::socket::{self, AskError};
use crate::status::NodeStatus;

mod disk;
mod firewall;
mod network;
mod pair;
mod system;
#[cfg(test)]
mod tests;

/// The longest file of the kernel's that is read whole. Socket tables of a busy machine have some hundred KiB.
const PROC_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// How one check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Ok,
    /// It could not be looked at, and the text says why.
    Unknown,
    /// It works, and one day it may not.
    Warning,
    /// The pair does not protect its calls, or will not when it matters.
    Problem,
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub check: &'static str,
    pub verdict: Verdict,
    pub text: String,
    /// What to do.
    pub todo: Option<String>,
}

impl Finding {
    pub fn ok(check: &'static str, text: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Ok, text: text.into(), todo: None }
    }

    pub fn unknown(check: &'static str, text: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Unknown, text: text.into(), todo: None }
    }

    pub fn warning(check: &'static str, text: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Warning, text: text.into(), todo: Some(todo.into()) }
    }

    pub fn problem(check: &'static str, text: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Problem, text: text.into(), todo: Some(todo.into()) }
    }
}

/// What other rooms find out.
#[derive(Clone, Debug, Default)]
pub struct Probes {
    /// Whether the kernel's clock is disciplined by a time server; `None` where it does not tell.
    pub clock_synchronised: Option<bool>,
    /// Of the key file, the way to tell neighbours that the address has moved, the witness, the store of call records.
    pub findings: Vec<Finding>,
}

/// What every check may look at.
struct Patient<'a> {
    config: &'a Config,
    /// Of a running node.
    status: Option<&'a NodeStatus>,
    /// `None` when the PBX's files cannot be used.
    pbx: Option<&'a Configuration>,
    probes: &'a Probes,
}

/// `tandem doctor --json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    pub problems: usize,
    pub warnings: usize,
    pub findings: Vec<Finding>,
}

impl Report {
    fn new(findings: Vec<Finding>) -> Self {
        let count = |verdict| findings.iter().filter(|finding| finding.verdict == verdict).count();
        Self { problems: count(Verdict::Problem), warnings: count(Verdict::Warning), findings }
    }
}

/// Examines the node of `arguments` and prints what was found; true without problems. `probe` is asked once the
/// configuration is known.
pub fn run(
    arguments: &DoctorArguments,
    probe: impl FnOnce(&Config) -> Probes,
    colours: bool,
    out: &mut impl Write,
) -> Result<bool, OperateError> {
    let config = Config::read(&arguments.config)?;
    let report = examine(&config, &probe(&config));
    let printed = if arguments.json {
        serde_json::to_writer_pretty(&mut *out, &report).map_err(std::io::Error::from).and_then(|()| writeln!(out))
    } else {
        out.write_all(human(&report, colours).as_bytes())
    };
    printed.map_err(OperateError::Print)?;
    Ok(report.problems == 0)
}

fn examine(config: &Config, probes: &Probes) -> Report {
    let (status, running) = running_status(config);
    let (pbx, files) = pbx_files(config);
    let patient = Patient { config, status: status.as_ref(), pbx: pbx.as_ref(), probes };
    let mut findings = vec![files];
    findings.extend(probes.findings.iter().cloned());
    findings.push(running);
    findings.extend(network::findings(&patient));
    findings.extend(firewall::findings(&patient));
    findings.extend(system::findings(&patient));
    findings.extend(disk::findings(&config.state_dir));
    findings.extend(pair::findings(&patient));
    Report::new(findings)
}

/// What the node says of itself, if it runs.
fn running_status(config: &Config) -> (Option<NodeStatus>, Finding) {
    const CHECK: &str = "node";
    match socket::ask(&config.control_socket(), Operator::Status) {
        Ok(answered) => match answered.answer {
            Answer::Status(status) => {
                let text = format!("{} runs as {}", status.node, status.role);
                let status = NodeStatus { status: *status, pid: answered.pid, parent_pid: answered.parent_pid };
                (Some(status), Finding::ok(CHECK, text))
            }
            _ => {
                (None, Finding::problem(CHECK, "the node gives an odd answer", "restart it with the installed version"))
            }
        },
        Err(AskError::NotRunning { .. }) => {
            let todo = "start it (tandem serve) and run `tandem doctor` again: then the peer is looked at, too";
            (None, Finding::warning(CHECK, "the node does not run", todo))
        }
        Err(error) => {
            (None, Finding::problem(CHECK, error.to_string(), "run `tandem doctor` as root, and read the log"))
        }
    }
}

fn pbx_files(config: &Config) -> (Option<Configuration>, Finding) {
    const CHECK: &str = "phones' files";
    let directory = config.pbx_dir.display();
    let files = match crate::read_files(&config.pbx_dir) {
        Ok(files) => files,
        Err(error) => return (None, Finding::problem(CHECK, format!("cannot be read: {error}"), "correct pbx_dir")),
    };
    let loaded = pbx::configuration::load(&files);
    let finding = match &loaded.configuration {
        Some(configuration) => Finding::ok(CHECK, format!("{directory}, {} endpoints", configuration.endpoints.len())),
        None => Finding::problem(CHECK, format!("{directory} cannot be used"), "`tandem check` tells file and line"),
    };
    (loaded.configuration, finding)
}

fn human(report: &Report, colours: bool) -> String {
    let mut text = String::new();
    for Finding { check, verdict, text: found, todo } in &report.findings {
        text.push_str(&format!("{} {check:<16} {found}\n", paint_verdict(*verdict, colours)));
        if let Some(todo) = todo {
            text.push_str(&format!("{:>8} {:<16} -> {todo}\n", "", ""));
        }
    }
    let counted = |count: usize, thing: &str| format!("{count} {thing}{}", if count == 1 { "" } else { "s" });
    text.push_str(&format!("{}, {}\n", counted(report.problems, "problem"), counted(report.warnings, "warning")));
    text
}

/// A file of the kernel's, without blanks at its ends; `None` where it is not there or may not be read.
fn kernel_file(path: impl AsRef<Path>) -> Option<String> {
    use std::io::Read;
    let mut text = String::new();
    fs::File::open(path).ok()?.take(PROC_BYTES_MAX).read_to_string(&mut text).ok()?;
    Some(text.trim().to_owned())
}

/// A kernel parameter by its dotted name.
fn sysctl(name: &str) -> Option<String> {
    kernel_file(PathBuf::from("/proc/sys").join(name.replace('.', "/")))
}
