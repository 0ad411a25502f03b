//! The PBX's view of a store that was replaced whole, brought about in slices, so that heartbeats and the peer's log do not
//! wait behind tens of thousands of objects.
//!
//! ```text
//!   Replaced --> what is gone leaves --> what there is comes, by key --> confirmed to the leader
//!                  (Sweep)                 (Take)
//! ```
//!
//! Until it is done nothing is confirmed, so that no leader waits for this node or counts on it. Entries that come
//! meanwhile are in the store at once; of their objects the PBX takes those whose turn is over.

use replication::{Delta, Key};

use super::Node;
use super::configuration::known::is_own;
use crate::action::{Action, Tell};
use crate::event::Now;

/// Objects that are looked for in one slice, and bytes of objects that are taken: under a millisecond on a small machine.
const SWEEP_OBJECTS: usize = 256;
const TAKE_BYTES: usize = 24 * 1024;

/// What every object costs besides its bytes, in bytes.
const OBJECT_BYTES: usize = 64;

/// How far it has come.
#[derive(Clone, Debug)]
pub(super) enum Rebuild {
    /// Looks for objects that are gone, after this one.
    Sweep(Option<pbx::object::Key>),
    /// Takes what there is, from here on.
    Take(Key),
}

impl Node {
    /// The store is another one from now on.
    pub(super) fn begin_rebuild(&mut self) {
        self.rebuild = Some(Rebuild::Sweep(None));
    }

    /// All of it, now: this node is about to serve.
    pub(super) fn rebuild_whole(&mut self, now: Now) {
        while self.rebuild.is_some() {
            self.rebuild_some(now);
        }
    }

    /// The next slice.
    pub(super) fn rebuild_some(&mut self, now: Now) {
        self.rebuild = match self.rebuild.take() {
            None => return,
            Some(Rebuild::Sweep(after)) => {
                let (time, store) = (self.pbx_now(now), self.log.store());
                let is_there = |kind: u8, id: String| store.value(&Key::new(kind, id)).is_some();
                match self.pbx.sweep(time, after, SWEEP_OBJECTS, is_there) {
                    Some(last) => Some(Rebuild::Sweep(Some(last))),
                    None => Some(Rebuild::Take(Key::default())),
                }
            }
            Some(Rebuild::Take(from)) => self.take_objects(now, &from).map(Rebuild::Take),
        };
        if self.rebuild.is_none() {
            self.records_replaced();
        }
        self.in_place(now, self.log.position());
    }

    /// Takes a slice of the store, and tells where the next one begins.
    fn take_objects(&mut self, now: Now, from: &Key) -> Option<Key> {
        let time = self.pbx_now(now);
        let mut bytes = 0;
        for (key, value) in self.log.store().iter_from(from).filter(|(key, _)| !is_own(key.kind)) {
            if bytes >= TAKE_BYTES {
                return Some(key.clone());
            }
            bytes += OBJECT_BYTES + key.id.len() + value.len();
            if let Err(error) = self.pbx.apply(time, key.kind, &key.id, Some(value)) {
                self.actions.push(Action::Tell(Tell::Trouble(error.to_string())));
            }
        }
        None
    }

    /// A change of the log: the PBX takes it now, or when its object's turn comes.
    pub(super) fn apply_to_pbx(&mut self, now: Now, delta: &Delta) {
        let waits = match &self.rebuild {
            None => false,
            Some(Rebuild::Sweep(_)) => true,
            Some(Rebuild::Take(next)) => delta.key >= *next,
        };
        if is_own(delta.key.kind) || (waits && delta.value.is_some()) {
            return;
        }
        let time = self.pbx_now(now);
        if let Err(error) = self.pbx.apply(time, delta.key.kind, &delta.key.id, delta.value.as_deref()) {
            self.actions.push(Action::Tell(Tell::Trouble(error.to_string())));
        }
    }

    /// What a node that served had changed, and the log does not have, is put back to what the log says.
    pub(super) fn put_back(&mut self, now: Now, changed: Vec<pbx::object::Key>) {
        if self.unlogged {
            // Something was too large for the log, so that the PBX differs from it elsewhere, too.
            self.unlogged = false;
            return self.begin_rebuild();
        }
        for key in changed {
            let key = Key::new(key.kind(), key.id());
            let value = self.log.store().value(&key).map(<[u8]>::to_vec);
            self.apply_to_pbx(now, &Delta { key, value });
        }
    }
}
