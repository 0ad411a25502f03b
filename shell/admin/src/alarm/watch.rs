//! Owns the thread on which the alarm looks at the node.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Instant;
use std::{io, thread};

use thiserror::Error;

use super::deliver::Targets;
use super::{Alarm, Look, Message};
use crate::config::AlarmSettings;
use crate::events::{Event, Teller, Telling};

/// The node is looked at each second; the newest look is all that matters, so that hardly any wait.
const LOOKS_WAITING_MAX: usize = 4;

#[derive(Debug, Error)]
pub enum AlarmError {
    #[error("start a thread of the alarm")]
    Thread(#[source] io::Error),
}

/// The way to the thread.
#[derive(Clone, Debug)]
pub struct AlarmWatch {
    looks: SyncSender<Look>,
}

impl AlarmWatch {
    /// Starts the threads. `events` are those of the node's former lives, `now_ms` is the Unix time.
    pub fn start(
        settings: &AlarmSettings,
        node: &str,
        events: &[Event],
        now_ms: u64,
        teller: Teller,
    ) -> Result<Self, AlarmError> {
        let (looks, waiting) = sync_channel(LOOKS_WAITING_MAX);
        let alarm = Alarm::new(node, settings.after, settings.repeat, events, now_ms);
        let targets = Targets::start(settings, &teller).map_err(AlarmError::Thread)?;
        let thread = thread::Builder::new().name("alarm".into());
        thread.spawn(move || watch(alarm, &waiting, &targets, &teller)).map_err(AlarmError::Thread)?;
        Ok(Self { looks })
    }

    /// To be called about each second. Returns at once; a look that finds no room is made up for by the next one.
    pub fn look(&self, look: Look) {
        let _ = self.looks.try_send(look);
    }
}

fn watch(mut alarm: Alarm, waiting: &Receiver<Look>, targets: &Targets, teller: &Teller) {
    let mut looked = Instant::now();
    for look in waiting {
        let elapsed = looked.elapsed();
        looked = Instant::now();
        if let Some(message) = alarm.look(elapsed, &look) {
            teller.tell(telling(&message));
            targets.deliver(&message);
        }
    }
}

fn telling(message: &Message) -> Telling {
    let kind = if message.alarm == "protected" { "all_clear" } else { "alarm" };
    Telling::new(kind, message.text.as_str()).with("seconds", message.seconds).with("repeated", message.repeated)
}
