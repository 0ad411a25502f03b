use std::time::Duration;

use base::{ClusterTime, Epoch, Incarnation, LocalTime, NodeIndex, WallTime};

use super::Peering;
use crate::log::Log;
use crate::network::Network;
use crate::session::SessionEvent;
use crate::store::{Delta, Key};
use crate::stream::Stream;

struct Nodes {
    network: Network,
    peerings: [Peering; 2],
    logs: [Log; 2],
    events: [Vec<SessionEvent>; 2],
}

fn epoch(number: u64) -> Epoch {
    Epoch { number, node: NodeIndex(0) }
}

impl Nodes {
    fn new(network: Network) -> Self {
        let mut peerings = [Peering::new(Incarnation(1), Incarnation(2)), Peering::new(Incarnation(2), Incarnation(1))];
        let logs = [Log::new(), Log::new()];
        peerings[0].lead(epoch(1));
        peerings[1].follow(&logs[1]);
        Self { network, peerings, logs, events: Default::default() }
    }

    fn append(&mut self, count: u64, bytes: usize) {
        for id in 0..count {
            let delta = Delta { key: Key::new(1, format!("{}", id % 50)), value: Some(vec![id as u8; bytes]) };
            let appended = self.logs[0].append(epoch(1), vec![delta], ClusterTime(1), WallTime(1));
            assert!(appended.is_ok());
        }
    }

    fn run(&mut self, millis: u64) {
        let end = self.network.now + Duration::from_millis(millis);
        while self.network.now < end {
            for (from, peering) in self.peerings.iter_mut().enumerate() {
                peering.confirm(self.logs[from].position());
                peering.flush(&self.logs[from]);
                while let Some(datagram) = peering.next_datagram(self.network.now) {
                    self.network.send(1 - from, &datagram);
                }
            }
            let deadlines = self.peerings.iter().filter_map(Peering::deadline);
            let next = deadlines.chain(self.network.next_arrival()).min().unwrap_or(end);
            self.network.now = self.network.now.max(next.min(end));
            while let Some((to, datagram)) = self.network.arrived() {
                let events = self.peerings[to].datagram(self.network.now, &datagram, &mut self.logs[to]);
                self.events[to].extend(events);
            }
            for (of, peering) in self.peerings.iter_mut().enumerate() {
                self.events[of].extend(peering.more(&mut self.logs[of]));
            }
        }
    }

    fn assert_in_step(&self) {
        assert_eq!(self.logs[0].store(), self.logs[1].store());
        assert_eq!(self.logs[0].position(), self.logs[1].position());
        assert!(self.peerings.iter().all(|peering| peering.session().in_step()));
    }
}

#[test]
fn both_halves_start_again_when_a_queue_is_full_and_resume_by_position() {
    for full in [0, 1] {
        let mut nodes = Nodes::new(Network::new(1, 5));
        nodes.append(100, 100);
        nodes.run(300);
        nodes.assert_in_step();
        nodes.network.cut = true;
        for _ in 0..100 {
            assert!(nodes.peerings[full].send_opaque(vec![0; 100_000]).is_ok());
        }
        nodes.append(100, 100);
        nodes.run(300);
        assert_eq!(nodes.peerings[full].stream().generation(), 2);
        assert_eq!(nodes.peerings[1 - full].stream().generation(), 1);
        nodes.network.cut = false;
        nodes.run(1_000);
        nodes.assert_in_step();
        assert_eq!(nodes.peerings[1 - full].stream().generation(), 2);
        assert_eq!([nodes.peerings[0].restarts(), nodes.peerings[1].restarts()], [1, 1]);
        let replaced = nodes.events[1].iter().filter(|event| matches!(event, SessionEvent::Replaced { .. })).count();
        assert_eq!(replaced, 0, "a reset of the stream costs no snapshot");
    }
}

#[test]
fn a_peer_that_sends_what_it_must_not_is_started_again_with() {
    let mut nodes = Nodes::new(Network::perfect());
    nodes.append(10, 100);
    nodes.run(100);
    nodes.assert_in_step();
    let mut strange = Stream::new(Incarnation(2), Incarnation(1), 7);
    assert_eq!(strange.send(b"no message at all".to_vec()), Ok(()));
    let datagram = strange.next_datagram(LocalTime::ZERO).expect("it leaves at once");
    let now = nodes.network.now;
    assert_eq!(nodes.peerings[0].datagram(now, &datagram, &mut nodes.logs[0]), []);
    assert_eq!(nodes.peerings[0].stream().generation(), 8);
    assert!(!nodes.peerings[0].session().in_step());
    nodes.append(10, 100);
    nodes.run(200);
    nodes.assert_in_step();
}

#[test]
fn a_floor_outlives_a_restart() {
    let mut nodes = Nodes::new(Network::perfect());
    nodes.peerings[1].set_epoch_floor(epoch(2));
    let strange = Stream::new(Incarnation(1), Incarnation(2), 3);
    let mut strange = strange;
    assert_eq!(strange.send(Vec::new()), Ok(()));
    let datagram = strange.next_datagram(LocalTime::ZERO).expect("it leaves at once");
    nodes.peerings[1].datagram(LocalTime::ZERO, &datagram, &mut nodes.logs[1]);
    assert!(nodes.peerings[1].restarts() > 0);
    nodes.append(10, 100);
    nodes.run(200);
    assert_eq!(nodes.logs[1], Log::new());
    nodes.peerings[0].lead(epoch(2));
    nodes.run(200);
    nodes.assert_in_step();
}

/// The datagram that fills a gap lets everything behind it through; a step takes a part of that.
#[test]
fn what_a_filled_gap_lets_through_is_taken_bit_by_bit_and_in_order() {
    let mut nodes = Nodes::new(Network::perfect());
    nodes.run(100);
    nodes.assert_in_step();
    nodes.append(100, 1_000);
    let now = nodes.network.now;
    nodes.peerings[0].flush(&nodes.logs[0]);
    let mut datagrams: Vec<_> = std::iter::from_fn(|| nodes.peerings[0].next_datagram(now)).collect();
    let first = datagrams.remove(0);
    for datagram in &datagrams {
        assert_eq!(nodes.peerings[1].datagram(now, datagram, &mut nodes.logs[1]), []);
    }
    let mut taken = vec![nodes.peerings[1].datagram(now, &first, &mut nodes.logs[1]).len()];
    while nodes.peerings[1].has_more() {
        assert_eq!(nodes.peerings[1].deadline(), Some(LocalTime::ZERO), "it asks to go on");
        taken.push(nodes.peerings[1].more(&mut nodes.logs[1]).len());
    }
    assert!(taken.iter().all(|count| (1..=super::TAKEN_STEP_BYTES / 1_000 + 1).contains(count)), "{taken:?}");
    assert!(taken.len() > 3, "{taken:?}");
    nodes.run(200);
    nodes.assert_in_step();
}

#[test]
fn a_step_puts_so_much_of_the_log_into_the_stream_and_the_rest_follows() {
    let mut nodes = Nodes::new(Network::perfect());
    nodes.run(100);
    nodes.append(300, 1_000);
    nodes.peerings[0].flush(&nodes.logs[0]);
    let queued = nodes.peerings[0].stream().queued_bytes();
    assert!((crate::session::FEED_STEP_BYTES..100_000).contains(&queued), "{queued}");
    nodes.run(200);
    nodes.assert_in_step();
}
