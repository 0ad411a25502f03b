//! What every room of the core shares: time, ids, levels, seeded random and limits.

pub mod id;
pub mod level;
pub mod limits;
pub mod random;
pub mod time;

pub use id::{Epoch, Incarnation, Lsn, NodeIndex, Position};
pub use level::{Level, Lower};
pub use random::Random;
pub use time::{ClusterTime, LocalTime, WallTime};
