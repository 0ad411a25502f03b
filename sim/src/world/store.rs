//! Where call records go: a store of its own on each machine, or a server that both share. It may be slow, away for a
//! while, and lose the connection after it has taken a record and before it says so.

use node::pbx::record::Record;
use node::{Event, RECORDS_KEPT_MAX};

use super::World;
use crate::queue::Happening;

/// A store that fails is away for less than this; a world comes to rest for longer.
const AWAY_MAX_US: u64 = 12_000_000;

/// How long a writer waits after a connection was lost before it tries again.
const AGAIN_US: u64 = 1_000_000;

/// Which stores a world has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorePlan {
    /// Each node stores by itself.
    Own,
    /// A server, and what the log keeps for it before more goes to the nodes' disks.
    Shared { kept_max: usize },
}

impl StorePlan {
    pub fn is_shared(self) -> bool {
        matches!(self, Self::Shared { .. })
    }

    pub fn kept_max(self) -> usize {
        match self {
            Self::Own => RECORDS_KEPT_MAX,
            Self::Shared { kept_max } => kept_max,
        }
    }
}

impl World {
    /// Whose store a machine writes to.
    pub(super) fn store_of(&self, machine: usize) -> usize {
        if self.plan.store.is_shared() { 0 } else { machine }
    }

    /// When the store has taken what is given to it now.
    fn stored_at_us(&mut self, machine: usize) -> u64 {
        let store = self.store_of(machine);
        if self.plan.store_fails && self.now_us >= self.store_away_until_us[store] && self.random.one_in(12) {
            self.store_away_until_us[store] = self.now_us + self.random.below(AWAY_MAX_US);
            let until_us = self.store_away_until_us[store];
            self.trace(|| format!("the store of node {machine} is away until {until_us}"));
        }
        let at_us = self.now_us.max(self.store_away_until_us[store]) + 1_000 + self.random.below(6_000);
        // One after another: the store has one thread.
        let busy_until_us = &mut self.machines[machine].store_busy_until_us;
        *busy_until_us = at_us.max(*busy_until_us + 1);
        *busy_until_us
    }

    pub(super) fn store_record(&mut self, machine: usize, life: u64, record: Box<Record>) {
        let (at_us, queue) = (self.stored_at_us(machine), self.machines[machine].store_queue);
        let mut told_us = at_us;
        if self.plan.store_fails && at_us < self.now_us + AGAIN_US && self.random.one_in(8) {
            // It is taken, and said to be so only when it is written once more.
            self.queue.push(at_us, Happening::RecordTaken { machine, record: record.clone() });
            told_us += AGAIN_US;
        }
        self.queue.push(told_us, Happening::RecordStored { machine, life, queue, record });
    }

    /// What waits for the store is dropped.
    pub(super) fn leave_records(&mut self, machine: usize) {
        self.machines[machine].store_queue += 1;
    }

    pub(super) fn record_stored(&mut self, machine: usize, life: u64, queue: u64, record: Record) {
        let of = &self.machines[machine];
        if of.store_queue != queue || self.machines[machine].daemon_of(life).is_none() {
            return;
        }
        let identities = vec![record.identity.clone()];
        self.record_taken(machine, record);
        self.tell(machine, life, Event::RecordsStored { identities });
    }

    pub(super) fn record_taken(&mut self, machine: usize, record: Record) {
        let identity = match self.plant.as_mut() {
            Some(plant) => match plant.record_identity(machine, &record) {
                Some(identity) => identity,
                None => return,
            },
            None => record.identity.clone(),
        };
        let store = self.store_of(machine);
        self.machines[store].records.insert(identity, record);
    }

    pub(super) fn spool_record(&mut self, machine: usize, life: u64, record: Box<Record>) {
        let delay_us = 3_000 + self.random.below(15_000);
        self.after(delay_us, Happening::RecordSpooled { machine, life, record });
    }

    pub(super) fn record_spooled(&mut self, machine: usize, life: u64, record: Record) {
        if self.machines[machine].daemon_of(life).is_none() {
            return;
        }
        let identities = vec![record.identity.clone()];
        self.machines[machine].spool.insert(record.identity.clone(), record);
        self.tell(machine, life, Event::RecordsSpooled { identities });
        self.empty_spool_later(machine);
    }

    /// The thread of the store finds the spool as it begins, and whenever the store is there.
    pub(super) fn empty_spool_later(&mut self, machine: usize) {
        if let (false, Some(daemon)) = (self.machines[machine].spool.is_empty(), self.machines[machine].daemon.as_ref())
        {
            let (life, at_us) = (daemon.life, self.stored_at_us(machine));
            self.queue.push(at_us, Happening::SpoolStored { machine, life });
        }
    }

    pub(super) fn spool_stored(&mut self, machine: usize, life: u64) {
        if self.machines[machine].daemon_of(life).is_none() {
            return;
        }
        let records = std::mem::take(&mut self.machines[machine].spool);
        let identities: Vec<String> = records.keys().cloned().collect();
        for record in records.into_values() {
            self.record_taken(machine, record);
        }
        if !identities.is_empty() {
            self.tell(machine, life, Event::RecordsStored { identities });
        }
    }
}
