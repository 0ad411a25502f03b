use base::NodeIndex;

use super::*;

fn epoch(number: u64) -> Epoch {
    Epoch { number, node: NodeIndex(0) }
}

fn millis(millis: u64) -> LocalTime {
    LocalTime::from_millis(millis)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Started, nothing heard yet.
    Starting,
    Standby,
    ActiveProtected,
    ActiveAlone,
}
use Role::*;

/// A watch in its driver's place, with the time.
struct Bench {
    now: LocalTime,
    watch: Watch,
}

impl Bench {
    /// A watch whose daemon runs in this role, in epoch 5, as of now.
    fn new(role: Role) -> Self {
        Self::with_peer(role, true)
    }

    fn with_peer(role: Role, has_peer: bool) -> Self {
        let mut bench = Self { now: millis(1_000), watch: Watch::new(has_peer, millis(1_000)) };
        assert_eq!(bench.timeout(), [Output::StartDaemon { resume_active: None }]);
        if matches!(role, ActiveProtected | ActiveAlone) {
            assert_eq!(bench.handle(Input::Claim { epoch: epoch(5) }), [Output::AddAddress { epoch: epoch(5) }]);
        }
        bench.stamp(role);
        bench
    }

    fn handle(&mut self, input: Input) -> Vec<Output> {
        let mut outputs = Vec::new();
        self.watch.handle(self.now, input, &mut outputs);
        outputs
    }

    fn timeout(&mut self) -> Vec<Output> {
        let mut outputs = Vec::new();
        self.watch.timeout(self.now, &mut outputs);
        outputs
    }

    fn stamp(&mut self, role: Role) {
        if role == Starting {
            return;
        }
        let (active, protected) = (role != Standby, role == ActiveProtected);
        let outputs = self.handle(Input::Stamp { at: self.now, active, epoch: epoch(5), protected });
        assert_eq!(outputs, []);
    }

    /// Follows the deadlines for so long, without stamps.
    fn wait(&mut self, duration_ms: u64) -> Vec<(u64, Output)> {
        let (start, until) = (self.now, self.now + Duration::from_millis(duration_ms));
        let mut all = Vec::new();
        while let Some(deadline) = self.watch.deadline().filter(|deadline| *deadline <= until) {
            self.now = deadline.max(self.now);
            let at = self.now.since(start).as_millis() as u64;
            all.extend(self.timeout().into_iter().map(|output| (at, output)));
        }
        self.now = until;
        all
    }

    /// Lets the daemon live on for so long, with a stamp each 20 ms.
    fn live(&mut self, duration_ms: u64, role: Role) -> Vec<Output> {
        let mut all = Vec::new();
        for _ in 0..duration_ms / 20 {
            all.extend(self.wait(20).into_iter().map(|(_, output)| output));
            self.stamp(role);
        }
        all
    }
}

const START: Output = Output::StartDaemon { resume_active: None };
const RESUME: Output = Output::StartDaemon { resume_active: Some(Epoch { number: 5, node: NodeIndex(0) }) };
const DIED: Input = Input::Died { code: None };
const FIVE: Epoch = Epoch { number: 5, node: NodeIndex(0) };

#[test]
fn each_running_role_with_each_input() {
    use Output::*;
    let (old, new) = (epoch(4), epoch(6));
    let table: &[(Role, Input, &[Output])] = &[
        (Starting, Input::Claim { epoch: new }, &[AddAddress { epoch: new }]),
        (Starting, Input::Yield, &[]),
        (Starting, Input::AddFailed { epoch: FIVE }, &[]),
        (Starting, Input::AddressGone, &[]),
        (Starting, Input::StoppingDone, &[]),
        (Starting, Input::Stop, &[TellStop]),
        (Starting, Input::Dying, &[]),
        (Starting, DIED, &[START]),
        (Starting, Input::Died { code: Some(0) }, &[START]),
        (Starting, Input::Died { code: Some(2) }, &[Exit { code: 2 }]),
        (Standby, Input::Claim { epoch: new }, &[AddAddress { epoch: new }]),
        (Standby, Input::Yield, &[]),
        (Standby, Input::AddFailed { epoch: FIVE }, &[]),
        (Standby, Input::AddressGone, &[]),
        (Standby, Input::StoppingDone, &[]),
        (Standby, Input::Stop, &[TellStop]),
        (Standby, Input::Dying, &[]),
        (Standby, DIED, &[START]),
        (Standby, Input::Died { code: Some(2) }, &[START]),
        (ActiveProtected, Input::Claim { epoch: new }, &[AddAddress { epoch: new }]),
        (ActiveProtected, Input::Claim { epoch: FIVE }, &[AddAddress { epoch: FIVE }]),
        (ActiveProtected, Input::Claim { epoch: old }, &[TellLost { epoch: old }]),
        (ActiveProtected, Input::Yield, &[RemoveAddress]),
        (ActiveProtected, Input::AddFailed { epoch: FIVE }, &[TellLost { epoch: FIVE }]),
        (ActiveProtected, Input::AddFailed { epoch: old }, &[]),
        (ActiveProtected, Input::AddressGone, &[RenewAddress]),
        (ActiveProtected, Input::StoppingDone, &[RemoveAddress]),
        (ActiveProtected, Input::Stop, &[TellStop]),
        (ActiveProtected, Input::Dying, &[RemoveAddress, Farewell, KillDaemon]),
        (ActiveProtected, DIED, &[RemoveAddress, Farewell]),
        (ActiveProtected, Input::Died { code: Some(2) }, &[RemoveAddress, Farewell]),
        (ActiveAlone, Input::Claim { epoch: new }, &[AddAddress { epoch: new }]),
        (ActiveAlone, Input::Claim { epoch: old }, &[TellLost { epoch: old }]),
        (ActiveAlone, Input::Yield, &[RemoveAddress]),
        (ActiveAlone, Input::AddFailed { epoch: FIVE }, &[TellLost { epoch: FIVE }]),
        (ActiveAlone, Input::AddressGone, &[RenewAddress]),
        (ActiveAlone, Input::StoppingDone, &[RemoveAddress]),
        (ActiveAlone, Input::Stop, &[TellStop]),
        (ActiveAlone, Input::Dying, &[]),
        (ActiveAlone, DIED, &[RenewAddress, RESUME]),
        (ActiveAlone, Input::Died { code: Some(2) }, &[RenewAddress, RESUME]),
    ];
    for (role, input, expected) in table {
        assert_eq!(Bench::new(*role).handle(*input), *expected, "{role:?} {input:?}");
    }
}

#[test]
fn silence_in_each_role() {
    use Output::*;
    type Timeline = [(u64, Output)];
    let table: &[(Role, u64, &Timeline)] = &[
        (ActiveProtected, 99, &[]),
        (
            ActiveProtected,
            5_000,
            &[(100, RemoveAddress), (100, Farewell), (100, KillDaemon), (102, Farewell), (110, Farewell)],
        ),
        (Standby, 1_999, &[]),
        (Standby, 20_000, &[(2_000, KillDaemon)]),
        (ActiveAlone, 999, &[]),
        (ActiveAlone, 20_000, &[(1_000, KillDaemon), (2_000, RemoveAddress)]),
        (Starting, 29_999, &[]),
        (Starting, 60_000, &[(30_000, KillDaemon)]),
    ];
    for (role, duration_ms, expected) in table {
        assert_eq!(Bench::new(*role).wait(*duration_ms), *expected, "{role:?} silent for {duration_ms} ms");
    }
}

#[test]
fn a_killed_daemon_starts_again_as_it_fell() {
    let table = [
        (ActiveProtected, 500, START),
        (Standby, 3_000, START),
        (ActiveAlone, 1_500, RESUME),
        // The lease has ended before the daemon has: the peer may have taken over.
        (ActiveAlone, 3_000, START),
    ];
    for (role, silence_ms, start) in table {
        let mut bench = Bench::new(role);
        assert!(bench.wait(silence_ms).iter().any(|(_, output)| *output == Output::KillDaemon));
        // Whatever its last words were, they change nothing.
        for input in [
            Input::Stamp { at: bench.now, active: true, epoch: epoch(9), protected: true },
            Input::Claim { epoch: epoch(9) },
            Input::Yield,
            Input::StoppingDone,
        ] {
            assert_eq!(bench.handle(input), []);
        }
        assert_eq!(bench.handle(DIED), [start], "{role:?}");
    }
}

#[test]
fn a_lone_machine_keeps_its_address_through_anything() {
    let mut bench = Bench::with_peer(ActiveAlone, false);
    let outputs = bench.wait(10_000);
    assert!(outputs.iter().all(|(_, output)| matches!(output, Output::RenewAddress | Output::KillDaemon)));
    assert!(outputs.iter().filter(|(_, output)| *output == Output::RenewAddress).count() >= 19, "{outputs:?}");
    assert_eq!(bench.handle(DIED), [RESUME]);
}

#[test]
fn without_a_peer_nobody_is_protected() {
    let mut bench = Bench::with_peer(ActiveProtected, false);
    assert_eq!(bench.handle(DIED), [Output::RenewAddress, RESUME]);
}

#[test]
fn the_farewells_leave_before_the_newcomer_starts() {
    let mut bench = Bench::new(ActiveProtected);
    assert_eq!(bench.handle(DIED), [Output::RemoveAddress, Output::Farewell]);
    assert_eq!(bench.wait(1_000), [(2, Output::Farewell), (10, Output::Farewell), (10, START)]);
}

#[test]
fn the_lease_is_renewed_while_stamps_vouch_for_it() {
    for role in [ActiveProtected, ActiveAlone] {
        let mut bench = Bench::new(role);
        let outputs = bench.live(10_000, role);
        assert_eq!(outputs, vec![Output::RenewAddress; outputs.len()]);
        assert!((19..=20).contains(&outputs.len()), "{}", outputs.len());
    }
}

#[test]
fn stamps_of_another_role_or_epoch_let_the_lease_end() {
    let mut bench = Bench::new(ActiveAlone);
    assert_eq!(bench.live(5_000, Standby), [Output::RemoveAddress, Output::TellLost { epoch: FIVE }]);
    let mut bench = Bench::new(ActiveAlone);
    assert_eq!(bench.handle(Input::Claim { epoch: epoch(6) }), [Output::AddAddress { epoch: epoch(6) }]);
    let lost = Output::TellLost { epoch: epoch(6) };
    assert_eq!(bench.live(5_000, ActiveAlone), [Output::RemoveAddress, lost]);
}

/// facts/linux.md: with all cores busy and a disk flood a real-time thread is scheduled 3.4 ms late, a normal one 11.4
/// ms.
#[test]
fn a_short_stall_of_ones_own_is_nobodys_fault() {
    for stall_ms in [90, 120, 500, 60_000] {
        let mut bench = Bench::new(ActiveProtected);
        bench.wait(10);
        // Machine and daemon were paused; the parent is the first to wake.
        bench.now += Duration::from_millis(stall_ms);
        let outputs = bench.timeout();
        assert!(!outputs.contains(&Output::KillDaemon) && !outputs.contains(&Output::Farewell), "{stall_ms} ms");
        assert!(!outputs.contains(&Output::RenewAddress), "{stall_ms} ms");
        // A daemon that does not wake as well is found out all the same.
        let outputs = bench.wait(101);
        assert!(outputs.iter().any(|(_, output)| *output == Output::Farewell), "{stall_ms} ms: {outputs:?}");
    }
}

/// facts/linux.md: renewing an address that has expired silently adds it again: whoever renews must first check that
/// it still may.
#[test]
fn after_a_pause_longer_than_the_lease_the_claim_is_void() {
    let mut bench = Bench::new(ActiveProtected);
    bench.now += Duration::from_secs(5);
    assert_eq!(bench.timeout(), [Output::RemoveAddress, Output::TellLost { epoch: FIVE }]);
}

#[test]
fn after_a_pause_the_kernels_report_does_not_bring_the_address_back() {
    let mut bench = Bench::new(ActiveProtected);
    bench.now += Duration::from_secs(1);
    let lost = [Output::RemoveAddress, Output::TellLost { epoch: FIVE }];
    assert_eq!(bench.handle(Input::AddressGone), lost);
}

#[test]
fn old_stamps_do_not_renew() {
    let mut bench = Bench::new(ActiveAlone);
    let at = bench.now;
    bench.now += Duration::from_millis(600);
    assert_eq!(bench.handle(Input::Stamp { at, active: true, epoch: FIVE, protected: false }), []);
    assert_eq!(bench.timeout(), []);
    bench.stamp(ActiveAlone);
    bench.now += TICK;
    assert_eq!(bench.timeout(), [Output::RenewAddress]);
}

#[test]
fn a_resumed_life_that_dies_early_passes_the_word_on() {
    let mut bench = Bench::new(ActiveAlone);
    assert_eq!(bench.handle(DIED), [Output::RenewAddress, RESUME]);
    bench.now += Duration::from_millis(50);
    assert_eq!(bench.handle(DIED), [RESUME]);
    // But not when the lease has ended meanwhile: the peer has taken over.
    assert_eq!(bench.wait(3_000), [(1_950, Output::RemoveAddress), (1_950, Output::TellLost { epoch: FIVE })]);
    assert_eq!(bench.handle(DIED), [START]);
}

#[test]
fn a_claim_without_a_stamp_is_resumed() {
    let mut bench = Bench::new(Starting);
    bench.handle(Input::Claim { epoch: FIVE });
    assert_eq!(bench.handle(DIED), [RESUME]);
}

#[test]
fn restarts_in_a_row_are_slowed_down() {
    let mut bench = Bench::new(Standby);
    let mut pauses = Vec::new();
    for _ in 0..7 {
        let outputs = bench.handle(DIED);
        let pause = if outputs == [START] { 0 } else { bench.wait(1_000)[0].0 };
        pauses.push(pause);
        bench.stamp(Standby);
    }
    assert_eq!(pauses, [0, 0, 100, 500, 1_000, 1_000, 1_000]);
    bench.live(1_980, Standby);
    assert_eq!(bench.handle(DIED), [], "it lived too short a time to have served");
    bench.wait(1_000);
    bench.stamp(Standby);
    bench.live(2_000, Standby);
    assert_eq!(bench.handle(DIED), [START]);
}

#[test]
fn stopping_in_order() {
    let mut bench = Bench::new(ActiveProtected);
    assert_eq!(bench.handle(Input::Stop), [Output::TellStop]);
    bench.live(500, ActiveProtected);
    assert_eq!(bench.handle(Input::Yield), [Output::RemoveAddress]);
    assert_eq!(bench.handle(Input::StoppingDone), []);
    assert_eq!(bench.handle(Input::Died { code: Some(0) }), [Output::Exit { code: 0 }]);
    assert_eq!(bench.watch.deadline(), None);
    assert_eq!(bench.handle(Input::Stop), []);
}

#[test]
fn a_daemon_that_does_not_stop_is_killed_and_the_peer_is_told() {
    use Output::*;
    let mut bench = Bench::new(ActiveProtected);
    bench.handle(Input::Stop);
    let outputs: Vec<Output> = bench.live(2_100, ActiveProtected);
    let end: Vec<_> = outputs.into_iter().filter(|output| *output != RenewAddress).collect();
    assert_eq!(end, [RemoveAddress, Farewell, KillDaemon, Farewell, Farewell]);
    assert_eq!(bench.handle(DIED), [Exit { code: 0 }]);
}

#[test]
fn the_last_farewells_leave_before_the_parent_does() {
    let mut bench = Bench::new(ActiveProtected);
    bench.handle(Input::Stop);
    assert_eq!(bench.handle(DIED), [Output::RemoveAddress, Output::Farewell]);
    assert_eq!(bench.wait(1_000), [(2, Output::Farewell), (10, Output::Farewell), (10, Output::Exit { code: 0 })]);
}

#[test]
fn asking_twice_to_stop_does_not_wait() {
    let mut bench = Bench::new(Standby);
    assert_eq!(bench.handle(Input::Stop), [Output::TellStop]);
    assert_eq!(bench.handle(Input::Stop), [Output::KillDaemon]);
    assert_eq!(bench.handle(DIED), [Output::Exit { code: 0 }]);
}

#[test]
fn stopping_between_two_lives_gives_the_address_up() {
    let mut bench = Bench::new(ActiveAlone);
    for _ in 0..3 {
        bench.handle(DIED);
    }
    assert_eq!(bench.handle(Input::Stop), [Output::RemoveAddress, Output::Exit { code: 0 }]);
}

#[test]
fn the_node_is_well_unless_a_killed_daemon_does_not_end() {
    let mut bench = Bench::new(Starting);
    assert!(!bench.watch.has_served() && bench.watch.is_well());
    bench.stamp(Standby);
    assert!(bench.watch.has_served() && bench.watch.is_well());
    assert_eq!(bench.wait(2_500), [(2_000, Output::KillDaemon)]);
    assert!(!bench.watch.is_well());
    assert_eq!(bench.handle(DIED), [START]);
    assert!(bench.watch.has_served() && bench.watch.is_well());
}
