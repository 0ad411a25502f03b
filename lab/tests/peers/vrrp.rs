//! A real keepalived as third router of the pair's virtual router: it gets the service address only while both nodes
//! are gone, and gives it back. What both say on the wire is checked field by field.

mod adverts;
mod keepalived;
mod options;

use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use tandem_lab::nodes::SERVICE;

use crate::SLACK;
use crate::capture::now_us;
use crate::pair::Lab;
use crate::sipp::RAMAIS;
use adverts::{Adverts, Packet};
use keepalived::Keepalived;

const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);

/// The lab's nodes have 150.
const OURS: u8 = 150;
const LOWER: u8 = 100;
const GREATER: u8 = 200;

const SECOND_US: u64 = 1_000_000;

/// (256 - 100) / 256 s, and three intervals more (facts/vrrp.md).
const SKEW_MS: f64 = 609.375;
const DOWN_MS: f64 = 3_609.375;

/// How long nothing may happen where nothing should: twice as long as keepalived would wait.
const QUIET: Duration = Duration::from_secs(7);

/// How the routers speak with each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Way {
    /// Version 2, with keepalived's `auth_type PASS`.
    Version2,
    Version3,
    /// Version 3 to named neighbours.
    Unicast,
}

impl Way {
    pub fn version(self) -> u8 {
        if self == Self::Version2 { 2 } else { 3 }
    }

    pub fn password(self) -> Option<&'static str> {
        (self == Self::Version2).then_some("secret")
    }

    pub fn is_unicast(self) -> bool {
        self == Self::Unicast
    }

    fn configuration(self, third: Ipv4Addr) -> String {
        let password = self.password().map(|text| format!("password = \"{text}\"\n")).unwrap_or_default();
        let peers = if self.is_unicast() { format!("unicast_peers = [\"{third}\"]\n") } else { String::new() };
        format!("\n[vrrp]\nenabled = true\nversion = {}\n{password}{peers}", self.version())
    }
}

/// A protected pair and a third router.
struct Scene {
    third: Keepalived,
    adverts: Adverts,
    third_address: Ipv4Addr,
    lab: Lab,
    way: Way,
}

impl Scene {
    fn new(way: Way, priority: u8) -> Self {
        let lab = Lab::pair_with(RAMAIS.name, |third| way.configuration(third));
        let host = lab.host("one").clone();
        let peers: Vec<_> = lab.nodes.iter().map(|node| node.host.address).collect();
        let adverts = Adverts::start(&host);
        let third = Keepalived::start(&host, &lab.directory, way, priority, &peers);
        Self { third, adverts, third_address: host.address, lab, way }
    }

    fn address(&self, node: usize) -> Ipv4Addr {
        self.lab.nodes[node].host.address
    }

    /// Daemon and parent at once, as when the machine dies.
    fn kill(&mut self, node: usize) {
        self.lab.nodes[node].kill().expect("a kill");
    }

    fn serves(&self, node: usize) -> bool {
        self.lab.nodes[node].status().is_ok_and(|status| status.serves())
    }

    /// The third router has the address and says so.
    fn wait_third_serves(&self) {
        self.third.wait("address", || self.third.has_address());
    }

    /// This node has the address and the third router has given it back.
    fn wait_given_back(&self, node: usize) {
        self.third.wait("yielding", || self.serves(node) && !self.third.has_address());
        let from_us = now_us() + SECOND_US / 5;
        thread::sleep(QUIET);
        assert_eq!(self.adverts.of(self.third_address, from_us).len(), 0, "the third router is silent");
        assert!(!self.third.has_address());
        self.check_regular(node, from_us);
    }

    /// One sound advert a second.
    fn check_regular(&self, node: usize, from_us: u64) {
        let packets = self.adverts.of(self.address(node), from_us);
        packets.iter().for_each(|packet| self.check_fields(packet, OURS));
        let gaps: Vec<u64> = packets.windows(2).map(|pair| pair[1].at_us - pair[0].at_us).collect();
        assert!(gaps.len() >= 4, "{gaps:?}");
        let mean_us = gaps.iter().sum::<u64>() / gaps.len() as u64;
        assert!((950_000..=1_050_000).contains(&mean_us), "{gaps:?}");
        // The third router would act after three of them.
        assert!(gaps.iter().all(|gap| *gap < 2 * SECOND_US), "{gaps:?}");
    }

    /// facts/vrrp.md: TTL 255, group 224.0.0.18, the interval in the version's unit, the checksum's pseudo-header.
    fn check_fields(&self, packet: &Packet, priority: u8) {
        let bytes = &packet.bytes;
        let wanted = if self.way.is_unicast() { self.third_address } else { GROUP };
        assert_eq!((packet.ttl, packet.destination), (255, wanted), "{packet:?}");
        let interval = match self.way.version() {
            2 => [u8::from(self.way.password().is_some()), 1],
            _ => [0, 100],
        };
        let expected = [self.way.version() << 4 | 1, 10, priority, 1, interval[0], interval[1]];
        assert_eq!(bytes[..6], expected, "{packet:?}");
        assert_eq!(bytes[8..12], SERVICE.octets(), "{packet:?}");
        let password = self.way.password().map(|text| format!("{text:\0<8}")).unwrap_or_default();
        assert_eq!(&bytes[12..], password.as_bytes(), "{packet:?}");
        assert_eq!(packet.sum(self.way.version() == 3), 0xffff, "{packet:?}");
    }

    /// From a packet to the third router's first advert after it.
    fn third_after_ms(&self, packet: &Packet) -> f64 {
        let first = self.adverts.of(self.third_address, packet.at_us).into_iter().next().expect("an advert");
        (first.at_us - packet.at_us) as f64 / 1000.0
    }
}

fn only_while_both_nodes_are_gone(way: Way) {
    let mut scene = Scene::new(way, LOWER);
    let active = scene.lab.wait_protected();
    let standby = 1 - active;
    let begun_us = now_us();
    thread::sleep(QUIET);
    assert_eq!(scene.third.times_master(), 0, "while the pair serves");
    scene.check_regular(active, begun_us);
    assert_eq!(scene.adverts.of(scene.address(standby), begun_us).len(), 0, "the standby says nothing");

    scene.kill(active);
    thread::sleep(QUIET);
    assert!(scene.serves(standby));
    assert_eq!(scene.third.times_master(), 0, "while one node serves");
    let taken = scene.adverts.of(scene.address(standby), begun_us);
    let last = scene.adverts.of(scene.address(active), begun_us).pop().expect("an advert");
    let pause_ms = (taken.first().expect("an advert of the new active node").at_us - last.at_us) as f64 / 1000.0;
    assert!(pause_ms < DOWN_MS, "{pause_ms} ms");

    // facts/vrrp.md: Priority 0 = "I am leaving": the backup's timer is set to the skew time.
    scene.lab.nodes[standby].stop();
    scene.wait_third_serves();
    let last = scene.adverts.of(scene.address(standby), begun_us).pop().expect("an advert");
    scene.check_fields(&last, 0);
    let after_ms = scene.third_after_ms(&last);
    println!("{way:?}: the third router took over {after_ms:.1} ms after priority 0");
    assert!((SKEW_MS * 0.9..=SKEW_MS * SLACK).contains(&after_ms), "{after_ms} ms");

    scene.lab.nodes[active].start().expect("a node");
    scene.wait_given_back(active);

    scene.kill(active);
    let died_us = now_us();
    scene.wait_third_serves();
    let last = scene.adverts.of(scene.address(active), begun_us).pop().expect("an advert");
    assert!(last.at_us <= died_us && last.priority() == OURS);
    let after_ms = scene.third_after_ms(&last);
    println!("{way:?}: the third router took over {after_ms:.1} ms after the last advert");
    assert!((DOWN_MS * 0.99..=DOWN_MS + SKEW_MS * SLACK).contains(&after_ms), "{after_ms} ms");

    scene.lab.nodes[standby].start().expect("a node");
    scene.wait_given_back(standby);
}

#[test]
fn keepalived_of_version_2_serves_only_while_both_nodes_are_gone() {
    only_while_both_nodes_are_gone(Way::Version2);
}

#[test]
fn keepalived_of_version_3_serves_only_while_both_nodes_are_gone() {
    only_while_both_nodes_are_gone(Way::Version3);
}

#[test]
fn keepalived_as_unicast_neighbour_serves_only_while_both_nodes_are_gone() {
    only_while_both_nodes_are_gone(Way::Unicast);
}

/// Heartbeats decide in the pair, so that it goes on; the operator is told what to do.
#[test]
fn a_keepalived_of_greater_priority_is_told_of() {
    let mut scene = Scene::new(Way::Version3, GREATER);
    let active = scene.lab.wait_protected();
    let begun = Instant::now();
    let foreign = loop {
        let status = scene.lab.nodes[active].ask("status").expect("a status");
        let foreign = status["vrrp"]["foreign"][0].clone();
        if foreign.is_object() {
            break foreign;
        }
        assert!(begun.elapsed() < Duration::from_secs(15), "{status}");
        thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(foreign["address"], scene.third_address.to_string());
    assert_eq!(
        (&foreign["priority"], &foreign["outranks"], &foreign["claims"]),
        (&GREATER.into(), &true.into(), &true.into())
    );
    let log = scene.lab.nodes[active].log_tail(20);
    assert!(log.contains("lower its priority"), "{log}");
    assert!(scene.serves(active));
}
