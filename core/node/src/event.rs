//! Everything that a node is told.

use std::net::{IpAddr, SocketAddr};

use base::{Epoch, Incarnation, LocalTime, Lsn, WallTime};
use cluster::{Drain, Pings};
use pbx::configuration::Loaded;

use crate::cdr::StoreState;
use crate::files::{ConfigRequest, FilesEvent};
use crate::node::HEARTBEAT;

/// This machine's clocks at the instant of the event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    pub local: LocalTime,
    pub wall: WallTime,
}

#[derive(Clone, Debug)]
pub enum Event {
    /// A datagram came to one of the SIP sockets.
    Datagram { local: SocketAddr, source: SocketAddr, bytes: Vec<u8> },
    /// An authenticated datagram of the peer came over a link.
    Peer { link: u8, bytes: Vec<u8> },
    /// The peer's parent process says, authenticated, that this daemon of its is dead.
    Farewell { incarnation: Incarnation },
    /// `next_timeout` has come.
    Timeout,
    /// The service address is ours: what was claimed with this epoch may be sent from.
    Claimed { epoch: Epoch },
    /// The journal has written everything up to this entry, so that it survives a crash of the process.
    JournalWritten { lsn: Lsn },
    /// The disk holds this reservation.
    EpochReserved { epoch: Epoch },
    /// This node's store of call records has these.
    RecordsStored { identities: Vec<String> },
    /// This node's disk has these, until the store that both nodes share takes them from there.
    RecordsSpooled { identities: Vec<String> },
    /// How this node's store of call records is, when that changes.
    StoreTold(Box<StoreState>),
    /// The configuration files were read and checked, because of `Action::LoadPbx`.
    PbxLoaded { loaded: Box<Loaded>, asked_by: Option<u64> },
    /// Of the contents and the folder of the PBX's files.
    Files(FilesEvent),
    /// Where the media of a leg really comes from.
    Learned { port: u16, rtp: Option<SocketAddr>, rtcp: Option<SocketAddr> },
    /// Media of phones has come since this was last said; at most every `MEDIA_HEARD_EVERY`.
    MediaHeard,
    /// Whether every interface of a service address has a carrier.
    Carrier { up: bool },
    /// One of the settings' tracks was measured.
    Measured { track: usize, measured: cluster::track::Measured },
    /// A packet of the VRRP protocol came to the service interface.
    Vrrp { packet: cluster::vrrp::Packet, bytes: Vec<u8> },
    /// The machine's own address on the service interface, which VRRP adverts come from: at first, and when it changes.
    OwnAddress { address: Option<IpAddr> },
    /// An authenticated answer of the witness.
    Witness { bytes: Vec<u8> },
    /// The fencing program of `Action::Fence` with this number has ended; `done` when it exited with 0.
    Fenced { number: u64, done: bool },
    /// How many ping targets answer: when it is first known, and when it changes.
    Pings { pings: Pings },
    /// Somebody asks on the operator's socket; the answer carries the same number.
    Asked { number: u64, operator: Operator },
}

impl Event {
    /// What kind of event it is, for measuring how long the node takes for it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Datagram { .. } => "datagram",
            Self::Peer { bytes, .. } if bytes.first() == Some(&HEARTBEAT) => "heartbeat",
            Self::Peer { .. } => "log",
            Self::Farewell { .. } => "farewell",
            Self::Timeout => "timeout",
            Self::Claimed { .. } => "claimed",
            Self::JournalWritten { .. } => "journal-written",
            Self::EpochReserved { .. } => "epoch-reserved",
            Self::RecordsStored { .. } => "records-stored",
            Self::RecordsSpooled { .. } => "records-spooled",
            Self::StoreTold(_) => "store-told",
            Self::PbxLoaded { .. } => "pbx-loaded",
            Self::Files(_) => "files",
            Self::Learned { .. } => "learned",
            Self::MediaHeard => "media-heard",
            Self::Carrier { .. } => "carrier",
            Self::Measured { .. } => "measured",
            Self::Vrrp { .. } => "vrrp",
            Self::OwnAddress { .. } => "own-address",
            Self::Witness { .. } => "witness",
            Self::Fenced { .. } => "fenced",
            Self::Pings { .. } => "pings",
            Self::Asked { .. } => "asked",
        }
    }
}

/// How often `Event::MediaHeard` is said while media comes: well within the time in which a lost peer is noticed.
pub const MEDIA_HEARD_EVERY: std::time::Duration = std::time::Duration::from_millis(50);

/// What an operator may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Status,
    Phones,
    Calls,
    SwitchOver,
    /// This node is to be out of service in this way, or not any more.
    Drain(Drain),
    /// As `Config(ConfigRequest::Apply)`, where both programs know it.
    Reload,
    Config(ConfigRequest),
    /// The node is being shut down: hand over if there is somebody to hand over to.
    Stop,
}
