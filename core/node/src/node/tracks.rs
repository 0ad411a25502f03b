//! What is tracked: measurements come in, the cluster judges them, VRRP's priority follows.

use cluster::track::{Cost, Measured, Track};

use super::Node;
use crate::action::{Action, Tell};
use crate::event::Now;
use crate::status::TrackLine;

impl Node {
    pub(super) fn measured(&mut self, now: Now, track: usize, measured: Measured) {
        let Some(notice) = self.tracks.measured(track, measured) else { return };
        self.actions.push(Action::Tell(Tell::Track(notice)));
        let outputs = self.cluster.tracked(now.local, self.tracks.standing());
        self.take_cluster_outputs(now, outputs);
        self.vrrp_rank(now);
    }

    pub(super) fn track_lines(&self) -> Vec<TrackLine> {
        let line = |track: &Track| {
            let (state, subtracts) = match track.costs() {
                None => ("not measured yet", 0),
                Some(Cost::Nothing) => ("well", 0),
                Some(Cost::Subtracts(weight)) => ("failing", weight),
                Some(Cost::Fault) => ("fault", 0),
            };
            TrackLine { name: track.name().to_owned(), state: state.into(), subtracts }
        };
        self.tracks.iter().map(line).collect()
    }
}
