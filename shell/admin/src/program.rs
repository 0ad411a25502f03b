//! Owns running a program of the operator's to its end: its input, its environment, and the time that it may take.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const LOOK_EVERY: Duration = Duration::from_millis(5);

/// `line` as `sh -c` takes it.
pub(crate) fn shell(line: &str) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", line]);
    shell
}

/// Runs a program to its end; what takes too long is killed. Its standard output is not read, its errors go to the log.
pub(crate) fn run(command: &mut Command, input: &[u8], limit: Duration) -> Result<(), String> {
    let begun = Instant::now();
    let spawned = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
    let mut child = spawned.map_err(|error| format!("it cannot be started: {error}"))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A message fits the pipe, so that this does not wait. A program that does not read it has its own reasons.
        let _ = stdin.write_all(input);
    }
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(format!("it failed: {status}")),
            Ok(None) if begun.elapsed() < limit => thread::sleep(LOOK_EVERY),
            Ok(None) => return Err(kill(&mut child, limit)),
            Err(error) => return Err(error.to_string()),
        }
    }
}

fn kill(child: &mut Child, limit: Duration) -> String {
    // It may have ended this very moment.
    let _ = child.kill();
    let _ = child.wait();
    format!("it took more than {:.1} s and was killed", limit.as_secs_f64())
}
