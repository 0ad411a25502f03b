use base::{Incarnation, Random};

use super::*;
use crate::log::Log;
use crate::network::Network;
use crate::peering::Peering;
use crate::session::SessionEvent;

/// Two nodes with stores, on a bad network. What is said travels as the owner's own messages of the log's stream.
struct Pair {
    network: Network,
    peerings: [Peering; 2],
    transfers: [Transfer; 2],
    /// Whole contents, and the unfinished ones.
    stores: [BTreeMap<Hash, Vec<u8>>; 2],
    parts: [BTreeMap<Hash, Vec<u8>>; 2],
    logs: [Log; 2],
    /// What became whole at the second node, in order, and what it was told to be lacking.
    came: Vec<Hash>,
    lacking: Vec<Hash>,
    asked_most: usize,
    bytes_written: usize,
    lives: u64,
}

fn content(seed: u64, bytes: usize) -> Vec<u8> {
    let mut random = Random::from_number(seed);
    (0..bytes).map(|_| random.number() as u8).collect()
}

impl Pair {
    fn new(loss_percent: u64, bandwidth: u64) -> Self {
        let transfer = || Transfer::new(bandwidth);
        let mut pair = Self {
            network: Network::new(7, loss_percent),
            peerings: [Peering::new(Incarnation(1), Incarnation(2)), Peering::new(Incarnation(2), Incarnation(1))],
            transfers: [transfer(), transfer()],
            stores: Default::default(),
            parts: Default::default(),
            logs: [Log::new(), Log::new()],
            came: Vec::new(),
            lacking: Vec::new(),
            asked_most: 0,
            bytes_written: 0,
            lives: 2,
        };
        pair.peerings[0].lead(base::Epoch { number: 1, node: base::NodeIndex(0) });
        pair.peerings[1].follow(&pair.logs[1]);
        pair
    }

    fn put(&mut self, bytes: Vec<u8>) -> Hash {
        let hash = Hash::of(&bytes);
        self.stores[0].insert(hash, bytes);
        hash
    }

    fn want(&mut self, hash: Hash) {
        let from = self.parts[1].get(&hash).map_or(0, |part| part.len() as u64);
        self.transfers[1].want(hash, from);
    }

    /// The second node dies and starts anew, with what its disk has.
    fn restart_second(&mut self, bandwidth: u64) {
        self.lives += 1;
        self.peerings = [
            Peering::new(Incarnation(1), Incarnation(self.lives)),
            Peering::new(Incarnation(self.lives), Incarnation(1)),
        ];
        self.peerings[0].lead(base::Epoch { number: 1, node: base::NodeIndex(0) });
        self.peerings[1].follow(&self.logs[1]);
        self.transfers[0].restarted();
        self.transfers[1] = Transfer::new(bandwidth);
    }

    fn drive(&mut self, of: usize) {
        loop {
            let outputs = self.transfers[of].drive(self.network.now, true);
            if outputs.is_empty() {
                break;
            }
            for output in outputs {
                self.carry_out(of, output);
            }
        }
        let asked = |coming: &&Coming| matches!(coming.state, State::Asked { .. });
        self.asked_most = self.asked_most.max(self.transfers[of].coming.values().filter(asked).count());
    }

    fn carry_out(&mut self, of: usize, output: Output) {
        let now = self.network.now;
        match output {
            Output::Say(message) => {
                let sent = self.peerings[of].send_opaque(crate::entry::encoded(&message));
                assert!(sent.is_ok());
            }
            Output::Read { content, offset, length } => {
                let whole = self.stores[of].get(&content);
                let end = whole.map_or(0, |bytes| bytes.len().min(offset as usize + length as usize));
                let bytes = whole.and_then(|bytes| bytes.get(offset as usize..end)).map(<[u8]>::to_vec);
                let total = whole.map_or(0, |bytes| bytes.len() as u64);
                assert!(self.transfers[of].read(content, offset, bytes.as_deref(), total));
            }
            Output::Write { content, offset, bytes, total } => {
                let part = self.parts[of].entry(content).or_default();
                part.truncate(offset as usize);
                part.extend(&bytes);
                self.bytes_written += bytes.len();
                let (upto, full) = (part.len() as u64, part.len() as u64 == total);
                let right = full && Hash::of(part) == content;
                if right {
                    let part = std::mem::take(part);
                    self.stores[of].insert(content, part);
                } else if full {
                    part.clear();
                }
                let upto = if full && !right { 0 } else { upto };
                assert!(self.transfers[of].written(now, content, upto, right, full && !right));
            }
            Output::Whole(content) => self.came.push(content),
            Output::Lacking(content) => self.lacking.push(content),
        }
    }

    fn run(&mut self, millis: u64) {
        let end = self.network.now + Duration::from_millis(millis);
        while self.network.now < end {
            for of in 0..2 {
                self.drive(of);
                let Self { peerings, logs, network, .. } = self;
                peerings[of].confirm(logs[of].position());
                peerings[of].flush(&logs[of]);
                while let Some(datagram) = peerings[of].next_datagram(network.now) {
                    network.send(1 - of, &datagram);
                }
            }
            let deadlines = self.peerings.iter().filter_map(Peering::deadline);
            let transfers = self.transfers.iter().filter_map(|transfer| transfer.deadline(true));
            let next = deadlines.chain(transfers).chain(self.network.next_arrival()).min().unwrap_or(end);
            self.network.now = self.network.now.max(next.min(end));
            while let Some((to, datagram)) = self.network.arrived() {
                let mut events = self.peerings[to].datagram(self.network.now, &datagram, &mut self.logs[to]);
                while self.peerings[to].has_more() {
                    events.extend(self.peerings[to].more(&mut self.logs[to]));
                }
                for event in events {
                    let SessionEvent::Opaque(bytes) = event else { continue };
                    let message = minicbor::decode(&bytes).unwrap();
                    self.transfers[to].message(self.network.now, message);
                }
            }
        }
    }
}

#[test]
fn contents_come_whole_over_a_bad_network_a_few_parts_at_a_time() {
    let mut pair = Pair::new(10, 100_000_000);
    let sizes = [0, 1, 32_768, 32_769, 300_000, 70_000, 5, 6, 7];
    let hashes: Vec<Hash> =
        sizes.iter().enumerate().map(|(seed, bytes)| pair.put(content(seed as u64, *bytes))).collect();
    hashes.iter().for_each(|hash| pair.want(*hash));
    pair.run(20_000);
    assert_eq!(pair.stores[0], pair.stores[1]);
    assert_eq!(pair.asked_most, WANTS_MAX);
    assert_eq!(pair.transfers[0].confirmed(), sizes.len() as u64);
    assert!(pair.transfers[1].is_idle() && pair.transfers[1].deadline(true).is_none());
    let last = pair.came.iter().position(|hash| *hash == hashes[0]);
    assert!(last.is_some_and(|at| at < WANTS_MAX), "those that were wanted first come first");
}

#[test]
fn what_has_come_before_an_interruption_need_not_come_again() {
    let mut pair = Pair::new(2, 1_000_000);
    let hash = pair.put(content(1, 900_000));
    pair.want(hash);
    pair.run(500);
    let before = pair.bytes_written;
    assert!((1..900_000).contains(&before), "{before}");
    pair.restart_second(1_000_000);
    pair.want(hash);
    pair.run(3_000);
    assert_eq!(pair.stores[1].get(&hash), pair.stores[0].get(&hash));
    assert_eq!(pair.bytes_written, 900_000, "each byte was written once");
}

#[test]
fn a_conversation_that_begins_anew_is_asked_again() {
    let mut pair = Pair::new(0, 100_000_000);
    let hash = pair.put(content(1, 200_000));
    pair.want(hash);
    pair.network.cut = true;
    pair.run(50);
    pair.network.cut = false;
    let lives = [Incarnation(11), Incarnation(12)];
    pair.peerings = [Peering::new(lives[0], lives[1]), Peering::new(lives[1], lives[0])];
    for transfer in &mut pair.transfers {
        transfer.restarted();
    }
    pair.run(1_000);
    assert!(pair.stores[1].contains_key(&hash), "long before the timeout");
}

#[test]
fn no_more_comes_in_a_second_than_is_allowed() {
    let mut pair = Pair::new(0, 100_000);
    let hash = pair.put(content(1, 1_000_000));
    pair.want(hash);
    pair.run(1_000);
    let most = 100_000 + BURST_BYTES as usize + PART_BYTES_MAX as usize;
    assert!((100_000..=most).contains(&pair.bytes_written), "{}", pair.bytes_written);
    pair.run(4_000);
    assert!(pair.bytes_written <= 400_000 + most, "{}", pair.bytes_written);
    pair.run(6_000);
    assert!(pair.stores[1].contains_key(&hash));
}

#[test]
fn what_the_peer_lacks_is_told() {
    let mut pair = Pair::new(0, 1_000_000);
    pair.want(Hash([9; 32]));
    pair.run(200);
    assert_eq!(pair.lacking, [Hash([9; 32])]);
    assert!(pair.transfers[1].is_idle());
}

/// A disk that has put something else into the part: the whole is not what its name says.
#[test]
fn a_damaged_part_begins_again() {
    let mut pair = Pair::new(0, 100_000_000);
    let hash = pair.put(content(1, 100_000));
    pair.parts[1].insert(hash, vec![0; 40_000]);
    pair.want(hash);
    pair.run(10_000);
    assert_eq!(pair.stores[1].get(&hash), pair.stores[0].get(&hash));
    assert!(pair.bytes_written >= 160_000, "{}", pair.bytes_written);
}

#[test]
fn parts_that_were_not_asked_for_or_do_not_fit_are_not_taken() {
    let hash = Hash([1; 32]);
    let mut transfer = Transfer::new(BANDWIDTH);
    transfer.want(hash, 5);
    let now = LocalTime::from_millis(1);
    let part = |content, total, offset, bytes: &[u8]| Message::Part { content, total, offset, bytes: bytes.to_vec() };
    transfer.message(now, part(hash, 9, 5, b"abcd"));
    assert_eq!(transfer.drive(now, false), [], "it was not asked for yet");
    assert_eq!(transfer.drive(now, true).len(), 1);
    for wrong in [
        part(Hash([2; 32]), 9, 5, b"abcd"),
        part(hash, 9, 4, b"abcd"),
        part(hash, 8, 5, b"abcd"),
        part(hash, 9, 5, b""),
        part(hash, CONTENT_BYTES_MAX + 1, 5, b"abcd"),
        part(hash, 100_000, 5, &[0; PART_BYTES_MAX as usize + 1]),
        part(hash, 9, u64::MAX, b"abcd"),
    ] {
        transfer.message(now, wrong);
    }
    assert_eq!(transfer.drive(now, true), []);
    transfer.message(now, part(hash, 9, 5, b"abcd"));
    let wanted = Output::Write { content: hash, offset: 5, bytes: b"abcd".to_vec(), total: 9 };
    assert_eq!(transfer.drive(now, true), [wanted]);
}

#[test]
fn a_peer_that_asks_for_too_much_is_not_heard() {
    let mut transfer = Transfer::new(BANDWIDTH);
    let now = LocalTime::from_millis(1);
    for number in 0..100 {
        transfer.message(now, Message::Want { content: Hash([number; 32]), offset: 0, length: u32::MAX });
    }
    let outputs = transfer.drive(now, true);
    assert_eq!(outputs.len(), SERVED_MAX);
    assert!(outputs.iter().all(|output| matches!(output, Output::Read { length: PART_BYTES_MAX, .. })));
}

#[test]
fn encodings_stay_as_they_were() {
    let (content, of) = (Hash([1; 32]), format!("5820{}", "01".repeat(32)));
    let examples = [
        (Message::Want { content, offset: 5, length: 6 }, format!("820083{of}0506")),
        (Message::Part { content, total: 9, offset: 5, bytes: vec![7] }, format!("820184{of}09054107")),
        (Message::Lacking { content }, format!("820281{of}")),
        (Message::Have { contents: vec![content] }, format!("82038181{of}")),
    ];
    for (message, golden) in examples {
        let bytes = crate::entry::encoded(&message);
        assert_eq!(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>(), golden);
        assert_eq!(minicbor::decode::<Message>(&bytes).unwrap(), message);
    }
    let many = Message::Have { contents: vec![content; HAVE_MAX + 1] };
    assert!(minicbor::decode::<Message>(&crate::entry::encoded(&many)).is_err());
}
