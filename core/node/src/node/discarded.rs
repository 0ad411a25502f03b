//! What is of no use any more, and so large that to free it all at once would hold up heartbeats and calls: it is let go of
//! bit by bit.

use std::collections::VecDeque;
use std::sync::Arc;

use pbx::configuration::Configuration;
use replication::{Changes, Log};

use super::Node;

/// Objects that are freed in one step: a tenth of a millisecond, and as much again for what the allocator makes of it.
const DISCARD_STEP: usize = 256;

/// Waits to be freed.
#[derive(Default)]
pub(super) struct Discarded(VecDeque<Waste>);

enum Waste {
    /// A snapshot has taken its place.
    Log(Box<Log>),
    /// Other files have taken its place.
    Configuration(Box<Configuration>),
    /// A merge has come to its end.
    Changes(Changes),
}

impl Discarded {
    pub(super) fn log(&mut self, log: Box<Log>) {
        self.0.push_back(Waste::Log(log));
    }

    /// Whoever has it besides frees it otherwise.
    pub(super) fn configuration(&mut self, configuration: Arc<Configuration>) {
        self.0.extend(Arc::into_inner(configuration).map(|it| Waste::Configuration(Box::new(it))));
    }

    pub(super) fn changes(&mut self, changes: Changes) {
        self.0.push_back(Waste::Changes(changes));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn some(&mut self) {
        let left = match self.0.front_mut() {
            None => return,
            Some(Waste::Log(log)) => log.discard(DISCARD_STEP),
            Some(Waste::Configuration(configuration)) => configuration.discard(DISCARD_STEP),
            Some(Waste::Changes(changes)) => changes.discard(DISCARD_STEP),
        };
        if !left {
            self.0.pop_front();
        }
    }
}

impl Node {
    /// The next slice.
    pub(super) fn discard_some(&mut self) {
        self.discarded.some();
    }
}
