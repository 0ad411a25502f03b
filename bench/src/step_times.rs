//! How long the node takes for one event (`Node::handle`), by kind of event, while a simulated pair with a large site in
//! state lives through what befalls a pair.
//!
//! The simulator's world has time of its own, so that a long step delays nothing there. What is told is the processor
//! time of the thread, and of several runs, which are the same world step by step, the shortest time of each step: so
//! whatever else runs on the machine hardly counts.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use clap::Parser;
use miette::{IntoDiagnostic, Result, miette};
use nix::time::{ClockId, clock_gettime};
use phone::{AnswerPolicy, PhoneCommand};
use sim::handset::HandsetPlan;
use sim::node::{Action, Event, Now, Operator};
use sim::planted::Plant;
use sim::{Plan, World};

use crate::latency::Latencies;

const SECOND_US: u64 = 1_000_000;

/// What the node may take for one event: heartbeats and calls wait behind it.
const BOUND_US: u64 = 2_000;

/// Distance of audio packets: they do not pass through the node, and only keep the calls alive here.
const AUDIO_US: u64 = 500_000;

/// Calls that are made and ended besides those that stay.
const TRAFFIC: usize = 200;

/// How long a scene may take to come to rest, in the world's time.
const REST_US: u64 = 10 * SECOND_US;

/// Measures how long the steps of the node take with a large site in state.
#[derive(Debug, Parser)]
#[command(name = "step-times")]
pub struct Arguments {
    /// Phones that are registered
    #[arg(long, default_value_t = 20_000)]
    registrations: usize,
    /// Calls in state
    #[arg(long, default_value_t = 2_000)]
    calls: usize,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Runs of the same world; of each step the shortest time counts
    #[arg(long, default_value_t = 3)]
    repeats: usize,
    /// Tell of each step that is longer than the bound
    #[arg(long)]
    verbose: bool,
}

/// Steps in microseconds, by scene and kind of event.
#[derive(Debug, Default)]
struct Measured {
    scene: &'static str,
    /// In their order.
    steps: Steps,
    begun: Option<(&'static str, u64)>,
    verbose: bool,
}

type Steps = BTreeMap<(&'static str, &'static str), Vec<u64>>;

/// Stands between the nodes and their shells with a watch in its hand.
struct Stopwatch(Arc<Mutex<Measured>>);

impl Plant for Stopwatch {
    fn planted(&self) -> u64 {
        0
    }

    fn event(&mut self, _machine: usize, _now: Now, event: &Event) {
        let mut measured = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        measured.begun = Some((event.name(), processor_ns()));
    }

    fn actions(&mut self, machine: usize, actions: &mut Vec<Action>) {
        let ended_ns = processor_ns();
        let mut measured = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((event, begun_ns)) = measured.begun.take() else { return };
        let took_us = ended_ns.saturating_sub(begun_ns) / 1000;
        let scene = measured.scene;
        if measured.verbose && took_us > BOUND_US {
            let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
            for action in actions.iter() {
                let kind = match action {
                    Action::Tell(tell) => tell.to_string(),
                    other => format!("{other:?}").split([' ', '(']).next().unwrap_or_default().to_owned(),
                };
                *kinds.entry(kind).or_default() += 1;
            }
            eprintln!("{scene}: node {machine}, {event}: {took_us} us, {kinds:?}");
        }
        measured.steps.entry((scene, event)).or_default().push(took_us);
    }
}

/// What this thread has used.
fn processor_ns() -> u64 {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .map_or(0, |time| time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64)
}

/// A world, and what is measured in it.
struct Site {
    world: World,
    measured: Arc<Mutex<Measured>>,
    /// Phones of each half of the network in turn, two by two.
    pairs: Vec<[usize; 2]>,
    calls: usize,
    /// Kept, as the daemons that have died.
    replaced: Vec<sim::disk::Disk>,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let mut shortest = live_through(arguments)?;
    for _ in 1..arguments.repeats {
        let again = live_through(arguments)?;
        for (of, steps) in &mut shortest {
            let others = again.get(of).filter(|others| others.len() == steps.len());
            let others = others.ok_or_else(|| miette!("the same seed gave another world"))?;
            steps.iter_mut().zip(others).for_each(|(step, other)| *step = (*step).min(*other));
        }
    }
    print(&mut std::io::stdout().lock(), arguments, &shortest).into_diagnostic()
}

/// One run.
fn live_through(arguments: &Arguments) -> Result<Steps> {
    let mut site = Site::new(arguments)?;
    site.come_up()?;
    site.scene("calls come and go", Site::traffic)?;
    site.scene("an operator asks", Site::questions)?;
    site.scene("the files are loaded again", |site| {
        let serving = site.serving()?;
        site.world.ask(serving, Operator::Reload);
        site.rest()
    })?;
    site.scene("a standby without anything joins", Site::empty_standby)?;
    site.scene("the one that serves is killed", |site| {
        let serving = site.serving()?;
        site.world.kill(serving);
        site.rest()
    })?;
    site.scene("the service is moved", |site| {
        site.world.switch_over(0);
        site.rest()
    })?;
    site.scene("the one that serves loses its power", |site| {
        let serving = site.serving()?;
        site.world.cut_power(serving, SECOND_US);
        site.world.run(2 * SECOND_US);
        site.rest()
    })?;
    site.scene("a split heals", Site::split)?;
    site.scene("everybody hangs up at once", |site| {
        for [from, _] in site.talking() {
            site.world.command(from, PhoneCommand::HangUp);
        }
        site.rest()
    })?;
    site.scene("both were off until registrations had ended", Site::long_night)?;
    let mut measured = site.measured.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(std::mem::take(&mut measured.steps))
}

impl Site {
    fn new(arguments: &Arguments) -> Result<Self> {
        let count = arguments.registrations.max(4 * (arguments.calls + TRAFFIC).div_ceil(2));
        let phone = HandsetPlan { answer: AnswerPolicy::after(300), register_every_s: 3_600 };
        let plan = Plan::plain(arguments.seed, vec![phone; count], 25);
        let mut world = World::new(Plan { audio_us: AUDIO_US, ..plan });
        world.machines.iter_mut().for_each(|machine| machine.graveyard = Some(Vec::new()));
        let measured = Measured { scene: "coming up", verbose: arguments.verbose, ..Measured::default() };
        let measured = Arc::new(Mutex::new(measured));
        world.watch(Box::new(Stopwatch(measured.clone())));
        // Phones with even numbers are in one half of the network, those with odd ones in the other.
        let pairs = (0..count / 4).flat_map(|four| [[4 * four, 4 * four + 2], [4 * four + 1, 4 * four + 3]]);
        Ok(Self { world, measured, pairs: pairs.collect(), calls: arguments.calls, replaced: Vec::new() })
    }

    fn come_up(&mut self) -> Result<()> {
        self.scene("phones register", |site| {
            site.world.come_up();
            site.rest()
        })?;
        self.scene("calls are made", |site| {
            for [from, to] in site.talking() {
                site.world.call(from, to);
                site.world.run(2_000);
            }
            site.world.run(2 * SECOND_US);
            let up =
                site.talking().iter().filter(|pair| pair.iter().all(|phone| site.world.is_talking(*phone))).count();
            if up < site.calls { Err(miette!("only {up} calls are up")) } else { site.rest() }
        })
    }

    /// Plays one part, and what follows from it.
    fn scene(&mut self, name: &'static str, play: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        self.measured.lock().unwrap_or_else(PoisonError::into_inner).scene = name;
        eprintln!("{name}");
        play(self)?;
        match self.world.failure() {
            Some(failure) => Err(miette!("{name}: {failure}")),
            None => Ok(()),
        }
    }

    /// Until the pair is protected, and a while longer.
    fn rest(&mut self) -> Result<()> {
        self.world.run(SECOND_US / 2);
        if !self.world.run_until(REST_US, World::is_protected_pair) {
            return Err(miette!("the pair is not protected: {:?}", self.world.failure().map(ToString::to_string)));
        }
        self.world.run(SECOND_US);
        Ok(())
    }

    fn serving(&self) -> Result<usize> {
        self.world.active().ok_or_else(|| miette!("nobody serves"))
    }

    /// Who talks all the time.
    fn talking(&self) -> Vec<[usize; 2]> {
        self.pairs.iter().take(self.calls).copied().collect()
    }

    fn traffic(&mut self) -> Result<()> {
        let pairs: Vec<_> = self.pairs.iter().skip(self.calls).take(TRAFFIC).copied().collect();
        for [from, to] in &pairs {
            self.world.call(*from, *to);
            self.world.run(10_000);
        }
        self.world.run(SECOND_US);
        for [from, _] in &pairs {
            self.world.command(*from, PhoneCommand::HangUp);
            self.world.run(5_000);
        }
        self.rest()
    }

    fn questions(&mut self) -> Result<()> {
        for operator in [Operator::Status, Operator::Phones, Operator::Calls] {
            for machine in 0..2 {
                self.world.ask(machine, operator);
                self.world.run(SECOND_US / 10);
            }
        }
        Ok(())
    }

    fn empty_standby(&mut self) -> Result<()> {
        let standby = 1 - self.serving()?;
        self.world.stop(standby);
        self.world.run(SECOND_US);
        self.replaced.push(std::mem::take(&mut self.world.machines[standby].disk));
        self.world.start_again(standby);
        self.world.run(SECOND_US);
        self.rest()
    }

    /// Both halves go on and make calls of their own.
    fn split(&mut self) -> Result<()> {
        self.world.fall_apart();
        self.world.run(SECOND_US);
        let pairs: Vec<_> = self.pairs.iter().skip(self.calls).take(TRAFFIC).copied().collect();
        for [from, to] in pairs {
            self.world.call(from, to);
            self.world.run(5_000);
        }
        self.world.run(2 * SECOND_US);
        self.world.come_together();
        self.world.run(2 * SECOND_US);
        self.rest()
    }

    /// Nobody can register meanwhile, so that all registrations end in the same instant.
    fn long_night(&mut self) -> Result<()> {
        let now_us = self.world.now_us;
        let off_us = 2 * 3_600 * SECOND_US;
        self.world.checks.blackout(now_us, now_us + off_us, 0);
        for machine in 0..2 {
            self.world.cut_power(machine, off_us);
        }
        // The phones and the checkers of this world are not asked any more.
        self.world.handsets.iter_mut().for_each(|handset| handset.timer_at_us = Some(0));
        self.world.run(off_us + 5 * SECOND_US);
        self.world.checks.failure = None;
        Ok(())
    }
}

fn print(out: &mut impl Write, arguments: &Arguments, steps: &Steps) -> std::io::Result<()> {
    let Arguments { registrations, calls, .. } = arguments;
    writeln!(
        out,
        "{registrations} registrations, {calls} calls in state; microseconds of processor time in one step\n"
    )?;
    writeln!(out, "| | event | steps | p50 | p99 | worst | over {BOUND_US} |")?;
    writeln!(out, "| --- | --- | ---: | ---: | ---: | ---: | ---: |")?;
    for ((scene, event), steps) in steps {
        let steps = Latencies::new(steps.clone());
        let (p50, p99) = (steps.per_mille_us(500), steps.per_mille_us(990));
        let (count, worst, over) = (steps.count(), steps.worst_us(), steps.count_over(BOUND_US));
        writeln!(out, "| {scene} | {event} | {count} | {p50} | {p99} | {worst} | {over} |")?;
    }
    writeln!(out)
}
