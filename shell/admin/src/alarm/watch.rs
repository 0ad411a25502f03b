//! Owns the thread on which the alarm looks at the node.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Instant;
use std::{io, thread};

use node::Status;
use thiserror::Error;

use super::deliver::Targets;
use super::{Alarm, Look, Message, OTHERS};
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
    looks: SyncSender<[Look; 3]>,
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
        let alarms = [
            Alarm::new(node, settings.after, settings.repeat, events, now_ms),
            Alarm::of_witness(node, settings.after, settings.repeat),
            Alarm::of_records(node, settings.after, settings.repeat),
        ];
        let targets = Targets::start(settings, &teller).map_err(AlarmError::Thread)?;
        let thread = thread::Builder::new().name("alarm".into());
        thread.spawn(move || watch(alarms, &waiting, &targets, &teller)).map_err(AlarmError::Thread)?;
        Ok(Self { looks })
    }

    /// To be called about each second. Returns at once; a look that finds no room is made up for by the next one.
    pub fn look(&self, status: &Status) {
        let _ = self.looks.try_send([Look::of(status), Look::of_witness(status), Look::of_records(status)]);
    }
}

fn watch(mut alarms: [Alarm; 3], waiting: &Receiver<[Look; 3]>, targets: &Targets, teller: &Teller) {
    let mut looked = Instant::now();
    for looks in waiting {
        let elapsed = looked.elapsed();
        looked = Instant::now();
        for (alarm, look) in alarms.iter_mut().zip(&looks) {
            if let Some(message) = alarm.look(elapsed, look) {
                teller.tell(telling(&message));
                targets.deliver(&message);
            }
        }
    }
}

fn telling(message: &Message) -> Telling {
    let clear = matches!(message.alarm, "protected" | "witness_back" | "records_stored");
    let kind = if clear { "all_clear" } else { "alarm" };
    let telling = Telling::new(kind, message.text.as_str());
    let telling = telling.with("seconds", message.seconds).with("repeated", message.repeated);
    match OTHERS.iter().find(|word| message.alarm.starts_with(**word)) {
        Some(word) => telling.with(word, true),
        None => telling,
    }
}
