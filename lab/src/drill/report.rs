//! What the drill found out, per fault, and whether the promise was kept.

use serde::Serialize;
use serde_json::{Value, json};

use super::absence::Absences;
use super::beside::Comparison;
use super::calls::Counts;
use super::checks::Check;
use super::fault::Fault;
use super::load::Load;
use super::statistics::Summary;
use super::trial::TrialResult;
use super::watch::Calm;

pub(super) struct Report {
    pub(super) slack: f64,
    /// Calls of each trial, by what they do when the fault comes.
    pub(super) calls: Counts,
    pub(super) faults: Vec<FaultReport>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct FaultReport {
    pub(super) fault: &'static str,
    /// Faults committed.
    pub(super) trials: usize,
    /// Longest silence per direction of each talking call, in milliseconds.
    pub(super) silence_ms: Summary,
    /// The same before the fault.
    pub(super) baseline_ms: Summary,
    /// The worst phone of each fault.
    pub(super) worst_of_trial_ms: Summary,
    pub(super) promise_ms: f64,
    /// From the INVITE to the answer, of calls that were being set up at the fault.
    pub(super) setup_ms: Summary,
    /// Of faults that were to leave the pair as it was.
    pub(super) calm: Option<Calm>,
    /// What phones without audio took when they came, if there are any.
    pub(super) load: Option<Load>,
    pub(super) absences: Option<Absences>,
    pub(super) own_delay_ms: f64,
    pub(super) silent_for_good: usize,
    #[serde(serialize_with = "checks_as_json")]
    pub(super) checks: Vec<Check>,
    pub(super) errors: Vec<String>,
    /// What another assembly made of it.
    #[serde(skip)]
    pub(super) comparison: Option<Comparison>,
}

fn checks_as_json<S: serde::Serializer>(checks: &[Check], serializer: S) -> Result<S::Ok, S::Error> {
    let values = checks
        .iter()
        .map(|check| json!({ "name": check.name, "good": check.good, "total": check.total, "notes": check.notes }));
    serializer.collect_seq(values)
}

impl FaultReport {
    pub(super) fn new(fault: Fault, promise_ms: f64, results: &[TrialResult]) -> Self {
        let ears = || results.iter().flat_map(|result| &result.ears);
        let mut checks: Vec<Check> = Vec::new();
        for check in results.iter().flat_map(|result| &result.checks) {
            match checks.iter_mut().find(|known| known.name == check.name) {
                Some(known) => known.add(check),
                None => checks.push(check.clone()),
            }
        }
        Self {
            fault: fault.name(),
            trials: results.iter().map(|result| result.worst_ms.len().max(1)).sum(),
            silence_ms: Summary::of(ears().map(|ear| ear.after_ms)),
            baseline_ms: Summary::of(ears().map(|ear| ear.before_ms)),
            worst_of_trial_ms: Summary::of(results.iter().flat_map(|result| result.worst_ms.iter().copied())),
            promise_ms,
            setup_ms: Summary::of(results.iter().flat_map(|result| result.setup_ms.iter().copied())),
            calm: results.iter().filter_map(|result| result.calm).reduce(|sum, calm| sum + calm),
            load: results.iter().find_map(|result| result.load.clone()),
            absences: results.iter().filter_map(|result| result.absences.clone()).next_back(),
            own_delay_ms: results.iter().map(|result| result.own_delay_ms).fold(0.0, f64::max),
            silent_for_good: ears().filter(|ear| ear.silent_for_good).count(),
            checks,
            errors: results.iter().filter_map(|result| result.error.clone()).collect(),
            comparison: None,
        }
    }

    pub(super) fn silence_kept(&self) -> bool {
        self.silence_ms.count > 0 && self.silent_for_good == 0 && self.silence_ms.p99 <= self.promise_ms
    }

    pub(super) fn kept(&self) -> bool {
        self.errors.is_empty() && self.silence_kept() && self.checks.iter().all(Check::is_good)
    }
}

impl Report {
    pub(super) fn passed(&self) -> bool {
        !self.faults.is_empty() && self.faults.iter().all(FaultReport::kept)
    }

    pub(super) fn json(&self) -> Value {
        let faults = self.faults.iter().map(|fault| {
            let mut value = serde_json::to_value(fault).unwrap_or_default();
            if let Some(object) = value.as_object_mut() {
                object.insert("kept".to_owned(), fault.kept().into());
                if let Some(comparison) = &fault.comparison {
                    object.insert("beside".to_owned(), comparison.json(fault));
                }
            }
            value
        });
        let faults = faults.collect::<Vec<_>>();
        json!({ "passed": self.passed(), "slack": self.slack, "calls": self.calls, "faults": faults })
    }
}
