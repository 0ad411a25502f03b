//! What a pair does while it has nothing to do but to go on: takeovers, acknowledgements that came too late, and time
//! without protection.

use std::ops::Add;

use serde::Serialize;
use serde_json::Value;

use super::checks::Check;
use super::scene::Scene;
use crate::LabError;
use crate::nodes::Status;

/// Why protection was lost, when an acknowledgement did not come within 250 ms, in the event's own words.
const LATE: &str = "the peer does not keep up";

/// Figures of less are the clock's.
const UNPROTECTED_S_MIN: f64 = 0.001;

/// A node as it was.
pub(super) struct Watch {
    node: usize,
    status: Status,
    last_event: u64,
}

impl Watch {
    pub(super) fn status(&self) -> &Status {
        &self.status
    }
}

/// What has happened since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Calm {
    pub(super) takeovers: u64,
    /// How often the node that serves went on without its peer's acknowledgement.
    pub(super) late_acks: u64,
    pub(super) unprotected_s: f64,
}

impl Add for Calm {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            takeovers: self.takeovers + other.takeovers,
            late_acks: self.late_acks + other.late_acks,
            unprotected_s: self.unprotected_s + other.unprotected_s,
        }
    }
}

impl Calm {
    /// Another link was there all the time, so that nothing had to be missed.
    pub(super) fn check(&self) -> Check {
        let is_good = self.takeovers == 0 && self.late_acks == 0 && self.unprotected_s < UNPROTECTED_S_MIN;
        let said = format!("{} late acknowledgements, unprotected for {:.3} s", self.late_acks, self.unprotected_s);
        let notes = if is_good { Vec::new() } else { vec![said] };
        Check { name: "protected all the time", good: usize::from(is_good), total: 1, notes }
    }
}

impl Scene {
    /// Begins to watch a node.
    pub(super) fn watch(&self, node: usize) -> Result<Watch, LabError> {
        let status = self.node(node)?.status()?;
        let events = self.node(node)?.events()?;
        let last_event = events.last().map_or(0, number);
        Ok(Watch { node, status, last_event })
    }

    /// What has happened to the node since then.
    pub(super) fn calm_since(&self, watch: &Watch) -> Result<Calm, LabError> {
        let node = self.node(watch.node)?;
        let now = node.status()?;
        let events = node.events()?;
        Ok(Calm {
            takeovers: takeovers(&watch.status, &now),
            late_acks: late_acks(&events, watch.last_event),
            unprotected_s: (now.unprotected_seconds - watch.status.unprotected_seconds).max(0.0),
        })
    }
}

fn takeovers(before: &Status, now: &Status) -> u64 {
    let (before, now) = (before.epoch_number().unwrap_or(0), now.epoch_number().unwrap_or(0));
    now.saturating_sub(before)
}

fn late_acks(events: &[Value], after: u64) -> u64 {
    let late =
        |event: &&Value| number(event) > after && event["kind"] == "unprotected" && event["data"]["cause"] == LATE;
    events.iter().filter(late).count() as u64
}

fn number(event: &Value) -> u64 {
    event["number"].as_u64().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_late_acknowledgements_since_then_are_counted() {
        let event = |number: u64, kind: &str, cause: &str| json!({ "number": number, "kind": kind, "data": { "cause": cause } });
        let events = [
            event(1, "unprotected", LATE),
            event(2, "protected", ""),
            event(3, "unprotected", LATE),
            event(4, "unprotected", "the peer is down"),
            event(5, "active", LATE),
        ];
        assert_eq!(late_acks(&events, 1), 1);
        assert_eq!(late_acks(&events, 0), 2);
        assert_eq!(late_acks(&events, 3), 0);
    }

    #[test]
    fn a_second_link_leaves_no_excuse() {
        let calm = Calm::default();
        assert!(calm.check().is_good());
        assert!(!Calm { late_acks: 1, ..calm }.check().is_good());
        assert!(!Calm { unprotected_s: 0.25, ..calm }.check().is_good());
        assert!(!(calm + Calm { takeovers: 1, ..calm }).check().is_good());
    }
}
