//! Call records: exactly one for each call that the server took, in every store, with what really happened.

use super::Checks;
use crate::conversation::Conversation;

/// What a store holds of one call, in the simulation's own time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordLine {
    pub identity: String,
    pub source: String,
    pub destination: String,
    pub disposition: String,
    /// Whom the call is charged to, if the store knows.
    pub account: Option<String>,
    pub started_us: u64,
    pub answered_us: Option<u64>,
    pub ended_us: Option<u64>,
}

/// How far the times of a record may be from what the people saw: clocks that are a little off, and the way.
const CLOSE_US: u64 = 100_000;

/// How much later something may be recorded when a fault or a lossy network came between: the retransmissions, the fifth
/// of which leaves after 15.5 s (RFC 3261, section 17.1.1.2).
const LATE_US: u64 = 2_200_000;
const LATE_LOSSY_US: u64 = 16_000_000;

impl Checks {
    /// Compares all records with all calls. `now_us` is a time at which everything has settled.
    pub fn records(&mut self, now_us: u64, stores: &[Vec<RecordLine>]) {
        for (index, store) in stores.iter().enumerate() {
            if let Err(message) = self.store(store) {
                self.fail(now_us, "records", format!("in the store of node {index}: {message}"));
            }
        }
        // Two stores that say something else of one call are no copies of each other.
        let line = |record: &RecordLine| (record.identity.clone(), record.account.clone());
        let identities = |store: &Vec<RecordLine>| -> Vec<_> { store.iter().map(line).collect() };
        let mut all: Vec<Vec<_>> = stores.iter().map(identities).collect();
        all.iter_mut().for_each(|store| store.sort());
        if all.windows(2).any(|pair| pair[0] != pair[1]) {
            let counts: Vec<usize> = all.iter().map(Vec::len).collect();
            let text =
                format!("the stores of the two nodes differ: {counts:?} records, other identities, or other accounts");
            self.fail(now_us, "records", text);
        }
    }

    fn store(&self, store: &[RecordLine]) -> Result<(), String> {
        let mut pairs: Vec<(String, String)> = self
            .conversations
            .iter()
            .map(|conversation| (self.source(conversation), conversation.number.clone()))
            .chain(store.iter().map(|record| (record.source.clone(), record.destination.clone())))
            .collect();
        pairs.sort();
        pairs.dedup();
        for (source, destination) in pairs {
            let calls: Vec<&Conversation> = self
                .conversations
                .iter()
                .filter(|conversation| self.source(conversation) == source && conversation.number == destination)
                .collect();
            let of_pair = store.iter().filter(|record| record.source == source && record.destination == destination);
            let mut records: Vec<RecordLine> = of_pair.map(|record| self.by_true_clock(record, &calls)).collect();
            records.sort_by_key(|record| record.started_us);
            self.compare(&source, &destination, &calls, &records)?;
        }
        Ok(())
    }

    fn source(&self, conversation: &Conversation) -> String {
        self.name(conversation.caller().phone.unwrap_or(usize::MAX)).to_owned()
    }

    fn compare(&self, source: &str, to: &str, calls: &[&Conversation], records: &[RecordLine]) -> Result<(), String> {
        let mut left: Vec<&RecordLine> = records.iter().collect();
        // Of a call that ended with its challenge the server knows nothing.
        for call in calls.iter().filter(|call| call.was_taken() && !call.torn) {
            match left.iter().position(|record| self.begins_with(record.started_us, call)) {
                Some(at) => self.same(call, left.remove(at))?,
                None => return Err(format!("call {} from {source} to {to} has no record", call.id)),
            }
        }
        // A call between the halves of a split network has one record, if either half took it.
        for call in calls.iter().filter(|call| call.torn) {
            let until_us = call.over_us().unwrap_or(call.began_us) + LATE_LOSSY_US;
            let within = |record: &&RecordLine| (call.began_us..until_us).contains(&(record.started_us + CLOSE_US));
            if let Some(at) = left.iter().position(within) {
                left.remove(at);
            }
        }
        match left.first() {
            Some(record) => Err(format!(
                "record {} from {source} to {to}, started at {} us, belongs to no call: doubled or made up",
                record.identity, record.started_us
            )),
            None => Ok(()),
        }
    }

    fn begins_with(&self, started_us: u64, call: &Conversation) -> bool {
        started_us + CLOSE_US >= call.began_us && started_us <= call.began_us + self.late_us(call.began_us)
    }

    /// The record as a clock would have it that nobody ever set wrong: all its times count from its start.
    fn by_true_clock(&self, record: &RecordLine, calls: &[&Conversation]) -> RecordLine {
        let fits = |off_us: &u64| {
            let started_us = record.started_us.checked_sub(*off_us);
            started_us.is_some_and(|started_us| calls.iter().any(|call| self.begins_with(started_us, call)))
        };
        let off_us = [0].into_iter().chain(self.clocks_off_us.iter().copied()).find(fits).unwrap_or(0);
        RecordLine {
            started_us: record.started_us - off_us,
            answered_us: record.answered_us.map(|at| at.saturating_sub(off_us)),
            ended_us: record.ended_us.map(|at| at.saturating_sub(off_us)),
            ..record.clone()
        }
    }

    fn same(&self, call: &Conversation, record: &RecordLine) -> Result<(), String> {
        let id = call.id;
        let answered = call.callee().up_us.or(call.caller().up_us.filter(|_| call.callee().phone.is_none()));
        let busy = call.invite_status == Some(486) || call.callee().gave_up_us.is_some();
        let expected = match answered {
            Some(_) => "ANSWERED",
            None if busy => "BUSY",
            None => "NO ANSWER",
        };
        let rung_out_us = call.began_us + self.ring_us;
        let declined_late = call.callee().gave_up_us.is_some_and(|at| at + self.late_us(at) >= rung_out_us);
        // What crosses a CANCEL may count or not: an answer, also one of Echo, and a refusal. So does a refusal that
        // crosses the end of the ringing.
        let crossed = call.caller().up_us.is_none() && call.caller().gave_up_us.is_some();
        let by_itself = call.callee().phone.is_none();
        let also = match record.disposition.as_str() {
            "NO ANSWER" => crossed || declined_late || (answered.is_some() && call.caller().up_us.is_none()),
            "ANSWERED" => crossed && by_itself,
            "BUSY" => crossed && call.refused.is_some(),
            _ => false,
        };
        if record.disposition != expected && !also {
            return Err(format!("the record of call {id} says {}, but it was {expected}", record.disposition));
        }
        if record.disposition == "ANSWERED" {
            // Echo answers by itself; when the caller hears of it is up to the network.
            let from = if by_itself { Some(call.began_us) } else { answered };
            let heard = answered.or(call.over_us());
            self.close(id, "answer", from.zip(heard), record.answered_us)?;
        }
        // It ends when the server learns that somebody wants it to, or when the phones do. An answer may cross the end of
        // the ringing.
        let rung_out = (answered.is_none() || record.disposition == "NO ANSWER").then_some(rung_out_us);
        let wanted = [call.gave_up_us(), call.refused_us, call.over_us(), rung_out].into_iter().flatten().min();
        self.close(id, "end", wanted.zip(call.over_us()), record.ended_us)
    }

    fn close(&self, id: u32, what: &str, seen: Option<(u64, u64)>, recorded_us: Option<u64>) -> Result<(), String> {
        let (Some((from, seen)), Some(recorded)) = (seen, recorded_us) else {
            return Err(format!("the record of call {id}: its {what} was at {seen:?}, it says {recorded_us:?}"));
        };
        if recorded + CLOSE_US < from.min(seen) || recorded > seen + self.late_us(seen) {
            return Err(format!("the record of call {id} puts its {what} at {recorded} us, but it was at {seen} us"));
        }
        Ok(())
    }

    /// How late the record of something at this time may be.
    fn late_us(&self, at_us: u64) -> u64 {
        if at_us < self.lossy_until_us {
            return LATE_LOSSY_US;
        }
        let near = |fault: &super::Fault| fault.until_us + 4_000_000 >= at_us && fault.at_us <= at_us + 4_000_000;
        if self.faults.iter().any(near) { LATE_US } else { CLOSE_US }
    }
}
