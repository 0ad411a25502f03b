//! Calls between the networks of two service addresses: each party is served at the one of its own network.

use super::*;
use crate::record::Disposition;

const OFFICE: &str = "10.77.0.21:5060";
const TRUNK: &str = "192.0.2.22:5060";

/// What was sent to this address, with the socket it left from.
fn sent(world: &World, destination: &str) -> (SocketAddr, String) {
    let destination: SocketAddr = destination.parse().unwrap();
    let transmit = world.sent.iter().find(|transmit| transmit.destination == destination).expect("a message");
    (transmit.local, String::from_utf8(transmit.bytes.clone()).unwrap())
}

/// Everything that this message says of us is this server, and nothing is the other one.
fn says(message: &str, server: &str, other: &str) {
    let (host, other) = (server.split(':').next().unwrap(), other.split(':').next().unwrap());
    assert!(message.contains(&format!("c=IN IP4 {host}")), "{message}");
    let contact = message.lines().find(|line| line.starts_with("Contact:")).expect("a contact");
    assert!(contact.contains(server), "{contact}");
    assert!(!message.replace("From:", "").contains(&format!("@{other}:")), "{message}");
    assert!(!message.contains(&format!("IP4 {other}")), "{message}");
}

#[test]
fn each_party_is_served_at_the_address_of_its_network() {
    let mut world = World::new();
    let (mut a, mut b) = (Phone::new("5000", "one", OFFICE), Phone::new("5001", "two", TRUNK));
    a.register(&mut world, 3600);
    b.register(&mut world, 3600);
    a.call_id = "the-call".into();
    let invite = a.invite(&mut world, "5001");
    world.take_response(OFFICE, 100);

    let (local, to_b) = sent(&world, TRUNK);
    assert_eq!(local, TRUNK_SERVER.parse().unwrap());
    says(&to_b, TRUNK_SERVER, SERVER);
    assert!(to_b.contains("Via: SIP/2.0/UDP 192.0.2.100:5060"), "{to_b}");
    let to_b = world.take_request(TRUNK, Method::Invite);

    // The other node knows from the log alone which address each leg has.
    world.move_to_other_node();
    world.sent.clear();
    world.send(TRUNK, &b.respond(&to_b, 200, Some(4002)));
    let (local, _) = sent(&world, TRUNK);
    assert_eq!(local, TRUNK_SERVER.parse().unwrap(), "the ACK leaves from there, too");
    world.take_request(TRUNK, Method::Ack);
    let (local, ok) = sent(&world, OFFICE);
    assert_eq!(local, SERVER.parse().unwrap());
    says(&ok, SERVER, TRUNK_SERVER);
    let ok = world.take_response(OFFICE, 200);
    world.send(OFFICE, &a.ack(&invite, &ok, true).to_bytes());

    let port_of = |network: &str| {
        let of = |port: &&Port| port.remote.is_some_and(|remote| remote.rtp.ip().to_string().starts_with(network));
        world.ports.values().find(of).expect("a port").local
    };
    assert_eq!(port_of("10.77."), None, "the first address needs no saying");
    assert_eq!(port_of(TRUNK_NETWORK), Some(TRUNK_SERVER.parse::<SocketAddr>().unwrap().ip()));

    let bye = b.in_dialog_of(Method::Bye, &to_b);
    world.send(TRUNK, &bye.to_bytes());
    let (local, _) = sent(&world, OFFICE);
    assert_eq!(local, SERVER.parse().unwrap());
    world.take_response(TRUNK, 200);
    let bye = world.take_request(OFFICE, Method::Bye);
    world.send(OFFICE, &a.respond(&bye, 200, None));
    world.wait(Duration::from_secs(40));
    assert_eq!(world.records.len(), 1);
    assert_eq!(world.records[0].disposition, Disposition::Answered);
    assert!(world.ports.is_empty());
}
