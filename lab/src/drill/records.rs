//! The call records of the nodes against what the phones did: one per call, with the right outcome and times.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use super::calls::{Call, record};
use super::load::is_crowd;
use super::room::Room;
use super::scene::Scene;
use crate::LabError;
use crate::nodes::CallRow;

/// Records are whole seconds, cut or rounded, of an end that the other phone sees a little later.
const TOLERANCE_S: f64 = 1.6;

/// How long a record may take to be on both nodes.
const RECORDS_LIMIT: Duration = Duration::from_secs(10);

/// A call as its caller saw it, in seconds.
#[derive(Clone, Debug, PartialEq)]
pub struct ExpectedCall {
    pub src: String,
    pub dst: String,
    pub is_answered: bool,
    pub duration_s: f64,
    pub billed_s: f64,
}

impl Room {
    /// Notes calls that have just ended.
    pub(super) fn note_ended(&mut self, calls: &[Call]) -> Result<(), LabError> {
        for call in calls {
            let caller = call.caller;
            let times = self.phones.with(move |driver| {
                let call = record(driver, caller)?;
                Some((call.started_us, call.answered_us, call.ended_us?))
            })?;
            let Some((started_us, answered_us, ended_us)) = times else { continue };
            let seconds = |from_us: u64| ended_us.saturating_sub(from_us) as f64 / 1e6;
            self.made.push(ExpectedCall {
                src: self.number(call.caller).to_owned(),
                dst: self.dialled(call).to_owned(),
                is_answered: answered_us.is_some(),
                duration_s: seconds(started_us),
                billed_s: answered_us.map_or(0.0, seconds),
            });
        }
        Ok(())
    }

    /// How long these calls took from the INVITE to the answer, in milliseconds, as their callers saw it.
    pub(super) fn setup_ms(&self, calls: &[Call]) -> Result<Vec<f64>, LabError> {
        let callers: Vec<usize> = calls.iter().map(|call| call.caller).collect();
        self.phones.with(move |driver| {
            let taken_ms = |caller: usize| {
                let call = record(driver, caller)?;
                Some(call.answered_us?.saturating_sub(call.started_us) as f64 / 1000.0)
            };
            callers.into_iter().filter_map(taken_ms).collect()
        })
    }
}

impl Scene {
    /// What is wrong with each node's records, waiting a little for them to arrive. Empty when they are exact.
    pub(super) fn wrong_records(&self) -> Vec<String> {
        let begun = Instant::now();
        loop {
            let wrong: Vec<String> = self
                .nodes
                .iter()
                .flat_map(|node| {
                    let wrong = match node.records() {
                        Ok(rows) => compare(&self.room.made, &of_the_room(rows)),
                        Err(error) => vec![error.chain()],
                    };
                    wrong.into_iter().map(|text| format!("node {}: {text}", node.name))
                })
                .collect();
            if wrong.is_empty() || begun.elapsed() >= RECORDS_LIMIT {
                return wrong;
            }
            thread::sleep(Duration::from_millis(200));
        }
    }
}

/// Without the calls that are there for their number only.
fn of_the_room(mut rows: Vec<CallRow>) -> Vec<CallRow> {
    rows.retain(|row| !is_crowd(&row.src));
    rows
}

/// Calls made from one phone to another, and their records.
type Pair<'a> = (Vec<&'a ExpectedCall>, Vec<&'a CallRow>);

/// Differences between what was done and what one node has recorded.
pub fn compare(made: &[ExpectedCall], rows: &[CallRow]) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut pairs: BTreeMap<(&str, &str), Pair<'_>> = BTreeMap::new();
    for call in made {
        pairs.entry((&call.src, &call.dst)).or_default().0.push(call);
    }
    for row in rows {
        pairs.entry((&row.src, &row.dst)).or_default().1.push(row);
    }
    for ((src, dst), (mut made, mut rows)) in pairs {
        if made.len() != rows.len() {
            wrong.push(format!("{src} to {dst}: {} calls, {} records", made.len(), rows.len()));
            continue;
        }
        // By both times together: many calls last as many whole seconds, and were answered after different times.
        made.sort_by(|one, other| (one.duration_s + one.billed_s).total_cmp(&(other.duration_s + other.billed_s)));
        rows.sort_by(|one, other| (one.duration + one.billsec).total_cmp(&(other.duration + other.billsec)));
        for (call, row) in made.iter().zip(&rows) {
            let close = |expected: f64, found: f64| (expected - found).abs() <= TOLERANCE_S;
            if (row.disposition == "ANSWERED") != call.is_answered {
                let wanted = if call.is_answered { "ANSWERED" } else { "a refusal" };
                wrong.push(format!("{src} to {dst}: {} instead of {wanted}", row.disposition));
            } else if !close(call.duration_s, row.duration) || !close(call.billed_s, row.billsec) {
                wrong.push(format!(
                    "{src} to {dst}: {} s ({} s billed) instead of {:.1} s ({:.1} s)",
                    row.duration, row.billsec, call.duration_s, call.billed_s
                ));
            }
        }
    }
    let mut identities: Vec<String> = rows.iter().map(|row| row.identity.to_string()).collect();
    identities.sort();
    let all = identities.len();
    identities.dedup();
    if identities.len() != all {
        wrong.push(format!("{} records share an identity", all - identities.len()));
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(src: &str, duration_s: f64) -> ExpectedCall {
        let (src, dst) = (src.to_owned(), "5001".to_owned());
        ExpectedCall { src, dst, is_answered: true, duration_s, billed_s: duration_s - 1.0 }
    }

    fn row(src: &str, duration: f64, identity: u32) -> CallRow {
        CallRow {
            src: src.to_owned(),
            dst: "5001".to_owned(),
            disposition: "ANSWERED".to_owned(),
            duration,
            billsec: duration - 1.0,
            identity: identity.into(),
        }
    }

    #[test]
    fn exact_records_are_exact_in_any_order() {
        let made = [call("5000", 12.4), call("5000", 3.2), call("5002", 5.0)];
        assert_eq!(compare(&made, &[row("5002", 5.0, 1), row("5000", 3.0, 2), row("5000", 12.0, 3)]), [""; 0]);
    }

    #[test]
    fn calls_of_as_many_seconds_are_told_apart_by_what_was_billed() {
        let made = [(3.9, 3.9), (3.2, 2.7), (3.2, 3.2)];
        let made = made.map(|(duration_s, billed_s)| ExpectedCall { duration_s, billed_s, ..call("5000", 0.0) });
        let rows = [(3.0, 3.0, 1), (3.0, 3.0, 2), (3.0, 2.0, 3)];
        let rows = rows.map(|(duration, billsec, identity)| CallRow { billsec, ..row("5000", duration, identity) });
        assert_eq!(compare(&made, &rows), [""; 0]);
    }

    #[test]
    fn a_refused_call_has_a_record_that_says_so() {
        let made = [ExpectedCall { is_answered: false, billed_s: 0.0, ..call("5000", 1.0) }];
        let refused = CallRow { disposition: "FAILED".to_owned(), billsec: 0.0, ..row("5000", 1.0, 1) };
        assert_eq!(compare(&made, std::slice::from_ref(&refused)), [""; 0]);
        assert_eq!(compare(&made, &[CallRow { disposition: "ANSWERED".to_owned(), ..refused }]).len(), 1);
    }

    #[test]
    fn every_kind_of_wrong_record_is_found() {
        let made = [call("5000", 12.4)];
        let good = row("5000", 12.0, 1);
        let busy = CallRow { disposition: "BUSY".to_owned(), ..good.clone() };
        let unbilled = CallRow { billsec: 0.0, ..good.clone() };
        let cases: [(&str, Vec<CallRow>); 6] = [
            ("lost", vec![]),
            ("doubled", vec![good.clone(), row("5000", 12.0, 2)]),
            ("nobody's", vec![good.clone(), row("5009", 12.0, 2)]),
            ("disposition", vec![busy]),
            ("duration", vec![row("5000", 9.0, 1)]),
            ("billed", vec![unbilled]),
        ];
        for (name, rows) in cases {
            assert_eq!(compare(&made, &rows).len(), 1, "{name}");
        }
        let twins = [call("5000", 12.4), call("5002", 12.4)];
        assert_eq!(compare(&twins, &[good, row("5002", 12.0, 1)]), ["1 records share an identity"]);
    }
}
