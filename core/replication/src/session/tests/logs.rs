//! Two logs, their sessions and streams, and a network between them. The owner of each confirms what was applied.

use std::time::Duration;

use base::{ClusterTime, Epoch, Incarnation, Lsn, NodeIndex, Position, WallTime};

use crate::log::Log;
use crate::message::Message;
use crate::network::Network;
use crate::session::{Session, SessionEvent};
use crate::store::{Delta, Key};
use crate::stream::Stream;

pub const A: usize = 0;
pub const B: usize = 1;

pub struct End {
    pub log: Log,
    pub session: Session,
    pub stream: Stream,
    pub events: Vec<SessionEvent>,
    /// The owner confirms after each step what was applied.
    pub confirms: bool,
}

pub struct Logs {
    pub network: Network,
    pub ends: [End; 2],
    /// The most bytes that either stream held at any time.
    pub queued_bytes_max: usize,
}

pub fn epoch(number: u64) -> Epoch {
    Epoch { number, node: NodeIndex(0) }
}

pub fn position(number: u64, lsn: u64) -> Position {
    Position { epoch: epoch(number), lsn: Lsn(lsn) }
}

pub fn object(id: u64, value: Vec<u8>) -> Delta {
    Delta { key: Key::new((id % 3) as u8, format!("{id}")), value: Some(value) }
}

impl Logs {
    pub fn new(network: Network) -> Self {
        let end = |own, peer| End {
            log: Log::new(),
            session: Session::new(),
            stream: Stream::new(Incarnation(own), Incarnation(peer), 1),
            events: Vec::new(),
            confirms: true,
        };
        Self { network, ends: [end(1, 2), end(2, 1)], queued_bytes_max: 0 }
    }

    /// A leads in epoch 1 and B follows it.
    pub fn following(network: Network) -> Self {
        let mut logs = Self::new(network);
        logs.lead(A, 1);
        logs.follow(B);
        logs
    }

    pub fn lead(&mut self, end: usize, number: u64) {
        self.ends[end].session.lead(epoch(number));
    }

    pub fn follow(&mut self, end: usize) {
        let End { log, session, .. } = &mut self.ends[end];
        session.follow(log);
    }

    pub fn append(&mut self, end: usize, number: u64, deltas: Vec<Delta>) {
        let time = self.network.now.0;
        let log = &mut self.ends[end].log;
        assert!(log.append(epoch(number), deltas, ClusterTime(time), WallTime(time)).is_ok());
    }

    pub fn fill(&mut self, end: usize, number: u64, objects: u64) {
        for id in 0..objects {
            self.append(end, number, vec![object(id, vec![id as u8; 300])]);
        }
    }

    pub fn drain(&mut self) {
        for (from, end) in self.ends.iter_mut().enumerate() {
            if end.confirms {
                end.session.confirm(end.log.position());
            }
            assert_eq!(end.session.flush(&end.log, &mut end.stream), Ok(()));
            self.queued_bytes_max = self.queued_bytes_max.max(end.stream.queued_bytes());
            while let Some(datagram) = end.stream.next_datagram(self.network.now) {
                self.network.send(1 - from, &datagram);
            }
        }
    }

    pub fn step(&mut self) -> bool {
        self.drain();
        let deadlines = self.ends.iter().filter_map(|end| end.stream.deadline());
        let Some(next) = deadlines.chain(self.network.next_arrival()).min() else { return false };
        self.network.now = self.network.now.max(next);
        while let Some((to, datagram)) = self.network.arrived() {
            let end = &mut self.ends[to];
            assert_eq!(end.stream.datagram(self.network.now, &datagram), Ok(()));
            while let Some(message) = end.stream.next_message() {
                end.events.extend(end.session.receive(&message, &mut end.log).expect("a sound message"));
            }
        }
        true
    }

    /// As a step, with every snapshot damaged on its way.
    pub fn step_damaging(&mut self) -> bool {
        self.drain();
        let Some(next) = self.network.next_arrival() else { return false };
        self.network.now = self.network.now.max(next);
        while let Some((to, datagram)) = self.network.arrived() {
            let end = &mut self.ends[to];
            assert_eq!(end.stream.datagram(self.network.now, &datagram), Ok(()));
            while let Some(bytes) = end.stream.next_message() {
                let mut message = Message::decode(&bytes).expect("a sound message");
                if let Message::Objects(objects) = &mut message {
                    objects[0].value = Some(b"damaged".to_vec());
                }
                end.events.extend(end.session.receive(&message.encode(), &mut end.log).expect("a sound message"));
            }
        }
        true
    }

    pub fn run(&mut self, millis: u64) {
        let end = self.network.now + Duration::from_millis(millis);
        while self.network.now < end && self.step() {}
        self.network.now = self.network.now.max(end);
    }

    pub fn session(&self, end: usize) -> &Session {
        &self.ends[end].session
    }

    pub fn count(&self, end: usize, matches: impl Fn(&SessionEvent) -> bool) -> usize {
        self.ends[end].events.iter().filter(|event| matches(event)).count()
    }

    /// Both have the same, know it, and are protected.
    pub fn assert_in_step(&self, leader: usize) {
        let [one, other] = &self.ends;
        assert_eq!(one.log.store(), other.log.store());
        assert_eq!(one.log.position(), other.log.position());
        assert_eq!(one.log.store().checksums(), other.log.store().checksums());
        assert!(one.session.in_step() && other.session.in_step());
        assert_eq!(self.session(leader).acked(), self.ends[leader].log.position());
    }
}
