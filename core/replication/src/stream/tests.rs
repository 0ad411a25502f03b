use std::time::Duration;

use base::{Incarnation, LocalTime, Random};

use super::segment::{PAYLOAD_BYTES_MAX, Segment};
use super::{DATAGRAM_BYTES_MAX, MESSAGE_BYTES_MAX, QUEUE_BYTES_MAX, Stream, StreamError, WINDOW_SEGMENTS};
use crate::network::Network;

const OWN: Incarnation = Incarnation(1);
const PEER: Incarnation = Incarnation(2);

/// Two streams with a network between them.
struct Ends {
    network: Network,
    streams: [Stream; 2],
    received: [Vec<Vec<u8>>; 2],
}

impl Ends {
    fn new(network: Network) -> Self {
        let streams = [Stream::new(OWN, PEER, 1), Stream::new(PEER, OWN, 1)];
        Self { network, streams, received: Default::default() }
    }

    fn send(&mut self, from: usize, message: &[u8]) {
        assert_eq!(self.streams[from].send(message.to_vec()), Ok(()));
    }

    fn drain(&mut self) {
        for from in [0, 1] {
            while let Some(datagram) = self.streams[from].next_datagram(self.network.now) {
                self.network.send(1 - from, &datagram);
            }
        }
    }

    /// One moment at which something arrives or is due. False when nothing will ever happen by itself.
    fn step(&mut self) -> bool {
        self.drain();
        let deadlines = self.streams.iter().filter_map(Stream::deadline);
        let Some(next) = deadlines.chain(self.network.next_arrival()).min() else { return false };
        self.network.now = self.network.now.max(next);
        while let Some((to, datagram)) = self.network.arrived() {
            assert_eq!(self.streams[to].datagram(self.network.now, &datagram), Ok(()));
            while let Some(message) = self.streams[to].next_message() {
                self.received[to].push(message);
            }
        }
        true
    }

    fn run(&mut self, millis: u64) {
        let end = self.network.now + Duration::from_millis(millis);
        while self.network.now < end && self.step() {}
        self.network.now = self.network.now.max(end);
    }
}

fn messages(random: &mut Random, count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|_| vec![random.number() as u8; random.below(3_000) as usize]).collect()
}

#[test]
fn every_message_comes_once_and_in_order_whatever_is_lost() {
    for loss in [0, 1, 3, 10, 20, 30] {
        for seed in 0..8 {
            let mut ends = Ends::new(Network::new(seed * 100 + loss, loss));
            ends.network.links = 1 + (seed % 2) as u32;
            let sent = [messages(ends.network.random(), 300), messages(ends.network.random(), 100)];
            for (there, back) in sent[0].iter().zip(sent[1].iter().cycle()).take(100) {
                ends.send(0, there);
                ends.send(1, back);
                ends.run(1);
            }
            for there in &sent[0][100..] {
                ends.send(0, there);
            }
            ends.run(20_000);
            assert_eq!(ends.received[1], sent[0], "loss {loss} seed {seed}");
            assert_eq!(ends.received[0], sent[1], "loss {loss} seed {seed}");
            assert_eq!([ends.streams[0].queued_bytes(), ends.streams[1].queued_bytes()], [0, 0]);
            assert!(!ends.step(), "once all is acknowledged both ends are silent");
        }
    }
}

#[test]
fn loss_does_not_make_it_collapse() {
    for (loss, millis_max) in [(1, 200), (10, 600), (30, 2_500)] {
        let mut ends = Ends::new(Network::new(7, loss));
        for _ in 0..1_000 {
            ends.send(0, &[5; 1_000]);
        }
        let start = ends.network.now;
        while ends.received[1].len() < 1_000 {
            assert!(ends.step());
        }
        let took = ends.network.now.since(start).as_millis();
        assert!(took <= millis_max, "one megabyte with {loss} % loss took {took} ms");
        let copies = ends.network.sent;
        assert!(copies < 6_000, "{copies} datagrams for 900 segments with {loss} % loss");
    }
}

#[test]
fn a_lone_commit_waits_for_little_more_than_its_losses() {
    let mut ends = Ends::new(Network::new(11, 1));
    let mut waits = Vec::new();
    for _ in 0..3_000 {
        let start = ends.network.now;
        ends.send(0, &[1; 400]);
        let before = ends.received[1].len();
        while ends.received[1].len() == before {
            assert!(ends.step());
        }
        waits.push(ends.network.now.since(start).as_micros());
        ends.run(3);
    }
    waits.sort_unstable();
    assert!(waits[2_900] <= 800, "{}", waits[2_900]);
    assert!(waits[2_999] <= 25_000, "{}", waits[2_999]);
}

#[test]
fn what_is_sent_in_one_step_leaves_in_one_step_and_is_acknowledged_once() {
    let mut ends = Ends::new(Network::perfect());
    for _ in 0..50 {
        ends.send(0, &[1; 100]);
    }
    ends.drain();
    assert_eq!(ends.network.sent, (50 * 104_u64).div_ceil(PAYLOAD_BYTES_MAX as u64));
    let data = ends.network.sent;
    ends.step();
    assert_eq!(ends.received[1].len(), 50);
    ends.drain();
    assert_eq!(ends.network.sent, data, "it waits for something to ride on");
    ends.step();
    ends.drain();
    assert_eq!(ends.network.sent, data + 1, "one acknowledgement for all");
    ends.run(1_000);
    assert_eq!(ends.network.sent, data + 1);
    assert_eq!(ends.streams[0].deadline(), None);
    assert_eq!(ends.streams[0].rtt(), Some(Duration::from_micros(300)));
}

#[test]
fn an_acknowledgement_rides_on_what_is_said_next() {
    let mut ends = Ends::new(Network::perfect());
    for round in 1..=20 {
        ends.send(0, b"there");
        ends.step();
        ends.send(1, b"back");
        ends.step();
        assert_eq!((ends.received[0].len(), ends.received[1].len()), (round, round));
        ends.drain();
        assert_eq!(ends.network.sent, 2 * round as u64);
    }
    ends.run(1_000);
    assert_eq!(ends.network.sent, 41, "the last one is acknowledged by itself");
    assert_eq!(ends.streams[1].rtt(), Some(Duration::from_micros(300)), "what it waited does not count");
}

#[test]
fn a_long_message_is_acknowledged_on_the_way_and_a_gap_at_once() {
    let now = LocalTime::from_millis(1);
    let (mut stream, mut peer) = (Stream::new(OWN, PEER, 1), Stream::new(PEER, OWN, 1));
    assert_eq!(stream.send(vec![7; 40 * PAYLOAD_BYTES_MAX]), Ok(()));
    let mut datagrams: Vec<_> = std::iter::from_fn(|| stream.next_datagram(now)).collect();
    let last = datagrams.pop().expect("there are more than forty");
    let told = datagrams.iter().filter(|datagram| {
        assert_eq!(peer.datagram(now, datagram), Ok(()));
        peer.next_datagram(now).is_some()
    });
    assert_eq!(told.count(), 2);
    assert_eq!(stream.send(b"after".to_vec()), Ok(()));
    let after = stream.next_datagram(now).expect("it leaves at once");
    for datagram in [after, last] {
        assert_eq!(peer.datagram(now, &datagram), Ok(()));
        assert!(peer.next_datagram(now).is_some(), "a gap, and that it is closed");
    }
}

#[test]
fn the_copy_from_the_other_link_is_not_acknowledged_again() {
    let mut ends = Ends::new(Network::perfect());
    ends.network.links = 2;
    ends.send(0, b"once");
    ends.drain();
    let (_, datagram) = {
        ends.network.now += Duration::from_millis(1);
        ends.network.arrived().expect("the first copy")
    };
    let now = ends.network.now;
    assert_eq!(ends.streams[1].datagram(now, &datagram), Ok(()));
    let now = ends.streams[1].deadline().expect("it is to be acknowledged");
    assert!(ends.streams[1].next_datagram(now).is_some());
    assert_eq!(ends.streams[1].datagram(now, &datagram), Ok(()));
    assert_eq!(ends.streams[1].deadline(), None);
    // Sent again it is: the acknowledgement was lost.
    let later = now + Duration::from_millis(60);
    let again = ends.streams[0].next_datagram(later).expect("it is due");
    assert_eq!(ends.streams[1].datagram(later, &again), Ok(()));
    assert!(ends.streams[1].next_datagram(later).is_some());
    assert_eq!(ends.streams[1].next_message(), Some(b"once".to_vec()));
    assert_eq!(ends.streams[1].next_message(), None);
}

#[test]
fn a_gap_is_filled_before_its_time_once_three_later_ones_came() {
    let mut stream = Stream::new(OWN, PEER, 1);
    let mut peer = Stream::new(PEER, OWN, 1);
    let now = LocalTime::from_millis(1);
    let mut datagrams = Vec::new();
    for index in 0..4 {
        assert_eq!(stream.send(vec![index; 10]), Ok(()));
        datagrams.push(stream.next_datagram(now).expect("it leaves at once"));
    }
    for (index, datagram) in datagrams.iter().enumerate().skip(1) {
        assert_eq!(peer.datagram(now, datagram), Ok(()));
        let acknowledgement = peer.next_datagram(now).expect("it is due");
        assert_eq!(stream.datagram(now, &acknowledgement), Ok(()));
        assert_eq!(stream.next_datagram(now).is_some(), index == 3, "after {index}");
    }
    assert!(stream.deadline() > Some(now), "it is sent again once, then waits");
}

#[test]
fn a_silent_peer_is_probed_with_one_segment_and_a_late_acknowledgement_revives_the_stream() {
    let mut ends = Ends::new(Network::perfect());
    ends.send(0, b"before");
    ends.run(50);
    ends.network.cut = true;
    for _ in 0..2_000 {
        ends.send(0, &[9; 1_000]);
    }
    ends.run(200);
    let before = ends.network.sent;
    ends.run(10_000);
    assert!(ends.network.sent - before <= 201, "{}", ends.network.sent - before);
    ends.network.cut = false;
    ends.run(200);
    assert_eq!(ends.received[1].len(), 2_001);
    assert_eq!(ends.streams[0].queued_bytes(), 0);
}

#[test]
fn the_window_bounds_what_is_under_way() {
    let mut ends = Ends::new(Network::perfect());
    ends.network.cut = true;
    ends.send(0, &vec![0; 600_000]);
    ends.drain();
    assert_eq!(ends.network.sent, WINDOW_SEGMENTS);
}

#[test]
fn queues_are_bounded() {
    let mut stream = Stream::new(OWN, PEER, 1);
    assert_eq!(stream.send(vec![0; MESSAGE_BYTES_MAX + 1]), Err(StreamError::MessageTooLong));
    while stream.queued_bytes() + MESSAGE_BYTES_MAX + 4 <= QUEUE_BYTES_MAX {
        assert_eq!(stream.send(vec![0; MESSAGE_BYTES_MAX]), Ok(()));
    }
    assert_eq!(stream.send(vec![0; MESSAGE_BYTES_MAX]), Err(StreamError::Overflow));
}

#[test]
fn what_is_not_taken_stays_with_the_sender() {
    let mut ends = Ends::new(Network::perfect());
    let mut sent = 0;
    for _ in 0..40_000 {
        while ends.streams[0].queued_bytes() < 1_000_000 && sent < 40 {
            ends.send(0, &vec![sent as u8; 1_000_000]);
            sent += 1;
        }
        // The receiver takes datagrams but no messages.
        for from in [0, 1] {
            while let Some(datagram) = ends.streams[from].next_datagram(ends.network.now) {
                ends.network.send(1 - from, &datagram);
            }
        }
        ends.network.now += Duration::from_micros(500);
        while let Some((to, datagram)) = ends.network.arrived() {
            assert_eq!(ends.streams[to].datagram(ends.network.now, &datagram), Ok(()));
        }
    }
    let mut taken = 0;
    while ends.streams[1].next_message().is_some() {
        taken += 1;
    }
    assert!((8..=10).contains(&taken), "{taken} messages of a megabyte were kept");
    assert!(ends.streams[0].queued_bytes() > 500_000);
}

#[test]
fn datagrams_of_other_streams_are_refused() {
    let now = LocalTime::ZERO;
    let mut stream = Stream::new(OWN, PEER, 5);
    let from = |own, peer, generation| {
        let mut stream = Stream::new(own, peer, generation);
        assert_eq!(stream.send(b"x".to_vec()), Ok(()));
        stream.next_datagram(now).expect("it leaves at once")
    };
    assert_eq!(stream.datagram(now, &from(Incarnation(9), OWN, 5)), Err(StreamError::OtherPair));
    assert_eq!(stream.datagram(now, &from(PEER, Incarnation(9), 5)), Err(StreamError::OtherPair));
    assert_eq!(stream.datagram(now, &from(PEER, OWN, 4)), Err(StreamError::OlderGeneration));
    assert_eq!(stream.datagram(now, &from(PEER, OWN, 6)), Err(StreamError::NewerGeneration { generation: 6 }));
    assert_eq!(stream.next_message(), None);
    assert_eq!(stream.next_datagram(now), None);
    assert_eq!(stream.datagram(now, &from(PEER, OWN, 5)), Ok(()));
    assert_eq!(stream.next_message(), Some(b"x".to_vec()));
}

#[test]
fn what_is_no_message_breaks_the_stream() {
    let segment = Segment {
        generation: 1,
        from: PEER,
        to: OWN,
        sequence: 1,
        sent: 0,
        echo: None,
        expected: 1,
        received: 0,
        payload: &[255; 8],
    };
    let mut stream = Stream::new(OWN, PEER, 1);
    for _ in 0..2 {
        assert_eq!(stream.datagram(LocalTime::ZERO, &segment.encode()), Err(StreamError::Broken));
    }
    // Nobody acknowledges what was never sent.
    let liar = Segment { expected: 2, ..segment };
    let mut stream = Stream::new(OWN, PEER, 1);
    assert_eq!(stream.datagram(LocalTime::ZERO, &liar.encode()), Err(StreamError::Malformed));
}

#[test]
fn the_layout_stays_as_it_was() {
    let segment = Segment {
        generation: 2,
        from: OWN,
        to: PEER,
        sequence: 3,
        sent: 4,
        echo: Some(4),
        expected: 6,
        received: 7,
        payload: b"ab",
    };
    let bytes = segment.encode();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let number = |number: u64| format!("{number:016x}");
    let numbers: String = [1, 2, 3, 4, 5, 6, 7].map(number).concat();
    assert_eq!(hex, format!("0100000002{numbers}6162"));
    assert_eq!(Segment::decode(&bytes), Some(segment));
}

#[test]
fn any_bytes_are_taken_or_refused() {
    let mut random = Random::from_number(8);
    let mut ends = Ends::new(Network::perfect());
    ends.send(1, b"hello");
    let golden = ends.streams[1].next_datagram(ends.network.now).expect("it leaves at once");
    let mut taken = 0;
    for _ in 0..50_000 {
        let mut bytes = golden.clone();
        for _ in 0..=random.below(2) {
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] = random.number() as u8;
        }
        bytes.truncate(random.below(3 * bytes.len() as u64) as usize);
        taken += u32::from(ends.streams[0].datagram(ends.network.now, &bytes).is_ok());
        while ends.streams[0].next_datagram(ends.network.now).is_some() {}
    }
    assert!(taken > 1_000);
    assert_eq!(ends.streams[0].datagram(LocalTime::ZERO, &[0; DATAGRAM_BYTES_MAX + 1]), Err(StreamError::Malformed));
}

#[test]
fn the_stream_is_plain_data() {
    let mut ends = Ends::new(Network::new(1, 30));
    for _ in 0..20 {
        ends.send(0, &[1; 5_000]);
    }
    ends.run(3);
    let bytes = minicbor::to_vec(&ends.streams[0]).expect("a vector takes every byte");
    assert_eq!(minicbor::decode::<Stream>(&bytes).expect("its own encoding is readable"), ends.streams[0]);
}
