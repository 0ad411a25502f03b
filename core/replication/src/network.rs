//! A network for tests: loses, doubles and reorders datagrams as a seed says, over one or two links.

use std::time::Duration;

use base::{LocalTime, Random};

/// Two ends, 0 and 1.
pub(crate) struct Network {
    pub now: LocalTime,
    pub links: u32,
    /// Of a hundred datagrams on each link.
    pub loss_percent: u64,
    /// One copy of so many is delivered twice; 0 for none.
    pub double_one_in: u64,
    /// What a datagram takes at least, and how much more it may take.
    pub delay: Duration,
    pub jitter: Duration,
    pub cut: bool,
    pub sent: u64,
    random: Random,
    under_way: Vec<(LocalTime, u64, usize, Vec<u8>)>,
}

impl Network {
    pub fn new(seed: u64, loss_percent: u64) -> Self {
        Self {
            now: LocalTime::from_millis(10),
            links: 1,
            loss_percent,
            double_one_in: 20,
            delay: Duration::from_micros(150),
            jitter: Duration::from_micros(600),
            cut: false,
            sent: 0,
            random: Random::from_number(seed),
            under_way: Vec::new(),
        }
    }

    /// Without loss, doubles and reordering.
    pub fn perfect() -> Self {
        Self { double_one_in: 0, jitter: Duration::ZERO, ..Self::new(0, 0) }
    }

    pub fn send(&mut self, to: usize, datagram: &[u8]) {
        assert!(datagram.len() <= crate::stream::DATAGRAM_BYTES_MAX);
        for _ in 0..self.links {
            let double = self.double_one_in > 0 && self.random.one_in(self.double_one_in);
            for _ in 0..=u32::from(double) {
                self.sent += 1;
                let lost = self.cut || self.random.below(100) < self.loss_percent;
                let jitter = Duration::from_micros(self.random.below(self.jitter.as_micros() as u64 + 1));
                if !lost {
                    self.under_way.push((self.now + self.delay + jitter, self.sent, to, datagram.to_vec()));
                }
            }
        }
    }

    pub fn next_arrival(&self) -> Option<LocalTime> {
        self.under_way.iter().map(|(at, ..)| *at).min()
    }

    /// The next datagram that has arrived by now, and for whom.
    pub fn arrived(&mut self) -> Option<(usize, Vec<u8>)> {
        let now = self.now;
        let next = self.under_way.iter().enumerate().filter(|(_, (at, ..))| *at <= now);
        let (index, _) = next.min_by_key(|(_, (at, order, ..))| (*at, *order))?;
        let (_, _, to, datagram) = self.under_way.swap_remove(index);
        Some((to, datagram))
    }

    pub fn random(&mut self) -> &mut Random {
        &mut self.random
    }
}
