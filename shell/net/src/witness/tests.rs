use super::*;
use crate::key::PairKey;

fn seal(number: u8) -> Seal {
    Seal::new(&PairKey::from_bytes([number; 32]).witness_key())
}

#[test]
fn what_is_sealed_is_opened_by_the_other_side_alone() {
    let (ours, theirs) = (seal(1), seal(2));
    let ask = ours.seal_ask(b"body");
    assert_eq!(ours.open_ask(&ask), Some(&b"body"[..]));
    assert_eq!(pair_of_ask(&ask), Some(ours.pair()));
    assert_eq!(ours.open_answer(&ask), None, "an ask is no answer");
    assert_eq!(theirs.open_ask(&ask), None, "another pair's");
    let answer = ours.seal_answer(b"");
    assert_eq!(ours.open_answer(&answer), Some(&b""[..]));
    assert_eq!(pair_of_ask(&answer), None);
}

#[test]
fn a_changed_or_cut_datagram_is_refused() {
    let ours = seal(1);
    let ask = ours.seal_ask(b"body");
    for place in 0..ask.len() {
        let mut changed = ask.clone();
        changed[place] ^= 1;
        assert_eq!(ours.open_ask(&changed), None, "byte {place}");
        assert_eq!(ours.open_ask(&ask[..place]), None);
    }
    assert_eq!(ours.open_ask(&ours.seal_ask(&[0; DATAGRAM_BYTES_MAX])), None);
}
