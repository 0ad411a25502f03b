//! What is asked after the fault, besides how long it was silent: each question once per call or phone.

use super::calls::{Call, Counts, Kind, final_answers, hears, is_refused, of_kind, record, report, talks};
use super::room::Room;
use super::scene::Scene;
use super::strike::Strike;
use super::trial::TrialResult;
use crate::LabError;
use crate::nodes::Status;

/// One question, and for how many calls or phones the answer was yes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) good: usize,
    pub(super) total: usize,
    /// What was wrong, a few examples.
    pub(super) notes: Vec<String>,
}

/// Notes are for a reader: a hundred of a kind tell no more than the first.
pub(super) const NOTES_MAX: usize = 5;

/// What a machine may let out of the service address when it wakes from a pause and somebody else serves.
const HANDFUL_MAX: u64 = 5;

/// Questions that the last table shows for each fault, by the heads of their columns.
pub(super) const KEPT: [(&str, &str); 8] = [
    ("talk", TALK),
    ("held", HELD),
    ("ring", RINGING),
    ("set up", SET_UP),
    ("echo", ECHO),
    ("ended", HUNG_UP),
    ("new", AGAIN),
    ("registered", REGISTERED),
];
pub(super) const TALK: &str = "audio in both directions of each talking call";
const HELD: &str = "calls on hold resume and have audio";
const RINGING: &str = "calls that rang are answered and have audio";
pub(super) const SET_UP: &str = "calls being set up are answered once, or refused";
const ECHO: &str = "calls in Echo still hear themselves";
pub(super) const HUNG_UP: &str = "hanging up works, from either end";
const AGAIN: &str = "new calls work, the other way round";
pub(super) const REGISTERED: &str = "registrations kept, without a new REGISTER";
/// Asked while a long fault lasts.
pub(super) const MEANWHILE: &str = "calls meanwhile have audio and end";

impl Check {
    pub(super) fn new(name: &'static str, total: usize, wrong: Vec<String>) -> Self {
        let good = total.saturating_sub(wrong.len());
        Self { name, good, total, notes: wrong.into_iter().take(NOTES_MAX).collect() }
    }

    pub(super) fn is_good(&self) -> bool {
        self.good == self.total
    }

    /// The same question, asked once more.
    pub(super) fn add(&mut self, other: &Self) {
        self.good += other.good;
        self.total += other.total;
        let room = NOTES_MAX.saturating_sub(self.notes.len());
        self.notes.extend(other.notes.iter().take(room).cloned());
    }
}

/// What is compared across a trial, per phone.
pub(super) struct Before {
    registrations_begun: Vec<u64>,
    violations: Vec<usize>,
}

impl Scene {
    pub(super) fn before_trial(&mut self) -> Result<Before, LabError> {
        self.room.phones.with(|driver| {
            let phones = || driver.handsets.iter().map(|handset| &handset.phone);
            Before {
                registrations_begun: phones().map(|phone| phone.counters().registrations_begun).collect(),
                violations: phones().map(|phone| phone.violations().len()).collect(),
            }
        })
    }

    /// All questions but the records, which need the broken node back. Ends all calls. `is_long` when phones refresh
    /// their registrations on schedule meanwhile.
    pub(super) fn check_after(
        &mut self,
        calls: &[Call],
        is_long: bool,
        strike: &Strike,
        before: &Before,
        result: &mut TrialResult,
    ) -> Result<(), LabError> {
        result.checks.push(self.check_serving(strike.serving()));
        self.room.check_kept(calls, result)?;
        result.checks.push(self.check_own_audio()?);
        result.checks.extend(self.check_load()?);
        result.checks.push(self.room.check_again(of_kind(calls, &[Kind::Talking]).len())?);
        if !is_long {
            result.checks.push(self.check_registrations(before)?);
        }
        result.checks.push(self.check_violations(before)?);
        Ok(())
    }

    /// The node that must serve does, or one of them when it may be either.
    fn check_serving(&self, serving: Option<usize>) -> Check {
        let told = self.nodes.iter().enumerate().filter(|(index, _)| serving.is_none_or(|serving| serving == *index));
        let wrong: Result<Vec<_>, _> = told.map(|(_, node)| node.status()).collect();
        let wrong = match wrong {
            Ok(told) if told.iter().filter(|status| status.serves()).count() == 1 => Vec::new(),
            Ok(told) => vec![
                told.iter()
                    .map(|it| format!("node {} says that it is {}", it.node, it.role))
                    .collect::<Vec<_>>()
                    .join(", "),
            ],
            Err(error) => vec![error.chain()],
        };
        Check::new("a node serves that says so", 1, wrong)
    }

    /// Nothing has happened: the same process serves in the same epoch.
    pub(super) fn check_untouched(&self, node: usize, before: &Status) -> Check {
        let wrong = match self.node(node).and_then(|node| node.status()) {
            Ok(now) if now.epoch == before.epoch && now.pid == before.pid && now.serves() => Vec::new(),
            Ok(now) => vec![format!("epoch {} became {}, role {}", before.epoch, now.epoch, now.role)],
            Err(error) => vec![error.chain()],
        };
        Check::new("no takeover", 1, wrong)
    }

    /// The address has moved once at most, however often the cable came and went.
    pub(super) fn check_moves(&self, before: &Status) -> Check {
        let told: Vec<_> = self.nodes.iter().filter_map(|node| node.status().ok()).collect();
        let after = told.iter().filter_map(Status::epoch_number).max().unwrap_or(0);
        let moves = after.saturating_sub(before.epoch_number().unwrap_or(after));
        let wrong = if moves > 1 { vec![format!("the epoch rose {moves} times")] } else { Vec::new() };
        Check::new("at most one takeover", 1, wrong)
    }

    /// How much a node let out of the service address that came back when another one served.
    pub(super) fn check_returned(&self) -> Result<Check, LabError> {
        let (packets, arp) = self.network.counted()?;
        let said = format!("{packets} packets and {arp} ARP messages left the returned node from the service address");
        let good = usize::from(packets + arp <= HANDFUL_MAX);
        Ok(Check { name: "a node that returns sends a handful at most", good, total: 1, notes: vec![said] })
    }

    /// Nobody has ever heard another call, noise, or a source that changed.
    fn check_own_audio(&self) -> Result<Check, LabError> {
        let heard: Vec<Option<String>> = self.room.phones.with(|driver| {
            let listeners = driver.handsets.iter().map(|handset| handset.listener.as_ref());
            let odd = listeners.map(|listener| {
                let listener = listener?;
                let odd = listener.oddities();
                let foreign =
                    listener.first_foreign().map(|mark| format!("heard call {} of phone {}", mark.call, mark.phone));
                let noise = (odd.noise > 0).then(|| format!("heard {} packets of noise", odd.noise));
                let source = (odd.ssrc_changes > 0).then(|| "heard its source change".to_owned());
                foreign.or(noise).or(source)
            });
            odd.collect()
        })?;
        let total = heard.len();
        let wrong = heard.into_iter().enumerate().filter_map(|(phone, odd)| Some((phone, odd?)));
        let wrong = wrong.map(|(phone, odd)| format!("{} {odd}", self.room.number(phone))).collect();
        Ok(Check::new("phones that heard their own call only", total, wrong))
    }

    /// No phone had to register again, and the node that serves knows all of them.
    fn check_registrations(&self, before: &Before) -> Result<Check, LabError> {
        let begun: Vec<u64> = self.room.phones.with(|driver| {
            driver.handsets.iter().map(|handset| handset.phone.counters().registrations_begun).collect()
        })?;
        let changed = begun.iter().zip(&before.registrations_begun).enumerate().filter(|(_, (now, then))| now != then);
        let mut wrong: Vec<String> =
            changed.map(|(phone, _)| format!("{} registered again", self.room.number(phone))).collect();
        let known = self
            .nodes
            .iter()
            .filter_map(|node| node.status().ok())
            .find(|status| status.serves())
            .and_then(|status| status.registration_count());
        let all = begun.len() + self.load.as_ref().map_or(0, |load| load.registrations);
        if let Some(known) = known.filter(|known| *known != all as u64) {
            wrong.push(format!("the node knows {known} of {all} phones"));
        }
        Ok(Check::new(REGISTERED, begun.len(), wrong))
    }

    fn check_violations(&self, before: &Before) -> Result<Check, LabError> {
        let before = before.violations.clone();
        let found: Vec<Vec<String>> = self.room.phones.with(move |driver| {
            let new = driver.handsets.iter().zip(before).map(|(handset, before)| {
                let violations = handset.phone.violations().iter().skip(before);
                violations.map(ToString::to_string).collect()
            });
            new.collect()
        })?;
        let total = found.len();
        let odd = found.into_iter().enumerate().filter(|(_, violations)| !violations.is_empty());
        let wrong = odd.map(|(phone, violations)| format!("{}: {}", self.room.number(phone), violations.join(", ")));
        Ok(Check::new("phones that were asked nothing odd", total, wrong.collect()))
    }

    pub(super) fn check_records(&self) -> Check {
        let total = self.room.made.len() * self.nodes.len();
        Check::new("call records exact, on every node", total, self.wrong_records())
    }
}

impl Room {
    /// What is asked of calls by what they do, of those kinds that there are. Ends them.
    pub(super) fn check_kept(&mut self, calls: &[Call], result: &mut TrialResult) -> Result<(), LabError> {
        result.checks.push(self.check_audio(TALK, &of_kind(calls, &[Kind::Talking]))?);
        let apart = of_kind(calls, &[Kind::Apart]);
        if !apart.is_empty() {
            result.checks.push(self.check_audio("audio in both directions of calls made meanwhile", &apart)?);
        }
        let echo = of_kind(calls, &[Kind::Echo]);
        if !echo.is_empty() {
            result.checks.push(self.check_audio(ECHO, &echo)?);
        }
        let (held, ringing) = (of_kind(calls, &[Kind::Held]), of_kind(calls, &[Kind::Ringing]));
        let wrong = self.pick_up(&ringing)?;
        result.checks.push(self.check_calls(RINGING, &ringing, wrong));
        let wrong = self.hold(&held, false)?;
        result.checks.push(self.check_calls(HELD, &held, wrong));
        let talking = of_kind(calls, &[Kind::Talking, Kind::Setup]);
        let mut wrong = self.hold(&talking, true)?;
        let stuck = self.hold(&talking, false)?;
        wrong.extend(stuck.into_iter().filter(|call| !wrong.contains(call)).collect::<Vec<_>>());
        result.checks.push(self.check_calls("talking calls can be held and resumed", &talking, wrong));
        let wrong = self.hang_up(calls)?;
        result.checks.push(self.check_calls(HUNG_UP, calls, wrong));
        self.note_ended(calls)
    }

    /// What became of calls that were being set up: each was answered, and has audio, or was refused, and told so once.
    /// Gives the refused ones, too.
    pub(super) fn check_setup(&self, calls: &[Call]) -> Result<(Check, Vec<Call>), LabError> {
        let phones: Vec<usize> = calls.iter().flat_map(Call::phones).collect();
        self.phones.with(move |driver| driver.start_windows(&phones))?;
        let mut wrong = self.wait_each(calls, |driver, call| talks(driver, call) || is_refused(driver, call))?;
        let asked = calls.to_vec();
        let (refused, told): (Vec<Call>, Vec<usize>) = self.phones.with(move |driver| {
            let refused = asked.iter().filter(|call| is_refused(driver, call)).copied().collect();
            (refused, asked.iter().map(|call| final_answers(driver, call)).collect())
        })?;
        let again = calls.iter().zip(told).filter(|(call, told)| *told != 1 && !wrong.contains(call));
        wrong.extend(again.map(|(call, _)| *call).collect::<Vec<_>>());
        let mut check = self.check_calls(SET_UP, calls, wrong);
        if check.is_good() && !refused.is_empty() {
            check.notes.push(format!("{} of them were refused", refused.len()));
        }
        Ok((check, refused))
    }

    /// One question about calls, with what became of those for which the answer was no.
    pub(super) fn check_calls(&self, name: &'static str, calls: &[Call], wrong: Vec<Call>) -> Check {
        let describe = |call: &Call| {
            let (caller, called) = (call.caller, call.called);
            let states = self.phones.with(move |driver| {
                let state =
                    |phone| record(driver, phone).map(|call| (call.state, call.bye_status, call.reinvite_status));
                let heard = |phone| report(driver, phone).new;
                format!("{:?}/{:?}, heard {}/{}", state(caller), state(called), heard(caller), heard(called))
            });
            format!("{} to {}: {}", self.number(caller), self.number(called), states.unwrap_or_default())
        };
        Check::new(name, calls.len(), wrong.iter().map(describe).collect())
    }

    /// Each direction of the talking calls still has audio, now.
    pub(super) fn check_audio(&self, name: &'static str, talking: &[Call]) -> Result<Check, LabError> {
        let ends: Vec<usize> = talking.iter().flat_map(Call::phones).collect();
        let watched = ends.clone();
        self.phones.with(move |driver| driver.start_windows(&watched))?;
        let watched = ends.clone();
        self.phones
            .wait_for(super::calls::STEP_LIMIT, move |driver| watched.iter().all(|phone| hears(driver, *phone)))?;
        let watched = ends.clone();
        let deaf: Vec<usize> =
            self.phones.with(move |driver| watched.into_iter().filter(|phone| !hears(driver, *phone)).collect())?;
        let wrong = deaf.into_iter().map(|phone| format!("{} hears nothing", self.number(phone))).collect();
        Ok(Check::new(name, ends.len(), wrong))
    }

    /// The pairs that talked call each other once more, the other way round, without having registered again.
    pub(super) fn check_again(&mut self, count: usize) -> Result<Check, LabError> {
        let turned = |call: Call| Call { caller: call.called, called: call.caller, ..call };
        let counts = Counts { talking: count as u32, ..Counts::default() };
        let calls: Vec<Call> = counts.plan().into_iter().map(turned).collect();
        let mut wrong = self.dial(&calls)?;
        let rest = |wrong: &[Call]| calls.iter().filter(|call| !wrong.contains(call)).copied().collect::<Vec<_>>();
        let mute = self.pick_up(&rest(&wrong))?;
        wrong.extend(mute);
        let stuck = self.hang_up(&rest(&wrong))?;
        wrong.extend(stuck);
        self.note_ended(&calls)?;
        Ok(self.check_calls(AGAIN, &calls, wrong))
    }
}
