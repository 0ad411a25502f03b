use super::{Happening, Queue};

fn phone(happening: Happening) -> usize {
    match happening {
        Happening::AudioTick { phone } => phone,
        other => panic!("{other:?} was not scheduled"),
    }
}

#[test]
fn things_happen_in_the_order_of_time_and_then_of_scheduling() {
    let mut queue = Queue::default();
    for (at_us, phone) in [(30, 0), (10, 1), (20, 2), (10, 3)] {
        queue.push(at_us, Happening::AudioTick { phone });
    }
    let order: Vec<(u64, usize)> = std::iter::from_fn(|| queue.pop(25)).map(|(at, what)| (at, phone(what))).collect();
    assert_eq!(order, [(10, 1), (10, 3), (20, 2)]);
    assert_eq!(queue.pop(30).map(|(at_us, _)| at_us), Some(30));
    assert!(queue.pop(u64::MAX).is_none());
}
