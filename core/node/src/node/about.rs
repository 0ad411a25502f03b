//! What the two nodes tell each other about themselves for people's eyes: version, wall clock, configuration. Nothing
//! is decided by it.

use std::time::Duration;

use base::{LocalTime, WallTime};
use minicbor::{Decode, Encode};

use super::Node;
use super::peer::ABOUT;
use crate::event::Now;
use crate::status::AboutLine;

/// What people look at may be a second old.
const ABOUT_EVERY: Duration = Duration::from_secs(1);

/// Versions and addresses are short. What has longer texts is not taken.
const TEXT_BYTES_MAX: usize = 64;

/// The version of this program.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
struct About {
    #[n(0)]
    version: String,
    #[n(1)]
    wall: WallTime,
    /// Of the PBX's files.
    #[n(2)]
    configuration_hash: u64,
    /// The addresses that phones know the node by, in a few words.
    #[n(3)]
    service: String,
}

/// What is known of the peer.
#[derive(Clone, Debug, Default)]
pub(super) struct Acquaintance {
    peer: Option<PeerAbout>,
    tell_at: LocalTime,
}

#[derive(Clone, Debug)]
struct PeerAbout {
    about: About,
    /// How far the peer's wall clock was ahead of ours when it was heard, in microseconds.
    ahead_us: i64,
}

impl Node {
    /// With each heartbeat: tells the peer about us once in a while.
    pub(super) fn tell_about(&mut self, now: Now) {
        if now.local < self.acquaintance.tell_at {
            return;
        }
        self.acquaintance.tell_at = now.local + ABOUT_EVERY;
        let about = About {
            version: VERSION.to_owned(),
            wall: now.wall,
            configuration_hash: self.pbx.configuration().hash,
            service: self.settings.service.summary(),
        };
        self.send_to_peer(ABOUT, &pbx::object::encode(&about));
    }

    pub(super) fn about_datagram(&mut self, now: Now, bytes: &[u8]) {
        let Ok(about) = minicbor::decode::<About>(bytes) else { return };
        if about.version.len() > TEXT_BYTES_MAX || about.service.len() > TEXT_BYTES_MAX {
            return;
        }
        let signed = |time: WallTime| i64::try_from(time.as_micros()).unwrap_or(i64::MAX);
        // The way between the machines takes a fraction of a millisecond, which nobody minds here.
        let ahead_us = signed(about.wall).saturating_sub(signed(now.wall));
        self.acquaintance.peer = Some(PeerAbout { about, ahead_us });
    }

    /// What the peer told of itself, while it is up.
    pub(super) fn about_line(&self) -> Option<AboutLine> {
        let known = self.acquaintance.peer.as_ref().filter(|_| self.cluster.peer().up)?;
        Some(AboutLine {
            version: known.about.version.clone(),
            clock_ahead_ms: known.ahead_us as f64 / 1000.0,
            configuration_hash: format!("{:016x}", known.about.configuration_hash),
            service: known.about.service.clone(),
        })
    }
}
