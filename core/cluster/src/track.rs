//! What a node tracks besides heartbeats, and what each failure costs it: keepalived's tracking with weights.
//!
//! The shell measures; here is judged. A track fails after `fall` bad measurements in a row and is well again after
//! `rise` good ones; its first measurement counts at once. What fails subtracts from the node's priority, or is a fault,
//! with which the node does not take the role and hands it over.

use std::fmt;

use minicbor::{Decode, Encode};

#[cfg(test)]
mod tests;

/// The most that tracks subtract together: no priority has more to lose.
pub const PENALTY_MAX: u8 = 253;

/// What a failure costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// 1 to `PENALTY_MAX`, subtracted from the priority.
    Subtract(u8),
    /// The node cannot serve.
    Fault,
    /// What is measured is a number: below zero it is subtracted.
    Number,
}

/// One thing that is tracked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub name: String,
    pub weight: Weight,
    /// Good measurements in a row that end a failure, and bad ones that begin one; at least one each.
    pub rise: u8,
    pub fall: u8,
}

/// What the shell has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measured {
    Well,
    Failing,
    /// Of a track whose weight is a number, or a fault by one that is not zero.
    Number(i64),
}

/// A node's priority less what fails of what it tracks, at least 1.
pub(crate) fn rank(priority: u8, penalty: u8) -> u8 {
    priority.saturating_sub(penalty).max(1)
}

/// What all tracks cost together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Standing {
    /// Subtracted from the priority.
    #[n(0)]
    pub penalty: u8,
    /// The node cannot serve.
    #[n(1)]
    pub fault: bool,
}

/// A track has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub name: String,
    pub costs: Cost,
}

/// What a track costs now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cost {
    #[default]
    Nothing,
    Subtracts(u8),
    Fault,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, costs } = self;
        match costs {
            Cost::Nothing => write!(f, "track {name} is well again"),
            Cost::Subtracts(weight) => write!(f, "track {name} fails: it subtracts {weight} from this node's priority"),
            Cost::Fault => write!(f, "track {name} fails: this node is not to serve"),
        }
    }
}

/// One track as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    settings: Settings,
    /// `None` until it was measured.
    costs: Option<Cost>,
    /// What the last measurements in a row say that differs from `costs`, and how many there are.
    contrary: (Cost, u8),
}

/// Everything that is tracked, in the order of the settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tracks(Vec<Track>);

impl Tracks {
    pub fn new(settings: Vec<Settings>) -> Self {
        let track = |settings| Track { settings, costs: None, contrary: (Cost::Nothing, 0) };
        Self(settings.into_iter().map(track).collect())
    }

    /// The track of this number was measured. What has changed is returned; a number that no track has changes nothing.
    pub fn measured(&mut self, number: usize, measured: Measured) -> Option<Notice> {
        let track = self.0.get_mut(number)?;
        let before = track.costs.unwrap_or_default();
        track.take(measured);
        let costs = track.costs.unwrap_or_default();
        (costs != before).then(|| Notice { name: track.settings.name.clone(), costs })
    }

    pub fn standing(&self) -> Standing {
        let costs = self.0.iter().map(|track| track.costs.unwrap_or_default());
        costs.fold(Standing::default(), |standing, costs| match costs {
            Cost::Nothing => standing,
            Cost::Subtracts(weight) => {
                Standing { penalty: standing.penalty.saturating_add(weight).min(PENALTY_MAX), ..standing }
            }
            Cost::Fault => Standing { fault: true, ..standing },
        })
    }

    pub fn iter(&self) -> impl Iterator<Item = &Track> {
        self.0.iter()
    }
}

impl Track {
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// `None` until it was measured.
    pub fn costs(&self) -> Option<Cost> {
        self.costs
    }

    fn take(&mut self, measured: Measured) {
        let costs = cost(self.settings.weight, measured);
        let Some(present) = self.costs else {
            self.costs = Some(costs);
            return;
        };
        // A number that could not be had is the one that was.
        let is_unknown = self.settings.weight == Weight::Number && !matches!(measured, Measured::Number(_));
        if costs == present || is_unknown {
            self.contrary.1 = 0;
            return;
        }
        let in_a_row = if self.contrary.0 == costs { self.contrary.1.saturating_add(1) } else { 1 };
        self.contrary = (costs, in_a_row);
        let needed = if costs == Cost::Nothing { self.settings.rise } else { self.settings.fall };
        if in_a_row >= needed {
            self.costs = Some(costs);
            self.contrary.1 = 0;
        }
    }
}

fn cost(weight: Weight, measured: Measured) -> Cost {
    match (weight, measured) {
        (_, Measured::Well) | (_, Measured::Number(0)) => Cost::Nothing,
        (Weight::Fault, Measured::Failing | Measured::Number(_)) => Cost::Fault,
        (Weight::Subtract(weight), Measured::Failing | Measured::Number(_)) => Cost::Subtracts(weight),
        (Weight::Number, Measured::Number(number)) if number < 0 => {
            Cost::Subtracts(u8::try_from(number.unsigned_abs()).unwrap_or(PENALTY_MAX).min(PENALTY_MAX))
        }
        (Weight::Number, _) => Cost::Nothing,
    }
}
