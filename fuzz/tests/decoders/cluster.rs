//! Heartbeats.

use base::{ClusterTime, Epoch, Incarnation, Level, Lsn, NodeIndex, Position};
use cluster::heartbeat::{HEARTBEAT_BYTES_MAX, NAME_BYTES_MAX};
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
