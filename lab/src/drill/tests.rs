//! What the drill concludes from what it has measured.

use std::collections::BTreeSet;
use std::time::Duration;

use super::calls::{Call, Kind, of_kind};
use super::checks::Check;
use super::room::side_of;
use super::trial::Ear;
use super::watch::Calm;
use super::*;

fn ear(after_ms: f64) -> Ear {
    Ear { phone: "5000".into(), hears: "5001".into(), before_ms: 20.0, after_ms, silent_for_good: false }
}

fn check(good: usize) -> Check {
    Check { name: "calls", good, total: 5, notes: Vec::new() }
}

fn report(fault: Fault, results: &[TrialResult]) -> Report {
    Report { slack: 1.0, calls: Counts::default(), faults: vec![FaultReport::new(fault, fault.promise_ms(), results)] }
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
    assert!(FaultReport::new(Fault::Kill, 180.0, &[result(179.0, 5)]).kept());
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
fn each_kind_of_call_is_told() {
    let setup = TrialResult {
        setup_ms: vec![12.0, 510.0],
        calm: Some(Calm { late_acks: 2, ..Calm::default() }),
        ..result(44.0, 5)
    };
    let json = report(Fault::Loss, &[setup.clone(), setup]).json();
    assert_eq!(json["calls"]["echo"], 0);
    assert_eq!(
        (&json["faults"][0]["setup_ms"]["count"], &json["faults"][0]["setup_ms"]["worst"]),
        (&4.into(), &510.0.into())
    );
    assert_eq!(json["faults"][0]["calm"]["late_acks"], 4);
}

#[test]
fn every_phone_is_in_one_call() {
    let counts = Counts { talking: 3, held: 2, ringing: 2, setup: 2, apart: 2, echo: 3 };
    let plan = counts.plan();
    let phones: Vec<usize> = plan.iter().flat_map(|call| call.phones()).collect();
    assert_eq!(phones, (0..25).collect::<Vec<_>>());
    assert_eq!(counts.phones(), 25);
    assert!(plan.iter().any(|call| call.acts == call.caller) && plan.iter().any(|call| call.acts == call.called));
    let sides = |call: &Call| call.phones().map(side_of).collect::<BTreeSet<_>>();
    assert!(plan.iter().all(|call| sides(call).len() == 1), "a split parts no call");
    let apart: BTreeSet<_> = of_kind(&plan, &[Kind::Apart]).iter().flat_map(sides).collect();
    assert_eq!(apart.len(), 2, "one call on each side of a split");
}

#[test]
fn who_is_in_echo_hears_itself() {
    let plan = Counts { talking: 1, echo: 1, ..Counts::default() }.plan();
    let ears: Vec<_> = plan.iter().flat_map(Call::ears).collect();
    assert_eq!(ears, [(0, 1), (1, 0), (2, 2)]);
}

fn arguments(words: &[&str]) -> DrillArguments {
    #[derive(clap::Parser)]
    struct Program {
        #[command(flatten)]
        drill: DrillArguments,
    }
    <Program as clap::Parser>::parse_from(std::iter::once(&"drill").chain(words)).drill
}

#[test]
fn what_cannot_be_drilled_is_refused() {
    let refusal = |words: &[&str]| arguments(words).check(false).err().map(|error| error.to_string());
    assert_eq!(refusal(&[]), None);
    assert!(refusal(&["--calls", "0"]).expect("a refusal").contains("talking call"));
    assert!(refusal(&["--calls", "440", "--echo", "1"]).expect("a refusal").contains("880"));
    assert!(refusal(&["--lossy-links", "2"]).expect("a refusal").contains("--links 2"));
    assert_eq!(refusal(&["--lossy-links", "2", "--links", "2"]), None);
    let by_user = |words: &[&str]| arguments(words).check(true).err().map(|error| error.to_string());
    assert_eq!(by_user(&["--fault", "kill"]), None);
    assert!(by_user(&["--fault", "power"]).expect("a refusal").contains("root"));
}

#[test]
fn an_ordinary_user_drills_all_but_the_disks() {
    let names = |is_user| arguments(&[]).faults(is_user).iter().map(|fault| fault.name()).collect::<BTreeSet<_>>();
    let missing: Vec<_> = names(false).difference(&names(true)).copied().collect();
    assert_eq!(missing, ["disk-full", "power", "power-both", "slow-disk"]);
}

#[test]
fn a_crowd_is_as_large_as_what_is_asked_for() {
    let crowd = |words: &[&str]| {
        let arguments = arguments(words);
        let counts = Counts { talking: 5, ..Counts::default() };
        (load::crowd_phones(&arguments, counts), load::crowd_calls(&arguments, counts))
    };
    assert_eq!(crowd(&[]), (0, 0));
    assert_eq!(crowd(&["--registrations", "1000"]), (990, 0));
    assert_eq!(crowd(&["--calls-in-state", "105"]), (200, 100));
    assert_eq!(crowd(&["--avalanche", "500"]), (500, 0));
    assert_eq!(crowd(&["--registrations", "1000", "--calls-in-state", "105"]), (990, 100));
}

#[test]
fn many_calls_have_a_promise_of_their_own() {
    assert_eq!(arguments(&[]).promise_ms(Fault::Kill), 60.0);
    assert_eq!(arguments(&["--slack", "2"]).promise_ms(Fault::Kill), 120.0);
    assert_eq!(arguments(&["--calls-in-state", "2000"]).promise_ms(Fault::Kill), 100.0);
    assert_eq!(arguments(&["--calls-in-state", "2000"]).promise_ms(Fault::Cut), 200.0);
    assert_eq!(arguments(&["--calls-in-state", "2000"]).promise_ms(Fault::Switchover), 40.0);
}

#[test]
fn long_faults_last_as_long_as_is_asked() {
    let hour = arguments(&["--loss-seconds", "3600"]);
    assert_eq!(hour.lasts(Fault::Loss), Some(Duration::from_secs(3600)));
    assert_eq!(hour.lasts(Fault::Kill), None);
    assert_eq!(arguments(&[]).lasts(Fault::Loss), None, "a short one");
    assert_eq!(arguments(&[]).lasts(Fault::Flood), Some(Duration::from_secs(60)));
}
