//! Running a program to its end, with a limit: what the lab asks may be frozen.

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
