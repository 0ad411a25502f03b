//! A network that falls in two, with calls of every kind in both halves, heals, and a node that dies at any action between
//! the heal and the merge.

use phone::{AnswerPolicy, PhoneCommand};

use crate::exhaustive::{self, Death, Outcome, Report};
use crate::handset::HandsetPlan;
use crate::planted::Plant;
use crate::world::{CrashPoint, Plan, World};

/// The phones of one half, the other one's follow: two who talk all the time, two of whom one rings when the network
/// falls apart, and two who call each other while it is.
const TALKERS: [usize; 2] = [0, 1];
const RINGING: [usize; 2] = [2, 3];
const NEWCOMERS: [usize; 2] = [4, 5];
const PHONES: usize = 6;

/// How long a newcomer's phone rings before it is picked up.
const RINGS_MS: u64 = 300;

/// The Dial timeout, shorter than the split: the half that does not see the ringing phone gives the call up.
const DIAL_S: u64 = 4;

/// How long the network is apart.
const APART_US: u64 = 6_000_000;

/// How long the phone that rang when it fell apart goes on ringing.
const PICKED_UP_US: u64 = 1_000_000;

/// How long the nodes may need to merge.
const MERGED_US: u64 = 8_000_000;

fn plan(seed: u64) -> Plan {
    let phone = |index: usize| {
        let answers = TALKERS[1] == index % PHONES || NEWCOMERS[1] == index % PHONES;
        let answer = if answers { AnswerPolicy::after(RINGS_MS) } else { AnswerPolicy::never() };
        HandsetPlan { answer, register_every_s: 300 }
    };
    Plan::plain(seed, (0..2 * PHONES).map(phone).collect(), DIAL_S)
}

/// The two phones of a pair in one half.
fn of_half(pair: [usize; 2], half: usize) -> [usize; 2] {
    pair.map(|phone| phone + half * PHONES)
}

/// One split. The victim, whose actions are counted from the heal on, dies at `crash`, if there is one.
pub fn run(
    victim: Option<usize>,
    crash: Option<CrashPoint>,
    seed: u64,
    trace: bool,
    plant: Option<Box<dyn Plant>>,
) -> Outcome {
    let mut plan = plan(seed);
    plan.trace = trace;
    let mut world = World::new(plan);
    world.plant = plant;
    for (index, handset) in world.handsets.iter_mut().enumerate() {
        handset.segment = index / PHONES;
    }
    world.come_up();
    live_apart(&mut world, seed);
    if let Some(victim) = victim {
        world.count_actions(victim, crash, Death::Unmerged);
    }
    world.come_together();
    end(world, crash)
}

/// The command that repeats one run.
pub fn again(victim: usize, seed: u64, crash: Option<CrashPoint>) -> String {
    let at = exhaustive::at(crash);
    format!(
        "cargo run --release -p tandem-sim -- --exhaustive --fault split --victim {victim} --seed {seed}{at} --trace"
    )
}

/// A death at every place, or at every so many, on so many threads.
pub fn run_all(victim: usize, seed: u64, threads: usize, stride: usize) -> Report {
    let dry = run(Some(victim), None, seed, false, None);
    exhaustive::at_every_place(dry, threads, stride, |point| run(Some(victim), Some(point), seed, false, None))
}

/// Everything up to the heal.
fn live_apart(world: &mut World, seed: u64) {
    for half in 0..2 {
        let [from, to] = of_half(TALKERS, half);
        world.talk(from, to);
    }
    for half in 0..2 {
        let [from, to] = of_half(RINGING, half);
        world.call(from, to);
        world.expect("it rings", |world| world.is_ringing(from) && world.is_ringing(to));
    }
    world.run(100_000);
    world.fall_apart();
    let healed_us = world.now_us + APART_US;
    world.run(PICKED_UP_US);
    for half in 0..2 {
        let [from, to] = of_half(RINGING, half);
        world.command(to, PhoneCommand::Answer);
        world.expect("the call that rang is answered", |world| world.is_talking(from) && world.is_talking(to));
        let [from, to] = of_half(NEWCOMERS, half);
        world.talk(from, to);
    }
    // In one half somebody hangs up, of which the other half cannot hear.
    let talkers = of_half(TALKERS, (seed % 2) as usize);
    world.hang_up(talkers[0], &talkers);
    world.run(healed_us.saturating_sub(world.now_us));
}

/// From the heal on: all calls go on, and everything comes to rest.
fn end(mut world: World, crash: Option<CrashPoint>) -> Outcome {
    let died =
        |world: &World| crash.is_none() || world.counter.as_ref().is_none_or(|counter| counter.crashed_at_us.is_some());
    world.run_until(MERGED_US, |world| died(world) && world.is_protected_pair());
    world.run(100_000);
    let counter = world.stop_counting();
    world.wait_protected();
    for half in 0..2 {
        for pair in [RINGING, NEWCOMERS] {
            let [from, to] = of_half(pair, half);
            world.expect("they still talk", |world| world.is_talking(from) && world.is_talking(to));
        }
        let talkers = of_half(TALKERS, half);
        if world.is_idle(talkers[0]) {
            world.talk(talkers[0], talkers[1]);
        }
        world.hang_up(talkers[0], &talkers);
    }
    if world.failure().is_none() {
        world.finish();
    }
    Outcome::of(world, crash, counter)
}
