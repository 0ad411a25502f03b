//! One call as two people live through it: who, with whom, since when, and the audio each way. Nothing in here comes
//! from the product.

use phone::{CallKey, CallState, Media};

/// One person's end of a call.
#[derive(Clone, Debug)]
pub struct Side {
    /// The phone; `None` when the other end is no phone (Echo).
    pub phone: Option<usize>,
    /// The phone's name for the call; `None` until it rings there.
    pub key: Option<CallKey>,
    pub state: CallState,
    pub media: Option<Media>,
    pub ringing_us: Option<u64>,
    pub up_us: Option<u64>,
    pub over_us: Option<u64>,
    /// When the person hung up, cancelled or declined.
    pub gave_up_us: Option<u64>,
    /// When the person last wanted it on hold, or back.
    pub changed_us: Option<u64>,
    /// The person wants the call on hold, whether the server has said yes or not.
    pub wants_hold: bool,
    pub flow: Flow,
}

/// The audio that is to arrive at one side.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flow {
    /// Both sides let it flow.
    pub expected: bool,
    /// When the last new packet came, or was lost by the network, or the flow began.
    pub heard_us: u64,
    pub packets: u64,
    /// Since when it is expected, and for how long it was before.
    pub since_us: u64,
    pub lasted_us: u64,
    pub longest_us: u64,
}

#[derive(Clone, Debug)]
pub struct Conversation {
    pub id: u32,
    pub number: String,
    pub began_us: u64,
    /// The caller, then the callee.
    pub sides: [Side; 2],
    /// The callee refused: busy.
    pub refused: Option<u16>,
    pub refused_us: Option<u64>,
    /// The final status of the caller's INVITE.
    pub invite_status: Option<u16>,
    /// Its two phones could not reach each other for some of its time: what became of it is nobody's fault.
    pub torn: bool,
}

impl Side {
    fn new(phone: Option<usize>) -> Self {
        Self {
            phone,
            key: None,
            state: CallState::Idle,
            media: None,
            ringing_us: None,
            up_us: None,
            over_us: None,
            gave_up_us: None,
            changed_us: None,
            wants_hold: false,
            flow: Flow::default(),
        }
    }

    pub fn is_up(&self) -> bool {
        self.state.is_up()
    }

    /// It was alive and is over.
    pub fn is_over(&self) -> bool {
        self.over_us.is_some()
    }

    pub fn sends(&self) -> bool {
        self.is_up() && !self.wants_hold && self.media.is_some_and(|media| media.send)
    }

    pub fn receives(&self) -> bool {
        self.is_up() && !self.wants_hold && self.media.is_some_and(|media| media.receive)
    }
}

impl Conversation {
    pub fn new(id: u32, caller: usize, callee: Option<usize>, number: &str, now_us: u64) -> Self {
        Self {
            id,
            number: number.to_owned(),
            began_us: now_us,
            sides: [Side::new(Some(caller)), Side::new(callee)],
            refused: None,
            refused_us: None,
            invite_status: None,
            torn: false,
        }
    }

    pub fn caller(&self) -> &Side {
        &self.sides[0]
    }

    pub fn callee(&self) -> &Side {
        &self.sides[1]
    }

    /// Somebody wanted it to end.
    pub fn gave_up_us(&self) -> Option<u64> {
        self.sides.iter().filter_map(|side| side.gave_up_us).min()
    }

    /// Both ends are over, as far as they ever lived.
    pub fn is_over(&self) -> bool {
        self.caller().is_over() && (self.callee().key.is_none() || self.callee().is_over())
    }

    /// The time at which it was first over at some end.
    pub fn over_us(&self) -> Option<u64> {
        self.sides.iter().filter_map(|side| side.over_us).min()
    }

    pub fn is_talking(&self) -> bool {
        self.caller().is_up() && (self.callee().phone.is_none() || self.callee().is_up())
    }

    /// The server has certainly taken the call: somebody was told of it.
    pub fn was_taken(&self) -> bool {
        let told = self.caller().ringing_us.is_some() || self.caller().up_us.is_some();
        let answered = self.invite_status.is_some_and(|status| status != 401);
        told || self.callee().key.is_some() || self.refused.is_some() || answered
    }
}
