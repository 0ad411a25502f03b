//! Owns the thread that keeps the PBX's files: it looks at the directory, keeps contents, checks and installs versions.
//! Nothing here waits for the node, and the node waits for nothing here.

mod keeper;
mod watch;

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use admin::events::Teller;
use miette::{IntoDiagnostic, Result};
use node::{Event, FilesAction};

use super::inbox::InboxSender;
use crate::setup::Setup;
pub use keeper::Keeper;
use keeper::Next;
use watch::Watch;

/// The directory is looked at so often even when the kernel reports no change, as on a network file system.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// After a change was reported: the rest of what an editor or a copy does comes within this time.
const DEBOUNCE: Duration = Duration::from_millis(150);

/// Changes that do not end are looked at nevertheless.
const DEBOUNCE_MAX: Duration = Duration::from_millis(600);

enum Command {
    Act(FilesAction),
    /// The kernel reports a change.
    Changed,
}

/// The way to the thread.
pub struct FilesThread {
    commands: Sender<Command>,
}

impl FilesThread {
    pub fn start(setup: &Setup, keeper: Keeper, sender: &InboxSender, teller: Teller) -> Result<Self> {
        let (commands, receiver) = channel();
        let changed = commands.clone();
        // The thread ends only with the process.
        let watch = Watch::new(&setup.pbx_dir, move || drop(changed.send(Command::Changed)));
        let sender = sender.clone();
        let say = move |event: Event| sender.event(event);
        let thread = thread::Builder::new().name("files".into());
        thread.spawn(move || run(keeper, watch, &receiver, &say, &teller)).into_diagnostic()?;
        Ok(Self { commands })
    }

    pub fn act(&self, action: FilesAction) {
        let _ = self.commands.send(Command::Act(action));
    }
}

fn run(mut keeper: Keeper, mut watch: Watch, commands: &Receiver<Command>, say: &dyn Fn(Event), teller: &Teller) {
    let mut due = Instant::now();
    let mut first_change: Option<Instant> = None;
    keeper.begin(say);
    loop {
        let command = commands.recv_timeout(due.saturating_duration_since(Instant::now()));
        let now = Instant::now();
        match command {
            Ok(Command::Act(action)) => {
                if keeper.act(action, say, teller) == Next::LookSoon {
                    due = due.min(now + DEBOUNCE);
                }
            }
            Ok(Command::Changed) => {
                let first = *first_change.get_or_insert(now);
                due = (now + DEBOUNCE).min(first + DEBOUNCE_MAX);
            }
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if now >= due {
            first_change = None;
            watch.keep(teller);
            let next = keeper.look(None, false, say, teller);
            due = Instant::now() + if next == Next::LookSoon { DEBOUNCE } else { LOOK_EVERY };
        }
    }
}
