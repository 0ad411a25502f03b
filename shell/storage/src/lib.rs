//! What this node keeps on its disk: the journal of the log, the epochs, and the call records.
//!
//! `journal` writes at once and syncs in groups, on threads of its own, so that no disk is on the path of a call or a
//! takeover. `cdr` is the store of call records. `content` keeps bytes by their hash, `directory` makes the directory of
//! the PBX's files a version of them, and versions of what is edited there.

pub mod cdr;
pub mod content;
pub mod directory;
pub mod journal;

pub use cdr::{CdrFilter, CdrReader, CdrStore};
pub use journal::{Journal, JournalError, JournalEvent, Opened};
