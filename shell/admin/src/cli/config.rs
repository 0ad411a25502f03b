//! Owns what can be typed behind `tandem config`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::NodeArguments;

/// What fits a terminal.
const VERSIONS_SHOWN: usize = 20;

#[derive(Clone, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Show which version of the PBX's files the nodes run, and what stands in the way of a newer one
    ///
    /// Exits with 1 while files are refused, or two edits conflict.
    Status(NodeArguments),
    /// Take the files as they are in the directory now, and wait until both nodes run them
    ///
    /// A change is noticed within a second without it. Files that do not check change nothing: the mistakes are told with
    /// file and line, and the exit code is 1.
    Apply(NodeArguments),
    /// Edit one file with $VISUAL or $EDITOR, check it with all others, and take it on both nodes
    ///
    /// The editor gets a copy. What does not check can be edited again, and changes nothing until it does.
    Edit(EditArguments),
    /// List the versions that there were, newest first
    History(HistoryArguments),
    /// Show what a version holds, or one file of it
    Show(ShowArguments),
    /// Show what is different between two versions, as diff -u does
    ///
    /// Without a version: between the one that runs and the files in the directory, or, in a conflict, between the two
    /// edits. With one: between it and the one that runs.
    Diff(DiffArguments),
    /// Go back to a version: it becomes the newest one, on both nodes
    Rollback(RollbackArguments),
    /// End a conflict: say which of two edits of one version is to be the next one
    ///
    /// Both stay in the history.
    Resolve(ResolveArguments),
}

#[derive(Clone, Debug, Args)]
pub struct EditArguments {
    /// The file, relative to the directory of the PBX's files
    #[arg(value_name = "FILE")]
    pub file: String,
    #[command(flatten)]
    pub node: NodeArguments,
}

#[derive(Clone, Debug, Args)]
pub struct HistoryArguments {
    #[command(flatten)]
    pub node: NodeArguments,
    /// Only the newest so many
    #[arg(long, value_name = "COUNT", default_value_t = VERSIONS_SHOWN)]
    pub limit: usize,
}

#[derive(Clone, Debug, Args)]
pub struct ShowArguments {
    /// As `tandem config history` shows it (a few of its first digits are enough), or `head`: the one that runs
    #[arg(value_name = "VERSION")]
    pub version: String,
    /// One file of it, as it was
    #[arg(value_name = "FILE")]
    pub file: Option<String>,
    #[command(flatten)]
    pub node: NodeArguments,
}

#[derive(Clone, Debug, Args)]
pub struct DiffArguments {
    /// The older one
    #[arg(value_name = "A")]
    pub from: Option<String>,
    /// The newer one
    #[arg(value_name = "B")]
    pub to: Option<String>,
    #[command(flatten)]
    pub node: NodeArguments,
}

#[derive(Clone, Debug, Args)]
pub struct RollbackArguments {
    /// As `tandem config history` shows it; a few of its first digits are enough
    #[arg(value_name = "VERSION")]
    pub version: String,
    #[command(flatten)]
    pub node: NodeArguments,
}

#[derive(Clone, Debug, Args)]
pub struct ResolveArguments {
    /// `a`, the version that runs; `b`, the other edit; or a file with what the one file should be that both have changed;
    /// or a directory with all files
    #[arg(long, value_name = "a|b|FILE")]
    pub take: PathBuf,
    #[command(flatten)]
    pub node: NodeArguments,
}
