//! The exhaustive run: the serving node dies before and after every single one of its actions, in each reference call.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use node::cluster::witness::Mode;

use crate::check::Failure;
use crate::planted::Plant;
use crate::reference::Reference;
use crate::world::{Counter, CrashPoint, World};

/// How the serving node dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// The daemon is killed.
    Kill,
    /// The machine loses its power.
    Power,
    /// The machine's cable is pulled, for a few seconds.
    Cut,
    /// The same, for longer than any retransmission goes on.
    LongCut,
    /// The daemon is killed while its peer is away: it must come back by itself.
    Alone,
    /// The links between the nodes are cut for a few seconds, and a witness sees both.
    LinksCut,
    /// The same, and the serving node does not reach the witness either. Phones reach both nodes.
    Isolated,
    /// The whole machine stands still for a second.
    Sleep,
    /// The other machine's cable is pulled, for a few seconds.
    StandbyCut,
    /// Both machines lose their power, at once or one after the other.
    BothPower,
    /// The daemon is killed, serving or not, before a split is merged.
    Unmerged,
}

pub const DEATHS: [Death; 10] = [
    Death::Kill,
    Death::Power,
    Death::Cut,
    Death::LongCut,
    Death::Alone,
    Death::LinksCut,
    Death::Isolated,
    Death::Sleep,
    Death::StandbyCut,
    Death::BothPower,
];

/// How long the peer is away while the daemon is killed alone.
const AWAY_US: u64 = 20_000_000;

impl Death {
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Power => "power",
            Self::Cut => "cut",
            Self::LongCut => "long-cut",
            Self::Alone => "alone",
            Self::LinksCut => "links-cut",
            Self::Isolated => "isolated",
            Self::Sleep => "sleep",
            Self::StandbyCut => "standby-cut",
            Self::BothPower => "both-power",
            Self::Unmerged => "unmerged",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        DEATHS.into_iter().find(|death| death.name() == name)
    }
}

/// One run of one reference call.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub crash: Option<CrashPoint>,
    pub failure: Option<Failure>,
    /// How many actions the serving node carried out, and which of them ended a step.
    pub actions: u64,
    pub last_of_step: Vec<u64>,
    pub troubles: Vec<String>,
    pub silence_us: u64,
    /// How often a planted fault was committed.
    pub planted: u64,
}

impl Outcome {
    /// What a world came to in which a node's actions were counted.
    pub(crate) fn of(world: World, crash: Option<CrashPoint>, counter: Counter) -> Self {
        let silences = world.checks.silences_us.iter().map(|(_, gap_us)| *gap_us);
        Self {
            crash,
            silence_us: silences.max().unwrap_or_default(),
            failure: world.failure().cloned(),
            actions: counter.actions,
            last_of_step: counter.last_of_step,
            planted: world.plant.as_ref().map_or(0, |plant| plant.planted()),
            troubles: world.troubles,
        }
    }

    /// What a random world came to.
    pub(crate) fn of_world(outcome: crate::chaos::Outcome) -> Self {
        Self {
            crash: None,
            failure: outcome.failure,
            actions: 0,
            last_of_step: Vec::new(),
            troubles: outcome.troubles,
            silence_us: 0,
            planted: outcome.planted,
        }
    }
}

/// All runs of one reference call.
#[derive(Clone, Debug)]
pub struct Report {
    pub actions: u64,
    pub runs: usize,
    pub failed: Vec<Outcome>,
    pub silence_us: u64,
    pub troubles: usize,
}

/// Plays one call, with a crash or without one.
pub fn run(
    call: Reference,
    death: Death,
    crash: Option<CrashPoint>,
    seed: u64,
    trace: bool,
    plant: Option<Box<dyn Plant>>,
) -> Outcome {
    let mut plan = call.plan(seed);
    plan.trace = trace;
    if let Some(plant) = &plant {
        plan.levels = plant.levels();
        plan.witness_kind = plant.witness_kind();
    }
    plan.witness = matches!(death, Death::LinksCut | Death::Isolated).then_some(Mode::Require);
    let mut world = World::new(plan);
    world.plant = plant;
    world.come_up();
    let serving = world.active().unwrap_or(0);
    if death == Death::Alone {
        world.cut_power(1 - serving, AWAY_US);
        world.run(300_000);
    }
    call.prepare(&mut world);
    world.count_actions(serving, crash, death);
    call.play(&mut world);
    let counter = world.stop_counting();
    call.aftermath(&mut world, death);
    Outcome::of(world, crash, counter)
}

/// Every place at which the serving node can die in a run with so many actions.
pub fn crash_points(actions: u64, last_of_step: &[u64]) -> Vec<CrashPoint> {
    // Dying after an action is the same as dying before the next one, unless a step ends between the two.
    let before = (1..=actions).map(|action| CrashPoint { action, after: false });
    let after = last_of_step.iter().map(|action| CrashPoint { action: *action, after: true });
    let mut points: Vec<CrashPoint> = before.chain(after).collect();
    points.sort();
    points
}

/// A crash point as the command line has it.
pub fn at(crash: Option<CrashPoint>) -> String {
    crash.map_or(String::new(), |crash| format!(" --at {}{}", crash.action, if crash.after { "+" } else { "" }))
}

/// The command that repeats one run.
pub fn again(call: Reference, death: Death, seed: u64, crash: Option<CrashPoint>) -> String {
    let at = at(crash);
    format!(
        "cargo run --release -p tandem-sim -- --exhaustive --call {} --fault {} --seed {seed}{at} --trace",
        call.name(),
        death.name()
    )
}

/// Plays one call with a crash at every place, or at every so many, on so many threads.
pub fn run_all(call: Reference, death: Death, seed: u64, threads: usize, stride: usize) -> Report {
    let dry = run(call, death, None, seed, false, None);
    at_every_place(dry, threads, stride, |point| run(call, death, Some(point), seed, false, None))
}

/// Goes on from a run without a crash to one with a crash at each of its places.
pub(crate) fn at_every_place(
    dry: Outcome,
    threads: usize,
    stride: usize,
    run: impl Fn(CrashPoint) -> Outcome + Sync,
) -> Report {
    let mut report =
        Report { actions: dry.actions, runs: 1, failed: Vec::new(), silence_us: 0, troubles: dry.troubles.len() };
    if dry.failure.is_some() {
        report.failed.push(dry);
        return report;
    }
    let points: Vec<CrashPoint> =
        crash_points(dry.actions, &dry.last_of_step).into_iter().step_by(stride.max(1)).collect();
    report.runs += points.len();
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while let Some(point) = points.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = run(*point);
                    if let Ok(mut outcomes) = outcomes.lock() {
                        outcomes.push(outcome);
                    }
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().unwrap_or_default();
    outcomes.sort_by_key(|outcome| outcome.crash);
    report.silence_us = outcomes.iter().map(|outcome| outcome.silence_us).max().unwrap_or_default();
    report.troubles += outcomes.iter().map(|outcome| outcome.troubles.len()).sum::<usize>();
    report.failed = outcomes.into_iter().filter(|outcome| outcome.failure.is_some()).collect();
    report
}
