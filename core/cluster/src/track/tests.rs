use super::*;

fn settings(name: &str, weight: Weight, rise: u8, fall: u8) -> Settings {
    Settings { name: name.to_owned(), weight, rise, fall }
}

fn one(weight: Weight, rise: u8, fall: u8) -> Tracks {
    Tracks::new(vec![settings("it", weight, rise, fall)])
}

#[test]
fn each_weight_with_each_measurement() {
    let cases = [
        (Weight::Subtract(20), Measured::Well, Cost::Nothing),
        (Weight::Subtract(20), Measured::Failing, Cost::Subtracts(20)),
        (Weight::Subtract(20), Measured::Number(0), Cost::Nothing),
        (Weight::Subtract(20), Measured::Number(7), Cost::Subtracts(20)),
        (Weight::Fault, Measured::Well, Cost::Nothing),
        (Weight::Fault, Measured::Failing, Cost::Fault),
        (Weight::Fault, Measured::Number(0), Cost::Nothing),
        (Weight::Fault, Measured::Number(-1), Cost::Fault),
        (Weight::Number, Measured::Well, Cost::Nothing),
        (Weight::Number, Measured::Failing, Cost::Nothing),
        (Weight::Number, Measured::Number(7), Cost::Nothing),
        (Weight::Number, Measured::Number(-7), Cost::Subtracts(7)),
        (Weight::Number, Measured::Number(i64::MIN), Cost::Subtracts(PENALTY_MAX)),
    ];
    for (weight, measured, expected) in cases {
        let mut tracks = one(weight, 1, 1);
        tracks.measured(0, measured);
        assert_eq!(tracks.iter().next().unwrap().costs(), Some(expected), "{weight:?} {measured:?}");
    }
}

#[test]
fn the_first_measurement_counts_at_once() {
    let mut tracks = one(Weight::Fault, 3, 3);
    assert_eq!(tracks.standing(), Standing::default());
    let notice = tracks.measured(0, Measured::Failing).unwrap();
    assert_eq!(notice, Notice { name: "it".into(), costs: Cost::Fault });
    assert!(tracks.standing().fault);
    assert_eq!(one(Weight::Fault, 3, 3).measured(0, Measured::Well), None, "what is well is no news");
}

/// facts/vrrp.md: `vrrp_script {interval timeout weight rise fall}`.
#[test]
fn a_failure_begins_and_ends_after_enough_in_a_row() {
    let mut tracks = one(Weight::Subtract(20), 2, 3);
    let mut said = Vec::new();
    let course = [true, false, false, true, false, false, false, false, true, false, true, true];
    for (step, well) in course.into_iter().enumerate() {
        let measured = if well { Measured::Well } else { Measured::Failing };
        said.extend(tracks.measured(0, measured).map(|notice| (step, notice.costs)));
    }
    assert_eq!(said, [(6, Cost::Subtracts(20)), (11, Cost::Nothing)]);
}

#[test]
fn sums_are_bounded_and_a_fault_is_apart() {
    let track = |weight| settings("it", weight, 1, 1);
    let weights = [Weight::Subtract(200), Weight::Subtract(100), Weight::Fault, Weight::Subtract(20)];
    let mut tracks = Tracks::new(weights.into_iter().map(track).collect());
    tracks.measured(3, Measured::Failing);
    assert_eq!(tracks.standing(), Standing { penalty: 20, fault: false });
    tracks.measured(0, Measured::Failing);
    tracks.measured(1, Measured::Failing);
    tracks.measured(2, Measured::Failing);
    assert_eq!(tracks.standing(), Standing { penalty: PENALTY_MAX, fault: true });
    assert_eq!(tracks.measured(4, Measured::Failing), None, "there is no such track");
}

#[test]
fn a_number_that_changes_is_told() {
    let mut tracks = one(Weight::Number, 1, 1);
    tracks.measured(0, Measured::Number(-10));
    let notice = tracks.measured(0, Measured::Number(-30)).unwrap();
    assert_eq!(notice.to_string(), "track it fails: it subtracts 30 from this node's priority");
    assert_eq!(tracks.measured(0, Measured::Number(-30)), None);
    assert_eq!(tracks.measured(0, Measured::Failing), None, "a number that could not be had is the one that was");
    assert_eq!(tracks.measured(0, Measured::Number(5)).unwrap().to_string(), "track it is well again");
}
