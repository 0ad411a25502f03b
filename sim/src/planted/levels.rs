//! A new field is written to an old peer: the newer node is made to believe that the older one can read everything.

use node::base::Level;
use node::cluster::Heartbeat;

use super::{HEARTBEAT, Plant};

/// Which machine has the older program: the one that stands by at first.
const OLDER: usize = 1;

#[derive(Default)]
pub struct NewFieldToOldPeer {
    planted: u64,
}

impl Plant for NewFieldToOldPeer {
    fn planted(&self) -> u64 {
        self.planted
    }

    fn levels(&self) -> [Level; 2] {
        let mut levels = [Level::OWN; 2];
        levels[OLDER] = Level::OLDEST;
        levels
    }

    fn peer_datagram(&mut self, machine: usize, bytes: Vec<u8>) -> Vec<u8> {
        let heartbeat = bytes
            .split_first()
            .filter(|(kind, _)| machine != OLDER && **kind == HEARTBEAT)
            .and_then(|(_, rest)| Heartbeat::decode(rest).ok());
        let Some(mut heartbeat) = heartbeat.filter(|heartbeat| heartbeat.level < Level::OWN) else { return bytes };
        self.planted += 1;
        heartbeat.level = Level::OWN;
        std::iter::once(HEARTBEAT).chain(heartbeat.encode()).collect()
    }
}
