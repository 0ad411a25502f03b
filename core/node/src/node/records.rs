//! Finished call records on their way from the log into the stores: each leaves the log when it is where it is to be.
//!
//! ```text
//!   a store of its own on each node:  the log --> both files, then out of the log
//!   a store that both share:          the log --> the store, by the active node, then out of the log while the peer is there
//!     too many of them:               the log --> both nodes' spools, then out of the log; from there --> the store
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use cluster::Role;
use pbx::object::kind;
use pbx::record::Record;
use replication::Delta;

use super::Node;
use super::peer::Note;
use crate::action::{Action, Tell};
use crate::cdr::StoreState;
use crate::event::Now;
use crate::status::RecordsLine;

/// Identities in one note; more go in several.
const IDENTITIES_MAX: usize = 128;

/// Finished records that the log carries while a store is away: some 60 MB of memory on each node, and a snapshot of
/// some 15 MB. Beyond it new ones of a shared store go to both nodes' spools.
pub const RECORDS_KEPT_MAX: usize = 50_000;

/// Beyond so many times as many one spool is enough, and so is one node's own file: the peer has been away for all of
/// these calls. It is told.
const ALONE_TIMES: usize = 2;

/// Records that are given to the store again in one step, which must stay short.
const AGAIN_BATCH: usize = 256;

/// Identities that are looked at in one step: each may be a change of the log.
const TOLD_STEP: usize = 128;

/// Finished records and who has stored them.
#[derive(Default)]
pub(super) struct Records {
    /// Of those in the log: who has them, unless nobody has said so yet.
    kept: BTreeMap<String, Kept>,
    /// As active: what was told of them and was not looked at yet.
    told: VecDeque<(String, Place)>,
    /// The last one that was given to the store again; while there are more.
    again: Option<String>,
    /// Some have left the log although the peer's disk lacks them.
    alone: bool,
    /// How the store's thread says it is.
    store: StoreState,
}

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Store,
    Spool,
    /// The peer's store or spool.
    Peer,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Kept {
    here: bool,
    there: bool,
}

impl Node {
    pub(super) fn records_stored_here(&mut self, identities: Vec<String>) {
        if self.cluster.role() != Role::Active {
            return self.tell_of_records(&identities);
        }
        self.records_told(identities, Place::Store);
    }

    /// They are on this node's disk, until the shared store takes them from there.
    pub(super) fn records_spooled_here(&mut self, identities: Vec<String>) {
        if self.cluster.role() != Role::Active {
            return self.tell_of_records(&identities);
        }
        self.records_told(identities, Place::Spool);
    }

    pub(super) fn records_stored_there(&mut self, identities: Vec<String>) {
        if self.cluster.role() == Role::Active {
            self.records_told(identities, Place::Peer);
        }
    }

    /// Few are looked at in the same step: nearly always it is all of them.
    fn records_told(&mut self, identities: Vec<String>, place: Place) {
        let at_once = self.records.told.is_empty();
        self.records.told.extend(identities.into_iter().map(|identity| (identity, place)));
        if at_once {
            self.take_records_told();
        }
    }

    pub(super) fn has_records_told(&self) -> bool {
        !self.records.told.is_empty()
    }

    /// The next of them leave the log, if they are where they are to be.
    pub(super) fn take_records_told(&mut self) {
        if self.cluster.role() != Role::Active {
            // When we serve again, all are given to the store again.
            return self.records.told.clear();
        }
        let count = self.records.told.len().min(TOLD_STEP);
        let told: Vec<_> = self.records.told.drain(..count).collect();
        // A peer that is away may have gone on with the call: the record is what tells it that a phone has ended it.
        let peer_away = self.settings.links > 0 && !self.follower_in_step();
        let few = self.pbx.records_count() <= self.settings.records_kept_max;
        for (identity, place) in &told {
            match (place, self.settings.records_shared) {
                // When it is back all are stored again.
                (Place::Store, true) if peer_away && few => {}
                (Place::Store, true) => self.forget_record(identity),
                (Place::Store, false) | (Place::Spool, _) => {
                    self.record_kept(identity, Kept { here: true, there: false });
                }
                (Place::Peer, _) => self.record_kept(identity, Kept { here: false, there: true }),
            }
        }
    }

    pub(super) fn store_told(&mut self, state: StoreState) {
        self.records.store = state;
    }

    /// What becomes of a finished call's record on this node; `None` when that is another's part.
    pub(super) fn record_action(&self, record: Box<Record>) -> Option<Action> {
        let many = self.pbx.records_count() > self.settings.records_kept_max;
        match (self.settings.records_shared, self.cluster.role()) {
            (true, _) if many => Some(Action::SpoolRecord(record)),
            (false, _) | (true, Role::Active) => Some(Action::StoreRecord(record)),
            (true, Role::Standby | Role::Starting) => None,
        }
    }

    /// The active node has taken it out of the log.
    pub(super) fn record_applied(&mut self, delta: &Delta) {
        if delta.key.kind == kind::RECORD && delta.value.is_none() {
            self.records.kept.remove(&delta.key.id);
        }
    }

    /// The whole state was replaced.
    pub(super) fn records_replaced(&mut self) {
        let pbx = &self.pbx;
        self.records.kept.retain(|identity, _| pbx.has_record(identity));
    }

    /// Whenever the nodes come into step, the other one may not know what is stored here: all are stored again, which a
    /// store that has them already takes for done. What the other one has said of its own store stays true.
    pub(super) fn store_records_again(&mut self) {
        self.records.again = Some(String::new());
    }

    /// More wait to be given to the store again.
    pub(super) fn has_records_again(&self) -> bool {
        self.records.again.is_some()
    }

    /// Gives the next of them to the store.
    pub(super) fn store_some_again(&mut self) {
        if self.rebuild.is_some() {
            // What the PBX still has may be void.
            return;
        }
        let Some(after) = self.records.again.take() else { return };
        // Whoever may not store now begins anew when it may.
        let follows = self.settings.records_shared && self.cluster.role() != Role::Active;
        let spools = follows && self.pbx.records_count() > self.settings.records_kept_max;
        if !self.may_store_records() || (follows && !spools) {
            return;
        }
        let after = if after.is_empty() { Bound::Unbounded } else { Bound::Excluded(after) };
        let records: Vec<Record> = self.pbx.records_after(after).take(AGAIN_BATCH).cloned().collect();
        if records.len() == AGAIN_BATCH {
            self.records.again = records.last().map(|record| record.identity.clone());
        }
        for record in records.into_iter().map(Box::new) {
            // A peer that was away when they were spooled here keeps them as well, whichever they are.
            let action = if spools { Action::SpoolRecord(record) } else { Action::StoreRecord(record) };
            self.actions.push(action);
        }
    }

    /// A node that has lost its peer and has heard no phone since may be the one that is cut off: what it makes of
    /// its calls by timers alone is void then, and must not reach its store.
    pub(super) fn may_store_records(&self) -> bool {
        self.cluster.role() != Role::Active || self.settings.links == 0 || self.follower_in_step() || self.stores_alone
    }

    pub(super) fn records_line(&self, now: Now) -> RecordsLine {
        let StoreState { store, trouble, avoided, waiting, spooled, oldest } = self.records.store.clone();
        RecordsLine {
            store,
            shared: self.settings.records_shared,
            trouble,
            avoided,
            waiting,
            spooled,
            oldest_seconds: oldest.map(|oldest| now.wall.since(oldest).as_secs()),
        }
    }

    /// The active node takes them out of the log; it may not know yet what this one has.
    fn tell_of_records(&mut self, identities: &[String]) {
        for part in identities.chunks(IDENTITIES_MAX) {
            self.send_note(&Note::RecordsStored(part.to_vec()));
        }
    }

    /// A record leaves the log when both nodes have it.
    fn record_kept(&mut self, identity: &str, news: Kept) {
        if !self.pbx.has_record(identity) {
            return;
        }
        let kept = self.records.kept.entry(identity.to_owned()).or_default();
        *kept = Kept { here: kept.here || news.here, there: kept.there || news.there };
        let Kept { here, there } = *kept;
        let many = self.pbx.records_count() > self.records_alone_max();
        if here && (there || many || self.settings.links == 0) {
            self.tell_of_alone(many && !there);
            self.forget_record(identity);
        }
    }

    fn records_alone_max(&self) -> usize {
        self.settings.records_kept_max.saturating_mul(ALONE_TIMES)
    }

    /// Once for each time that the peer is away for so long.
    fn tell_of_alone(&mut self, alone: bool) {
        if alone && !self.records.alone {
            let count = self.records_alone_max();
            let text = format!("more than {count} call records wait for the peer: new ones are on this node only");
            self.actions.push(Action::Tell(Tell::Trouble(text)));
        }
        self.records.alone = alone;
    }

    fn forget_record(&mut self, identity: &str) {
        self.records.kept.remove(identity);
        self.pbx.forget_record(identity);
    }
}
