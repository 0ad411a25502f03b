//! What other routers of the link hear of the pair.

use std::net::IpAddr;

use cluster::vrrp::{Advert, Authentication, Notice, Packet, Settings, Version, group_of};

use super::*;

pub const OWN: [&str; 2] = ["10.77.0.11", "10.77.0.12"];
const FOREIGN: &str = "10.77.0.31";

pub fn settings(priority: u8) -> Settings {
    Settings {
        version: Version::V3,
        vrid: 10,
        priority,
        interval: Duration::from_secs(1),
        addresses: vec![ip(SERVICE)],
        unicast_peers: Vec::new(),
        checksum_pseudo_header: true,
        authentication: Authentication::None,
    }
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A protected pair whose nodes have had their addresses for a while.
fn pair() -> Pair {
    let mut pair = Pair::protected();
    know_addresses(&mut pair);
    pair.run(1_500);
    pair.adverts = Default::default();
    pair
}

fn know_addresses(pair: &mut Pair) {
    for (index, own) in OWN.into_iter().enumerate() {
        pair.step(index, Event::OwnAddress { address: Some(ip(own)) });
    }
}

pub fn hear(pair: &mut Pair, index: usize, source: &str, priority: u8) {
    let Settings { version, vrid, interval, addresses, authentication, .. } = settings(150);
    let advert = Advert { version, vrid, priority, interval, addresses, authentication };
    let packet = Packet { source: ip(source), destination: group_of(ip(source)), ttl: 255 };
    let bytes = advert.encode(packet.source, packet.destination, true).unwrap();
    pair.step(index, Event::Vrrp { packet, bytes });
}

fn notices(pair: &Pair) -> Vec<Notice> {
    let notice = |tell: &Tell| match tell {
        Tell::Vrrp(notice) => Some(*notice),
        _ => None,
    };
    pair.tells.iter().filter_map(notice).collect()
}

#[test]
fn only_the_active_node_adverts_once_in_each_interval() {
    let mut pair = pair();
    pair.run(10_000);
    assert_eq!((&pair.adverts[0], pair.adverts[1].len()), (&vec![150; 10], 0));
}

#[test]
fn a_takeover_is_adverted_at_once_and_holds_the_place() {
    let mut pair = pair();
    // The active node is cut off: nothing that it sends arrives.
    for _ in 0..200 {
        pair.now.local += Duration::from_millis(1);
        pair.step(1, Event::Timeout);
        pair.wire.clear();
    }
    assert_eq!(pair.nodes[1].role(), Role::Active);
    assert_eq!(pair.adverts[1], [149]);
}

#[test]
fn a_standby_that_cannot_take_over_yet_holds_the_place() {
    let mut pair = pair();
    // The log does not pass, so that the active node tells phones what the standby does not have.
    pair.log_passes = false;
    pair.register(0);
    pair.run(400);
    assert_eq!(pair.nodes[1].role(), Role::Standby);
    for _ in 0..200 {
        pair.now.local += Duration::from_millis(1);
        pair.step(1, Event::Timeout);
        pair.wire.clear();
    }
    assert_eq!((pair.nodes[1].role(), &pair.adverts[1]), (Role::Standby, &vec![149]));
}

#[test]
fn a_switchover_tells_nobody_to_take_the_address() {
    let mut pair = pair();
    pair.step(0, Event::Asked { number: 1, operator: Operator::SwitchOver });
    pair.run(500);
    assert_eq!(pair.nodes[1].role(), Role::Active);
    assert_eq!(pair.adverts, [vec![], vec![149]], "the former active node is silent and the new one speaks at once");
}

#[test]
fn a_stop_says_goodbye_only_when_the_other_node_is_gone() {
    let mut pair = pair();
    pair.step(0, Event::Asked { number: 1, operator: Operator::Stop });
    pair.run(500);
    assert_eq!(pair.nodes[1].role(), Role::Active);
    assert!(!pair.adverts[0].contains(&0), "{:?}", pair.adverts);
    let mut alone = Pair::new(0);
    know_addresses(&mut alone);
    alone.run(100);
    alone.adverts = Default::default();
    alone.step(0, Event::Asked { number: 1, operator: Operator::Stop });
    alone.run(5_000);
    assert_eq!(alone.adverts[0], [0], "and is silent for ever");
}

#[test]
fn the_nodes_know_each_others_adverts() {
    let mut pair = pair();
    for index in 0..2 {
        hear(&mut pair, index, OWN[1 - index], 254);
        hear(&mut pair, index, OWN[index], 254);
    }
    assert_eq!(notices(&pair), []);
    assert_eq!(pair.adverts, [vec![], vec![]], "heartbeats decide");
    assert_eq!(pair.nodes[0].role(), Role::Active);
}

#[test]
fn a_foreign_router_that_claims_the_address_is_answered_by_the_active_node() {
    let mut pair = pair();
    pair.neighbours_told = 0;
    for index in 0..2 {
        hear(&mut pair, index, FOREIGN, 100);
    }
    assert_eq!(pair.adverts, [vec![150], vec![]]);
    assert_eq!(pair.neighbours_told, 1);
    assert!(matches!(notices(&pair)[..], [Notice::Foreign { claims: true, .. }, Notice::Foreign { .. }]));
    let line = pair.nodes[0].status(pair.now).vrrp.unwrap();
    assert_eq!((line.own.as_deref(), line.foreign[0].address.as_str()), (Some(OWN[0]), FOREIGN));
    assert!(!line.foreign[0].outranks);
}

#[test]
fn no_foreign_priority_moves_the_role_and_the_operator_is_told() {
    let mut pair = pair();
    for _ in 0..10 {
        for index in 0..2 {
            hear(&mut pair, index, FOREIGN, 255);
        }
        pair.run(1_000);
    }
    assert_eq!((pair.nodes[0].role(), pair.nodes[1].role()), (Role::Active, Role::Standby));
    assert_eq!(pair.adverts[0].len(), 10, "the pair goes on");
    let outranked = Notice::Outranked { source: ip(FOREIGN), priority: 255, own: 150 };
    assert_eq!(notices(&pair).into_iter().filter(|notice| *notice == outranked).count(), 1);
}

#[test]
fn after_an_unplugged_cable_the_active_node_speaks_at_once() {
    let mut pair = Pair::new(0);
    know_addresses(&mut pair);
    pair.run(100);
    pair.adverts = Default::default();
    pair.step(0, Event::Carrier { up: false });
    assert_eq!(pair.adverts[0], []);
    pair.step(0, Event::Carrier { up: true });
    assert_eq!(pair.adverts[0], [150]);
}

/// facts/vrrp.md: double master after a scheduling stall or a paused VM. What waits is read first, so that a node that
/// wakes learns of the other's reign before its own advert is due.
#[test]
fn a_node_that_wakes_in_anothers_reign_adverts_nothing() {
    let mut pair = pair();
    let mut waiting = Vec::new();
    for _ in 0..2_500 {
        pair.now.local += Duration::from_millis(1);
        if pair.nodes[1].next_timeout().is_some_and(|due| due <= pair.now.local) {
            pair.step(1, Event::Timeout);
        }
        waiting.append(&mut pair.wire);
    }
    assert_eq!((pair.nodes[1].role(), pair.adverts[1].len()), (Role::Active, 3));
    for (index, bytes) in waiting {
        pair.step(index, Event::Peer { link: 0, bytes });
    }
    pair.step(0, Event::Timeout);
    assert_eq!((pair.nodes[0].role(), &pair.adverts[0]), (Role::Standby, &vec![]));
}
