use super::*;

const A: NodeIndex = NodeIndex(0);
const B: NodeIndex = NodeIndex(1);
const LIFE: u64 = 77;

/// A witness that has been up for longer than a lease, and the two nodes' sides of the conversation.
struct Hall {
    referee: Referee,
    now: LocalTime,
    fresh: u64,
    sequences: [u64; 2],
    challenges: [u64; 2],
}

fn life_of(index: NodeIndex) -> Incarnation {
    Incarnation(100 + u64::from(index.0))
}

impl Hall {
    fn new() -> Self {
        let now = LocalTime::from_millis(1_000);
        let mut hall =
            Self { referee: Referee::new(LIFE, now), now, fresh: 500, sequences: [0; 2], challenges: [0; 2] };
        hall.pass(200);
        hall
    }

    fn pass(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
    }

    fn next(&mut self, index: NodeIndex, want: Want) -> Ask {
        let node = usize::from(index.0);
        self.sequences[node] += 1;
        Ask {
            version: VERSION,
            index,
            incarnation: life_of(index),
            sequence: self.sequences[node],
            challenge: self.challenges[node],
            want,
            ..Ask::default()
        }
    }

    fn give(&mut self, ask: &Ask) -> Option<Answer> {
        self.fresh += 1;
        self.referee.ask(self.now, self.fresh, ask)
    }

    /// Asks until the witness believes that the node lives.
    fn ask_as(&mut self, index: NodeIndex, want: Want, change: impl Fn(&mut Ask)) -> Answer {
        for _ in 0..2 {
            let mut ask = self.next(index, want);
            change(&mut ask);
            let answer = self.give(&ask).expect("an ask that is no replay is answered");
            if answer.verdict != Verdict::Unproven {
                return answer;
            }
            self.challenges[usize::from(index.0)] = answer.challenge;
        }
        panic!("the witness does not believe a node that says its challenge back");
    }

    fn ask(&mut self, index: NodeIndex, want: Want) -> Verdict {
        self.ask_as(index, want, |_| {}).verdict
    }
}

#[test]
fn only_one_node_holds_the_lease_until_it_runs_out() {
    let mut hall = Hall::new();
    assert_eq!(hall.ask(A, Want::Hold), Verdict::Granted);
    assert_eq!(hall.ask(B, Want::Hold), Verdict::Held);
    hall.pass(60);
    assert_eq!(hall.ask(A, Want::Hold), Verdict::Granted);
    hall.pass(99);
    let answer = hall.ask_as(B, Want::Hold, |_| {});
    assert_eq!((answer.verdict, answer.left_us), (Verdict::Held, 1_000));
    hall.pass(1);
    assert_eq!(hall.ask(B, Want::Hold), Verdict::Granted);
    assert_eq!(hall.ask(A, Want::Hold), Verdict::Held);
    assert_eq!(hall.referee.known(hall.now).holder, Some(B));
}

#[test]
fn a_holder_that_only_watches_has_given_it_up() {
    let mut hall = Hall::new();
    assert_eq!(hall.ask(A, Want::Hold), Verdict::Granted);
    assert_eq!(hall.ask(B, Want::Watch), Verdict::Held);
    assert_eq!(hall.ask(A, Want::Watch), Verdict::Free);
    assert_eq!(hall.ask(B, Want::Hold), Verdict::Granted);
}

#[test]
fn the_lease_of_a_dead_daemon_binds_nobody() {
    let mut hall = Hall::new();
    assert_eq!(hall.ask(A, Want::Hold), Verdict::Granted);
    let other = |ask: &mut Ask| ask.gone = Some(Incarnation(1));
    assert_eq!(hall.ask_as(B, Want::Hold, other).verdict, Verdict::Held, "another daemon's death proves nothing");
    let dead = |ask: &mut Ask| ask.gone = Some(life_of(A));
    assert_eq!(hall.ask_as(B, Want::Hold, dead).verdict, Verdict::Granted);
}

#[test]
fn a_new_daemon_of_the_holder_takes_its_lease_on_and_may_give_it_up() {
    for (want, other) in [(Want::Hold, Verdict::Held), (Want::Watch, Verdict::Granted)] {
        let mut hall = Hall::new();
        assert_eq!(hall.ask(A, Want::Hold), Verdict::Granted);
        let young = |ask: &mut Ask| ask.incarnation = Incarnation(200);
        let expected = if want == Want::Hold { Verdict::Granted } else { Verdict::Free };
        assert_eq!(hall.ask_as(A, want, young).verdict, expected);
        assert_eq!(hall.ask(B, Want::Hold), other);
    }
}

#[test]
fn a_witness_that_has_just_started_believes_only_a_holder() {
    let mut hall = Hall::new();
    hall.referee = Referee::new(LIFE + 1, hall.now);
    assert_eq!(hall.ask(B, Want::Hold), Verdict::Waiting);
    hall.pass(50);
    let holding = |ask: &mut Ask| ask.holding = true;
    assert_eq!(hall.ask_as(A, Want::Hold, holding).verdict, Verdict::Granted);
    hall.pass(60);
    assert_eq!(hall.ask(B, Want::Hold), Verdict::Held);
    hall.pass(40);
    assert_eq!(hall.ask(B, Want::Hold), Verdict::Granted, "nobody renewed it");
}

#[test]
fn a_witness_that_has_just_started_does_not_believe_an_older_reign() {
    let mut hall = Hall::new();
    hall.referee = Referee::new(LIFE + 1, hall.now);
    let later = |ask: &mut Ask| ask.epoch = Epoch { number: 7, node: B };
    assert_eq!(hall.ask_as(B, Want::Watch, later).verdict, Verdict::Free);
    let holding = |ask: &mut Ask| (ask.holding, ask.epoch) = (true, Epoch { number: 6, node: A });
    let answer = hall.ask_as(A, Want::Hold, holding);
    assert_eq!((answer.verdict, answer.epoch.number), (Verdict::Waiting, 7));
}

#[test]
fn a_replayed_ask_changes_nothing() {
    let mut hall = Hall::new();
    assert_eq!(hall.ask(A, Want::Hold), Verdict::Granted);
    let recorded = hall.next(A, Want::Hold);
    assert!(hall.give(&recorded).is_some());
    hall.pass(90);
    assert_eq!(hall.give(&recorded), None);
    hall.pass(10);
    assert_eq!(hall.ask(B, Want::Hold), Verdict::Granted);
    // The next life of the witness knows nothing of it, and asks for a proof.
    hall.referee = Referee::new(LIFE + 1, hall.now);
    hall.pass(200);
    let answer = hall.give(&recorded).unwrap();
    assert_eq!(answer.verdict, Verdict::Unproven);
    assert_ne!(answer.challenge, recorded.challenge);
    assert_eq!(hall.referee.known(hall.now).holder, None);
}

#[test]
fn replays_of_many_lives_do_not_keep_a_node_out() {
    let mut hall = Hall::new();
    for life in 0..1_000 {
        let mut ask = hall.next(A, Want::Hold);
        ask.incarnation = Incarnation(10_000 + life);
        assert_eq!(hall.give(&ask).unwrap().verdict, Verdict::Unproven);
    }
    assert!(hall.referee.nodes[0].candidates.len() <= CANDIDATES_MAX);
    assert_eq!(hall.ask(A, Want::Hold), Verdict::Granted);
}

#[test]
fn it_says_how_long_the_other_one_was_silent_and_whether_it_serves_alone() {
    let mut hall = Hall::new();
    let alone = |ask: &mut Ask| ask.alone = true;
    assert_eq!(hall.ask_as(A, Want::Hold, alone).other_silent_us, 200_000, "since the witness started");
    hall.pass(30);
    let answer = hall.ask_as(B, Want::Hold, |_| {});
    assert_eq!((answer.verdict, answer.other_alone, answer.other_silent_us), (Verdict::Held, true, 30_000));
}

#[test]
fn whoever_only_looks_changes_nothing_and_needs_no_proof() {
    let mut hall = Hall::new();
    assert_eq!(hall.ask(A, Want::Hold), Verdict::Granted);
    let before = hall.referee.clone();
    for (index, expected) in [(A, Verdict::Granted), (B, Verdict::Held)] {
        let ask = Ask { index, want: Want::Look, incarnation: Incarnation(5), ..Ask::default() };
        assert_eq!(hall.give(&ask).unwrap().verdict, expected);
    }
    assert_eq!(hall.referee, before);
    let third = Ask { index: NodeIndex(2), ..Ask::default() };
    assert_eq!(hall.give(&third), None);
}
