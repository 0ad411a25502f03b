//! `tandem check`: reads the PBX's files, has them checked and tells what was found.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use pbx::conf::{self, Diagnostic, Diagnostics, Files, Severity};
use pbx::configuration::{self, Loaded};
use serde::Serialize;

use crate::cli::CheckArguments;
use crate::config::Config;
use crate::operate::OperateError;

#[cfg(test)]
mod tests;

/// A PBX with 20,000 phones has some 10 MiB of files. More is a directory that was named by mistake, and an error.
pub const FILES_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// As with the bytes: more is an error.
pub const FILES_MAX: usize = 10_000;

/// Directories within directories. Deeper ones are an error.
const DEPTH_MAX: usize = 16;

/// Sections of `extensions.conf` that are no contexts.
const NOT_CONTEXTS: [&str; 2] = ["general", "globals"];

/// Reads all files below `directory`, which belong together whatever they are called. What is not UTF-8 is replaced.
///
/// Left out are names that begin with a dot (editors' and version control's own) and what is no regular file; links to
/// files are followed, links to directories below `directory` are not.
pub fn read_files(directory: &Path) -> io::Result<Files> {
    let mut reading = Reading { files: BTreeMap::new(), bytes_left: FILES_BYTES_MAX };
    reading.directory(directory, "", 0)?;
    Ok(Files(reading.files))
}

/// What `tandem check --json` prints.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    pub directory: String,
    /// A node would use the files.
    pub usable: bool,
    pub errors: usize,
    pub warnings: usize,
    pub diagnostics: Vec<Finding>,
    pub summary: Option<Summary>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    pub file: String,
    /// From 1; 0 when the finding is about the file as a whole.
    pub line: u32,
    /// `error` or `warning`
    pub severity: &'static str,
    pub text: String,
}

/// What files without errors amount to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    pub endpoints: usize,
    pub contexts: usize,
    /// `udp 0.0.0.0:5060`
    pub transports: Vec<String>,
}

/// Checks what `arguments` name and prints the findings; true when a node would use the files.
pub fn run(arguments: &CheckArguments, out: &mut impl Write) -> Result<bool, OperateError> {
    let directory = match &arguments.asterisk_dir {
        Some(directory) => directory.clone(),
        None => Config::read(&arguments.config)?.pbx_dir,
    };
    let read = read_files(&directory);
    let files = read.map_err(|source| OperateError::ReadFiles { directory: directory.clone(), source })?;
    let report = report(&directory, &files);
    let printed = if arguments.json {
        serde_json::to_writer_pretty(&mut *out, &report).map_err(io::Error::from).and_then(|()| writeln!(out))
    } else {
        out.write_all(human(&report).as_bytes())
    };
    printed.map_err(OperateError::Print)?;
    Ok(report.usable)
}

/// Checks `files`, which were read from `directory`.
pub fn report(directory: &Path, files: &Files) -> Report {
    let Loaded { configuration, diagnostics } = configuration::load(files);
    let count = |severity| diagnostics.iter().filter(|diagnostic| diagnostic.severity == severity).count();
    let summary = configuration.as_ref().map(|configuration| Summary {
        endpoints: configuration.endpoints.len(),
        contexts: contexts(files),
        transports: configuration
            .general
            .transports
            .iter()
            .map(|transport| format!("udp {}", std::net::SocketAddr::new(transport.bind, transport.port)))
            .collect(),
    });
    Report {
        directory: directory.display().to_string(),
        usable: configuration.is_some(),
        errors: count(Severity::Error),
        warnings: count(Severity::Warning),
        summary,
        diagnostics: diagnostics.into_iter().map(finding).collect(),
    }
}

fn finding(diagnostic: Diagnostic) -> Finding {
    let Diagnostic { file, line, severity, text } = diagnostic;
    let severity = match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    Finding { file, line, severity, text }
}

/// The load has told everything that is wrong with the files, so what is found again here is dropped.
fn contexts(files: &Files) -> usize {
    let extensions = conf::read(files, "extensions.conf", &mut Diagnostics::default()).unwrap_or_default();
    let sections = extensions.sections.iter().filter(|section| !section.template);
    let names = sections.map(|section| &*section.name).filter(|name| !NOT_CONTEXTS.contains(name));
    names.collect::<BTreeSet<_>>().len()
}

fn human(report: &Report) -> String {
    let mut lines: Vec<String> = report.diagnostics.iter().map(finding_line).collect();
    let (errors, warnings) = (counted(report.errors, "error"), counted(report.warnings, "warning"));
    let verdict = if report.usable { "can be used" } else { "CANNOT be used" };
    lines.push(format!("{} {verdict}: {errors}, {warnings}", report.directory));
    if let Some(Summary { endpoints, contexts, transports }) = &report.summary {
        let (endpoints, contexts) = (counted(*endpoints, "endpoint"), counted(*contexts, "context"));
        lines.push(format!("{endpoints}, {contexts}, listening on {}", transports.join(" and ")));
    }
    lines.join("\n") + "\n"
}

fn finding_line(Finding { file, line, severity, text }: &Finding) -> String {
    if *line == 0 { format!("{file}: {severity}: {text}") } else { format!("{file}:{line}: {severity}: {text}") }
}

fn counted(count: usize, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}

struct Reading {
    files: BTreeMap<String, String>,
    bytes_left: u64,
}

impl Reading {
    /// `prefix` is the directory's path relative to the one that was asked for, with a final `/` unless empty.
    fn directory(&mut self, directory: &Path, prefix: &str, depth: usize) -> io::Result<()> {
        if depth > DEPTH_MAX {
            return Err(too_much(format!("{} is more than {DEPTH_MAX} directories deep", directory.display())));
        }
        for entry in fs::read_dir(directory).map_err(|error| at(directory, error))? {
            let entry = entry.map_err(|error| at(directory, error))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') {
                continue;
            }
            let path = entry.path();
            let relative = format!("{prefix}{name}");
            if entry.file_type().map_err(|error| at(&path, error))?.is_dir() {
                self.directory(&path, &format!("{relative}/"), depth + 1)?;
            } else if fs::metadata(&path).map_err(|error| at(&path, error))?.is_file() {
                self.file(&path, relative)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, relative: String) -> io::Result<()> {
        if self.files.len() == FILES_MAX {
            return Err(too_much(format!("there are more than {FILES_MAX} files")));
        }
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(|error| at(path, error))?;
        file.take(self.bytes_left + 1).read_to_end(&mut bytes).map_err(|error| at(path, error))?;
        let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let Some(left) = self.bytes_left.checked_sub(count) else {
            return Err(too_much(format!("the files have more than {} MiB", FILES_BYTES_MAX / 1024 / 1024)));
        };
        self.bytes_left = left;
        self.files.insert(relative, String::from_utf8_lossy(&bytes).into_owned());
        Ok(())
    }
}

/// The operating system's errors do not say which file they are about.
fn at(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn too_much(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, text)
}
