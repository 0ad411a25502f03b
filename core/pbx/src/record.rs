//! Call records: Asterisk's CDR columns and an identity that is made with the first INVITE and lives in the call.

use std::fmt;

use base::{ClusterTime, WallTime};
use minicbor::{Decode, Encode};

/// How a call ended, in the words of Asterisk's CDR.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub enum Disposition {
    #[default]
    #[n(0)]
    NoAnswer,
    #[n(1)]
    Answered,
    #[n(2)]
    Busy,
    #[n(3)]
    Failed,
    #[n(4)]
    Congestion,
}

impl fmt::Display for Disposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoAnswer => "NO ANSWER",
            Self::Answered => "ANSWERED",
            Self::Busy => "BUSY",
            Self::Failed => "FAILED",
            Self::Congestion => "CONGESTION",
        })
    }
}

/// One call's record. While the call lives this is its draft, inside the call; when it ends it becomes an object of
/// the log and stays there until every store has it.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Record {
    /// 32 hexadecimal digits, unique for ever; the stores' unique key.
    #[n(0)]
    pub identity: String,
    #[n(1)]
    pub caller_id: String,
    #[n(2)]
    pub source: String,
    #[n(3)]
    pub destination: String,
    #[n(4)]
    pub context: String,
    #[n(5)]
    pub channel: String,
    #[n(6)]
    pub destination_channel: String,
    #[n(7)]
    pub last_application: String,
    #[n(8)]
    pub last_data: String,
    #[n(9)]
    pub started: Moment,
    #[n(10)]
    pub answered: Option<Moment>,
    #[n(11)]
    pub ended: Option<Moment>,
    #[n(12)]
    pub disposition: Disposition,
    /// `<seconds>.<call number>`, as Asterisk makes them.
    #[n(13)]
    pub unique_id: String,
    /// Its end was a phone's doing, not a timer's: that holds whatever another node made of the call meanwhile.
    #[cbor(n(14), with = "base::level::late", has_nil)]
    pub ended_by_phone: bool,
    /// Whom the call is charged to, as the caller's endpoint says.
    #[n(15)]
    pub account_code: Option<String>,
}

/// One instant, in both times: the wall's for people, the cluster's for durations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct Moment {
    #[n(0)]
    pub wall: WallTime,
    #[n(1)]
    pub cluster: ClusterTime,
}

impl Record {
    /// This cluster time as a moment of the call. Its wall time counts from the start: an answer and an end that another
    /// node notes, whose clock differs, or this one after its clock was set, stand as far from it as they were.
    pub fn moment(&self, cluster: ClusterTime) -> Moment {
        Moment { wall: self.started.wall + cluster.since(self.started.cluster), cluster }
    }

    /// Of two records of one call, made by two nodes that did not see each other, whether this one knows more.
    pub fn outweighs(&self, other: &Self) -> bool {
        let weight = |record: &Self| (record.ended_by_phone, record.answered.is_some(), record.ended);
        weight(self) > weight(other)
    }

    /// Whole seconds from the INVITE to the end (Asterisk's `duration`).
    pub fn duration_seconds(&self) -> u64 {
        self.ended.map_or(0, |ended| ended.cluster.since(self.started.cluster).as_secs())
    }

    /// Whole seconds from the answer to the end (Asterisk's `billsec`).
    pub fn billable_seconds(&self) -> u64 {
        match (self.answered, self.ended) {
            (Some(answered), Some(ended)) => ended.cluster.since(answered.cluster).as_secs(),
            _ => 0,
        }
    }
}
