//! One change of the configuration, from the moment somebody makes it until both nodes run it, and a node that dies at any
//! action or piece of work with files in between.

use node::{Answer, ConfigRequest, Operator, Take};
use phone::AnswerPolicy;

use crate::exhaustive::{self, Death, Outcome, Report};
use crate::files::Texts;
use crate::handset::HandsetPlan;
use crate::planted::Plant;
use crate::world::{CrashPoint, Plan, World};

/// Two who talk all the time.
const TALKERS: [usize; 2] = [0, 1];

/// How long an operator may have to wait for an answer: longer than a node waits for its peer.
const ANSWERED_US: u64 = 25_000_000;

/// How long whatever was begun goes on by itself after a death, at most.
const SETTLED_US: u64 = 15_000_000;

/// Nodes tell each other within this time what they run.
const TOLD_US: u64 = 300_000;

/// What is changed, and who asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Files are saved in the active node's folder, and noticed.
    Saved,
    /// The same, and an operator asks there that they be taken.
    Applied,
    /// The same at the standby.
    AppliedAtStandby,
    /// An operator goes back to an earlier version, asked at either node.
    RolledBack,
    RolledBackAtStandby,
    /// An operator ends a conflict, asked at either node.
    Resolved,
    ResolvedAtStandby,
}

pub const ALL: [Change; 7] = [
    Change::Saved,
    Change::Applied,
    Change::AppliedAtStandby,
    Change::RolledBack,
    Change::RolledBackAtStandby,
    Change::Resolved,
    Change::ResolvedAtStandby,
];

/// One change, and who dies of what meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct Trial {
    pub change: Change,
    pub death: Death,
    /// The one that stands by, not the one that serves.
    pub standby_dies: bool,
    pub seed: u64,
}

/// What is to come of a change.
struct Goal {
    /// Where it is made or asked for.
    machine: usize,
    request: Option<ConfigRequest>,
    /// The files that both folders have in the end.
    texts: Texts,
}

impl Change {
    pub fn name(self) -> &'static str {
        match self {
            Self::Saved => "saved",
            Self::Applied => "applied",
            Self::AppliedAtStandby => "applied-at-standby",
            Self::RolledBack => "rolled-back",
            Self::RolledBackAtStandby => "rolled-back-at-standby",
            Self::Resolved => "resolved",
            Self::ResolvedAtStandby => "resolved-at-standby",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        ALL.into_iter().find(|change| change.name() == name)
    }

    fn is_of_folder(self) -> bool {
        matches!(self, Self::Saved | Self::Applied | Self::AppliedAtStandby)
    }

    /// Everything up to the moment in which the change is made.
    fn prepare(self, world: &mut World) -> Goal {
        let active = world.active().unwrap_or(0);
        let at_standby = matches!(self, Self::AppliedAtStandby | Self::RolledBackAtStandby | Self::ResolvedAtStandby);
        let machine = if at_standby { 1 - active } else { active };
        let first = world.machines[active].files.folder.clone();
        let request = match self {
            Self::Saved => None,
            Self::Applied | Self::AppliedAtStandby => Some(ConfigRequest::Apply),
            Self::RolledBack | Self::RolledBackAtStandby => {
                let id = world.installed_version(active).map(|version| version.id());
                make(world, active);
                let moved = |world: &World| world.installed_version(active).map(|version| version.id()) != id;
                world.expect("the change is live", |world| moved(world) && both_run_one(world));
                world.run(TOLD_US);
                id.map(ConfigRequest::Rollback)
            }
            Self::Resolved | Self::ResolvedAtStandby => {
                world.edit(active, "sip.conf", Some("one opinion".to_owned()));
                world.edit(1 - active, "sip.conf", Some("another opinion".to_owned()));
                world.run(4_000_000);
                Some(ConfigRequest::Resolve(Take::Theirs))
            }
        };
        let texts = match self {
            Self::Resolved | Self::ResolvedAtStandby => {
                let conflict = world.config_of(active).and_then(|told| told.line.conflict);
                let theirs = conflict.map_or(active, |it| usize::from(it.author == crate::world::name(1)));
                world.machines[theirs].files.folder.clone()
            }
            Self::RolledBack | Self::RolledBackAtStandby => first,
            Self::Saved | Self::Applied | Self::AppliedAtStandby => changed(first),
        };
        Goal { machine, request, texts }
    }
}

/// What a person does to the files: one changed, one new that takes more than one part, one taken away.
fn changes() -> [(&'static str, Option<String>); 3] {
    [("sip.conf", Some("precious".to_owned())), ("users/new.conf", Some("new ".repeat(15_000))), ("sounds/hello", None)]
}

fn changed(mut texts: Texts) -> Texts {
    for (path, text) in changes() {
        match text {
            Some(text) => texts.insert(path.to_owned(), text),
            None => texts.remove(path),
        };
    }
    texts
}

fn make(world: &mut World, machine: usize) {
    for (path, text) in changes() {
        world.edit(machine, path, text);
    }
}

fn both_run_one(world: &World) -> bool {
    let [a, b] = [0, 1].map(|machine| world.installed_version(machine).map(|version| version.id()));
    a.is_some() && a == b
}

fn plan(seed: u64) -> Plan {
    let phone = |answer| HandsetPlan { answer, register_every_s: 300 };
    let phones = vec![phone(AnswerPolicy::never()), phone(AnswerPolicy::after(300))];
    Plan { audio_us: 100_000, files: true, ..Plan::plain(seed, phones, 25) }
}

impl Trial {
    /// Plays it, with a crash or without one.
    pub fn run(self, crash: Option<CrashPoint>, trace: bool, plant: Option<Box<dyn Plant>>) -> Outcome {
        let mut world = World::new(Plan { trace, ..plan(self.seed) });
        world.plant = plant;
        world.come_up();
        world.talk(TALKERS[0], TALKERS[1]);
        world.expect("both have the first version", both_run_one);
        world.run(TOLD_US);
        let goal = self.change.prepare(&mut world);
        let active = world.active().unwrap_or(0);
        let victim = if self.standby_dies { 1 - active } else { active };
        world.count_actions(victim, crash, self.death);
        let asked = ask(&mut world, self.change, &goal);
        let mut untrue = false;
        world.expect("the change is live", |world| {
            untrue |= is_untrue(world, &goal, asked);
            match &world.counter {
                Some(counter) if crash.is_some() => counter.crashed_at_us.is_some(),
                _ => is_live(world, &goal) && asked.is_none_or(|number| world.answers.contains_key(&number)),
            }
        });
        world.run_until(SETTLED_US, |world| {
            untrue |= is_untrue(world, &goal, asked);
            is_live(world, &goal)
        });
        if untrue {
            fails(&mut world, "a change was called live on both nodes when it was not".to_owned());
        }
        let counter = world.stop_counting();
        let lossy = self.death == Death::Power && victim == goal.machine;
        aftermath(&mut world, self.change, &goal, asked, lossy);
        Outcome::of(world, crash, counter)
    }

    /// A death at every place, or at every so many, on so many threads.
    pub fn run_all(self, threads: usize, stride: usize) -> Report {
        let dry = self.run(None, false, None);
        exhaustive::at_every_place(dry, threads, stride, |point| self.run(Some(point), false, None))
    }

    /// The command that repeats one run.
    pub fn again(self, crash: Option<CrashPoint>) -> String {
        format!(
            "cargo run --release -p tandem-sim -- --exhaustive --fault {} --call {} --victim {} --seed {}{} --trace",
            if self.death == Death::Power { "edit-power" } else { "edit" },
            self.change.name(),
            u8::from(self.standby_dies),
            self.seed,
            exhaustive::at(crash),
        )
    }
}

/// Makes the change, and tells the number of the question.
fn ask(world: &mut World, change: Change, goal: &Goal) -> Option<u64> {
    if change.is_of_folder() {
        make(world, goal.machine);
    }
    goal.request.map(|request| world.ask(goal.machine, Operator::Config(request)))
}

fn is_live(world: &World, goal: &Goal) -> bool {
    both_run_one(world) && world.machines.iter().all(|of| of.files.folder == goal.texts)
}

/// An operator is told that both nodes run what one of them does not have.
fn is_untrue(world: &World, goal: &Goal, asked: Option<u64>) -> bool {
    let answer = asked.and_then(|number| world.answers.get(&number));
    matches!(answer, Some(Answer::Done { text }) if text.contains("on both")) && !is_live(world, goal)
}

/// What was said is true whatever happened; what was not done is done when it is asked for again; and it is still there
/// when the other node has died, too.
fn aftermath(world: &mut World, change: Change, goal: &Goal, asked: Option<u64>, lossy: bool) {
    world.wait_protected();
    world.run(TOLD_US);
    let answer = asked.and_then(|number| world.answers.get(&number));
    let promised = matches!(answer, Some(Answer::Done { .. }));
    // A file that nobody had synced is the disk's to lose; what an operator asked a dead node for, it may not have begun.
    let begun = change.is_of_folder() && !lossy;
    if !is_live(world, goal) {
        if promised || begun {
            let folders = [0, 1].map(|machine| world.machines[machine].files.folder.clone());
            return fails(world, format!("the change is lost, answered {answer:?}; the folders are {folders:?}"));
        }
        // Whole or not at all: the nodes agree, or tell of a conflict.
        world.check_configuration();
        again(world, change, goal);
    }
    unanimous(world, goal);
    if let Some(serving) = world.active() {
        world.kill(serving);
    }
    world.run(1_000_000);
    world.wait_protected();
    world.run(TOLD_US);
    unanimous(world, goal);
    world.expect("they still talk", |world| TALKERS.iter().all(|phone| world.is_talking(*phone)));
    world.hang_up(TALKERS[0], &TALKERS);
}

/// The person whose question nobody has answered asks once more.
fn again(world: &mut World, change: Change, goal: &Goal) {
    let Some(number) = ask(world, change, goal) else {
        world.run_until(SETTLED_US, |world| is_live(world, goal));
        return world.run(TOLD_US);
    };
    world.run_until(ANSWERED_US, |world| world.answers.contains_key(&number));
    match world.answers.get(&number) {
        Some(Answer::Done { .. }) => world.run(TOLD_US),
        answer => {
            let text = format!("what was asked for again is not done: {answer:?}");
            fails(world, text);
        }
    }
}

/// Both folders are what was wanted, both nodes run it and say so, and the history has it.
fn unanimous(world: &mut World, goal: &Goal) {
    if world.failure().is_some() {
        return;
    }
    if !is_live(world, goal) {
        return fails(world, "the folders are not what was asked for".to_owned());
    }
    for machine in 0..2 {
        let told = world.config_of(machine);
        let manifest = crate::files::manifest_of(&goal.texts).to_string();
        let well = told.as_ref().is_some_and(|told| {
            let line = &told.line;
            let at_rest = line.conflict.is_none() && line.refused.is_empty() && line.waits.is_none();
            let head = told.history.iter().find(|of| Some(&of.id) == line.head.as_ref());
            let equal = line.runs_head && line.peer_runs_head == Some(true);
            at_rest && equal && head.is_some_and(|head| head.manifest == manifest)
        });
        if !well {
            let line = told.map(|told| told.line);
            return fails(world, format!("node {machine} has more to say: {line:?}"));
        }
    }
    world.check_configuration();
}

fn fails(world: &mut World, text: String) {
    world.checks.fail(world.now_us, "configuration", text);
}
