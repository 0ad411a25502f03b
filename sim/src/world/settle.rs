//! Rest: waiting until everything is well again, and looking at what is left.

use node::Operator;
use node::cluster::Role;
use phone::PhoneCommand;

use super::{WALL_US, World};
use crate::check::{Census, RecordLine, Told};
use crate::machine::Machine;

/// How long a pair may need to be protected again after the last repair.
const PROTECTED_AGAIN_US: u64 = 8_000_000;

/// Whoever plans faults repairs them within this time.
const REPAIRED_US: u64 = 60_000_000;

/// After this no retransmission of anything is left: timers B, F, H and J, and one more.
const REST_US: u64 = 36_000_000;

impl World {
    /// One node serves, the other one has everything. Only those who plan faults ask this; no checker does.
    pub fn is_protected_pair(&self) -> bool {
        let roles: Vec<Role> =
            self.machines.iter().filter_map(|of| of.daemon.as_ref()).map(|it| it.node.role()).collect();
        let both = roles.contains(&Role::Active) && roles.contains(&Role::Standby);
        let well = |of: &Machine| {
            let daemon = of.daemon.as_ref();
            of.hears() && daemon.is_some_and(|it| it.pause.is_none() && it.node.is_protected())
        };
        both && !self.network.split && self.machines.iter().all(well)
    }

    pub fn active(&self) -> Option<usize> {
        (0..2).find(|machine| self.machines[*machine].is_active() && self.machines[*machine].has_address)
    }

    /// Waits until both machines are well and the pair is protected again, which must not take long then.
    pub fn wait_protected(&mut self) {
        let well = |world: &Self| {
            !world.network.links_cut
                && !world.network.split
                && world.machines.iter().all(|of| of.hears() && !of.asleep && !of.stopped)
        };
        self.run_until(REPAIRED_US, well);
        if !self.run_until(PROTECTED_AGAIN_US, Self::is_protected_pair) {
            let text = format!("the pair is not protected again after {} s", PROTECTED_AGAIN_US / 1_000_000);
            self.checks.fail(self.now_us, "pair", text);
        }
    }

    /// Everybody hangs up, everything comes to rest, and all checks of the end are made.
    pub fn finish(&mut self) {
        for phone in 0..self.handsets.len() {
            if !self.is_idle(phone) {
                self.command(phone, PhoneCommand::HangUp);
                self.run(50_000);
            }
        }
        self.wait_protected();
        self.run(REST_US);
        if self.failure().is_some() {
            return;
        }
        self.check_configuration();
        let census = self.census();
        let Self { checks, handsets, now_us, .. } = self;
        checks.finish(*now_us, handsets.iter().map(|handset| &handset.phone), &census);
    }

    fn census(&mut self) -> Census {
        let numbers: Vec<u64> = (0..2).map(|machine| self.ask(machine, Operator::Status)).collect();
        let mut told = Vec::new();
        for number in numbers {
            if let Some(node::Answer::Status(status)) = self.answers.get(&number) {
                told.push(Told {
                    role: status.role.clone(),
                    protected: status.protected,
                    calls: status.calls,
                    registrations: status.registrations,
                    records_waiting: status.records_waiting,
                });
            }
        }
        Census {
            addresses: self.machines.iter().filter(|of| of.has_address).count(),
            told,
            stores: (0..2).map(|machine| self.record_lines(machine)).collect(),
        }
    }

    fn record_lines(&self, machine: usize) -> Vec<RecordLine> {
        let own = |wall: node::base::WallTime| wall.0.saturating_sub(WALL_US);
        let lines = self.machines[self.store_of(machine)].records.iter().map(|(identity, record)| RecordLine {
            identity: identity.clone(),
            source: record.source.clone(),
            destination: record.destination.clone(),
            disposition: record.disposition.to_string(),
            account: record.account_code.clone(),
            started_us: own(record.started.wall),
            answered_us: record.answered.map(|moment| own(moment.wall)),
            ended_us: record.ended.map(|moment| own(moment.wall)),
        });
        lines.collect()
    }
}
