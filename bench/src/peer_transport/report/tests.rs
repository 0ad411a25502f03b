use super::{Measured, print};
use crate::latency::Latencies;
use crate::peer_transport::{Case, Transport};

const CASE: Case = Case { loss_percent: 1, commits_per_second: 500, seconds: 60 };

fn printed(results: &[Measured]) -> String {
    let mut out = Vec::new();
    print(&mut out, CASE, results).unwrap();
    String::from_utf8(out).unwrap()
}

fn measured(transport: Transport, samples_us: Vec<u64>, unacknowledged: u64) -> Measured {
    Measured { transport, latencies: Latencies::new(samples_us), unacknowledged }
}

#[test]
fn a_row_has_milliseconds_and_ratios_of_tcp() {
    let tcp = measured(Transport::Tcp, vec![200, 200, 200, 40_000], 0);
    let ours = measured(Transport::Tandem, vec![100, 100, 100, 1_000], 0);
    assert_eq!(
        printed(&[tcp, ours]),
        "1 % loss each way, 500 commits/s for 60 s\n\n\
         | transport | p50 ms | p99 ms | p99.9 ms | worst ms | over 25 ms | p50, p99, p99.9, worst against TCP |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n\
         | TCP | 0.20 | 40.00 | 40.00 | 40.00 | 1 of 4 | 1.00, 1.00, 1.00, 1.00 |\n\
         | ours | 0.10 | 1.00 | 1.00 | 1.00 | 0 of 4 | 0.50, 0.025, 0.025, 0.025 |\n\n"
    );
}

#[test]
fn without_tcp_there_is_nothing_to_compare_with() {
    let text = printed(&[measured(Transport::Quic, vec![1_000], 0)]);
    assert!(text.contains("| QUIC | 1.00 | 1.00 | 1.00 | 1.00 | 0 of 1 |  |\n"), "{text}");
}

#[test]
fn what_was_never_acknowledged_is_said() {
    let text = printed(&[measured(Transport::Tcp, vec![1_000], 3), measured(Transport::Quic, vec![1_000], 0)]);
    assert!(text.contains("\nTCP: 3 commits were never acknowledged\n"), "{text}");
    assert!(!text.contains("QUIC: "), "{text}");
}
