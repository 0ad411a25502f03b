//! Damaged datagrams between two links, damaged signed adverts, and damaged messages on the channel between parent and
//! daemon: nothing panics, nothing forged is believed, and the next honest message arrives.

use base::{Incarnation, LocalTime, Random, WallTime};
use fuzz::{Outcome, Target};
use tandem_net::channel::Channel;
use tandem_net::key::PairKey;
use tandem_net::link::{Link, Received, farewell};
use tandem_net::vrrp::hmac::{Authenticator, HmacKey};

#[global_allocator]
static ALLOCATOR: fuzz::Counting = fuzz::Counting;

const LOW: &str = "10.77.0.11:7700";
const HIGH: &str = "10.77.0.12:7700";

struct Links {
    now: LocalTime,
    low: Link,
    high: Link,
    /// Everything that was ever sent to `high`.
    to_high: Vec<Vec<u8>>,
}

fn key() -> PairKey {
    PairKey::from_bytes([7; 32])
}

impl Links {
    fn established(seed: u64) -> Self {
        let now = LocalTime::from_millis(1_000);
        let link = |local: &str, remote: &str, seed| {
            let (local, remote) = (local.parse().unwrap(), remote.parse().unwrap());
            Link::new(local, remote, &key(), Random::from_number(seed), now)
        };
        let (low, high) = (link(LOW, HIGH, seed), link(HIGH, LOW, seed + 1_000_000));
        let mut links = Self { now, low, high, to_high: Vec::new() };
        links.settle();
        links
    }

    /// Lets time pass until both have a session.
    fn settle(&mut self) {
        for _ in 0..200 {
            self.now += std::time::Duration::from_millis(100);
            if let Some(datagram) = self.low.timeout(self.now) {
                self.deliver(true, datagram);
            }
            if let Some(datagram) = self.high.timeout(self.now) {
                self.deliver(false, datagram);
            }
            if self.low.is_established() && self.high.is_established() && self.talks() {
                return;
            }
        }
        panic!("the links come up");
    }

    fn deliver(&mut self, to_high: bool, datagram: Vec<u8>) -> Option<Vec<u8>> {
        let mut next = Some((to_high, datagram));
        while let Some((to_high, datagram)) = next.take() {
            let (link, source) = if to_high { (&mut self.high, LOW) } else { (&mut self.low, HIGH) };
            if to_high {
                self.to_high.push(datagram.clone());
            }
            match link.receive(self.now, source.parse().unwrap(), &datagram) {
                Received::Reply(reply) => next = Some((!to_high, reply)),
                Received::Plain(plain) => return Some(plain),
                Received::Farewell(_) | Received::Ignored(_) => {}
            }
        }
        None
    }

    fn talks(&mut self) -> bool {
        let Some(datagram) = self.low.seal(b"hello") else { return false };
        self.deliver(true, datagram).as_deref() == Some(b"hello")
    }
}

/// What was sent in a conversation, all kinds of datagrams among it.
fn corpus() -> Vec<Vec<u8>> {
    let mut links = Links::established(1);
    for length in [1, 40, 1_200] {
        let datagram = links.low.seal(&vec![7; length]).unwrap();
        links.deliver(true, datagram);
    }
    let mut corpus = links.to_high;
    corpus.push(farewell(&key(), Incarnation(9)));
    // A hint and an initiation, as each side's first datagram.
    for (local, remote) in [(LOW, HIGH), (HIGH, LOW)] {
        let (local, remote) = (local.parse().unwrap(), remote.parse().unwrap());
        let now = LocalTime::from_millis(1);
        corpus.extend(Link::new(local, remote, &key(), Random::from_number(5), now).timeout(now));
    }
    corpus
}

#[test]
fn net_link() {
    let corpus = corpus();
    let honest = corpus.clone();
    let mut links = Links::established(77);
    let mut cases = 0_u64;
    // Receiving allocates a handshake at most.
    Target::new("net_link", corpus).at_most(2_048).allocates(4, 65_536).takes_anything().run(|input| {
        let received = links.high.receive(links.now, LOW.parse().unwrap(), input);
        match &received {
            Received::Plain(_) => panic!("a message that the peer never sent in this session"),
            Received::Farewell(incarnation) => {
                assert!(*incarnation == Incarnation(9) && honest.iter().any(|it| it == input), "a forged farewell");
            }
            Received::Reply(_) | Received::Ignored(_) => {}
        }
        cases += 1;
        if cases.is_multiple_of(32) {
            assert!(
                links.talks() || {
                    links.settle();
                    links.talks()
                },
                "the link does not come back"
            );
        }
        Outcome::from(matches!(received, Received::Reply(_)))
    });
}

/// Nobody without the key makes an advert that is believed.
#[test]
fn net_vrrp_hmac() {
    let wall = WallTime(1_700_000_000_000_000);
    let authenticator = || Authenticator::new(HmacKey::parse(1, &"0f".repeat(32)).unwrap(), Default::default());
    let source = [10, 77, 0, 11].into();
    let adverts = [&b"\x31\x0a\x96\x01\x00\x64\x12\x34\x0a\x4d\x00\x64"[..], b"\x31\x0a\x96\x00\x00\x64\x12\x34"];
    let honest: Vec<Vec<u8>> = adverts.iter().map(|advert| authenticator().seal(wall, source, advert)).collect();
    Target::new("net_vrrp_hmac", honest.clone()).at_most(1_024).allocates(4, 4_096).takes_anything().run(|input| {
        let opened = authenticator().open(wall, source, input).map(<[u8]>::len);
        assert!(opened.is_err() || honest.iter().any(|it| it == input), "a forged advert");
        Outcome::of(&opened)
    });
}

/// The channel carries whatever the other process writes, whole and as it was.
#[test]
fn net_channel() {
    let (one, other) = Channel::pair().unwrap();
    Target::new("net_channel", [&b"\x01\x82\x04\x80"[..], b"\x01\x82\x00\x81\x81\x61a"])
        .one_in(4)
        .takes_anything()
        .run(|input| {
            let sent = one.send(input, &[]);
            assert_eq!(sent.is_err(), input.is_empty());
            let received = other.receive().unwrap();
            assert_eq!(received.map(|(bytes, files)| (bytes, files.len())), sent.is_ok().then(|| (input.to_vec(), 0)));
            Outcome::of(&sent)
        });
}
