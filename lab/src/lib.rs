//! Hosts in network namespaces, nodes and phones on them, faults, and the drill that puts it all together. Needs Linux
//! and the programs `ip` and, for packet loss, `nft`; all but the drill also root.

pub mod disk;
pub mod drill;
mod error;
pub mod netns;
pub mod nodes;
pub mod phones;
pub mod process;
mod rival;
mod rootless;
pub mod stores;

pub use drill::{DrillArguments, ExpectedCall, compare_records, main};
pub use error::LabError;
