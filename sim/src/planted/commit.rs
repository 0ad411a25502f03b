//! Output before commit: what phones were told just before a crash, the survivor does not know.

use std::collections::VecDeque;
use std::time::Duration;

use node::{Event, Node, Now};

use super::{LOG, Plant};

/// How much of the log the survivor lacks.
const LACKS: Duration = Duration::from_millis(30);

/// A node that lives through the same events as its twin on the machine, a little later.
struct Twin {
    node: Node,
    waiting: VecDeque<(Now, Event)>,
}

#[derive(Default)]
pub struct OutputBeforeCommit {
    twins: [Option<Twin>; 2],
    planted: u64,
}

impl Plant for OutputBeforeCommit {
    fn planted(&self) -> u64 {
        self.planted
    }

    fn wants_twins(&self) -> bool {
        true
    }

    fn started(&mut self, machine: usize, twin: Option<Node>) {
        self.twins[machine] = twin.map(|node| Twin { node, waiting: VecDeque::new() });
    }

    fn event(&mut self, machine: usize, now: Now, event: &Event) {
        let Some(twin) = self.twins[machine].as_mut() else { return };
        twin.waiting.push_back((now, event.clone()));
        while twin.waiting.front().is_some_and(|(at, _)| at.local + LACKS <= now.local) {
            if let Some((at, event)) = twin.waiting.pop_front() {
                twin.node.handle(at, event);
            }
        }
    }

    fn died(&mut self, machine: usize, other: Option<&mut Node>) {
        self.twins[machine] = None;
        let (Some(mut twin), Some(node)) = (self.twins[1 - machine].take(), other) else { return };
        for (at, event) in twin.waiting.drain(..) {
            match &event {
                Event::Peer { bytes, .. } if bytes.first() == Some(&LOG) => self.planted += 1,
                _ => {
                    twin.node.handle(at, event);
                }
            }
        }
        std::mem::swap(node, &mut twin.node);
    }
}
