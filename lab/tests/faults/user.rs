//! The drill as an ordinary user runs it, without any right: in a user namespace that it makes itself.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use super::{binary, kept_by};

/// A copy of the product that everybody may run, wherever it was built.
struct Program(PathBuf);

impl Program {
    fn new() -> Self {
        let program = Self(std::env::temp_dir().join(format!("tandem-of-nobody-{}", std::process::id())));
        fs::copy(binary(), &program.0).expect("a copy");
        fs::set_permissions(&program.0, Permissions::from_mode(0o755)).expect("a mode");
        program
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // A file that cannot be removed now is the temporary directory's business.
        let _ = fs::remove_file(&self.0);
    }
}

/// A command that `nobody` runs, without any right and without a way to get one.
fn of_nobody() -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "nobody", "--regid", "nogroup", "--clear-groups", "--no-new-privs", "--"]);
    command
}

/// What another program finds out about this machine.
fn namespaces_are_allowed() -> bool {
    let mut unshare = of_nobody();
    let status = unshare.args(["unshare", "--user", "--map-root-user", "--net", "--mount", "true"]).status();
    status.is_ok_and(|status| status.success())
}

#[test]
fn nobody_drills_a_kill() {
    let program = Program::new();
    let mut command = of_nobody();
    command.arg(&program.0);
    if namespaces_are_allowed() {
        kept_by(command, "kill", &[]);
        return;
    }
    let output = command.arg("drill").output().expect("the drill can be started");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && told.contains("user namespace") && told.contains("sudo "), "{told}");
}
