//! The calls of one trial: how many of which kind, who calls whom, bringing them up, and driving both phones of each.

use std::time::Duration;

use phone::audio::{ListenerReport, Mark};
use phone::{CallRecord, CallState, EndReason, Method, PhoneCommand, PhoneEvent};
use serde::Serialize;

use super::DrillArguments;
use super::fault::Ground;
use super::room::Room;
use crate::LabError;
use crate::nodes::ECHO_NUMBER;
use crate::phones::Driver;

/// A request that is lost comes again after 0.5, 1.5 and 3.5 s; more than that is a failure.
pub(super) const STEP_LIMIT: Duration = Duration::from_secs(8);

/// This much of a second must have been heard before a call counts as having audio.
const PACKETS_HEARD: u64 = 5;

/// The INVITEs of calls that are being set up leave over so long a time...
const SETUP_US: u64 = 10_000;
/// ...of which so much is left when the fault comes: nearly all of them are under way then, each at another step.
const SETUP_AFTER_US: u64 = 2_000;
/// How long they ring: shorter than the time over which they are made, so that some are being answered, too.
const SETUP_RINGS_US: u64 = 4_000;
/// Before the first of them, so that the phones' thread has all of them in time.
const SETUP_LEAD_US: u64 = 10_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Talking,
    Held,
    Ringing,
    /// Made at the very moment of the fault, and talking from then on.
    Setup,
    /// Made while the switch is split, or the two nodes run two programs, and talking from then on.
    Apart,
    /// One phone and the dialplan's Echo: it hears itself.
    Echo,
}

/// How many calls are made during a split, one on each side, and between two upgrades.
const APART: u32 = 2;

/// How many calls there are of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Counts {
    pub(super) talking: u32,
    pub(super) held: u32,
    pub(super) ringing: u32,
    pub(super) setup: u32,
    pub(super) apart: u32,
    pub(super) echo: u32,
}

impl Counts {
    pub(super) fn new(arguments: &DrillArguments, ground: Ground) -> Self {
        Self {
            talking: arguments.calls,
            held: arguments.held,
            ringing: arguments.ringing,
            setup: arguments.setup,
            apart: if matches!(ground, Ground::Halves | Ground::Previous) { APART } else { 0 },
            echo: arguments.echo,
        }
    }

    /// Without those that are being set up.
    pub(super) fn at_rest(self) -> Self {
        Self { setup: 0, ..self }
    }

    /// Calls between two phones come before those of one.
    fn each(self) -> [(Kind, u32); 6] {
        [
            (Kind::Talking, self.talking),
            (Kind::Held, self.held),
            (Kind::Ringing, self.ringing),
            (Kind::Setup, self.setup),
            (Kind::Apart, self.apart),
            (Kind::Echo, self.echo),
        ]
    }

    pub(super) fn phones(self) -> u32 {
        let phones = |(kind, count): (Kind, u32)| count.saturating_mul(if kind == Kind::Echo { 1 } else { 2 });
        self.each().into_iter().map(phones).fold(0, u32::saturating_add)
    }

    /// Each phone is in one call, and the phones are numbered without a hole.
    pub(super) fn plan(self) -> Vec<Call> {
        let mut plan = Vec::new();
        let mut phone = 0;
        for kind in self.each().into_iter().flat_map(|(kind, count)| std::iter::repeat_n(kind, count as usize)) {
            let caller = phone;
            let called = if kind == Kind::Echo { caller } else { caller + 1 };
            plan.push(Call { kind, caller, called, acts: if plan.len() % 2 == 0 { caller } else { called } });
            phone = called + 1;
        }
        plan
    }
}

/// One call between two phones of the room, by their indices; of a call to Echo they are the same.
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

    /// The caller first.
    pub(super) fn phones(&self) -> impl Iterator<Item = usize> + use<> {
        std::iter::once(self.caller).chain((self.called != self.caller).then_some(self.called))
    }

    /// Who hears whom.
    pub(super) fn ears(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let Self { caller, called, .. } = *self;
        self.phones().map(move |phone| (phone, if phone == caller { called } else { caller }))
    }
}

pub(super) fn of_kind(calls: &[Call], kinds: &[Kind]) -> Vec<Call> {
    calls.iter().filter(|call| kinds.contains(&call.kind)).copied().collect()
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

/// Both phones of the call talk and hear each other.
pub(super) fn talks(driver: &Driver, call: &Call) -> bool {
    call.phones().all(|phone| state(driver, phone) == CallState::Talking && hears(driver, phone))
}

/// The caller was refused by the service.
pub(super) fn is_refused(driver: &Driver, call: &Call) -> bool {
    matches!(state(driver, call.caller), CallState::Ended { reason: EndReason::Rejected(_) })
}

/// How many final answers the caller's running or last call has got to its INVITE.
pub(super) fn final_answers(driver: &Driver, call: &Call) -> usize {
    let Some(key) = record(driver, call.caller).map(|call| call.key) else { return 0 };
    let events = driver.handsets.get(call.caller).into_iter().flat_map(|handset| &handset.events);
    let is_final = |event: &PhoneEvent| matches!(event, PhoneEvent::Final { call, method: Method::Invite, .. } if *call == Some(key));
    events.filter(|(_, event)| is_final(event)).count()
}

impl Room {
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

    /// The number that the caller dials.
    pub(super) fn dialled(&self, call: &Call) -> &str {
        if call.kind == Kind::Echo { ECHO_NUMBER } else { self.number(call.called) }
    }

    /// Makes the calls, each with audio of its own: each so many microseconds after the one before, the first one
    /// after `lead_us`. Gives the time of the first one.
    fn make(&mut self, calls: &[Call], lead_us: u64, each_us: u64) -> Result<u64, LabError> {
        let mut made = Vec::new();
        for call in calls {
            self.calls_marked += 1;
            made.push((*call, self.calls_marked, self.dialled(call).to_owned()));
        }
        self.phones.with(move |driver| {
            let first_us = driver.now_us() + lead_us;
            for (at_us, (call, marked, number)) in (first_us..).step_by(each_us.max(1) as usize).zip(made) {
                let mark = |phone: usize| Mark { call: marked, phone: phone as u32 };
                for (phone, other) in call.ears() {
                    driver.prepare_audio(phone, mark(phone), mark(other));
                }
                let rings_us = (call.kind == Kind::Setup).then_some(SETUP_RINGS_US);
                driver.answer_after(call.called, rings_us);
                driver.command_at(at_us, call.caller, PhoneCommand::Call { number });
            }
            first_us
        })
    }

    /// Dials, and waits for nothing.
    pub(super) fn begin(&mut self, calls: &[Call]) -> Result<(), LabError> {
        self.make(calls, 0, 0).map(drop)
    }

    /// Dials and waits until all ring.
    pub(super) fn dial(&mut self, calls: &[Call]) -> Result<Vec<Call>, LabError> {
        self.begin(calls)?;
        self.wait_each(calls, |driver, call| call.phones().all(|phone| state(driver, phone) == CallState::Ringing))
    }

    /// Dials numbers that answer by themselves, and waits for audio.
    pub(super) fn dial_answered(&mut self, calls: &[Call]) -> Result<Vec<Call>, LabError> {
        self.begin(calls)?;
        self.wait_each(calls, talks)
    }

    /// Has the phones make these calls around a moment that is about to come, and gives that moment, in microseconds
    /// of the phones' clock.
    pub(super) fn set_up_around(&mut self, calls: &[Call]) -> Result<u64, LabError> {
        let each_us = SETUP_US / (calls.len() as u64).max(1);
        // A single one leaves in the middle.
        let first_us = self.make(calls, SETUP_LEAD_US + each_us / 2, each_us)?;
        Ok(first_us + SETUP_US - SETUP_AFTER_US - each_us / 2)
    }

    /// Picks up at the called phones; gives the calls without audio in both directions afterwards.
    pub(super) fn pick_up(&self, calls: &[Call]) -> Result<Vec<Call>, LabError> {
        self.tell(calls.iter().map(|call| call.called).collect(), PhoneCommand::Answer)?;
        self.wait_each(calls, talks)
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
        self.wait_each(calls, talks)
    }

    /// Hangs up at the phones whose turn it is; gives the calls whose BYE was not answered 200 or did not arrive.
    pub(super) fn hang_up(&self, calls: &[Call]) -> Result<Vec<Call>, LabError> {
        self.tell(calls.iter().map(|call| call.acts).collect(), PhoneCommand::HangUp)?;
        self.wait_each(calls, |driver, call| {
            let answered = record(driver, call.acts).and_then(|call| call.bye_status) == Some(200);
            let reason = EndReason::PeerHungUp;
            answered && (call.kind == Kind::Echo || state(driver, call.other()) == CallState::Ended { reason })
        })
    }
}
