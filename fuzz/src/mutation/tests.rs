//! The damage is the same each time, comes in every kind, and keeps within its bounds.

use std::collections::BTreeSet;

use super::*;

fn corpus() -> Vec<Vec<u8>> {
    vec![b"port=5060;name=alice".to_vec(), (0..=255).collect()]
}

#[test]
fn the_same_seed_makes_the_same_inputs() {
    let inputs = |seed| {
        let mut mutator = Mutator::new(seed);
        (0..100).map(|_| mutator.input(&corpus(), &[b"=>"])).collect::<Vec<_>>()
    };
    assert_eq!(inputs(7), inputs(7));
    assert_ne!(inputs(7), inputs(8));
}

#[test]
fn inputs_differ_and_some_are_unharmed() {
    let mut mutator = Mutator::new(1);
    let inputs: Vec<_> = (0..2_000).map(|_| mutator.input(&corpus(), &[b"=>"])).collect();
    let unharmed = inputs.iter().filter(|input| corpus().contains(input)).count();
    assert!((100..1_000).contains(&unharmed), "{unharmed}");
    let different: BTreeSet<_> = inputs.iter().collect();
    assert!(different.len() > 1_000, "{}", different.len());
    assert!(inputs.iter().any(Vec::is_empty));
    assert!(inputs.iter().any(|input| input.windows(2).any(|pair| pair == b"=>")));
    assert!(inputs.iter().any(|input| input.windows(10).any(|window| window == b"4294967296")));
    assert!(inputs.iter().all(|input| input.len() < 256 + CHANGES_MAX as usize * 256));
}

#[test]
fn an_empty_corpus_makes_noise() {
    let mut mutator = Mutator::new(1);
    let inputs: BTreeSet<_> = (0..50).map(|_| mutator.input(&[], &[])).collect();
    assert!(inputs.len() > 40);
}
