//! Golden encodings: what one version wrote, every later one must read, or two nodes of different versions cannot pair.
//!
//! `UPDATE=1` writes them anew; do so only for fields that were added under new numbers.

use crate::pbx::tests::bench::Bench;

use super::*;

/// A name, and the objects of a call that talks, after both phones have registered, or of one that has ended.
fn objects() -> Vec<(String, u8, String, Vec<u8>)> {
    let mut talking = Bench::new();
    talking.talk();
    let mut ended = Bench::new();
    ended.talk();
    ended.bye_of_caller();
    let named = |name: &str, bench: &Bench| {
        let objects = bench.objects();
        objects
            .map(|((kind, id), value)| (format!("{name}-{kind}"), *kind, id.clone(), value.clone()))
            .collect::<Vec<_>>()
    };
    let mut all = named("talking", &talking);
    all.extend(named("ended", &ended));
    all.dedup_by(|a, b| a.0 == b.0);
    all
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the golden encodings are files")]
fn objects_are_encoded_as_ever() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/object/golden");
    let objects = objects();
    assert_eq!(objects.len(), 5, "bindings and a call; bindings, a call and a record");
    for (name, kind, id, value) in objects {
        let path = format!("{folder}/{name}.hex");
        let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
        if std::env::var_os("UPDATE").is_some() {
            std::fs::create_dir_all(folder).unwrap();
            std::fs::write(&path, &hex).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), hex, "{name}");
        let again = match Object::decode(kind, &id, &value).unwrap() {
            Object::Binding(binding) => encode(&*binding),
            Object::Call(call) => encode(&*call),
            Object::Record(record) => encode(&*record),
        };
        assert_eq!(again, value, "{name} is read as it was written");
    }
}

#[test]
fn keys_are_read_as_they_are_written() {
    let keys = [
        Key::Record("0123".into()),
        Key::Binding(BindingKey { aor: "5000".into(), contact: "sip:5000@10.0.0.1:5060|x".into() }),
        Key::Call(CallNumber(12)),
    ];
    for key in keys {
        assert_eq!(Key::parse(key.kind(), &key.id()).unwrap(), key);
    }
    assert!(matches!(Key::parse(kind::CALL, "twelve"), Err(ObjectError::Name { .. })));
    assert!(matches!(Key::parse(kind::BINDING, "no bar"), Err(ObjectError::Name { .. })));
    assert!(matches!(Key::parse(99, "x"), Err(ObjectError::Kind(99))));
}

#[test]
fn what_cannot_be_read_is_an_error_that_names_it() {
    let error = Object::decode(kind::CALL, "7", &[0xff, 0x00]).unwrap_err();
    assert_eq!(error.to_string(), "reading object 7 of kind 2 from the log");
}
