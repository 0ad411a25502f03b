//! One trial: calls in every state, the fault, and what the phones hear of it.

use std::thread;
use std::time::{Duration, Instant};

use super::DrillArguments;
use super::calls::{self, Call, Kind, report};
use super::checks::{Before, Check};
use super::display::Display;
use super::fault::{Fault, Ground};
use super::scene::Scene;
use super::strike::Strike;
use crate::LabError;
use crate::nodes::Status;

/// How long the phones are listened to before the fault.
const BASELINE: Duration = Duration::from_millis(2_000);

/// How long before the end of a fault, and before each of many faults to the same calls.
const BASELINE_SHORT: Duration = Duration::from_millis(500);

/// A phone that has heard nothing new for this long at the end of the trial is silent for good.
const SILENT_US: u64 = 500_000;

/// One direction of one call: what one phone heard of the other.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ear {
    pub(super) phone: String,
    pub(super) hears: String,
    pub(super) before_ms: f64,
    pub(super) after_ms: f64,
    pub(super) silent_for_good: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct TrialResult {
    pub(super) ears: Vec<Ear>,
    /// The longest silence of each fault.
    pub(super) worst_ms: Vec<f64>,
    pub(super) checks: Vec<Check>,
    /// How late the lab's own phones spoke at worst. It is not counted in the silences.
    pub(super) own_delay_ms: f64,
    /// Why the trial could not be brought to its end.
    pub(super) error: Option<String>,
}

impl TrialResult {
    pub(super) fn broken(error: String) -> Self {
        Self { error: Some(error), ..Self::default() }
    }

    /// Everything but the length of the silence was as promised, so that the next trial may use the same scene.
    pub(super) fn is_clean(&self) -> bool {
        self.error.is_none() && self.checks.iter().all(Check::is_good)
    }
}

pub(super) fn run(
    scene: &mut Scene,
    fault: Fault,
    arguments: &DrillArguments,
    display: &Display,
) -> Result<TrialResult, LabError> {
    display.waiting("the nodes start and find each other");
    scene.wait_protected()?;
    display.waiting("the phones register");
    scene.register()?;
    let before = scene.before_trial()?;
    let mut plan = calls::plan(arguments.calls, arguments.held, arguments.ringing);
    if matches!(fault.ground(), Ground::Halves | Ground::Previous) {
        calls::plan_apart(&mut plan);
    }
    display.waiting("the calls come up");
    bring_up(scene, &plan)?;
    let mut result = TrialResult::default();
    let rounds = arguments.rounds * fault.rounds();
    let mut trial = Trial { scene, fault, plan: &plan, arguments, display, result: &mut result };
    for round in 0..rounds {
        trial.round(round, (round + 1 == rounds).then_some(&before))?;
    }
    Ok(result)
}

/// Calls are dialled, picked up and held before the fault. Whatever fails here is no matter of the fault.
fn bring_up(scene: &mut Scene, plan: &[Call]) -> Result<(), LabError> {
    let of_kind = |kinds: &[Kind]| plan.iter().filter(|call| kinds.contains(&call.kind)).copied().collect::<Vec<_>>();
    let failed = |what: &str, failed: Vec<Call>| match failed.len() {
        0 => Ok(()),
        count => {
            let what = format!("{count} of {} calls {what} before any fault", plan.len());
            Err(LabError::Waited { what, limit_ms: calls::STEP_LIMIT.as_millis() as u64 })
        }
    };
    failed("did not ring", scene.dial(plan)?)?;
    failed("had no audio", scene.pick_up(&of_kind(&[Kind::Talking, Kind::Held]))?)?;
    failed("could not be held", scene.hold(&of_kind(&[Kind::Held]), true)?)
}

/// The two moments at which the phones are listened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    Begin,
    End,
}

/// What every step of a trial needs.
struct Trial<'a> {
    scene: &'a mut Scene,
    fault: Fault,
    plan: &'a [Call],
    arguments: &'a DrillArguments,
    display: &'a Display,
    result: &'a mut TrialResult,
}

impl Trial<'_> {
    /// One fault, from a protected pair to a protected pair. After the last one everything is asked.
    fn round(&mut self, round: u32, last: Option<&Before>) -> Result<(), LabError> {
        let active = self.scene.wait_protected()?;
        self.display.scene(self.scene, active, self.plan);
        let status = self.scene.node(active)?.status()?;
        let mut strike = Strike::new(self.scene, self.fault, round, active)?;
        self.listen(Moment::Begin, &mut strike)?;
        match self.fault {
            Fault::SplitAndHeal => self.live_apart()?,
            Fault::Upgrade => self.call_between_upgrades(active, &status)?,
            _ => {}
        }
        if strike.serving() == Some(active) && !self.scene.is_alone() {
            self.result.checks.push(self.scene.check_untouched(active, &status));
        }
        let is_ended = self.fault.facts().ended.is_some();
        if is_ended {
            self.listen(Moment::End, &mut strike)?;
            self.scene.wait_protected()?;
        }
        let of_the_fault = match self.fault {
            Fault::FreezeAll => Some(self.scene.check_woken()?),
            Fault::Flap => Some(self.scene.check_moves(&status)),
            Fault::Overload => strike.check_storm(),
            Fault::Upgrade => Some(self.scene.check_upgraded()),
            _ => None,
        };
        self.result.checks.extend(of_the_fault);
        if let Some(before) = last {
            self.scene.check_after(self.plan, self.fault, &strike, before, self.result)?;
        }
        if !is_ended {
            self.display.waiting("what was broken comes back and learns everything again");
            strike.end(self.scene)?;
            self.scene.wait_protected()?;
        }
        if last.is_some() {
            self.result.checks.push(self.scene.check_records());
        }
        Ok(())
    }

    /// Listens for a while, lets the moment come, and listens on. Notes what each phone of a talking call heard.
    fn listen(&mut self, moment: Moment, strike: &mut Strike) -> Result<(), LabError> {
        let talking: Vec<Call> = self.plan.iter().filter(|call| call.kind == Kind::Talking).copied().collect();
        let phones: Vec<usize> = talking.iter().flat_map(Call::phones).collect();
        begin_window(self.scene, &phones)?;
        let short = self.arguments.rounds > 1 || moment == Moment::End;
        thread::sleep(if short { BASELINE_SHORT } else { BASELINE });
        let before = silences(self.scene, &phones)?;
        self.display.baseline(before.iter().map(|silence| silence.longest_ms));
        begin_window(self.scene, &phones)?;
        let names = [strike.active(), 1 - strike.active().min(1)].map(|index| self.scene.name_of(index));
        self.display.strike(self.fault, moment == Moment::End, &names);
        match moment {
            Moment::Begin => strike.begin(self.scene)?,
            Moment::End => strike.end(self.scene)?,
        }
        self.observe(strike.active(), &phones, self.observed(moment, strike.round()))?;
        let after = silences(self.scene, &phones)?;
        let ends = talking.iter().flat_map(|call| [(call.caller, call.called), (call.called, call.caller)]);
        let ears = ends.zip(before.iter().zip(&after)).map(|((phone, hears), (before, after))| Ear {
            phone: self.scene.number(phone).to_owned(),
            hears: self.scene.number(hears).to_owned(),
            before_ms: before.longest_ms,
            after_ms: after.longest_ms,
            silent_for_good: after.silent,
        });
        let ears: Vec<Ear> = ears.collect();
        let own_delay_ms = self.scene.phones.with(|driver| std::mem::take(&mut driver.late_us_max))? as f64 / 1000.0;
        self.display.heard(self.fault.promise_ms() * self.arguments.slack, &ears, own_delay_ms);
        self.result.own_delay_ms = self.result.own_delay_ms.max(own_delay_ms);
        self.result.worst_ms.push(ears.iter().map(|ear| ear.after_ms).fold(0.0, f64::max));
        self.result.ears.extend(ears);
        Ok(())
    }

    fn observed(&self, moment: Moment, round: u32) -> Duration {
        let many = self.arguments.rounds > 1;
        match moment {
            Moment::Begin if self.fault == Fault::Flood => Duration::from_secs(self.arguments.flood_seconds),
            Moment::Begin => Duration::from_millis(self.fault.observe_ms(round, many)),
            Moment::End => Duration::from_millis(self.fault.observe_end_ms(many)),
        }
    }

    /// Lets time pass and shows the worst silence so far.
    fn observe(&mut self, node: usize, phones: &[usize], observed: Duration) -> Result<(), LabError> {
        let begun = Instant::now();
        let alone = self.fault == Fault::RestartAlone;
        while begun.elapsed() < observed {
            thread::sleep(Duration::from_millis(if alone { 2 } else { 50 }));
            if alone && !self.scene.node_mut(node)?.is_running() {
                // Nothing of the node has survived: the drill is the service manager that starts it again.
                self.scene.node_mut(node)?.start()?;
            }
            if self.display.is_live() {
                let worst = silences(self.scene, phones)?.into_iter().map(|silence| silence.longest_ms);
                self.display.live(begun.elapsed(), worst.fold(0.0, f64::max));
            }
        }
        Ok(())
    }

    /// While the two nodes run two programs: nobody has noticed, and new calls are as good as any.
    fn call_between_upgrades(&mut self, active: usize, before: &Status) -> Result<(), LabError> {
        self.result.checks.push(self.scene.check_untouched(active, before));
        self.scene.wait_protected()?;
        let calls: Vec<Call> = self.plan.iter().filter(|call| call.kind == Kind::Apart).copied().collect();
        let mut wrong = self.scene.dial(&calls)?;
        let rang: Vec<Call> = calls.iter().filter(|call| !wrong.contains(call)).copied().collect();
        wrong.extend(self.scene.pick_up(&rang)?);
        self.result.checks.push(self.scene.check_calls("new calls between the two upgrades", &calls, wrong));
        Ok(())
    }

    /// While the switch is split, calls change on both sides: what rang is answered, what was held goes on. Nothing
    /// but the merge can bring the two together.
    fn live_apart(&mut self) -> Result<(), LabError> {
        let of_kind = |kind| self.plan.iter().filter(|call| call.kind == kind).copied().collect::<Vec<_>>();
        let (ringing, apart) = (of_kind(Kind::Ringing), of_kind(Kind::Apart));
        let wrong = self.scene.pick_up(&ringing)?;
        let name = "calls that rang are answered during the split";
        self.result.checks.push(self.scene.check_calls(name, &ringing, wrong));
        let mut wrong = self.scene.dial(&apart)?;
        let rang: Vec<Call> = apart.iter().filter(|call| !wrong.contains(call)).copied().collect();
        wrong.extend(self.scene.pick_up(&rang)?);
        self.result.checks.push(self.scene.check_calls("new calls during the split, on both sides", &apart, wrong));
        Ok(())
    }
}

fn begin_window(scene: &Scene, phones: &[usize]) -> Result<(), LabError> {
    let phones = phones.to_vec();
    scene.phones.with(move |driver| {
        driver.late_us_max = 0;
        driver.start_windows(&phones);
    })
}

struct Silence {
    longest_ms: f64,
    silent: bool,
}

fn silences(scene: &Scene, phones: &[usize]) -> Result<Vec<Silence>, LabError> {
    let phones = phones.to_vec();
    scene.phones.with(move |driver| {
        let silence = |phone: usize| {
            let report = report(driver, phone);
            let last = report.last_new_us.map_or(u64::MAX, |last| driver.now_us().saturating_sub(last));
            Silence { longest_ms: report.silence_us as f64 / 1000.0, silent: last > SILENT_US }
        };
        phones.into_iter().map(silence).collect()
    })
}
