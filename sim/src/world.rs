//! The world: virtual time, two machines, phones and the wires between them. Everything follows from one seed.

mod carry;
mod deliver;
mod faults;
mod files;
mod pauses;
mod people;
mod record;
mod settle;
mod start;
mod store;
mod witness;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use node::base::{Level, Random, WallTime};
use node::cluster::witness::{Kind, Mode};
use node::pbx::configuration::{Configuration, Loaded};
use node::{Answer, Event, Now};

use crate::check::{Checks, Failure};
use crate::handset::{Handset, HandsetPlan};
use crate::machine::Machine;
use crate::network::Network;
use crate::planted::Plant;
use crate::queue::{Happening, Queue};

use witness::Witness;

pub use faults::{Counter, CrashPoint, Loss};
pub use files::{FilesJob, Folders, name};
pub use start::ECHO;
pub use store::StorePlan;

/// When a world begins. Not zero, so that the machines have been up for different times.
pub const START_US: u64 = 1_000_000_000;

/// The wall clock at time zero.
pub const WALL_US: u64 = 1_790_000_000_000_000;

pub const SERVICE_PORT: u16 = 5060;
pub const SERVICE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 100);

/// How often the checkers look at what lasts.
const SWEEP_US: u64 = 100_000;

/// Deadlines within one millisecond after which a node turns in circles.
const SPINS_MAX: u32 = 500;

pub fn service(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(SERVICE), port)
}

/// What a world is made of.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    pub phones: Vec<HandsetPlan>,
    pub links: u8,
    /// Distance of audio packets, in microseconds.
    pub audio_us: u64,
    /// The Dial timeout of the dialplan, in seconds.
    pub ring_s: u64,
    /// Phones are probed with OPTIONS.
    pub qualify: bool,
    /// What the program on each machine can read, at first.
    pub levels: [Level; 2],
    /// There is a witness, and the nodes prefer or require it.
    pub witness: Option<Mode>,
    /// What it is.
    pub witness_kind: Kind,
    /// A silent peer's power is cut before its role is taken.
    pub fencing: bool,
    /// The shells keep the configuration's folder and a store of contents.
    pub files: bool,
    /// Where call records go.
    pub store: StorePlan,
    /// It is away now and then, and loses connections.
    pub store_fails: bool,
    pub trace: bool,
}

impl Plan {
    /// A protected pair with these phones, a Dial timeout of so many seconds, and nothing special.
    pub fn plain(seed: u64, phones: Vec<HandsetPlan>, ring_s: u64) -> Self {
        Self {
            seed,
            phones,
            links: 1,
            audio_us: 20_000,
            ring_s,
            qualify: false,
            levels: [Level::OWN; 2],
            witness: None,
            witness_kind: Kind::Machine,
            fencing: false,
            files: false,
            store: StorePlan::Own,
            store_fails: false,
            trace: false,
        }
    }
}

pub struct World {
    pub now_us: u64,
    pub(crate) queue: Queue,
    pub random: Random,
    pub network: Network,
    pub machines: [Machine; 2],
    pub handsets: Vec<Handset>,
    pub checks: Checks,
    pub(crate) plan: Plan,
    pub(crate) plant: Option<Box<dyn Plant>>,
    pub(crate) configuration: Arc<Configuration>,
    pub(crate) secret: [u8; 32],
    /// The third machine.
    witness: Option<Witness>,
    lives: u64,
    /// Counts the actions of one machine, and kills it at one of them.
    pub counter: Option<Counter>,
    pub answers: BTreeMap<u64, Answer>,
    asked: u64,
    /// Anything a node called trouble, for the summary.
    pub troubles: Vec<String>,
    /// How many things have happened.
    pub happenings: u64,
    pub folders: Folders,
    /// Until when each store, or the one that both share, takes nothing.
    store_away_until_us: [u64; 2],
}

impl World {
    /// The node's clocks on one machine.
    pub(crate) fn clocks(&self, machine: usize) -> Now {
        let of = &self.machines[machine];
        Now { local: of.local(self.now_us), wall: WallTime(WALL_US + self.now_us + of.wall_skew_us) }
    }

    /// Puts this between the nodes and their shells, instead of what was there.
    pub fn watch(&mut self, plant: Box<dyn Plant>) {
        self.plant = Some(plant);
    }

    pub fn failure(&self) -> Option<&Failure> {
        self.checks.failure.as_ref()
    }

    pub(crate) fn after(&mut self, delay_us: u64, happening: Happening) {
        self.queue.push(self.now_us + delay_us, happening);
    }

    pub fn trace(&self, text: impl FnOnce() -> String) {
        if self.plan.trace {
            println!("{:>5}.{:06}  {}", self.now_us / 1_000_000, self.now_us % 1_000_000, text());
        }
    }

    /// Lets this much time pass, in microseconds. Stops early when a checker has failed.
    pub fn run(&mut self, us: u64) {
        let until = self.now_us + us;
        while self.failure().is_none() {
            let Some((at_us, happening)) = self.queue.pop(until) else {
                self.now_us = until;
                return;
            };
            self.now_us = at_us;
            self.happens(happening);
        }
    }

    /// Lets time pass until `done`, at most `us`. Tells whether it came to that.
    pub fn run_until(&mut self, us: u64, mut done: impl FnMut(&Self) -> bool) -> bool {
        let until = self.now_us + us;
        while self.failure().is_none() {
            if done(self) {
                return true;
            }
            let Some((at_us, happening)) = self.queue.pop(until) else {
                self.now_us = until;
                return done(self);
            };
            self.now_us = at_us;
            self.happens(happening);
        }
        false
    }

    fn happens(&mut self, happening: Happening) {
        self.happenings += 1;
        match happening {
            Happening::ToService { local_port, source, bytes } => self.service_gets(local_port, source, bytes),
            Happening::ToPhone { phone, source, bytes } => self.phone_gets(phone, source, &bytes),
            Happening::MediaToPhone { phone, bytes } => self.media_to_phone(phone, &bytes),
            Happening::ToWitness { machine, bytes } => self.witness_gets(machine, &bytes),
            Happening::FromWitness { machine, bytes } => self.witness_answers(machine, bytes),
            Happening::ToStore { machine, life, request } => self.store_gets(machine, life, *request),
            Happening::FromStore { machine, life, number, reading } => {
                self.deputy_gets(machine, life, number, Some(reading));
            }
            Happening::StoreSilent { machine, life, number } => self.deputy_gets(machine, life, number, None),
            Happening::FencingEnds { machine, life, number } => self.fencing_ends(machine, life, number),
            Happening::Joined => self.join(),
            Happening::WitnessStarts => self.start_witness(),
            Happening::ToPeer { machine, link, bytes } => self.peer_gets(machine, link, bytes),
            Happening::Farewell { machine, incarnation } => self.farewell(machine, incarnation),
            Happening::SayFarewell { machine, boot, incarnation } => self.say_farewell(machine, boot, incarnation),
            Happening::NodeTimer { machine, life } => self.node_timer(machine, life),
            Happening::JournalDone { machine, life } => self.journal_done(machine, life),
            Happening::JournalSynced { machine, boot, entries, generation } => {
                self.journal_synced(machine, boot, entries, generation);
            }
            Happening::DurableKept { machine, life, durable } => self.durable_kept(machine, life, durable),
            Happening::RecordStored { machine, life, queue, record } => {
                self.record_stored(machine, life, queue, *record);
            }
            Happening::RecordTaken { machine, record } => self.record_taken(machine, *record),
            Happening::RecordSpooled { machine, life, record } => self.record_spooled(machine, life, *record),
            Happening::SpoolStored { machine, life } => self.spool_stored(machine, life),
            Happening::AddressAdded { machine, life, epoch } => self.address_added(machine, life, epoch),
            Happening::LeaseOver { machine, boot, claim } => self.lease_over(machine, boot, claim),
            Happening::PbxRead { machine, life, asked_by } => {
                let configuration = (*self.configuration).clone();
                let loaded = Box::new(Loaded { configuration: Some(configuration), diagnostics: Vec::new() });
                self.tell(machine, life, Event::PbxLoaded { loaded, asked_by });
            }
            Happening::FilesWork { machine, life } => self.files_work(machine, life),
            Happening::FolderLook { machine, life, asked_by } => self.look_at_folder(machine, life, asked_by),
            Happening::MediaLearned { machine, life, learned } => {
                let (port, rtp, rtcp) = (learned.port, learned.rtp, learned.rtcp);
                self.tell(machine, life, Event::Learned { port, rtp, rtcp });
            }
            Happening::StallJudged { machine, life, since_us } => self.stall_judged(machine, life, since_us),
            Happening::GoesOn { machine, boot } => self.goes_on(machine, boot),
            Happening::DeathNoticed { machine, boot } => self.death_noticed(machine, boot),
            Happening::StartDaemon { machine, boot, resume } => self.start_daemon(machine, boot, resume),
            Happening::PowerFails { machine, off_us, alone_us } => {
                // What this one said alone is not on the other one's disk.
                self.checks.blackout(self.now_us, self.now_us + off_us, alone_us);
                self.cut_power(machine, off_us);
            }
            Happening::Boot { machine } => self.boot(machine),
            Happening::Carrier { machine, life, up } => {
                self.machines[machine].carrier_lost = !up;
                self.tell(machine, life, Event::Carrier { up });
            }
            Happening::PlugIn { machine } => self.plug_in(machine),
            Happening::PhoneTimer { phone, at_us } => self.phone_timer(phone, at_us),
            Happening::AudioTick { phone } => self.audio_tick(phone),
            Happening::Sweep => {
                self.checks.sweep(self.now_us);
                self.check_masters();
                self.after(SWEEP_US, Happening::Sweep);
            }
        }
    }
}
