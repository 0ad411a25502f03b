//! Faults in single messages: a CSeq used twice, a response that is not sent again, a record's name, an epoch.

use node::base::{Epoch, NodeIndex};
use node::cluster::{Heartbeat, Role};
use node::pbx::record::Record;
use node::{Action, Node};

use super::{HEARTBEAT, Plant, Survivors};

/// Puts other words into what is sent to phones, and counts the messages that are changed by it.
fn reword(actions: &mut [Action], word: impl Fn(&str) -> Option<String>) -> u64 {
    let mut changed = 0;
    for action in actions {
        let Action::Send { bytes, .. } = action else { continue };
        let text = String::from_utf8_lossy(bytes);
        if let Some(reworded) = word(&text).filter(|reworded| *reworded != text) {
            changed += 1;
            *bytes = reworded.into_bytes();
        }
    }
    changed
}

#[derive(Default)]
pub struct CseqReused {
    survivors: Survivors,
    planted: u64,
}

impl Plant for CseqReused {
    fn planted(&self) -> u64 {
        self.planted
    }

    fn actions(&mut self, machine: usize, actions: &mut Vec<Action>) {
        if self.survivors.contains(machine) {
            let is_second = |text: &str| text.starts_with("BYE ") && text.contains("CSeq: 2 BYE");
            self.planted += reword(actions, |text| is_second(text).then(|| text.replace("CSeq: 2 BYE", "CSeq: 1 BYE")));
        }
    }

    fn died(&mut self, machine: usize, _other: Option<&mut Node>) {
        self.survivors.other_died(machine);
    }
}

#[derive(Default)]
pub struct ProvisionalNotSentAgain {
    planted: u64,
}

impl Plant for ProvisionalNotSentAgain {
    fn planted(&self) -> u64 {
        self.planted
    }

    fn actions(&mut self, _machine: usize, actions: &mut Vec<Action>) {
        // The step that takes the media over is the one that sends again.
        if !actions.iter().any(|action| matches!(action, Action::MediaTakenOver)) {
            return;
        }
        let before = actions.len();
        actions.retain(|action| !matches!(action, Action::Send { bytes, .. } if bytes.starts_with(b"SIP/2.0 18")));
        self.planted += (before - actions.len()) as u64;
    }
}

/// The second machine's store says that it has a record, and has it not.
#[derive(Default)]
pub struct RecordForgottenEarly {
    planted: u64,
}

impl Plant for RecordForgottenEarly {
    fn planted(&self) -> u64 {
        self.planted
    }

    fn record_identity(&mut self, machine: usize, record: &Record) -> Option<String> {
        if machine == 1 {
            self.planted += 1;
            return None;
        }
        Some(record.identity.clone())
    }
}

/// Each store has an identity of its own for each record.
#[derive(Default)]
pub struct RecordIdentityByWriter {
    planted: u64,
}

impl Plant for RecordIdentityByWriter {
    fn planted(&self) -> u64 {
        self.planted
    }

    fn record_identity(&mut self, machine: usize, record: &Record) -> Option<String> {
        self.planted += 1;
        Some(format!("{}-{machine}", record.identity))
    }
}

/// What a survivor words differently than the node before it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// The tag that our responses have in their To.
    Tag,
    /// The port of our audio.
    MediaPort,
}

pub struct Reworded {
    word: Word,
    survivors: Survivors,
    planted: u64,
}

impl Reworded {
    pub fn new(word: Word) -> Self {
        Self { word, survivors: Survivors::default(), planted: 0 }
    }

    /// The line as it leaves instead.
    fn line(&self, line: &str) -> Option<String> {
        match self.word {
            Word::Tag => {
                let (before, tag) = line.strip_prefix("To:")?.split_once(";tag=")?;
                Some(format!("To:{before};tag=f{}", tag.get(1..).unwrap_or_default()))
            }
            Word::MediaPort => {
                let (port, rest) = line.strip_prefix("m=audio ")?.split_once(' ')?;
                Some(format!("m=audio {} {rest}", port.parse::<u16>().ok()? + 100))
            }
        }
    }

    fn response(&self, text: &str) -> Option<String> {
        if !text.starts_with("SIP/2.0 ") || !text.contains(" INVITE\r\n") {
            return None;
        }
        let line = |line: &str| self.line(line).unwrap_or_else(|| line.to_owned());
        Some(text.split("\r\n").map(line).collect::<Vec<_>>().join("\r\n"))
    }
}

impl Plant for Reworded {
    fn planted(&self) -> u64 {
        self.planted
    }

    fn actions(&mut self, machine: usize, actions: &mut Vec<Action>) {
        if self.survivors.contains(machine) {
            let planted = reword(actions, |text| self.response(text));
            self.planted += planted;
        }
    }

    fn died(&mut self, machine: usize, _other: Option<&mut Node>) {
        self.survivors.other_died(machine);
    }
}

/// Once both nodes are active, the one with the older epoch wins.
#[derive(Default)]
pub struct StaleEpochAccepted {
    /// What each machine last said that it leads.
    leads: [Option<Epoch>; 2],
    /// The machine whose older reign is taken for the newer one.
    stale: Option<usize>,
    planted: u64,
}

impl Plant for StaleEpochAccepted {
    fn planted(&self) -> u64 {
        self.planted
    }

    fn peer_datagram(&mut self, machine: usize, bytes: Vec<u8>) -> Vec<u8> {
        let from = 1 - machine;
        let Some(mut heartbeat) = bytes
            .split_first()
            .filter(|(kind, _)| **kind == HEARTBEAT)
            .and_then(|(_, rest)| Heartbeat::decode(rest).ok())
        else {
            return bytes;
        };
        self.leads[from] = (heartbeat.role == Role::Active).then_some(heartbeat.epoch);
        if let (None, [Some(first), Some(second)]) = (self.stale, self.leads) {
            self.stale = Some(if first < second { 0 } else { 1 });
        }
        let Some(stale) = self.stale else { return bytes };
        self.planted += 1;
        heartbeat.epoch = if from == stale {
            Epoch { number: heartbeat.epoch.number + 10, node: NodeIndex(from as u8) }
        } else {
            Epoch::default()
        };
        std::iter::once(HEARTBEAT).chain(heartbeat.encode()).collect()
    }
}
