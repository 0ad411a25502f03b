//! Who is active: heartbeats, failure detection, epochs, neighbours told, VRRP. Knows nothing of SIP.
//!
//! Read `cluster` first: the rules of the role. `heartbeat` is what the nodes tell each other, `peer` what one knows
//! of the other, `timing` the intervals, `clock` the pair's common time, `vrrp` what other routers hear of the pair,
//! `track` what else decides how well a node can serve.
//! `witness` the third machine that keeps two nodes from serving at once.

pub mod clock;
pub mod cluster;
pub mod heartbeat;
pub mod neighbours;
pub mod output;
pub mod peer;
pub mod timing;
pub mod track;
pub mod vrrp;
pub mod witness;

pub use clock::ClusterClock;
pub use cluster::{Cluster, Durable, Failback, Fencing, OnFailure, Pings, ResumeActive, Safeguards, Settings};
pub use heartbeat::{Drain, Heartbeat, HeartbeatError, Reach, Role};
pub use output::{Notice, Output, SwitchOverRefused};
pub use peer::{Link, PeerView};
pub use timing::Timing;
