//! Records that wait for their store, in the order in which the calls ended; of each call the last word.

use std::collections::BTreeMap;

use pbx::record::Record;

use super::spool::ended_us;

#[derive(Default)]
pub(super) struct Waiting {
    records: BTreeMap<(u64, String), Record>,
    /// Where each call's record is above.
    ended: BTreeMap<String, u64>,
}

impl Waiting {
    /// One of the same call gives way.
    pub(super) fn put(&mut self, record: Record) {
        let ended = ended_us(&record);
        if let Some(before) = self.ended.insert(record.identity.clone(), ended) {
            self.records.remove(&(before, record.identity.clone()));
        }
        self.records.insert((ended, record.identity.clone()), record);
    }

    pub(super) fn remove(&mut self, record: &Record) {
        if let Some(ended) = self.ended.remove(&record.identity) {
            self.records.remove(&(ended, record.identity.clone()));
        }
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    pub(super) fn oldest_us(&self) -> Option<u64> {
        self.records.keys().next().map(|(ended, _)| *ended)
    }

    /// The oldest, at most `limit`, of calls that ended until then.
    pub(super) fn oldest(&self, limit: usize, until_us: u64) -> Vec<Record> {
        self.records
            .iter()
            .take_while(|((ended, _), _)| *ended <= until_us)
            .take(limit)
            .map(|(_, it)| it.clone())
            .collect()
    }
}
