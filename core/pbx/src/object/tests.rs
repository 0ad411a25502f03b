//! Golden encodings: what one version wrote, every later one must read, or two nodes of different versions cannot pair.
//!
//! There is a folder for each level. `UPDATE=1` writes the one of the present level; those before it are never written
//! again.

use base::Level;

use crate::pbx::tests::bench::Bench;

use super::*;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/object/golden");

/// A name, and the objects of a call that talks, after both phones have registered, or of one that has ended.
fn objects(bench: impl Fn() -> Bench) -> Vec<(String, u8, String, Vec<u8>)> {
    let mut talking = bench();
    talking.talk();
    let mut ended = bench();
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
    assert_eq!(all.len(), 5, "bindings and a call; bindings, a call and a record");
    all
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[expect(clippy::disallowed_methods, reason = "the golden encodings are files")]
fn golden(level: Level, name: &str) -> String {
    // What a level did not change is as it was at the level before.
    let path_at = |level| format!("{GOLDEN}/{level}/{name}.hex");
    let same = |level: &u16| std::path::Path::new(&path_at(*level)).exists();
    let path = path_at((1..=level.0).rev().find(same).unwrap_or(level.0));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}")).trim().to_owned()
}

#[expect(clippy::disallowed_methods, reason = "the golden encodings are files")]
fn update(level: Level, name: &str, hex: &str) {
    if std::env::var_os("UPDATE").is_some() && hex != golden(level, name) {
        std::fs::create_dir_all(format!("{GOLDEN}/{level}")).unwrap();
        std::fs::write(format!("{GOLDEN}/{level}/{name}.hex"), hex).unwrap();
    }
}

/// With all that came later in use, a node beside an older one writes exactly what the older one would.
#[test]
fn objects_of_each_former_level_are_encoded_as_ever() {
    for level in Level::OLDEST.0..Level::OWN.0 {
        for (name, kind, id, value) in objects(|| Bench::at(Level(level))) {
            assert_eq!(hex(&value), golden(Level(level), &name), "{name} at level {level}");
            assert_eq!(written_again(kind, &id, &value), value, "{name} of level {level} is read as it was written");
        }
    }
}

#[test]
fn objects_of_the_present_level_are_encoded_as_ever() {
    for (name, kind, id, value) in objects(|| Bench::at(Level::OWN)) {
        update(Level::OWN, &name, &hex(&value));
        assert_eq!(hex(&value), golden(Level::OWN, &name), "{name}");
        assert_eq!(written_again(kind, &id, &value), value, "{name} is read as it was written");
    }
}

/// A peer that goes back to an older program gets what it can read, of calls that began before it did.
#[test]
fn a_level_that_falls_puts_away_what_was_written() {
    let mut bench = Bench::at(Level::OWN);
    bench.talk();
    bench.set_level(Level::FIRST);
    let calls: Vec<_> = bench.objects().filter(|((kind, _), _)| *kind == kind::CALL).collect();
    assert_eq!(calls.len(), 1);
    assert_eq!(hex(calls[0].1), golden(Level::FIRST, "talking-2"));
}

fn written_again(kind: u8, id: &str, value: &[u8]) -> Vec<u8> {
    match Object::decode(kind, id, value).unwrap() {
        Object::Binding(binding) => encode(&*binding),
        Object::Call(call) => encode(&*call),
        Object::Record(record) => encode(&*record),
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
