//! Owns the generic form of Asterisk's configuration files: sections, templates, includes, and where each line stands.
//! What the sections mean is the business of `configuration` and `dialplan`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

pub mod glob;
mod lines;
mod reader;
pub(crate) mod suggestion;
#[cfg(test)]
mod tests;

pub use reader::read;

/// The text of all configuration files: path relative to the configuration directory, with `/`, to content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files(pub BTreeMap<String, String>);

impl Files {
    pub fn text(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }
}

impl<P: Into<String>, T: Into<String>> FromIterator<(P, T)> for Files {
    fn from_iter<I: IntoIterator<Item = (P, T)>>(files: I) -> Self {
        Self(files.into_iter().map(|(path, text)| (path.into(), text.into())).collect())
    }
}

/// Whether a finding makes the files unusable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The files are refused as a whole, and what was loaded before goes on.
    Error,
    /// The files are used without what the finding names.
    Warning,
}

/// A finding for the operator. Its text never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Diagnostic {
    /// Relative to the configuration directory.
    pub file: String,
    /// From 1; 0 when the finding is about the file as a whole.
    pub line: u32,
    pub severity: Severity,
    pub text: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{}:{}: {}: {}", self.file, self.line, severity, self.text)
    }
}

/// Where a line stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub file: Arc<str>,
    pub line: u32,
}

impl Place {
    pub fn new(file: &str, line: u32) -> Self {
        Self { file: Arc::from(file), line }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// A `key = value` line, comments and outer blanks removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub key: Arc<str>,
    pub value: Arc<str>,
    /// Written with `=>`, which some files use to tell objects from settings.
    pub object: bool,
    pub place: Place,
}

/// A `[name]` section with the lines it inherits from its templates first, then its own, in file order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    pub name: Arc<str>,
    /// Written as `[name](!)`: other sections inherit from it, and it means nothing by itself.
    pub template: bool,
    pub place: Place,
    pub entries: Vec<Entry>,
}

impl Section {
    /// The last line with this key, which is the one that counts. Keys are compared without case.
    pub fn last(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().rev().find(|entry| entry.key.eq_ignore_ascii_case(key))
    }
}

/// One configuration file and all that it includes. Sections of one name stay apart, in file order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conf {
    pub sections: Vec<Section>,
}

/// More findings of one severity than this help nobody; those beyond are counted and not kept.
const DIAGNOSTICS_MAX: usize = 1_000;

/// Collects findings, each once: a line that thousands of sections inherit is told of once.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    errors: BTreeSet<Diagnostic>,
    warnings: BTreeSet<Diagnostic>,
    dropped: u64,
    failed: bool,
    /// Lines that need not be looked at again when the next section inherits them.
    seen: BTreeSet<Place>,
}

impl Diagnostics {
    pub fn error(&mut self, place: &Place, text: impl Into<String>) {
        self.failed = true;
        self.push(place, Severity::Error, text.into());
    }

    pub fn warning(&mut self, place: &Place, text: impl Into<String>) {
        self.push(place, Severity::Warning, text.into());
    }

    /// Whether this is the first time that the line is reported on. What is costly to say is worked out once, not for
    /// each of the thousands of sections that inherit the line.
    pub(crate) fn first_look(&mut self, place: &Place) -> bool {
        self.seen.insert(place.clone())
    }

    /// True once any error was found, kept or not.
    pub fn failed(&self) -> bool {
        self.failed
    }

    /// Sorted by file, line and severity. When findings were dropped, the last one says how many.
    pub fn finish(self) -> Vec<Diagnostic> {
        let mut found: Vec<_> = self.errors.into_iter().chain(self.warnings).collect();
        found.sort();
        if let (true, Some(last)) = (self.dropped > 0, found.last()) {
            let text = format!("{} more findings are not shown", self.dropped);
            found.push(Diagnostic { file: last.file.clone(), line: last.line, severity: Severity::Warning, text });
        }
        found
    }

    fn push(&mut self, place: &Place, severity: Severity, text: String) {
        let found = Diagnostic { file: place.file.to_string(), line: place.line, severity, text };
        let kept = match severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        if kept.len() < DIAGNOSTICS_MAX {
            kept.insert(found);
        } else if !kept.contains(&found) {
            self.dropped += 1;
        }
    }
}
