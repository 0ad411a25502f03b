//! People who do what people do with phones, at random.

use phone::{CallState, PhoneCommand};

use crate::world::{ECHO, World};

/// Between two things that anybody does, at most.
const PAUSE_US: u64 = 1_400_000;

/// How long a phone leaves its call alone after hold or resume. A phone that offers again before the ACK of its last
/// offer got through may forget to acknowledge that one again.
const REINVITE_PAUSE_US: u64 = 4_000_000;
const REINVITE_PAUSE_LOSSY_US: u64 = 12_000_000;

pub struct People {
    pub next_us: u64,
    /// Until when each phone sends no re-INVITE.
    quiet_until_us: Vec<u64>,
}

impl People {
    pub fn new(world: &mut World) -> Self {
        let next_us = world.now_us + world.random.below(PAUSE_US);
        Self { next_us, quiet_until_us: vec![0; world.handsets.len()] }
    }

    /// Somebody does something, or thinks better of it.
    pub fn act(&mut self, world: &mut World) {
        self.next_us = world.now_us + 1 + world.random.below(PAUSE_US);
        let phone = world.random.below(world.handsets.len() as u64) as usize;
        let dice = world.random.below(24);
        let Some(call) = world.handsets[phone].phone.call().filter(|call| !call.state.is_over()) else {
            return begin(world, phone, dice);
        };
        let (outgoing, holding) = (call.outgoing, call.holding);
        let command = match (call.state, outgoing) {
            (CallState::Ringing, false) => match dice {
                0..14 => Some(PhoneCommand::Answer),
                14..17 => Some(PhoneCommand::HangUp),
                _ => None,
            },
            (CallState::Calling | CallState::Ringing, true) => (dice < 3).then_some(PhoneCommand::Cancel),
            (CallState::Talking | CallState::Held, _) => match dice {
                0..4 => Some(PhoneCommand::HangUp),
                4..9 if !holding => Some(PhoneCommand::Hold),
                4..16 if holding => Some(PhoneCommand::Resume),
                _ => None,
            },
            _ => None,
        };
        let reinvites = matches!(command, Some(PhoneCommand::Hold | PhoneCommand::Resume));
        if reinvites && world.now_us < self.quiet_until_us[phone] {
            return;
        }
        if reinvites {
            let pause_us = if world.has_bad_wires() { REINVITE_PAUSE_LOSSY_US } else { REINVITE_PAUSE_US };
            self.quiet_until_us[phone] = world.now_us + pause_us;
        }
        if let Some(command) = command {
            world.command(phone, command);
        }
    }
}

/// Calls somebody, mostly one who is free, sometimes Echo.
fn begin(world: &mut World, phone: usize, dice: u64) {
    if dice >= 14 {
        return;
    }
    if dice == 0 {
        return world.command(phone, PhoneCommand::Call { number: ECHO.to_owned() });
    }
    let others = world.handsets.len() as u64 - 1;
    for attempt in 0..3 {
        let to = (phone + 1 + world.random.below(others) as usize) % world.handsets.len();
        if world.is_idle(to) || attempt == 2 {
            return world.call(phone, to);
        }
    }
}
