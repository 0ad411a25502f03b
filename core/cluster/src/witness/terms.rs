//! The times of a lease: how long it binds, how often it is renewed, and when a witness counts as lost. They follow from
//! how fast the witness answers.

use std::time::Duration;

use minicbor::{Decode, Encode};

use super::{LEASE, TO_ACT};

/// What a pair has for a witness.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Kind {
    /// `tandem witness` on a third machine. It answers within a millisecond, from memory.
    #[default]
    #[n(0)]
    Machine,
    /// A record in a store that others run, as etcd. Each renewal is written to the disks of a majority.
    #[n(1)]
    Record,
}

/// The times of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How long a granted lease binds whoever would grant it to the other node.
    pub lease: Duration,
    /// A node gives the role up so long before.
    pub to_act: Duration,
    /// Between two asks while all is well.
    pub ask_every: Duration,
    /// The same while an answer that the role depends on is missing.
    pub ask_again: Duration,
    /// A witness that was silent for this long is lost.
    pub lost_after: Duration,
    /// A node that has just started gives the witness so long for its first answer.
    pub first_answer_wait: Duration,
    /// A peer that has been silent to the witness for so long as well is gone, and not merely cut off from us.
    pub gone_after: Duration,
}

/// As often as heartbeats, so that a lease survives two that are lost; ten silent ones in a row are a lost witness.
const MACHINE: Terms = Terms {
    lease: LEASE,
    to_act: TO_ACT,
    ask_every: Duration::from_millis(30),
    ask_again: Duration::from_millis(10),
    lost_after: Duration::from_millis(300),
    first_answer_wait: Duration::from_millis(100),
    gone_after: Duration::from_secs(1),
};

/// A write usually takes 2 to 20 ms and now and then 100 ms, and a member that is dead is noticed after 250 ms: the lease
/// survives either. Of the 100 ms at its end 5 % of it are for clocks of different rates, and the rest is for acting.
/// While the nodes hear each other a lapsed lease is no harm, so that it need not outlive an election of a new leader,
/// and is not made longer: after a cut the other node waits for its end.
const RECORD: Terms = Terms {
    lease: Duration::from_millis(600),
    to_act: Duration::from_millis(100),
    ask_every: Duration::from_millis(100),
    ask_again: Duration::from_millis(50),
    lost_after: Duration::from_secs(1),
    // A connection, its keys and a password, which is slow to check on purpose.
    first_answer_wait: Duration::from_millis(500),
    gone_after: Duration::from_secs(3),
};

impl Terms {
    pub const fn of(kind: Kind) -> Self {
        match kind {
            Kind::Machine => MACHINE,
            Kind::Record => RECORD,
        }
    }
}
