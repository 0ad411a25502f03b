//! Running a program to its end, with a limit: what the lab asks may be frozen.

use std::fs;
use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::LabError;

/// How often a running program is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Program and arguments in one line.
pub fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

/// Starts a program, and tells which one is missing.
pub fn start(command: &mut Command) -> Result<Child, LabError> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.spawn().map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => LabError::ProgramMissing(program),
        _ => LabError::Start { program, source },
    })
}

/// Runs a program, hands it `input`, and gives what it printed, whatever its status.
pub fn output(command: &mut Command, input: &str, limit: Duration) -> Result<Output, LabError> {
    let text = describe(command);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = start(command)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input has ended already, and its status says why.
        let _ = stdin.write_all(input.as_bytes());
    }
    let stdout = reader(child.stdout.take());
    let stderr = reader(child.stderr.take());
    let status = wait(&mut child, limit).map_err(LabError::io(format!("waiting for `{text}`")))?;
    let Some(status) = status else {
        let _ = child.kill();
        let _ = child.wait();
        return Err(LabError::Hung { command: text, limit_ms: limit.as_millis() as u64 });
    };
    let collect = |reader: thread::JoinHandle<Vec<u8>>| reader.join().unwrap_or_default();
    Ok(Output { status, stdout: collect(stdout), stderr: collect(stderr) })
}

/// Like [`output`], but a status other than 0 is an error; gives standard output.
pub fn run(command: &mut Command, input: &str, limit: Duration) -> Result<String, LabError> {
    let output = output(command, input, limit)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = format!("{}{}", String::from_utf8_lossy(&output.stderr), String::from_utf8_lossy(&output.stdout));
    Err(LabError::Command { command: describe(command), output: said.trim().to_owned() })
}

/// Nothing of this process runs any more and nothing of it is open: it is gone, or only its number is left, for whoever
/// adopted it to take notice. That may take some seconds and is nobody's business here.
pub fn has_ended(pid: i32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return true };
    // Its first thread is a zombie as soon as it has ended, whatever the others still do.
    threads.count() <= 1 && fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| is_zombie(&stat))
}

/// The state of proc_pid_stat(5), which comes after a name that may have spaces and brackets.
fn is_zombie(stat: &str) -> bool {
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with(['Z', 'X']))
}

fn reader(stream: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            // A stream that breaks ends the text; the status tells the rest.
            let _ = stream.read_to_end(&mut bytes);
        }
        bytes
    })
}

fn wait(child: &mut Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if begun.elapsed() >= limit {
            return Ok(None);
        }
        thread::sleep(LOOK_EVERY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_nobody_has_taken_notice_of_has_ended() {
        let mut child = start(Command::new("sleep").arg("60")).expect("a program");
        let pid = child.id() as i32;
        assert!(!has_ended(pid));
        child.kill().expect("a signal");
        let begun = Instant::now();
        while !has_ended(pid) && begun.elapsed() < Duration::from_secs(10) {
            thread::sleep(LOOK_EVERY);
        }
        assert!(has_ended(pid), "it is a zombie");
        child.wait().expect("a status");
        assert!(has_ended(pid), "it is gone");
    }

    #[test]
    fn a_name_is_no_state() {
        assert!(is_zombie("812 (tan) S) Z 1 812"));
        assert!(!is_zombie("812 (tan) Z) S 1 812"));
        assert!(!is_zombie(""));
    }
}
