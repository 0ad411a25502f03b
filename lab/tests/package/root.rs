//! A clean Debian system in a folder: made from the sources that this machine installs from, kept as an archive, and
//! what is installed there and removed again.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tandem_lab::process::run;

/// From a slow mirror, on a busy machine.
const MAKE_LIMIT: Duration = Duration::from_secs(600);
const LIMIT: Duration = Duration::from_secs(120);

/// What installing anything changes, and nobody's traces: package lists, logs, copies of the lists of users, and what a
/// start of the machine empties.
const NOBODYS: [&str; 9] = [
    "var/lib/dpkg",
    "var/lib/apt",
    "var/cache",
    "var/log",
    "etc/passwd-",
    "etc/group-",
    "etc/shadow-",
    "etc/gshadow-",
    "run/",
];

/// What the user's coming and going may touch; their contents are looked at instead.
const USER_LISTS: [&str; 4] = ["etc/passwd", "etc/group", "etc/shadow", "etc/gshadow"];

/// The whole system; it goes with its folder.
pub struct Root {
    pub path: PathBuf,
}

impl Root {
    /// Unpacks a clean system into this folder.
    pub fn unpack(path: &Path) -> Self {
        let archive = archive();
        fs::create_dir_all(path).expect("a folder");
        let mut tar = Command::new("tar");
        run(tar.arg("-C").arg(path).arg("-xpf").arg(&archive), "", LIMIT).expect("a clean system");
        Self { path: path.to_owned() }
    }

    pub fn at(&self, path: &str) -> PathBuf {
        self.path.join(path)
    }

    /// Runs a command in the system, as root; gives what it printed.
    pub fn run(&self, command: &[&str]) -> String {
        let mut chroot = Command::new("chroot");
        chroot.arg(&self.path).args(command).env_clear();
        chroot.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("DEBIAN_FRONTEND", "noninteractive");
        run(&mut chroot, "", LIMIT).unwrap_or_else(|error| panic!("{}", error.chain()))
    }

    /// With apt, which must find everything that the package asks for in the clean system.
    pub fn install(&self, package: &Path) {
        fs::copy(package, self.at("tandem.deb")).expect("a copy");
        self.run(&["apt-get", "install", "-y", "--no-install-recommends", "/tandem.deb"]);
        fs::remove_file(self.at("tandem.deb")).expect("removal");
    }

    /// Every path of the system, but for what is nobody's.
    pub fn paths(&self) -> BTreeSet<String> {
        let told = self.run(&["find", "/", "-xdev", "-mindepth", "1", "-printf", "%P\\n"]);
        let is_nobodys = |path: &str| NOBODYS.iter().any(|begin| path.starts_with(begin));
        told.lines().filter(|path| !is_nobodys(path)).map(str::to_owned).collect()
    }

    /// Lines of users and groups that name the package's own.
    pub fn user_lines(&self) -> Vec<String> {
        let texts = USER_LISTS.iter().filter_map(|list| fs::read_to_string(self.at(list)).ok());
        let lines: Vec<String> = texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
        lines.into_iter().filter(|line| line.starts_with("tandem:")).collect()
    }
}

/// Beside the program that is tested: the build's folder.
fn target() -> PathBuf {
    let own = Path::new(env!("CARGO_TARGET_TMPDIR"));
    own.parent().expect("the build's folder").join("package")
}

/// The product's program.
fn binary() -> PathBuf {
    let built = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/tandem");
    let path = std::env::var_os("TANDEM_BINARY").map_or_else(built, PathBuf::from);
    path.canonicalize().unwrap_or_else(|error| {
        panic!("{}: {error}; build it (cargo build --release -p tandem) or set TANDEM_BINARY", path.display())
    })
}

/// Builds the package as `make deb` does.
pub fn build_package(folder: &Path) -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/build-deb");
    let told = run(Command::new(script).arg(binary()).arg(folder), "", LIMIT);
    let told = told.unwrap_or_else(|error| panic!("{}", error.chain()));
    PathBuf::from(told.lines().last().expect("the package's name"))
}

/// The release of Debian that this machine runs: programs that were built here need its libraries.
fn release() -> String {
    let text = fs::read_to_string("/etc/os-release").expect("/etc/os-release");
    let name = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    name.expect("a release's name").trim_matches('"').to_owned()
}

/// The clean system's archive, made by the first run.
fn archive() -> PathBuf {
    let release = release();
    let folder = target();
    let path = folder.join(format!("{release}.tar"));
    if !path.exists() {
        fs::create_dir_all(&folder).expect("a folder");
        // What is half made has another name.
        let fresh = folder.join(format!("{release}-{}.tar", std::process::id()));
        let mut command = Command::new("mmdebstrap");
        command.args(["--variant=apt", &release]).arg(&fresh).args(sources(&release));
        run(&mut command, "", MAKE_LIMIT).unwrap_or_else(|error| panic!("{}", error.chain()));
        fs::rename(&fresh, &path).expect("the archive");
    }
    path
}

/// Where this machine installs this release from.
fn sources(release: &str) -> Vec<PathBuf> {
    let more = fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten().map(|entry| entry.path());
    let files = std::iter::once(PathBuf::from("/etc/apt/sources.list")).chain(more);
    let is_list = |path: &PathBuf| path.extension().is_some_and(|suffix| suffix == "list" || suffix == "sources");
    // Other makers' sources name releases of their own, or their key cannot be had.
    let names_it = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.lines().any(|line| !line.starts_with('#') && line.contains("debian"))
            && text.split_whitespace().any(|word| word == release)
    };
    files.filter(is_list).filter(names_it).collect()
}
