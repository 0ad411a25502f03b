//! Objects of the log: what the standby and the journal's reader take for a registration, a call or a record.

use base::{ClusterTime, NodeIndex, Random, WallTime};
use fuzz::{Outcome, Target};
use pbx::conf::Files;
use pbx::object::{Object, encode, kind};
use pbx::{Now, Pbx, Settings};

use crate::CBOR;
use crate::pair::{EXTENSIONS_CONF, Pair, SIP_CONF};

fn corpus(kind: u8) -> Vec<Vec<u8>> {
    let objects = Pair::conversation().objects;
    objects.into_iter().filter(|(of, _, _)| *of == kind).map(|(_, _, value)| value).collect()
}

fn fuzz(name: &'static str, kind: u8) {
    Target::new(name, corpus(kind)).pieces(CBOR).allocates(60, 16_384).run(|input| {
        let read = Object::decode(kind, "1", input);
        if let Ok(object) = &read {
            let bytes = match object {
                Object::Binding(binding) => encode(&**binding),
                Object::Call(call) => encode(&**call),
                Object::Record(record) => encode(&**record),
            };
            let again = Object::decode(kind, "1", &bytes).expect("what we write can be read");
            assert!(again == *object || format!("{again:?}") == format!("{object:?}"), "it reads back");
        }
        Outcome::of(&read)
    });
}

#[test]
fn object_binding() {
    fuzz("object_binding", kind::BINDING);
}

#[test]
fn object_call() {
    fuzz("object_call", kind::CALL);
}

#[test]
fn object_record() {
    fuzz("object_record", kind::RECORD);
}

/// Damaged objects in a PBX that then serves: it takes over with them, sends again, runs their timers.
#[test]
fn object_apply() {
    let objects = Pair::conversation().objects;
    let configuration =
        pbx::configuration::load(&Files::from_iter([("sip.conf", SIP_CONF), ("extensions.conf", EXTENSIONS_CONF)]));
    let configuration = std::sync::Arc::new(configuration.configuration.expect("the files are sound"));
    // The first byte says which object it is.
    let corpus = objects.iter().enumerate().map(|(place, (_, _, value))| [&[place as u8][..], value].concat());
    Target::new("object_apply", corpus).pieces(CBOR).one_in(8).run(|input| {
        let settings =
            Settings { service: std::net::IpAddr::from([10, 77, 0, 100]).into(), index: NodeIndex(1), secret: [7; 32] };
        let mut pbx = Pbx::new(settings, configuration.clone(), Random::from_number(1));
        let mut now = Now { cluster: ClusterTime::from_millis(1_000_000), wall: WallTime(1_700_000_000_000_000) };
        let Some((place, value)) = input.split_first() else { return Outcome::Refused };
        let (kind, id, _) = &objects[usize::from(*place) % objects.len()];
        let applied = pbx.apply(now, *kind, id, Some(value));
        for number in pbx.take_over() {
            let _ = pbx.resend(number);
        }
        for _ in 0..40 {
            let Some(due) = pbx.deadline() else { break };
            now.cluster = now.cluster.max(due);
            pbx.timeout(now);
            for change in pbx.take_changes() {
                if let Some(value) = change.value {
                    assert!(Object::decode(change.kind, &change.id, &value).is_ok(), "the log can be read back");
                }
            }
            let _ = pbx.take_outputs();
        }
        Outcome::of(&applied)
    });
}
