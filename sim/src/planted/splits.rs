//! Faults around a split and its heal: neighbours that are not told, a timer that is believed, a node that should not
//! serve and does.

use std::collections::BTreeSet;

use node::pbx::object::kind;
use node::replication::Entry;
use node::{Action, Event};

use super::Plant;
use super::stream::Streams;

/// After a heal nobody tells the neighbours which node has the address now.
#[derive(Default)]
pub struct NotToldAfterHeal {
    healed: bool,
    planted: u64,
}

impl Plant for NotToldAfterHeal {
    fn planted(&self) -> u64 {
        self.planted
    }

    fn healed(&mut self) {
        self.healed = true;
    }

    fn actions(&mut self, _machine: usize, actions: &mut Vec<Action>) {
        if self.healed {
            let before = actions.len();
            actions.retain(|action| !matches!(action, Action::TellNeighbours { .. }));
            self.planted += (before - actions.len()) as u64;
        }
    }
}

/// A kind of object that no version has.
const NO_KIND: u8 = 23;

/// Who stays after a split believes its own timers: what the other node says of a call that both knew is lost.
#[derive(Default)]
pub struct TimeoutBelieved {
    /// The calls that each machine's journal has.
    known: [BTreeSet<String>; 2],
    healed: bool,
    streams: Streams,
    planted: u64,
}

impl Plant for TimeoutBelieved {
    fn planted(&self) -> u64 {
        self.planted
    }

    fn healed(&mut self) {
        self.healed = true;
    }

    fn actions(&mut self, machine: usize, actions: &mut Vec<Action>) {
        for action in actions.iter() {
            let Action::JournalAppend { bytes, .. } = action else { continue };
            let deltas = Entry::decode(bytes).map(|entry| entry.deltas).unwrap_or_default();
            let calls = deltas.into_iter().filter(|delta| delta.key.kind == kind::CALL);
            self.known[machine].extend(calls.map(|delta| delta.key.id));
        }
        if self.healed {
            let other = &self.known[1 - machine];
            self.planted += self.streams.rewrite(actions, |body| disown(body, other));
        }
    }
}

/// Takes the calls of an offer that are in `known` for something else. An offer names an object by an array of its kind
/// and its id, which is a text of twenty digits for a call; entries of the log are left alone.
fn disown(body: &mut [u8], known: &BTreeSet<String>) -> u64 {
    /// A message of the owner's, in an array of variant and fields.
    const OPAQUE: [u8; 2] = [0x82, 10];
    const HEAD: [u8; 3] = [0x82, kind::CALL, 0x74];
    const DIGITS: usize = 20;
    if !body.starts_with(&OPAQUE) {
        return 0;
    }
    let is_known = |at: &usize| {
        let id = body.get(at + HEAD.len()..at + HEAD.len() + DIGITS).and_then(|id| std::str::from_utf8(id).ok());
        body[*at..].starts_with(&HEAD) && id.is_some_and(|id| known.contains(id))
    };
    let places: Vec<usize> = (0..body.len()).filter(is_known).collect();
    for at in &places {
        body[at + 1] = NO_KIND;
    }
    places.len() as u64
}

/// No node hears that its cable is pulled.
#[derive(Default)]
pub struct IsolatedTakesOver {
    planted: u64,
}

impl Plant for IsolatedTakesOver {
    fn planted(&self) -> u64 {
        self.planted
    }

    fn swallows(&mut self, _machine: usize, event: &Event) -> bool {
        let meant = matches!(event, Event::Carrier { up: false });
        self.planted += u64::from(meant);
        meant
    }
}

/// A daemon that was paused keeps the address, whoever serves by then.
#[derive(Default)]
pub struct WokenKeepsAddress {
    woken: [bool; 2],
    planted: u64,
}

impl Plant for WokenKeepsAddress {
    fn planted(&self) -> u64 {
        self.planted
    }

    fn woke(&mut self, machine: usize) {
        self.woken[machine] = true;
    }

    fn actions(&mut self, machine: usize, actions: &mut Vec<Action>) {
        if self.woken[machine] {
            let before = actions.len();
            actions.retain(|action| !matches!(action, Action::Yield));
            self.planted += (before - actions.len()) as u64;
        }
    }
}
