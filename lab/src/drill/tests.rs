//! What the drill concludes from what it has measured.

use super::checks::Check;
use super::trial::Ear;
use super::*;

fn ear(after_ms: f64) -> Ear {
    Ear { phone: "5000".into(), hears: "5001".into(), before_ms: 20.0, after_ms, silent_for_good: false }
}

fn check(good: usize) -> Check {
    Check { name: "calls", good, total: 5, notes: Vec::new() }
}

fn report(fault: Fault, results: &[TrialResult]) -> Report {
    Report { slack: 1.0, faults: vec![FaultReport::new(fault, 1.0, results)] }
}

fn result(silence_ms: f64, good: usize) -> TrialResult {
    let (ears, worst_ms) = (vec![ear(silence_ms)], vec![silence_ms]);
    TrialResult { ears, worst_ms, checks: vec![check(good)], ..TrialResult::default() }
}

#[test]
fn the_promise_is_kept_only_when_all_of_it_is() {
    assert!(report(Fault::Kill, &[result(60.0, 5), result(44.0, 5)]).passed());
    assert!(!report(Fault::Kill, &[result(61.0, 5)]).passed());
    assert!(report(Fault::Cut, &[result(61.0, 5)]).passed());
    assert!(!report(Fault::Kill, &[result(44.0, 5), result(44.0, 4)]).passed());
    assert!(!report(Fault::Kill, &[result(44.0, 5), TrialResult::broken("no pair".into())]).passed());
    assert!(!report(Fault::Kill, &[]).passed(), "nothing measured is nothing kept");
    let mut deaf = result(44.0, 5);
    deaf.ears[0].silent_for_good = true;
    assert!(!report(Fault::Kill, &[deaf]).passed());
    assert!(FaultReport::new(Fault::Kill, 3.0, &[result(179.0, 5)]).kept());
}

#[test]
fn one_phone_of_a_hundred_may_be_worse_but_not_of_fifty() {
    let ears = |count: usize| {
        let ears = std::iter::repeat_n(ear(30.0), count - 1).chain([ear(90.0)]).collect();
        TrialResult { ears, ..TrialResult::default() }
    };
    assert!(report(Fault::Kill, &[ears(100)]).passed());
    assert!(!report(Fault::Kill, &[ears(50)]).passed());
}

#[test]
fn trials_add_up() {
    let report = report(Fault::Kill, &[result(44.0, 5), result(30.0, 4)]);
    let json = report.json();
    assert_eq!(json["passed"], false);
    assert_eq!(json["faults"][0]["checks"][0]["good"], 9);
    assert_eq!(json["faults"][0]["checks"][0]["total"], 10);
    assert_eq!(json["faults"][0]["silence_ms"]["median"], 30.0);
    assert_eq!(json["faults"][0]["worst_of_trial_ms"]["worst"], 44.0);
}

#[test]
fn every_phone_is_in_one_call() {
    let plan = super::calls::plan(3, 2, 2);
    let mut phones: Vec<usize> = plan.iter().flat_map(|call| call.phones()).collect();
    phones.sort_unstable();
    assert_eq!(phones, (0..14).collect::<Vec<_>>());
    assert!(plan.iter().any(|call| call.acts == call.caller) && plan.iter().any(|call| call.acts == call.called));
}
