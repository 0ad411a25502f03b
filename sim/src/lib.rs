//! Whole clusters in one thread, from a seed, with faults and independent checkers (design, section 11.2).
//!
//! Read `world` first: virtual time, two machines with production nodes, phones, wires. `check` judges what the phones
//! saw and what the stores hold; `reference` has the ten calls of the exhaustive run (`exhaustive`), `chaos` the random
//! seeds, `apart` a split with a node that dies before it is merged, `edit` a change of the configuration amid which one
//! dies, `planted` the faults that the checkers must catch.

pub mod apart;
pub mod chaos;
pub mod check;
pub mod conversation;
pub mod disk;
pub mod edit;
pub mod exhaustive;
pub mod files;
pub mod handset;
pub mod machine;
pub mod network;
pub mod planted;
pub mod queue;
pub mod reference;
pub mod world;

pub use check::Failure;
pub use node;
pub use world::{Plan, World};
