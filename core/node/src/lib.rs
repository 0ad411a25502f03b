//! The whole node as one pure machine: `handle(now, event) -> actions`.
//!
//! Read `event` and `action` first: they are everything a node sees and does. `node` joins the rooms; `outbox` is
//! commit before send.

pub mod action;
pub mod cdr;
pub mod event;
pub mod files;
pub mod node;
pub mod outbox;
pub mod status;

pub use action::{Action, Tell};
pub use event::{Event, MEDIA_HEARD_EVERY, Now, Operator};
pub use files::{ConfigRequest, FilesAction, FilesEvent, Take};
pub use node::{Node, RECORDS_KEPT_MAX, Recovered, Settings};
pub use status::{
    AboutLine, Answer, CallLine, ConfigAnswer, ConfigLine, ConflictLine, ForeignLine, PeerLine, PhoneLine, PingsLine,
    RecordsLine, RefusedLine, Status, StepLine, TrackLine, VersionLine, VrrpLine, WitnessLine,
};

// What the shell and the simulator need of the rooms below, so that they depend on this crate alone.
pub use base;
pub use cluster;
pub use media;
pub use pbx;
pub use replication;
