//! Random worlds: as many seeds as `TANDEM_SEEDS` says, 40 by default.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use sim::chaos::{self, Options};

fn seeds() -> u64 {
    let default = if cfg!(debug_assertions) { 4 } else { 40 };
    std::env::var("TANDEM_SEEDS").ok().and_then(|count| count.parse().ok()).unwrap_or(default)
}

#[test]
fn random_worlds_are_clean() {
    let (next, failed) = (AtomicU64::new(1), Mutex::new(Vec::new()));
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > seeds() {
                        return;
                    }
                    let outcome = chaos::run(seed, &Options::default(), None);
                    if let (Some(failure), Ok(mut failed)) = (outcome.failure, failed.lock()) {
                        failed.push(format!("{failure}\nagain: {}", chaos::again(seed)));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("no thread has failed");
    assert!(failed.is_empty(), "{} of {} seeds failed:\n{}", failed.len(), seeds(), failed.join("\n"));
}

/// The same seed is the same world, to the last event.
#[test]
fn a_seed_repeats_exactly() {
    let options = Options { life_us: 60_000_000, ..Options::default() };
    let (first, second) = (chaos::run(5, &options, None), chaos::run(5, &options, None));
    assert_eq!(first.happenings, second.happenings);
    assert_eq!(first.calls, second.calls);
    assert_eq!(first.silences_us, second.silences_us);
    assert_ne!(first.happenings, chaos::run(6, &options, None).happenings);
}
