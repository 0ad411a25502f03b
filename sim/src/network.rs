//! The wires: what gets lost, doubled, late and out of order, each way by itself; and what the switch believes.

use node::base::Random;

/// One way from one place to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    FromPhones,
    ToPhones,
    /// A link between the nodes, from this machine to the other.
    Link {
        link: u8,
        from: usize,
    },
    /// Between a machine and the witness, either way.
    Witness,
}

/// How good a way is. Loss and doubling are counted in a million packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quality {
    pub delay_us: u64,
    /// Added at random, so that packets overtake one another.
    pub jitter_us: u64,
    pub loss_ppm: u64,
    pub duplicate_ppm: u64,
}

/// A quiet local network.
pub const QUIET: Quality = Quality { delay_us: 100, jitter_us: 80, loss_ppm: 0, duplicate_ppm: 0 };

/// The most links between the two machines of a simulation.
pub const LINKS_MAX: usize = 2;

#[derive(Clone, Debug)]
pub struct Network {
    pub from_phones: Quality,
    pub to_phones: Quality,
    /// By link, then by the machine that sends.
    pub links: [[Quality; 2]; LINKS_MAX],
    /// The machine to which each segment's switch sends what is for the service address.
    pub learned: [Option<usize>; 2],
    /// The two segments are apart: each has a machine and some of the phones.
    pub split: bool,
    /// No link between the machines works; phones and the witness reach both.
    pub links_cut: bool,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            from_phones: QUIET,
            to_phones: QUIET,
            links: [[QUIET; 2]; LINKS_MAX],
            learned: [None; 2],
            split: false,
            links_cut: false,
        }
    }
}

impl Network {
    /// Whether this machine and whoever is in this segment can reach each other. Machine and segment have one number.
    pub fn joins(&self, machine: usize, segment: usize) -> bool {
        !self.split || machine == segment
    }

    /// The neighbours that can hear a machine learn that it has the service address.
    pub fn told_by(&mut self, machine: usize) {
        for segment in 0..2 {
            if self.joins(machine, segment) {
                self.learned[segment] = Some(machine);
            }
        }
    }

    fn quality(&self, path: Path) -> Quality {
        match path {
            Path::FromPhones => self.from_phones,
            Path::ToPhones => self.to_phones,
            Path::Witness => QUIET,
            Path::Link { link, from } => {
                self.links.get(usize::from(link)).and_then(|ways| ways.get(from)).copied().unwrap_or(QUIET)
            }
        }
    }

    /// After how many microseconds a packet arrives: never, once or twice.
    pub fn transit(&self, random: &mut Random, path: Path) -> [Option<u64>; 2] {
        let quality = self.quality(path);
        let cut = self.links_cut && matches!(path, Path::Link { .. });
        let lost = cut || (quality.loss_ppm > 0 && random.below(1_000_000) < quality.loss_ppm);
        let doubled = !cut && quality.duplicate_ppm > 0 && random.below(1_000_000) < quality.duplicate_ppm;
        let mut delay = || quality.delay_us + random.below(quality.jitter_us + 1);
        [(!lost).then(&mut delay), doubled.then(&mut delay)]
    }

    /// Whether the ways are without loss, so that nothing needs a second attempt but because of a fault.
    pub fn is_clean(&self) -> bool {
        let links = self.links.iter().flatten();
        [self.from_phones, self.to_phones].iter().chain(links).all(|quality| quality.loss_ppm == 0)
    }
}
