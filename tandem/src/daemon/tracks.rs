//! What is tracked: the configuration's words for it, made those of the rooms that measure and judge.

use std::io;

use admin::config::{Subject, Track};
use net::track::{Found, Probe, start as measure};
use node::Event;
use node::cluster::track::{Measured, Settings};

use super::inbox::InboxSender;

const MIB_BYTES: u64 = 1 << 20;

/// How it is judged.
pub fn settings(track: &Track) -> Settings {
    Settings { name: track.name.clone(), weight: track.weight, rise: track.rise, fall: track.fall }
}

/// Measures each of them from now on; the node hears of each measurement.
pub fn start(tracks: &[Track], sender: &InboxSender) -> io::Result<()> {
    for (number, track) in tracks.iter().enumerate() {
        let sender = sender.clone();
        let tell = move |found| sender.event(Event::Measured { track: number, measured: measured(found) });
        measure(Probe { subject: subject(track), interval: track.interval, timeout: track.timeout }, tell)?;
    }
    Ok(())
}

fn measured(found: Found) -> Measured {
    match found {
        Found::Well => Measured::Well,
        Found::Failing => Measured::Failing,
        Found::Number(number) => Measured::Number(number),
    }
}

fn subject(track: &Track) -> net::track::Subject {
    use net::track::Subject as Probed;
    match track.subject.clone() {
        Subject::Interface(interface) => Probed::Interface(interface),
        Subject::Gateway(address) => Probed::Gateway(address),
        Subject::Process(name) => Probed::Process(name),
        Subject::Disk { path, free_mib_min } => {
            Probed::Disk { path, free_bytes_min: free_mib_min.saturating_mul(MIB_BYTES) }
        }
        Subject::Script { command } => Probed::Script { command },
        Subject::File(path) => Probed::File(path),
    }
}
