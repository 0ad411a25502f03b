use base::NodeIndex;
use fuzz::{Outcome, Target};

use super::*;

const EPOCH: Epoch = Epoch { number: 300, node: NodeIndex(1) };

#[test]
fn messages_of_the_daemon_have_stable_encodings() {
    let stamp = ToParent::Stamp { at: LocalTime(1_000), active: true, epoch: EPOCH, protected: false };
    let table: [(ToParent, &[u8]); 6] = [
        (ToParent::Hold(vec!["a".into()]), b"\x01\x82\x00\x81\x81\x61a"),
        (ToParent::Drop("a".into()), b"\x01\x82\x01\x81\x61a"),
        (stamp, b"\x01\x82\x02\x84\x19\x03\xe8\xf5\x82\x19\x01\x2c\x01\xf4"),
        (ToParent::Claim(EPOCH), b"\x01\x82\x03\x81\x82\x19\x01\x2c\x01"),
        (ToParent::Yield, b"\x01\x82\x04\x80"),
        (ToParent::StoppingDone, b"\x01\x82\x05\x80"),
    ];
    for (message, bytes) in table {
        assert_eq!(encode(&message), bytes, "{message:?}");
        assert_eq!(decode(bytes), Some(message));
    }
}

#[test]
fn messages_of_the_parent_have_stable_encodings() {
    let incarnation = Incarnation(7);
    let table: [(ToDaemon, &[u8]); 7] = [
        (ToDaemon::Held(vec![]), b"\x01\x82\x00\x81\x80"),
        (ToDaemon::HeldEnd { resume_active: None, incarnation }, b"\x01\x82\x01\x82\xf6\x07"),
        (ToDaemon::HeldEnd { resume_active: Some(EPOCH), incarnation }, b"\x01\x82\x01\x82\x82\x19\x01\x2c\x01\x07"),
        (ToDaemon::Claimed(EPOCH), b"\x01\x82\x02\x81\x82\x19\x01\x2c\x01"),
        (ToDaemon::Lost(EPOCH), b"\x01\x82\x03\x81\x82\x19\x01\x2c\x01"),
        (ToDaemon::Stop, b"\x01\x82\x04\x80"),
        (ToDaemon::Reload, b"\x01\x82\x05\x80"),
    ];
    for (message, bytes) in table {
        assert_eq!(encode(&message), bytes, "{message:?}");
        assert_eq!(decode(bytes), Some(message));
    }
}

#[test]
fn other_bytes_are_no_message() {
    for bytes in [&b""[..], b"\x01", b"\x02\x82\x04\x80", b"\x01\x82\x63\x80", b"\x01\x82\x03\x81", b"\x01\xff"] {
        assert_eq!(decode::<ToParent>(bytes), None, "{bytes:?}");
    }
}

#[test]
fn parent_message() {
    let stamp = ToParent::Stamp { at: LocalTime(1_000), active: true, epoch: EPOCH, protected: false };
    let held_end = ToDaemon::HeldEnd { resume_active: Some(EPOCH), incarnation: Incarnation(7) };
    let names = (0..20).map(|number| format!("rtp-{number}")).collect();
    let corpus = [
        encode(&ToParent::Hold(names)),
        encode(&stamp),
        encode(&ToParent::Claim(EPOCH)),
        encode(&held_end),
        encode(&ToDaemon::Lost(EPOCH)),
    ];
    Target::new("parent_message", corpus).run(|input| {
        let (to_parent, to_daemon) = (decode::<ToParent>(input), decode::<ToDaemon>(input));
        if let Some(message) = &to_parent {
            assert_eq!(decode(&encode(message)).as_ref(), Some(message));
        }
        if let Some(message) = &to_daemon {
            assert_eq!(decode(&encode(message)).as_ref(), Some(message));
        }
        Outcome::from(to_parent.is_some() || to_daemon.is_some())
    });
}
