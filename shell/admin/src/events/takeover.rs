//! Owns timing a takeover: how long the peer was silent before it was decided, and how long after it each step was done.

use std::time::Duration;

use base::LocalTime;

use super::Telling;

/// The first audio comes within 20 ms of the address. Where no call talks none comes, and this is how long it is
/// waited for.
const AUDIO_WAIT: Duration = Duration::from_secs(1);

/// The loss of the peer and the decision that it led to are told in one step of the node, within a fraction of this.
const ONE_STEP: Duration = Duration::from_millis(10);

/// The present takeover. It is told once everything has happened that will.
#[derive(Clone, Debug, Default)]
pub struct Takeover {
    /// How long the peer was silent when it was given up; when that was.
    lost: Option<(LocalTime, Duration)>,
    running: Option<Running>,
}

#[derive(Clone, Debug)]
struct Running {
    cause: &'static str,
    epoch: String,
    silent: Option<Duration>,
    decided: LocalTime,
    address: Option<LocalTime>,
    neighbours: Option<LocalTime>,
    said_again: Option<(LocalTime, usize)>,
    audio: Option<LocalTime>,
}

impl Takeover {
    pub fn peer_lost(&mut self, now: LocalTime, silent: Duration) {
        self.lost = Some((now, silent));
    }

    /// The role is ours; the address is being added.
    pub fn decided(&mut self, now: LocalTime, epoch: String, cause: &'static str) {
        let silent = self.lost.take().filter(|(at, _)| now.since(*at) <= ONE_STEP).map(|(_, silent)| silent);
        let running = Running {
            cause,
            epoch,
            silent,
            decided: now,
            address: None,
            neighbours: None,
            said_again: None,
            audio: None,
        };
        self.running = Some(running);
    }

    /// The role is the peer's again.
    pub fn given_up(&mut self) {
        self.running = None;
    }

    pub fn address_added(&mut self, now: LocalTime) {
        self.note(|running| running.address = running.address.or(Some(now)));
    }

    pub fn neighbours_told(&mut self, now: LocalTime) {
        self.note(|running| running.neighbours = running.neighbours.or(Some(now)));
    }

    pub fn said_again(&mut self, now: LocalTime, calls: usize) {
        self.note(|running| running.said_again = running.said_again.or(Some((now, calls))));
    }

    pub fn audio_came(&mut self, now: LocalTime) {
        // What comes before the address is here came to a socket that is of no use.
        self.note(|running| {
            if running.address.is_some() {
                running.audio = running.audio.or(Some(now));
            }
        });
    }

    /// Audio is being waited for.
    pub fn wants_audio(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.address.is_some() && running.audio.is_none())
    }

    /// The event, once the takeover is complete.
    pub fn finished(&mut self, now: LocalTime) -> Option<Telling> {
        let complete = |running: &mut Running| {
            let waited = running.address.is_some_and(|at| now.since(at) >= AUDIO_WAIT);
            running.said_again.is_some() && (running.audio.is_some() || waited)
        };
        self.running.take_if(complete).map(|running| running.telling())
    }

    fn note(&mut self, note: impl FnOnce(&mut Running)) {
        if let Some(running) = &mut self.running {
            note(running);
        }
    }
}

impl Running {
    fn telling(&self) -> Telling {
        let mut words = Vec::new();
        let mut telling = Telling::new("takeover", "").with("cause", self.cause).with("epoch", self.epoch.as_str());
        let mut step = |name: &str, words_for: &str, time: Option<Duration>| {
            if let Some(time) = time {
                let millis = (time.as_secs_f64() * 10_000.0).round() / 10.0;
                words.push(format!("{words_for} {millis:.1} ms"));
                telling.data.insert(format!("{name}_ms"), millis.into());
            }
        };
        let after = |at: Option<LocalTime>| at.map(|at| at.since(self.decided));
        step("silent", "peer silent before it for", self.silent);
        step("address", "address added after", after(self.address));
        step("neighbours", "neighbours told after", after(self.neighbours));
        step("said_again", "last messages sent again after", after(self.said_again.map(|(at, _)| at)));
        step("audio", "first audio after", after(self.audio));
        let calls = self.said_again.map_or(0, |(_, calls)| calls);
        telling.data.insert("calls".into(), calls.into());
        telling.text = format!("took over with {calls} calls, {}: {}", self.cause, words.join(", "));
        telling
    }
}
