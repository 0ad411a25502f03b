//! After a step of a call: its indexes, its media ports, its place in the log.

use std::net::IpAddr;

use base::Lower;
use media::relay::Port;

use super::{Indexed, Now, Output, Pbx};
use crate::call::{self, Call, CallNumber, Step};
use crate::object::Key;

impl Pbx {
    /// Runs one step of a call and puts everything that follows from it in its place.
    pub(super) fn with_call(&mut self, now: Now, number: CallNumber, act: impl FnOnce(&mut Call, &mut Step<'_>)) {
        let Some(mut call) = self.calls.remove(&number) else { return };
        self.step(now, |step| {
            act(&mut call, step);
            call
        });
    }

    /// Gives a step its surroundings, takes the call in that comes out of it, and passes on what it said.
    pub(super) fn step(&mut self, now: Now, act: impl FnOnce(&mut Step<'_>) -> Call) {
        let mut said = Vec::new();
        let configuration = self.configuration.clone();
        let mut step = Step {
            now: now.cluster,
            wall: now.wall,
            by_phone: true,
            configuration: &configuration,
            registrar: &self.registrar,
            service: &self.settings.service,
            random: &mut self.random,
            ports: &mut self.port_numbers,
            out: &mut said,
        };
        let mut call = act(&mut step);
        if step.by_phone {
            call.heard = now.cluster;
        }
        self.keep(now, call);
        self.say(said);
    }

    /// Takes a call in after a step; one that is done leaves.
    fn keep(&mut self, now: Now, call: Call) {
        let number = call.number;
        self.changed.insert(Key::Call(number));
        if !call.is_done() {
            self.calls.insert(number, call);
        }
        self.index(number, Some(now));
    }

    fn say(&mut self, said: Vec<call::Output>) {
        for output in said {
            match output {
                call::Output::Send(transmit) => self.outputs.push(Output::Send(transmit)),
                call::Output::Trouble(text) => self.outputs.push(Output::Trouble(text)),
                call::Output::Record(mut record) => {
                    // This node's store gets what the log has, and so what the other one's gets.
                    record.lower(self.level);
                    self.changed.insert(Key::Record(record.identity.clone()));
                    self.records.insert(record.identity.clone(), (*record).clone());
                    self.outputs.push(Output::Record(record));
                }
            }
        }
    }

    /// Brings the indexes and the open media ports in line with a call as it is now, or as it is no more. Without
    /// `now` the numbers of closed ports are free again at once.
    pub(super) fn index(&mut self, number: CallNumber, now: Option<Now>) {
        let before = self.indexed.remove(&number).unwrap_or_default();
        for key in &before.keys {
            // Where one INVITE came to both nodes, the other node's call may have taken the key over.
            if self.keys.get(key).is_some_and(|(of, _)| *of == number) {
                self.keys.remove(key);
            }
        }
        if let Some(deadline) = before.deadline {
            self.deadlines.remove(&(deadline, number));
        }
        for party in &before.parties {
            if let Some(count) = self.parties.get_mut(party) {
                *count -= 1;
                if *count == 0 {
                    self.parties.remove(party);
                }
            }
        }
        let Some(call) = self.calls.get(&number) else {
            return self.open_and_close(number, &before.ports, &[], now);
        };
        let ports = call.ports().cloned().collect();
        let mut after = Indexed { keys: Vec::new(), deadline: call.deadline(), ports, parties: parties(call) };
        for party in &after.parties {
            *self.parties.entry(*party).or_default() += 1;
        }
        for (key, side) in call.keys() {
            self.keys.insert(key.clone(), (number, side));
            after.keys.push(key);
        }
        if let Some(deadline) = after.deadline {
            self.deadlines.insert((deadline, number));
        }
        self.last_number = self.last_number.max(number);
        self.open_and_close(number, &before.ports, &after.ports, now);
        self.indexed.insert(number, after);
    }

    fn open_and_close(&mut self, number: CallNumber, before: &[Port], after: &[Port], now: Option<Now>) {
        for gone in before.iter().filter(|old| after.iter().all(|new| new.port != old.port)) {
            if self.holders.get(&gone.port) != Some(&number) {
                // Another call has it by now, which was heard of first.
                continue;
            }
            self.holders.remove(&gone.port);
            self.outputs.push(Output::ClosePort(gone.port));
            self.port_numbers.release(gone.port, now.map(|now| now.cluster).unwrap_or_default());
        }
        for new in after {
            match before.iter().find(|old| old.port == new.port) {
                None => {
                    self.port_numbers.occupy(new.port);
                    let open = self.holders.insert(new.port, number).is_some();
                    let output = if open { Output::UpdatePort } else { Output::OpenPort };
                    self.outputs.push(output(new.clone()));
                }
                Some(old) if old != new => self.outputs.push(Output::UpdatePort(new.clone())),
                Some(_) => {}
            }
        }
    }
}

/// Whom a live call sends to, each once.
fn parties(call: &Call) -> Vec<IpAddr> {
    if call.is_ended() {
        return Vec::new();
    }
    let signalling = call.legs().map(|(_, leg)| leg.remote.ip());
    let media = call.ports().filter_map(|port| port.remote).map(|remote| remote.rtp.ip());
    let mut parties: Vec<IpAddr> = signalling.chain(media).collect();
    parties.sort_unstable();
    parties.dedup();
    parties
}
