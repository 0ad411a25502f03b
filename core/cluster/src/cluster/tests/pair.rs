//! Two nodes, two links with a delay, disks that reserve epochs, and a record of everything the machines asked for.

use std::time::Duration;

use base::{Epoch, Incarnation, Level, LocalTime, Lsn, NodeIndex, Position};

use crate::cluster::{Cluster, Durable, Failback, Safeguards, Settings};
use crate::heartbeat::{Heartbeat, Role};
use crate::output::Output;
use crate::timing::Timing;
use crate::witness::deputy::tests::Store;
use crate::witness::{Answer, Ask, Deputy, Referee};

pub const A: usize = 0;
pub const B: usize = 1;
const DELAY: Duration = Duration::from_micros(200);
const LINKS: u8 = 2;

pub struct Pair {
    pub now: LocalTime,
    pub nodes: [Option<Cluster>; 2],
    /// Whether what this node sends is lost.
    pub mute: [bool; 2],
    pub disk_is_slow: bool,
    pub disks: [Durable; 2],
    pub record: Vec<(LocalTime, usize, Output)>,
    /// A third machine, where a test puts one.
    pub witness: Option<Referee>,
    /// A store in its place, where a test has that; a deputy for each life of a node.
    pub store: Option<Store>,
    pub store_is_away: bool,
    deputies: [Option<Deputy>; 2],
    /// Whether this node and the witness do not reach each other.
    pub cut_from_witness: [bool; 2],
    /// How long both were active at the same time.
    pub both_active: Duration,
    under_way: Vec<(LocalTime, usize, u8, Heartbeat)>,
    answers: Vec<(LocalTime, usize, Answer)>,
    lives: u64,
}

pub fn settings(node: usize, priority: u8) -> Settings {
    Settings {
        index: NodeIndex(node as u8),
        name: ["a", "b"][node].to_owned(),
        priority,
        has_peer: true,
        failback: Failback::Manual,
        timing: Timing::default(),
        restart: None,
        level: Level::OWN,
        safeguards: Safeguards::default(),
    }
}

pub fn at(number: u64, node: u8, lsn: u64) -> Position {
    Position { epoch: epoch(number, node), lsn: Lsn(lsn) }
}

pub fn epoch(number: u64, node: u8) -> Epoch {
    Epoch { number, node: NodeIndex(node) }
}

impl Pair {
    pub fn new() -> Self {
        Self {
            now: LocalTime::from_millis(1_000),
            nodes: [None, None],
            mute: [false; 2],
            disk_is_slow: false,
            disks: [Durable::default(); 2],
            record: Vec::new(),
            witness: None,
            store: None,
            store_is_away: false,
            deputies: [None, None],
            cut_from_witness: [false; 2],
            both_active: Duration::ZERO,
            under_way: Vec::new(),
            answers: Vec::new(),
            lives: 0,
        }
    }

    /// Both started together, A leading by priority, B in step.
    pub fn in_step() -> Self {
        Self::in_step_with(None, Safeguards::default())
    }

    /// The same with a witness that has been up for a while.
    pub fn in_step_with(witness: Option<Referee>, safeguards: Safeguards) -> Self {
        Self::begin(Self { witness, ..Self::new() }, safeguards)
    }

    /// The same with an empty store for the witness's record.
    pub fn in_step_with_store(safeguards: Safeguards) -> Self {
        Self::begin(Self { store: Some(Store::default()), ..Self::new() }, safeguards)
    }

    fn begin(mut pair: Self, safeguards: Safeguards) -> Self {
        pair.start(A, Settings { safeguards, ..settings(A, 150) }, Position::default());
        pair.start(B, Settings { safeguards, ..settings(B, 100) }, Position::default());
        // Who writes the first record waits for a whole lease.
        pair.run(if pair.store.is_some() { 800 } else { 200 });
        assert_eq!(pair.roles(), [Some(Role::Active), Some(Role::Standby)]);
        pair.come_into_step(A, B);
        pair.run(100);
        pair
    }

    pub fn start(&mut self, node: usize, settings: Settings, position: Position) {
        self.lives += 1;
        let incarnation = Incarnation(1_000 + self.lives);
        self.deputies[node] = Some(Deputy::new(NodeIndex(node as u8), self.now));
        self.nodes[node] = Some(Cluster::new(settings, self.disks[node], incarnation, position, self.now));
    }

    /// The witness starts anew, and knows nothing.
    pub fn restart_witness(&mut self) {
        self.lives += 1;
        self.witness = Some(Referee::new(self.lives, self.now));
    }

    pub fn kill(&mut self, node: usize) {
        self.nodes[node] = None;
    }

    pub fn node(&mut self, node: usize) -> &mut Cluster {
        self.nodes[node].as_mut().expect("the node runs")
    }

    pub fn roles(&self) -> [Option<Role>; 2] {
        [A, B].map(|node| self.nodes[node].as_ref().map(Cluster::role))
    }

    /// The log of `standby` has all that `active` has, and its acknowledgement has come.
    pub fn come_into_step(&mut self, active: usize, standby: usize) {
        self.input(standby, |node, now| node.synced(now, true));
        self.input(active, |node, now| node.follower_in_step(now, true));
    }

    pub fn input(&mut self, node: usize, input: impl FnOnce(&mut Cluster, LocalTime) -> Vec<Output>) {
        let now = self.now;
        let outputs = input(self.node(node), now);
        self.act(node, outputs);
    }

    pub fn hear_phones(&mut self, node: usize) {
        let now = self.now;
        self.node(node).heard_phones(now);
    }

    /// Lets `millis` pass.
    pub fn run(&mut self, millis: u64) {
        let end = self.now + Duration::from_millis(millis);
        while self.step(end) {}
        self.now = end;
    }

    /// Runs until the node is in that role and says how many milliseconds that took.
    pub fn until(&mut self, node: usize, role: Role, millis_max: u64) -> u64 {
        let start = self.now;
        let end = start + Duration::from_millis(millis_max);
        while self.node(node).role() != role {
            assert!(self.step(end), "node {node} is not {role:?} after {millis_max} ms");
        }
        self.now.since(start).as_millis() as u64
    }

    /// Time passes, and this node does not run.
    pub fn stall(&mut self, node: usize, millis: u64) {
        let stalled = self.nodes[node].take();
        let end = self.now + Duration::from_millis(millis);
        let mut held = Vec::new();
        while self.step_holding(end, node, &mut held) {}
        self.now = end;
        self.nodes[node] = stalled;
        self.input(node, |cluster, now| cluster.timeout(now));
        for (link, heartbeat) in held {
            self.input(node, |cluster, now| cluster.heartbeat(now, link, heartbeat));
        }
    }

    pub fn count(&self, node: usize, matches: impl Fn(&Output) -> bool) -> usize {
        self.record.iter().filter(|(_, of, output)| *of == node && matches(output)).count()
    }

    fn step(&mut self, end: LocalTime) -> bool {
        self.step_holding(end, usize::MAX, &mut Vec::new())
    }

    fn step_holding(&mut self, end: LocalTime, held_node: usize, held: &mut Vec<(u8, Heartbeat)>) -> bool {
        let heartbeat = self.under_way.iter().map(|(at, ..)| *at).min();
        let answer = self.answers.iter().map(|(at, ..)| *at).min();
        let arrival = heartbeat.into_iter().chain(answer).min();
        let deadline = |node: usize| self.nodes[node].as_ref().and_then(Cluster::deadline).map(|at| (at, node));
        let timeout = [deadline(A), deadline(B)].into_iter().flatten().min();
        let next = arrival.into_iter().chain(timeout.map(|(at, _)| at)).min();
        let Some(next) = next.filter(|next| *next <= end) else { return false };
        if self.roles() == [Some(Role::Active); 2] {
            self.both_active += next.since(self.now);
        }
        self.now = self.now.max(next);
        if answer == Some(next) {
            let index = self.answers.iter().position(|(at, ..)| *at == next).expect("it was just found");
            let (_, to, answer) = self.answers.remove(index);
            // Whoever is held reads its heartbeats later; its answers are lost.
            if to != held_node && self.nodes[to].is_some() && !self.cut_from_witness[to] {
                self.input(to, |node, now| node.witness_answer(now, &answer));
            }
        } else if arrival == Some(next) {
            let index = self.under_way.iter().position(|(at, ..)| *at == next).expect("it was just found");
            let (_, to, link, heartbeat) = self.under_way.remove(index);
            if to == held_node {
                held.push((link, heartbeat));
            } else if self.nodes[to].is_some() {
                self.input(to, |node, now| node.heartbeat(now, link, heartbeat));
            }
        } else if let Some((_, node)) = timeout {
            self.input(node, |cluster, now| cluster.timeout(now));
            let deadline = self.node(node).deadline();
            assert!(deadline.is_none_or(|at| at > self.now), "a deadline that was just judged comes again");
        }
        true
    }

    fn act(&mut self, node: usize, outputs: Vec<Output>) {
        for output in outputs {
            match &output {
                Output::SendHeartbeat(heartbeat) if !self.mute[node] => self.carry(node, heartbeat),
                Output::ReserveEpoch(epoch) if !self.disk_is_slow => {
                    let epoch = *epoch;
                    self.disks[node].reserved = epoch;
                    self.input(node, |cluster, now| cluster.epoch_reserved(now, epoch));
                }
                Output::EpochKnown { epoch } => self.disks[node].epoch = *epoch,
                Output::AskWitness(ask) if !self.cut_from_witness[node] => {
                    let at = self.now + DELAY * 3;
                    let answer = self.ask(node, ask);
                    self.answers.extend(answer.map(|answer| (at, node, answer)));
                }
                _ => {}
            }
            self.record.push((self.now, node, output));
        }
    }

    /// The witness is asked, or the store as often as the deputy wants.
    fn ask(&mut self, node: usize, ask: &Ask) -> Option<Answer> {
        let fresh = 1 + self.record.len() as u64;
        let now = self.now + DELAY;
        if let Some(witness) = self.witness.as_mut() {
            return witness.ask(now, fresh, ask);
        }
        let store = self.store.as_mut().filter(|_| !self.store_is_away);
        let (store, deputy) = (store?, self.deputies[node].as_mut()?);
        let mut request = deputy.ask(now, ask.clone());
        while let Some(next) = request {
            let step = deputy.read(now, next.number, &store.carry_out(node, &next));
            if step.answer.is_some() {
                return step.answer;
            }
            request = step.request;
        }
        None
    }

    /// Through the real encoding, over each link, the second one slower.
    fn carry(&mut self, from: usize, heartbeat: &Heartbeat) {
        let bytes = heartbeat.encode();
        for link in 0..LINKS {
            let heartbeat = Heartbeat::decode(&bytes).expect("a node's own heartbeat is readable");
            let at = self.now + DELAY * (1 + u32::from(link));
            self.under_way.push((at, 1 - from, link, heartbeat));
        }
    }
}
