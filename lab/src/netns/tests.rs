//! Real namespaces: these tests need root, as the lab does.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use super::*;

const A: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 11);
const B: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 12);

fn socket(network: &Network, host: &str, address: Ipv4Addr) -> UdpSocket {
    let host = network.host(host).expect("a host");
    let socket = host.sockets(&[SocketAddr::from((address, 5060))]).expect("a socket").remove(0);
    socket.set_read_timeout(Some(Duration::from_millis(300))).expect("a timeout");
    socket
}

fn arrives(from: &UdpSocket, to: &UdpSocket, address: Ipv4Addr, times: u32) -> u32 {
    let mut bytes = [0; 16];
    let mut arrived = 0;
    for _ in 0..times {
        // A host without carrier refuses to send, which is no arrival either.
        let sent = from.send_to(b"x", SocketAddr::from((address, 5060))).is_ok();
        arrived += u32::from(sent && to.recv(&mut bytes).is_ok());
    }
    arrived
}

fn drain(socket: &UdpSocket) {
    let mut bytes = [0; 16];
    socket.set_nonblocking(true).expect("a socket");
    while socket.recv(&mut bytes).is_ok() {}
    socket.set_nonblocking(false).expect("a socket");
}

#[test]
fn hosts_hear_each_other_until_one_is_cut_off() {
    let network = Network::build(&[("a", A), ("b", B)]).expect("a network");
    let (a, b) = (socket(&network, "a", A), socket(&network, "b", B));
    assert_eq!(arrives(&a, &b, B, 5), 5);
    network.cut("a").expect("a cut");
    assert_eq!(arrives(&a, &b, B, 2), 0);
    assert_eq!(arrives(&b, &a, A, 2), 0);
    network.heal("a").expect("a heal");
    assert!(arrives(&a, &b, B, 5) >= 3, "the switch forwards again");
}

/// facts/linux.md: `sch_netem` may be absent; loss is made with nftables.
#[test]
fn loses_what_it_is_told_to_lose() {
    let network = Network::build(&[("a", A), ("b", B)]).expect("a network");
    let (a, b) = (socket(&network, "a", A), socket(&network, "b", B));
    b.set_read_timeout(Some(Duration::from_millis(20))).expect("a timeout");
    assert!(arrives(&a, &b, B, 2) > 0);
    network.lose("a", 50).expect("loss");
    let arrived = arrives(&a, &b, B, 100);
    assert!((20..80).contains(&arrived), "{arrived} of 100");
    network.lose("a", 0).expect("no loss");
    assert_eq!(arrives(&a, &b, B, 20), 20);
}

#[test]
fn a_cut_in_one_direction_lets_the_other_one_pass() {
    let network = Network::build(&[("a", A), ("b", B)]).expect("a network");
    let (a, b) = (socket(&network, "a", A), socket(&network, "b", B));
    assert_eq!((arrives(&a, &b, B, 2), arrives(&b, &a, A, 2)), (2, 2), "both know each other's hardware address");
    network.lose_between(&[Loss { from: &["a"], to: &["b"], percent: 100 }]).expect("a cut");
    assert_eq!((arrives(&a, &b, B, 2), arrives(&b, &a, A, 2)), (0, 2));
    network.lose_between(&[Loss { from: &["a"], to: &["b"], percent: 50 }]).expect("loss");
    b.set_read_timeout(Some(Duration::from_millis(20))).expect("a timeout");
    let arrived = arrives(&a, &b, B, 100);
    assert!((20..80).contains(&arrived), "{arrived} of 100");
    network.lose_between(&[]).expect("no cut");
    assert_eq!(arrives(&a, &b, B, 20), 20);
}

#[test]
fn hosts_with_two_cables_hear_each_other_on_either() {
    const A_TOO: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 11);
    const B_TOO: Ipv4Addr = Ipv4Addr::new(10, 78, 0, 12);
    let network = Network::build(&[("a", A), ("b", B)]).expect("a network");
    let second = network.add_switch(&[("a", "10.78.0.11/24"), ("b", "10.78.0.12/24")]).expect("a cable");
    let (a, b) = (socket(&network, "a", A), socket(&network, "b", B));
    let (a_too, b_too) = (socket(&network, "a", A_TOO), socket(&network, "b", B_TOO));
    let both = || {
        // What waited for a neighbour's hardware address may have come since.
        [&b, &b_too].into_iter().for_each(drain);
        (arrives(&a, &b, B, 2), arrives(&a_too, &b_too, B_TOO, 2))
    };
    assert_eq!(both(), (2, 2));
    network.plug("a", second, false).expect("a cable out");
    assert_eq!(both(), (2, 0));
    network.plug("a", second, true).expect("a cable in");
    let begun = std::time::Instant::now();
    while both() != (2, 2) {
        assert!(begun.elapsed() < Duration::from_secs(10), "the second cable works again");
    }
    let all = Loss { from: &["a"], to: &["b"], percent: 100 };
    network.lose_on(&[LAN], &[all]).expect("a cut");
    assert_eq!(both(), (0, 2));
    network.lose_between(&[all]).expect("a cut");
    assert_eq!(both(), (0, 0));
    network.lose_between(&[]).expect("no cut");
    assert_eq!(both(), (2, 2));
    network.cut("b").expect("a cut");
    assert_eq!(both(), (0, 0));
}

#[test]
fn counts_what_a_host_sends_from_an_address() {
    let network = Network::build(&[("a", A), ("b", B)]).expect("a network");
    let (a, b) = (socket(&network, "a", A), socket(&network, "b", B));
    assert_eq!(arrives(&a, &b, B, 1), 1);
    network.count_from("a", A).expect("a counter");
    assert_eq!(network.counted().expect("a count"), (0, 0));
    assert_eq!((arrives(&a, &b, B, 3), arrives(&b, &a, A, 5)), (3, 5));
    assert_eq!(network.counted().expect("a count").0, 3, "and none of the other host");
    network.count_from("a", B).expect("a counter");
    assert_eq!((arrives(&a, &b, B, 3), network.counted().expect("a count").0), (3, 0));
}

#[test]
fn an_address_can_be_taken_away() {
    const SERVICE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 100);
    let network = Network::build(&[("a", A)]).expect("a network");
    let host = network.host("a").expect("a host");
    batch(&host.namespace, &format!("addr add {SERVICE}/32 dev eth0\n")).expect("an address");
    assert!(host.has_address(SERVICE).expect("an answer"));
    host.remove_address(SERVICE).expect("a removal");
    assert!(!host.has_address(SERVICE).expect("an answer") && host.has_address(A).expect("an answer"));
}

#[test]
fn nothing_is_left_behind() {
    let network = Network::build(&[("a", A)]).expect("a network");
    let host = network.host("a").expect("a host").clone();
    let path = format!("{NAMESPACE_DIRECTORY}/{}", host.namespace);
    assert!(Path::new(&path).exists());
    let mut sleeper = host.command("sleep").arg("100").spawn().expect("a process");
    while !process::run(Command::new("ip").args(["netns", "pids", &host.namespace]), "", COMMAND_LIMIT)
        .is_ok_and(|pids| pids.contains(&sleeper.id().to_string()))
    {
        thread::sleep(Duration::from_millis(5));
    }
    drop(network);
    assert!(!Path::new(&path).exists());
    assert!(!sleeper.wait().expect("an end").success(), "it was killed");
}

#[test]
fn leftovers_of_a_dead_run_are_removed() {
    let mut dead = Command::new("true").spawn().expect("a process");
    let name = format!("{NAME_BEGIN}-{}-0-a", dead.id());
    dead.wait().expect("an end");
    process::run(Command::new("ip").args(["netns", "add", &name]), "", COMMAND_LIMIT).expect("a namespace");
    let _network = Network::build(&[("a", A)]).expect("a network");
    assert!(!Path::new(&format!("{NAMESPACE_DIRECTORY}/{name}")).exists());
}
