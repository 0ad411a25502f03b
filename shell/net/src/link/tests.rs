use super::session::{PACKETS_WORN, WINDOW_BITS, Window};
use super::*;

const LOW: &str = "10.77.0.11:7700";
const HIGH: &str = "10.77.0.12:7700";

fn key() -> PairKey {
    PairKey::from_bytes([7; 32])
}

fn millis(millis: u64) -> LocalTime {
    LocalTime::from_millis(millis)
}

/// A link whose randomness differs from all others' by `seed`.
fn link(local: &str, remote: &str, key: &PairKey, seed: u64, now: LocalTime) -> Link {
    Link::new(local.parse().unwrap(), remote.parse().unwrap(), key, Random::from_number(seed), now)
}

/// Two links and the datagrams between them, delivered at once and in order unless lost.
struct Pair {
    now: LocalTime,
    low: Link,
    high: Link,
    random: Random,
    /// From high to low, and from low to high.
    loss_percent: [u64; 2],
    /// Every datagram sent so far, for replays: (from low, bytes).
    record: Vec<(bool, Vec<u8>)>,
    arrived: Vec<(bool, Vec<u8>)>,
}

impl Pair {
    fn new() -> Self {
        let now = millis(1);
        Self {
            now,
            low: link(LOW, HIGH, &key(), 1, now),
            high: link(HIGH, LOW, &key(), 2, now),
            random: Random::from_number(3),
            loss_percent: [0; 2],
            record: Vec::new(),
            arrived: Vec::new(),
        }
    }

    fn established() -> Self {
        let mut pair = Self::new();
        pair.settle();
        pair.assert_talks();
        pair
    }

    fn deliver(&mut self, from_low: bool, datagram: Vec<u8>) {
        let mut next = Some((from_low, datagram));
        while let Some((from_low, datagram)) = next.take() {
            self.record.push((from_low, datagram.clone()));
            if self.random.below(100) < self.loss_percent[usize::from(from_low)] {
                return;
            }
            let (receiver, source) = if from_low { (&mut self.high, LOW) } else { (&mut self.low, HIGH) };
            match receiver.receive(self.now, source.parse().unwrap(), &datagram) {
                Received::Plain(plain) => self.arrived.push((from_low, plain)),
                Received::Reply(reply) => next = Some((!from_low, reply)),
                Received::Farewell(_) | Received::Ignored(_) => {}
            }
        }
    }

    /// Whatever is due now, on both sides.
    fn settle(&mut self) {
        if let Some(datagram) = self.low.timeout(self.now) {
            self.deliver(true, datagram);
        }
        if let Some(datagram) = self.high.timeout(self.now) {
            self.deliver(false, datagram);
        }
    }

    /// Lets time pass in steps of 5 ms; when `talking`, both sides speak each 30 ms.
    fn pass(&mut self, duration_ms: u64, talking: bool) {
        for step in 0..duration_ms / 5 {
            self.now += Duration::from_millis(5);
            self.settle();
            if talking && step % 6 == 0 {
                for from_low in [true, false] {
                    let sender = if from_low { &mut self.low } else { &mut self.high };
                    if let Some(datagram) = sender.seal(b"beat") {
                        self.deliver(from_low, datagram);
                    }
                }
            }
        }
    }

    fn talks(&mut self, from_low: bool) -> bool {
        self.arrived.clear();
        let sender = if from_low { &mut self.low } else { &mut self.high };
        let Some(datagram) = sender.seal(b"hello") else { return false };
        self.deliver(from_low, datagram);
        self.arrived == [(from_low, b"hello".to_vec())]
    }

    fn assert_talks(&mut self) {
        assert!(self.talks(true), "low to high");
        assert!(self.talks(false), "high to low");
    }
}

#[test]
fn a_link_is_up_after_one_exchange() {
    let mut pair = Pair::new();
    assert!(!pair.low.is_established());
    assert_eq!(pair.low.seal(b"too early"), None);
    pair.settle();
    assert_eq!(pair.record.len(), 3, "initiation, answer, proof: {:?}", pair.record);
    pair.assert_talks();
    assert_eq!((pair.low.counts().handshakes, pair.high.counts().handshakes), (1, 1));
}

#[test]
fn the_responder_says_nothing_on_an_unproven_session() {
    let (mut low, mut high) = (link(LOW, HIGH, &key(), 1, millis(0)), link(HIGH, LOW, &key(), 2, millis(0)));
    let initiation = low.timeout(millis(0)).unwrap();
    assert!(matches!(high.receive(millis(0), LOW.parse().unwrap(), &initiation), Received::Reply(_)));
    assert_eq!(high.seal(b"x"), None);
}

#[test]
fn messages_have_bounds() {
    let mut pair = Pair::established();
    assert_eq!(pair.low.seal(b""), None);
    assert_eq!(pair.low.seal(&[0; Link::PLAIN_BYTES_MAX + 1]), None);
    let longest = vec![9; Link::PLAIN_BYTES_MAX];
    let datagram = pair.low.seal(&longest).unwrap();
    pair.deliver(true, datagram);
    assert_eq!(pair.arrived.last().unwrap().1, longest);
}

#[test]
fn a_message_cannot_be_read_on_the_way_or_changed() {
    let mut pair = Pair::established();
    let datagram = pair.low.seal(b"a secret message").unwrap();
    assert!(!datagram.windows(6).any(|window| window == b"secret"));
    for position in 0..datagram.len() {
        let mut changed = datagram.clone();
        changed[position] ^= 1;
        let received = pair.high.receive(pair.now, LOW.parse().unwrap(), &changed);
        assert!(matches!(received, Received::Ignored(_)), "byte {position}: {received:?}");
    }
    for length in 0..datagram.len() {
        let received = pair.high.receive(pair.now, LOW.parse().unwrap(), &datagram[..length]);
        assert!(matches!(received, Received::Ignored(_)), "{length} bytes: {received:?}");
    }
    let received = pair.high.receive(pair.now, LOW.parse().unwrap(), &datagram);
    assert_eq!(received, Received::Plain(b"a secret message".to_vec()));
}

#[test]
fn a_message_is_taken_once_and_not_by_its_sender() {
    let mut pair = Pair::established();
    let datagram = pair.low.seal(b"once").unwrap();
    let (low, high) = (LOW.parse().unwrap(), HIGH.parse().unwrap());
    assert_eq!(pair.high.receive(pair.now, low, &datagram), Received::Plain(b"once".to_vec()));
    assert_eq!(pair.high.receive(pair.now, low, &datagram), Received::Ignored(Ignored::Replayed));
    assert!(matches!(pair.low.receive(pair.now, high, &datagram), Received::Ignored(_)));
    assert_eq!(pair.high.counts().ignored_replayed, 1);
}

#[test]
fn other_sources_are_dropped() {
    let mut pair = Pair::established();
    let datagram = pair.low.seal(b"x").unwrap();
    for source in ["10.77.0.13:7700", "10.77.0.11:7701", HIGH] {
        let received = pair.high.receive(pair.now, source.parse().unwrap(), &datagram);
        assert_eq!(received, Received::Ignored(Ignored::Source));
    }
    assert_eq!(pair.high.counts().ignored_source, 3);
    assert_eq!(pair.high.receive(pair.now, LOW.parse().unwrap(), &datagram), Received::Plain(b"x".to_vec()));
}

#[test]
fn another_key_brings_nothing_and_is_counted() {
    let mut pair = Pair::new();
    pair.high = link(HIGH, LOW, &PairKey::from_bytes([8; 32]), 2, pair.now);
    pair.pass(2_000, true);
    assert!(!pair.low.is_established() && !pair.high.is_established());
    assert!(pair.low.counts().ignored_unauthentic > 3, "hints: {:?}", pair.low.counts());
    assert!(pair.high.counts().ignored_unauthentic > 3, "initiations: {:?}", pair.high.counts());
}

#[test]
fn loss_delays_but_does_not_prevent() {
    for seed in 0..50 {
        let mut pair = Pair::new();
        pair.random = Random::from_number(seed);
        pair.loss_percent = [30; 2];
        pair.pass(3_000, true);
        pair.loss_percent = [0; 2];
        pair.pass(500, true);
        pair.assert_talks();
    }
}

#[test]
fn either_side_is_back_with_its_first_packet_after_a_restart() {
    for restart_low in [true, false] {
        let mut pair = Pair::established();
        pair.pass(1_000, true);
        let now = pair.now;
        if restart_low {
            pair.low = link(LOW, HIGH, &key(), 11, now);
        } else {
            pair.high = link(HIGH, LOW, &key(), 12, now);
        }
        pair.settle();
        pair.assert_talks();
        assert_eq!(pair.now, now);
    }
}

#[test]
fn a_restart_under_way_of_an_initiation_is_noticed() {
    let mut pair = Pair::established();
    pair.loss_percent = [100; 2];
    pair.pass(1_000, true);
    // The initiator now speaks each 200 ms only. The responder comes back in between.
    pair.loss_percent = [0; 2];
    pair.high = link(HIGH, LOW, &key(), 12, pair.now);
    let hint = pair.high.timeout(pair.now).unwrap();
    pair.deliver(false, hint);
    pair.assert_talks();
}

#[test]
fn a_cut_heals_in_both_directions_and_one_way() {
    let mut pair = Pair::established();
    for loss_percent in [[100, 100], [100, 0], [0, 100], [100, 100]] {
        pair.loss_percent = loss_percent;
        pair.pass(5_000, true);
        pair.loss_percent = [0; 2];
        pair.pass(250, true);
        pair.assert_talks();
    }
}

#[test]
fn a_quiet_healthy_link_keeps_its_sessions() {
    let mut pair = Pair::established();
    pair.pass(10_000, true);
    assert_eq!(pair.low.counts().handshakes, 1);
}

#[test]
fn replayed_handshakes_do_not_disturb() {
    let mut pair = Pair::established();
    pair.pass(500, true);
    pair.low = link(LOW, HIGH, &key(), 11, pair.now);
    pair.settle();
    pair.high = link(HIGH, LOW, &key(), 12, pair.now);
    pair.settle();
    pair.pass(500, true);
    pair.assert_talks();
    let handshakes = (pair.low.counts().handshakes, pair.high.counts().handshakes);
    let record = pair.record.clone();
    for _ in 0..3 {
        pair.arrived.clear();
        for (from_low, datagram) in &record {
            let (receiver, source) = if *from_low { (&mut pair.high, LOW) } else { (&mut pair.low, HIGH) };
            let received = receiver.receive(pair.now, source.parse().unwrap(), datagram);
            assert!(matches!(received, Received::Ignored(_) | Received::Reply(_)), "{received:?}");
        }
        pair.assert_talks();
    }
    assert_eq!(handshakes, (pair.low.counts().handshakes, pair.high.counts().handshakes));
}

#[test]
fn old_initiations_after_a_restart_do_not_displace_the_genuine_one() {
    let mut pair = Pair::new();
    let mut old = Vec::new();
    for seed in 0..CANDIDATES_MAX as u64 {
        old.push(link(LOW, HIGH, &key(), 100 + seed, pair.now).timeout(pair.now).unwrap());
    }
    // The responder restarts and hears old initiations before, and fewer than it remembers after, the genuine one.
    let low = LOW.parse().unwrap();
    for initiation in &old {
        assert!(matches!(pair.high.receive(pair.now, low, initiation), Received::Reply(_)));
    }
    let genuine = pair.low.timeout(pair.now).unwrap();
    let Received::Reply(answer) = pair.high.receive(pair.now, low, &genuine) else { panic!("no answer") };
    for initiation in &old[..CANDIDATES_MAX - 1] {
        let _ = pair.high.receive(pair.now, low, initiation);
    }
    pair.deliver(false, answer);
    pair.assert_talks();
}

#[test]
fn a_false_answer_does_not_spoil_the_attempt() {
    let mut pair = Pair::new();
    let initiation = pair.low.timeout(pair.now).unwrap();
    let Received::Reply(answer) = pair.high.receive(pair.now, LOW.parse().unwrap(), &initiation) else {
        panic!("no answer")
    };
    for position in 5..answer.len() {
        let mut changed = answer.clone();
        changed[position] ^= 0x40;
        let received = pair.low.receive(pair.now, HIGH.parse().unwrap(), &changed);
        assert_eq!(received, Received::Ignored(Ignored::Unauthentic), "byte {position}");
    }
    pair.deliver(false, answer);
    pair.assert_talks();
}

#[test]
fn a_repeated_initiation_gets_the_same_answer() {
    let (mut low, mut high) = (link(LOW, HIGH, &key(), 1, millis(0)), link(HIGH, LOW, &key(), 2, millis(0)));
    let first = low.timeout(millis(0)).unwrap();
    assert_eq!(low.timeout(millis(10)), None);
    let second = low.timeout(millis(20)).unwrap();
    assert_eq!(first, second);
    let source = LOW.parse().unwrap();
    assert_eq!(high.receive(millis(1), source, &first), high.receive(millis(21), source, &second));
    let later = low.timeout(millis(1_100)).unwrap();
    assert_ne!(first, later);
}

#[test]
fn hints_are_heeded_once_and_not_too_often() {
    let mut pair = Pair::established();
    let mut hints = Vec::new();
    for seed in 0..3 {
        hints.push(link(HIGH, LOW, &key(), 50 + seed, pair.now).timeout(pair.now).unwrap());
    }
    let high = HIGH.parse().unwrap();
    assert!(matches!(pair.low.receive(pair.now, high, &hints[0]), Received::Reply(_)));
    assert_eq!(pair.low.receive(pair.now, high, &hints[0]), Received::Ignored(Ignored::Replayed));
    assert_eq!(pair.low.receive(pair.now, high, &hints[1]), Received::Ignored(Ignored::Unneeded));
    pair.now += HINT_PAUSE;
    assert!(matches!(pair.low.receive(pair.now, high, &hints[2]), Received::Reply(_)));
    pair.assert_talks();
}

#[test]
fn a_farewell_names_one_life_and_cannot_be_forged() {
    let mut pair = Pair::new();
    let low = LOW.parse().unwrap();
    let datagram = farewell(&key(), Incarnation(77));
    assert_eq!(pair.high.receive(pair.now, low, &datagram), Received::Farewell(Incarnation(77)));
    for position in 0..datagram.len() {
        let mut changed = datagram.clone();
        changed[position] ^= 1;
        assert!(matches!(pair.high.receive(pair.now, low, &changed), Received::Ignored(_)), "byte {position}");
    }
    let other = farewell(&PairKey::from_bytes([8; 32]), Incarnation(77));
    assert_eq!(pair.high.receive(pair.now, low, &other), Received::Ignored(Ignored::Unauthentic));
    let elsewhere = pair.high.receive(pair.now, "10.77.0.99:7700".parse().unwrap(), &datagram);
    assert_eq!(elsewhere, Received::Ignored(Ignored::Source));
}

#[test]
fn packets_of_the_former_session_are_taken_for_a_while() {
    let mut pair = Pair::established();
    let late = [pair.low.seal(b"late").unwrap(), pair.low.seal(b"too late").unwrap()];
    pair.low.attempt = None;
    let initiation = pair.low.new_attempt(pair.now);
    pair.deliver(true, initiation);
    assert_eq!(pair.low.counts().handshakes, 2);
    let low = LOW.parse().unwrap();
    assert_eq!(pair.high.receive(pair.now, low, &late[0]), Received::Plain(b"late".to_vec()));
    pair.now += PREVIOUS_KEPT;
    assert_eq!(pair.high.receive(pair.now, low, &late[1]), Received::Ignored(Ignored::UnknownSession));
    pair.assert_talks();
}

#[test]
fn noise_from_anywhere_is_survived() {
    let mut pair = Pair::established();
    let mut random = Random::from_number(9);
    for _ in 0..20_000 {
        let mut datagram = random.bytes::<120>().to_vec();
        datagram[0] = 0x10 + random.below(8) as u8;
        datagram.truncate(random.below(121) as usize);
        assert!(matches!(pair.high.receive(pair.now, LOW.parse().unwrap(), &datagram), Received::Ignored(_)));
        assert!(matches!(pair.low.receive(pair.now, HIGH.parse().unwrap(), &datagram), Received::Ignored(_)));
    }
    pair.assert_talks();
}

#[test]
fn the_window_agrees_with_a_plain_list() {
    for (seed, spread) in [(1, 10), (2, 500), (3, 3_000), (4, 100_000)] {
        let mut random = Random::from_number(seed);
        let mut window = Window::default();
        let mut seen = std::collections::BTreeSet::new();
        let mut base = 0;
        for _ in 0..20_000 {
            base += random.below(spread / 5);
            let number = base + random.below(spread);
            let greatest = seen.last().copied().unwrap_or(0);
            let expected = !seen.contains(&number) && (number > greatest || greatest + 1 - number <= WINDOW_BITS);
            let expected = expected || seen.is_empty();
            assert_eq!(window.is_new(number), expected, "{number} with {greatest} and spread {spread}");
            if expected {
                window.insert(number);
                seen.insert(number);
            }
        }
    }
}

#[test]
fn a_worn_session_is_replaced() {
    let mut pair = Pair::established();
    pair.low.current.as_mut().unwrap().sent = PACKETS_WORN;
    pair.pass(50, true);
    assert_eq!(pair.low.counts().handshakes, 2);
    pair.assert_talks();
    // The responder's packets count as well.
    pair.high.current.as_mut().unwrap().sent = PACKETS_WORN;
    pair.pass(50, true);
    assert_eq!(pair.low.counts().handshakes, 3);
    pair.assert_talks();
}
