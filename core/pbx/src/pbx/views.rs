//! What people see of the PBX: its phones and its calls.

use std::ops::Bound;
use std::time::Duration;

use base::WallTime;

use super::{Now, Pbx};
use crate::call::{Call, CallNumber, LegState, Progress};
use crate::qualify::Reachability;
use crate::registrar::{Binding, BindingKey};

/// A registered contact.
#[derive(Clone, Debug, PartialEq)]
pub struct PhoneView {
    pub endpoint: String,
    pub contact: String,
    pub source: std::net::SocketAddr,
    pub user_agent: String,
    pub registered: WallTime,
    pub expires_in: Duration,
    pub reachability: Reachability,
}

/// A call in progress.
#[derive(Clone, Debug, PartialEq)]
pub struct CallView {
    pub number: u64,
    pub identity: String,
    pub source: String,
    pub destination: String,
    /// `ringing`, `talking`, `held`, `echo`, `waiting`, `dialing`.
    pub state: &'static str,
    pub started: WallTime,
    pub age: Duration,
    /// Since the answer.
    pub talked: Option<Duration>,
}

impl Pbx {
    pub fn registrations(&self) -> usize {
        self.registrar.len()
    }

    /// Calls that have not ended.
    pub fn calls_live(&self) -> usize {
        self.calls.values().filter(|call| !call.is_ended()).count()
    }

    /// The next so many contacts after this one, and the last of them, from which to go on; `None` when that was all.
    pub fn phone_views(
        &self,
        now: Now,
        after: Option<&BindingKey>,
        count: usize,
    ) -> (Vec<PhoneView>, Option<BindingKey>) {
        let view = |binding: &Binding| PhoneView {
            endpoint: binding.key.aor.clone(),
            contact: binding.key.contact.clone(),
            source: binding.source,
            user_agent: binding.user_agent.clone(),
            registered: binding.registered,
            expires_in: binding.expires.since(now.cluster),
            reachability: self.qualify.found(&binding.key),
        };
        let bindings: Vec<&Binding> = self.registrar.after(after).take(count).collect();
        let last = bindings.last().filter(|_| bindings.len() == count).map(|binding| binding.key.clone());
        (bindings.into_iter().map(view).collect(), last)
    }

    /// Of the next so many calls after this one those that have not ended, and the last one that was looked at;
    /// `None` when that was all.
    pub fn call_views(&self, now: Now, after: Option<CallNumber>, count: usize) -> (Vec<CallView>, Option<CallNumber>) {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let calls: Vec<_> = self.calls.range((from, Bound::Unbounded)).take(count).collect();
        let last = calls.last().filter(|_| calls.len() == count).map(|(number, _)| **number);
        let live = calls.into_iter().map(|(_, call)| call).filter(|call| !call.is_ended());
        (live.map(|call| call_view(call, now)).collect(), last)
    }

    /// The on-link parties that must be told when the address has moved: everybody whom a live call sends to.
    pub fn parties(&self) -> Vec<std::net::IpAddr> {
        self.parties.keys().copied().collect()
    }
}

fn call_view(call: &Call, now: Now) -> CallView {
    let held = call.legs().any(|(_, leg)| leg.held && leg.state == LegState::Answered);
    let ringing = call.callees.iter().any(|leg| leg.state == LegState::Ringing);
    let state = match call.progress {
        Progress::Bridged { .. } if held => "held",
        Progress::Bridged { .. } => "talking",
        Progress::Dialing { .. } if ringing => "ringing",
        Progress::Dialing { .. } => "dialing",
        Progress::Echoing => "echo",
        Progress::Waiting { .. } | Progress::Indicating { .. } | Progress::Running => "waiting",
        Progress::Ended { .. } => "ended",
    };
    CallView {
        number: call.number.0,
        identity: call.record.identity.clone(),
        source: call.record.source.clone(),
        destination: call.record.destination.clone(),
        state,
        started: call.record.started.wall,
        age: now.cluster.since(call.record.started.cluster),
        talked: call.record.answered.map(|answered| now.cluster.since(answered.cluster)),
    }
}
