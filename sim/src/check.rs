//! The checkers' eye: what phones saw and were told, what stores hold, and whether that keeps the promise (design,
//! section 1). They read no state of the product.

mod blackout;
mod end;
mod ending;
mod records;
mod silence;
mod split;
mod sweep;

use phone::{CallKey, CallState, EndReason, Method, Phone, PhoneEvent, Violation};

use crate::conversation::Conversation;

pub use end::{Census, Told};
pub use records::RecordLine;

/// A promise that was not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub at_us: u64,
    pub checker: &'static str,
    pub message: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{}] at {}.{:06} s: {}", self.checker, self.at_us / 1_000_000, self.at_us % 1_000_000, self.message)
    }
}

/// What was done to the pair, as far as it excuses silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The serving daemon died while it was protected.
    Kill,
    /// The serving daemon died and nobody could replace it.
    KillAlone,
    /// The serving machine lost its power or its cable.
    Cut,
    /// An operator moved the service.
    SwitchOver,
    /// The two machines found each other again.
    Heal,
    /// The wires turned bad, or good again.
    Wires,
    /// Something befell the standby, which nobody may notice.
    Standby,
    /// Neither machine had power for so long, booting included.
    Blackout { us: u64 },
}

impl FaultKind {
    /// The longest silence that the promise allows, in microseconds, beside the packets' own distance.
    pub fn silence_us(self) -> u64 {
        match self {
            Self::Kill => 60_000,
            Self::KillAlone => 300_000,
            Self::Cut | Self::Heal => 200_000,
            Self::SwitchOver => 40_000,
            Self::Standby | Self::Wires => 0,
            Self::Blackout { us } => us,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Fault {
    pub at_us: u64,
    /// Until then it may be felt for the first time: that a standby hears nothing is noticed with the next change.
    pub until_us: u64,
    pub kind: FaultKind,
}

pub struct Checks {
    pub users: Vec<String>,
    pub conversations: Vec<Conversation>,
    pub faults: Vec<Fault>,
    /// When something the network or a fault swallowed may have been sent for the last time.
    pub lossy_until_us: u64,
    pub audio_us: u64,
    /// What the consent of a slow witness adds to a cut.
    pub consent_us: u64,
    /// What two ways of a packet may differ by.
    pub jitter_us: u64,
    /// When phones refused a call by themselves, and which phone.
    refusals: Vec<(u64, usize)>,
    pub failure: Option<Failure>,
    /// The Dial timeout of the dialplan.
    pub ring_us: u64,
    /// How far the machines' wall clocks were ever set wrong.
    pub clocks_off_us: Vec<u64>,
    /// The half of each phone while the network is apart.
    halves: Option<Vec<usize>>,
    /// The network was apart at some time.
    had_split: bool,
    /// Both machines have lost their power, and with it what they had said last.
    had_blackout: bool,
    registered: blackout::Registered,
    /// Longest silences that were heard around faults, for the summary.
    pub silences_us: Vec<(FaultKind, u64)>,
}

impl Checks {
    pub fn new(users: Vec<String>, audio_us: u64, ring_us: u64) -> Self {
        Self {
            users,
            conversations: Vec::new(),
            faults: Vec::new(),
            lossy_until_us: 0,
            audio_us,
            consent_us: 0,
            jitter_us: 3_000,
            refusals: Vec::new(),
            failure: None,
            ring_us,
            clocks_off_us: Vec::new(),
            halves: None,
            had_split: false,
            had_blackout: false,
            registered: blackout::Registered::default(),
            silences_us: Vec::new(),
        }
    }

    pub fn fail(&mut self, at_us: u64, checker: &'static str, message: String) {
        self.failure.get_or_insert(Failure { at_us, checker, message });
    }

    pub fn fault(&mut self, at_us: u64, kind: FaultKind) {
        self.faults.push(Fault { at_us, until_us: at_us, kind });
    }

    /// The latest cut may have been felt until now.
    pub fn cut_lasted(&mut self, until_us: u64) {
        if let Some(cut) = self.faults.iter_mut().rev().find(|fault| fault.kind == FaultKind::Cut) {
            cut.until_us = until_us;
        }
    }

    fn name(&self, phone: usize) -> &str {
        self.users.get(phone).map_or("?", String::as_str)
    }

    /// The conversation that this phone knows by this key, and which side of it the phone is.
    pub fn find(&self, phone: usize, key: CallKey) -> Option<(usize, usize)> {
        self.conversations.iter().enumerate().rev().find_map(|(at, conversation)| {
            let side = conversation.sides.iter().position(|side| side.phone == Some(phone) && side.key == Some(key))?;
            Some((at, side))
        })
    }

    /// A person at a phone gives up the call that is running there.
    pub fn gives_up(&mut self, now_us: u64, phone: usize, key: CallKey) {
        if let Some((at, side)) = self.find(phone, key) {
            self.conversations[at].sides[side].gave_up_us.get_or_insert(now_us);
        }
    }

    /// A person wants the call that is up there on hold, or back.
    pub fn wants_hold(&mut self, now_us: u64, phone: usize, key: CallKey, hold: bool) {
        if let Some((at, side)) = self.find(phone, key) {
            self.conversations[at].sides[side].wants_hold = hold;
            self.conversations[at].sides[side].changed_us = Some(now_us);
        }
    }

    /// A phone reports something.
    pub fn event(&mut self, now_us: u64, phone: usize, seen: &Phone, event: &PhoneEvent) {
        match event {
            PhoneEvent::State { call, state } => self.state(now_us, phone, seen, *call, *state),
            PhoneEvent::Violation(violation) if self.is_excused(phone, violation) => {}
            PhoneEvent::Violation(violation) => {
                let text = format!("phone {} was misused: {violation}", self.name(phone));
                self.fail(now_us, "violation", text);
            }
            PhoneEvent::RegisterFailed { status } => {
                let text = format!("phone {} lost its registration: {status:?}", self.name(phone));
                self.fail(now_us, "registration", text);
            }
            PhoneEvent::Refused { number, status } => self.refused(now_us, phone, number, *status),
            PhoneEvent::Final { call: Some(call), method, status } => {
                self.final_status(now_us, phone, *call, *method, *status);
            }
            PhoneEvent::Registered { .. } => self.registered.again(now_us, phone),
            PhoneEvent::Final { call: None, .. } | PhoneEvent::Unregistered => {}
        }
    }

    fn is_excused(&self, phone: usize, violation: &Violation) -> bool {
        is_harmless(violation) || self.is_of_a_split(violation) || self.is_of_blackout(phone, violation)
    }

    fn state(&mut self, now_us: u64, phone: usize, seen: &Phone, key: CallKey, state: CallState) {
        let found = self.find(phone, key).or_else(|| self.begin(now_us, phone, seen, key));
        let Some((mut at, side)) = found else { return };
        if side == 1 && state == (CallState::Ended { reason: EndReason::PeerCancelled }) {
            at = self.rang_late(at);
        }
        let end = &mut self.conversations[at].sides[side];
        end.state = state;
        match state {
            CallState::Ringing => {
                end.ringing_us.get_or_insert(now_us);
            }
            CallState::Talking | CallState::Held => {
                end.up_us.get_or_insert(now_us);
            }
            CallState::Ended { reason } => {
                end.over_us.get_or_insert(now_us);
                self.ended(now_us, at, side, reason);
            }
            CallState::Idle | CallState::Calling => {}
        }
    }

    /// A call that this phone makes, or that rings there for the first time.
    fn begin(&mut self, now_us: u64, phone: usize, seen: &Phone, key: CallKey) -> Option<(usize, usize)> {
        let record = seen.calls().find(|record| record.key == key)?;
        if record.outgoing {
            let callee = self.users.iter().position(|user| *user == record.number);
            let id = self.conversations.len() as u32 + 1;
            let mut conversation = Conversation::new(id, phone, callee, &record.number, now_us);
            conversation.sides[0].key = Some(key);
            conversation.torn = self.tears(&conversation);
            self.conversations.push(conversation);
            return Some((self.conversations.len() - 1, 0));
        }
        let caller = self.users.iter().position(|user| *user == record.number);
        let user = self.name(phone).to_owned();
        let wanted = |conversation: &Conversation| {
            conversation.caller().phone == caller && conversation.number == user && conversation.callee().key.is_none()
        };
        let Some(at) = self.conversations.iter().rposition(wanted) else {
            let text = format!("phone {user} is rung by {}, who does not call it (any more)", record.number);
            self.fail(now_us, "party", text);
            return None;
        };
        self.conversations[at].sides[1].key = Some(key);
        Some((at, 1))
    }

    /// A phone refused a call by itself, because it is busy.
    fn refused(&mut self, now_us: u64, phone: usize, number: &str, status: u16) {
        self.refusals.push((now_us, phone));
        let caller = self.users.iter().position(|user| user == number);
        // Of several calls of one caller the oldest one was refused first.
        let of_phone = |conversation: &&mut Conversation| {
            let callee = conversation.callee();
            callee.phone == Some(phone)
                && conversation.caller().phone == caller
                && callee.key.is_none()
                && !conversation.is_over()
                && conversation.refused.is_none()
        };
        if let Some(conversation) = self.conversations.iter_mut().find(of_phone) {
            conversation.refused = Some(status);
            conversation.refused_us = Some(now_us);
        }
    }

    fn final_status(&mut self, now_us: u64, phone: usize, key: CallKey, method: Method, status: u16) {
        let Some((at, side)) = self.find(phone, key) else { return };
        let conversation = &mut self.conversations[at];
        if conversation.torn {
            return;
        }
        let over_us = conversation.over_us();
        // Who hung up while nobody had power may have been missed before his BYE comes again.
        let other_gave_up = conversation.sides[1 - side].gave_up_us.is_some() || self.had_blackout;
        let is_first_invite = method == Method::Invite && side == 0 && conversation.sides[0].up_us.is_none();
        if is_first_invite {
            conversation.invite_status = Some(status);
        }
        let proper = match method {
            Method::Bye => status == 200 || (status == 481 && other_gave_up),
            // An INVITE that was acknowledged long ago is forgotten before the last CANCEL comes again.
            Method::Cancel => status == 200 || (status == 481 && conversation.invite_status.is_some()),
            Method::Invite if is_first_invite => status != 408,
            // Glare is settled by trying again; a call that is ending may refuse.
            Method::Invite => matches!(status, 200 | 491) || over_us.is_some() || conversation.gave_up_us().is_some(),
            _ => status == 200,
        };
        if !proper {
            let (id, name) = (self.conversations[at].id, self.name(phone).to_owned());
            self.fail(now_us, "request", format!("call {id}: {method} of phone {name} was answered {status}"));
        }
    }
}

/// An ACK that a node sends again after a takeover may find that the phone has just forgotten its INVITE. It is
/// discarded (RFC 3261, section 17.2.1); an ACK that the phone misses is another violation.
fn is_harmless(violation: &Violation) -> bool {
    matches!(violation, Violation::UnknownDialog { method } if method == "ACK")
}
