//! `tandem config resolve`: one of two edits, or what somebody has made of both.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use admin::cli::ResolveArguments;
use admin::versions::find;
use miette::{IntoDiagnostic, Result, WrapErr, miette};
use node::replication::files::{Change, Entry, Set, diff};
use node::{ConfigRequest, Take};
use storage::directory::Directory;

use super::edit::{mistakes, replace};
use super::{Kept, ask, known, named};

/// Files by their paths.
type Texts = BTreeMap<String, Vec<u8>>;

pub fn run(arguments: &ResolveArguments, colours: bool, out: &mut impl Write) -> Result<bool> {
    let ResolveArguments { take, node } = arguments;
    match take.to_str() {
        Some("a") => return ask(ConfigRequest::Resolve(Take::Ours), node, colours, out),
        Some("b") => return ask(ConfigRequest::Resolve(Take::Theirs), node, colours, out),
        _ => {}
    }
    let (answer, kept) = (known(node)?, Kept::of(node)?);
    find(&answer, "a").into_diagnostic()?;
    let (ours, theirs) = (kept.set(&named(&answer, "a")?)?, kept.set(&named(&answer, "b")?)?);
    let mut directory = kept.directory()?;
    let whole = take.is_dir();
    let texts = if whole { all(take, directory.local())? } else { one(&ours, &theirs, take)? };
    // Before anything is changed.
    let scan = directory.scan();
    let base = if whole { Set::default() } else { ours.clone() };
    let mut files = directory.texts(&kept.store, &base, &scan).into_diagnostic()?;
    let lossy = |(path, bytes): (&String, &Vec<u8>)| (path.clone(), String::from_utf8_lossy(bytes).into_owned());
    files.0.extend(texts.iter().map(lossy));
    let mistakes = mistakes(&files);
    if !mistakes.is_empty() {
        return Err(miette!("it does not check, and changes nothing:\n{}", mistakes.join("\n")));
    }
    // What runs stays what runs, and is no conflict any more; what was made of both is an edit of it.
    let mut said = Vec::new();
    if !ask(ConfigRequest::Resolve(Take::Ours), node, colours, &mut said)? {
        out.write_all(&said).into_diagnostic()?;
        return Ok(false);
    }
    write(directory.root(), &texts)?;
    if whole {
        let gone = ours.iter().filter(|entry| !texts.contains_key(&entry.path));
        gone.for_each(|entry| drop(fs::remove_file(directory.root().join(&entry.path))));
    }
    ask(ConfigRequest::Apply, node, colours, out)
}

/// The one file in which both differ is to be what `path` holds.
fn one(ours: &Set, theirs: &Set, path: &Path) -> Result<Texts> {
    let bytes = fs::read(path).into_diagnostic().wrap_err_with(|| format!("read {}", path.display()))?;
    let list = |set: &Set| -> Vec<Entry> { set.iter().cloned().collect() };
    let changes = diff(&list(ours), &list(theirs));
    match changes.as_slice() {
        [Change { path, .. }] => Ok(Texts::from([(path.clone(), bytes)])),
        several => {
            let paths: Vec<_> = several.iter().map(|change| change.path.as_str()).collect();
            Err(miette!(
                help = "prepare a directory with all files as they should be, and name that",
                "the two edits differ in {} files: {}",
                paths.len(),
                paths.join(", ")
            ))
        }
    }
}

/// All files of a directory, but for those that every machine has for itself.
fn all(path: &Path, local: &[String]) -> Result<Texts> {
    let scan = Directory::open(path, local, path).scan();
    if let Some(problem) = scan.problems.first() {
        return Err(miette!("{problem}"));
    }
    let read = |entry: &Entry| {
        let file = path.join(&entry.path);
        let bytes = fs::read(&file).into_diagnostic().wrap_err_with(|| format!("read {}", file.display()))?;
        Ok((entry.path.clone(), bytes))
    };
    scan.set.iter().map(read).collect()
}

fn write(root: &Path, texts: &Texts) -> Result<()> {
    for (path, bytes) in texts {
        let place = root.join(path);
        let folder = place.parent().unwrap_or(root);
        let made = fs::create_dir_all(folder).and_then(|()| replace(&place, bytes));
        made.into_diagnostic().wrap_err_with(|| format!("write {}", place.display()))?;
    }
    Ok(())
}
