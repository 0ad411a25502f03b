//! Runs the cases of one target and reports the first that breaks it.
//!
//! `FUZZ_CASES` says how many cases each target gets, `FUZZ_CASE` runs one case alone by its number.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::allocation::{allocated_bytes, is_counting};
use crate::mutation::Mutator;

#[cfg(test)]
mod tests;

/// Cases per target in the test command: seconds in all. Before a release `FUZZ_CASES` says a million.
pub const CASES: u64 = 20_000;

/// The most bytes of an input that a report shows.
const SHOWN_BYTES_MAX: usize = 4_096;

/// What a decoder made of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Taken,
    Refused,
}

impl Outcome {
    pub fn of<T, E>(result: &Result<T, E>) -> Self {
        if result.is_ok() { Self::Taken } else { Self::Refused }
    }
}

impl From<bool> for Outcome {
    fn from(taken: bool) -> Self {
        if taken { Self::Taken } else { Self::Refused }
    }
}

/// One decoder and what it is fed with.
pub struct Target<'a> {
    name: &'static str,
    corpus: Vec<Vec<u8>>,
    pieces: &'a [&'a [u8]],
    bytes_max: usize,
    allocation: Option<(u64, u64)>,
    share: u64,
    both_outcomes: bool,
}

/// How many cases went which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub taken: u64,
    pub refused: u64,
    /// The most that one case allocated beyond what its length allows, by the target's factor; in bytes.
    pub constant_bytes_max: u64,
}

impl<'a> Target<'a> {
    /// `name` is that of the test, so that a report says how to run it again.
    pub fn new(name: &'static str, corpus: impl IntoIterator<Item = impl Into<Vec<u8>>>) -> Self {
        let corpus: Vec<Vec<u8>> = corpus.into_iter().map(Into::into).collect();
        assert!(!corpus.is_empty(), "{name} has no corpus");
        Self { name, corpus, pieces: &[], bytes_max: usize::MAX, allocation: None, share: 1, both_outcomes: true }
    }

    /// What means something in the format.
    pub fn pieces(self, pieces: &'a [&'a [u8]]) -> Self {
        Self { pieces, ..self }
    }

    /// Inputs are cut to this length, as a socket cuts them.
    pub fn at_most(self, bytes_max: usize) -> Self {
        Self { bytes_max, ..self }
    }

    /// Reading `n` bytes may allocate `per_byte * n + constant` bytes, freed ones counted too.
    pub fn allocates(self, per_byte: u64, constant: u64) -> Self {
        assert!(is_counting(), "the test program does not count allocations");
        Self { allocation: Some((per_byte, constant)), ..self }
    }

    /// A costly target gets one case for each `share` cases of the others.
    pub fn one_in(self, share: u64) -> Self {
        Self { share, ..self }
    }

    /// There is nothing that the decoder refuses, or its answer does not tell.
    pub fn takes_anything(self) -> Self {
        Self { both_outcomes: false, ..self }
    }

    /// Feeds every case to `decode`. Panics with the number and the bytes of the first one that panics or allocates too
    /// much, and when no case or every case was refused, because then the damage proved nothing.
    pub fn run(self, mut decode: impl FnMut(&[u8]) -> Outcome) -> Summary {
        let mut summary = Summary::default();
        if let Some(case) = number_from("FUZZ_CASE") {
            let input = self.input(case);
            println!("{} case {case}: {}", self.name, shown(&input));
            self.case(case, &input, &mut decode, &mut summary);
            return summary;
        }
        let cases = (number_from("FUZZ_CASES").unwrap_or(CASES) / self.share).max(1);
        for case in 0..cases {
            let input = self.input(case);
            self.case(case, &input, &mut decode, &mut summary);
        }
        println!(
            "{}: {cases} cases, {} taken, {} refused, {} bytes allocated beyond the length's share",
            self.name, summary.taken, summary.refused, summary.constant_bytes_max
        );
        let meaningful = !self.both_outcomes || (summary.taken > 0 && summary.refused > 0);
        assert!(meaningful, "{}: the cases prove nothing: {summary:?}", self.name);
        summary
    }

    /// The bytes of one case, which depend on nothing but its number, the name and the corpus.
    fn input(&self, case: u64) -> Vec<u8> {
        // FNV-1a keeps the targets' damage apart.
        let seed = self
            .name
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
        let mut input = Mutator::new(seed ^ case.wrapping_mul(0x9e37_79b9_7f4a_7c15)).input(&self.corpus, self.pieces);
        input.truncate(self.bytes_max);
        input
    }

    fn case(&self, case: u64, input: &[u8], decode: &mut impl FnMut(&[u8]) -> Outcome, summary: &mut Summary) {
        let before = allocated_bytes();
        let outcome = catch_unwind(AssertUnwindSafe(|| decode(input)));
        let allocated = allocated_bytes() - before;
        match outcome {
            Ok(Outcome::Taken) => summary.taken += 1,
            Ok(Outcome::Refused) => summary.refused += 1,
            Err(_) => self.report(case, input, "panics"),
        }
        let Some((per_byte, constant)) = self.allocation else { return };
        let beyond = allocated.saturating_sub(per_byte * input.len() as u64);
        summary.constant_bytes_max = summary.constant_bytes_max.max(beyond);
        if beyond > constant {
            let length = input.len();
            self.report(
                case,
                input,
                &format!("allocates {allocated} bytes for {length}: {per_byte} each and {constant}"),
            );
        }
    }

    fn report(&self, case: u64, input: &[u8], what: &str) -> ! {
        let (name, input) = (self.name, shown(input));
        panic!("{name} case {case} {what}\n  input: {input}\n  again: FUZZ_CASE={case} cargo test -p <crate> {name}");
    }
}

fn number_from(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is not a number: {text}")))
}

fn shown(input: &[u8]) -> String {
    let cut = if input.len() > SHOWN_BYTES_MAX { "..." } else { "" };
    format!("b\"{}\"{cut}", input[..input.len().min(SHOWN_BYTES_MAX)].escape_ascii())
}
