//! Everything that a node wants done, in the order given.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use base::{Epoch, Incarnation, Level, Position};
use cluster::output::Fence;
use cluster::{Drain, Durable, Notice};
use media::relay::Port;
use pbx::record::Record;
use replication::Checkpoint;

use crate::files::FilesAction;
use crate::status::Answer;

#[derive(Clone, Debug)]
pub enum Action {
    /// Send a SIP message from one of our sockets.
    Send {
        local: SocketAddr,
        destination: SocketAddr,
        bytes: Vec<u8>,
    },
    /// Send to the peer over one link; lost is lost.
    PeerSend {
        link: u8,
        bytes: Vec<u8>,
    },
    /// Send a VRRP advert from this address of the service interface; lost is lost.
    SendVrrp {
        source: IpAddr,
        destination: IpAddr,
        bytes: Vec<u8>,
    },
    /// Send it to the witness, authenticated; lost is lost.
    AskWitness {
        bytes: Vec<u8>,
    },
    /// Run the fencing program, then say `Fenced`.
    Fence(Fence),
    OpenPort(Port),
    UpdatePort(Port),
    ClosePort(u16),
    /// The ports serve from now on: what was learned by the other node may have changed.
    MediaTakenOver,
    /// Add the service address and say `Claimed`.
    Claim {
        epoch: Epoch,
    },
    /// Remove the service address.
    Yield,
    /// Tell the link who has the address, and ask these parties directly.
    TellNeighbours {
        parties: Vec<IpAddr>,
    },
    /// Write at once, sync in groups; then say `JournalWritten`.
    JournalAppend {
        position: Position,
        bytes: Vec<u8>,
    },
    /// Begin a new journal with this state; what was written before it is of no use any more.
    JournalCheckpoint(Box<Checkpoint>),
    /// Write and sync, off the path; then say `EpochReserved` with `durable.reserved`.
    KeepDurable(Durable),
    /// Put into the store unless it has the identity already; then say `RecordsStored`.
    StoreRecord(Box<Record>),
    /// Keep on this node's disk, and say `RecordsSpooled`; then put it into the store as well, when that takes it.
    SpoolRecord(Box<Record>),
    /// The other node stores from now on what waits for the store that both share: the log has it, and may come to know
    /// better. What is on this node's disk stays.
    LeaveRecords,
    /// Read and check the configuration files; then say `PbxLoaded`.
    LoadPbx {
        asked_by: Option<u64>,
    },
    /// With contents and the folder of the PBX's files.
    Files(FilesAction),
    Reply {
        number: u64,
        answer: Box<Answer>,
    },
    /// For the log.
    Tell(Tell),
    /// A stop that was asked for is complete: the process may end.
    Stopped,
}

/// What a person or a metric should know.
#[derive(Clone, Debug, PartialEq)]
pub enum Tell {
    BecameActive {
        epoch: Epoch,
        cause: &'static str,
    },
    BecameStandby {
        epoch: Epoch,
        cause: &'static str,
    },
    PeerUp {
        incarnation: Incarnation,
    },
    /// It was silent for this long; nearly nothing when its parent has told of its end.
    PeerDown {
        incarnation: Incarnation,
        silent: Duration,
    },
    /// The takeover is complete: the last messages of so many calls have been sent again.
    SaidAgain {
        calls: usize,
    },
    /// A split has healed: this is what the other side brought that this one did not have.
    Merged {
        calls: usize,
        registrations: usize,
        records: usize,
    },
    /// Whether a death of this node would lose nothing, and for how long that was not so.
    Protected {
        unprotected: Duration,
    },
    Unprotected {
        cause: &'static str,
    },
    Cluster(Notice),
    /// Of other routers of the virtual router.
    Vrrp(cluster::vrrp::Notice),
    /// Something that is tracked fails, or is well again.
    Track(cluster::track::Notice),
    HandOver {
        step: &'static str,
    },
    /// An operator has taken this node out of service, or put it back.
    Drain(Drain),
    /// What the pair writes from now on, and what this node could.
    Level {
        level: Level,
        own: Level,
    },
    /// The peer cannot read anything that this program can write.
    PeerTooOld {
        peer: Level,
        oldest: Level,
    },
    Trouble(String),
}

impl fmt::Display for Tell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BecameActive { epoch, cause } => write!(f, "active in epoch {epoch}: {cause}"),
            Self::BecameStandby { epoch, cause } => write!(f, "standby in epoch {epoch}: {cause}"),
            Self::PeerUp { incarnation } => write!(f, "peer is up (incarnation {:016x})", incarnation.0),
            Self::PeerDown { incarnation, silent } => {
                let silent = silent.as_millis();
                write!(f, "peer is down, silent for {silent} ms (incarnation {:016x})", incarnation.0)
            }
            Self::SaidAgain { calls } => write!(f, "sent the last messages of {calls} calls again"),
            Self::Merged { calls, registrations, records } => write!(
                f,
                "took over from the other side of the split: {calls} calls, {registrations} registrations, {records} records"
            ),
            Self::Protected { unprotected } => {
                write!(f, "protected again after {:.3} s", unprotected.as_secs_f64())
            }
            Self::Unprotected { cause } => write!(f, "unprotected: {cause}"),
            Self::Cluster(notice) => notice.fmt(f),
            Self::Vrrp(notice) => notice.fmt(f),
            Self::Track(notice) => notice.fmt(f),
            Self::HandOver { step } => write!(f, "hand-over: {step}"),
            Self::Drain(drain) => f.write_str(match drain {
                Drain::Ended => "an operator has put this node back into service",
                Drain::Drained => "an operator has taken this node out of service",
                Drain::Never => "an operator has taken this node out of service for good",
                Drain::Calls => "an operator lets the calls come to an end; new ones are refused",
            }),
            Self::Level { level, own } if level < own => {
                write!(f, "writes at level {level} of {own}, because the peer can read no more")
            }
            Self::Level { level, .. } => write!(f, "writes at level {level}, as both nodes can"),
            Self::PeerTooOld { peer, oldest } => {
                write!(f, "the peer's program is too old: it reads level {peer}, and this one writes {oldest} at least")
            }
            Self::Trouble(text) => f.write_str(text),
        }
    }
}
