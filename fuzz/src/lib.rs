//! Bounded fuzzing: the same damaged inputs in every run, and a limit on what reading each of them may allocate.
//!
//! Read `run` first: a `Target` feeds cases to a decoder and reports the one that broke it, so that it can be run
//! again by its number. `mutation` makes a case out of a corpus, `allocation` counts. The targets are in `tests/`.

pub mod allocation;
pub mod mutation;
pub mod run;

pub use allocation::Counting;
pub use mutation::Mutator;
pub use run::{Outcome, Target};
