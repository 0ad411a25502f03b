//! Tests of stateless nonces.

use super::*;

const NONCES: Nonces = Nonces { secret: [7; 32] };
const NOW: ClusterTime = ClusterTime::from_millis(86_400_000);

#[test]
fn a_nonce_is_fresh_for_its_lifetime_and_stale_after_it() {
    let nonce = NONCES.make(NOW);
    assert_eq!(nonce.len(), 48);
    let micro = Duration::from_micros(1);
    for (now, expected) in [
        (NOW, Freshness::Fresh),
        (NOW + NONCE_LIFETIME, Freshness::Fresh),
        (NOW + NONCE_LIFETIME + micro, Freshness::Stale),
        (ClusterTime(u64::MAX), Freshness::Stale),
        (NOW - NONCE_AHEAD_MAX, Freshness::Fresh),
        (NOW - NONCE_AHEAD_MAX - micro, Freshness::Forged),
    ] {
        assert_eq!(NONCES.check(&nonce, now), expected, "{now}");
    }
}

#[test]
fn the_other_node_checks_what_this_one_made() {
    assert_eq!(NONCES.clone().check(&NONCES.make(NOW), NOW), Freshness::Fresh);
    assert_eq!(Nonces { secret: [8; 32] }.check(&NONCES.make(NOW), NOW), Freshness::Forged);
}

#[test]
fn what_we_never_made_is_forged() {
    let nonce = NONCES.make(NOW);
    for at in 0..nonce.len() {
        let mut changed = nonce.clone().into_bytes();
        changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
        let changed = String::from_utf8(changed).expect("ASCII");
        assert_eq!(NONCES.check(&changed, NOW), Freshness::Forged, "{at}");
        assert_eq!(NONCES.check(&nonce[..at], NOW), Freshness::Forged, "{at}");
    }
    let plus = format!("+{}", &nonce[1..]);
    for wrong in [plus.as_str(), "", "ööööööööö", &format!("{nonce}0"), &nonce.to_ascii_uppercase()] {
        assert_eq!(NONCES.check(wrong, NOW), Freshness::Forged, "{wrong}");
    }
}

#[test]
fn the_secret_never_shows() {
    assert_eq!(format!("{NONCES:?}"), "Nonces");
}
