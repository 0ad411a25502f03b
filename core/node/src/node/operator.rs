//! What operators ask, answered.

use std::sync::Arc;
use std::time::Duration;

use base::LocalTime;
use cluster::{Role, SwitchOverRefused};
use pbx::configuration::Loaded;

use super::Node;
use crate::action::Action;
use crate::event::{Now, Operator};
use crate::files::ConfigRequest;
use crate::status::{Answer, PeerLine, Status};

/// How long a node that is to stop waits for a peer that is catching up: less than its parent waits for it.
const STOP_WAIT: Duration = Duration::from_secs(1);

impl Node {
    pub(super) fn asked(&mut self, now: Now, number: u64, operator: Operator) {
        let answer = match operator {
            Operator::Status => Answer::Status(Box::new(self.status(now))),
            Operator::Phones => return self.list_phones(now, number),
            Operator::Calls => return self.list_calls(now, number),
            Operator::SwitchOver => self.switch_over(now),
            Operator::Drain(drain) => self.drain(now, drain),
            Operator::Reload => return self.configuration_asked(now, number, ConfigRequest::Apply),
            Operator::Config(request) => return self.configuration_asked(now, number, request),
            Operator::Stop => return self.stop(now, number),
        };
        self.reply(number, answer);
    }

    pub(super) fn reply(&mut self, number: u64, answer: Answer) {
        self.actions.push(Action::Reply { number, answer: Box::new(answer) });
    }

    fn switch_over(&mut self, now: Now) -> Answer {
        if self.cluster.role() == Role::Standby && self.cluster.peer().up {
            if self.cluster.drain().is_on() {
                let text = "this node is drained: end that with `tandem drain --end` first".into();
                return Answer::Refused { text };
            }
            self.ask_peer_to_switch_over();
            return Answer::Done { text: "asked the active node to hand over".into() };
        }
        match self.cluster.switch_over(now.local) {
            Ok(outputs) => {
                self.take_cluster_outputs(now, outputs);
                Answer::Done { text: "handing over".into() }
            }
            Err(refused) => Answer::Refused { text: refused.to_string() },
        }
    }

    /// Hands over first if there is somebody, drained or not; the process ends with `Action::Stopped`.
    fn stop(&mut self, now: Now, number: u64) {
        match self.cluster.step_down(now.local) {
            Ok(outputs) => {
                self.stop_asked_by = Some(number);
                self.take_cluster_outputs(now, outputs);
            }
            // The role is being moved already.
            Err(SwitchOverRefused::UnderWay) => self.stop_asked_by = Some(number),
            // A peer that has just been started itself has everything in a moment.
            Err(SwitchOverRefused::PeerNotInStep) => {
                self.stop_asked_by = Some(number);
                self.stop_waits_until = Some(now.local + STOP_WAIT);
            }
            Err(_) => self.leave(now),
        }
    }

    /// The end of each step: a stop that waited for the peer goes on when it has everything, or when the time is up.
    pub(super) fn stop_when_ready(&mut self, now: Now) {
        let Some(until) = self.stop_waits_until else { return };
        match self.cluster.step_down(now.local) {
            Ok(outputs) => {
                self.stop_waits_until = None;
                self.take_cluster_outputs(now, outputs);
            }
            Err(SwitchOverRefused::PeerNotInStep) if now.local < until => {}
            Err(_) => self.leave(now),
        }
    }

    pub(super) fn leave(&mut self, now: Now) {
        self.stop_asked_by = None;
        self.stop_waits_until = None;
        let outputs = self.cluster.leave(now.local);
        self.take_cluster_outputs(now, outputs);
        self.actions.push(Action::Stopped);
    }

    pub fn status(&self, now: Now) -> Status {
        let role = match self.cluster.role() {
            Role::Active if !self.protection.on => "alone",
            Role::Active => "active",
            Role::Standby => "standby",
            Role::Starting => "starting",
        };
        let unprotected = if self.protection.on {
            LocalTime::ZERO.since(LocalTime::ZERO)
        } else {
            now.local.since(self.protection.since)
        };
        Status {
            node: self.settings.name.clone(),
            role: role.into(),
            protected: self.protection.on,
            unprotected_because: (!self.protection.on).then(|| self.unprotected_because().to_owned()),
            unprotected_on_purpose: self.is_unprotected_on_purpose(),
            drain: super::drain::word(self.cluster.drain()),
            epoch: self.cluster.epoch().to_string(),
            lag_ms: self.lag_ms(now),
            registrations: self.pbx.registrations(),
            calls: self.pbx.calls_live(),
            address: self.claimed.then(|| self.addresses_text()),
            peer: self.peer_line(now),
            unprotected_seconds: (self.protection.unprotected + unprotected).as_secs_f64(),
            lsn: self.log.position().lsn.0,
            journal_lsn: self.journal_written.0,
            records_waiting: self.pbx.records_count(),
            records: Some(self.records_line(now)),
            vrrp: self.vrrp_line(),
            priority: self.cluster.rank(),
            tracks: self.track_lines(),
            witness: self.witness_line(now),
            pings: self.pings_line(),
            configuration: Some(self.config_line()),
            worst_step: None,
            configuration_hash: format!("{:016x}", self.pbx.configuration().hash),
            version: super::about::VERSION.to_owned(),
            level: self.level().0,
        }
    }

    /// All of them: they are held together or not at all.
    fn addresses_text(&self) -> String {
        let addresses = self.settings.service.addresses().map(|own| own.address.to_string());
        addresses.collect::<Vec<_>>().join(", ")
    }

    fn lag_ms(&self, now: Now) -> f64 {
        let time = self.cluster.cluster_time(now.local);
        self.peering.as_ref().map_or(0.0, |peering| peering.session().lag(&self.log, time).age.as_secs_f64() * 1000.0)
    }

    fn peer_line(&self, now: Now) -> Option<PeerLine> {
        let peer = self.cluster.peer();
        let fresh = |heard: LocalTime| now.local.since(heard) < self.settings.timing.down_after;
        (self.settings.links > 0).then(|| PeerLine {
            name: peer.name.clone(),
            up: peer.up,
            role: match peer.role {
                Role::Active => "active",
                Role::Standby => "standby",
                Role::Starting => "starting",
            }
            .into(),
            in_step: if self.cluster.role() == Role::Active { self.follower_in_step() } else { self.standby_in_step() },
            lsn: self.peer_lsn().0,
            links_up: peer.links.values().filter(|link| fresh(link.heard_at)).count(),
            links: usize::from(self.settings.links),
            about: self.about_line(),
            drain: super::drain::word(peer.drain),
        })
    }

    pub(super) fn pbx_loaded(&mut self, loaded: Loaded, asked_by: Option<u64>) {
        let text = reload_text(&loaded);
        let taken = loaded.configuration.is_some();
        if let Some(configuration) = loaded.configuration {
            let before = self.pbx.reconfigure(Arc::new(configuration));
            self.discarded.configuration(before);
        }
        if let Some(number) = asked_by {
            self.reply(number, done(taken, text));
        }
    }
}

pub(super) fn done(taken: bool, text: String) -> Answer {
    if taken { Answer::Done { text } } else { Answer::Refused { text } }
}

/// What came of reading the files, a line for each diagnostic.
pub(super) fn reload_text(loaded: &Loaded) -> String {
    let verdict = if loaded.configuration.is_some() { "loaded" } else { "the old configuration goes on" };
    let lines = loaded.diagnostics.iter().map(ToString::to_string);
    std::iter::once(verdict.to_owned()).chain(lines).collect::<Vec<_>>().join("\n")
}
