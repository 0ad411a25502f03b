use base::Random;

use super::*;

mod learning;

const A_PORT: u16 = 10_000;
const B_PORT: u16 = 10_002;

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn remote(rtp: &str) -> Option<Remote> {
    let rtp = address(rtp);
    Some(Remote { rtp, rtcp: SocketAddr::new(rtp.ip(), rtp.port() + 1) })
}

fn port(number: u16, remote: Option<Remote>, forward_to: Option<u16>) -> Port {
    Port { port: number, remote, symmetric: true, forward_to, echo_ssrc: None, local: None }
}

/// A call: A at 192.0.2.1:4000, B at 192.0.2.2:5000.
fn call() -> Relay {
    let mut relay = Relay::new();
    relay.open(port(A_PORT, remote("192.0.2.1:4000"), Some(B_PORT)));
    relay.open(port(B_PORT, remote("192.0.2.2:5000"), Some(A_PORT)));
    relay
}

fn rtp_packet() -> Vec<u8> {
    let mut packet = vec![0x80, 0, 0, 1, 0, 0, 0, 160, 0xaa, 0xbb, 0xcc, 0xdd];
    packet.extend([0xd5; 160]);
    packet
}

fn rtcp_packet() -> Vec<u8> {
    vec![0x80, 201, 0, 1, 1, 2, 3, 4]
}

fn send(relay: &mut Relay, millis: u64, local_port: u16, source: &str) -> Option<Forward> {
    let mut packet = if local_port.is_multiple_of(2) { rtp_packet() } else { rtcp_packet() };
    relay.handle(LocalTime::from_millis(millis), local_port, address(source), &mut packet)
}

fn forward(local_port: u16, destination: &str) -> Option<Forward> {
    Some(Forward { local_port, destination: address(destination) })
}

#[test]
fn both_directions_and_rtcp_leave_by_the_other_leg_untouched() {
    let mut relay = call();
    let mut packet = rtp_packet();
    let sent = relay.handle(LocalTime::ZERO, A_PORT, address("192.0.2.1:4000"), &mut packet);
    assert_eq!(sent, forward(B_PORT, "192.0.2.2:5000"));
    assert_eq!(packet, rtp_packet());
    assert_eq!(send(&mut relay, 0, B_PORT, "192.0.2.2:5000"), forward(A_PORT, "192.0.2.1:4000"));
    assert_eq!(send(&mut relay, 0, A_PORT + 1, "192.0.2.1:4001"), forward(B_PORT + 1, "192.0.2.2:5001"));
    assert_eq!(send(&mut relay, 0, B_PORT + 1, "192.0.2.2:5001"), forward(A_PORT + 1, "192.0.2.1:4001"));
}

#[test]
fn what_is_not_rtp_teaches_nothing() {
    let mut relay = call();
    for packet in [&b"INVITE sip:a@b SIP/2.0"[..], b"", b"\x80\x00", b"\0\0\0\0"] {
        let mut packet = packet.to_vec();
        assert_eq!(relay.handle(LocalTime::ZERO, A_PORT, address("203.0.113.9:9"), &mut packet), None);
    }
    let mut packet = rtp_packet();
    assert_eq!(relay.handle(LocalTime::ZERO, A_PORT + 1, address("203.0.113.9:9"), &mut packet), None);
    assert_eq!(relay.learned(), vec![]);
    assert_eq!(send(&mut relay, 0, B_PORT, "192.0.2.2:5000"), forward(A_PORT, "192.0.2.1:4000"));
    assert_eq!(relay.statistics(A_PORT).unwrap().dropped, Dropped { not_rtp: 5, ..Dropped::default() });
}

#[test]
fn echo_sends_back_with_its_own_ssrc() {
    let mut relay = Relay::new();
    relay.open(Port { echo_ssrc: Some(0x0102_0304), ..port(A_PORT, remote("10.0.0.5:4000"), Some(A_PORT)) });
    let mut packet = rtp_packet();
    let sent = relay.handle(LocalTime::ZERO, A_PORT, address("192.0.2.1:4444"), &mut packet);
    assert_eq!(sent, forward(A_PORT, "192.0.2.1:4444"));
    assert_eq!(packet[8..12], [1, 2, 3, 4]);
    assert_eq!(packet[..8], rtp_packet()[..8]);
    assert_eq!(packet[12..], rtp_packet()[12..]);
    // The sender's own reports would look to it like a collision.
    assert_eq!(send(&mut relay, 0, A_PORT + 1, "192.0.2.1:4445"), None);
    assert_eq!(relay.statistics(A_PORT).unwrap().dropped.echo_rtcp, 1);
}

#[test]
fn nothing_is_sent_to_nowhere() {
    for nowhere in ["0.0.0.0:5000", "[::]:5000", "192.0.2.2:0"] {
        let mut relay = call();
        relay.update(port(B_PORT, remote(nowhere), Some(A_PORT)));
        assert_eq!(send(&mut relay, 0, A_PORT, "192.0.2.1:4000"), None, "{nowhere}");
        assert_eq!(relay.statistics(A_PORT).unwrap().dropped.no_destination, 1);
    }
    let mut relay = call();
    relay.update(port(B_PORT, None, Some(A_PORT)));
    assert_eq!(send(&mut relay, 0, A_PORT, "192.0.2.1:4000"), None);
    relay.close(B_PORT);
    assert_eq!(send(&mut relay, 0, A_PORT, "192.0.2.1:4000"), None);
    relay.update(port(A_PORT, remote("192.0.2.1:4000"), None));
    assert_eq!(send(&mut relay, 0, A_PORT, "192.0.2.1:4000"), None);
    let dropped = relay.statistics(A_PORT).unwrap().dropped;
    assert_eq!(dropped, Dropped { no_destination: 1, not_forwarded: 2, ..Dropped::default() });
}

#[test]
fn statistics_count_what_came_left_and_was_dropped() {
    let mut relay = call();
    send(&mut relay, 10, A_PORT, "192.0.2.1:4000");
    send(&mut relay, 20, A_PORT, "203.0.113.9:9");
    send(&mut relay, 30, A_PORT + 1, "192.0.2.1:4001");
    let a = Statistics {
        packets_in: 3,
        packets_out: 0,
        dropped: Dropped { stranger: 1, ..Dropped::default() },
        rtp_heard: Some(LocalTime::from_millis(10)),
        rtcp_heard: Some(LocalTime::from_millis(30)),
    };
    assert_eq!(relay.statistics(A_PORT), Some(a));
    assert_eq!(relay.statistics(A_PORT + 1), Some(a));
    assert_eq!(a.dropped.total(), 1);
    assert_eq!(relay.statistics(B_PORT), Some(Statistics { packets_out: 2, ..Statistics::default() }));
    assert_eq!(relay.statistics(9_998), None);
}

/// The table against a plain list of the same ports, through many openings and closings.
#[test]
fn ports_are_found_whatever_was_opened_and_closed() {
    let mut random = Random::from_number(7);
    let mut relay = Relay::new();
    let mut model: Vec<u16> = Vec::new();
    for _ in 0..3_000 {
        let number = if random.one_in(20) { 65_534 * (random.below(2) as u16) } else { random.below(64) as u16 * 2 };
        if random.one_in(2) {
            relay.open(port(number, remote("192.0.2.1:4000"), Some(number)));
            if !model.contains(&number) {
                model.push(number);
            }
        } else {
            relay.close(number);
            model.retain(|open| *open != number);
        }
        let mut ports: Vec<u16> = relay.ports().map(|port| port.port).collect();
        ports.sort_unstable();
        model.sort_unstable();
        assert_eq!(ports, model);
        assert_eq!(relay.is_open(number), model.contains(&number));
        for number in &model {
            assert_eq!(
                send(&mut relay, 0, *number, "198.51.100.1:7"),
                forward(*number, "198.51.100.1:7"),
                "port {number}"
            );
        }
    }
}

#[test]
fn a_port_that_was_closed_and_opened_again_knows_nothing_of_the_call_before() {
    let mut relay = call();
    send(&mut relay, 0, A_PORT, "198.51.100.1:7");
    relay.close(A_PORT);
    relay.open(port(A_PORT, remote("192.0.2.7:4000"), Some(B_PORT)));
    assert_eq!(relay.learned(), vec![]);
    assert_eq!(send(&mut relay, 1, B_PORT, "192.0.2.2:5000"), forward(A_PORT, "192.0.2.7:4000"));
    assert_eq!(relay.statistics(A_PORT).unwrap().packets_in, 0);
}

#[test]
fn random_packets_never_break_it() {
    let mut random = Random::from_number(3);
    let mut relay = call();
    for step in 0..20_000 {
        let mut packet = random.bytes::<64>();
        let length = random.below(65) as usize;
        let source = SocketAddr::from(([192, 0, 2, random.below(4) as u8], random.below(3) as u16));
        let local_port = A_PORT + random.below(6) as u16;
        let sent = relay.handle(LocalTime::from_millis(step), local_port, source, &mut packet[..length]);
        assert!(sent.is_none_or(|sent| (sent.local_port ^ local_port) & 1 == 0 && sent.local_port != local_port));
    }
    let statistics = relay.statistics(A_PORT).unwrap();
    assert!(statistics.dropped.not_rtp > 0 && statistics.dropped.total() < statistics.packets_in);
}

#[test]
fn encodings_are_golden() {
    let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let full = Port { echo_ssrc: Some(7), ..port(A_PORT, remote("192.0.2.1:4000"), Some(B_PORT)) };
    let bytes = minicbor::to_vec(&full).unwrap();
    assert_eq!(minicbor::decode::<Port>(&bytes).unwrap(), full);
    assert_eq!(hex(bytes), "851927108246c00002010fa046c00002010fa1f519271207");
    let bare = Port { symmetric: false, ..port(A_PORT, None, None) };
    let bytes = minicbor::to_vec(&bare).unwrap();
    assert_eq!(minicbor::decode::<Port>(&bytes).unwrap(), bare);
    assert_eq!(hex(bytes), "83192710f6f4");
    let elsewhere = Port { local: Some([192, 0, 2, 100].into()), ..bare };
    let bytes = minicbor::to_vec(&elsewhere).unwrap();
    assert_eq!(minicbor::decode::<Port>(&bytes).unwrap(), elsewhere);
    let learned = Learned { port: A_PORT, rtp: None, rtcp: Some(address("192.0.2.1:4001")) };
    let bytes = minicbor::to_vec(&learned).unwrap();
    assert_eq!(minicbor::decode::<Learned>(&bytes).unwrap(), learned);
    assert_eq!(hex(bytes), "83192710f646c00002010fa1");
}
