//! Heartbeats, and what nodes and their witness say to each other.

use base::{ClusterTime, Epoch, Incarnation, Level, Lsn, NodeIndex, Position};
use cluster::heartbeat::{HEARTBEAT_BYTES_MAX, NAME_BYTES_MAX};
use cluster::witness::{Answer, Ask, MESSAGE_BYTES_MAX, Verdict, Want};
use cluster::{Heartbeat, Reach};
use fuzz::{Outcome, Target};

use crate::CBOR;

#[test]
fn cluster_heartbeat() {
    let full = Heartbeat {
        level: Level::OWN,
        incarnation: Incarnation(0x1234_5678_9abc_def0),
        sequence: 100_000,
        index: NodeIndex(1),
        role: cluster::Role::Active,
        epoch: Epoch { number: 300, node: NodeIndex(1) },
        priority: 150,
        position: Position { epoch: Epoch { number: 300, node: NodeIndex(1) }, lsn: Lsn(70_000) },
        synced: true,
        alone: false,
        leaving: true,
        carrier: true,
        cluster_time: ClusterTime::from_millis(86_400_000),
        heard_phones_at: Some(ClusterTime::from_millis(86_399_000)),
        heard: Some(Incarnation(7)),
        name: "a".repeat(NAME_BYTES_MAX),
        reach: Reach::Reign,
        router: Some([10, 77, 0, 12].into()),
        drain: Some(cluster::Drain::Calls),
        penalty: Some(20),
        echo: Some(99_999),
        witness: Some(true),
        pings: Some(2),
    };
    let corpus = [full.encode(), Heartbeat::default().encode()];
    Target::new("cluster_heartbeat", corpus).pieces(CBOR).allocates(4, 1_024).run(|input| {
        let read = Heartbeat::decode(input);
        if let Ok(heartbeat) = &read {
            assert!(heartbeat.encode().len() <= HEARTBEAT_BYTES_MAX);
            assert_eq!(Heartbeat::decode(&heartbeat.encode()).as_ref(), Ok(heartbeat));
        }
        Outcome::of(&read)
    });
}

#[test]
fn cluster_witness() {
    let ask = Ask {
        version: 1,
        index: NodeIndex(1),
        incarnation: Incarnation(u64::MAX),
        sequence: 70_000,
        challenge: u64::MAX,
        want: Want::Hold,
        holding: true,
        epoch: Epoch { number: 300, node: NodeIndex(1) },
        alone: true,
        gone: Some(Incarnation(7)),
    };
    let answer = Answer {
        version: 1,
        sequence: 70_000,
        life: u64::MAX,
        challenge: u64::MAX,
        verdict: Verdict::Waiting,
        left_us: 100_000,
        other_silent_us: u64::MAX,
        other_alone: true,
        ..Answer::default()
    };
    let corpus = [ask.encode(), answer.encode(), Ask::default().encode(), Answer::default().encode()];
    Target::new("cluster_witness", corpus).pieces(CBOR).allocates(4, 1_024).run(|input| {
        let (ask, answer) = (Ask::decode(input), Answer::decode(input));
        if let Ok(ask) = &ask {
            assert!(ask.encode().len() <= MESSAGE_BYTES_MAX);
            assert_eq!(Ask::decode(&ask.encode()).as_ref(), Ok(ask));
        }
        if let Ok(answer) = &answer {
            assert!(answer.encode().len() <= MESSAGE_BYTES_MAX);
            assert_eq!(Answer::decode(&answer.encode()).as_ref(), Ok(answer));
        }
        Outcome::from(ask.is_ok() || answer.is_ok())
    });
}
