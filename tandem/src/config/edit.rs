//! `tandem config edit`: a copy for the editor, checked with all other files before it takes its place.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, BufRead, IsTerminal, Write, stdin};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::process::Command;

use admin::cli::EditArguments;
use miette::{IntoDiagnostic, Result, WrapErr, miette};
use node::ConfigRequest;
use node::replication::files::check_path;
use pbx::conf::{Files, Severity};
use pbx::configuration::load;
use serde_json::json;

use super::{Kept, ask, print};

/// Debian's name for whatever editor there is.
const EDITOR_DEFAULT: &str = "editor";

/// A new file may hold passwords: nobody else reads it.
const MODE_NEW: u32 = 0o640;

/// Its name begins with a dot, so that it is never taken for one of the files.
const TEMPORARY: &str = ".tandem-edit";

pub fn run(arguments: &EditArguments, colours: bool, out: &mut impl Write) -> Result<bool> {
    let EditArguments { file, node } = arguments;
    check_path(file).into_diagnostic()?;
    let root = Kept::of(node)?.directory()?.root().to_owned();
    let place = root.join(file);
    let before = read(&place)?;
    let copy = Copy::make(&place, before.as_deref().unwrap_or_default())?;
    let after = loop {
        copy.edit()?;
        let after = copy.bytes()?;
        if after == before.as_deref().unwrap_or_default() {
            print(node.json, &json!({ "done": true, "text": UNCHANGED }), || format!("{UNCHANGED}\n"), out)?;
            return Ok(true);
        }
        let mut files = admin::read_files(&root).into_diagnostic()?;
        files.0.insert(file.to_owned(), String::from_utf8_lossy(&after).into_owned());
        let mistakes = mistakes(&files);
        if mistakes.is_empty() {
            break after;
        }
        eprintln!("{}", mistakes.join("\n"));
        if !again()? {
            let text = format!("it does not check, and changes nothing; your text is in {}", copy.keep().display());
            print(node.json, &json!({ "done": false, "text": text }), || format!("refused: {text}\n"), out)?;
            return Ok(false);
        }
    };
    if read(&place)? != before {
        let text = format!("{file} was changed meanwhile; your text is in {}", copy.keep().display());
        print(node.json, &json!({ "done": false, "text": text }), || format!("refused: {text}\n"), out)?;
        return Ok(false);
    }
    replace(&place, &after).into_diagnostic().wrap_err_with(|| format!("write {}", place.display()))?;
    ask(ConfigRequest::Apply, node, colours, out)
}

const UNCHANGED: &str = "nothing was changed";

/// `None` where there is no such file yet.
fn read(place: &Path) -> Result<Option<Vec<u8>>> {
    match fs::read(place) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).into_diagnostic().wrap_err_with(|| format!("read {}", place.display())),
    }
}

/// What all files together would be refused for.
pub(super) fn mistakes(files: &Files) -> Vec<String> {
    let diagnostics = load(files).diagnostics;
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
    errors.map(ToString::to_string).collect()
}

/// A script is not asked.
fn again() -> Result<bool> {
    if !stdin().is_terminal() {
        return Ok(false);
    }
    eprint!("Edit again? [Y/n] ");
    let mut answer = String::new();
    stdin().lock().read_line(&mut answer).into_diagnostic()?;
    Ok(!answer.trim().to_ascii_lowercase().starts_with('n') && !answer.is_empty())
}

/// By another name first, with the owner and the mode that the file has.
pub(super) fn replace(place: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = place.parent().unwrap_or(Path::new("/"));
    let like = fs::metadata(folder)?;
    let temporary = folder.join(TEMPORARY);
    let (mode, owner) = match fs::metadata(place) {
        Ok(found) => (found.mode() & 0o777, (found.uid(), found.gid())),
        Err(_) => (MODE_NEW, (like.uid(), like.gid())),
    };
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    // Only root may give files away; anybody else's own is as good.
    let _ = fchown(&file, Some(owner.0), Some(owner.1));
    file.set_permissions(Permissions::from_mode(mode))?;
    file.sync_all()?;
    // A link stays one: what it leads to is exchanged.
    fs::rename(&temporary, fs::canonicalize(place).unwrap_or_else(|_| place.to_owned()))
}

/// The editor's copy, in a folder of its own that goes with it.
struct Copy {
    folder: PathBuf,
    path: PathBuf,
    keep: std::cell::Cell<bool>,
}

impl Copy {
    fn make(place: &Path, bytes: &[u8]) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("tandem-edit-{}", std::process::id()));
        DirBuilder::new().mode(0o700).create(&folder).into_diagnostic().wrap_err("make a folder for the copy")?;
        // The same name, so that the editor knows what it is.
        let path = folder.join(place.file_name().unwrap_or_default());
        let copy = Self { folder, path, keep: std::cell::Cell::new(false) };
        let options = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&copy.path);
        let written = options.and_then(|mut file| file.write_all(bytes));
        written.into_diagnostic().wrap_err_with(|| format!("write {}", copy.path.display()))?;
        Ok(copy)
    }

    /// Variables may hold arguments, too, as in `code --wait`.
    fn edit(&self) -> Result<()> {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let editor = set("VISUAL").or_else(|| set("EDITOR")).unwrap_or_else(|| EDITOR_DEFAULT.to_owned());
        let line = format!("{editor} \"$1\"");
        let status = Command::new("/bin/sh").args(["-c", &line, "sh"]).arg(&self.path).status();
        let status = status.into_diagnostic().wrap_err_with(|| format!("start {editor}"))?;
        if status.success() {
            Ok(())
        } else {
            Err(miette!("the editor {editor} failed ({status}); nothing was changed"))
        }
    }

    fn bytes(&self) -> Result<Vec<u8>> {
        fs::read(&self.path).into_diagnostic().wrap_err_with(|| format!("read {}", self.path.display()))
    }

    fn keep(&self) -> &Path {
        self.keep.set(true);
        &self.path
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        if !self.keep.get() {
            // What cannot be removed is the temporary directory's business.
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}
