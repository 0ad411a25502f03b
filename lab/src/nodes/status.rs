//! What a node says about itself, as `tandem status --json` prints it.

use serde::Deserialize;
use serde_json::Value;

#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub struct Status {
    pub node: String,
    /// `active`, `standby` or `alone`.
    pub role: String,
    #[serde(default)]
    pub protected: bool,
    #[serde(default)]
    pub epoch: Value,
    pub lag_ms: Option<f64>,
    /// Since the program began.
    #[serde(default)]
    pub unprotected_seconds: f64,
    #[serde(default)]
    pub registrations: Value,
    #[serde(default)]
    pub calls: Value,
    #[serde(default)]
    pub address: Value,
    #[serde(default)]
    pub peer: Value,
    /// The daemon, and the process that owns the address.
    pub pid: Option<i32>,
    pub parent_pid: Option<i32>,
}

impl Status {
    pub fn read(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// This node serves the phones, whether or not anybody stands by.
    pub fn serves(&self) -> bool {
        matches!(self.role.as_str(), "active" | "alone")
    }

    /// The number of the epoch; with each takeover it grows.
    pub fn epoch_number(&self) -> Option<u64> {
        let text = self.epoch.as_str()?;
        text.split(|letter: char| !letter.is_ascii_digit()).find(|part| !part.is_empty())?.parse().ok()
    }

    /// How many phones the node knows: a number, or a list to be counted.
    pub fn registration_count(&self) -> Option<u64> {
        count(&self.registrations)
    }

    pub fn call_count(&self) -> Option<u64> {
        count(&self.calls)
    }
}

fn count(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_array().map(|list| list.len() as u64))
}
