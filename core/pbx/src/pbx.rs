//! The PBX of one node: where datagrams come in, and what of it belongs in the log.
//!
//! It owns the registrations, the calls and the finished records, and the indexes over them. The active node feeds it
//! datagrams and timers; the standby feeds it the other's changes, which keep the indexes and media ports warm.

mod apply;
mod merge;
mod requests;
mod settle;
mod views;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use base::{ClusterTime, Level, Lower, NodeIndex, Random, WallTime};
use media::relay::Port;
use sip::transaction::Transmit;
use sip::{Fields, Message};

use crate::authentication::Authenticator;
use crate::call::{Call, CallKey, CallNumber, PortNumbers, Side};
use crate::configuration::Configuration;
use crate::object::{Change, Key, encode};
use crate::qualify::Qualify;
use crate::record::Record;
use crate::registrar::{BindingKey, Registrar};
use crate::service::Service;

pub use merge::{Invites, Merged, Version, was_made_since, was_said_since};
pub use views::{CallView, PhoneView};

/// What the PBX needs to know besides the files.
#[derive(Clone)]
pub struct Settings {
    /// The addresses that phones know us by.
    pub service: Service,
    pub index: NodeIndex,
    /// The pair's secret for nonces; both nodes have the same.
    pub secret: [u8; 32],
}

/// What the PBX wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    Send(Transmit),
    OpenPort(Port),
    UpdatePort(Port),
    ClosePort(u16),
    /// A call has ended: its record belongs in this node's store.
    Record(Box<Record>),
    /// Something that a person should know and no phone is told.
    Trouble(String),
}

/// Calls whose timers are served in one step; the others follow in the next, so that no step is long.
const CALLS_DUE_MAX: usize = 64;

/// Registrations that end in one step, contacts that are probed, and contacts of which it is found out whether they are to
/// be. After a night without power all of them may be due at once.
const EXPIRED_MAX: usize = 64;
const PROBES_MAX: usize = 32;
const WATCHED_MAX: usize = 128;

/// How long calls of a node that served beside us are waited for: several of a phone's own retransmissions, and much
/// less than the 32 s in which it gives up (RFC 3261 17.1.2.2, timer F).
const ORPHANS_WAIT: Duration = Duration::from_secs(3);

/// Both kinds of now, the same through one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    pub cluster: ClusterTime,
    pub wall: WallTime,
}

pub struct Pbx {
    settings: Settings,
    configuration: Arc<Configuration>,
    authenticator: Authenticator,
    registrar: Registrar,
    calls: BTreeMap<CallNumber, Call>,
    records: BTreeMap<String, Record>,
    indexed: BTreeMap<CallNumber, Indexed>,
    keys: BTreeMap<CallKey, (CallNumber, Side)>,
    /// Whom live calls send to, and how many of them do.
    parties: BTreeMap<IpAddr, usize>,
    /// Which call has this media port.
    holders: BTreeMap<u16, CallNumber>,
    deadlines: BTreeSet<(ClusterTime, CallNumber)>,
    last_number: CallNumber,
    port_numbers: PortNumbers,
    qualify: Qualify,
    /// The contacts after this one are still to be looked at, whether they are to be probed.
    unwatched: Option<Option<BindingKey>>,
    /// What this node can read, and what it writes: no more than its peer can read.
    own_level: Level,
    level: Level,
    /// No new calls are taken: an operator wants those that there are to come to an end.
    closed: bool,
    /// Until then calls of the other node may still come, so that nobody is told that there is no such call.
    patient_until: ClusterTime,
    random: Random,
    changed: BTreeSet<Key>,
    outputs: Vec<Output>,
}

/// What the indexes hold of one call, to take it out again.
#[derive(Clone, Debug, Default)]
struct Indexed {
    keys: Vec<CallKey>,
    deadline: Option<ClusterTime>,
    ports: Vec<Port>,
    parties: Vec<IpAddr>,
}

impl Pbx {
    pub fn new(settings: Settings, configuration: Arc<Configuration>, random: Random) -> Self {
        let general = &configuration.general;
        let port_numbers = PortNumbers::new(general.rtp_port_start, general.rtp_port_end, settings.index);
        Self {
            authenticator: Authenticator::new(settings.secret),
            settings,
            configuration,
            registrar: Registrar::default(),
            calls: BTreeMap::new(),
            records: BTreeMap::new(),
            indexed: BTreeMap::new(),
            keys: BTreeMap::new(),
            parties: BTreeMap::new(),
            holders: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            last_number: CallNumber::default(),
            port_numbers,
            qualify: Qualify::default(),
            unwatched: None,
            own_level: Level::OWN,
            level: Level::OWN,
            closed: false,
            patient_until: ClusterTime::default(),
            random,
            changed: BTreeSet::new(),
            outputs: Vec::new(),
        }
    }

    /// What this node can read of the log, and what the pair writes from now on. Where that is less than before, what
    /// the peer cannot read is put away.
    pub fn set_levels(&mut self, own: Level, pair: Level) {
        self.own_level = own;
        let falls = pair < self.level;
        self.level = pair;
        if falls {
            let calls =
                self.calls.iter_mut().filter_map(|(number, call)| call.lower(pair).then_some(Key::Call(*number)));
            self.changed.extend(calls);
            let records = self.records.iter_mut();
            let records = records.filter_map(|(id, record)| record.lower(pair).then(|| Key::Record(id.clone())));
            self.changed.extend(records);
        }
    }

    /// What the pair writes: ask it before anything is made that has no lesser form.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Whether new calls are refused; those that there are go on.
    pub fn set_closed(&mut self, closed: bool) {
        self.closed = closed;
    }

    pub fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    /// Takes new files for all calls from now on; those in progress keep their place in the dialplan. Returns what held
    /// before, which is large.
    pub fn reconfigure(&mut self, configuration: Arc<Configuration>) -> Arc<Configuration> {
        self.watch_contacts();
        std::mem::replace(&mut self.configuration, configuration)
    }

    /// A datagram from a phone, or whoever sends us one.
    pub fn datagram(&mut self, now: Now, local: SocketAddr, source: SocketAddr, bytes: &[u8]) {
        match Message::parse(bytes) {
            Ok(Message::Request(mut request)) => {
                request.stamp_received(source);
                self.request(now, local, source, &request);
            }
            Ok(Message::Response(response)) => self.response(now, &response),
            Err(error) => {
                if let Some((request, status)) = error.refused() {
                    let response = request.respond(status, "", Some(&self.authenticator.tag(request)));
                    let destination = sip::response_destination(request, source);
                    self.outputs.push(Output::Send(Transmit { local, destination, bytes: response.to_bytes() }));
                }
            }
        }
    }

    fn response(&mut self, now: Now, response: &sip::Response) {
        if self.qualify.response(response, now.cluster) {
            return;
        }
        let Ok(from) = response.from() else { return };
        let key = CallKey::Dialog {
            call_id: response.call_id().to_owned(),
            local_tag: from.tag().unwrap_or_default().to_owned(),
        };
        let Some((number, side)) = self.keys.get(&key).copied() else { return };
        self.with_call(now, number, |call, step| call.response(step, side, response));
    }

    /// Does everything that is due.
    pub fn timeout(&mut self, now: Now) {
        for _ in 0..CALLS_DUE_MAX {
            let due = self.deadlines.first().filter(|(due, _)| *due <= now.cluster).copied();
            let Some((_, number)) = due else { break };
            self.with_call(now, number, |call, step| call.timeout(step));
        }
        for key in self.registrar.expired(now.cluster, EXPIRED_MAX) {
            self.registrar.remove(&key);
            self.qualify.forget(&key);
            self.changed.insert(Key::Binding(key));
        }
        self.watch_some(now);
        for _ in 0..PROBES_MAX {
            let Some(key) = self.qualify.due(now.cluster) else { break };
            self.probe(now, &key);
        }
    }

    fn probe(&mut self, now: Now, key: &BindingKey) {
        let Some(binding) = self.registrar.binding(key) else { return self.qualify.forget(key) };
        let service = SocketAddr::new(self.settings.service.of(binding.local.ip()), binding.local.port());
        let sends = self.qualify.probe(binding, service, now.cluster, &mut self.random);
        self.outputs.extend(sends.into_iter().map(Output::Send));
    }

    /// The next instant at which something is due.
    pub fn deadline(&self) -> Option<ClusterTime> {
        let call = self.deadlines.first().map(|(due, _)| *due);
        let watch = self.unwatched.is_some().then_some(ClusterTime::ZERO);
        [call, self.registrar.deadline(), self.qualify.deadline(), watch].into_iter().flatten().min()
    }

    /// Where a leg's media really comes from.
    pub fn learned(&mut self, port: u16, rtp: Option<SocketAddr>, rtcp: Option<SocketAddr>) {
        let Some(number) = self.holders.get(&port).copied() else { return };
        if self.calls.get_mut(&number).is_some_and(|call| call.learn(port, rtp, rtcp)) {
            self.changed.insert(Key::Call(number));
            self.index(number, None);
        }
    }

    /// This node serves from now on. Returns the calls whose last messages are to be sent again (see `resend`).
    pub fn take_over(&mut self) -> Vec<CallNumber> {
        self.watch_contacts();
        self.calls.keys().copied().collect()
    }

    /// The last message of every live transaction of a call: the other node may have died between the log's
    /// acknowledgement and the wire.
    pub fn resend(&self, number: CallNumber) -> Vec<Transmit> {
        self.calls.get(&number).map(Call::resend).unwrap_or_default()
    }

    /// Nobody has served for a while: whoever was in this call is asked whether he still is, and a call that nobody is in
    /// ends.
    pub fn probe_call(&mut self, now: Now, number: CallNumber, reign: u64) {
        self.with_call(now, number, |call, step| call.probe(step, reign));
    }

    /// The other node served as well until now, and what it did is about to come. A phone that speaks of a call which is
    /// not here says it again.
    pub fn expect_orphans(&mut self, now: Now) {
        self.patient_until = now.cluster + ORPHANS_WAIT;
    }

    fn is_patient(&self, now: Now) -> bool {
        now.cluster < self.patient_until
    }

    /// This node serves no more: soft state goes. Returns what it has changed since `take_changes`, which is void.
    pub fn stand_by(&mut self) -> Vec<Key> {
        self.qualify.clear();
        self.unwatched = None;
        self.outputs.clear();
        std::mem::take(&mut self.changed).into_iter().collect()
    }

    /// A finished call's record is in every store and may leave the log.
    pub fn forget_record(&mut self, identity: &str) {
        if self.records.remove(identity).is_some() {
            self.changed.insert(Key::Record(identity.to_owned()));
        }
    }

    pub fn has_record(&self, identity: &str) -> bool {
        self.records.contains_key(identity)
    }

    /// The finished records that some store may still lack.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.values()
    }

    /// Those from an identity on, in the order of identities.
    pub fn records_after(&self, identity: Bound<String>) -> impl Iterator<Item = &Record> {
        self.records.range((identity, Bound::Unbounded)).map(|(_, record)| record)
    }

    pub fn records_count(&self) -> usize {
        self.records.len()
    }

    pub fn take_outputs(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.outputs)
    }

    /// The objects that changed since the last call, for the log.
    pub fn take_changes(&mut self) -> Vec<Change> {
        let changed = std::mem::take(&mut self.changed);
        changed.into_iter().map(|key| Change { kind: key.kind(), id: key.id(), value: self.value(&key) }).collect()
    }

    /// An object as the log has it: no newer than the pair's level, here as well as there.
    fn value(&mut self, key: &Key) -> Option<Vec<u8>> {
        fn lowered<T: Lower + minicbor::Encode<()>>(object: &mut T, level: Level) -> Vec<u8> {
            object.lower(level);
            encode(object)
        }
        let level = self.level;
        match key {
            Key::Binding(key) => {
                self.registrar.lower(key, level);
                self.registrar.binding(key).map(encode)
            }
            Key::Call(number) => self.calls.get_mut(number).map(|call| lowered(call, level)),
            Key::Record(identity) => self.records.get_mut(identity).map(|record| lowered(record, level)),
        }
    }

    /// Which contacts are to be probed is found out again, some of them with each timeout.
    fn watch_contacts(&mut self) {
        self.unwatched = Some(None);
    }

    fn watch_some(&mut self, now: Now) {
        let Some(after) = self.unwatched.take() else { return };
        let keys = self.registrar.keys_after(after.as_ref(), WATCHED_MAX);
        for key in &keys {
            self.watch_contact(now, key);
        }
        self.unwatched = keys.into_iter().last().map(Some);
    }

    fn watch_contact(&mut self, now: Now, key: &BindingKey) {
        let interval = self.configuration.endpoint_of_aor(&key.aor).and_then(|endpoint| endpoint.qualify);
        match interval {
            Some(interval) if self.registrar.binding(key).is_some() => {
                self.qualify.watch(key, interval, now.cluster, &mut self.random);
            }
            _ => self.qualify.forget(key),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
