use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

use super::*;

const WAIT: Duration = Duration::from_secs(10);

fn ask(listen: SocketAddr) -> Option<String> {
    let mut stream = TcpStream::connect(listen).ok()?;
    stream.set_read_timeout(Some(WAIT)).ok()?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text)
}

/// One test, because a process has one recorder.
#[test]
fn prometheus_is_told_what_the_node_is() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = free.local_addr().unwrap();
    assert!(matches!(Metrics::start(listen), Err(MetricsError::Listen { .. })), "somebody else has the port");
    drop(free);
    let mut metrics = Metrics::start(listen).unwrap();
    metrics.step("datagram", Duration::from_micros(1_500));
    metrics.step("datagram", Duration::from_millis(30));
    metrics.step("log", Duration::from_millis(1));
    let link = LinkNumbers { name: "10.77.0.12:7700".into(), received: 7, sent: 8, ignored: 1, handshakes: 2 };
    let audio = AudioNumbers { packets_received: 100, packets_sent: 99, errors: 1 };
    let mut status = crate::human::tests::example().status;
    let trouble = Some("its disk is full".into());
    let records = node::RecordsLine { trouble, spooled: 3, oldest_seconds: Some(185), ..Default::default() };
    status.records = Some(records);
    metrics.look(&status, &[link], audio);
    let begun = Instant::now();
    let text = loop {
        match ask(listen) {
            Some(text) => break text,
            None => assert!(begun.elapsed() < WAIT, "nobody answers"),
        }
    };
    for line in [
        "tandem_role{role=\"active\"} 1",
        "tandem_role{role=\"standby\"} 0",
        "tandem_protected 1",
        "tandem_unprotected_seconds 75",
        "tandem_registrations 12",
        "tandem_calls 5",
        "tandem_drained 0",
        "tandem_peer_drained 0",
        "tandem_level 2",
        "tandem_priority 150",
        "tandem_records_store_up 0",
        "tandem_records_spooled 3",
        "tandem_records_oldest_seconds 185",
        "tandem_link_received_total{link=\"10.77.0.12:7700\"} 7",
        "tandem_audio_packets_received_total 100",
        "tandem_step_seconds_bucket{event=\"datagram\",le=\"0.001\"} 0",
        "tandem_step_seconds_bucket{event=\"datagram\",le=\"0.002\"} 1",
        "tandem_step_seconds_count{event=\"datagram\"} 2",
        "tandem_step_seconds_count{event=\"log\"} 1",
        "# TYPE tandem_step_seconds histogram",
    ] {
        assert!(text.lines().any(|found| found == line), "no `{line}` in\n{text}");
    }
}
