//! The shell of a node: events in, actions out and carried out one after another. A crash may come between any two.

use node::cluster::Durable;
use node::{Action, Event, Tell};

use super::{FilesJob, SPINS_MAX, World};
use crate::network::Path;
use crate::queue::Happening;

impl World {
    /// Tells a node, unless that life of it is over.
    pub(crate) fn tell(&mut self, machine: usize, life: u64, event: Event) {
        let now = self.clocks(machine);
        let Some(daemon) = self.machines[machine].daemon_of(life) else { return };
        if let Some(pause) = daemon.pause.as_mut() {
            return pause.events.push(event);
        }
        if self.plant.as_mut().is_some_and(|plant| plant.swallows(machine, &event)) {
            return;
        }
        if let Some(plant) = self.plant.as_mut() {
            plant.event(machine, now, &event);
        }
        let mut actions = daemon.node.handle(now, event);
        daemon.stepped(self.now_us);
        if let Some(plant) = self.plant.as_mut() {
            plant.actions(machine, &mut actions);
        }
        for action in actions {
            if self.crash_is_due(machine, false) {
                self.crash(machine);
            }
            if self.machines[machine].daemon_of(life).is_none() {
                return;
            }
            self.trace_action(machine, &action);
            self.carry_out(machine, life, action);
        }
        self.end_of_step(machine);
        if self.crash_is_due(machine, true) {
            self.crash(machine);
        }
        self.arm(machine);
    }

    fn carry_out(&mut self, machine: usize, life: u64, action: Action) {
        match action {
            Action::Send { local, destination, bytes } => self.send(machine, local, destination, bytes),
            Action::PeerSend { link, bytes } => self.peer_send(machine, link, bytes),
            // Nobody else is of this link's virtual router.
            Action::SendVrrp { .. } => {}
            Action::AskWitness { bytes } => self.ask_witness(machine, bytes),
            Action::Fence(fence) => self.fence(machine, life, fence.number),
            Action::OpenPort(port) => self.relay(machine, |relay| relay.open(port)),
            Action::UpdatePort(port) => self.relay(machine, |relay| relay.update(port)),
            Action::ClosePort(port) => self.relay(machine, |relay| relay.close(port)),
            Action::MediaTakenOver => {
                let local = self.machines[machine].local(self.now_us);
                self.relay(machine, |relay| relay.taken_over(local));
            }
            Action::Claim { epoch } => {
                self.claims(machine);
                self.machines[machine].claim = Some(epoch);
                let delay_us = 250 + self.random.below(100);
                self.after(delay_us, Happening::AddressAdded { machine, life, epoch });
            }
            Action::Yield => self.machines[machine].give_address_back(),
            Action::TellNeighbours { .. } => {
                if self.machines[machine].is_reachable() {
                    self.network.told_by(machine);
                }
            }
            Action::JournalAppend { position, bytes } => {
                let (boot, local) = (self.machines[machine].boot, self.machines[machine].local(self.now_us));
                if self.machines[machine].disk.append(position.lsn, bytes, boot, local) {
                    self.journal_begins(machine, life);
                }
            }
            Action::JournalCheckpoint(checkpoint) => {
                if self.machines[machine].disk.replace(checkpoint) {
                    self.journal_begins(machine, life);
                }
            }
            Action::KeepDurable(durable) => {
                // One after another, as the storage has one thread for them.
                let done_us = self.now_us + 300 + self.random.below(2_500);
                let Some(daemon) = self.machines[machine].daemon_of(life) else { return };
                daemon.durable_at_us = done_us.max(daemon.durable_at_us + 1);
                let at_us = daemon.durable_at_us;
                self.queue.push(at_us, Happening::DurableKept { machine, life, durable });
            }
            Action::StoreRecord(record) => self.store_record(machine, life, record),
            Action::SpoolRecord(record) => self.spool_record(machine, life, record),
            Action::LeaveRecords => self.leave_records(machine),
            Action::LoadPbx { asked_by } => self.after(5_000, Happening::PbxRead { machine, life, asked_by }),
            Action::Files(action) => self.files_action(machine, life, FilesJob::Do(action)),
            Action::Reply { number, answer } => {
                self.answers.insert(number, *answer);
            }
            Action::Tell(tell) => self.told(machine, &tell),
            Action::Stopped => self.stopped(machine),
        }
    }

    fn told(&mut self, machine: usize, tell: &Tell) {
        if let Tell::Trouble(text) = tell {
            let text = format!("{}.{:03} node {machine}: {text}", self.now_us / 1_000_000, self.now_us / 1000 % 1000);
            self.troubles.push(text);
        }
    }

    fn relay(&mut self, machine: usize, act: impl FnOnce(&mut node::media::relay::Relay)) {
        if let Some(daemon) = self.machines[machine].daemon.as_mut() {
            act(&mut daemon.relay);
        }
        if let Some(plant) = self.plant.as_mut() {
            let relay = self.machines[machine].daemon.as_mut().map(|daemon| &mut daemon.relay);
            if let Some(relay) = relay {
                plant.relay(machine, relay);
            }
        }
    }

    fn peer_send(&mut self, machine: usize, link: u8, bytes: Vec<u8>) {
        if !self.machines[machine].is_reachable() || self.network.split {
            return;
        }
        for delay_us in self.network.transit(&mut self.random, Path::Link { link, from: machine }).into_iter().flatten()
        {
            self.after(delay_us, Happening::ToPeer { machine: 1 - machine, link, bytes: bytes.clone() });
        }
    }

    /// Wakes the node at its deadline; a thread is never woken at once.
    fn arm(&mut self, machine: usize) {
        let now_us = self.now_us;
        let late_us = 15 + self.random.below(150);
        let of = &mut self.machines[machine];
        let Some(due) = of.daemon.as_ref().filter(|it| it.pause.is_none()).and_then(|it| it.node.next_timeout()) else {
            return;
        };
        let at_us = of.at_us(due).max(now_us) + late_us;
        let Some(daemon) = of.daemon.as_mut() else { return };
        if daemon.timer_at_us.is_none_or(|armed| armed > at_us) {
            daemon.timer_at_us = Some(at_us);
            let life = daemon.life;
            self.queue.push(at_us, Happening::NodeTimer { machine, life });
        }
    }

    pub(super) fn node_timer(&mut self, machine: usize, life: u64) {
        let now_us = self.now_us;
        let local = self.machines[machine].local(now_us);
        let Some(daemon) = self.machines[machine].daemon_of(life) else { return };
        if daemon.timer_at_us != Some(now_us) {
            return;
        }
        daemon.timer_at_us = None;
        if daemon.node.next_timeout().is_none_or(|due| due > local) {
            return self.arm(machine);
        }
        if daemon.spin(now_us) > SPINS_MAX {
            let text = format!("node {machine} turns in circles: its deadline is always over");
            return self.checks.fail(now_us, "spin", text);
        }
        self.tell(machine, life, Event::Timeout);
    }

    fn journal_begins(&mut self, machine: usize, life: u64) {
        let delay_us = self.machines[machine].disk.job_us(&mut self.random);
        self.after(delay_us, Happening::JournalDone { machine, life });
    }

    pub(super) fn journal_done(&mut self, machine: usize, life: u64) {
        if self.machines[machine].daemon_of(life).is_none() {
            return;
        }
        let boot = self.machines[machine].boot;
        let done = self.machines[machine].disk.job_done();
        if done.more {
            self.journal_begins(machine, life);
        }
        if let Some((entries, generation)) = done.sync {
            self.sync(machine, boot, entries, generation);
        }
        if let Some(lsn) = done.written {
            self.tell(machine, life, Event::JournalWritten { lsn });
        }
    }

    /// Syncs come in groups of some ten milliseconds; now and then the disk is slow.
    fn sync(&mut self, machine: usize, boot: u64, entries: usize, generation: u64) {
        let slow_us = if self.random.one_in(40) { self.random.below(80_000) } else { 0 };
        let delay_us = 10_000 + self.random.below(2_000) + slow_us;
        self.after(delay_us, Happening::JournalSynced { machine, boot, entries, generation });
    }

    pub(super) fn journal_synced(&mut self, machine: usize, boot: u64, entries: usize, generation: u64) {
        if self.machines[machine].boot != boot || !self.machines[machine].powered {
            return;
        }
        if let Some((entries, generation)) = self.machines[machine].disk.synced(entries, generation) {
            self.sync(machine, boot, entries, generation);
        }
    }

    pub(super) fn durable_kept(&mut self, machine: usize, life: u64, durable: Durable) {
        if self.machines[machine].daemon_of(life).is_none() {
            return;
        }
        self.machines[machine].disk.keep(durable);
        self.tell(machine, life, Event::EpochReserved { epoch: durable.reserved });
    }

    fn trace_action(&self, machine: usize, action: &Action) {
        if !self.plan.trace {
            return;
        }
        let text = match action {
            Action::PeerSend { .. } | Action::JournalAppend { .. } => return,
            Action::Send { destination, bytes, .. } => format!("-> {destination}: {}", first_line(bytes)),
            Action::Tell(tell) => format!("tells: {tell}"),
            Action::OpenPort(port) => format!("opens {} -> {:?}", port.port, port.forward_to),
            Action::UpdatePort(port) => format!("updates {} -> {:?}", port.port, port.forward_to),
            Action::StoreRecord(record) => format!("stores record {} ({})", record.identity, record.disposition),
            Action::Reply { .. } => return,
            other => format!("{other:?}").chars().take(120).collect(),
        };
        self.trace(|| format!("node {machine}: {text}"));
    }
}

/// The first line of a SIP message and its CSeq, for people.
pub(super) fn first_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let first = text.lines().next().unwrap_or_default();
    let cseq = text.lines().find(|line| line.starts_with("CSeq:")).unwrap_or_default();
    format!("{first} | {cseq}")
}
