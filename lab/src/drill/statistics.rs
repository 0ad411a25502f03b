//! Median, worst and p99 of what was measured.

use serde::Serialize;

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Summary {
    pub(super) count: usize,
    pub(super) median: f64,
    /// The worst of fewer than a hundred.
    pub(super) p99: f64,
    pub(super) worst: f64,
}

impl Summary {
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        // The smallest value that is at least as great as this share of all.
        let at_least = |percent: usize| {
            let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
            sorted.get(place).copied().unwrap_or(0.0)
        };
        Self { count: sorted.len(), median: at_least(50), p99: at_least(99), worst: at_least(100) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_exact() {
        let hundred = Summary::of((1..=100).rev().map(f64::from));
        assert_eq!((hundred.median, hundred.p99, hundred.worst), (50.0, 99.0, 100.0));
        let few = Summary::of([30.0, 10.0, 20.0]);
        assert_eq!((few.count, few.median, few.p99, few.worst), (3, 20.0, 30.0, 30.0));
        assert_eq!(Summary::of([]), Summary::default());
    }
}
