//! The calls of one trial: who calls whom, bringing them up, and driving both phones of each.

use std::time::Duration;

use phone::audio::{ListenerReport, Mark};
use phone::{CallRecord, CallState, PhoneCommand};

use super::scene::Scene;
use crate::LabError;
use crate::phones::Driver;

/// A request that is lost comes again after 0.5, 1.5 and 3.5 s; more than that is a failure.
pub(super) const STEP_LIMIT: Duration = Duration::from_secs(8);

/// This much of a second must have been heard before a call counts as having audio.
const PACKETS_HEARD: u64 = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Talking,
    Held,
    Ringing,
    /// Made while the switch is split, or the two nodes run two programs, and talking from then on.
    Apart,
}

/// One call between two phones of the scene, by their indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) kind: Kind,
    pub(super) caller: usize,
    pub(super) called: usize,
    /// Which of the two hangs up, and holds: it alternates.
    pub(super) acts: usize,
}

impl Call {
    pub(super) fn other(&self) -> usize {
        if self.acts == self.caller { self.called } else { self.caller }
    }

    pub(super) fn phones(&self) -> [usize; 2] {
        [self.caller, self.called]
    }
}

/// Talking calls first, then held ones, then ringing ones; each phone is in one call.
pub(super) fn plan(talking: u32, held: u32, ringing: u32) -> Vec<Call> {
    let kinds = std::iter::repeat_n(Kind::Talking, talking as usize)
        .chain(std::iter::repeat_n(Kind::Held, held as usize))
        .chain(std::iter::repeat_n(Kind::Ringing, ringing as usize));
    let call = |(index, kind): (usize, Kind)| {
        let (caller, called) = (2 * index, 2 * index + 1);
        Call { kind, caller, called, acts: if index % 2 == 0 { caller } else { called } }
    };
    kinds.enumerate().map(call).collect()
}

/// How many calls are made during a split, one on each side, and between two upgrades.
pub(super) const APART: u32 = 2;

/// Adds the calls that are made meanwhile.
pub(super) fn plan_apart(plan: &mut Vec<Call>) {
    for _ in 0..APART {
        let caller = 2 * plan.len();
        plan.push(Call { kind: Kind::Apart, caller, called: caller + 1, acts: caller });
    }
}

pub(super) fn state(driver: &Driver, phone: usize) -> CallState {
    driver.phone(phone).map_or(CallState::Idle, |phone| phone.state())
}

pub(super) fn record(driver: &Driver, phone: usize) -> Option<&CallRecord> {
    driver.phone(phone).and_then(|phone| phone.call())
}

pub(super) fn report(driver: &Driver, phone: usize) -> ListenerReport {
    let listener = driver.handsets.get(phone).and_then(|handset| handset.listener.as_ref());
    listener.map(|listener| listener.report(driver.now_us())).unwrap_or_default()
}

/// The phone hears its own call and nothing else, since the window began.
pub(super) fn hears(driver: &Driver, phone: usize) -> bool {
    report(driver, phone).new >= PACKETS_HEARD
}

impl Scene {
    /// Gives a command to each of these phones.
    pub(super) fn tell(&self, phones: Vec<usize>, command: PhoneCommand) -> Result<(), LabError> {
        self.phones.with(move |driver| phones.into_iter().for_each(|phone| driver.command(phone, command.clone())))
    }

    /// Waits until the condition holds for each of the calls; gives those for which it does not in time.
    pub(super) fn wait_each(
        &self,
        calls: &[Call],
        condition: fn(&Driver, &Call) -> bool,
    ) -> Result<Vec<Call>, LabError> {
        let waiting = calls.to_vec();
        self.phones.wait_for(STEP_LIMIT, move |driver| waiting.iter().all(|call| condition(driver, call)))?;
        let calls = calls.to_vec();
        self.phones.with(move |driver| calls.into_iter().filter(|call| !condition(driver, call)).collect())
    }

    /// Dials, each call with audio of its own, and waits until all ring.
    pub(super) fn dial(&mut self, calls: &[Call]) -> Result<Vec<Call>, LabError> {
        let mut dialled = Vec::new();
        for call in calls {
            self.calls_marked += 1;
            dialled.push((*call, self.calls_marked, self.number(call.called).to_owned()));
        }
        self.phones.with(move |driver| {
            for (call, number, dial) in dialled {
                let mark = |phone: usize| Mark { call: number, phone: phone as u32 };
                driver.prepare_audio(call.caller, mark(call.caller), mark(call.called));
                driver.prepare_audio(call.called, mark(call.called), mark(call.caller));
                driver.command(call.caller, PhoneCommand::Call { number: dial });
            }
        })?;
        self.wait_each(calls, |driver, call| {
            call.phones().into_iter().all(|phone| state(driver, phone) == CallState::Ringing)
        })
    }

    /// Picks up at the called phones; gives the calls without audio in both directions afterwards.
    pub(super) fn pick_up(&self, calls: &[Call]) -> Result<Vec<Call>, LabError> {
        self.tell(calls.iter().map(|call| call.called).collect(), PhoneCommand::Answer)?;
        self.wait_each(calls, |driver, call| {
            call.phones().into_iter().all(|phone| state(driver, phone) == CallState::Talking && hears(driver, phone))
        })
    }

    /// Holds or resumes at the phones whose turn it is. After a resume both must hear each other again.
    pub(super) fn hold(&self, calls: &[Call], hold: bool) -> Result<Vec<Call>, LabError> {
        let phones: Vec<usize> = calls.iter().flat_map(Call::phones).collect();
        self.phones.with(move |driver| driver.start_windows(&phones))?;
        let command = if hold { PhoneCommand::Hold } else { PhoneCommand::Resume };
        self.tell(calls.iter().map(|call| call.acts).collect(), command)?;
        if hold {
            return self.wait_each(calls, |driver, call| record(driver, call.acts).is_some_and(|call| call.holding));
        }
        self.wait_each(calls, |driver, call| {
            call.phones().into_iter().all(|phone| state(driver, phone) == CallState::Talking && hears(driver, phone))
        })
    }

    /// Hangs up at the phones whose turn it is; gives the calls whose BYE was not answered 200 or did not arrive.
    pub(super) fn hang_up(&self, calls: &[Call]) -> Result<Vec<Call>, LabError> {
        self.tell(calls.iter().map(|call| call.acts).collect(), PhoneCommand::HangUp)?;
        self.wait_each(calls, |driver, call| {
            let answered = record(driver, call.acts).and_then(|call| call.bye_status) == Some(200);
            let reason = phone::EndReason::PeerHungUp;
            answered && state(driver, call.other()) == CallState::Ended { reason }
        })
    }
}
