//! What befalls the machines: crashes between two actions, power cuts, pulled cables, bad wires, operators.

use node::base::{Epoch, Incarnation, Level};
use node::cluster::Drain;
use node::{Event, Operator};

use super::World;
use crate::check::FaultKind;
use crate::exhaustive::Death;
use crate::machine::{Machine, Stamp};
use crate::network::{QUIET, Quality};
use crate::queue::Happening;

/// From the death of a process to the parent's notice.
const NOTICE_US: u64 = 500;

/// From the start of a process to the first step of its node.
const START_US: u64 = 25_000;

/// How long a parent waits with a newcomer after a farewell.
const RESTART_US: u64 = 50_000;

/// How long an address stays that nobody renews.
pub(super) const LEASE_US: u64 = 2_000_000;

/// How long a machine of the exhaustive run is without power, and without its cable.
const POWER_OFF_US: u64 = 4_000_000;
const CUT_US: u64 = 4_000_000;
const LONG_CUT_US: u64 = 40_000_000;

/// How long it sleeps: longer than its peer waits, shorter than the address is leased.
const SLEEP_US: u64 = 1_000_000;

/// How long both machines are without power at least, how much later one of them may have it back: longer than the
/// other one waits for it; and how long one may go on alone before its power fails, too.
const BLACKOUT_US: u64 = 2_000_000;
const BLACKOUT_BACK_US: u64 = 2_500_000;
const BLACKOUT_APART_US: u64 = 1_500_000;

/// How far a clock is set wrong, so that no two settings of one world can be taken for each other.
const CLOCK_STEP_US: u64 = 1_200_000_000;

/// When the copies of a farewell leave.
const FAREWELLS_US: [u64; 3] = [0, 2_000, 10_000];

/// Where the serving node dies: before an action, or after one that is the last of its step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CrashPoint {
    /// Counted from 1.
    pub action: u64,
    pub after: bool,
}

/// What counts the actions of one machine.
#[derive(Clone, Debug)]
pub struct Counter {
    pub machine: usize,
    pub actions: u64,
    /// The actions that were the last of their step.
    pub last_of_step: Vec<u64>,
    pub crash: Option<CrashPoint>,
    pub death: Death,
    pub crashed_at_us: Option<u64>,
}

impl Counter {
    pub fn new(machine: usize, crash: Option<CrashPoint>, death: Death) -> Self {
        Self { machine, actions: 0, last_of_step: Vec::new(), crash, death, crashed_at_us: None }
    }
}

/// How bad wires are for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    pub from_phones: Quality,
    pub to_phones: Quality,
    pub links: [Quality; 2],
}

impl Machine {
    pub(super) fn give_address_back(&mut self) {
        self.claim = None;
        self.has_address = false;
    }

    /// What a death of the process takes with it.
    fn lose_daemon(&mut self, now_us: u64) -> Stamp {
        self.disk.process_died();
        self.file_jobs.clear();
        let daemon = self.daemon.take();
        self.last_stamp = daemon.as_ref().map(|daemon| daemon.stamp(now_us)).unwrap_or_default();
        if let Some(graveyard) = self.graveyard.as_mut() {
            graveyard.extend(daemon);
        }
        self.last_stamp
    }
}

impl World {
    /// Whether the machine is to die now. Before each action it counts that one.
    pub(super) fn crash_is_due(&mut self, machine: usize, after: bool) -> bool {
        let Some(counter) = self.counter.as_mut().filter(|counter| counter.machine == machine) else { return false };
        if counter.crashed_at_us.is_some() {
            return false;
        }
        if after {
            return counter.crash.is_some_and(|crash| crash.after && crash.action == counter.actions);
        }
        counter.actions += 1;
        counter.crash.is_some_and(|crash| !crash.after && crash.action == counter.actions)
    }

    pub(super) fn end_of_step(&mut self, machine: usize) {
        if let Some(counter) = self.counter.as_mut().filter(|counter| counter.machine == machine)
            && counter.last_of_step.last() != Some(&counter.actions)
        {
            counter.last_of_step.push(counter.actions);
        }
    }

    pub(super) fn crash(&mut self, machine: usize) {
        let Some(counter) = self.counter.as_mut() else { return };
        counter.crashed_at_us = Some(self.now_us);
        let death = counter.death;
        self.strike(machine, death);
    }

    /// Lets a machine die in this way.
    pub fn strike(&mut self, machine: usize, death: Death) {
        match death {
            Death::Kill | Death::Alone => self.kill(machine),
            Death::Power => self.cut_power(machine, POWER_OFF_US),
            Death::Cut => self.cut_for(machine, CUT_US),
            Death::LongCut => self.cut_for(machine, LONG_CUT_US),
            Death::LinksCut => self.cut_links_for(None, CUT_US),
            Death::Isolated => self.cut_links_for(Some(machine), CUT_US),
            Death::Sleep => self.fall_asleep(machine, SLEEP_US),
            Death::StandbyCut => self.cut_for(1 - machine, CUT_US),
            Death::BothPower => self.black_out(machine),
            Death::Unmerged => {
                // The calls of its half are nobody's until it is back and they are merged.
                self.checks.fault(self.now_us, FaultKind::KillAlone);
                self.kill(machine);
            }
        }
    }

    /// Pulls the cable for so long.
    fn cut_for(&mut self, machine: usize, us: u64) {
        self.unplug(machine);
        self.after(us, Happening::PlugIn { machine });
    }

    /// From now on counts what this machine's node wants done, and lets it die at `crash`.
    pub fn count_actions(&mut self, machine: usize, crash: Option<CrashPoint>, death: Death) {
        self.counter = Some(Counter::new(machine, crash, death));
    }

    /// Ends the count.
    pub fn stop_counting(&mut self) -> Counter {
        self.counter.take().unwrap_or_else(|| Counter::new(0, None, Death::Kill))
    }

    /// Kills the daemon. Its parent notices and does what its last stamp asks for.
    pub fn kill(&mut self, machine: usize) {
        let now_us = self.now_us;
        let of = &mut self.machines[machine];
        if of.daemon.is_none() {
            return;
        }
        let was_active = of.is_active() || of.has_address;
        let boot = of.boot;
        let stamp = self.lose(machine);
        let kind = match (was_active, stamp.protected) {
            (false, _) => FaultKind::Standby,
            (true, true) => FaultKind::Kill,
            (true, false) => FaultKind::KillAlone,
        };
        self.trace(|| format!("machine {machine}: daemon killed ({kind:?})"));
        self.checks.fault(now_us, kind);
        self.after(NOTICE_US, Happening::DeathNoticed { machine, boot });
    }

    /// The daemon is gone, whatever the reason, and nobody has noticed yet.
    pub(super) fn lose(&mut self, machine: usize) -> Stamp {
        let now_us = self.now_us;
        let stamp = self.machines[machine].lose_daemon(now_us);
        self.died(machine);
        stamp
    }

    fn died(&mut self, machine: usize) {
        if let Some(plant) = self.plant.as_mut() {
            let other = self.machines[1 - machine].daemon.as_mut().map(|daemon| &mut daemon.node);
            plant.died(machine, other);
        }
    }

    pub(super) fn death_noticed(&mut self, machine: usize, boot: u64) {
        let of = &mut self.machines[machine];
        if !of.powered || of.boot != boot || of.daemon.is_some() || of.stopped {
            return;
        }
        let (stamp, incarnation) = (of.last_stamp, of.last_incarnation);
        if stamp.active && stamp.protected {
            of.give_address_back();
            for delay_us in FAREWELLS_US {
                self.after(delay_us, Happening::SayFarewell { machine, boot, incarnation });
            }
            return self.after(RESTART_US + START_US, Happening::StartDaemon { machine, boot, resume: None });
        }
        let serving = stamp.active.then_some(stamp.epoch);
        let resume = of.claim.max(serving);
        if let Some(claim) = of.claim {
            self.after(LEASE_US, Happening::LeaseOver { machine, boot, claim });
        }
        let delay_us = if resume.is_some() { START_US } else { RESTART_US + START_US };
        self.after(delay_us, Happening::StartDaemon { machine, boot, resume });
    }

    pub(super) fn lease_over(&mut self, machine: usize, boot: u64, claim: Epoch) {
        let of = &mut self.machines[machine];
        if of.boot == boot && of.claim == Some(claim) && of.daemon.is_none() {
            of.give_address_back();
        }
    }

    /// The machine loses its power, and gets it back after `off_us`.
    pub fn cut_power(&mut self, machine: usize, off_us: u64) {
        let now_us = self.now_us;
        let of = &mut self.machines[machine];
        if !of.powered {
            return;
        }
        let kind = if of.is_active() || of.has_address { FaultKind::Cut } else { FaultKind::Standby };
        of.lose_daemon(now_us);
        of.disk.power_cut(&mut self.random);
        of.files.power_cut(&mut self.random);
        of.give_address_back();
        of.powered = false;
        of.asleep = false;
        of.last_stamp = Stamp::default();
        of.last_incarnation = Incarnation::default();
        self.trace(|| format!("machine {machine}: power cut"));
        self.checks.fault(now_us, kind);
        self.died(machine);
        self.after(off_us, Happening::Boot { machine });
    }

    /// Both machines lose their power, this one first. Which of them is back first, and how long before the other one,
    /// depends on the seed.
    fn black_out(&mut self, first: usize) {
        let apart_us = if self.plan.seed.is_multiple_of(2) { self.random.below(BLACKOUT_APART_US) } else { 0 };
        let off_us = [first, 1 - first].map(|_| BLACKOUT_US + self.random.below(BLACKOUT_BACK_US));
        let until_us = self.now_us + apart_us + BLACKOUT_US + BLACKOUT_BACK_US;
        self.checks.blackout(self.now_us, until_us, 0);
        self.cut_power(first, off_us[0] + apart_us);
        let second = Happening::PowerFails { machine: 1 - first, off_us: off_us[1], alone_us: apart_us };
        self.after(apart_us, second);
    }

    /// Whether a machine whose cable is pulled notices that it has no carrier: it depends on the seed.
    pub(super) fn cuts_drop_carrier(&self) -> bool {
        self.plan.seed.is_multiple_of(2)
    }

    /// Pulls the cable of a machine: nothing comes in or goes out.
    pub fn unplug(&mut self, machine: usize) {
        let of = &mut self.machines[machine];
        of.connected = false;
        let kind = if of.is_active() || of.has_address { FaultKind::Cut } else { FaultKind::Standby };
        let life = of.daemon.as_ref().map(|daemon| daemon.life);
        self.trace(|| format!("machine {machine}: cut off"));
        self.checks.fault(self.now_us, kind);
        if let Some(life) = life.filter(|_| self.cuts_drop_carrier()) {
            self.after(1_000, Happening::Carrier { machine, life, up: false });
        }
    }

    pub fn plug_in(&mut self, machine: usize) {
        let of = &mut self.machines[machine];
        of.connected = true;
        let life = of.daemon.as_ref().map(|daemon| daemon.life);
        self.trace(|| format!("machine {machine}: connected again"));
        self.checks.fault(self.now_us, FaultKind::Heal);
        if let Some(life) = life.filter(|_| self.cuts_drop_carrier()) {
            self.after(1_000, Happening::Carrier { machine, life, up: true });
        }
    }

    /// The links break in one direction: this machine hears nothing of the other one any more, which hears it.
    pub fn deafen(&mut self, machine: usize) {
        self.machines[machine].deaf = true;
        self.trace(|| format!("machine {machine}: does not hear the other one"));
        self.checks.fault(self.now_us, FaultKind::Cut);
    }

    pub fn undeafen(&mut self, machine: usize) {
        if std::mem::take(&mut self.machines[machine].deaf) {
            self.checks.cut_lasted(self.now_us);
        }
        self.trace(|| format!("machine {machine}: can hear the other one again"));
        self.checks.fault(self.now_us, FaultKind::Heal);
    }

    /// Somebody sets a machine's clock, wrong or right.
    pub fn set_clock(&mut self, machine: usize) {
        let steps = self.checks.clocks_off_us.len() as u64;
        let right = self.machines[machine].wall_skew_us >= CLOCK_STEP_US;
        let skew_us = if right { 0 } else { CLOCK_STEP_US * (1 + steps) };
        self.machines[machine].wall_skew_us = skew_us;
        self.trace(|| format!("machine {machine}: its clock is set, {} s off", skew_us / 1_000_000));
        self.checks.clocks_off_us.push(skew_us);
        self.checks.fault(self.now_us, FaultKind::Standby);
    }

    pub fn has_wrong_clock(&self) -> bool {
        self.machines.iter().any(|of| of.wall_skew_us >= CLOCK_STEP_US)
    }

    /// The network falls into two halves, each with a machine and some of the phones.
    pub fn fall_apart(&mut self) {
        self.network.split = true;
        self.trace(|| "the network falls apart".to_owned());
        let segments = self.handsets.iter().map(|handset| handset.segment).collect();
        self.checks.fell_apart(self.now_us, segments);
    }

    /// The two halves are one again.
    pub fn come_together(&mut self) {
        self.network.split = false;
        self.trace(|| "the network is whole again".to_owned());
        if let Some(plant) = self.plant.as_mut() {
            plant.healed();
        }
        self.checks.came_together(self.now_us);
    }

    pub fn has_bad_wires(&self) -> bool {
        !self.network.is_clean()
    }

    /// Makes the wires bad, each way by itself, or good again.
    pub fn wires(&mut self, loss: Option<Loss>) {
        let quiet = Loss { from_phones: QUIET, to_phones: QUIET, links: [QUIET; 2] };
        let now = loss.unwrap_or(quiet);
        self.network.from_phones = now.from_phones;
        self.network.to_phones = now.to_phones;
        // The links differ by way, not by number: both are in the same cable duct.
        self.network.links = [now.links; crate::network::LINKS_MAX];
        let jitter_us = 2 * (now.from_phones.jitter_us + now.to_phones.jitter_us) + 2_000;
        self.checks.jitter_us = self.checks.jitter_us.max(jitter_us);
        if loss.is_some_and(|loss| loss.links != [QUIET; 2]) {
            self.checks.fault(self.now_us, FaultKind::Wires);
        }
        self.checks.lossy_until_us = if loss.is_some() { u64::MAX / 2 } else { self.now_us };
        self.trace(|| format!("wires: {loss:?}"));
    }

    /// Asks a node something as an operator; the answer is in `answers`.
    pub fn ask(&mut self, machine: usize, operator: Operator) -> u64 {
        self.asked += 1;
        let number = self.asked;
        self.trace(|| format!("operator at {machine}: {operator:?}"));
        if let Some(life) = self.machines[machine].daemon.as_ref().map(|daemon| daemon.life) {
            self.tell(machine, life, Event::Asked { number, operator });
        }
        number
    }

    /// An operator moves the service.
    pub fn switch_over(&mut self, asked_at: usize) {
        self.checks.fault(self.now_us, FaultKind::SwitchOver);
        self.ask(asked_at, Operator::SwitchOver);
    }

    /// An operator stops a node; `start_again` follows.
    pub fn stop(&mut self, machine: usize) {
        let kind = if self.machines[machine].is_active() { FaultKind::SwitchOver } else { FaultKind::Standby };
        self.checks.fault(self.now_us, kind);
        self.ask(machine, Operator::Stop);
    }

    pub(super) fn stopped(&mut self, machine: usize) {
        let now_us = self.now_us;
        let of = &mut self.machines[machine];
        of.stopped = true;
        of.give_address_back();
        of.lose_daemon(now_us);
        self.trace(|| format!("machine {machine}: stopped"));
    }

    /// An operator installs the present program on a machine whose node is stopped, and starts it.
    pub fn upgrade(&mut self, machine: usize) {
        let of = &mut self.machines[machine];
        let (before, after) = (of.level, Level::OWN);
        of.level = after;
        self.trace(|| format!("machine {machine}: upgraded from level {before} to {after}"));
        self.start_again(machine);
    }

    /// An operator takes a node out of service, or puts it back.
    pub fn drain(&mut self, machine: usize, drain: Drain) {
        if self.machines[machine].is_active() && drain.is_on() {
            self.checks.fault(self.now_us, FaultKind::SwitchOver);
        }
        self.ask(machine, Operator::Drain(drain));
    }

    pub fn start_again(&mut self, machine: usize) {
        self.machines[machine].stopped = false;
        let boot = self.machines[machine].boot;
        self.after(START_US, Happening::StartDaemon { machine, boot, resume: None });
    }

    /// A node takes the address: there must be a reason to.
    pub(super) fn claims(&mut self, machine: usize) {
        let now_us = self.now_us;
        let bad_wires = now_us < self.checks.lossy_until_us + 8_000_000 && !self.checks.faults.is_empty();
        let recent = self.checks.faults.iter().any(|fault| fault.at_us + 8_000_000 >= now_us);
        let starting = now_us < super::START_US + 6_000_000;
        if !recent && !starting && !bad_wires {
            let text = format!("node {machine} takes the service without need");
            self.checks.fail(now_us, "takeover", text);
        }
        let of = &self.machines[machine];
        if of.carrier_lost && !of.connected {
            let text = format!("node {machine} takes the service although it has no carrier");
            self.checks.fail(now_us, "takeover", text);
        }
    }
}
