//! What this node keeps on its disk: the journal of the log, the epochs, and the call records.
//!
//! `journal` writes at once and syncs in groups, on threads of its own, so that no disk is on the path of a call or a
//! takeover. `cdr` is the store of call records.

pub mod cdr;
pub mod journal;

pub use cdr::{CdrFilter, CdrReader, CdrStore};
pub use journal::{Journal, JournalError, JournalEvent, Opened};
