use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Receiver;
use std::time::Instant;

use super::*;
use media::relay::Remote;

/// How long a test waits for what must come; it fails then.
const PATIENCE: Duration = Duration::from_secs(10);

const HOST: &str = "127.0.0.1";

/// Two sockets on an even port and the odd one above it.
fn pair() -> (u16, UdpSocket, UdpSocket) {
    for _ in 0..1_000 {
        let rtp = UdpSocket::bind((HOST, 0)).unwrap();
        let port = rtp.local_addr().unwrap().port();
        if port.is_multiple_of(2)
            && let Ok(rtcp) = UdpSocket::bind((HOST, port + 1))
        {
            return (port, rtp, rtcp);
        }
    }
    panic!("no even port with a free one above it");
}

struct Phone {
    rtp: UdpSocket,
    rtcp: UdpSocket,
}

impl Phone {
    fn new() -> Self {
        let (_, rtp, rtcp) = pair();
        for socket in [&rtp, &rtcp] {
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
        }
        Self { rtp, rtcp }
    }

    fn remote(&self) -> Remote {
        Remote { rtp: self.rtp.local_addr().unwrap(), rtcp: self.rtcp.local_addr().unwrap() }
    }
}

struct Bench {
    threads: RtpThreads,
    learned: Receiver<RtpEvent>,
}

fn start(threads: usize) -> Bench {
    let (sender, learned) = mpsc::channel();
    let events = Box::new(move |event| sender.send(event).unwrap_or(()));
    // A busy machine must not look like one that sleeps.
    Bench { threads: RtpThreads::start_with(threads, || (), events, 6 * PATIENCE).unwrap(), learned }
}

impl Bench {
    /// Opens a port for a phone that signalled `remote`.
    fn open(&self, remote: Remote, forward_to: impl FnOnce(u16) -> Option<u16>) -> Port {
        let (number, rtp, rtcp) = pair();
        let port = Port {
            port: number,
            remote: Some(remote),
            symmetric: true,
            forward_to: forward_to(number),
            echo_ssrc: Some(0x0102_0304),
            local: None,
        };
        self.threads.open(port.clone(), rtp.into(), rtcp.into()).unwrap();
        port
    }
}

fn rtp_packet(mark: u8) -> Vec<u8> {
    let mut packet = vec![0x80, 0, 0, mark, 0, 0, 0, 160, 0xaa, 0xbb, 0xcc, 0xdd];
    packet.extend([mark; 160]);
    packet
}

fn rtcp_packet(mark: u8) -> Vec<u8> {
    vec![0x80, 201, 0, 1, 1, 2, 3, mark]
}

/// Sends to our `port` and expects the same packet at the other socket, from our `out` port.
fn passes(from: &UdpSocket, port: u16, packet: &[u8], to: &UdpSocket, out: u16) {
    from.send_to(packet, (HOST, port)).unwrap();
    let mut buffer = [0; 4096];
    let (length, source) = to.recv_from(&mut buffer).unwrap();
    assert_eq!((&buffer[..length], source.port()), (packet, out));
}

fn talk(a: &Phone, a_port: u16, b: &Phone, b_port: u16) {
    for mark in 0..3 {
        passes(&a.rtp, a_port, &rtp_packet(mark), &b.rtp, b_port);
        passes(&b.rtp, b_port, &rtp_packet(mark + 100), &a.rtp, a_port);
        passes(&a.rtcp, a_port + 1, &rtcp_packet(mark), &b.rtcp, b_port + 1);
        passes(&b.rtcp, b_port + 1, &rtcp_packet(mark + 100), &a.rtcp, a_port + 1);
    }
}

fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "{what} did not come");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn two_phones_talk_on_one_thread_or_on_two() {
    for threads in [1, 2] {
        let bench = start(threads);
        let (a, b) = (Phone::new(), Phone::new());
        // Nobody forwards yet, so that with two threads each port is on its own.
        let a_port = bench.open(a.remote(), |_| None);
        let b_port = bench.open(b.remote(), |_| None);
        assert_eq!(bench.threads.ports().len(), 2);
        bench.threads.update(Port { forward_to: Some(b_port.port), ..a_port.clone() }).unwrap();
        bench.threads.update(Port { forward_to: Some(a_port.port), ..b_port.clone() }).unwrap();
        talk(&a, a_port.port, &b, b_port.port);
        let statistics = bench.threads.statistics(a_port.port).unwrap();
        assert_eq!((statistics.packets_in, statistics.packets_out, statistics.dropped.total()), (6, 6, 0));
        let totals = bench.threads.totals();
        assert_eq!(totals, Totals { packets_received: 12, packets_sent: 12, ..Totals::default() });
        assert!(bench.learned.try_recv().is_err(), "the phones are where they said");
    }
}

#[test]
fn a_phone_behind_nat_is_learned_and_reported() {
    let bench = start(1);
    let (a, b, elsewhere) = (Phone::new(), Phone::new(), Phone::new());
    let a_port = bench.open(elsewhere.remote(), |_| None);
    let b_port = bench.open(b.remote(), |_| Some(a_port.port));
    bench.threads.update(Port { forward_to: Some(b_port.port), ..a_port.clone() }).unwrap();
    bench.threads.taken_over();
    talk(&a, a_port.port, &b, b_port.port);
    let Remote { rtp, rtcp } = a.remote();
    let expected = [(Some(rtp), None), (None, Some(rtcp))].map(|(rtp, rtcp)| Learned { port: a_port.port, rtp, rtcp });
    for learned in expected {
        assert_eq!(bench.learned.recv_timeout(PATIENCE), Ok(RtpEvent::Learned(learned)));
    }
}

#[test]
fn echo_comes_back_with_another_ssrc() {
    let bench = start(1);
    let phone = Phone::new();
    let port = bench.open(phone.remote(), Some);
    phone.rtp.send_to(&rtp_packet(7), (HOST, port.port)).unwrap();
    let mut buffer = [0; 4096];
    let length = phone.rtp.recv(&mut buffer).unwrap();
    let mut expected = rtp_packet(7);
    expected[8..12].copy_from_slice(&[1, 2, 3, 4]);
    assert_eq!(buffer[..length], expected);
}

#[test]
fn a_closed_port_is_free_again() {
    let bench = start(1);
    let phone = Phone::new();
    let port = bench.open(phone.remote(), Some);
    assert!(bench.threads.statistics(port.port).is_some());
    bench.threads.close(port.port);
    bench.threads.close(port.port);
    assert_eq!(bench.threads.statistics(port.port), None);
    assert_eq!(bench.threads.ports(), [0_u16; 0]);
    eventually("the free port", || UdpSocket::bind((HOST, port.port)).is_ok());
    bench.threads.update(port.clone()).unwrap();
    assert_eq!(bench.threads.ports(), [0_u16; 0]);
}

#[test]
fn a_port_opened_again_uses_its_new_sockets() {
    let bench = start(2);
    let (a, b) = (Phone::new(), Phone::new());
    let first = bench.open(a.remote(), Some);
    let (number, rtp, rtcp) = pair();
    let duplicate = (rtp.try_clone().unwrap(), rtcp.try_clone().unwrap());
    bench.threads.open(Port { port: number, ..first.clone() }, rtp.into(), rtcp.into()).unwrap();
    bench.threads.close(number);
    let port = Port { port: number, remote: Some(b.remote()), forward_to: Some(first.port), ..first.clone() };
    bench.threads.open(port.clone(), duplicate.0.into(), duplicate.1.into()).unwrap();
    bench.threads.update(Port { forward_to: Some(number), ..first.clone() }).unwrap();
    talk(&a, first.port, &b, number);
}

#[test]
fn an_error_of_a_socket_is_counted_and_ends_nothing() {
    let bench = start(1);
    let (a, b) = (Phone::new(), Phone::new());
    // Without leave to broadcast the kernel refuses this address.
    let nowhere: SocketAddr = "255.255.255.255:9".parse().unwrap();
    let a_port = bench.open(a.remote(), |_| None);
    let b_port = bench.open(Remote { rtp: nowhere, rtcp: nowhere }, |_| Some(a_port.port));
    bench.threads.update(Port { forward_to: Some(b_port.port), ..a_port.clone() }).unwrap();
    a.rtp.send_to(&rtp_packet(1), (HOST, a_port.port)).unwrap();
    eventually("the count", || bench.threads.totals().send_errors == 1);
    bench.threads.update(Port { remote: Some(b.remote()), ..b_port.clone() }).unwrap();
    talk(&a, a_port.port, &b, b_port.port);
}

#[test]
fn a_packet_too_long_is_dropped_and_the_longest_passes() {
    let bench = start(1);
    let phone = Phone::new();
    let port = bench.open(phone.remote(), Some);
    let mut packet = rtp_packet(1);
    packet.resize(PACKET_BYTES_MAX + 1, 0);
    phone.rtp.send_to(&packet, (HOST, port.port)).unwrap();
    phone.rtp.send_to(&packet[..PACKET_BYTES_MAX], (HOST, port.port)).unwrap();
    let mut buffer = [0; 4096];
    assert_eq!(phone.rtp.recv(&mut buffer).unwrap(), PACKET_BYTES_MAX);
    assert_eq!(bench.threads.totals().oversize, 1);
}

#[test]
fn ports_that_name_each_other_do_not_pass_a_packet_round() {
    let bench = start(1);
    let phone = Phone::new();
    let open = |number: u16, rtp: UdpSocket, rtcp: UdpSocket, other: u16| {
        let address = SocketAddr::new(HOST.parse().unwrap(), other);
        let remote = Some(Remote { rtp: address, rtcp: address });
        let port =
            Port { port: number, remote, symmetric: false, forward_to: Some(other), echo_ssrc: None, local: None };
        bench.threads.open(port, rtp.into(), rtcp.into()).unwrap();
    };
    let ((p, p_rtp, p_rtcp), (q, q_rtp, q_rtcp)) = (pair(), pair());
    open(p, p_rtp, p_rtcp, q);
    open(q, q_rtp, q_rtcp, p);
    phone.rtp.send_to(&rtp_packet(1), (HOST, p)).unwrap();
    eventually("the loop", || bench.threads.totals().looped > 0);
    // The thread has dealt with whatever it had sent to itself before it answers twice.
    assert_eq!(bench.threads.statistics(p).unwrap().packets_in, 1);
    assert_eq!(bench.threads.statistics(q).unwrap().packets_in, 0);
    assert_eq!(bench.threads.totals().looped, 1);
}

#[test]
fn what_came_during_a_sleep_is_not_passed_on_until_the_node_says_so() {
    let (sender, told) = mpsc::channel();
    let events = Box::new(move |event| {
        // Whatever keeps the thread away is a sleep to it.
        if matches!(event, RtpEvent::Learned(_)) {
            thread::sleep(2 * ASLEEP);
        }
        sender.send(event).unwrap_or(());
    });
    let bench = Bench { threads: RtpThreads::start(1, || (), events).unwrap(), learned: told };
    let (a, b, elsewhere) = (Phone::new(), Phone::new(), Phone::new());
    let a_port = bench.open(elsewhere.remote(), |_| None);
    let b_port = bench.open(b.remote(), |_| Some(a_port.port));
    bench.threads.update(Port { forward_to: Some(b_port.port), ..a_port.clone() }).unwrap();
    bench.threads.taken_over();
    let stale = || bench.threads.totals().stale;
    // The first packet passes, and its new source is told of, which takes long.
    a.rtp.send_to(&rtp_packet(1), (HOST, a_port.port)).unwrap();
    eventually("the first packet", || bench.threads.totals().packets_received > 0);
    a.rtp.send_to(&rtp_packet(2), (HOST, a_port.port)).unwrap();
    eventually("a stale packet", || stale() > 0);
    let woke = |event| matches!(event, RtpEvent::Woke { asleep } if asleep >= ASLEEP);
    eventually("the thread's word", || bench.learned.try_recv().is_ok_and(woke));
    let mut mark = 3;
    eventually("what follows", || {
        bench.threads.go_on();
        a.rtp.send_to(&rtp_packet(mark), (HOST, a_port.port)).unwrap();
        mark += 1;
        bench.threads.totals().packets_sent > 1
    });
    let mut buffer = [0; 4096];
    let marks: Vec<u8> = (0..2).map(|_| b.rtp.recv_from(&mut buffer).map(|_| buffer[3]).unwrap()).collect();
    assert!(marks[0] == 1 && marks[1] > 2, "{marks:?}");
}

/// The first thread's core is away: it does not come to run while packets do.
#[test]
fn a_relief_reads_what_nobody_else_does() {
    static AWAY: AtomicBool = AtomicBool::new(true);
    fn stay_away() {
        let is_first = thread::current().name().is_some_and(|name| name == "rtp-0");
        while is_first && AWAY.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(1));
        }
    }
    let (sender, learned) = mpsc::channel();
    let events = Box::new(move |event| sender.send(event).unwrap_or(()));
    let bench = Bench { threads: RtpThreads::start_with(1, stay_away, events, 6 * PATIENCE).unwrap(), learned };
    let (a, b) = (Phone::new(), Phone::new());
    let a_port = bench.open(a.remote(), |_| None);
    let b_port = bench.open(b.remote(), |_| Some(a_port.port));
    bench.threads.update(Port { forward_to: Some(b_port.port), ..a_port.clone() }).unwrap();
    talk(&a, a_port.port, &b, b_port.port);
    AWAY.store(false, Ordering::Relaxed);
    talk(&a, a_port.port, &b, b_port.port);
}
