//! Whom the daemon tells what happens: the log, the file of events, the alarm, Prometheus. Nothing here waits.

use std::time::Duration;

use admin::alarm::AlarmWatch;
use admin::config::Telling as Settings;
use admin::events::{ConfigurationWatch, StreamProgram, Takeover, Teller, Telling as Event, file, of_tell};
use admin::hooks::{RoleChange, RoleHook};
use admin::metrics::{AudioNumbers, LinkNumbers, Metrics, MetricsError};
use base::{LocalTime, WallTime};
use miette::{IntoDiagnostic, Result};
use net::clock::local_now;
use node::cluster::track::Cost;
use node::{Status, StepLine, Tell};

use crate::doctor::chain;
use crate::setup::Setup;

/// Alarm and metrics look at the node this often.
pub const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The last events may take so long to be written when the node stops.
const FLUSH_WAIT: Duration = Duration::from_millis(200);

pub struct Telling {
    teller: Teller,
    takeover: Takeover,
    alarm: Option<AlarmWatch>,
    metrics: Option<Metrics>,
    /// Is told each new role.
    role_hook: Option<RoleHook>,
    configuration: ConfigurationWatch,
    looked: LocalTime,
    /// What the node has taken longest for.
    worst_step: Option<(&'static str, Duration)>,
}

impl Telling {
    pub fn start(setup: &Setup, wall: WallTime) -> Result<Self> {
        let Settings { events_program, alarm, metrics } = &setup.telling;
        // What the alarm goes on from is what the former life left, before this one adds to it.
        let before = file::read(&setup.state_dir).unwrap_or_default();
        let program = events_program.as_deref().map(StreamProgram::start).transpose().into_diagnostic()?;
        let teller = Teller::start(&setup.state_dir, &setup.name, program).into_diagnostic()?;
        let now_ms = wall.as_millis();
        let start_alarm = |settings| AlarmWatch::start(settings, &setup.name, &before, now_ms, teller.clone());
        let alarm = alarm.as_ref().map(start_alarm).transpose().into_diagnostic()?;
        // A port that somebody else has, or an address that is not here yet, must not keep phones waiting.
        let metrics = metrics.and_then(|listen| {
            let failed = |error: &MetricsError| {
                let text = format!("no metrics: {}", chain(error));
                tracing::warn!("{text}");
                teller.tell(Event::new("trouble", text));
            };
            Metrics::start(listen).inspect_err(failed).ok()
        });
        let addresses: Vec<String> = setup.service.addresses().map(|own| own.address.to_string()).collect();
        let start_hook = |line: &String| RoleHook::start(line, &setup.name, &addresses.join(" "), teller.clone());
        let role_hook = setup.safeguards.role_hook.as_ref().map(start_hook).transpose().into_diagnostic()?;
        Ok(Self {
            teller,
            takeover: Takeover::default(),
            alarm,
            metrics,
            role_hook,
            configuration: ConfigurationWatch::default(),
            looked: LocalTime::ZERO,
            worst_step: None,
        })
    }

    /// For the threads that have something to tell themselves.
    pub fn teller(&self) -> Teller {
        self.teller.clone()
    }

    pub fn tell(&mut self, tell: &Tell) {
        match tell {
            Tell::Unprotected { .. } | Tell::Trouble(_) => tracing::warn!("{tell}"),
            Tell::Vrrp(notice) if notice.is_trouble() => tracing::warn!("{tell}"),
            Tell::Track(notice) if notice.costs != Cost::Nothing => tracing::warn!("{tell}"),
            Tell::SaidAgain { calls: 0 } => {}
            _ => tracing::info!("{tell}"),
        }
        let now = local_now();
        match tell {
            Tell::PeerDown { silent, .. } => self.takeover.peer_lost(now, *silent),
            Tell::BecameActive { epoch, cause } => self.takeover.decided(now, epoch.to_string(), cause),
            Tell::BecameStandby { .. } => self.takeover.given_up(),
            Tell::SaidAgain { calls } => self.takeover.said_again(now, *calls),
            _ => {}
        }
        if let Some(event) = of_tell(tell) {
            self.teller.tell(event);
        }
        self.tell_role(tell);
    }

    fn tell_role(&self, tell: &Tell) {
        let (role, epoch, cause) = match tell {
            Tell::BecameActive { epoch, cause } => ("active", epoch, cause),
            Tell::BecameStandby { epoch, cause } => ("standby", epoch, cause),
            _ => return,
        };
        if let Some(hook) = &self.role_hook {
            hook.changed(RoleChange { role, epoch: epoch.to_string(), cause: (*cause).to_owned() });
        }
    }

    pub fn event(&self, event: Event) {
        self.teller.tell(event);
    }

    pub fn address_added(&mut self) {
        self.takeover.address_added(local_now());
    }

    pub fn neighbours_told(&mut self) {
        self.takeover.neighbours_told(local_now());
    }

    /// The first audio of a takeover is being waited for: `audio_came` wants to know of it at once.
    pub fn wants_audio(&self) -> bool {
        self.takeover.wants_audio()
    }

    pub fn audio_came(&mut self) {
        self.takeover.audio_came(local_now());
    }

    pub fn step(&mut self, event: &'static str, took: Duration) {
        if self.worst_step.is_none_or(|(_, worst)| took > worst) {
            self.worst_step = Some((event, took));
        }
        if let Some(metrics) = &mut self.metrics {
            metrics.step(event, took);
        }
    }

    pub fn worst_step(&self) -> Option<StepLine> {
        self.worst_step.map(|(event, took)| StepLine { event: event.to_owned(), took_ms: took.as_secs_f64() * 1000.0 })
    }

    /// A look is due.
    pub fn wants_look(&self, now: LocalTime) -> bool {
        now >= self.looked + LOOK_EVERY
    }

    /// Tells what has become complete.
    pub fn look(&mut self, now: LocalTime) {
        self.looked = now;
        if let Some(told) = self.takeover.finished(now) {
            tracing::info!("{}", told.text);
            self.teller.tell(told);
        }
    }

    pub fn show(&mut self, status: &Status, links: &[LinkNumbers], audio: AudioNumbers) {
        for news in status.configuration.as_ref().map(|config| self.configuration.look(config)).unwrap_or_default() {
            tracing::info!("{}", news.text);
            self.teller.tell(news);
        }
        if let Some(alarm) = &self.alarm {
            alarm.look(status);
        }
        if let Some(metrics) = &self.metrics {
            metrics.look(status, links, audio);
        }
    }

    /// The process is about to end.
    pub fn stopped(&self) {
        self.teller.tell(Event::new("stopped", "the node stops"));
        self.teller.flush(FLUSH_WAIT);
    }
}
