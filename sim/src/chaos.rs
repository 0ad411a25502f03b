//! Random worlds: ten minutes of people who call each other, and of faults, all from one seed. A fault comes only when
//! the pair is protected again after the one before, as the promise asks.

mod editors;
mod faults;
mod people;

use node::RECORDS_KEPT_MAX;
use node::base::Level;
use node::cluster::witness::{Kind, Mode};
use phone::AnswerPolicy;

use crate::check::{Failure, FaultKind};
use crate::handset::HandsetPlan;
use crate::planted::Plant;
use crate::world::{Plan, StorePlan, World};

pub use faults::Trouble;

/// How long a world lives, in microseconds.
pub const LIFE_US: u64 = 600_000_000;

/// What came of one seed.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub seed: u64,
    pub failure: Option<Failure>,
    pub calls: usize,
    pub answered: usize,
    pub faults: Vec<Trouble>,
    pub troubles: Vec<String>,
    pub silences_us: Vec<(FaultKind, u64)>,
    pub happenings: u64,
    /// How often a planted fault was committed.
    pub planted: u64,
}

fn plan(seed: u64) -> Plan {
    let phone = |index: u64| HandsetPlan {
        answer: AnswerPolicy::never(),
        register_every_s: 60 + ((seed * 7 + index * 13) % 90) as u32,
    };
    Plan {
        seed,
        phones: (0..8).map(phone).collect(),
        links: 1 + (seed / 2 % 2) as u8,
        audio_us: 100_000,
        ring_s: 25,
        qualify: seed.is_multiple_of(3),
        // Half of the worlds begin with the program before this one, until somebody upgrades a machine.
        levels: [if seed % 4 < 2 { Level::OLDEST } else { Level::OWN }; 2],
        witness: match seed % 4 {
            1 => Some(Mode::Prefer),
            3 => Some(Mode::Require),
            _ => None,
        },
        witness_kind: if seed % 16 < 8 { Kind::Machine } else { Kind::Record },
        // A machine that comes up in the middle of a split serves where the witness is only preferred.
        fencing: matches!(seed % 8, 6 | 7),
        files: true,
        store: match seed / 8 % 3 {
            0 => StorePlan::Own,
            1 => StorePlan::Shared { kept_max: RECORDS_KEPT_MAX },
            _ => StorePlan::Shared { kept_max: 2 },
        },
        store_fails: !(seed / 24).is_multiple_of(3),
        trace: false,
    }
}

/// The command that repeats one seed.
pub fn again(seed: u64) -> String {
    format!("cargo run --release -p tandem-sim -- --seed {seed} --trace")
}

/// How a seed is run.
#[derive(Clone, Debug)]
pub struct Options {
    pub life_us: u64,
    pub trace: bool,
    /// The faults that may come.
    pub troubles: Vec<Trouble>,
}

impl Default for Options {
    fn default() -> Self {
        Self { life_us: LIFE_US, trace: false, troubles: faults::ALL.to_vec() }
    }
}

/// One seed, with a planted fault or without.
pub fn run(seed: u64, options: &Options, plant: Option<Box<dyn Plant>>) -> Outcome {
    let mut plan = plan(seed);
    plan.trace = options.trace;
    let mut world = World::new(plan);
    world.plant = plant;
    world.come_up();
    let until_us = world.now_us + options.life_us;
    let mut people = people::People::new(&mut world);
    let mut editors = editors::Editors::new(&mut world);
    let mut faults = faults::Faults::new(&mut world, options.troubles.clone());
    while world.failure().is_none() && world.now_us < until_us {
        let next_us = people.next_us.min(faults.next_us).min(editors.next_us).min(until_us);
        world.run(next_us.saturating_sub(world.now_us));
        if world.now_us >= people.next_us {
            people.act(&mut world);
        }
        if world.now_us >= editors.next_us {
            editors.act(&mut world);
        }
        if world.now_us >= faults.next_us {
            faults.act(&mut world);
        }
    }
    editors.heal(&mut world);
    faults.heal(&mut world);
    if world.failure().is_none() {
        world.finish();
    }
    let conversations = &world.checks.conversations;
    Outcome {
        seed,
        failure: world.failure().cloned(),
        calls: conversations.len(),
        answered: conversations.iter().filter(|call| call.callee().up_us.is_some()).count(),
        faults: faults.done,
        troubles: std::mem::take(&mut world.troubles),
        silences_us: std::mem::take(&mut world.checks.silences_us),
        happenings: world.happenings,
        planted: world.plant.as_ref().map_or(0, |plant| plant.planted()),
    }
}
