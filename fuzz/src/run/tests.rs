//! The engine bites: a planted panic, a greedy decoder and a vacuous target are all reported.

use super::*;
use crate::allocation::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn message_of(run: impl FnOnce() -> Summary) -> String {
    let payload = catch_unwind(AssertUnwindSafe(run)).expect_err("a failure");
    payload.downcast_ref::<String>().cloned().expect("a message")
}

fn reads_length(input: &[u8]) -> Option<usize> {
    let (length, rest) = input.split_first()?;
    (usize::from(*length) == rest.len()).then_some(rest.len())
}

fn target<'a>() -> Target<'a> {
    Target::new("length", [&b"\x03abc"[..], b"\x05hello"])
}

#[test]
fn a_sound_decoder_passes_with_both_outcomes() {
    let summary = target().allocates(1, 0).run(|input| reads_length(input).is_some().into());
    assert!(summary.taken > 0 && summary.refused > 0, "{summary:?}");
    assert_eq!(summary.constant_bytes_max, 0);
}

#[test]
fn a_panic_is_reported_with_its_case() {
    let panics = |input: &[u8]| match input.first() {
        Some(length) => Outcome::from(input[1..usize::from(*length)].is_empty()),
        None => Outcome::Refused,
    };
    let message = message_of(|| target().run(panics));
    assert!(message.starts_with("length case ") && message.contains("panics"), "{message}");
}

#[test]
fn a_decoder_that_believes_a_length_is_reported() {
    let greedy = |input: &[u8]| {
        let length = input.first().map_or(0, |length| usize::from(*length) * 1_000);
        drop(std::hint::black_box(Vec::<u8>::with_capacity(length)));
        Outcome::from(reads_length(input).is_some())
    };
    let message = message_of(|| target().allocates(10, 10_000).run(greedy));
    assert!(message.contains("allocates"), "{message}");
}

#[test]
fn a_target_that_refuses_everything_proves_nothing() {
    let message = message_of(|| target().run(|_| Outcome::Refused));
    assert!(message.contains("prove nothing"), "{message}");
}
