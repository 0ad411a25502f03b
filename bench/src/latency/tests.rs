use super::Latencies;

#[test]
fn percentiles_are_of_the_nearest_rank() {
    let latencies = Latencies::new((1..=1000).rev().collect());
    assert_eq!(latencies.count(), 1000);
    assert_eq!(latencies.per_mille_us(500), 500);
    assert_eq!(latencies.per_mille_us(990), 990);
    assert_eq!(latencies.per_mille_us(999), 999);
    assert_eq!(latencies.per_mille_us(1000), 1000);
    assert_eq!(latencies.worst_us(), 1000);
}

#[test]
fn a_rank_between_two_samples_is_the_greater_one() {
    let latencies = Latencies::new(vec![30, 10, 20]);
    assert_eq!(latencies.per_mille_us(500), 20);
    assert_eq!(latencies.per_mille_us(667), 30);
    assert_eq!(latencies.per_mille_us(0), 10);
}

#[test]
fn a_sample_at_the_limit_is_not_over_it() {
    let latencies = Latencies::new(vec![24, 25, 25, 26, 90]);
    assert_eq!(latencies.count_over(25), 2);
    assert_eq!(latencies.count_over(90), 0);
    assert_eq!(latencies.count_over(0), 5);
}

#[test]
fn nothing_has_no_latency() {
    let latencies = Latencies::default();
    assert_eq!((latencies.per_mille_us(990), latencies.worst_us(), latencies.count_over(0)), (0, 0, 0));
}
