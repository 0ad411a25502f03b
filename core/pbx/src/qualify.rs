//! Qualify: probes contacts with OPTIONS, so that people see which phones can be reached, and NATs stay open.
//!
//! What it finds is not replicated: a node that takes over asks again.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use base::{ClusterTime, Random};
use sip::transaction::{NonInviteClient, Output as Said, Transmit};
use sip::{Fields, Headers, Method, Request, Response, Uri, Via};

use crate::registrar::{Binding, BindingKey};

/// Whether a contact answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reachability {
    #[default]
    Unknown,
    Reachable {
        round_trip: Duration,
    },
    Unreachable,
}

#[derive(Clone, Debug, PartialEq)]
struct Probe {
    interval: Duration,
    due: ClusterTime,
    sent: ClusterTime,
    client: Option<NonInviteClient>,
    found: Reachability,
}

/// The probes of all contacts that are to be watched.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Qualify {
    probes: BTreeMap<BindingKey, Probe>,
    deadlines: BTreeSet<(ClusterTime, BindingKey)>,
    branches: BTreeMap<String, BindingKey>,
}

impl Probe {
    fn deadline(&self) -> ClusterTime {
        self.client.as_ref().and_then(NonInviteClient::deadline).unwrap_or(self.due)
    }
}

impl Qualify {
    /// Watches a contact from now on, its first probe somewhere within one interval.
    pub fn watch(&mut self, key: &BindingKey, interval: Duration, now: ClusterTime, random: &mut Random) {
        if self.probes.get(key).is_some_and(|probe| probe.interval == interval) {
            return;
        }
        self.forget(key);
        let within = random.below(interval.as_micros() as u64);
        let due = now + Duration::from_micros(within);
        let probe = Probe { interval, due, sent: now, client: None, found: Reachability::Unknown };
        self.deadlines.insert((due, key.clone()));
        self.probes.insert(key.clone(), probe);
    }

    pub fn forget(&mut self, key: &BindingKey) {
        if let Some(probe) = self.probes.remove(key) {
            self.deadlines.remove(&(probe.deadline(), key.clone()));
            if let Some(client) = &probe.client {
                self.branches.remove(client.branch());
            }
        }
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }

    pub fn found(&self, key: &BindingKey) -> Reachability {
        self.probes.get(key).map(|probe| probe.found).unwrap_or_default()
    }

    pub fn deadline(&self) -> Option<ClusterTime> {
        self.deadlines.first().map(|(due, _)| *due)
    }

    /// The contact whose probe is due, if any.
    pub fn due(&self, now: ClusterTime) -> Option<BindingKey> {
        self.deadlines.first().filter(|(due, _)| *due <= now).map(|(_, key)| key.clone())
    }

    /// Sends a probe, or goes on with the one under way.
    pub fn probe(
        &mut self,
        binding: &Binding,
        service: SocketAddr,
        now: ClusterTime,
        random: &mut Random,
    ) -> Vec<Transmit> {
        let Some(mut probe) = self.take(&binding.key) else { return Vec::new() };
        let mut said = Vec::new();
        match probe.client.as_mut() {
            Some(client) => client.timeout(now, &mut said),
            None => {
                let request = options(binding, service, random);
                probe.client =
                    request.map(|it| NonInviteClient::start(&it, binding.local, binding.source, now, &mut said));
                probe.sent = now;
                probe.due = now + probe.interval;
            }
        }
        if said.iter().any(|output| matches!(output, Said::TimedOut)) {
            probe.found = Reachability::Unreachable;
        }
        self.put(&binding.key, probe, now);
        said.into_iter()
            .filter_map(|output| match output {
                Said::Send(transmit) => Some(transmit),
                _ => None,
            })
            .collect()
    }

    /// Any response to a probe proves that the contact is there. False when it answers no probe.
    pub fn response(&mut self, response: &Response, now: ClusterTime) -> bool {
        let Some(branch) = response.top_via().ok().and_then(|via| via.branch().map(str::to_owned)) else {
            return false;
        };
        let Some(key) = self.branches.get(&branch).cloned() else { return false };
        let Some(mut probe) = self.take(&key) else { return false };
        probe.found = Reachability::Reachable { round_trip: now.since(probe.sent) };
        probe.client = None;
        self.put(&key, probe, now);
        true
    }

    fn take(&mut self, key: &BindingKey) -> Option<Probe> {
        let probe = self.probes.remove(key)?;
        self.deadlines.remove(&(probe.deadline(), key.clone()));
        if let Some(client) = &probe.client {
            self.branches.remove(client.branch());
        }
        Some(probe)
    }

    fn put(&mut self, key: &BindingKey, mut probe: Probe, now: ClusterTime) {
        probe.client.take_if(|client| client.is_terminated());
        if probe.client.is_none() && probe.due <= now {
            probe.due = now + probe.interval;
        }
        if let Some(client) = &probe.client {
            self.branches.insert(client.branch().to_owned(), key.clone());
        }
        self.deadlines.insert((probe.deadline(), key.clone()));
        self.probes.insert(key.clone(), probe);
    }
}

fn options(binding: &Binding, service: SocketAddr, random: &mut Random) -> Option<Request> {
    let uri = Uri::parse(&binding.key.contact).ok()?;
    let host = crate::call::host_text(service);
    let mut headers = Headers::default();
    let via = Via::udp(binding.local, &format!("z9hG4bK{}", random.hex::<8>()));
    headers.push("Via", via.to_string());
    headers.push("Max-Forwards", "70");
    headers.push("From", format!("<sip:tandem@{host}>;tag={}", random.hex::<6>()));
    headers.push("To", format!("<{uri}>"));
    headers.push("Call-ID", format!("{}@{host}", random.hex::<12>()));
    headers.push("CSeq", "1 OPTIONS");
    headers.push("Contact", format!("<sip:tandem@{host}:{}>", binding.local.port()));
    Some(Request { method: Method::Options, uri, headers, body: Vec::new() })
}
