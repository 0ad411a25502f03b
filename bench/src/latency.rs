//! Owns what is told about many latencies: percentiles, the worst, and how many are beyond a limit.

#[cfg(test)]
mod tests;

/// Latencies of one run in microseconds, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latencies(Vec<u64>);

impl Latencies {
    pub fn new(mut samples_us: Vec<u64>) -> Self {
        samples_us.sort_unstable();
        Self(samples_us)
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The smallest sample that at least this many of 1,000 do not exceed (nearest rank), in microseconds; zero
    /// without samples.
    pub fn per_mille_us(&self, per_mille: u32) -> u64 {
        let rank = (self.0.len() as u64 * u64::from(per_mille)).div_ceil(1000);
        let index = usize::try_from(rank.saturating_sub(1)).unwrap_or(usize::MAX);
        self.0.get(index).copied().unwrap_or_default()
    }

    /// The longest, in microseconds; zero without samples.
    pub fn worst_us(&self) -> u64 {
        self.0.last().copied().unwrap_or_default()
    }

    /// How many are longer than this.
    pub fn count_over(&self, limit_us: u64) -> usize {
        self.0.len() - self.0.partition_point(|&sample| sample <= limit_us)
    }
}
