//! What the node and the shell say to each other about files: the store of contents, and the folder of the PBX's files.
//!
//! The store has immutable contents by hash: the files' own, the pages and the manifest of each set, and the versions.
//! The shell says of its own accord what the folder was made from (`Holds`, at the start) and when it differs from that
//! (`Edited`), or does not any more (`Unchanged`).

use pbx::configuration::Loaded;
use replication::Hash;
use replication::files::{Version, VersionId};
use serde::{Deserialize, Serialize};

/// What the node wants done, in the order given; an answer may come late or never.
#[derive(Clone, Debug, PartialEq)]
pub enum FilesAction {
    /// Which of these are here, and how much of those that are not? -> `Looked`
    Look { hashes: Vec<Hash> },
    /// -> `Read`
    Read { content: Hash, offset: u64, length: u32 },
    /// Into the content's unfinished file at this offset. What makes `total` bytes is verified, synced and takes its
    /// name. -> `Written`
    Write { content: Hash, offset: u64, bytes: Vec<u8>, total: u64 },
    /// A content that the node has whole: a version. -> `Written`
    Put { bytes: Vec<u8> },
    /// Load this set from the store, and tell whether it checks. -> `Checked`
    Check { version: VersionId },
    /// Load this set from the store and leave the folder as it is. -> `Loaded`
    Load { version: VersionId },
    /// Make the folder this version, and load it from the store. A folder that is neither what it was made from last,
    /// nor this version, nor `over`, is somebody's edit: it stays, the answer is `failed`, and `Edited` follows.
    /// -> `Installed`
    Install { version: VersionId, over: Option<VersionId> },
    /// Look at the folder now, and put back what it has and the store has lost. -> `Edited` or `Unchanged`, with the
    /// number.
    Scan { asked_by: Option<u64> },
    /// These versions are wanted. Contents that none of them reaches may go, if they are not new.
    Keep { versions: Vec<VersionId> },
}

/// What the shell tells.
#[derive(Clone, Debug)]
pub enum FilesEvent {
    /// Each of those that were asked for is in one of the three.
    Looked {
        here: Vec<Hash>,
        /// Unfinished, with how many bytes of it there are.
        parts: Vec<(Hash, u64)>,
        missing: Vec<Hash>,
    },
    /// `bytes` is `None` where the content is not here, or damaged; then it is forgotten. `total` is its length.
    Read {
        content: Hash,
        offset: u64,
        bytes: Option<Vec<u8>>,
        total: u64,
    },
    /// So much of it is here. After a failure, and when the whole is not what its name says, it begins again at 0.
    Written {
        content: Hash,
        upto: u64,
        whole: bool,
        failed: Option<String>,
    },
    /// Without problems it checks. `failed`: the store does not have all of it, so nobody knows.
    Checked {
        version: VersionId,
        problems: Vec<String>,
        failed: Option<String>,
    },
    Loaded {
        version: VersionId,
        loaded: Option<Box<Loaded>>,
        failed: Option<String>,
    },
    /// The set may be loaded although the folder could not be made it: then there are both.
    Installed {
        version: VersionId,
        loaded: Option<Box<Loaded>>,
        failed: Option<String>,
    },
    /// The folder differs from what it was made from, which is the version's parent; it has none where the folder was
    /// made from nothing. All contents are in the store; `problems` is what is wrong with it.
    Edited {
        version: Version,
        problems: Vec<String>,
        asked_by: Option<u64>,
    },
    /// The folder is what it was made from.
    Unchanged {
        asked_by: Option<u64>,
    },
    /// At the start: the version that the folder was made from last, and that the node was started with.
    Holds {
        version: Option<Version>,
    },
}

/// What an operator asks about the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, minicbor::Encode, minicbor::Decode, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConfigRequest {
    /// Take the folder as it is now, and answer when both nodes run it.
    #[n(0)]
    Apply,
    /// A new version with the contents of this one.
    #[n(1)]
    Rollback(
        #[n(0)]
        #[serde(with = "digits")]
        VersionId,
    ),
    /// End the conflict.
    #[n(2)]
    Resolve(#[n(0)] Take),
    /// What there is.
    #[n(3)]
    Status,
}

/// Which side of a conflict is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, minicbor::Encode, minicbor::Decode, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Take {
    /// What both nodes run.
    #[n(0)]
    Ours,
    /// The edit that does not follow from it.
    #[n(1)]
    Theirs,
    #[n(2)]
    Version(
        #[n(0)]
        #[serde(with = "digits")]
        VersionId,
    ),
}

/// A version as 64 hexadecimal digits.
mod digits {
    use replication::Hash;
    use replication::files::VersionId;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub fn serialize<S: Serializer>(id: &VersionId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<VersionId, D::Error> {
        let text = String::deserialize(deserializer)?;
        Hash::parse(&text).map(VersionId).ok_or_else(|| de::Error::custom("not the 64 digits of a version"))
    }
}
