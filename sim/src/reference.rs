//! The ten reference calls of the exhaustive run, told as what people do, and what must work after any fault.

use phone::{AnswerPolicy, PhoneCommand};

use crate::exhaustive::Death;
use crate::handset::HandsetPlan;
use crate::network::{QUIET, Quality};
use crate::world::{Loss, Plan, World};

/// Who is who. The callees ring for a while before they pick up, so that a fault may come while they ring.
const CALLER: usize = 0;
const CALLEE: usize = 1;
const SECOND_CALLER: usize = 2;
const SECOND_CALLEE: usize = 3;
const BUSY: usize = 4;
const NEVER: usize = 5;

/// How long a phone rings before it is picked up: longer than the checkers let a caller wait to hear of it.
const RINGS_MS: u64 = 1_500;

/// The Dial timeout, short, so that each run is.
const DIAL_S: u64 = 4;

/// How long people may wait for anything to happen: a takeover and a few retransmissions.
const PATIENCE_US: u64 = 5_000_000;

/// The same when neither machine has power for a while.
const PATIENCE_BLACKOUT_US: u64 = 20_000_000;

/// How long they talk.
const TALK_US: u64 = 200_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reference {
    Answered,
    Cancelled,
    Busy,
    NoAnswer,
    CallerHangsUp,
    CalleeHangsUp,
    Held,
    TwoAtOnce,
    RegisterRefresh,
    RetransmissionStorm,
    LateAnswer,
}

pub const ALL: [Reference; 11] = [
    Reference::Answered,
    Reference::Cancelled,
    Reference::Busy,
    Reference::NoAnswer,
    Reference::CallerHangsUp,
    Reference::CalleeHangsUp,
    Reference::Held,
    Reference::TwoAtOnce,
    Reference::RegisterRefresh,
    Reference::RetransmissionStorm,
    Reference::LateAnswer,
];

impl Reference {
    pub fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Cancelled => "cancelled",
            Self::Busy => "busy",
            Self::NoAnswer => "no-answer",
            Self::CallerHangsUp => "caller-hangs-up",
            Self::CalleeHangsUp => "callee-hangs-up",
            Self::Held => "held",
            Self::TwoAtOnce => "two-at-once",
            Self::RegisterRefresh => "register-refresh",
            Self::RetransmissionStorm => "retransmission-storm",
            Self::LateAnswer => "late-answer",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        ALL.into_iter().find(|call| call.name() == name)
    }

    /// A world for this call.
    pub fn plan(self, seed: u64) -> Plan {
        let phone = |answer, register_every_s| HandsetPlan { answer, register_every_s };
        let often_s = if self == Self::RegisterRefresh { 3 } else { 300 };
        let phones = vec![
            phone(AnswerPolicy::never(), often_s),
            phone(AnswerPolicy::after(RINGS_MS), 300),
            phone(AnswerPolicy::never(), 300),
            phone(AnswerPolicy::after(RINGS_MS), 300),
            phone(AnswerPolicy::busy(), 300),
            phone(AnswerPolicy::never(), 300),
        ];
        Plan::plain(seed, phones, DIAL_S)
    }

    /// Before the part in which the node dies.
    pub fn prepare(self, world: &mut World) {
        match self {
            Self::Held | Self::CallerHangsUp | Self::CalleeHangsUp => world.talk(CALLER, CALLEE),
            Self::RegisterRefresh => world.run(2_900_000),
            _ => world.run(100_000),
        }
    }

    /// The part in which the node dies, at each of its actions in turn.
    pub fn play(self, world: &mut World) {
        match self {
            Self::Answered => world.talk(CALLER, CALLEE),
            Self::Cancelled => {
                world.call(CALLER, NEVER);
                world.expect("both hear ringing", |world| world.is_ringing(CALLER) && world.is_ringing(NEVER));
                world.run(100_000);
                world.command(CALLER, PhoneCommand::Cancel);
                world.expect_idle(&[CALLER, NEVER]);
            }
            Self::Busy => {
                world.call(CALLER, BUSY);
                world.expect_idle(&[CALLER]);
            }
            Self::NoAnswer => {
                world.call(CALLER, NEVER);
                world.expect("both hear ringing", |world| world.is_ringing(CALLER) && world.is_ringing(NEVER));
                world.run(2_000_000);
                world.expect_idle(&[CALLER, NEVER]);
            }
            Self::CallerHangsUp => world.hang_up(CALLER, &[CALLER, CALLEE]),
            Self::CalleeHangsUp => world.hang_up(CALLEE, &[CALLER, CALLEE]),
            Self::Held => {
                world.hold_and_resume(CALLER);
                world.hold_and_resume(CALLEE);
            }
            Self::TwoAtOnce => {
                world.call(CALLER, CALLEE);
                world.call(SECOND_CALLER, SECOND_CALLEE);
                let all = [CALLER, CALLEE, SECOND_CALLER, SECOND_CALLEE];
                world.expect("all four talk", |world| all.iter().all(|phone| world.is_talking(*phone)));
                world.run(TALK_US);
            }
            Self::RegisterRefresh => {
                let granted = |world: &World| world.handsets[CALLER].phone.counters().registrations_granted;
                let before = granted(world);
                world.expect("the registration is refreshed", |world| granted(world) > before);
            }
            Self::RetransmissionStorm => {
                let doubling = Quality { duplicate_ppm: 1_000_000, jitter_us: 3_000, ..QUIET };
                world.wires(Some(Loss { from_phones: doubling, to_phones: doubling, links: [QUIET; 2] }));
                world.talk(CALLER, CALLEE);
                world.hang_up(CALLER, &[CALLER, CALLEE]);
                world.wires(None);
            }
            Self::LateAnswer => {
                world.call(CALLER, CALLEE);
                world.expect("the callee picks up", |world| world.is_talking(CALLEE));
                world.command(CALLER, PhoneCommand::HangUp);
                world.expect_idle(&[CALLER, CALLEE]);
            }
        }
        world.run(TALK_US);
    }

    /// What must work afterwards, whatever happened: hold, resume and hang up from both ends, and a new call without a
    /// new registration; all of it once more when the other node has died, too; then everything comes to rest.
    pub fn aftermath(self, world: &mut World, death: Death) {
        let first = [(CALLER, CALLEE), (SECOND_CALLER, SECOND_CALLEE)];
        world.run(500_000);
        for (from, to) in first {
            if world.is_talking(from) && world.is_talking(to) {
                world.hold_and_resume(from);
            }
        }
        world.wait_protected();
        for (from, to) in first {
            if world.is_idle(from) && world.is_idle(to) {
                world.talk(from, to);
            }
        }
        let Some(serving) = world.active() else { return };
        world.strike(serving, if death == Death::Alone { Death::Kill } else { death });
        world.run(500_000);
        for (from, to) in first {
            if world.is_talking(from) && world.is_talking(to) {
                world.hold_and_resume(to);
                world.hang_up(from, &[from, to]);
            }
        }
        world.wait_protected();
        world.talk(CALLER, CALLEE);
        world.hang_up(CALLEE, &[CALLER, CALLEE]);
        world.finish();
    }
}

impl World {
    /// Something must come to pass within people's patience.
    pub fn expect(&mut self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let came = self.run_until(PATIENCE_US, &mut done)
            || (self.checks.had_blackout() && self.run_until(PATIENCE_BLACKOUT_US, done));
        if self.failure().is_none() && !came {
            self.checks.fail(self.now_us, "script", format!("expected in vain: {what}"));
        }
    }

    pub fn expect_idle(&mut self, phones: &[usize]) {
        self.expect("the call is over", |world| phones.iter().all(|phone| world.is_idle(*phone)));
    }

    /// Calls, and talks for a moment.
    pub fn talk(&mut self, from: usize, to: usize) {
        self.call(from, to);
        self.expect("the call is answered", |world| world.is_talking(from) && world.is_talking(to));
        self.run(TALK_US);
    }

    pub fn hang_up(&mut self, by: usize, phones: &[usize]) {
        self.command(by, PhoneCommand::HangUp);
        self.expect_idle(phones);
    }

    fn hold_and_resume(&mut self, by: usize) {
        for (command, hold) in [(PhoneCommand::Hold, true), (PhoneCommand::Resume, false)] {
            self.command(by, command);
            let what = if hold { "the call is on hold" } else { "the call is taken back" };
            self.expect(what, |world| world.handsets[by].phone.call().is_some_and(|call| call.holding == hold));
            self.run(TALK_US);
        }
    }
}
