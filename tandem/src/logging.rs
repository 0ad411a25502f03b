//! The log: lines to standard error, written by a thread of its own so that a stalled reader delays no call.

use std::io::{self, Write};
use std::sync::mpsc::{SyncSender, sync_channel};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Lines that may wait; more are dropped, because the node must not wait for whoever reads them.
const LINES_WAITING_MAX: usize = 4096;

/// Starts logging. `RUST_LOG` chooses what is told; `info` is told otherwise.
pub fn start(json: bool) -> io::Result<()> {
    let (lines, receiver) = sync_channel::<Vec<u8>>(LINES_WAITING_MAX);
    std::thread::Builder::new().name("log".into()).spawn(move || {
        for line in receiver {
            // There is nowhere to tell that the log cannot be written.
            let _ = io::stderr().write_all(&line);
        }
    })?;
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,netlink_packet_route=error"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_target(false).with_writer(Lines(lines));
    if json {
        builder.json().init()
    } else {
        builder.with_ansi(false).init()
    }
    Ok(())
}

struct Lines(SyncSender<Vec<u8>>);

struct Line(SyncSender<Vec<u8>>);

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line(self.0.clone())
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.0.try_send(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
