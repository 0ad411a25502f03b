//! Call records as operators are shown them: a row in Asterisk's columns, and totals. The field names are those of
//! `tandem cdr --json`.

use serde::{Deserialize, Serialize};

/// One call's record, in the order of its columns. Times are `2026-01-31 13:45:00` in UTC.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CdrRow {
    pub calldate: String,
    pub clid: String,
    pub src: String,
    pub dst: String,
    pub dcontext: String,
    pub channel: String,
    pub dstchannel: String,
    pub lastapp: String,
    pub lastdata: String,
    /// Seconds from the first INVITE to the end.
    pub duration: u64,
    /// Seconds from the answer to the end.
    pub billsec: u64,
    /// `ANSWERED`, `NO ANSWER`, `BUSY`, `FAILED` or `CONGESTION`.
    pub disposition: String,
    /// 3 is Asterisk's `DOCUMENTATION`, its default.
    pub amaflags: u32,
    pub accountcode: String,
    pub uniqueid: String,
    pub userfield: String,
    /// Made with the first INVITE, unique for ever, the same on both nodes. Empty in a row that Asterisk wrote.
    pub identity: String,
    pub start: String,
    /// `None`: nobody answered.
    pub answer: Option<String>,
    pub end: String,
    /// When the row was written, in microseconds since the Unix epoch by the clock of the node that wrote it; 0 where
    /// that is not known.
    #[serde(skip)]
    pub stored_us: u64,
}

impl CdrRow {
    /// The columns that people are shown, in their order.
    pub const COLUMNS: [&str; 20] = [
        "calldate",
        "clid",
        "src",
        "dst",
        "dcontext",
        "channel",
        "dstchannel",
        "lastapp",
        "lastdata",
        "duration",
        "billsec",
        "disposition",
        "amaflags",
        "accountcode",
        "uniqueid",
        "userfield",
        "identity",
        "start",
        "answer",
        "end",
    ];
}

/// Some of the calls, counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CdrTotal {
    /// The day (`2026-01-31`, UTC), the extension or the outcome.
    pub key: String,
    pub calls: u64,
    pub answered: u64,
    /// From the answers to the ends.
    pub seconds: u64,
}

/// How a node's store of call records is, as its thread says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreState {
    /// The file, or the server with the address that takes records.
    pub store: String,
    /// Why it takes none, address for address.
    pub trouble: Option<String>,
    /// Addresses that were passed over for the one that is used, and why.
    pub avoided: Option<String>,
    /// Records that the node has given it and that it has not stored.
    pub waiting: usize,
    /// Records that are on this node's disk because they were too many for the log.
    pub spooled: usize,
    /// When the oldest call among both ended.
    pub oldest: Option<base::WallTime>,
}
