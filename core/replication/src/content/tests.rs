use super::Hash;

/// FIPS 180-2, appendix B.1.
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

#[test]
fn a_content_is_named_by_its_sha_256() {
    assert_eq!(Hash::of(b"abc").to_string(), ABC);
    assert_eq!(Hash::of(b"abc").short(), "ba7816bf8f01");
    assert_eq!(Hash::parse(ABC), Some(Hash::of(b"abc")));
    for wrong in ["", "ba78", &ABC[1..], &format!("{ABC}00"), &ABC.replace('b', "x")] {
        assert_eq!(Hash::parse(wrong), None, "{wrong}");
    }
}

#[test]
fn its_encoding_stays_as_it_was() {
    let bytes = crate::entry::encoded(&Hash([7; 32]));
    assert_eq!(bytes[..2], [0x58, 32]);
    assert_eq!(bytes.len(), 34);
    assert_eq!(minicbor::decode::<Hash>(&bytes).ok(), Some(Hash([7; 32])));
    assert!(minicbor::decode::<Hash>(&bytes[..33]).is_err());
}
