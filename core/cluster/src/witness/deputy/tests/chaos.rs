//! Two nodes that want and give up the record at random, over a store that is as bad as it gets.

use base::Random;

use super::*;
use crate::witness::{Lease, Mode};

/// After this a shell gives a request up, which may be carried out all the same.
const LIMIT: u64 = 250;

/// How far the rates of the nodes' clocks are from the true one, in thousandths.
const DRIFT_MAX: u64 = 20;

struct Node {
    lease: Lease,
    deputy: Deputy,
    wants: Want,
    /// Thousandths.
    rate: u64,
    life: u64,
}

enum Happening {
    /// The request reaches the store.
    Carried(Request),
    /// The answer to the request of this number reaches the node.
    Read(u64, Reading),
    GivenUp(u64),
}

pub struct Chaos {
    random: Random,
    now: u64,
    store: Store,
    nodes: [Node; 2],
    under_way: Vec<(u64, usize, u64, Happening)>,
    pub granted: [u64; 2],
}

impl Node {
    fn new(node: usize, life: u64, rate: u64, now: LocalTime) -> Self {
        let lease = Lease::new(Mode::Require, Kind::Record, now);
        Self { lease, deputy: Deputy::new(NodeIndex(node as u8), now), wants: Want::Watch, rate, life }
    }

    fn local(&self, now: u64) -> LocalTime {
        LocalTime(now * self.rate)
    }
}

impl Chaos {
    pub fn new(seed: u64) -> Self {
        let mut random = Random::from_number(seed);
        let rate = |random: &mut Random| 1_000 - DRIFT_MAX + random.below(2 * DRIFT_MAX + 1);
        let nodes = [A, B].map(|node| Node::new(node, node as u64, rate(&mut random), LocalTime::ZERO));
        Self { random, now: 0, store: Store::default(), nodes, under_way: Vec::new(), granted: [0; 2] }
    }

    /// Lets so many milliseconds pass.
    pub fn run(&mut self, millis: u64) {
        for _ in 0..millis {
            self.now += 1;
            while let Some(index) = self.under_way.iter().position(|(at, ..)| *at <= self.now) {
                let (_, node, life, happening) = self.under_way.swap_remove(index);
                self.happens(node, life, happening);
            }
            for node in [A, B] {
                self.turn(node);
            }
            let held = self.nodes.iter().filter(|node| node.lease.holds(node.local(self.now))).count();
            assert!(held < 2, "both rely on it {} ms on", self.now);
        }
        assert!(self.granted.iter().all(|granted| *granted > 0), "nobody had it: {:?}", self.granted);
    }

    fn turn(&mut self, node: usize) {
        if self.random.one_in(400) {
            self.nodes[node].wants = if self.random.one_in(3) { Want::Watch } else { Want::Hold };
        }
        if self.random.one_in(4_000) {
            let (rate, now) = (self.nodes[node].rate, self.nodes[node].local(self.now));
            self.nodes[node] = Node::new(node, 2 + self.now, rate, now);
        }
        let of = &mut self.nodes[node];
        let now = of.local(self.now);
        if !of.lease.is_due(now) {
            return;
        }
        let index = NodeIndex(node as u8);
        let ask = of.lease.ask(now, index, Incarnation(of.life), of.wants, Epoch::default());
        let request = of.deputy.ask(now, ask);
        self.send(node, request);
    }

    fn send(&mut self, node: usize, request: Option<Request>) {
        let Some(request) = request else { return };
        let life = self.nodes[node].life;
        self.under_way.push((self.now + LIMIT, node, life, Happening::GivenUp(request.number)));
        self.deliver(node, life, Happening::Carried(request));
    }

    /// Mostly fast, sometimes later than anybody waits for it, sometimes never.
    fn deliver(&mut self, node: usize, life: u64, happening: Happening) {
        let delay = match self.random.below(10) {
            0 => return,
            1 => self.random.below(1_500),
            _ => self.random.below(20),
        };
        self.under_way.push((self.now + delay, node, life, happening));
    }

    fn happens(&mut self, node: usize, life: u64, happening: Happening) {
        if let Happening::Carried(request) = &happening {
            // What a dead daemon has sent may arrive, too.
            let reading = self.store.carry_out(node, request);
            return self.deliver(node, life, Happening::Read(request.number, reading));
        }
        let of = &mut self.nodes[node];
        if of.life != life {
            return;
        }
        let now = of.local(self.now);
        let step = match happening {
            Happening::Read(number, reading) => of.deputy.read(now, number, &reading),
            Happening::GivenUp(number) => Step { answer: None, request: of.deputy.failed(now, number) },
            Happening::Carried(_) => Step::default(),
        };
        if let Some(answer) = step.answer {
            self.granted[node] += u64::from(answer.verdict == Verdict::Granted);
            of.lease.answer(now, NodeIndex(node as u8), Incarnation(life), &answer);
        }
        self.send(node, step.request);
    }
}
