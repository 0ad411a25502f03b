//! Owns the alarm: when somebody is told that calls are not protected, that the witness is lost, or that call records
//! wait for their store, when again, and when that it is over.
//!
//! Pairs die because the standby had been dead for months. `Alarm` decides and touches nothing; `watch` runs it on a
//! thread of its own; `deliver` brings each message to where it is wanted, on further threads, so that a mail server
//! that hangs delays neither the node nor the webhook.

use std::time::Duration;

use node::Status;
use serde::Serialize;

use crate::events::Event;

mod deliver;
#[cfg(test)]
mod tests;
mod watch;

pub use watch::{AlarmError, AlarmWatch};

/// What an operator has done knowingly is told after this time: longer than a day's work on a machine. Later, it was
/// forgotten.
const ON_PURPOSE_AFTER: Duration = Duration::from_secs(8 * 3_600);

/// What is told. The field names are those of the webhook's and the program's JSON.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Message {
    /// `unprotected` or `protected`; of the witness `witness_lost` or `witness_back`; of the store of call records
    /// `records_wait` or `records_stored`.
    pub alarm: &'static str,
    pub node: String,
    /// How long protection, the witness or the store has been away, or was.
    pub seconds: u64,
    /// Why, for `unprotected`, `witness_lost` and `records_wait`.
    pub reason: Option<String>,
    /// How often it was told before.
    pub repeated: u64,
    /// For people.
    pub text: String,
}

/// What one look at the node means to the alarm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    Protected,
    /// Calls are in danger, and it is this node's part to tell.
    Unprotected {
        reason: String,
        /// An operator has taken a node out of service, and that is why.
        on_purpose: bool,
    },
    /// Protection is away and the other node tells: the one that serves, as long as it is heard.
    Others,
}

impl Look {
    pub fn of(status: &Status) -> Self {
        if status.protected {
            return Self::Protected;
        }
        let peer_up = status.peer.as_ref().is_some_and(|peer| peer.up);
        let serves = matches!(status.role.as_str(), "active" | "alone");
        if status.peer.is_none() || (peer_up && !serves) {
            return Self::Others;
        }
        let reason = status.unprotected_because.clone().unwrap_or_else(|| "it does not say why".into());
        Self::Unprotected { reason, on_purpose: status.unprotected_on_purpose }
    }

    /// The same for the witness: a standby whose peer does not reach it either leaves the telling to that one.
    pub fn of_witness(status: &Status) -> Self {
        let Some(witness) = &status.witness else { return Self::Others };
        let serves = matches!(status.role.as_str(), "active" | "alone");
        match (witness.up, witness.peer_hears) {
            (true, _) => Self::Protected,
            (false, Some(false)) if !serves => Self::Others,
            (false, Some(true)) => Self::Unprotected { reason: "the other node reaches it".into(), on_purpose: false },
            (false, _) => Self::Unprotected { reason: "it does not answer".into(), on_purpose: false },
        }
    }

    /// The same for the store of call records: of one that both nodes share, the node that serves tells.
    pub fn of_records(status: &Status) -> Self {
        let Some(records) = &status.records else { return Self::Others };
        let serves = matches!(status.role.as_str(), "active" | "alone");
        let peer_up = status.peer.as_ref().is_some_and(|peer| peer.up);
        match &records.trouble {
            None => Self::Protected,
            Some(_) if records.shared && !serves && peer_up => Self::Others,
            Some(trouble) => Self::Unprotected { reason: trouble.clone(), on_purpose: false },
        }
    }
}

/// Events of the other alarms carry these words, so that those of protection are told from them.
const OTHERS: [&str; 2] = ["witness", "records"];

/// What an alarm watches over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    Protection,
    Witness,
    Records,
}

impl Subject {
    /// The names of its messages, while it is away and when it is back.
    fn names(self) -> [&'static str; 2] {
        match self {
            Self::Protection => ["unprotected", "protected"],
            Self::Witness => ["witness_lost", "witness_back"],
            Self::Records => ["records_wait", "records_stored"],
        }
    }
}

/// When to tell. Time is given to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    subject: Subject,
    node: String,
    after: Duration,
    repeat: Duration,
    /// How long protection has been away.
    lost: Option<Duration>,
    /// How long ago it was told last.
    told: Option<Duration>,
    repeated: u64,
}

impl Alarm {
    /// Goes on where the events of the node's last life ended: a node that is started again and again must not begin to
    /// count anew each time.
    pub fn new(node: &str, after: Duration, repeat: Duration, events: &[Event], now_ms: u64) -> Self {
        let newest = |kinds: [&str; 2]| events.iter().rev().find(|event| kinds.contains(&event.kind.as_str()));
        let age = |event: &Event| Duration::from_millis(now_ms.saturating_sub(event.at_ms));
        let lost = newest(["protected", "unprotected"]).filter(|event| event.kind == "unprotected").map(age);
        let of_others = |event: &Event| OTHERS.iter().any(|word| event.data.contains_key(*word));
        let mut told = events.iter().rev().filter(|event| !of_others(event));
        let told = told.find(|event| ["alarm", "all_clear"].contains(&event.kind.as_str()));
        let told = told.filter(|event| event.kind == "alarm");
        let repeated = told.and_then(|event| event.data.get("repeated")).and_then(serde_json::Value::as_u64);
        let (subject, repeated) = (Subject::Protection, repeated.unwrap_or(0));
        Self { subject, node: node.to_owned(), after, repeat, lost, told: told.map(age), repeated }
    }

    /// The same for the witness. It begins to count with the node's life: nothing is in danger while it is away.
    pub fn of_witness(node: &str, after: Duration, repeat: Duration) -> Self {
        Self { subject: Subject::Witness, ..Self::new(node, after, repeat, &[], 0) }
    }

    /// The same for the store of call records: nothing is lost while it is away, and it tells itself when it is back.
    pub fn of_records(node: &str, after: Duration, repeat: Duration) -> Self {
        Self { subject: Subject::Records, ..Self::new(node, after, repeat, &[], 0) }
    }

    /// `elapsed` is the time since the last look.
    pub fn look(&mut self, elapsed: Duration, look: &Look) -> Option<Message> {
        match look {
            Look::Protected => self.cleared(),
            Look::Others => {
                self.lost = None;
                None
            }
            Look::Unprotected { reason, on_purpose } => {
                let lost = self.lost.map_or(Duration::ZERO, |lost| lost.saturating_add(elapsed));
                self.lost = Some(lost);
                self.told = self.told.map(|told| told.saturating_add(elapsed));
                let after = if *on_purpose { self.after.max(ON_PURPOSE_AFTER) } else { self.after };
                self.raised(lost, after, reason)
            }
        }
    }

    fn raised(&mut self, lost: Duration, after: Duration, reason: &str) -> Option<Message> {
        self.repeated = match self.told {
            Some(told) if told < self.repeat => return None,
            Some(_) => self.repeated.saturating_add(1),
            None if lost < after => return None,
            None => 0,
        };
        self.told = Some(Duration::ZERO);
        let (node, lasts, [away, _]) = (&self.node, people(lost), self.subject.names());
        let text = match self.subject {
            Subject::Protection => {
                format!("{node}: calls are NOT PROTECTED, for {lasts} now: {reason}. If this node dies, they are lost")
            }
            Subject::Witness => format!(
                "{node}: the WITNESS is lost, for {lasts} now: {reason}. If the two nodes lose each other now, both may \
                 serve, or none"
            ),
            Subject::Records => {
                format!("{node}: call records WAIT for their store, for {lasts} now: {reason}. None is lost meanwhile")
            }
        };
        Some(self.message(away, lost, Some(reason.to_owned()), text))
    }

    fn cleared(&mut self) -> Option<Message> {
        let lost = self.lost.take().unwrap_or_default();
        self.told.take()?;
        let [_, back] = self.subject.names();
        let text = match self.subject {
            Subject::Protection => format!("{}: calls are protected again", self.node),
            Subject::Witness => format!("{}: the witness answers again", self.node),
            Subject::Records => format!("{}: call records are being stored again", self.node),
        };
        Some(self.message(back, lost, None, text))
    }

    fn message(&self, alarm: &'static str, lost: Duration, reason: Option<String>, text: String) -> Message {
        Message { alarm, node: self.node.clone(), seconds: lost.as_secs(), reason, repeated: self.repeated, text }
    }
}

/// `45 s`, `12 min`, `3 h`, `5 days`.
fn people(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}
