//! `tandem config`: what a person asks about the configuration's versions, from the node and from its store of contents.

mod edit;
mod resolve;

use std::io::Write;
use std::path::PathBuf;

use admin::cli::{ConfigCommand, DiffArguments, HistoryArguments, NodeArguments, RollbackArguments, ShowArguments};
use admin::versions::{self, Side, find};
use admin::{human, operate, socket};
use miette::{IntoDiagnostic, Report, Result, WrapErr, miette};
use node::replication::Hash;
use node::replication::files::{Entry, Set, VersionId, diff};
use node::{Answer, ConfigAnswer, ConfigRequest, Operator, Status};
use serde_json::json;
use storage::content::ContentStore;
use storage::directory::{Directory, read_set};

use crate::commands::report;

pub fn run(command: &ConfigCommand, colours: bool, out: &mut impl Write) -> Result<bool> {
    match command {
        ConfigCommand::Status(node) => status(node, colours, out),
        ConfigCommand::Apply(node) => ask(ConfigRequest::Apply, node, colours, out),
        ConfigCommand::Edit(arguments) => edit::run(arguments, colours, out),
        ConfigCommand::History(arguments) => history(arguments, colours, out),
        ConfigCommand::Show(arguments) => show(arguments, out),
        ConfigCommand::Diff(arguments) => difference(arguments, out),
        ConfigCommand::Rollback(arguments) => rollback(arguments, colours, out),
        ConfigCommand::Resolve(arguments) => resolve::run(arguments, colours, out),
    }
}

/// What the node knows of versions.
fn known(node: &NodeArguments) -> Result<ConfigAnswer> {
    let state_dir = node.target.to_state_dir().map_err(Report::new)?;
    let asked = socket::ask(&socket::path_in(&state_dir), Operator::Config(ConfigRequest::Status));
    match asked.into_diagnostic()?.answer {
        Answer::Config(answer) => Ok(*answer),
        Answer::Refused { text } => Err(miette!("{text}")),
        _ => Err(miette!("the node's answer is of another version of the program")),
    }
}

/// Asks for a change and waits for what comes of it.
fn ask(request: ConfigRequest, node: &NodeArguments, colours: bool, out: &mut impl Write) -> Result<bool> {
    operate::run(Operator::Config(request), node, colours, out).map_err(report)
}

/// What the node says of itself.
fn own_status(node: &NodeArguments) -> Result<Status> {
    let state_dir = node.target.to_state_dir().map_err(Report::new)?;
    match socket::ask(&socket::path_in(&state_dir), Operator::Status).into_diagnostic()?.answer {
        Answer::Status(status) => Ok(*status),
        _ => Err(miette!("the node's answer is of another version of the program")),
    }
}

fn status(node: &NodeArguments, colours: bool, out: &mut impl Write) -> Result<bool> {
    let answer = known(node)?;
    let has_peer = own_status(node)?.peer.is_some();
    let well = answer.line.conflict.is_none() && answer.line.refused.is_empty();
    let human = |answer: &ConfigAnswer| human::configuration::status(answer, has_peer, colours);
    print(node.json, &json!(answer.line), || human(&answer), out)?;
    Ok(well)
}

fn history(arguments: &HistoryArguments, colours: bool, out: &mut impl Write) -> Result<bool> {
    let HistoryArguments { node, limit } = arguments;
    let mut answer = known(node)?;
    answer.history.truncate(*limit);
    print(node.json, &json!(answer.history), || human::configuration::history(&answer, *limit, colours), out)?;
    Ok(true)
}

fn rollback(arguments: &RollbackArguments, colours: bool, out: &mut impl Write) -> Result<bool> {
    let RollbackArguments { version, node } = arguments;
    let version = named(&known(node)?, version)?;
    ask(ConfigRequest::Rollback(VersionId(version)), node, colours, out)
}

fn show(arguments: &ShowArguments, out: &mut impl Write) -> Result<bool> {
    let ShowArguments { version, file, node } = arguments;
    let kept = Kept::of(node)?;
    let version = named(&known(node)?, version)?;
    let set = kept.set(&version)?;
    if let Some(path) = file {
        let entry = set.entry(path).ok_or_else(|| miette!("there is no {path} in {}", version.short()))?;
        let bytes = kept.store.read(&entry.content).into_diagnostic()?;
        let text = String::from_utf8_lossy(&bytes);
        let value = json!({ "version": version.to_string(), "file": file_json(entry), "text": text });
        if node.json {
            writeln!(out, "{value:#}").into_diagnostic()?;
        } else {
            out.write_all(&bytes).into_diagnostic()?;
        }
        return Ok(true);
    }
    let files: Vec<_> = set.iter().map(file_json).collect();
    let line = |entry: &Entry| {
        let whose = versions::whose(Side { bytes: &[], mode: 0, owner: &entry.owner, group: &entry.group });
        format!("{:04o}  {whose}  {:>9}  {}\n", entry.mode, entry.bytes, human::table::printable(&entry.path))
    };
    print(
        node.json,
        &json!({ "version": version.to_string(), "files": files }),
        || set.iter().map(line).collect(),
        out,
    )?;
    Ok(true)
}

fn difference(arguments: &DiffArguments, out: &mut impl Write) -> Result<bool> {
    let DiffArguments { from, to, node } = arguments;
    let kept = Kept::of(node)?;
    let answer = known(node)?;
    let conflicts = answer.line.conflict.is_some();
    let (before, after) = match (from, to) {
        (Some(from), Some(to)) => (kept.side(&answer, from)?, kept.side(&answer, to)?),
        (Some(from), None) => (kept.side(&answer, from)?, kept.side(&answer, "head")?),
        (None, _) if conflicts => (kept.side(&answer, "a")?, kept.side(&answer, "b")?),
        (None, _) => (kept.side(&answer, "head")?, kept.here(&answer)?),
    };
    let files = compare(&before, &after)?;
    let named = |files: &[(String, String)]| -> Vec<_> {
        files.iter().map(|(path, text)| json!({ "file": path, "diff": text })).collect()
    };
    let value = json!({ "from": before.name, "to": after.name, "files": named(&files) });
    print(node.json, &value, || files.iter().map(|(_, text)| text.as_str()).collect(), out)?;
    Ok(true)
}

/// A file's bytes, from wherever its set is.
type Read = Box<dyn Fn(&Entry) -> Result<Vec<u8>>>;

/// One side of a comparison, with a way to its contents.
struct Compared {
    name: String,
    set: Set,
    read: Read,
}

fn compare(before: &Compared, after: &Compared) -> Result<Vec<(String, String)>> {
    let list = |side: &Compared| -> Vec<Entry> { side.set.iter().cloned().collect() };
    let mut files = Vec::new();
    for change in diff(&list(before), &list(after)) {
        let read = |side: &Compared, entry: &Option<Entry>| entry.as_ref().map(|entry| (side.read)(entry)).transpose();
        let (old, new) = (read(before, &change.before)?, read(after, &change.after)?);
        let text = versions::difference(&change.path, side(&change.before, &old), side(&change.after, &new));
        if !text.is_empty() {
            files.push((change.path, text));
        }
    }
    Ok(files)
}

fn side<'a>(entry: &'a Option<Entry>, bytes: &'a Option<Vec<u8>>) -> Option<Side<'a>> {
    let (entry, bytes) = (entry.as_ref()?, bytes.as_ref()?);
    Some(Side { bytes, mode: entry.mode, owner: &entry.owner, group: &entry.group })
}

fn named(answer: &ConfigAnswer, name: &str) -> Result<Hash> {
    let id = find(answer, name).into_diagnostic()?;
    Hash::parse(&id).ok_or_else(|| miette!("the node's answer is of another version of the program"))
}

fn file_json(entry: &Entry) -> serde_json::Value {
    let Entry { path, content, bytes, mode, owner, group } = entry;
    json!({
        "path": path, "sha256": content.to_string(), "bytes": bytes, "mode": format!("{mode:04o}"), "owner": owner,
        "group": group,
    })
}

fn print(json: bool, value: &serde_json::Value, human: impl Fn() -> String, out: &mut impl Write) -> Result<()> {
    if json {
        writeln!(out, "{value:#}").into_diagnostic()
    } else {
        out.write_all(human().as_bytes()).into_diagnostic()
    }
}

/// What the node's state directory has of versions.
struct Kept {
    state_dir: PathBuf,
    store: ContentStore,
}

impl Kept {
    fn of(node: &NodeArguments) -> Result<Self> {
        let state_dir = node.target.to_state_dir().map_err(Report::new)?;
        Ok(Self { store: ContentStore::existing(&state_dir), state_dir })
    }

    /// The directory of the PBX's files, as the node sees it.
    fn directory(&self) -> Result<Directory> {
        let directory = Directory::beside(&self.state_dir);
        directory.ok_or_else(|| miette!("no node of this program has run with {} yet", self.state_dir.display()))
    }

    fn set(&self, version: &Hash) -> Result<Set> {
        let read = read_set(&self.store, version).into_diagnostic();
        read.wrap_err_with(|| format!("{} is not on this machine; ask on the other one", version.short()))
    }

    fn side(&self, answer: &ConfigAnswer, name: &str) -> Result<Compared> {
        let version = named(answer, name)?;
        let store = ContentStore::existing(&self.state_dir);
        let read = move |entry: &Entry| store.read(&entry.content).into_diagnostic();
        Ok(Compared { name: version.to_string(), set: self.set(&version)?, read: Box::new(read) })
    }

    /// The directory as it is now.
    fn here(&self, answer: &ConfigAnswer) -> Result<Compared> {
        let mut directory = self.directory()?;
        let root = directory.root().to_owned();
        let head = answer.line.head.as_deref().and_then(Hash::parse);
        let base = head.and_then(|head| read_set(&self.store, &head).ok());
        let scan = directory.scan();
        let set = directory.named_as_in(&scan.set, base.as_ref()).into_diagnostic()?;
        let read = move |entry: &Entry| std::fs::read(root.join(&entry.path)).into_diagnostic();
        Ok(Compared { name: directory.root().display().to_string(), set, read: Box::new(read) })
    }
}
