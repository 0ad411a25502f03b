//! What installing, removing and purging leave on a clean system, and what the package is made of.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tandem_lab::process::run;

use crate::pair;
use crate::root::{Root, build_package};
use crate::unit::{INSTANCE_UNIT_PATH, UNIT_PATH, Unit, WITNESS_UNIT_PATH, compare, verify};

const LIMIT: Duration = Duration::from_secs(60);

/// Debug information alone is several times as much.
const PROGRAM_BYTES_MAX: u64 = 40_000_000;

const FILES: [&str; 20] = [
    UNIT_PATH,
    INSTANCE_UNIT_PATH,
    WITNESS_UNIT_PATH,
    "usr/bin/tandem",
    "usr/lib/sysctl.d/30-tandem.conf",
    "usr/share/bash-completion/completions/tandem",
    "usr/share/doc/tandem/README.md",
    "usr/share/doc/tandem/changelog.gz",
    "usr/share/doc/tandem/copyright",
    "usr/share/doc/tandem/examples/pbx/extensions.conf",
    "usr/share/doc/tandem/examples/pbx/sip.conf",
    "usr/share/doc/tandem/examples/tandem.toml",
    "usr/share/doc/tandem/install.md",
    "usr/share/doc/tandem/mutual-backup.md",
    "usr/share/doc/tandem/third-party-licenses.gz",
    "usr/share/fish/vendor_completions.d/tandem.fish",
    "usr/share/man/man1/tandem-serve.1.gz",
    "usr/share/man/man1/tandem-status.1.gz",
    "usr/share/man/man1/tandem.1.gz",
    "usr/share/zsh/vendor-completions/_tandem",
];

/// A machine with a node has no witness of its own: whoever wants one starts it.
const WITNESS_ENABLED: &str = "etc/systemd/system/multi-user.target.wants/tandem-witness.service";

/// Enabled for the next start of the machine.
const ENABLED: &str = "etc/systemd/system/multi-user.target.wants/tandem.service";

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("tandem-package-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Files that cannot be removed now are the temporary directory's business.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn package_is_installed_serves_a_pair_and_is_purged() {
    let folder = Folder::new();
    let package = build_package(&folder.0);
    let root = Root::unpack(&folder.0.join("root"));
    let clean = root.paths();

    root.install(&package);
    let files = root.paths();
    has_files(&root);
    has_its_user(&root);
    let unit = Unit::read(&root.at(UNIT_PATH));
    compare(&root.path);
    verify(&root.path, &folder.0);
    pair::serves(&root, &unit, &folder.0);

    fs::write(root.at("etc/tandem/tandem.toml"), "kept").expect("a file");
    fs::write(root.at("var/lib/tandem/cdr.db"), "kept").expect("a file");
    // Installed over itself, as an upgrade is: nothing is lost, nothing is left over.
    root.install(&package);
    assert_eq!(&root.paths() - &files, ["etc/tandem/tandem.toml", "var/lib/tandem/cdr.db"].map(str::to_owned).into());
    root.run(&["dpkg", "--remove", "tandem"]);
    assert!(root.at("etc/tandem/tandem.toml").exists() && root.at("var/lib/tandem/cdr.db").exists());
    assert!(!root.at("usr/bin/tandem").exists());
    root.run(&["dpkg", "--purge", "tandem"]);
    assert_eq!(&root.paths() - &clean, [].into());
    assert!(root.user_lines().is_empty(), "{:?}", root.user_lines());
}

fn has_files(root: &Root) {
    for file in FILES {
        let metadata = fs::metadata(root.at(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let mode = if file == "usr/bin/tandem" { 0o755 } else { 0o644 };
        assert_eq!((metadata.uid(), metadata.permissions().mode() & 0o7777), (0, mode), "{file}");
    }
    assert!(fs::metadata(root.at("usr/bin/tandem")).expect("the program").len() < PROGRAM_BYTES_MAX);
    assert!(root.run(&["tandem", "--version"]).starts_with("tandem "));
    assert!(fs::symlink_metadata(root.at(ENABLED)).is_ok(), "the unit is enabled");
    assert!(fs::symlink_metadata(root.at(WITNESS_ENABLED)).is_err(), "the witness is not");
    let told = root.run(&["tandem", "check", "--asterisk-dir", "/usr/share/doc/tandem/examples/pbx"]);
    assert!(told.contains("0 errors, 0 warnings"), "{told}");
    for page in ["tandem.1.gz", "tandem-serve.1.gz"] {
        reads_well(&root.at("usr/share/man/man1").join(page));
    }
}

/// man(1) formats the page without a word of complaint, where this machine has it.
fn reads_well(page: &Path) {
    let mut man = Command::new("man");
    man.args(["--warnings", "-l"]).arg(page).env("MANROFFSEQ", "").env("LC_ALL", "C.UTF-8");
    match run(&mut man, "", LIMIT) {
        Ok(text) => assert!(text.contains("NAME") && text.contains("SYNOPSIS"), "{text}"),
        Err(tandem_lab::LabError::ProgramMissing(_)) => {}
        Err(error) => panic!("{}", error.chain()),
    }
}

fn has_its_user(root: &Root) {
    let number = |option: &str| root.run(&["id", option, "tandem"]).trim().parse::<u32>().expect("a number");
    let (user, group) = (number("-u"), number("-g"));
    assert_ne!(user, 0);
    for (folder, mode) in [("etc/tandem", 0o750), ("var/lib/tandem", 0o700)] {
        let metadata = fs::metadata(root.at(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
        let found = (metadata.uid(), metadata.gid(), metadata.permissions().mode() & 0o7777);
        assert_eq!(found, (user, group, mode), "{folder}");
    }
}
