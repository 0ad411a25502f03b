//! One machine with what stands between a node and the world: power, cable, parent process, disk, address, stores.

use std::collections::{BTreeMap, VecDeque};

use node::base::{Epoch, Incarnation, Level, LocalTime};
use node::cluster::Role;
use node::media::relay::Relay;
use node::pbx::record::Record;
use node::{Event, Node};

use crate::disk::Disk;
use crate::files::Files;
use crate::world::FilesJob;

/// How often a daemon tells its parent that it is alive and what a death would mean.
pub const STAMP_EVERY_US: u64 = 20_000;

/// Clocks drift by so many microseconds in a second at most: a cheap crystal.
pub const DRIFT_MAX_PPM: i64 = 100;

const MILLION: i64 = 1_000_000;

/// What the daemon last told its parent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    pub active: bool,
    pub protected: bool,
    pub epoch: Epoch,
}

/// A daemon that stands still.
pub struct Pause {
    pub since_us: u64,
    /// What waits for it.
    pub events: Vec<Event>,
}

/// A running daemon process.
pub struct Daemon {
    pub node: Node,
    /// Counted over all daemons, so that what belongs to a dead one is told apart.
    pub life: u64,
    pub incarnation: Incarnation,
    pub relay: Relay,
    pub timer_at_us: Option<u64>,
    /// When the node was last told that media comes.
    pub media_told_at_us: u64,
    /// It does not run just now, because it or its whole machine is paused.
    pub pause: Option<Pause>,
    /// The last stamp that left, and what the next one will say.
    stamp: Stamp,
    next_stamp: Stamp,
    stepped_at_us: u64,
    /// When the last thing that must not be forgotten is on the disk.
    pub durable_at_us: u64,
    /// Deadlines that came due in a row within one millisecond.
    spins: u32,
    spin_at_us: u64,
}

impl Daemon {
    pub fn new(node: Node, life: u64, incarnation: Incarnation, now_us: u64) -> Self {
        Self {
            node,
            life,
            incarnation,
            relay: Relay::new(),
            timer_at_us: None,
            media_told_at_us: 0,
            pause: None,
            stamp: Stamp::default(),
            next_stamp: Stamp::default(),
            stepped_at_us: now_us,
            durable_at_us: now_us,
            spins: 0,
            spin_at_us: now_us,
        }
    }

    /// What the last stamp before `now_us` said.
    pub fn stamp(&self, now_us: u64) -> Stamp {
        let passed = now_us / STAMP_EVERY_US > self.stepped_at_us / STAMP_EVERY_US;
        if passed { self.next_stamp } else { self.stamp }
    }

    /// To be called after each step.
    pub fn stepped(&mut self, now_us: u64) {
        self.stamp = self.stamp(now_us);
        self.stepped_at_us = now_us;
        self.next_stamp = Stamp {
            active: self.node.role() == Role::Active,
            protected: self.node.is_protected(),
            epoch: self.node.epoch(),
        };
    }

    /// Counts deadlines within one millisecond: a node that is never done turns in circles.
    pub fn spin(&mut self, now_us: u64) -> u32 {
        if now_us / 1000 != self.spin_at_us / 1000 {
            self.spins = 0;
        }
        self.spin_at_us = now_us;
        self.spins += 1;
        self.spins
    }
}

pub struct Machine {
    pub powered: bool,
    /// Its cable is plugged in.
    pub connected: bool,
    /// Its kernel has told the daemon that there is no carrier.
    pub carrier_lost: bool,
    /// Nothing comes in on the links to the other machine, which hears this one all the same.
    pub deaf: bool,
    /// The whole machine stands still with its daemon, its kernel too.
    pub asleep: bool,
    pub boot: u64,
    pub booted_at_us: u64,
    /// How much too fast its monotonic clock goes, in millionths; slow when negative.
    drift_ppm: i64,
    /// How far its wall clock is off, in microseconds.
    pub wall_skew_us: u64,
    /// What the program that is installed on it can read.
    pub level: Level,
    /// The service address is on its interface.
    pub has_address: bool,
    /// The parent's: the epoch for which the address was claimed.
    pub claim: Option<Epoch>,
    /// The parent's: the stamp as of the daemon's death.
    pub last_stamp: Stamp,
    pub last_incarnation: Incarnation,
    /// An operator has stopped the daemon: nobody starts it again by himself.
    pub stopped: bool,
    pub daemon: Option<Daemon>,
    /// Where there is one, daemons that have died are kept: to free them would be felt by whoever measures the other node,
    /// which in truth is another process.
    pub graveyard: Option<Vec<Daemon>>,
    pub disk: Disk,
    /// The store of call records, unique by identity.
    pub records: BTreeMap<String, Record>,
    pub store_busy_until_us: u64,
    /// The configuration's folder, and the store of contents.
    pub files: Files,
    /// What the daemon's worker has still to do with them, one after another.
    pub file_jobs: VecDeque<FilesJob>,
    /// Counts how often what waited for the store was dropped.
    pub store_queue: u64,
    /// Records on the disk that the shared store has not taken yet.
    pub spool: BTreeMap<String, Record>,
}

impl Machine {
    pub fn new(wall_skew_us: u64, booted_at_us: u64, drift_ppm: i64, level: Level) -> Self {
        Self {
            powered: true,
            connected: true,
            carrier_lost: false,
            deaf: false,
            asleep: false,
            boot: 1,
            booted_at_us,
            drift_ppm,
            wall_skew_us,
            level,
            has_address: false,
            claim: None,
            last_stamp: Stamp::default(),
            last_incarnation: Incarnation::default(),
            stopped: false,
            daemon: None,
            graveyard: None,
            disk: Disk::default(),
            records: BTreeMap::new(),
            store_busy_until_us: 0,
            files: Files::default(),
            file_jobs: VecDeque::new(),
            store_queue: 0,
            spool: BTreeMap::new(),
        }
    }

    /// This machine's monotonic clock.
    pub fn local(&self, now_us: u64) -> LocalTime {
        let up_us = now_us.saturating_sub(self.booted_at_us);
        LocalTime(up_us.saturating_add_signed(up_us as i64 * self.drift_ppm / MILLION))
    }

    /// When this machine's monotonic clock will show that time.
    pub fn at_us(&self, local: LocalTime) -> u64 {
        let up_us = i128::from(local.0) * i128::from(MILLION) / i128::from(MILLION + self.drift_ppm);
        self.booted_at_us.saturating_add(up_us as u64)
    }

    /// The other machine's packets reach it.
    pub fn hears(&self) -> bool {
        self.is_reachable() && !self.deaf
    }

    pub fn is_reachable(&self) -> bool {
        self.powered && self.connected
    }

    pub fn daemon_of(&mut self, life: u64) -> Option<&mut Daemon> {
        self.daemon.as_mut().filter(|daemon| daemon.life == life)
    }

    pub fn is_active(&self) -> bool {
        self.daemon.as_ref().is_some_and(|daemon| daemon.node.role() == Role::Active)
    }
}
