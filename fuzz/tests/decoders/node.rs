//! A live node: whatever phones, strangers or a mad peer say, it does not panic and answers the next OPTIONS.

use std::cell::RefCell;
use std::rc::Rc;

use base::{ClusterTime, Incarnation, NodeIndex};
use cluster::{Heartbeat, Role};
use fuzz::{Mutator, Outcome, Target};
use node::Event;

use crate::CBOR;
use crate::pair::{Pair, SERVER};
use crate::sip::{PIECES, torture};

/// Cases that one pair lives through before a fresh one takes its place.
const CASES_PER_PAIR: u64 = 100;

/// Phones and a stranger.
const SOURCES: [&str; 3] = ["10.77.0.21:5060", "10.77.0.22:5060", "192.0.2.66:9"];

/// A pair with two registered phones and a call, anew every so many cases; the one before must still answer.
struct Pairs {
    pair: Pair,
    cases: u64,
}

impl Pairs {
    fn new() -> Self {
        Self { pair: Self::talking(), cases: 0 }
    }

    fn talking() -> Pair {
        let mut pair = Pair::new();
        pair.talk();
        pair
    }

    fn next(&mut self) -> &mut Pair {
        self.cases += 1;
        if self.cases.is_multiple_of(CASES_PER_PAIR) {
            self.end();
            self.pair = Self::talking();
        }
        self.pair.forget_heard();
        self.pair.said = Default::default();
        &mut self.pair
    }

    fn end(&mut self) {
        self.pair.must_answer();
    }
}

#[test]
fn node_datagram() {
    let mut pairs = Pairs::new();
    let mut mutator = Mutator::new(3);
    let said = Pair::conversation();
    let corpus = said.from_phones.into_iter().chain(said.to_phones).chain(torture());
    Target::new("node_datagram", corpus).pieces(PIECES).one_in(2).takes_anything().run(|input| {
        let pair = pairs.next();
        let source = SOURCES[mutator.below(SOURCES.len() as u64) as usize];
        pair.send(source, input);
        if mutator.below(8) == 0 {
            pair.run(mutator.below(700_000));
        }
        Outcome::Taken
    });
    pairs.end();
}

fn peer(name: &'static str, index: usize) {
    let mut pairs = Pairs::new();
    let mut mutator = Mutator::new(4);
    let corpus = Pair::conversation().to_peer[index].clone();
    Target::new(name, corpus).pieces(CBOR).one_in(4).takes_anything().run(|input| {
        let pair = pairs.next();
        let link = mutator.below(3) as u8;
        pair.tell(index, Event::Peer { link, bytes: input.to_vec() });
        if mutator.below(8) == 0 {
            pair.run(mutator.below(100_000));
        }
        Outcome::Taken
    });
    pairs.end();
}

#[test]
fn node_active_peer() {
    peer("node_active_peer", 0);
}

#[test]
fn node_standby_peer() {
    peer("node_standby_peer", 1);
}

/// Both nodes talk, and what they say is damaged on its way; then one of them dies, and the other one serves.
#[test]
fn node_peer_in_flight() {
    let corpus: Vec<Vec<u8>> = (0..32_u8).map(|seed| vec![seed]).collect();
    let damaged = Rc::new(RefCell::new(0_u64));
    Target::new("node_peer_in_flight", corpus).one_in(200).takes_anything().run(|input| {
        let seed = input.iter().fold(1_u64, |seed, byte| seed.wrapping_mul(257).wrapping_add(u64::from(*byte)));
        let mut mutator = Mutator::new(seed);
        let mut pair = Pair::new();
        let recorded = Pair::conversation().to_peer;
        let count = damaged.clone();
        pair.damage = Some(Box::new(move |from, bytes| {
            if mutator.below(8) == 0 {
                *count.borrow_mut() += 1;
                mutator.damage(bytes, &recorded[1 - from], CBOR);
            }
        }));
        for round in 0..10 {
            for source in SOURCES {
                pair.send(source, &Pair::conversation().from_phones[round % 4]);
            }
            pair.run(50_000);
        }
        pair.damage = None;
        pair.nodes[usize::from(seed % 2 == 0)] = None;
        pair.must_answer();
        Outcome::Taken
    });
    assert!(*damaged.borrow() > 0);
}

/// Farewells of lives that never were, and ports that nobody has, mean nothing.
#[test]
fn node_other_events() {
    let mut pair = Pairs::talking();
    for number in 0..200 {
        let incarnation = Incarnation(number * 0x0101_0101_0101_0101);
        pair.tell(0, Event::Farewell { incarnation });
        let from = Some(SERVER.parse().expect("an address"));
        pair.tell(0, Event::Learned { port: (number * 331) as u16, rtp: from, rtcp: None });
    }
    pair.must_answer();
}

/// Heartbeats that are sound but for numbers at the end of their range, from a peer that must have lost its mind.
#[test]
fn node_extreme_heartbeats() {
    let heartbeats = Pair::conversation().to_peer;
    for (index, said) in heartbeats.iter().enumerate() {
        let sound = said.iter().rev().find_map(|bytes| Heartbeat::decode(bytes.get(1..)?).ok()).expect("a heartbeat");
        let kind = said
            .iter()
            .find(|bytes| bytes.get(1..).is_some_and(|rest| Heartbeat::decode(rest).is_ok()))
            .expect("a heartbeat")[0];
        let extremes: [fn(&mut Heartbeat); 8] = [
            |heartbeat| heartbeat.epoch.number = u64::MAX,
            |heartbeat| heartbeat.position.lsn.0 = u64::MAX,
            |heartbeat| heartbeat.position.epoch.number = u64::MAX,
            |heartbeat| heartbeat.cluster_time.0 = u64::MAX,
            |heartbeat| heartbeat.heard_phones_at = Some(ClusterTime(u64::MAX)),
            |heartbeat| heartbeat.sequence = u64::MAX - 1,
            |heartbeat| heartbeat.index = NodeIndex(u8::MAX),
            |heartbeat| heartbeat.priority = u8::MAX,
        ];
        for extreme in extremes {
            for role in [Role::Starting, Role::Standby, Role::Active] {
                let mut pair = Pairs::talking();
                let mut heartbeat = Heartbeat { role, sequence: sound.sequence + 1_000, ..sound.clone() };
                extreme(&mut heartbeat);
                let bytes = [&[kind][..], &heartbeat.encode()].concat();
                // The peer says nothing else from now on.
                pair.nodes[1 - index] = None;
                pair.tell(index, Event::Peer { link: 0, bytes });
                pair.must_answer();
            }
        }
    }
}
