//! What is going to happen, in the order of virtual time. Equal times keep the order in which they were scheduled, so
//! that a run depends on nothing but its seed.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use node::base::{Epoch, Incarnation};
use node::cluster::Durable;
use node::cluster::witness::deputy::{Reading, Request};
use node::media::relay::Learned;
use node::pbx::record::Record;

/// One thing that happens to the world at one instant.
#[derive(Clone, Debug)]
pub enum Happening {
    /// A datagram from a phone has reached the switch and is looking for the service address.
    ToService {
        local_port: u16,
        source: SocketAddr,
        bytes: Vec<u8>,
    },
    /// A datagram has reached a phone's SIP port.
    ToPhone {
        phone: usize,
        source: SocketAddr,
        bytes: Vec<u8>,
    },
    /// A datagram has reached a phone's RTP port.
    MediaToPhone {
        phone: usize,
        bytes: Vec<u8>,
    },
    /// A datagram of the peer has reached this machine.
    ToPeer {
        machine: usize,
        link: u8,
        bytes: Vec<u8>,
    },
    /// This machine's ask has reached the witness.
    ToWitness {
        machine: usize,
        bytes: Vec<u8>,
    },
    /// The witness's answer has reached this machine.
    FromWitness {
        machine: usize,
        bytes: Vec<u8>,
    },
    /// A request of this machine's deputy has reached the store that is the witness, and is carried out.
    ToStore {
        machine: usize,
        life: u64,
        request: Box<Request>,
    },
    /// The store's answer to it has reached this machine.
    FromStore {
        machine: usize,
        life: u64,
        number: u64,
        reading: Box<Reading>,
    },
    /// The daemon does not wait for it any longer.
    StoreSilent {
        machine: usize,
        life: u64,
        number: u64,
    },
    /// The fencing program of this machine does what it does.
    FencingEnds {
        machine: usize,
        life: u64,
        number: u64,
    },
    /// The links between the nodes work again, and everybody reaches the witness.
    Joined,
    WitnessStarts,
    /// A farewell of the peer's parent has reached this machine.
    Farewell {
        machine: usize,
        incarnation: Incarnation,
    },
    /// The parent says farewell for a daemon that has died, once more.
    SayFarewell {
        machine: usize,
        boot: u64,
        incarnation: Incarnation,
    },
    /// A node's deadline.
    NodeTimer {
        machine: usize,
        life: u64,
    },
    /// The disk has finished the oldest write of the journal.
    JournalDone {
        machine: usize,
        life: u64,
    },
    /// The disk has synced what the journal had written when the sync began.
    JournalSynced {
        machine: usize,
        boot: u64,
        entries: usize,
        generation: u64,
    },
    DurableKept {
        machine: usize,
        life: u64,
        durable: Durable,
    },
    RecordStored {
        machine: usize,
        life: u64,
        queue: u64,
        record: Box<Record>,
    },
    RecordTaken {
        machine: usize,
        record: Box<Record>,
    },
    RecordSpooled {
        machine: usize,
        life: u64,
        record: Box<Record>,
    },
    SpoolStored {
        machine: usize,
        life: u64,
    },
    AddressAdded {
        machine: usize,
        life: u64,
        epoch: Epoch,
    },
    /// A kept address of a dead daemon runs out of its lease, unless it was claimed again.
    LeaseOver {
        machine: usize,
        boot: u64,
        claim: Epoch,
    },
    PbxRead {
        machine: usize,
        life: u64,
        asked_by: Option<u64>,
    },
    /// The worker for files has done what it was at.
    FilesWork {
        machine: usize,
        life: u64,
    },
    /// The daemon notices that the folder has changed, or looks again.
    FolderLook {
        machine: usize,
        life: u64,
        asked_by: Option<u64>,
    },
    MediaLearned {
        machine: usize,
        life: u64,
        learned: Learned,
    },
    /// The parent judges whether a daemon that stood still at this time still does.
    StallJudged {
        machine: usize,
        life: u64,
        since_us: u64,
    },
    /// A daemon, or its whole machine, that stood still runs again.
    GoesOn {
        machine: usize,
        boot: u64,
    },
    /// The parent process learns that its daemon is dead.
    DeathNoticed {
        machine: usize,
        boot: u64,
    },
    StartDaemon {
        machine: usize,
        boot: u64,
        resume: Option<Epoch>,
    },
    /// The machine loses its power for so long, after it was the only one for `alone_us`.
    PowerFails {
        machine: usize,
        off_us: u64,
        alone_us: u64,
    },
    /// The machine's power is back.
    Boot {
        machine: usize,
    },
    Carrier {
        machine: usize,
        life: u64,
        up: bool,
    },
    PlugIn {
        machine: usize,
    },
    PhoneTimer {
        phone: usize,
        at_us: u64,
    },
    AudioTick {
        phone: usize,
    },
    /// The checkers look at everything that lasts.
    Sweep,
}

/// What is to happen, by when and in the order in which it was decided.
#[derive(Default)]
pub struct Queue {
    scheduled: BTreeMap<(u64, u64), Happening>,
    sequence: u64,
}

impl Queue {
    pub fn push(&mut self, at_us: u64, happening: Happening) {
        self.sequence += 1;
        self.scheduled.insert((at_us, self.sequence), happening);
    }

    /// The next thing that happens not later than `until_us`, and when.
    pub fn pop(&mut self, until_us: u64) -> Option<(u64, Happening)> {
        let first = self.scheduled.first_entry().filter(|first| first.key().0 <= until_us)?;
        let ((at_us, _), happening) = first.remove_entry();
        Some((at_us, happening))
    }
}

#[cfg(test)]
mod tests;
