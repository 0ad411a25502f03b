//! The state of the world after everything has settled: nobody in a call, everybody registered, the address once.

use phone::Phone;

use super::{Checks, RecordLine};
use crate::conversation::Flow;

/// What can be seen from outside when nothing moves any more.
#[derive(Clone, Debug, Default)]
pub struct Census {
    /// How many machines have the service address on their interface.
    pub addresses: usize,
    /// What the operator is told on each node that runs: its role, live calls, registrations, records that wait.
    pub told: Vec<Told>,
    pub stores: Vec<Vec<RecordLine>>,
}

/// `tandem status` of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    pub role: String,
    pub protected: bool,
    pub calls: usize,
    pub registrations: usize,
    pub records_waiting: usize,
}

impl Checks {
    /// Checks everything that must hold at the very end, when all have hung up long ago.
    pub fn finish<'p>(&mut self, now_us: u64, phones: impl Iterator<Item = &'p Phone>, census: &Census) {
        self.open_gaps(now_us);
        for (index, phone) in phones.enumerate() {
            self.phone_at_rest(now_us, index, phone);
        }
        let open: Vec<u32> = self.conversations.iter().filter(|call| !call.is_over()).map(|call| call.id).collect();
        if !open.is_empty() {
            self.fail(now_us, "stuck", format!("the calls {open:?} never end"));
        }
        self.deaf(now_us);
        if census.addresses != 1 {
            self.fail(now_us, "address", format!("the service address is on {} machines", census.addresses));
        }
        self.told(now_us, census);
        self.records(now_us, &census.stores);
    }

    fn phone_at_rest(&mut self, now_us: u64, index: usize, phone: &Phone) {
        let name = self.name(index).to_owned();
        if !phone.is_registered() {
            self.fail(now_us, "registration", format!("phone {name} is not registered"));
        }
        if !phone.state().is_over() {
            self.fail(now_us, "stuck", format!("phone {name} is still {:?}", phone.state()));
        }
        let harmful = |violation: &&phone::Violation| !self.is_excused(index, violation);
        if let Some(violation) = phone.violations().iter().find(harmful) {
            self.fail(now_us, "violation", format!("phone {name} was misused: {violation}"));
        }
        let every_us = u64::from(phone.config().register_every_s) * 1_000_000;
        let schedule = 1 + now_us.saturating_sub(crate::world::START_US) / every_us;
        let begun = phone.counters().registrations_begun;
        if begun > schedule {
            let text = format!("phone {name} registered {begun} times, its schedule has {schedule}");
            self.fail(now_us, "registration", text);
        }
    }

    /// Where audio was expected for a while, there was some.
    fn deaf(&mut self, now_us: u64) {
        let long_us = 10 * self.audio_us + 400_000;
        let is_deaf = |flow: &Flow| flow.lasted_us > long_us && flow.packets == 0;
        let deaf =
            self.conversations.iter().find(|call| !call.torn && call.sides.iter().any(|side| is_deaf(&side.flow)));
        if let Some(call) = deaf {
            let text = format!("call {}: a side never heard the other", call.id);
            self.fail(now_us, "silence", text);
        }
    }

    fn told(&mut self, now_us: u64, census: &Census) {
        let roles: Vec<&str> = census.told.iter().map(|told| told.role.as_str()).collect();
        if !(roles == ["active", "standby"] || roles == ["standby", "active"]) {
            self.fail(now_us, "pair", format!("the nodes are {roles:?}, not a protected pair"));
        }
        for told in &census.told {
            let phones = self.users.len();
            let wrong = [
                (told.calls != 0).then(|| format!("{} calls that nobody has", told.calls)),
                (told.registrations != phones).then(|| format!("{} of {phones} registrations", told.registrations)),
                (told.records_waiting != 0).then(|| format!("{} records that wait for ever", told.records_waiting)),
                (!told.protected).then(|| "no protection".to_owned()),
            ];
            if let Some(text) = wrong.into_iter().flatten().next() {
                self.fail(now_us, "pair", format!("the {} node tells of {text}", told.role));
            }
        }
    }
}
