//! What has happened to a node, for people and programs: role changes with their cause, protection lost and back, each
//! takeover with the time of its steps.
//!
//! `file` keeps the newest in the state directory, `teller` writes there on a thread of its own and passes on to
//! `stream`, a program of the operator's; `told` puts the node's words into events, `configuration` what is new of the PBX's files, `takeover` times a takeover, `list`
//! is `tandem events`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

mod configuration;
pub mod file;
pub mod list;
mod stream;
mod takeover;
mod teller;
#[cfg(test)]
mod tests;
mod told;

pub use configuration::ConfigurationWatch;
pub use stream::StreamProgram;
pub use takeover::Takeover;
pub use teller::{Teller, TellerError};
pub use told::of_tell;

/// One thing that happened. The field names are those of `tandem events --json` and of the event stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Grows by one with each event of the node, across restarts.
    pub number: u64,
    /// Unix time in milliseconds.
    pub at_ms: u64,
    pub node: String,
    /// `started`, `active`, `standby`, `takeover`, `peer_up`, `peer_down`, `protected`, `unprotected`, `hand_over`,
    /// `drain`, `level`, `carrier`, `cluster`, `witness`, `fencing`, `hook`, `ping`, `vrrp`, `track`, `configuration`,
    /// `disk`, `records`, `trouble`, `alarm`, `all_clear`, `alarm_failed`, `lost`, `stopped`.
    pub kind: String,
    /// For people.
    pub text: String,
    /// For programs: numbers and words that belong to the kind.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub data: Map<String, Value>,
}

/// What is to be told, before it has a number.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Telling {
    pub kind: &'static str,
    pub text: String,
    pub data: Map<String, Value>,
}

impl Telling {
    pub fn new(kind: &'static str, text: impl Into<String>) -> Self {
        Self { kind, text: text.into(), data: Map::new() }
    }

    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.data.insert(key.to_owned(), value.into());
        self
    }
}
