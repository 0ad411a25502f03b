//! Owns how mistakes in a configuration file are told: with file, line, column and what to write instead.

use std::fmt::Write;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use miette::{Diagnostic, NamedSource, SourceSpan};
use thiserror::Error;

/// Why there is no configuration. The operator is to blame, and to try again only after the file was changed.
///
/// `miette::Report` shows the file's lines; `lines` has one line for each mistake, for logs and editors.
#[derive(Debug, Error, Diagnostic)]
pub enum ConfigError {
    #[error("read the configuration file {}", path.display())]
    #[diagnostic(help("name the file with --config FILE"))]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the configuration file {} is larger than 1 MiB", path.display())]
    #[diagnostic(help("name the right file with --config FILE"))]
    TooLarge { path: PathBuf },
    #[error(transparent)]
    #[diagnostic(transparent)]
    Invalid(Box<Invalid>),
}

/// A file with mistakes, all of them.
#[derive(Debug, Error, Diagnostic)]
#[error("the configuration file {} cannot be used", path.display())]
pub struct Invalid {
    pub path: PathBuf,
    #[source_code]
    source_code: NamedSource<String>,
    /// Sorted by place, at least one.
    #[related]
    pub problems: Vec<Problem>,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq, Error, Diagnostic)]
#[error("{text}")]
pub struct Problem {
    pub text: String,
    /// What to write instead.
    #[help]
    pub help: Option<String>,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    #[label]
    span: SourceSpan,
}

impl ConfigError {
    pub(super) fn invalid(path: &Path, text: String, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.span.offset());
        problems.iter_mut().for_each(|problem| problem.find_in(&text));
        let source_code = NamedSource::new(path.display().to_string(), text).with_language("toml");
        Self::Invalid(Box::new(Invalid { path: path.to_owned(), source_code, problems }))
    }

    /// One line for each mistake: `file:line:column: text; help`.
    pub fn lines(&self) -> String {
        let Self::Invalid(invalid) = self else { return format!("{self}\n") };
        let mut lines = String::new();
        for Problem { text, help, line, column, .. } in &invalid.problems {
            let help = help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
            let _ = writeln!(lines, "{}:{line}:{column}: {text}{help}", invalid.path.display());
        }
        lines
    }
}

impl Problem {
    /// `span` is in bytes of the file's text.
    pub(super) fn new(span: Range<usize>, text: impl Into<String>, help: Option<String>) -> Self {
        Self { text: text.into(), help, line: 1, column: 1, span: span.into() }
    }

    fn find_in(&mut self, text: &str) {
        let before = text.get(..self.span.offset().min(text.len())).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        self.line = before.matches('\n').count() + 1;
        self.column = before.get(line_start..).unwrap_or("").chars().count() + 1;
    }
}
