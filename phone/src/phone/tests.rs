//! Two phones through a toy server that challenges, keeps contacts and forwards; then odd messages one by one.

mod misuse;
mod toy;

use crate::*;
use toy::{Toy, ms};

fn ended(reason: EndReason) -> CallState {
    CallState::Ended { reason }
}

/// Two registered phones; the second treats calls by this policy.
fn registered(policy: AnswerPolicy) -> Toy {
    let mut toy = Toy::new(policy);
    toy.command(0, PhoneCommand::Register);
    toy.command(1, PhoneCommand::Register);
    toy.run(ms(100));
    assert!(toy.phones[0].is_registered() && toy.phones[1].is_registered());
    toy
}

fn talking() -> Toy {
    let mut toy = registered(AnswerPolicy::after(500));
    toy.call();
    toy.run(ms(1000));
    assert_eq!(toy.states(), [CallState::Talking, CallState::Talking]);
    toy
}

#[test]
fn registers_with_digest_and_again_by_its_timer_only() {
    let mut toy = registered(AnswerPolicy::never());
    let counters = toy.phones[0].counters();
    assert_eq!((counters.registrations_begun, counters.registers_sent, counters.registrations_granted), (1, 2, 1));
    toy.run(ms(299_000));
    assert_eq!(toy.phones[0].counters().registrations_begun, 1);
    toy.run(ms(2_000));
    let counters = toy.phones[0].counters();
    assert_eq!((counters.registrations_begun, counters.registers_sent), (2, 3), "the nonce is used again");
    toy.command(0, PhoneCommand::Unregister);
    toy.run(ms(400_000));
    assert!(!toy.phones[0].is_registered());
    assert_eq!(toy.phones[0].counters().registrations_begun, 3);
    toy.expect_clean();
}

#[test]
fn a_nonce_that_is_refused_without_stale_is_a_violation() {
    let mut toy = registered(AnswerPolicy::never());
    toy.nonce = "another".to_owned();
    toy.stale = true;
    toy.command(0, PhoneCommand::Register);
    toy.run(ms(100));
    assert_eq!(toy.phones[0].violations(), []);
    toy.nonce = "a third".to_owned();
    toy.stale = false;
    toy.command(0, PhoneCommand::Register);
    toy.run(ms(100));
    assert_eq!(toy.phones[0].violations(), [Violation::NonceForgotten]);
    assert!(toy.phones[0].is_registered());
}

#[test]
fn talks_and_hangs_up() {
    for caller_hangs_up in [true, false] {
        let mut toy = talking();
        assert_eq!(toy.phones[0].media_peer(), Some(toy.phones[1].config().media_address));
        assert_eq!(toy.phones[1].media_peer(), Some(toy.phones[0].config().media_address));
        let (who, other) = if caller_hangs_up { (0, 1) } else { (1, 0) };
        toy.command(who, PhoneCommand::HangUp);
        toy.run(ms(100));
        assert_eq!(toy.phones[who].state(), ended(EndReason::HungUp));
        assert_eq!(toy.phones[other].state(), ended(EndReason::PeerHungUp));
        assert_eq!(toy.phones[who].call().and_then(|call| call.bye_status), Some(200));
        assert_eq!(toy.phones[who].media_peer(), None);
        toy.expect_clean();
        toy.run(ms(120_000));
        assert_eq!(toy.states(), [CallState::Idle, CallState::Idle], "an ended call is forgotten");
    }
}

#[test]
fn holds_and_resumes_from_both_ends() {
    let mut toy = talking();
    for (who, other) in [(0, 1), (1, 0)] {
        toy.command(who, PhoneCommand::Hold);
        toy.run(ms(300));
        assert_eq!(toy.states(), [CallState::Held, CallState::Held]);
        let media = toy.phones[other].media().expect("media");
        assert!(!media.send && media.receive, "{media:?}");
        assert!(toy.phones[who].call().is_some_and(|call| call.holding && !call.held_by_peer));
        assert!(toy.phones[other].call().is_some_and(|call| !call.holding && call.held_by_peer));
        toy.command(who, PhoneCommand::Resume);
        toy.run(ms(300));
        assert_eq!(toy.states(), [CallState::Talking, CallState::Talking]);
        let media = toy.phones[who].media().expect("media");
        assert!(media.send && media.receive, "{media:?}");
    }
    toy.expect_clean();
}

#[test]
fn hold_from_both_ends_at_once_ends_on_hold() {
    let mut toy = talking();
    toy.command(0, PhoneCommand::Hold);
    toy.command(1, PhoneCommand::Hold);
    toy.run(ms(10_000));
    assert_eq!(toy.states(), [CallState::Held, CallState::Held]);
    assert!(toy.phones.iter().all(|phone| phone.call().is_some_and(|call| call.holding)));
    toy.expect_clean();
}

#[test]
fn gives_up_is_refused_and_declines() {
    let mut toy = registered(AnswerPolicy::never());
    toy.call();
    toy.run(ms(100));
    assert_eq!(toy.states(), [CallState::Ringing, CallState::Ringing]);
    toy.command(0, PhoneCommand::Cancel);
    toy.run(ms(100));
    assert_eq!(toy.states(), [ended(EndReason::Cancelled), ended(EndReason::PeerCancelled)]);
    toy.call();
    toy.run(ms(100));
    toy.command(1, PhoneCommand::HangUp);
    toy.run(ms(100));
    assert_eq!(toy.states(), [ended(EndReason::Rejected(603)), ended(EndReason::Declined(603))]);
    toy.call();
    toy.run(ms(100));
    toy.command(1, PhoneCommand::Answer);
    toy.run(ms(100));
    assert_eq!(toy.states(), [CallState::Talking, CallState::Talking]);
    toy.expect_clean();

    for (policy, status) in [(AnswerPolicy::busy(), 486), (AnswerPolicy::reject(480), 480)] {
        let mut toy = registered(policy);
        toy.call();
        toy.run(ms(100));
        assert_eq!(toy.states(), [ended(EndReason::Rejected(status)), CallState::Idle]);
        toy.run(ms(100_000));
        toy.expect_clean();
    }
}

#[test]
fn a_cancel_that_meets_the_answer_becomes_a_bye() {
    let mut toy = registered(AnswerPolicy::never());
    toy.call();
    toy.run(ms(100));
    toy.command(0, PhoneCommand::Cancel);
    toy.command(1, PhoneCommand::Answer);
    toy.run(ms(1000));
    assert_eq!(toy.states(), [ended(EndReason::Cancelled), ended(EndReason::PeerHungUp)]);
    toy.expect_clean();
}

#[test]
fn nobody_answers_the_invite() {
    let mut toy = registered(AnswerPolicy::after(0));
    toy.deaf = true;
    toy.call();
    toy.run(ms(31_900));
    assert_eq!(toy.phones[0].state(), CallState::Calling);
    assert_eq!(toy.phones[0].counters().retransmissions, 6, "after 0.5, 1.5, 3.5, 7.5, 15.5 and 31.5 s");
    toy.run(ms(200));
    assert_eq!(toy.phones[0].state(), ended(EndReason::TimedOut));
}

#[test]
fn a_lost_registration_is_tried_again() {
    let mut toy = Toy::new(AnswerPolicy::never());
    toy.deaf = true;
    toy.command(0, PhoneCommand::Register);
    toy.run(ms(31_900));
    assert_eq!(toy.phones[0].counters().retransmissions, 10, "0.5, 1.5, 3.5 s, then every 4 s");
    toy.deaf = false;
    toy.run(ms(10_000));
    assert!(!toy.phones[0].is_registered());
    toy.run(ms(25_000));
    assert!(toy.phones[0].is_registered());
}

#[test]
fn everything_works_while_one_datagram_in_eight_is_lost() {
    for seed in 0..40 {
        let mut toy = registered(AnswerPolicy::after(200));
        toy.lose_one_in(8, seed);
        toy.call();
        toy.run(ms(25_000));
        assert_eq!(toy.states(), [CallState::Talking, CallState::Talking], "seed {seed}");
        toy.command(0, PhoneCommand::Hold);
        toy.run(ms(25_000));
        assert_eq!(toy.states(), [CallState::Held, CallState::Held], "seed {seed}");
        toy.command(0, PhoneCommand::Resume);
        toy.run(ms(25_000));
        toy.command(1, PhoneCommand::HangUp);
        toy.run(ms(25_000));
        assert_eq!(toy.states(), [ended(EndReason::PeerHungUp), ended(EndReason::HungUp)], "seed {seed}");
        toy.expect_clean();
    }
}

#[test]
fn the_same_seed_says_the_same() {
    let transcript = || {
        let mut toy = talking();
        toy.command(0, PhoneCommand::HangUp);
        toy.run(ms(100));
        toy.transcript
    };
    assert_eq!(transcript(), transcript());
}
