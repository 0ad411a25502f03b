//! The log, its snapshot and the stream that carries it; generic over what it carries.
//!
//! Read `store` and `entry` first (what is replicated), then `log` (its order), `divergence` (what two logs have that
//! went on apart), `session` (what two logs say to each other), `stream` (how it travels) and `peering` (a stream and a
//! session that are reset together). `packed` is the short form of an entry on its way. `content` and `files` are about files: bytes by hash, sets of them, versions.

mod bounded;
pub mod content;
pub mod divergence;
pub mod entry;
pub mod files;
pub mod log;
pub mod message;
#[cfg(test)]
mod network;
pub mod packed;
pub mod peering;
pub mod session;
pub mod store;
pub mod stream;

pub use content::Hash;
pub use divergence::{Changes, Orphans, Parted, Trail};
pub use entry::{Entry, EntryError};
pub use log::{AppendError, ApplyError, Checkpoint, Log, Recovery};
pub use message::{Message, MessageError};
pub use peering::Peering;
pub use session::{Counters, Lag, Session, SessionError, SessionEvent, SessionRole};
pub use store::{Checksum, Checksums, Delta, Key, Store};
pub use stream::{Stream, StreamError};
