//! People who edit the configuration on either machine, at random and whatever happens; and disks that fill up or lose
//! what is on them.

use node::cluster::Role;
use node::replication::Hash;
use node::replication::files::VersionId;
use node::{ConfigRequest, Operator, Take};

use crate::files::BAD;
use crate::world::World;

/// Between two things that anybody does, at most.
const PAUSE_US: u64 = 12_000_000;

/// How long a disk stays full at most.
const FULL_US: u64 = 15_000_000;

const PATHS: [&str; 8] = [
    "sip.conf",
    "extensions.conf",
    "rtp.conf",
    "users/5000.conf",
    "users/5001.conf",
    "users/5002.conf",
    "sounds/hello",
    "voicemail.conf",
];

pub struct Editors {
    pub next_us: u64,
    /// The machine whose disk loses contents: one of both, so that nothing is lost for good.
    frail: usize,
    full: Option<(usize, u64)>,
    number: u64,
}

impl Editors {
    pub fn new(world: &mut World) -> Self {
        let next_us = world.now_us + world.random.below(PAUSE_US);
        Self { next_us, frail: world.random.below(2) as usize, full: None, number: 0 }
    }

    /// Somebody does something.
    pub fn act(&mut self, world: &mut World) {
        if self.full.is_some_and(|(_, until_us)| until_us <= world.now_us) {
            self.heal(world);
        }
        let burst = world.random.one_in(4);
        self.next_us = world.now_us + 1 + world.random.below(if burst { PAUSE_US / 40 } else { PAUSE_US });
        let machine = world.random.below(2) as usize;
        match world.random.below(40) {
            0..22 => self.edit(world, machine),
            22..30 => {
                world.ask(machine, Operator::Config(ConfigRequest::Apply));
            }
            30..35 => self.decide(world, machine),
            35..37 => self.roll_back(world, machine),
            37 if self.full.is_none() => {
                let until_us = world.now_us + world.random.below(FULL_US);
                world.trace(|| format!("the disk of {machine} is full"));
                world.machines[machine].files.full = true;
                self.full = Some((machine, until_us));
            }
            38 => {
                let World { machines, random, .. } = world;
                let [a, b] = machines;
                let (frail, other) = if self.frail == 0 { (a, b) } else { (b, a) };
                frail.files.damage(&other.files, random);
            }
            _ => {}
        }
    }

    /// There is room again.
    pub fn heal(&mut self, world: &mut World) {
        if let Some((machine, _)) = self.full.take() {
            world.machines[machine].files.full = false;
        }
    }

    fn edit(&mut self, world: &mut World, machine: usize) {
        self.number += 1;
        let bad = world.machines[machine].files.folder.iter().find(|(_, text)| text.contains(BAD));
        let mended = bad.map(|(path, _)| path.clone()).filter(|_| world.random.one_in(2));
        let path = mended.clone().unwrap_or_else(|| PATHS[world.random.below(PATHS.len() as u64) as usize].to_owned());
        let text = match world.random.below(8) {
            0 if mended.is_none() => None,
            1 if mended.is_none() => Some(format!("edit {} is {BAD}", self.number)),
            // Some take more than one part.
            2 => Some(format!("edit {} {}", self.number, "x".repeat(40_000 + world.random.below(60_000) as usize))),
            _ => Some(format!("edit {} of {path}", self.number)),
        };
        world.edit(machine, &path, text);
    }

    /// Ends a conflict, if there is one.
    fn decide(&mut self, world: &mut World, machine: usize) {
        let conflict = world.config_of(machine).and_then(|told| told.line.conflict);
        if conflict.is_some() {
            let take = if world.random.one_in(2) { Take::Ours } else { Take::Theirs };
            world.ask(machine, Operator::Config(ConfigRequest::Resolve(take)));
        }
    }

    fn roll_back(&mut self, world: &mut World, machine: usize) {
        let runs = world.machines[machine].daemon.as_ref().is_some_and(|daemon| daemon.node.role() != Role::Starting);
        let history = world.config_of(machine).filter(|_| runs).map(|told| told.history).unwrap_or_default();
        let which = world.random.below(history.len().max(1) as u64) as usize;
        if let Some(id) = history.get(which).and_then(|line| Hash::parse(&line.id)).map(VersionId) {
            world.ask(machine, Operator::Config(ConfigRequest::Rollback(id)));
        }
    }
}
