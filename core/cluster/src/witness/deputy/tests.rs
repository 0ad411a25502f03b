use std::time::Duration;

use super::*;

const A: usize = 0;
const B: usize = 1;

/// A store that both deputies reach, and what each has asked of it.
#[derive(Default)]
pub(crate) struct Store {
    revision: u64,
    record: Option<Entry>,
    signs: [Option<Entry>; NODES],
}

impl Store {
    pub(crate) fn carry_out(&mut self, node: usize, request: &Request) -> Reading {
        self.revision += 1;
        let revision = self.revision;
        let stored = self.record.as_ref().map_or(0, |entry| entry.revision);
        let swap = request.swap.as_ref().filter(|swap| swap.revision == stored);
        if let Some(swap) = swap {
            self.record = Some(Entry { revision, bytes: swap.record.clone() });
        }
        if let Some(bytes) = request.sign.clone() {
            self.signs[node] = Some(Entry { revision, bytes });
        }
        Reading { swapped: swap.is_some(), record: self.record.clone(), signs: self.signs.clone() }
    }
}

struct Hall {
    now: LocalTime,
    store: Store,
    deputies: [Deputy; 2],
    sequence: u64,
}

fn life_of(node: usize) -> Incarnation {
    Incarnation(100 + node as u64)
}

impl Hall {
    /// A store with nothing in it, which both have known for longer than a lease.
    fn new() -> Self {
        let now = LocalTime::from_millis(5_000);
        let deputy = |node: u8| Deputy::new(NodeIndex(node), now);
        let mut hall = Self { now, store: Store::default(), deputies: [deputy(0), deputy(1)], sequence: 0 };
        assert_eq!([A, B].map(|node| hall.ask(node, Want::Watch).verdict), [Verdict::Free; 2]);
        hall.pass(600);
        hall
    }

    fn pass(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
    }

    fn next(&mut self, node: usize, want: Want) -> Ask {
        self.sequence += 1;
        let (index, incarnation) = (NodeIndex(node as u8), life_of(node));
        Ask { index, incarnation, sequence: self.sequence, want, ..Ask::default() }
    }

    /// All requests of one ask, none of which is lost.
    fn give(&mut self, node: usize, ask: Ask) -> Answer {
        let sequence = ask.sequence;
        let mut request = self.deputies[node].ask(self.now, ask).expect("nothing is under way");
        loop {
            let reading = self.store.carry_out(node, &request);
            let step = self.deputies[node].read(self.now, request.number, &reading);
            match (step.answer, step.request) {
                (Some(answer), None) => {
                    assert_eq!(answer.sequence, sequence);
                    return answer;
                }
                (None, Some(next)) => request = next,
                other => panic!("neither an answer nor a request: {other:?}"),
            }
        }
    }

    fn ask(&mut self, node: usize, want: Want) -> Answer {
        let ask = self.next(node, want);
        self.give(node, ask)
    }

    fn verdict(&mut self, node: usize, want: Want) -> Verdict {
        self.ask(node, want).verdict
    }

    fn begin(&mut self, node: usize, want: Want) -> Request {
        let ask = self.next(node, want);
        self.deputies[node].ask(self.now, ask).expect("nothing is under way")
    }

    fn finish(&mut self, node: usize, request: &Request, reading: &Reading) -> Step {
        self.deputies[node].read(self.now, request.number, reading)
    }
}

#[test]
fn a_record_is_anothers_until_it_was_left_as_it_is_for_a_whole_lease() {
    let mut hall = Hall::new();
    let granted = hall.ask(A, Want::Hold);
    assert_eq!((granted.verdict, granted.left_us), (Verdict::Granted, 600_000));
    hall.pass(40);
    let held = hall.ask(B, Want::Hold);
    assert_eq!((held.verdict, held.left_us), (Verdict::Held, 600_000), "counted from when it was read");
    hall.pass(100);
    assert_eq!(hall.verdict(A, Want::Hold), Verdict::Granted);
    hall.pass(500);
    assert_eq!(hall.ask(B, Want::Hold).left_us, 600_000, "and anew with each renewal");
    hall.pass(599);
    assert_eq!(hall.verdict(B, Want::Hold), Verdict::Held);
    assert_eq!(hall.verdict(B, Want::Watch), Verdict::Held);
    hall.pass(1);
    assert_eq!(hall.verdict(B, Want::Watch), Verdict::Free);
    assert_eq!(hall.verdict(B, Want::Hold), Verdict::Granted);
    assert_eq!(hall.verdict(A, Want::Hold), Verdict::Held);
}

#[test]
fn what_was_renewed_meanwhile_is_not_taken() {
    let mut hall = Hall::new();
    hall.ask(A, Want::Hold);
    hall.ask(B, Want::Watch);
    hall.pass(600);
    // B's request to take it is on its way when A renews it.
    let request = hall.begin(B, Want::Hold);
    assert!(request.swap.is_some());
    assert_eq!(hall.verdict(A, Want::Hold), Verdict::Granted);
    let reading = hall.store.carry_out(B, &request);
    assert!(!reading.swapped);
    let answer = hall.finish(B, &request, &reading).answer.expect("an answer");
    assert_eq!((answer.verdict, answer.left_us), (Verdict::Held, 600_000));
}

#[test]
fn a_renewal_that_comes_too_late_changes_nothing() {
    let mut hall = Hall::new();
    hall.ask(A, Want::Hold);
    let late = hall.begin(A, Want::Hold);
    assert_eq!(hall.deputies[A].failed(hall.now, late.number), None);
    hall.ask(B, Want::Watch);
    hall.pass(600);
    assert_eq!(hall.verdict(B, Want::Hold), Verdict::Granted);
    let reading = hall.store.carry_out(A, &late);
    assert!(!reading.swapped);
    assert_eq!(hall.finish(A, &late, &reading), Step::default(), "nobody waits for it any more");
    assert_eq!(hall.verdict(A, Want::Hold), Verdict::Held);
}

#[test]
fn a_renewal_whose_answer_was_lost_is_found_and_goes_on() {
    let mut hall = Hall::new();
    hall.ask(A, Want::Hold);
    let lost = hall.begin(A, Want::Hold);
    hall.store.carry_out(A, &lost);
    assert_eq!(hall.deputies[A].failed(hall.now, lost.number), None);
    assert_eq!(hall.verdict(A, Want::Hold), Verdict::Granted);
}

#[test]
fn a_record_that_is_given_up_is_taken_at_once() {
    let mut hall = Hall::new();
    hall.ask(A, Want::Hold);
    hall.ask(B, Want::Watch);
    assert_eq!(hall.verdict(A, Want::Watch), Verdict::Free);
    let wrote = hall.store.record.clone();
    assert_eq!(hall.verdict(A, Want::Watch), Verdict::Free);
    assert_eq!(hall.store.record, wrote, "once is enough");
    assert_eq!(hall.verdict(B, Want::Hold), Verdict::Granted);
}

#[test]
fn the_record_of_a_dead_daemon_binds_nobody_whenever_it_was_written() {
    let mut hall = Hall::new();
    hall.ask(A, Want::Hold);
    hall.ask(B, Want::Watch);
    // Renewed once more, which B has not read when A's parent says farewell.
    hall.ask(A, Want::Hold);
    let other = Ask { gone: Some(Incarnation(1)), ..hall.next(B, Want::Hold) };
    assert_eq!(hall.give(B, other).verdict, Verdict::Held, "another daemon's death proves nothing");
    hall.ask(A, Want::Hold);
    let dead = Ask { gone: Some(life_of(A)), ..hall.next(B, Want::Hold) };
    let answer = hall.give(B, dead);
    assert_eq!((answer.verdict, answer.other_silent_us), (Verdict::Granted, u64::MAX));
}

#[test]
fn a_new_daemon_of_the_holder_takes_its_record_on_and_may_give_it_up() {
    for (want, own, other) in
        [(Want::Hold, Verdict::Granted, Verdict::Held), (Want::Watch, Verdict::Free, Verdict::Granted)]
    {
        let mut hall = Hall::new();
        hall.ask(A, Want::Hold);
        hall.ask(B, Want::Watch);
        hall.deputies[A] = Deputy::new(NodeIndex(0), hall.now);
        let young = Ask { incarnation: Incarnation(200), ..hall.next(A, want) };
        assert_eq!(hall.give(A, young).verdict, own);
        assert_eq!(hall.verdict(B, Want::Hold), other);
    }
}

#[test]
fn a_record_that_is_missing_or_unreadable_may_be_anybodys() {
    for bytes in [None, Some(b"not ours".to_vec()), Some(vec![0x81])] {
        let mut hall = Hall::new();
        hall.ask(A, Want::Hold);
        hall.ask(B, Want::Watch);
        hall.store.revision += 1;
        hall.store.record = bytes.map(|bytes| Entry { revision: hall.store.revision, bytes });
        hall.pass(300);
        assert_eq!(hall.verdict(B, Want::Hold), Verdict::Waiting, "A may rely on what it has written");
        hall.pass(599);
        assert_eq!(hall.verdict(B, Want::Hold), Verdict::Waiting);
        hall.pass(1);
        assert_eq!(hall.verdict(B, Want::Hold), Verdict::Granted);
    }
}

#[test]
fn a_deputy_that_has_read_nothing_yet_writes_no_record() {
    let mut hall = Hall::new();
    hall.ask(A, Want::Hold);
    hall.deputies[B] = Deputy::new(NodeIndex(1), hall.now);
    assert_eq!(hall.begin(B, Want::Hold).swap, None);
}

#[test]
fn only_the_newest_of_the_asks_that_wait_is_carried_out() {
    let mut hall = Hall::new();
    hall.ask(A, Want::Hold);
    let first = hall.begin(A, Want::Hold);
    let (second, third) = (hall.next(A, Want::Hold), hall.next(A, Want::Watch));
    let newest = third.sequence;
    for ask in [second, third] {
        assert_eq!(hall.deputies[A].ask(hall.now, ask), None);
    }
    let reading = hall.store.carry_out(A, &first);
    let step = hall.finish(A, &first, &reading);
    assert_eq!(step.answer.map(|answer| answer.verdict), Some(Verdict::Granted));
    let request = step.request.expect("the newest ask is carried out");
    let reading = hall.store.carry_out(A, &request);
    let answer = hall.finish(A, &request, &reading).answer.expect("an answer");
    assert_eq!((answer.verdict, answer.sequence), (Verdict::Free, newest));
}

#[test]
fn it_says_how_long_the_other_one_was_silent_and_whether_it_serves_alone() {
    let mut hall = Hall::new();
    let alone = Ask { alone: true, epoch: Epoch { number: 7, node: NodeIndex(0) }, ..hall.next(A, Want::Hold) };
    assert_eq!(hall.give(A, alone).other_silent_us, 0, "B's sign is read for the first time");
    hall.pass(200);
    let alone = Ask { alone: true, ..hall.next(A, Want::Hold) };
    assert_eq!(hall.give(A, alone).other_silent_us, 200_000);
    let answer = hall.ask(B, Want::Watch);
    assert_eq!((answer.verdict, answer.other_alone, answer.epoch.number), (Verdict::Held, true, 7));
    assert_eq!(answer.other_silent_us, 0);
    hall.pass(50);
    assert_eq!(hall.ask(B, Want::Watch).other_silent_us, 50_000);
    assert_eq!(hall.ask(A, Want::Hold).other_silent_us, 0, "B has written another sign");
    assert_eq!(hall.ask(B, Want::Watch).other_silent_us, 0, "and a renewal is one, too");
}

#[test]
fn a_sign_is_written_now_and_then_and_again_when_that_failed() {
    let mut hall = Hall::new();
    let request = hall.begin(B, Want::Watch);
    assert!(request.sign.is_some());
    hall.deputies[B].failed(hall.now, request.number);
    let request = hall.begin(B, Want::Watch);
    assert!(request.sign.is_some(), "nobody knows whether it was written");
    let reading = hall.store.carry_out(B, &request);
    hall.finish(B, &request, &reading);
    hall.pass(299);
    let request = hall.begin(B, Want::Watch);
    assert_eq!(request.sign, None);
    hall.deputies[B].failed(hall.now, request.number);
    hall.pass(1);
    assert!(hall.begin(B, Want::Watch).sign.is_some());
    assert_eq!(hall.begin(A, Want::Hold).sign, None, "a holder's renewals say as much");
}

/// Nodes of two versions share the record.
#[test]
fn the_encoding_stays_as_it_is() {
    let record = Record {
        index: NodeIndex(1),
        incarnation: Incarnation(2),
        free: true,
        epoch: Epoch { number: 3, node: NodeIndex(1) },
        alone: true,
    };
    assert_eq!(crate::witness::encode(&record), [0x85, 1, 2, 0xf5, 0x82, 3, 1, 0xf5]);
    assert_eq!(crate::witness::encode(&Sign { incarnation: Incarnation(2) }), [0x81, 2]);
}

/// Two nodes, a store that is slow, loses requests and answers, and clocks of different rates.
#[test]
fn two_never_rely_on_it_at_the_same_time() {
    for seed in 0..200 {
        chaos::Chaos::new(seed).run(20_000);
    }
}

mod chaos;
