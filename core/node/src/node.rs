//! The node: joins cluster, log and PBX, and keeps the order in which a step's effects may leave.

mod about;
mod absence;
mod cause;
mod configuration;
mod discarded;
mod drain;
mod guard;
mod level;
mod listing;
mod merge;
mod operator;
mod parts;
mod peer;
mod rebuild;
mod records;
mod resend;
mod roles;
mod slices;
mod tracks;
mod vrrp;

pub use records::RECORDS_KEPT_MAX;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use base::{ClusterTime, Incarnation, Level, LocalTime, Lsn, NodeIndex, Random};
use cluster::track::Tracks;
use cluster::vrrp::Router;
use cluster::{Cluster, Drain, Durable, Failback, ResumeActive, Role, Safeguards, Timing};
use pbx::call::CallNumber;
use pbx::configuration::Configuration;
use pbx::{Output as PbxOutput, Pbx};
use replication::{Delta, Key, Log, Peering};
use sip::transaction::Transmit;

pub(crate) use peer::HEARTBEAT;

use crate::action::{Action, Tell};
use crate::event::{Event, Now};
use crate::outbox::{Gate, Outbox};
use parts::bounded;

/// Bytes of entries after which a new journal is begun, so that reading it back stays short.
const JOURNAL_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What a node is, as the operator configured it.
#[derive(Clone)]
pub struct Settings {
    pub name: String,
    pub index: NodeIndex,
    pub priority: u8,
    /// Links to the peer; 0 for a node that is alone by design.
    pub links: u8,
    pub failback: Failback,
    pub timing: Timing,
    /// The parent kept the address for us: serve again at once.
    pub restart: Option<ResumeActive>,
    pub incarnation: Incarnation,
    /// The addresses that phones know us by; they move as one.
    pub service: pbx::Service,
    /// The pair's secret for nonces; both nodes have the same.
    pub secret: [u8; 32],
    /// What other routers of the link are told of us; `None` where there are none.
    pub vrrp: Option<cluster::vrrp::Settings>,
    /// What this program can read and writes at most: `Level::OWN`, or less where an older one is played.
    pub level: Level,
    /// What decides, besides heartbeats, how well this node can serve; `Event::Measured` counts from 0.
    pub tracks: Vec<cluster::track::Settings>,
    /// What keeps this node from being a second master.
    pub safeguards: Safeguards,
    /// Bytes per second of contents that are asked of the peer at most.
    pub bandwidth: u64,
    /// The store of call records is one that both nodes write to, so that one of them is enough.
    pub records_shared: bool,
    /// Finished records that the log carries while a store is away: `RECORDS_KEPT_MAX`.
    pub records_kept_max: usize,
}

/// What the disk remembers.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    pub log: Log,
    pub durable: Durable,
    /// Cluster time now, as far as the disk tells: the journal's last, and what has passed since within one boot.
    pub cluster_time: ClusterTime,
    /// The machine was started since the journal was written, so that only the wall clock tells how long ago that was.
    pub rebooted: bool,
}

pub struct Node {
    settings: Settings,
    cluster: Cluster,
    router: Option<Router>,
    tracks: Tracks,
    durable: Durable,
    log: Log,
    peering: Option<Peering>,
    peering_with: Incarnation,
    /// How often the conversation had begun anew when call records were last told of.
    restarts: u64,
    /// As standby: we have everything, as the cluster was told last.
    in_step: bool,
    /// The peer was told to take the role.
    handed_over: bool,
    pbx: Pbx,
    outbox: Outbox,
    journal_written: Lsn,
    journal_bytes: usize,
    /// The service address is ours in the present epoch.
    claimed: bool,
    /// The peer took too long to acknowledge; it is not waited for until it has caught up.
    lagging: bool,
    /// Phones prove that we serve although the peer is lost: our store may have what we made of our calls.
    stores_alone: bool,
    /// Nobody has a peer to wait for, and the disk takes too long; it is not waited for until it has caught up.
    journal_late: bool,
    /// Told when the peer last had everything.
    protection: Protection,
    resend: VecDeque<CallNumber>,
    resend_at: Option<LocalTime>,
    /// What we know is what the disk remembered, and nobody may have served since: the calls are to be asked for when we
    /// serve, unless another node tells us more.
    restored: bool,
    /// The store was replaced, and the PBX is on its way to what it says.
    rebuild: Option<rebuild::Rebuild>,
    discarded: discarded::Discarded,
    listings: listing::Listings,
    /// The log refused a change, so that the PBX has something else than the log says.
    unlogged: bool,
    /// The machine was started since the journal was written.
    rebooted: bool,
    /// What the peer, which stays after a split, has still to take over.
    offer: Option<merge::Offer>,
    /// As active: the part of the peer's offer that this step has taken in.
    orphans_taken: Option<u32>,
    repeated: merge::Repeated,
    intake: merge::Intake,
    /// Finished calls' records on their way into the stores.
    records: records::Records,
    stop_asked_by: Option<u64>,
    /// A stop waits so long for a peer that is catching up.
    stop_waits_until: Option<LocalTime>,
    acquaintance: about::Acquaintance,
    room: configuration::Room,
    /// The role as of the last step that the cluster had something to say in.
    role_told: Role,
    /// What the present step began with.
    trigger: cause::Trigger,
    /// Calls whose last messages the present takeover sends again.
    resending: usize,
    actions: Vec<Action>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Protection {
    on: bool,
    since: LocalTime,
    unprotected: Duration,
}

impl Node {
    /// A node as it starts: what it wants done at first comes with the first `handle`, which should be a `Timeout`
    /// at `now`.
    pub fn new(
        settings: Settings,
        configuration: Configuration,
        recovered: Recovered,
        mut random: Random,
        now: Now,
    ) -> Self {
        let cluster_settings = cluster::Settings {
            index: settings.index,
            name: settings.name.clone(),
            priority: settings.priority,
            has_peer: settings.links > 0,
            failback: settings.failback,
            timing: settings.timing,
            restart: settings.restart,
            level: settings.level,
            safeguards: settings.safeguards,
        };
        // Where the parent kept the address it was a moment only.
        let restored = settings.restart.is_none();
        let Recovered { log, durable, cluster_time, rebooted } = recovered;
        let mut cluster = Cluster::new(cluster_settings, durable, settings.incarnation, log.position(), now.local);
        cluster.observe(cluster_time.max(log.cluster_time()), now.local);
        let pbx_settings =
            pbx::Settings { service: settings.service.clone(), index: settings.index, secret: settings.secret };
        let seed = Random::from_seed(random.bytes());
        let pbx = Pbx::new(pbx_settings, Arc::new(configuration), seed);
        let journal_written = log.position().lsn;
        let room = configuration::Room::new(settings.bandwidth);
        let mut node = Self {
            router: settings.vrrp.clone().map(Router::new),
            tracks: Tracks::new(settings.tracks.clone()),
            settings,
            cluster,
            durable,
            log,
            peering: None,
            peering_with: Incarnation::default(),
            restarts: 0,
            in_step: false,
            handed_over: false,
            pbx,
            outbox: Outbox::default(),
            journal_written,
            journal_bytes: 0,
            claimed: false,
            lagging: false,
            stores_alone: false,
            journal_late: false,
            protection: Protection { since: now.local, ..Protection::default() },
            resend: VecDeque::new(),
            resend_at: None,
            restored,
            rebuild: None,
            discarded: Default::default(),
            listings: Default::default(),
            unlogged: false,
            rebooted,
            offer: None,
            orphans_taken: None,
            repeated: Default::default(),
            intake: Default::default(),
            records: records::Records::default(),
            stop_asked_by: None,
            stop_waits_until: None,
            role_told: Role::default(),
            acquaintance: about::Acquaintance::default(),
            room,
            trigger: cause::Trigger::default(),
            resending: 0,
            actions: Vec::new(),
        };
        node.pbx.set_levels(node.settings.level, node.level());
        node.pbx.set_closed(durable.drain == Drain::Calls);
        node.begin_rebuild();
        node.rebuild_whole(now);
        node
    }

    /// One step: the only door to the node.
    pub fn handle(&mut self, now: Now, event: Event) -> Vec<Action> {
        self.trigger = cause::Trigger::of(&event);
        self.room.touched = !configuration::is_traffic(&event);
        if !matches!(event, Event::Peer { .. } | Event::Farewell { .. } | Event::Witness { .. } | Event::Timeout) {
            self.watch_lapse(now);
        }
        match event {
            Event::Datagram { local, source, bytes } => {
                if self.takes_input() {
                    let time = self.pbx_now(now);
                    self.pbx.datagram(time, local, source, &bytes);
                    self.cluster.heard_phones(now.local);
                }
            }
            Event::MediaHeard => {
                if self.takes_input() {
                    self.cluster.heard_phones(now.local);
                }
            }
            Event::Peer { link, bytes } => self.peer_datagram(now, link, &bytes),
            Event::Farewell { incarnation } => {
                let outputs = self.cluster.farewell(now.local, incarnation);
                self.take_cluster_outputs(now, outputs);
            }
            Event::Timeout => self.timeout(now),
            Event::Claimed { epoch } => self.claimed(now, epoch),
            Event::JournalWritten { lsn } => self.journal_written = self.journal_written.max(lsn),
            Event::EpochReserved { epoch } => {
                let outputs = self.cluster.epoch_reserved(now.local, epoch);
                self.take_cluster_outputs(now, outputs);
            }
            Event::RecordsStored { identities } => self.records_stored_here(identities),
            Event::RecordsSpooled { identities } => self.records_spooled_here(identities),
            Event::StoreTold(state) => self.store_told(*state),
            Event::PbxLoaded { loaded, asked_by } => self.pbx_loaded(*loaded, asked_by),
            Event::Files(event) => self.files_event(now, event),
            Event::Learned { port, rtp, rtcp } => {
                if self.takes_input() {
                    self.pbx.learned(port, rtp, rtcp);
                }
            }
            Event::Carrier { up } => {
                let outputs = self.cluster.carrier(now.local, up);
                self.take_cluster_outputs(now, outputs);
                if up && self.cluster.role() == Role::Active {
                    // While we were unplugged a foreign router may have taken the address.
                    self.vrrp_serve(now);
                }
            }
            Event::Measured { track, measured } => self.measured(now, track, measured),
            Event::Vrrp { packet, bytes } => self.vrrp_received(now, packet, &bytes),
            Event::OwnAddress { address } => self.own_address(now, address),
            Event::Witness { bytes } => self.witness_answered(now, &bytes),
            Event::Fenced { number, done } => self.fenced(now, number, done),
            Event::Pings { pings } => self.pings_told(now, pings),
            Event::Asked { number, operator } => self.asked(now, number, operator),
        }
        self.finish(now);
        std::mem::take(&mut self.actions)
    }

    /// When `Event::Timeout` is wanted; in the past means at once.
    pub fn next_timeout(&self) -> Option<LocalTime> {
        let clock = self.cluster.clock();
        let pbx = if self.takes_input() { self.pbx.deadline().map(|due| clock.local_time(due)) } else { None };
        let hold = if self.claimed && !self.journal_late { self.outbox.deadline() } else { None };
        let peering = self.peering.as_ref().and_then(Peering::deadline);
        let router = self.router.as_ref().and_then(Router::deadline);
        let stop = self.stop_waits_until;
        let again = self.has_slices().then_some(LocalTime::ZERO);
        let first = [self.cluster.deadline(), pbx, hold, peering, self.resend_at, router, stop, again];
        self.configuration_deadline(first.into_iter().flatten().min())
    }

    pub fn role(&self) -> Role {
        self.cluster.role()
    }

    /// The role is what it is said to be; after a long sleep it is not, for a moment.
    pub fn is_certain(&self, now: LocalTime) -> bool {
        self.cluster.is_certain(now)
    }

    /// A death of this node now would lose nothing.
    pub fn is_protected(&self) -> bool {
        self.protection.on
    }

    pub fn epoch(&self) -> base::Epoch {
        self.cluster.epoch()
    }

    pub fn pbx(&self) -> &Pbx {
        &self.pbx
    }

    /// What our timers made of our calls stays void until we know that it is not we who are cut off. The next
    /// heartbeat's wake-up comes in time.
    fn watch_stores(&mut self, now: Now) {
        let stored_alone = std::mem::replace(&mut self.stores_alone, self.cluster.serves_alone(now.local));
        if self.stores_alone && !stored_alone {
            self.store_records_again();
        }
    }

    fn pbx_now(&self, now: Now) -> pbx::Now {
        pbx::Now { cluster: self.cluster.cluster_time(now.local), wall: now.wall }
    }

    /// Phones are listened to: we are active, and not just handing over.
    fn takes_input(&self) -> bool {
        self.cluster.role() == Role::Active && !self.cluster.is_handing_over()
    }

    fn timeout(&mut self, now: Now) {
        let outputs = self.cluster.timeout(now.local);
        self.take_cluster_outputs(now, outputs);
        self.vrrp_timeout(now);
        self.slices(now);
        if self.takes_input() {
            let time = self.pbx_now(now);
            self.pbx.timeout(time);
        }
        if self.resend_at.is_some_and(|at| at <= now.local) {
            self.resend_some(now);
        }
    }

    /// The end of every step: its changes go into the log, its words wait for the log, the peer is told.
    fn finish(&mut self, now: Now) {
        if self.configuration_is_due(now) {
            self.drive_configuration(now);
        }
        if self.cluster.role() == Role::Active {
            self.append_changes(now);
        }
        let lsn = self.log.position().lsn;
        for output in self.pbx.take_outputs() {
            self.take_pbx_output(now, lsn, output);
        }
        self.tell_taken();
        self.offer(now);
        self.tell_peer(now);
        self.watch_step(now);
        self.watch_protection(now);
        self.watch_stores(now);
        self.store_some_again();
        if self.claimed && self.durable.alone_since.is_none() && !self.waits_for_peer() {
            // What phones have said since the peer was last heard, it may not have.
            let peer = self.cluster.peer();
            let since = if peer.up { now.local } else { peer.heard_at };
            self.keep_alone_since(Some(self.cluster.cluster_time(since)));
        }
        let gate = self.gate();
        let acked = self.peer_acked();
        let mut released = self.outbox.release(gate, acked);
        if !self.may_store_records() {
            // They stay in the log, and are stored when a phone or the peer is heard.
            released.retain(|action| !matches!(action, Action::StoreRecord(_) | Action::SpoolRecord(_)));
        }
        self.actions.extend(released);
        self.stop_when_ready(now);
        if self.cluster.is_handing_over() {
            self.hand_over_when_ready(now);
        }
    }

    fn append_changes(&mut self, now: Now) {
        let changes = self.pbx.take_changes();
        let mut deltas = std::mem::take(&mut self.room.changes);
        if changes.is_empty() && deltas.is_empty() {
            return;
        }
        let of_pbx = |change: pbx::object::Change| Delta { key: Key::new(change.kind, change.id), value: change.value };
        deltas.extend(changes.into_iter().map(of_pbx));
        let cluster_time = self.cluster.cluster_time(now.local);
        for part in bounded(deltas) {
            match self.log.append(self.cluster.epoch(), part, cluster_time, now.wall) {
                Ok(entry) => {
                    let (position, bytes) = (entry.position, entry.encode());
                    self.journal(position, bytes);
                }
                Err(error) => {
                    self.unlogged = true;
                    self.actions.push(Action::Tell(Tell::Trouble(error.to_string())));
                }
            }
        }
        self.cluster.set_position(self.log.position());
    }

    fn journal(&mut self, position: base::Position, bytes: Vec<u8>) {
        if self.offer.is_some() {
            return;
        }
        self.journal_bytes += bytes.len();
        self.actions.push(Action::JournalAppend { position, bytes });
        if self.journal_bytes > JOURNAL_BYTES_MAX {
            self.checkpoint();
        }
    }

    fn checkpoint(&mut self) {
        self.journal_bytes = 0;
        self.actions.push(Action::JournalCheckpoint(Box::new(self.log.checkpoint())));
    }

    fn take_pbx_output(&mut self, now: Now, lsn: Lsn, output: PbxOutput) {
        let action = match output {
            PbxOutput::Send(Transmit { local, destination, bytes }) => Action::Send { local, destination, bytes },
            PbxOutput::Record(record) => match self.record_action(record) {
                Some(action) => action,
                None => return,
            },
            PbxOutput::OpenPort(port) => return self.actions.push(Action::OpenPort(port)),
            PbxOutput::UpdatePort(port) => return self.actions.push(Action::UpdatePort(port)),
            PbxOutput::ClosePort(port) => return self.actions.push(Action::ClosePort(port)),
            PbxOutput::Trouble(text) => return self.actions.push(Action::Tell(Tell::Trouble(text))),
        };
        if self.cluster.role() == Role::Active {
            self.outbox.hold(lsn, now.local, action);
        } else if matches!(action, Action::StoreRecord(_) | Action::SpoolRecord(_))
            && self.cluster.role() == Role::Standby
        {
            // What our own disk remembers may be void: a node that has just started waits for its leader's word.
            self.actions.push(action);
        }
    }

    fn gate(&self) -> Gate {
        if !self.claimed {
            Gate::Closed
        } else if self.waits_for_peer() {
            Gate::Peer { acked: self.peer_acked() }
        } else if self.journal_late {
            Gate::Open
        } else {
            Gate::Journal { written: self.journal_written }
        }
    }

    /// There is a peer in step, so that nothing leaves before it has it.
    fn waits_for_peer(&self) -> bool {
        self.cluster.role() == Role::Active && !self.lagging && self.follower_in_step()
    }

    fn follower_in_step(&self) -> bool {
        self.cluster.peer().up
            && self.peering.as_ref().is_some_and(|peering| {
                let session = peering.session();
                session.role() == replication::SessionRole::Leader && session.in_step()
            })
    }

    fn peer_acked(&self) -> Lsn {
        match &self.peering {
            Some(peering) if self.follower_in_step() => peering.session().acked().lsn,
            _ => Lsn::ZERO,
        }
    }

    /// Notices whether the peer has everything, and gives up waiting for one, or for a disk, that takes too long.
    fn watch_protection(&mut self, now: Now) {
        let acked = self.peer_acked();
        let position = self.log.position().lsn;
        self.lagging &= acked < position;
        self.journal_late &= self.journal_written < position;
        if self.claimed && self.outbox.deadline().is_some_and(|deadline| deadline <= now.local) {
            match self.gate() {
                Gate::Peer { acked } if acked < position => self.lagging = true,
                Gate::Journal { written } if written < position => self.journal_late = true,
                _ => {}
            }
        }
        let on = match self.cluster.role() {
            Role::Active => self.waits_for_peer() && self.outbox.peer_has_all(acked),
            Role::Standby => self.cluster.peer().up && self.standby_in_step(),
            Role::Starting => false,
        };
        let on = on && self.standby_may_serve();
        if on != self.protection.on {
            self.protection_changed(now, on);
        }
    }

    fn protection_changed(&mut self, now: Now, on: bool) {
        let lasted = now.local.since(self.protection.since);
        if on {
            self.protection.unprotected += lasted;
            self.keep_alone_since(None);
            self.actions.push(Action::Tell(Tell::Protected { unprotected: lasted }));
            self.store_records_again();
            self.end_intake();
        } else {
            self.actions.push(Action::Tell(Tell::Unprotected { cause: self.unprotected_because() }));
        }
        self.protection.on = on;
        self.protection.since = now.local;
        if self.cluster.role() == Role::Active {
            let outputs = self.cluster.follower_in_step(now.local, on);
            self.take_cluster_outputs(now, outputs);
        }
    }

    /// It is on the disk, so that a node that dies before the peer has taken over what it did alone can still tell what
    /// that is.
    fn keep_alone_since(&mut self, since: Option<ClusterTime>) {
        if self.durable.alone_since != since {
            self.durable.alone_since = since;
            self.actions.push(Action::KeepDurable(self.durable));
        }
    }

    /// Tells the cluster whether this standby has everything, whoever is heard just now.
    fn watch_step(&mut self, now: Now) {
        let in_step = self.cluster.role() == Role::Standby && self.standby_in_step();
        if in_step != self.in_step {
            self.in_step = in_step;
            if self.cluster.role() == Role::Standby {
                let outputs = self.cluster.synced(now.local, in_step);
                self.take_cluster_outputs(now, outputs);
            }
        }
    }

    /// As standby: snapshots arrived again and again and did not match what the active node announced.
    fn has_given_up(&self) -> bool {
        self.peering.as_ref().is_some_and(|peering| peering.session().has_given_up())
    }

    fn unprotected_because(&self) -> &'static str {
        let peer = self.cluster.peer();
        match (self.settings.links, peer.up) {
            (0, _) => "this node has no peer",
            (_, false) if peer.drain.is_on() => "the peer is drained and down",
            (_, false) => "the peer is down",
            _ if !self.peer_can_read() => "the peer's program is too old for this one: upgrade it",
            _ if !self.standby_may_serve() => "the node that stands by is drained for good",
            _ if self.lagging => "the peer does not keep up",
            _ if self.has_given_up() => "the two nodes keep differing; restart the standby",
            _ if self.cluster.role() == Role::Starting => "starting",
            _ => "the peer is catching up",
        }
    }
}

#[cfg(test)]
mod tests;
