//! What the cluster machine asks of its owner, and what it has to report.

use std::fmt;
use std::time::Duration;

use base::{Epoch, Incarnation, NodeIndex};

use crate::heartbeat::Heartbeat;
use crate::witness::Ask;

/// One thing to do, in the order given.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Send it on every link.
    SendHeartbeat(Box<Heartbeat>),
    /// Serve: take the address, write the log in this epoch. Comes again with a greater epoch when a reign must be
    /// renewed.
    BecomeActive {
        epoch: Epoch,
    },
    /// Yield the address, send nothing from it, follow the leader of this epoch.
    BecomeStandby {
        epoch: Epoch,
    },
    /// The greatest known epoch grew: raise the session's floor and write it to the disk, off the path.
    EpochKnown {
        epoch: Epoch,
    },
    /// The peer's daemon of this incarnation is heard: the log can be spoken of with it.
    PeerUp {
        incarnation: Incarnation,
    },
    /// The peer is silent, gone or superseded: wait for no acknowledgement of it.
    PeerDown {
        incarnation: Incarnation,
    },
    /// Write to the disk that this epoch is ours, then say `epoch_reserved`.
    ReserveEpoch(Epoch),
    /// Tell switches and hosts on the link who has the address.
    TellNeighbours,
    /// Take no more input, wait until the peer has everything, then hand over to it.
    BeginHandOver,
    /// Take input again: the peer did not take the role in time.
    HandOverFailed,
    /// Send it to the witness; lost is lost.
    AskWitness(Box<Ask>),
    /// Run the fencing program against the peer; then say `fenced` with this number.
    Fence(Fence),
    Notice(Notice),
}

/// What the fencing program is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    pub number: u64,
    /// The peer's name; empty when it was never heard.
    pub peer: String,
    /// The epoch in which the peer served.
    pub epoch: Epoch,
    pub cause: &'static str,
}

/// Something that an operator or a metric wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// We were not scheduled for this long beyond our deadline; the peer was given a full grace period.
    Stalled { late: Duration },
    /// Took the role with an epoch that no disk holds yet.
    EpochNotReserved { epoch: Epoch },
    /// The peer claims to be active in an epoch that is over.
    StaleEpochRefused { epoch: Epoch, known: Epoch },
    /// Both were active.
    DoubleActive { own: Epoch, peer: Epoch },
    /// Took the role without having had everything: what the former active one told the phones last may be lost.
    TookOverUnsynced,
    /// The role is free, but without a carrier we do not take it.
    NoCarrier,
    /// The peer has our index: both nodes are configured as the same one. It is ignored.
    SameIndex { index: NodeIndex },
    /// A heartbeat of a life of the peer that is over, or from a link that does not exist, was refused.
    HeartbeatRefused { incarnation: Incarnation, link: u8 },
    /// A hand-over came while we were no standby, or an operator wants us out whatever happens.
    HandOverRefused,
    /// The role is free, but an operator has said that we never take it.
    DrainedForGood,
    /// The role is free, but something that we track is a fault.
    Fault,
    /// The peer is the one to prefer by now, and we hand over to it.
    Outranked { own: u8, peer: u8 },
    /// The witness answers.
    WitnessHeard,
    /// The witness does not answer.
    WitnessLost,
    /// We served, and neither the peer nor the witness says any more that nobody else does.
    Resigned { epoch: Epoch },
    /// The role is free as far as we can see, but the witness does not let us have it, or does not answer.
    RoleWithheld { answered: bool },
    /// The role is free, but with none of the ping targets in reach we do not take it.
    SeesNothing,
    /// The fencing program has failed or took too long.
    FencingFailed { serves: bool },
}

impl Notice {
    /// It is about the witness and what follows from its word.
    pub fn is_of_witness(&self) -> bool {
        matches!(self, Self::WitnessHeard | Self::WitnessLost | Self::Resigned { .. } | Self::RoleWithheld { .. })
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stalled { late } => {
                write!(f, "we were not scheduled for {} ms; the peer gets a full grace period", late.as_millis())
            }
            Self::EpochNotReserved { epoch } => write!(f, "took epoch {epoch} before the disk had it"),
            Self::StaleEpochRefused { epoch, known } => {
                write!(f, "refused the peer's claim to be active in epoch {epoch}: epoch {known} is known")
            }
            Self::DoubleActive { own, peer } => write!(f, "both nodes were active, here {own}, there {peer}"),
            Self::TookOverUnsynced => {
                f.write_str("took over without having had everything; what phones were told last may be lost")
            }
            Self::NoCarrier => f.write_str("the role is free, but without a carrier we do not take it"),
            Self::SameIndex { index } => {
                write!(f, "the peer is configured as the same node {} of the pair as we are; it is ignored", index.0)
            }
            Self::HeartbeatRefused { incarnation, link } => {
                write!(f, "refused an old heartbeat of incarnation {:016x} on link {link}", incarnation.0)
            }
            Self::HandOverRefused => f.write_str("a hand-over came while we were no standby that may take it"),
            Self::DrainedForGood => {
                f.write_str("the role is free, but this node is drained for good: end that with `tandem drain --end`")
            }
            Self::Fault => f.write_str("the role is free, but with a fault in what we track we do not take it"),
            Self::Outranked { own, peer } => {
                write!(f, "the peer's priority is {peer} and ours {own}, less what fails: handing over")
            }
            Self::WitnessHeard => f.write_str("the witness answers"),
            Self::WitnessLost => f.write_str("the witness does not answer"),
            Self::Resigned { epoch } => {
                write!(f, "gave up epoch {epoch}: neither the peer nor the witness answers, so the peer may serve")
            }
            Self::RoleWithheld { answered: true } => {
                f.write_str("the peer is silent to us, but the witness says that it serves")
            }
            Self::RoleWithheld { answered: false } => {
                f.write_str("the peer is silent, and without the witness we cannot know that it does not serve")
            }
            Self::SeesNothing => f.write_str("the role is free, but no ping target answers, so we do not take it"),
            Self::FencingFailed { serves: true } => f.write_str("the peer could not be fenced; serving all the same"),
            Self::FencingFailed { serves: false } => f.write_str("the peer could not be fenced, so we do not serve"),
        }
    }
}

/// Why an operator's switchover does not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SwitchOverRefused {
    #[error("this node is not active: ask the active one")]
    NotActive,
    #[error("the peer is down")]
    PeerDown,
    #[error("the peer does not have everything yet")]
    PeerNotInStep,
    #[error("the peer is catching up with the configuration")]
    PeerBehind,
    #[error("the peer cannot serve: its interface has no carrier, or something that it tracks is a fault")]
    PeerWithoutCarrier,
    #[error("the peer is drained: end that there with `tandem drain --end`")]
    PeerDrained,
    #[error("none of the peer's ping targets answers it")]
    PeerSeesNothing,
    #[error("a hand-over is under way")]
    UnderWay,
    #[error("this node has no peer")]
    NoPeer,
}
