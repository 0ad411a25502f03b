use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

/// A directory of this test's own, removed at its end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tandem-key-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_written_key_is_read_back() {
    let directory = Directory::new("written");
    let path = directory.0.join("pair.key");
    let key = PairKey::generate().unwrap();
    key.write(&path).unwrap();
    assert!(PairKey::read(&path).unwrap() == key);
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    assert!(fs::read_to_string(&path).unwrap().starts_with("tandem-pair-key-1 "));
    assert!(PairKey::generate().unwrap() != key);
}

#[test]
fn a_key_is_never_overwritten() {
    let directory = Directory::new("overwritten");
    let path = directory.0.join("pair.key");
    PairKey::from_bytes([1; 32]).write(&path).unwrap();
    assert!(matches!(PairKey::from_bytes([2; 32]).write(&path), Err(KeyError::Write { .. })));
    assert!(PairKey::read(&path).unwrap() == PairKey::from_bytes([1; 32]));
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let directory = Directory::new("readable");
    let path = directory.0.join("pair.key");
    PairKey::from_bytes([1; 32]).write(&path).unwrap();
    for mode in [0o640, 0o604, 0o660, 0o644] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let error = PairKey::read(&path).unwrap_err();
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    assert!(PairKey::read(&path).is_ok());
}

#[test]
fn other_texts_are_no_keys() {
    let digits = "00".repeat(32);
    assert!(parse(FORMAT, &format!("tandem-pair-key-1 {digits}\n")).is_some());
    for text in [
        String::new(),
        digits.clone(),
        format!("tandem-pair-key-2 {digits}"),
        format!("tandem-pair-key-1 {digits}00"),
        format!("tandem-pair-key-1 {}", &digits[1..]),
        format!("tandem-pair-key-1 {digits} more"),
        format!("tandem-pair-key-1 zz{}", &digits[2..]),
        format!("tandem-pair-key-1 ä{}", &digits[2..]),
    ] {
        assert!(parse(FORMAT, &text).is_none(), "{text}");
    }
}

#[test]
fn a_file_that_is_not_text_is_no_key() {
    let directory = Directory::new("binary");
    let path = directory.0.join("pair.key");
    PairKey::from_bytes([1; 32]).write(&path).unwrap();
    fs::write(&path, [0xff; 90]).unwrap();
    assert!(matches!(PairKey::read(&path), Err(KeyError::Format { .. })));
    assert!(matches!(PairKey::read(&directory.0.join("absent")), Err(KeyError::Read { .. })));
}

#[test]
fn derived_keys_differ_by_label_and_key() {
    let key = PairKey::from_bytes([1; 32]);
    assert_eq!(key.derive("a"), key.derive("a"));
    assert_ne!(key.derive("a"), key.derive("b"));
    assert_ne!(key.derive("a"), PairKey::from_bytes([2; 32]).derive("a"));
    assert!(!format!("{key:?}").contains('1'));
}

#[test]
fn the_keys_of_a_pair_and_of_its_witness_are_not_taken_for_each_other() {
    let directory = Directory::new("witness");
    let (pair, witness) = (directory.0.join("pair.key"), directory.0.join("witness.key"));
    let key = PairKey::from_bytes([1; 32]);
    key.write(&pair).unwrap();
    key.witness_key().write(&witness).unwrap();
    assert!(WitnessKey::read(&witness).unwrap() == key.witness_key());
    assert_eq!(fs::metadata(&witness).unwrap().mode() & 0o777, 0o600);
    for error in [WitnessKey::read(&pair).unwrap_err(), PairKey::read(&witness).unwrap_err()] {
        assert!(matches!(error, KeyError::Format { .. }), "{error}");
    }
    assert_ne!(key.witness_key().derive("a"), key.derive("a"));
    assert!(key.witness_key() != PairKey::from_bytes([2; 32]).witness_key());
}
