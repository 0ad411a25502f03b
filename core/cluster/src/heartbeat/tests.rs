use base::{ClusterTime, Epoch, Incarnation, Level, Lsn, NodeIndex, Position, Random};

use super::{Drain, HEARTBEAT_BYTES_MAX, Heartbeat, HeartbeatError, NAME_BYTES_MAX, Reach, Role};

fn example() -> Heartbeat {
    let epoch = Epoch { number: 7, node: NodeIndex(1) };
    Heartbeat {
        level: Level::FIRST,
        incarnation: Incarnation(0x1122_3344_5566_7788),
        sequence: 300,
        index: NodeIndex(1),
        role: Role::Active,
        epoch,
        priority: 150,
        position: Position { epoch, lsn: Lsn(70_000) },
        synced: false,
        alone: true,
        leaving: false,
        carrier: true,
        cluster_time: ClusterTime(5_000_000),
        heard_phones_at: Some(ClusterTime(4_999_000)),
        heard: Some(Incarnation(9)),
        name: "b".to_owned(),
        reach: Reach::Unheard,
        router: None,
        drain: None,
        penalty: None,
        echo: None,
        witness: None,
        pings: None,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn encoding_stays_as_it_was() {
    let bytes = example().encode();
    assert_eq!(
        hex(&bytes),
        concat!(
            "91011b112233445566778819012c018202808207011896828207011a00011170f4f5f4f5",
            "1a004c4b401a004c475809616200",
        )
    );
    assert_eq!(Heartbeat::decode(&bytes), Ok(example()));
}

#[test]
fn a_later_version_may_have_more_fields() {
    let mut bytes = example().encode();
    // The head of an array of 17 becomes that of an array of 26; the next eight are absent.
    assert_eq!(bytes[0], 0x91);
    bytes.splice(0..1, [0x98, 26]);
    bytes.extend([0xf6; 8]);
    bytes.extend([0x18, 99]);
    assert_eq!(Heartbeat::decode(&bytes), Ok(example()));
}

#[test]
fn an_earlier_version_has_fewer_fields() {
    let mut bytes = example().encode();
    bytes[0] = 0x90;
    bytes.pop();
    assert_eq!(Heartbeat::decode(&bytes), Ok(example()));
}

#[test]
fn the_largest_one_fits_its_bound() {
    let most = u64::MAX;
    let epoch = Epoch { number: most, node: NodeIndex(255) };
    let heartbeat = Heartbeat {
        level: Level(u16::MAX),
        incarnation: Incarnation(most),
        sequence: most,
        index: NodeIndex(255),
        epoch,
        priority: 255,
        position: Position { epoch, lsn: Lsn(most) },
        cluster_time: ClusterTime(most),
        heard_phones_at: Some(ClusterTime(most)),
        heard: Some(Incarnation(most)),
        name: "n".repeat(NAME_BYTES_MAX),
        router: Some("2001:db8:7777:7777:7777:7777:7777:7777".parse().unwrap()),
        penalty: Some(255),
        echo: Some(most),
        witness: Some(true),
        pings: Some(255),
        ..example()
    };
    let bytes = heartbeat.encode();
    assert!(bytes.len() <= HEARTBEAT_BYTES_MAX);
    assert_eq!(Heartbeat::decode(&bytes), Ok(heartbeat));
}

#[test]
fn refuses_what_is_too_long_or_followed_by_more() {
    let long_name = Heartbeat { name: "n".repeat(NAME_BYTES_MAX + 1), ..example() };
    let refused = Err(HeartbeatError::NameTooLong { bytes: NAME_BYTES_MAX + 1 });
    assert_eq!(Heartbeat::decode(&long_name.encode()), refused);
    let mut bytes = example().encode();
    bytes.push(0);
    assert_eq!(Heartbeat::decode(&bytes), Err(HeartbeatError::Malformed));
    let bytes = vec![0; HEARTBEAT_BYTES_MAX + 1];
    assert_eq!(Heartbeat::decode(&bytes), Err(HeartbeatError::TooLong { bytes: bytes.len() }));
}

#[test]
fn any_bytes_are_read_or_refused() {
    let mut random = Random::from_number(1);
    let golden = example().encode();
    let mut read = 0;
    for _ in 0..20_000 {
        let mut bytes = golden.clone();
        for _ in 0..=random.below(3) {
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] = random.number() as u8;
        }
        bytes.truncate(random.below(2 * bytes.len() as u64) as usize);
        read += u32::from(Heartbeat::decode(&bytes).is_ok());
    }
    assert!(read > 0, "none of the changed heartbeats was readable: the changes are too coarse to test anything");
}

/// Nodes without VRRP say nothing of it, as before there was any.
#[test]
fn the_router_travels_where_there_is_one() {
    for router in ["10.77.0.12", "fe80::12"] {
        let heartbeat = Heartbeat { router: Some(router.parse().unwrap()), ..example() };
        let bytes = heartbeat.encode();
        assert_eq!(bytes[0], 0x92);
        assert_eq!(Heartbeat::decode(&bytes), Ok(heartbeat));
    }
}

/// Nodes that nobody wants out say nothing of it, as before there was such a wish.
#[test]
fn the_wish_travels_where_there_is_one() {
    for drain in [Drain::Drained, Drain::Never, Drain::Calls] {
        let heartbeat = Heartbeat { drain: Some(drain), ..example() };
        let bytes = heartbeat.encode();
        assert_eq!(bytes[0], 0x95);
        assert_eq!(Heartbeat::decode(&bytes), Ok(heartbeat));
    }
}

/// A heartbeat that could not be read for one word in it would be a peer that is not there.
#[test]
fn a_wish_of_a_later_version_is_a_mild_one() {
    let mut bytes = Heartbeat { drain: Some(Drain::Calls), ..example() }.encode();
    let last = bytes.len() - 1;
    bytes[last] = 17;
    assert_eq!(Heartbeat::decode(&bytes).map(|heartbeat| heartbeat.drain), Ok(Some(Drain::Drained)));
}

/// A node of the version before reads the priority that was configured.
#[test]
fn the_penalty_travels_where_there_is_one() {
    let heartbeat = Heartbeat { penalty: Some(20), ..example() };
    let bytes = heartbeat.encode();
    assert_eq!(Heartbeat::decode(&bytes), Ok(heartbeat));
    assert_eq!(bytes[..2], [0x98, 25]);
    assert_eq!(bytes[bytes.len() - 1..], [20]);
}

#[test]
fn what_keeps_a_second_master_away_has_its_numbers() {
    let heartbeat = Heartbeat { echo: Some(300), witness: Some(true), pings: Some(2), ..example() };
    let bytes = heartbeat.encode();
    assert_eq!(bytes[0], 0x98);
    assert!(bytes.ends_with(&[0xf6, 0xf6, 0x19, 0x01, 0x2c, 0xf5, 0x02]), "{}", hex(&bytes));
    assert_eq!(Heartbeat::decode(&bytes), Ok(heartbeat));
}
