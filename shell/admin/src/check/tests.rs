use std::os::unix::fs::symlink;
use std::path::PathBuf;

use super::*;

const SIP: &str = "[general]\nbindport=10985\nbindaddr=0.0.0.0\n\n[5000]\ntype=friend\nsecret=x\nhost=dynamic\n\
                   context=ramais\n";
const EXTENSIONS: &str = "[general]\n\n[ramais]\nexten => 5000,1,Dial(SIP/5000,25)\nexten => 5000,2,Hangup\n";

fn files(list: &[(&str, &str)]) -> Files {
    list.iter().copied().collect()
}

/// A directory that is removed at the end of its test.
struct Directory(PathBuf);

impl Directory {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tandem-admin-check-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn good_files_are_summed_up() {
    let report = report(Path::new("/pbx"), &files(&[("sip.conf", SIP), ("extensions.conf", EXTENSIONS)]));
    assert!(report.usable, "{report:?}");
    let summary = report.summary.clone().unwrap();
    assert_eq!((summary.endpoints, summary.contexts), (1, 1));
    assert_eq!(summary.transports, ["udp 0.0.0.0:10985"]);
    let text = human(&report);
    assert!(text.contains("/pbx can be used: 0 errors, "), "{text}");
    assert!(text.ends_with("1 endpoint, 1 context, listening on udp 0.0.0.0:10985\n"), "{text}");
}

#[test]
fn findings_have_file_and_line() {
    let unknown = format!("{SIP}colour=red\n");
    let report = report(Path::new("/pbx"), &files(&[("sip.conf", &unknown), ("extensions.conf", EXTENSIONS)]));
    assert!(report.usable && report.warnings > 0, "{report:?}");
    assert!(human(&report).contains("sip.conf:10: warning: "), "{}", human(&report));
}

#[test]
fn files_with_errors_cannot_be_used() {
    let report = report(Path::new("/pbx"), &files(&[("sip.conf", SIP)]));
    assert!(!report.usable && report.summary.is_none());
    let text = human(&report);
    assert!(text.contains("extensions.conf: error: there is no extensions.conf\n"), "{text}");
    assert!(text.contains("/pbx CANNOT be used: 1 error, "), "{text}");
}

#[test]
fn files_are_read_at_every_depth() {
    let directory = Directory::new("depth");
    let path = &directory.0;
    fs::create_dir_all(path.join("sub/deeper")).unwrap();
    fs::create_dir_all(path.join(".git")).unwrap();
    fs::write(path.join("sip.conf"), SIP).unwrap();
    fs::write(path.join("sub/deeper/more.conf"), b"caf\xe9").unwrap();
    fs::write(path.join(".git/config"), "hidden").unwrap();
    fs::write(path.join(".sip.conf.swp"), "hidden").unwrap();
    symlink(path.join("sip.conf"), path.join("linked.conf")).unwrap();
    symlink(path, path.join("sub/loop")).unwrap();
    nix::unistd::mkfifo(&path.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let read = read_files(path).unwrap();
    let wanted = files(&[("sip.conf", SIP), ("linked.conf", SIP), ("sub/deeper/more.conf", "caf\u{fffd}")]);
    assert_eq!(read, wanted);
}

#[test]
fn bounds_are_errors_that_say_which() {
    let directory = Directory::new("bounds");
    let path = &directory.0;
    assert!(read_files(&path.join("missing")).unwrap_err().to_string().contains("missing: "));
    let large = File::create(path.join("large.conf")).unwrap();
    large.set_len(FILES_BYTES_MAX + 1).unwrap();
    assert_eq!(read_files(path).unwrap_err().to_string(), "the files have more than 64 MiB");
    fs::remove_file(path.join("large.conf")).unwrap();
    let deep = (0..=DEPTH_MAX).fold(path.clone(), |path, _| path.join("d"));
    fs::create_dir_all(&deep).unwrap();
    assert!(read_files(path).unwrap_err().to_string().ends_with("is more than 16 directories deep"));
    fs::remove_dir_all(path.join("d")).unwrap();
    for number in 0..=FILES_MAX {
        File::create(path.join(format!("{number}.conf"))).unwrap();
    }
    assert_eq!(read_files(path).unwrap_err().to_string(), "there are more than 10000 files");
    fs::remove_file(path.join("0.conf")).unwrap();
    assert_eq!(read_files(path).unwrap().0.len(), FILES_MAX);
}

fn checked(arguments: CheckArguments) -> (bool, String) {
    let mut out = Vec::new();
    let usable = run(&arguments, &mut out).unwrap();
    (usable, String::from_utf8(out).unwrap())
}

#[test]
fn a_configuration_file_leads_to_its_files() {
    let directory = Directory::new("config");
    let config = directory.0.join("tandem.toml");
    fs::write(&config, crate::config::EXAMPLE.replace("/etc/tandem/pbx", "pbx")).unwrap();
    fs::create_dir(directory.0.join("pbx")).unwrap();
    fs::write(directory.0.join("pbx/sip.conf"), SIP).unwrap();
    fs::write(directory.0.join("pbx/extensions.conf"), EXTENSIONS).unwrap();
    let arguments = CheckArguments { config, asterisk_dir: None, json: false };
    let (usable, text) = checked(arguments.clone());
    assert!(usable, "{text}");
    fs::remove_file(directory.0.join("pbx/extensions.conf")).unwrap();
    let (usable, text) = checked(CheckArguments { json: true, ..arguments });
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(!usable && report["usable"] == false && report["errors"] == 1, "{text}");
    assert_eq!(report["diagnostics"][0]["file"], "extensions.conf", "{text}");
}

/// The files that the PBX's own tests are about.
#[test]
fn the_published_examples_can_be_used() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../core/pbx/tests/examples");
    for name in ["ramais", "internal", "pjsip"] {
        let asterisk_dir = Some(examples.join(name));
        let (usable, text) = checked(CheckArguments { config: PathBuf::new(), asterisk_dir, json: false });
        assert!(usable, "{name}: {text}");
        assert!(text.contains(" can be used: 0 errors, "), "{name}: {text}");
    }
}
