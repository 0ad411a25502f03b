//! An etcd in the witness's place: one register with revisions, which is slow now and then and may be away or cut off
//! from a machine; and the deputy in each daemon that asks it. What it has stored outlives everything.

use node::Event;
use node::base::NodeIndex;
use node::cluster::witness::deputy::{Entry, NODES, Reading, Request, Step};
use node::cluster::witness::{Answer, Ask, Deputy};

use super::World;
use crate::network::Path;
use crate::queue::Happening;

/// After this a daemon gives a request up.
const LIMIT_US: u64 = 250_000;

/// A write to the disks of a majority: usually, once in fifty times, and once in a thousand. The last may be made after it
/// was given up.
const WRITE_US: u64 = 8_000;
const SLOW_WRITE_US: u64 = 100_000;
const SLOWEST_WRITE_US: u64 = 400_000;

/// Between two looks whether a daemon that stands still goes on.
const STILL_US: u64 = 5_000;

pub struct Store {
    pub up: bool,
    revision: u64,
    record: Option<Entry>,
    signs: [Option<Entry>; NODES],
    /// Of the daemon of this life.
    deputies: [Option<(u64, Deputy)>; 2],
}

impl Store {
    /// Nothing was ever written to it.
    pub fn new() -> Self {
        Self { up: true, revision: 0, record: None, signs: Default::default(), deputies: [None, None] }
    }

    fn revision_of_record(&self) -> u64 {
        self.record.as_ref().map_or(0, |entry| entry.revision)
    }

    fn carry_out(&mut self, machine: usize, request: &Request) -> Reading {
        self.revision += 1;
        let revision = self.revision;
        let swap = request.swap.as_ref().filter(|swap| swap.revision == self.revision_of_record());
        if let Some(swap) = swap {
            self.record = Some(Entry { revision, bytes: swap.record.clone() });
        }
        if let Some(bytes) = request.sign.clone() {
            self.signs[machine] = Some(Entry { revision, bytes });
        }
        Reading { swapped: swap.is_some(), record: self.record.clone(), signs: self.signs.clone() }
    }
}

impl World {
    fn store(&mut self) -> Option<&mut Store> {
        self.witness.as_mut()?.store.as_mut()
    }

    /// A node asks its deputy. False when there is no store.
    pub(super) fn ask_deputy(&mut self, machine: usize, bytes: &[u8]) -> bool {
        let now = self.clocks(machine).local;
        let life = self.machines[machine].daemon.as_ref().map(|daemon| daemon.life);
        let Some(store) = self.store() else { return false };
        let (Some(life), Ok(ask)) = (life, Ask::decode(bytes)) else { return true };
        let (_, deputy) = match &mut store.deputies[machine] {
            Some(found) if found.0 == life => found,
            other => other.insert((life, Deputy::new(NodeIndex(machine as u8), now))),
        };
        let request = deputy.ask(now, ask);
        self.ask_store(machine, life, request);
        true
    }

    fn ask_store(&mut self, machine: usize, life: u64, request: Option<Request>) {
        let Some(request) = request else { return };
        self.after(LIMIT_US, Happening::StoreSilent { machine, life, number: request.number });
        if !self.reaches_witness(machine) {
            return;
        }
        let bound_us = match self.random.below(1_000) {
            0 => SLOWEST_WRITE_US,
            1..=20 => SLOW_WRITE_US,
            _ => WRITE_US,
        };
        let write_us = self.random.below(bound_us);
        // The connection delivers what it delivers once.
        let transit = self.network.transit(&mut self.random, Path::Witness).into_iter().flatten().next();
        if let Some(transit_us) = transit {
            self.after(transit_us + write_us, Happening::ToStore { machine, life, request: Box::new(request) });
        }
    }

    pub(super) fn store_gets(&mut self, machine: usize, life: u64, mut request: Request) {
        if !self.reaches_witness(machine) {
            return;
        }
        let revision = self.store().map_or(0, |store| store.revision_of_record());
        if let Some(plant) = self.plant.as_mut() {
            plant.store_request(machine, &mut request, revision);
        }
        let Some(store) = self.store().filter(|store| store.up) else { return };
        let mut reading = store.carry_out(machine, &request);
        if let Some(plant) = self.plant.as_mut() {
            plant.store_reading(machine, &mut reading);
        }
        let number = request.number;
        let transit = self.network.transit(&mut self.random, Path::Witness).into_iter().flatten().next();
        if let Some(transit_us) = transit {
            let reading = Box::new(reading);
            self.after(transit_us, Happening::FromStore { machine, life, number, reading });
        }
    }

    /// The store's answer has come to the daemon of this life; without one it has waited long enough.
    pub(super) fn deputy_gets(&mut self, machine: usize, life: u64, number: u64, reading: Option<Box<Reading>>) {
        let Some(daemon) = self.machines[machine].daemon_of(life) else { return };
        if daemon.pause.is_some() {
            let happening = match reading {
                Some(reading) => Happening::FromStore { machine, life, number, reading },
                None => Happening::StoreSilent { machine, life, number },
            };
            return self.after(STILL_US, happening);
        }
        let now = self.clocks(machine).local;
        let reachable = self.reaches_witness(machine);
        let deputy = self.store().and_then(|store| store.deputies[machine].as_mut());
        let Some((_, deputy)) = deputy.filter(|(of, _)| *of == life) else { return };
        let step = match &reading {
            Some(reading) if reachable => deputy.read(now, number, reading),
            Some(_) => return,
            None => Step { answer: None, request: deputy.failed(now, number) },
        };
        self.ask_store(machine, life, step.request);
        if let Some(answer) = step.answer {
            self.tell(machine, life, Event::Witness { bytes: Answer::encode(&answer) });
        }
    }
}
