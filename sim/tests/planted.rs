//! The checkers bite: each planted fault is caught, and the same run without it is clean (see `exhaustive`).

use sim::planted::Planted;

fn caught(planted: Planted) {
    let proof = planted.prove(1);
    assert!(proof.committed > 0, "{} was never committed", planted.name());
    let failure = proof.first.and_then(|outcome| outcome.failure);
    assert!(failure.is_some(), "{} was committed {} times and never caught", planted.name(), proof.committed);
}

#[test]
fn output_before_commit() {
    caught(Planted::OutputBeforeCommit);
}

#[test]
fn cseq_reused() {
    caught(Planted::CseqReused);
}

#[test]
fn provisional_not_sent_again() {
    caught(Planted::ProvisionalNotSentAgain);
}

#[test]
fn record_identity_by_writer() {
    caught(Planted::RecordIdentityByWriter);
}

#[test]
fn record_forgotten_early() {
    caught(Planted::RecordForgottenEarly);
}

#[test]
fn stale_epoch_accepted() {
    caught(Planted::StaleEpochAccepted);
}

#[test]
fn resync_without_checksum() {
    caught(Planted::ResyncWithoutChecksum);
}

#[test]
fn relays_swapped() {
    caught(Planted::RelaysSwapped);
}

#[test]
fn new_field_to_old_peer() {
    caught(Planted::NewFieldToOldPeer);
}

#[test]
fn revision_not_compared() {
    caught(Planted::RevisionNotCompared);
}

#[test]
fn lease_granted_twice() {
    caught(Planted::LeaseGrantedTwice);
}

#[test]
fn address_kept_without_lease() {
    caught(Planted::AddressKeptWithoutLease);
}

#[test]
fn contents_believed() {
    caught(Planted::ContentsBelieved);
}

#[test]
fn newest_wins() {
    caught(Planted::NewestWins);
}

#[test]
fn refused_taken() {
    caught(Planted::RefusedTaken);
}

#[test]
fn neighbours_not_told_after_heal() {
    caught(Planted::NeighboursNotToldAfterHeal);
}

#[test]
fn timeout_believed() {
    caught(Planted::TimeoutBelieved);
}

#[test]
fn isolated_takes_over() {
    caught(Planted::IsolatedTakesOver);
}

#[test]
fn woken_keeps_address() {
    caught(Planted::WokenKeepsAddress);
}
