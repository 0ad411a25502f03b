//! A pair that crashes and returns at random, and a third router that backs it up by the rules of RFC 9568: it is active
//! only while no node serves or is about to.

use super::vrrp::{OWN, hear, ip};
use super::*;

const THIRD: &str = "10.77.0.31";
const PRIORITY: u8 = 100;
const INTERVAL_MS: u64 = 1_000;
/// (256 - 100) / 256 s, and three intervals more.
const SKEW_MS: u64 = 609;
const DOWN_MS: u64 = 3_609;

const WORLDS: u64 = 12;
const WORLD_MS: u64 = 90_000;

/// The router outside the pair, made from the RFC's section 6.4 alone. Times are in milliseconds.
struct Third {
    active: bool,
    down_at: u64,
    advert_at: u64,
    times_active: u32,
}

impl Third {
    fn advert(&mut self, at: u64, priority: u8) {
        match priority {
            0 if !self.active => self.down_at = at + SKEW_MS,
            0 => self.advert_at = at,
            _ => {
                self.active &= priority < PRIORITY;
                self.down_at = at + DOWN_MS;
            }
        }
    }

    /// Whether it adverts now.
    fn tick(&mut self, at: u64) -> bool {
        if !self.active && at >= self.down_at {
            (self.active, self.advert_at) = (true, at);
            self.times_active += 1;
        }
        let due = self.active && at >= self.advert_at;
        if due {
            self.advert_at = at + INTERVAL_MS;
        }
        due
    }
}

struct World {
    pair: Pair,
    alive: [bool; 2],
    third: Third,
    random: Random,
    lives: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut pair = Pair::new(1);
        for (index, own) in OWN.into_iter().enumerate() {
            pair.step(index, Event::OwnAddress { address: Some(ip(own)) });
        }
        let at = pair.now.local.as_millis();
        let third = Third { active: false, down_at: at + DOWN_MS, advert_at: 0, times_active: 0 };
        Self { pair, alive: [true; 2], third, random: Random::from_number(seed), lives: 1_000 }
    }

    fn millisecond(&mut self) {
        self.pair.now.local += Duration::from_millis(1);
        let at = self.pair.now.local.as_millis();
        for index in 0..2 {
            if self.alive[index] && self.pair.nodes[index].next_timeout().is_some_and(|due| due <= self.pair.now.local)
            {
                self.pair.step(index, Event::Timeout);
            }
        }
        let alive = self.alive;
        self.pair.wire.retain(|(to, _)| alive[*to]);
        self.pair.deliver();
        self.hear_ours(at);
        if self.third.tick(at) {
            for index in (0..2).filter(|index| alive[*index]) {
                hear(&mut self.pair, index, THIRD, PRIORITY);
            }
            self.hear_ours(at);
        }
    }

    fn hear_ours(&mut self, at: u64) {
        for index in 0..2 {
            for priority in std::mem::take(&mut self.pair.adverts[index]) {
                self.third.advert(at, priority);
            }
        }
    }

    fn strike(&mut self) {
        let index = usize::from(self.random.one_in(2));
        match self.random.below(4) {
            0 | 1 => {
                self.alive[index] = !self.alive[index];
                if self.alive[index] {
                    self.start(index);
                }
            }
            2 => self.pair.log_passes = !self.pair.log_passes,
            _ if self.alive[index] => {
                self.pair.step(index, Event::Asked { number: 1, operator: Operator::SwitchOver });
            }
            _ => {}
        }
        if self.random.one_in(3) && self.alive[index] && self.pair.nodes[index].role() == Role::Active {
            self.pair.register(index);
        }
    }

    fn start(&mut self, index: usize) {
        self.lives += 1;
        let fresh = node_with(index as u8, 1, self.pair.now, Level::OWN, Durable::default(), 0);
        let settings = Settings { incarnation: Incarnation(self.lives), ..fresh.settings };
        let random = Random::from_number(self.lives);
        self.pair.nodes[index] = Node::new(settings, configuration(), Recovered::default(), random, self.pair.now);
        self.pair.step(index, Event::Timeout);
        self.pair.step(index, Event::OwnAddress { address: Some(ip(OWN[index])) });
    }

    /// Some node lives that has a role: it serves, or stands by and would serve.
    fn has_node(&self) -> bool {
        (0..2).any(|index| self.alive[index] && self.pair.nodes[index].role() != Role::Starting)
    }

    fn serves(&self) -> bool {
        (0..2).any(|index| self.alive[index] && self.pair.nodes[index].role() == Role::Active)
    }
}

#[test]
fn a_third_router_is_active_only_while_both_nodes_are_gone() {
    let (mut gave_way, mut gone_ms_max) = (0, 0);
    for seed in 0..WORLDS {
        let mut world = World::new(seed);
        let (mut gone_ms, mut strike_in) = (0_u64, 3_000);
        for millis in 0..WORLD_MS {
            let was_active = world.third.active;
            world.millisecond();
            let place = format!("seed {seed} at {millis} ms");
            assert!(!(world.third.active && world.serves()), "{place}: two have the address");
            assert!(was_active || !world.third.active || !world.has_node(), "{place}: it came before its turn");
            gone_ms = if world.has_node() { 0 } else { gone_ms + 1 };
            gone_ms_max = gone_ms_max.max(gone_ms);
            // The last advert may have been a hold, which counts like any other.
            assert!(gone_ms <= DOWN_MS || world.third.active, "{place}: nobody has the address");
            strike_in -= 1;
            if strike_in == 0 {
                strike_in = 20 + world.random.below(5_000);
                world.strike();
            }
        }
        gave_way += world.third.times_active;
    }
    assert!(
        gave_way > WORLDS as u32 && gone_ms_max > DOWN_MS,
        "{gave_way} times, {gone_ms_max} ms: too little happened"
    );
}
