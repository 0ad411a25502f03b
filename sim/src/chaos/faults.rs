//! Faults one after another: each comes when the pair has been protected again for a while, and is repaired in time.

use node::base::Level;
use node::cluster::Drain;

use crate::exhaustive::Death;
use crate::network::{QUIET, Quality};
use crate::world::{Loss, World};

/// How long the pair is left alone at most between being protected and the next fault.
const PEACE_US: u64 = 25_000_000;

/// How long a repaired pair may take until it is protected.
const PROTECTED_US: u64 = 8_000_000;

/// The same while packets are lost.
const PROTECTED_LOSSY_US: u64 = 20_000_000;

/// How long a blackout lasts at most until both machines run again.
const BLACKOUT_US: u64 = 8_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    KillActive,
    KillStandby,
    PowerActive,
    PowerStandby,
    UnplugActive,
    UnplugStandby,
    SwitchOver,
    BadWires,
    KillOnBadWires,
    StopActive,
    StopStandby,
    /// The daemon stands still for a while.
    FreezeActive,
    FreezeStandby,
    /// The whole machine does, as a paused virtual machine.
    SleepActive,
    SleepStandby,
    /// The network falls into two halves, both of which go on with a node and phones of their own.
    Split,
    /// The links between the machines break in one direction.
    DeafActive,
    DeafStandby,
    /// Somebody sets the clock of a machine.
    ClockActive,
    ClockStandby,
    /// The node is stopped, the machine gets the present program, and the node is started again.
    UpgradeActive,
    UpgradeStandby,
    /// An operator takes the node out of service for a while.
    DrainActive,
    DrainStandby,
    /// The links between the nodes are cut; phones and the witness reach both.
    LinksCut,
    /// The active node, or the standby, does not reach the witness, and then its peer.
    IsolatedActive,
    IsolatedStandby,
    /// The active node, or the standby, does not reach the witness, and nothing else.
    WitnessCutActive,
    WitnessCutStandby,
    /// The witness does not run for a while.
    WitnessGone,
    /// It is started again while the links are cut.
    WitnessRestartsInCut,
    /// Both machines lose their power, at once or one after the other.
    PowerBoth,
}

/// Those of `ALL` that need a witness.
const OF_WITNESS: [Trouble; 7] = [
    Trouble::LinksCut,
    Trouble::IsolatedActive,
    Trouble::IsolatedStandby,
    Trouble::WitnessCutActive,
    Trouble::WitnessCutStandby,
    Trouble::WitnessGone,
    Trouble::WitnessRestartsInCut,
];

/// How long the witness is away when it is started again: shorter than a lease is used.
const WITNESS_RESTART_US: u64 = 30_000;

pub const ALL: [Trouble; 32] = [
    Trouble::KillActive,
    Trouble::KillStandby,
    Trouble::PowerActive,
    Trouble::PowerStandby,
    Trouble::UnplugActive,
    Trouble::UnplugStandby,
    Trouble::SwitchOver,
    Trouble::BadWires,
    Trouble::KillOnBadWires,
    Trouble::StopActive,
    Trouble::StopStandby,
    Trouble::FreezeActive,
    Trouble::FreezeStandby,
    Trouble::SleepActive,
    Trouble::SleepStandby,
    Trouble::Split,
    Trouble::DeafActive,
    Trouble::DeafStandby,
    Trouble::ClockActive,
    Trouble::ClockStandby,
    Trouble::UpgradeActive,
    Trouble::UpgradeStandby,
    Trouble::DrainActive,
    Trouble::DrainStandby,
    Trouble::LinksCut,
    Trouble::IsolatedActive,
    Trouble::IsolatedStandby,
    Trouble::WitnessCutActive,
    Trouble::WitnessCutStandby,
    Trouble::WitnessGone,
    Trouble::WitnessRestartsInCut,
    Trouble::PowerBoth,
];

enum Phase {
    /// The next fault comes when the time is up.
    Peace,
    /// Something must be repaired by hand.
    Broken { trouble: Trouble, machine: usize },
    /// Repaired: waits until the pair is protected.
    Healing { until_us: u64 },
}

pub struct Faults {
    pub next_us: u64,
    pub done: Vec<Trouble>,
    choice: Vec<Trouble>,
    phase: Phase,
}

impl Faults {
    pub fn new(world: &mut World, mut choice: Vec<Trouble>) -> Self {
        // Without a witness both sides of a split go on, and what one tells its phones before it is fenced is lost.
        let fits = |trouble: &Trouble| match trouble {
            // Phones of the half without the master would have none.
            Trouble::Split => !world.is_guarded(),
            // Until its long lease has run out it tells phones what the other node never learns.
            Trouble::IsolatedActive if world.has_store() => false,
            _ => world.has_witness() || !OF_WITNESS.contains(trouble),
        };
        choice.retain(fits);
        let next_us = world.now_us + 1_000_000 + world.random.below(PEACE_US);
        Self { next_us, done: Vec::new(), choice, phase: Phase::Peace }
    }

    /// The time of `next_us` has come.
    pub fn act(&mut self, world: &mut World) {
        match self.phase {
            Phase::Peace if world.is_protected_pair() => self.strike(world),
            Phase::Peace => self.next_us = world.now_us + 50_000,
            Phase::Broken { .. } => self.repair(world),
            Phase::Healing { until_us } => {
                if world.is_protected_pair() {
                    self.phase = Phase::Peace;
                    self.next_us = world.now_us + world.random.below(PEACE_US);
                } else if world.now_us > until_us {
                    let text = format!("the pair is not protected again long after {:?}", self.done.last());
                    world.checks.fail(world.now_us, "pair", text);
                } else {
                    self.next_us = world.now_us + 20_000;
                }
            }
        }
    }

    fn strike(&mut self, world: &mut World) {
        let Some(active) = world.active() else { return self.next_us = world.now_us + 50_000 };
        let standby = 1 - active;
        let chosen = world.random.below(self.choice.len() as u64) as usize;
        let Some(trouble) = self.choice.get(chosen).copied() else { return self.next_us = u64::MAX };
        // What both sides do alone is merged only by programs that both know how.
        let older = world.machines.iter().any(|of| of.level < Level::OWN);
        let apart = matches!(trouble, Trouble::Split | Trouble::PowerBoth);
        let trouble = if older && apart { Trouble::SwitchOver } else { trouble };
        // A clock that is twenty minutes wrong makes registrations end by as much, which nobody can help.
        let trouble =
            if trouble == Trouble::PowerBoth && world.has_wrong_clock() { Trouble::SwitchOver } else { trouble };
        self.done.push(trouble);
        world.trace(|| format!("==== {trouble:?}, active is {active}"));
        let long_us = 1_000_000 + world.random.below(14_000_000);
        let mut machine = active;
        let broken = match trouble {
            Trouble::KillActive => {
                world.kill(active);
                false
            }
            Trouble::KillStandby => {
                world.kill(standby);
                false
            }
            Trouble::PowerActive | Trouble::PowerStandby => {
                machine = if trouble == Trouble::PowerActive { active } else { standby };
                world.cut_power(machine, long_us);
                self.healing(world.now_us + long_us + PROTECTED_US);
                return;
            }
            Trouble::PowerBoth => {
                world.strike(active, Death::BothPower);
                self.healing(world.now_us + BLACKOUT_US + PROTECTED_US);
                return;
            }
            Trouble::UnplugActive | Trouble::UnplugStandby => {
                machine = if trouble == Trouble::UnplugActive { active } else { standby };
                world.unplug(machine);
                true
            }
            Trouble::SwitchOver => {
                let asked_at = world.random.below(2) as usize;
                world.switch_over(asked_at);
                false
            }
            Trouble::BadWires => {
                world.wires_turn_bad();
                true
            }
            Trouble::KillOnBadWires => {
                world.wires_turn_bad();
                world.run(300_000 + long_us / 4);
                if let Some(active) = world.active().filter(|_| world.is_protected_pair()) {
                    world.kill(active);
                }
                true
            }
            Trouble::FreezeActive | Trouble::FreezeStandby | Trouble::SleepActive | Trouble::SleepStandby => {
                let machine =
                    if matches!(trouble, Trouble::FreezeActive | Trouble::SleepActive) { active } else { standby };
                // Half of them are as short as a busy machine makes them.
                let us = match world.random.below(2) {
                    0 => 20_000 + world.random.below(180_000),
                    _ => long_us / 3,
                };
                match trouble {
                    Trouble::FreezeActive | Trouble::FreezeStandby => world.freeze(machine, us),
                    _ => world.fall_asleep(machine, us),
                }
                self.healing(world.now_us + us + PROTECTED_US);
                return;
            }
            Trouble::DeafActive | Trouble::DeafStandby => {
                machine = if trouble == Trouble::DeafActive { active } else { standby };
                world.deafen(machine);
                true
            }
            Trouble::ClockActive | Trouble::ClockStandby => {
                world.set_clock(if trouble == Trouble::ClockActive { active } else { standby });
                false
            }
            Trouble::Split => {
                world.fall_apart();
                true
            }
            Trouble::LinksCut | Trouble::IsolatedActive | Trouble::IsolatedStandby => {
                match trouble {
                    Trouble::IsolatedActive => world.cut_from_witness(active, true),
                    Trouble::IsolatedStandby => world.cut_from_witness(standby, true),
                    _ => {}
                }
                // At the same time, or when both have long known that the witness is lost to one of them.
                let pause_us = if world.random.one_in(2) { 0 } else { long_us / 4 };
                world.run(pause_us);
                world.cut_links(true);
                true
            }
            Trouble::WitnessCutActive | Trouble::WitnessCutStandby => {
                machine = if trouble == Trouble::WitnessCutActive { active } else { standby };
                world.cut_from_witness(machine, true);
                true
            }
            Trouble::WitnessGone => {
                world.kill_witness();
                true
            }
            Trouble::WitnessRestartsInCut => {
                world.cut_links(true);
                world.run(long_us / 4);
                world.kill_witness();
                world.after_witness(WITNESS_RESTART_US);
                true
            }
            Trouble::StopActive | Trouble::StopStandby | Trouble::UpgradeActive | Trouble::UpgradeStandby => {
                let is_active = matches!(trouble, Trouble::StopActive | Trouble::UpgradeActive);
                machine = if is_active { active } else { standby };
                world.stop(machine);
                true
            }
            Trouble::DrainActive | Trouble::DrainStandby => {
                machine = if trouble == Trouble::DrainActive { active } else { standby };
                world.drain(machine, Drain::Drained);
                true
            }
        };
        if broken {
            self.phase = Phase::Broken { trouble, machine };
            self.next_us = world.now_us + long_us;
        } else {
            self.healing(world.now_us + PROTECTED_US);
        }
    }

    fn healing(&mut self, until_us: u64) {
        self.phase = Phase::Healing { until_us };
        // A switchover is under way for a moment in which the pair still looks protected.
        self.next_us += 500_000;
    }

    /// Repairs what is broken, and waits until the pair is protected.
    pub fn heal(&mut self, world: &mut World) {
        self.repair(world);
        while world.failure().is_none() && !matches!(self.phase, Phase::Peace) {
            world.run(self.next_us.saturating_sub(world.now_us));
            self.act(world);
        }
    }

    /// Repairs what is broken.
    fn repair(&mut self, world: &mut World) {
        let Phase::Broken { trouble, machine } = self.phase else { return };
        world.trace(|| format!("==== repaired: {trouble:?}"));
        self.next_us = world.now_us;
        let mut patience_us = PROTECTED_US;
        match trouble {
            Trouble::UnplugActive | Trouble::UnplugStandby => world.plug_in(machine),
            Trouble::BadWires | Trouble::KillOnBadWires => {
                world.wires(None);
                patience_us = PROTECTED_LOSSY_US;
            }
            Trouble::DeafActive | Trouble::DeafStandby => world.undeafen(machine),
            Trouble::Split => world.come_together(),
            Trouble::StopActive | Trouble::StopStandby => world.start_again(machine),
            Trouble::UpgradeActive | Trouble::UpgradeStandby => world.upgrade(machine),
            Trouble::DrainActive | Trouble::DrainStandby => world.drain(machine, Drain::Ended),
            Trouble::WitnessGone => world.start_witness(),
            _ if OF_WITNESS.contains(&trouble) => world.join(),
            _ => {}
        }
        self.healing(world.now_us + patience_us);
    }
}

impl World {
    fn wires_turn_bad(&mut self) {
        let bad = |world: &mut Self, loss_ppm: u64, jitter_us: u64| Quality {
            delay_us: QUIET.delay_us + world.random.below(2_000),
            jitter_us: world.random.below(jitter_us),
            loss_ppm: world.random.below(loss_ppm),
            duplicate_ppm: world.random.below(50_000),
        };
        let loss = Loss {
            from_phones: bad(self, 100_000, 20_000),
            to_phones: bad(self, 100_000, 20_000),
            links: [bad(self, 40_000, 5_000), bad(self, 40_000, 5_000)],
        };
        self.wires(Some(loss));
    }
}
