//! Bounded fuzzing of every decoder.
