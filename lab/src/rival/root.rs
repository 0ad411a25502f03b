//! The system that Asterisk 16 is part of, in a folder: made once by mmdebstrap from where this machine installs, and
//! kept beside the build.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{LabError, process};

/// Debian 11, the last one that has an Asterisk of chan_sip.
const RELEASE: &str = "bullseye";
const PACKAGES: &str = "asterisk";

/// Where its modules may be.
const MODULES: [&str; 2] = ["usr/lib/asterisk/modules", "usr/lib/x86_64-linux-gnu/asterisk/modules"];

/// What a module's folder must have.
const MODULE: &str = "chan_sip.so";

/// What every cargo target directory has.
const BUILD_TAG: &str = "CACHEDIR.TAG";

/// A whole Debian with Asterisk.
pub(crate) struct Root {
    path: PathBuf,
    modules: PathBuf,
}

impl Root {
    /// The one that is kept, or a new one, which takes a minute or two and shows how far it is unless `quiet`.
    pub(crate) fn ready(program: &Path, quiet: bool) -> Result<Self, LabError> {
        let folder = folder(program);
        let path = folder.join(RELEASE);
        if !path.exists() {
            fs::create_dir_all(&folder).map_err(LabError::io(format!("making {}", folder.display())))?;
            make(&folder, &path, quiet)?;
        }
        let modules = MODULES.into_iter().find(|modules| path.join(modules).join(MODULE).is_file());
        let modules = modules.ok_or_else(|| LabError::Io {
            operation: format!("looking for Asterisk in {}; remove it, so that it is made again", path.display()),
            source: std::io::ErrorKind::NotFound.into(),
        })?;
        Ok(Self { modules: Path::new("/").join(modules), path })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// As a program within sees it.
    pub(crate) fn modules(&self) -> &Path {
        &self.modules
    }
}

/// Beside the build that the program comes from; an installed program has none.
fn folder(program: &Path) -> PathBuf {
    let builds = program.ancestors().skip(1).filter(|folder| folder.join(BUILD_TAG).is_file());
    builds.map(Path::to_owned).next().unwrap_or_else(std::env::temp_dir).join("tandem-beside")
}

fn make(folder: &Path, path: &Path, quiet: bool) -> Result<(), LabError> {
    // What is half made has another name.
    let fresh = folder.join(format!("{RELEASE}-{}", std::process::id()));
    let source = format!("deb {} {RELEASE} main", mirror(&apt_sources()));
    let mut command = Command::new("mmdebstrap");
    command.args(["--variant=apt", &format!("--include={PACKAGES}"), RELEASE]).arg(&fresh).arg(source);
    let text = process::describe(&command);
    // Standard output may be the drill's document.
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(if quiet { Stdio::null() } else { Stdio::inherit() });
    let status = process::start(&mut command)?.wait().map_err(LabError::io(format!("waiting for `{text}`")))?;
    if !status.success() {
        return Err(LabError::Command { command: text, output: format!("{status}") });
    }
    fs::rename(&fresh, path).map_err(LabError::io(format!("keeping {}", path.display())))
}

/// Everything that apt is told about where to install from.
fn apt_sources() -> String {
    let more = fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten().map(|entry| entry.path());
    let files = std::iter::once(PathBuf::from("/etc/apt/sources.list")).chain(more);
    files.filter_map(|file| fs::read_to_string(file).ok()).collect::<Vec<_>>().join("\n")
}

/// This machine's own mirror of Debian, or the common one.
fn mirror(sources: &str) -> &str {
    let lines = sources.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let mut words = lines.flat_map(str::split_whitespace);
    let found = words.find(|word| word.contains("://") && word.trim_end_matches('/').ends_with("/debian"));
    found.unwrap_or("http://deb.debian.org/debian")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_s_mirror_is_used_in_either_form_of_its_sources() {
        let old = "# deb http://old.example/debian buster main\ndeb [arch=amd64] https://mirror.example/debian/ bookworm main\n";
        assert_eq!(mirror(old), "https://mirror.example/debian/");
        let new = "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\n";
        assert_eq!(mirror(new), "http://mirror.example/debian");
        assert_eq!(mirror("deb https://other.example/tools stable main"), "http://deb.debian.org/debian");
    }

    #[test]
    fn the_system_is_kept_beside_the_build() {
        let target = std::env::temp_dir().join(format!("tandem-lab-target-{}", std::process::id()));
        fs::create_dir_all(target.join("release")).expect("a folder");
        fs::write(target.join(BUILD_TAG), "").expect("a file");
        assert_eq!(folder(&target.join("release/tandem")), target.join("tandem-beside"));
        assert_eq!(folder(Path::new("/nowhere/bin/tandem")), std::env::temp_dir().join("tandem-beside"));
        fs::remove_dir_all(&target).expect("removal");
    }
}
