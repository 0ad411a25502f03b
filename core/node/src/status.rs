//! What an operator is answered. The field names are those of `tandem ... --json`.

use serde::{Deserialize, Serialize};

/// The answer to one question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Status(Box<Status>),
    Phones(Vec<PhoneLine>),
    Calls(Vec<CallLine>),
    Config(Box<ConfigAnswer>),
    Done { text: String },
    Refused { text: String },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub node: String,
    /// `active`, `standby`, `alone` (active, and nobody has everything it knows) or `starting`.
    pub role: String,
    /// A death of this node now would lose nothing.
    pub protected: bool,
    /// Why not, if not.
    pub unprotected_because: Option<String>,
    /// An operator has taken a node out of service, and that is why.
    #[serde(default)]
    pub unprotected_on_purpose: bool,
    /// This node is out of service: `drained`, `never` (serves in no case) or `calls` (takes no new ones).
    #[serde(default)]
    pub drain: Option<String>,
    /// `<number>.<node>`
    pub epoch: String,
    /// Age of the oldest change that the peer has not acknowledged; on the standby 0 while in step.
    pub lag_ms: f64,
    pub registrations: usize,
    pub calls: usize,
    /// The service address, where this node holds it; several are separated by commas.
    pub address: Option<String>,
    pub peer: Option<PeerLine>,
    pub unprotected_seconds: f64,
    pub lsn: u64,
    /// The last entry that the journal has written.
    #[serde(default)]
    pub journal_lsn: u64,
    pub records_waiting: usize,
    pub configuration_hash: String,
    /// Of the program; empty where it was not told yet.
    #[serde(default)]
    pub version: String,
    /// `None` where no other routers are told of us.
    #[serde(default)]
    pub vrrp: Option<VrrpLine>,
    /// What the pair writes into its log; 0 where it was not told.
    #[serde(default)]
    pub level: u16,
    /// Less what fails of what is tracked; 0 where it was not told yet.
    #[serde(default)]
    pub priority: u8,
    #[serde(default)]
    pub tracks: Vec<TrackLine>,
    /// `None` where there is no witness.
    #[serde(default)]
    pub witness: Option<WitnessLine>,
    /// `None` where there are no ping targets, and until it is known which of them answer.
    #[serde(default)]
    pub pings: Option<PingsLine>,
    /// `None` where a node was asked that does not know versions of the configuration.
    #[serde(default)]
    pub configuration: Option<ConfigLine>,
    /// What the node has taken longest for since its start; `None` where nobody measures.
    #[serde(default)]
    pub worst_step: Option<StepLine>,
    /// The store of call records; `None` where it was not told.
    #[serde(default)]
    pub records: Option<RecordsLine>,
}

/// How the pair's configuration stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ConfigLine {
    /// The version that both nodes are to run, as 64 digits; `None` while there is none.
    pub head: Option<String>,
    /// This node runs it.
    pub runs_head: bool,
    /// The peer runs it; `None` while that is not known.
    pub peer_runs_head: Option<bool>,
    /// What is under way, or what an edit waits for.
    pub waits: Option<String>,
    pub conflict: Option<ConflictLine>,
    pub refused: Vec<RefusedLine>,
}

/// Two edits that do not follow from each other: both are kept, and a person chooses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ConflictLine {
    /// What both have in common.
    pub base: Option<String>,
    pub ours: String,
    pub theirs: String,
    /// The node whose folder has `theirs`.
    pub author: String,
}

/// A folder that does not check, and so changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RefusedLine {
    pub node: String,
    /// `file:line: text`
    pub problems: Vec<String>,
}

/// One version of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct VersionLine {
    pub id: String,
    pub parents: Vec<String>,
    pub author: String,
    /// Unix time in milliseconds.
    pub made_ms: u64,
    pub why: String,
    pub manifest: String,
}

/// The answer to `tandem config status` and `history`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ConfigAnswer {
    pub line: ConfigLine,
    /// The newest first.
    pub history: Vec<VersionLine>,
}

/// One step of the node: an event, and all that came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepLine {
    /// `Event::name`.
    pub event: String,
    pub took_ms: f64,
}

/// The store of call records, as this node sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RecordsLine {
    /// The file, or the server with the address that takes records.
    pub store: String,
    /// Both nodes write to it.
    pub shared: bool,
    /// Why it takes none.
    pub trouble: Option<String>,
    /// Addresses that were passed over for the one that is used, and why.
    pub avoided: Option<String>,
    /// Records that this node is to store and has not stored yet.
    pub waiting: usize,
    /// Of those that have left the log for this node's disk.
    pub spooled: usize,
    /// Since the end of the oldest call among them.
    pub oldest_seconds: Option<u64>,
}

/// One thing that is tracked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrackLine {
    pub name: String,
    /// `well`, `failing`, `fault`, `not measured yet`.
    pub state: String,
    /// From the priority.
    pub subtracts: u8,
}

/// The third machine that keeps two nodes from serving at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WitnessLine {
    /// It answers.
    pub up: bool,
    /// `prefer` or `require`.
    pub mode: String,
    /// Who has its lease: `this node`, `the peer`, `nobody` or `unknown`.
    pub lease: String,
    /// It has a say in who serves; not while neither node hears it.
    pub counts: bool,
    /// Whether the peer hears it; `None` while the peer is down.
    pub peer_hears: Option<bool>,
    pub round_trip_ms: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PingsLine {
    pub answering: u8,
    pub targets: u8,
    /// `None` when the peer does not know, or does not tell.
    pub peer_answering: Option<u8>,
}

/// What is said and heard of the virtual router.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VrrpLine {
    pub version: u8,
    pub vrid: u8,
    pub priority: u8,
    pub interval_ms: u64,
    /// Where our adverts come from; without one none are sent.
    pub own: Option<String>,
    /// Routers outside the pair that are active just now.
    pub foreign: Vec<ForeignLine>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ForeignLine {
    pub address: String,
    pub priority: u8,
    pub interval_ms: u64,
    /// It says that it has the service address.
    pub claims: bool,
    /// It would keep the address from us: its priority must be lowered.
    pub outranks: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PeerLine {
    pub name: String,
    pub up: bool,
    pub role: String,
    pub in_step: bool,
    pub lsn: u64,
    pub links_up: usize,
    pub links: usize,
    /// `None` while it is down, and until it has told.
    #[serde(default)]
    pub about: Option<AboutLine>,
    /// As `drain` of the node, as the peer said last.
    #[serde(default)]
    pub drain: Option<String>,
}

/// What the peer tells of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AboutLine {
    pub version: String,
    /// Of its wall clock; negative when it is behind ours.
    pub clock_ahead_ms: f64,
    pub configuration_hash: String,
    /// The address that its phones know it by; of several the first, and what tells them from others.
    pub service: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PhoneLine {
    pub endpoint: String,
    pub contact: String,
    pub source: String,
    pub user_agent: String,
    /// Unix time in milliseconds.
    pub registered_ms: u64,
    pub expires_seconds: u64,
    /// `unknown`, `reachable`, `unreachable`
    pub reachability: String,
    pub round_trip_ms: Option<f64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallLine {
    pub number: u64,
    pub identity: String,
    pub source: String,
    pub destination: String,
    pub state: String,
    /// Unix time in milliseconds.
    pub started_ms: u64,
    pub age_seconds: f64,
    pub talked_seconds: Option<f64>,
}
