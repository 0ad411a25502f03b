//! Faults planted on purpose, so that it is known that the checkers bite. Each is a wrapper at the boundary between a
//! node and its shell: the product has no switch for any of them.

mod commit;
mod configuration;
mod leases;
mod levels;
mod messages;
mod omissions;
mod relays;
mod resync;
mod splits;
mod stream;

use node::base::Level;
use node::cluster::witness::deputy::{Reading, Request};
use node::cluster::witness::{Answer, Kind};
use node::media::relay::Relay;
use node::pbx::record::Record;
use node::{Action, Event, FilesEvent, Node, Now};

use crate::apart;
use crate::chaos;
use crate::exhaustive::{self, Death, Outcome};
use crate::reference::Reference;

use omissions::{Omission, Omitted};

/// Random worlds in which a fault of the configuration is looked for, and how long each lives.
const WORLDS: u64 = 6;
const WORLD_US: u64 = 150_000_000;

/// The first byte of what one node sends to the other.
const HEARTBEAT: u8 = 1;
const LOG: u8 = 2;

/// A wrapper around the nodes. By default everything passes untouched.
pub trait Plant: Send {
    /// How often the fault was in fact committed: one that never was proves nothing.
    fn planted(&self) -> u64;

    /// Whether each node is to get a twin, made of the very same things.
    fn wants_twins(&self) -> bool {
        false
    }

    /// What the program on each machine can read.
    fn levels(&self) -> [Level; 2] {
        [Level::OWN; 2]
    }

    /// A daemon has started on this machine.
    fn started(&mut self, _machine: usize, _twin: Option<Node>) {}

    /// Whether an event never reaches the node of this machine.
    fn swallows(&mut self, _machine: usize, _event: &Event) -> bool {
        false
    }

    /// An event on its way into the node of this machine.
    fn event(&mut self, _machine: usize, _now: Now, _event: &Event) {}

    /// What a step of the node of this machine wants done.
    fn actions(&mut self, _machine: usize, _actions: &mut Vec<Action>) {}

    /// The relay of this machine, after an action has changed it.
    fn relay(&mut self, _machine: usize, _relay: &mut Relay) {}

    /// The identity under which this machine's store keeps a record; `None` when it does not keep it at all.
    fn record_identity(&mut self, _machine: usize, record: &Record) -> Option<String> {
        Some(record.identity.clone())
    }

    /// A datagram of the peer on its way to this machine.
    fn peer_datagram(&mut self, _machine: usize, bytes: Vec<u8>) -> Vec<u8> {
        bytes
    }

    /// What the shell of this machine tells of files.
    fn files_event(&mut self, _machine: usize, _event: &mut FilesEvent) {}

    /// What the witness answers this machine.
    fn witness_answer(&mut self, _machine: usize, _answer: &mut Answer) {}

    /// What is the witness, where there is one.
    fn witness_kind(&self) -> Kind {
        Kind::Machine
    }

    /// What this machine asks of the store that is the witness, whose record has that revision now.
    fn store_request(&mut self, _machine: usize, _request: &mut Request, _revision: u64) {}

    /// What the store answers this machine.
    fn store_reading(&mut self, _machine: usize, _reading: &mut Reading) {}

    /// The daemon of this machine stood still, and goes on.
    fn woke(&mut self, _machine: usize) {}

    /// The two halves of the network are one again.
    fn healed(&mut self) {}

    /// The daemon of this machine has died; `other` is the node that is left.
    fn died(&mut self, _machine: usize, _other: Option<&mut Node>) {}
}

/// Which machine has taken over from the other.
#[derive(Clone, Copy, Debug, Default)]
struct Survivors([bool; 2]);

impl Survivors {
    fn other_died(&mut self, machine: usize) {
        self.0[1 - machine] = true;
    }

    fn contains(self, machine: usize) -> bool {
        self.0[machine]
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    OutputBeforeCommit,
    CseqReused,
    ProvisionalNotSentAgain,
    RecordIdentityByWriter,
    StaleEpochAccepted,
    ResyncWithoutChecksum,
    RelaysSwapped,
    FarewellIgnored,
    NeighboursNotTold,
    RecordNotStored,
    RecordForgottenEarly,
    CallNotJournaled,
    DeadlinesForgotten,
    PortsNotWarm,
    HoldNotFollowed,
    TagChanged,
    MediaPortChanged,
    NewFieldToOldPeer,
    LeaseGrantedTwice,
    AddressKeptWithoutLease,
    RevisionNotCompared,
    ContentsBelieved,
    NewestWins,
    RefusedTaken,
    NeighboursNotToldAfterHeal,
    TimeoutBelieved,
    IsolatedTakesOver,
    WokenKeepsAddress,
}

pub const ALL: [Planted; 28] = [
    Planted::OutputBeforeCommit,
    Planted::CseqReused,
    Planted::ProvisionalNotSentAgain,
    Planted::RecordIdentityByWriter,
    Planted::StaleEpochAccepted,
    Planted::ResyncWithoutChecksum,
    Planted::RelaysSwapped,
    Planted::FarewellIgnored,
    Planted::NeighboursNotTold,
    Planted::RecordNotStored,
    Planted::RecordForgottenEarly,
    Planted::CallNotJournaled,
    Planted::DeadlinesForgotten,
    Planted::PortsNotWarm,
    Planted::HoldNotFollowed,
    Planted::TagChanged,
    Planted::MediaPortChanged,
    Planted::NewFieldToOldPeer,
    Planted::LeaseGrantedTwice,
    Planted::AddressKeptWithoutLease,
    Planted::RevisionNotCompared,
    Planted::ContentsBelieved,
    Planted::NewestWins,
    Planted::RefusedTaken,
    Planted::NeighboursNotToldAfterHeal,
    Planted::TimeoutBelieved,
    Planted::IsolatedTakesOver,
    Planted::WokenKeepsAddress,
];

/// What came of a planted fault.
#[derive(Clone, Debug)]
pub struct Proof {
    pub planted: Planted,
    /// Runs in which the fault was committed, and those of them that a checker stopped.
    pub committed: usize,
    pub caught: usize,
    /// The first one that was caught.
    pub first: Option<Outcome>,
}

impl Planted {
    pub fn name(self) -> &'static str {
        match self {
            Self::OutputBeforeCommit => "output-before-commit",
            Self::CseqReused => "cseq-reused",
            Self::ProvisionalNotSentAgain => "provisional-not-sent-again",
            Self::RecordIdentityByWriter => "record-identity-by-writer",
            Self::StaleEpochAccepted => "stale-epoch-accepted",
            Self::ResyncWithoutChecksum => "resync-without-checksum",
            Self::RelaysSwapped => "relays-swapped",
            Self::FarewellIgnored => "farewell-ignored",
            Self::NeighboursNotTold => "neighbours-not-told",
            Self::RecordNotStored => "record-not-stored",
            Self::RecordForgottenEarly => "record-forgotten-early",
            Self::CallNotJournaled => "call-not-journaled",
            Self::DeadlinesForgotten => "deadlines-forgotten",
            Self::PortsNotWarm => "ports-not-warm",
            Self::HoldNotFollowed => "hold-not-followed",
            Self::TagChanged => "tag-changed",
            Self::MediaPortChanged => "media-port-changed",
            Self::NewFieldToOldPeer => "new-field-to-old-peer",
            Self::LeaseGrantedTwice => "lease-granted-twice",
            Self::AddressKeptWithoutLease => "address-kept-without-lease",
            Self::RevisionNotCompared => "revision-not-compared",
            Self::ContentsBelieved => "contents-believed",
            Self::NewestWins => "newest-wins",
            Self::RefusedTaken => "refused-taken",
            Self::NeighboursNotToldAfterHeal => "neighbours-not-told-after-heal",
            Self::TimeoutBelieved => "timeout-believed",
            Self::IsolatedTakesOver => "isolated-takes-over",
            Self::WokenKeepsAddress => "woken-keeps-address",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        ALL.into_iter().find(|planted| planted.name() == name)
    }

    /// How it is planted.
    pub fn how(self) -> &'static str {
        match self {
            Self::OutputBeforeCommit => {
                "the survivor is put back to a twin that never got the log of the last 30 ms, as if nobody had waited for it"
            }
            Self::CseqReused => "a survivor's BYE leaves with the CSeq of the INVITE",
            Self::ProvisionalNotSentAgain => "the 18x responses that a survivor sends again are dropped",
            Self::RecordIdentityByWriter => "each store writes an identity of its own",
            Self::StaleEpochAccepted => {
                "after a cut the old node's epoch is raised in its heartbeats and the new one's lowered"
            }
            Self::ResyncWithoutChecksum => {
                "a registration in a snapshot on the wire is changed, and every checksum after it made to fit"
            }
            Self::RelaysSwapped => "on one machine the ports of two calls forward to each other's parties",
            Self::FarewellIgnored => "the farewell of a dead node's parent is not heard",
            Self::NeighboursNotTold => "a survivor tells no neighbour that it has the address",
            Self::RecordNotStored => "one node stores no call record",
            Self::RecordForgottenEarly => "one store says that it has records before it has, and loses them",
            Self::CallNotJournaled => "changes of calls do not reach the journal of a lone node",
            Self::DeadlinesForgotten => "a survivor is never woken at its deadlines",
            Self::PortsNotWarm => "the standby closes each media port as soon as it has opened it",
            Self::HoldNotFollowed => "the standby's media ports stay as they were first opened",
            Self::TagChanged => "a survivor puts a tag of its own into the To of its responses",
            Self::MediaPortChanged => "a survivor's answers name another media port than the open one",
            Self::NewFieldToOldPeer => {
                "the heartbeats of an older standby claim that it can read all that the newer node writes"
            }
            Self::LeaseGrantedTwice => "the witness grants the lease though the other node has it",
            Self::AddressKeptWithoutLease => "a node that lost both peer and witness keeps the address",
            Self::RevisionNotCompared => {
                "a store shows the other node an old record, and writes a new one though it has changed meanwhile"
            }
            Self::ContentsBelieved => "one node's store says that it has every content that it is asked for",
            Self::NewestWins => "each edit claims to follow from what either node installed last",
            Self::RefusedTaken => "a shell finds nothing wrong with any folder",
            Self::NeighboursNotToldAfterHeal => "after a heal the node that stays tells no neighbour so",
            Self::TimeoutBelieved => {
                "what the other side of a split says of a call that both knew is lost, so that a hang-up by a timer holds"
            }
            Self::IsolatedTakesOver => "a standby whose cable is pulled does not hear that it has no carrier",
            Self::WokenKeepsAddress => "a machine that was paused keeps the address though the other one serves",
        }
    }

    fn plant(self) -> Box<dyn Plant> {
        match self {
            Self::OutputBeforeCommit => Box::new(commit::OutputBeforeCommit::default()),
            Self::CseqReused => Box::new(messages::CseqReused::default()),
            Self::ProvisionalNotSentAgain => Box::new(messages::ProvisionalNotSentAgain::default()),
            Self::RecordIdentityByWriter => Box::new(messages::RecordIdentityByWriter::default()),
            Self::StaleEpochAccepted => Box::new(messages::StaleEpochAccepted::default()),
            Self::ResyncWithoutChecksum => Box::new(resync::ResyncWithoutChecksum::default()),
            Self::RelaysSwapped => Box::new(relays::RelaysSwapped::default()),
            Self::FarewellIgnored => Box::new(Omitted::new(Omission::Farewell)),
            Self::NeighboursNotTold => Box::new(Omitted::new(Omission::Neighbours)),
            Self::RecordNotStored => Box::new(Omitted::new(Omission::Records)),
            Self::RecordForgottenEarly => Box::new(messages::RecordForgottenEarly::default()),
            Self::CallNotJournaled => Box::new(Omitted::new(Omission::JournalOfCalls)),
            Self::DeadlinesForgotten => Box::new(Omitted::new(Omission::Deadlines)),
            Self::PortsNotWarm => Box::new(Omitted::new(Omission::WarmPorts)),
            Self::HoldNotFollowed => Box::new(Omitted::new(Omission::PortUpdates)),
            Self::TagChanged => Box::new(messages::Reworded::new(messages::Word::Tag)),
            Self::MediaPortChanged => Box::new(messages::Reworded::new(messages::Word::MediaPort)),
            Self::NewFieldToOldPeer => Box::new(levels::NewFieldToOldPeer::default()),
            Self::LeaseGrantedTwice => Box::new(leases::GrantedTwice::default()),
            Self::AddressKeptWithoutLease => Box::new(leases::KeptWithoutLease::default()),
            Self::RevisionNotCompared => Box::new(leases::NotCompared::default()),
            Self::ContentsBelieved => Box::new(configuration::Misled::new(configuration::Lie::Contents)),
            Self::NewestWins => Box::new(configuration::Misled::new(configuration::Lie::Parent)),
            Self::RefusedTaken => Box::new(configuration::Misled::new(configuration::Lie::Check)),
            Self::NeighboursNotToldAfterHeal => Box::new(splits::NotToldAfterHeal::default()),
            Self::TimeoutBelieved => Box::new(splits::TimeoutBelieved::default()),
            Self::IsolatedTakesOver => Box::new(splits::IsolatedTakesOver::default()),
            Self::WokenKeepsAddress => Box::new(splits::WokenKeepsAddress::default()),
        }
    }

    /// Where it shows.
    fn stage(self) -> Stage {
        let (call, death) = match self {
            Self::OutputBeforeCommit | Self::ProvisionalNotSentAgain => (Reference::Answered, Death::Kill),
            Self::CseqReused => (Reference::CallerHangsUp, Death::Kill),
            Self::RecordIdentityByWriter => (Reference::Busy, Death::Kill),
            Self::StaleEpochAccepted => (Reference::Answered, Death::Cut),
            Self::ResyncWithoutChecksum => (Reference::Cancelled, Death::Cut),
            Self::RelaysSwapped => (Reference::TwoAtOnce, Death::Kill),
            Self::FarewellIgnored | Self::NeighboursNotTold => (Reference::CallerHangsUp, Death::Kill),
            Self::RecordNotStored | Self::RecordForgottenEarly | Self::NewFieldToOldPeer => {
                (Reference::Busy, Death::Kill)
            }
            Self::CallNotJournaled => (Reference::Answered, Death::Alone),
            Self::DeadlinesForgotten => (Reference::NoAnswer, Death::Kill),
            Self::HoldNotFollowed => (Reference::Held, Death::Kill),
            Self::LeaseGrantedTwice | Self::RevisionNotCompared => (Reference::CallerHangsUp, Death::LinksCut),
            Self::AddressKeptWithoutLease => (Reference::CallerHangsUp, Death::Isolated),
            Self::PortsNotWarm | Self::TagChanged | Self::MediaPortChanged => (Reference::Answered, Death::Kill),
            Self::ContentsBelieved | Self::NewestWins | Self::RefusedTaken => return Stage::Worlds,
            Self::IsolatedTakesOver => (Reference::CallerHangsUp, Death::StandbyCut),
            Self::WokenKeepsAddress => (Reference::CallerHangsUp, Death::Sleep),
            Self::NeighboursNotToldAfterHeal | Self::TimeoutBelieved => return Stage::Apart,
        };
        Stage::Call(call, death)
    }

    /// Plays its stage, and tells how often the fault was committed and caught.
    pub fn prove(self, seed: u64) -> Proof {
        let mut proof = Proof { planted: self, committed: 0, caught: 0, first: None };
        match self.stage() {
            Stage::Worlds => return self.prove_in_worlds(seed),
            Stage::Apart => {
                for seed in seed..seed + SPLITS {
                    proof.count(apart::run(None, None, seed, false, Some(self.plant())));
                }
            }
            Stage::Call(call, death) => {
                // Only in worlds of even seeds does a pulled cable tell.
                let seed = if self == Self::IsolatedTakesOver { 2 * seed } else { seed };
                let dry = exhaustive::run(call, death, None, seed, false, None);
                for point in exhaustive::crash_points(dry.actions, &dry.last_of_step) {
                    proof.count(exhaustive::run(call, death, Some(point), seed, false, Some(self.plant())));
                }
            }
        }
        proof
    }

    /// Lives through some random worlds, and tells the same.
    fn prove_in_worlds(self, seed: u64) -> Proof {
        let mut proof = Proof { planted: self, committed: 0, caught: 0, first: None };
        for number in 0..WORLDS {
            // Those in which both programs are the present one from the start.
            let world = seed + 1 + 4 * number + seed % 2;
            let options = chaos::Options { life_us: WORLD_US, ..chaos::Options::default() };
            let outcome = chaos::run(world, &options, Some(self.plant()));
            proof.committed += usize::from(outcome.planted > 0);
            if outcome.failure.is_some() && outcome.planted > 0 {
                proof.caught += 1;
                proof.first.get_or_insert(Outcome::of_world(outcome));
            }
        }
        proof
    }
}

/// Splits in which a fault that shows there is planted.
const SPLITS: u64 = 2;

/// Where a fault shows.
enum Stage {
    /// A reference call, with this death at every place of it.
    Call(Reference, Death),
    /// A split and its heal.
    Apart,
    /// People who edit the configuration while other things happen.
    Worlds,
}

impl Proof {
    fn count(&mut self, outcome: Outcome) {
        if outcome.planted == 0 {
            return;
        }
        self.committed += 1;
        if outcome.failure.is_some() {
            self.caught += 1;
            self.first.get_or_insert(outcome);
        }
    }
}
