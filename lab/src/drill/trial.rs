//! One trial: calls in every state, the fault, and what the phones hear of it.

use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::DrillArguments;
use super::calls::{self, Call, Kind, report};
use super::checks::Check;
use super::display::Display;
use super::fault::Fault;
use super::flood::Flood;
use super::scene::Scene;
use crate::LabError;

/// How long the phones are listened to before the fault.
const BASELINE: Duration = Duration::from_millis(2_000);

/// How long before and after each of many faults to the same calls.
const BASELINE_OF_MANY: Duration = Duration::from_millis(500);
const OBSERVE_OF_MANY: Duration = Duration::from_millis(1_500);

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
    let plan = calls::plan(arguments.calls, arguments.held, arguments.ringing);
    display.waiting("the calls come up");
    bring_up(scene, &plan)?;
    let mut result = TrialResult::default();
    let rounds = if fault == Fault::Double { arguments.rounds * 2 } else { arguments.rounds };
    for round in 0..rounds {
        let active = scene.wait_protected()?;
        display.scene(scene, active, &plan);
        let status = scene.node(active)?.status()?;
        let mut broken = Broken { node: active, daemon: scene.node(active)?.daemon()?, flood: None };
        let ears = strike(scene, fault, &mut broken, &plan, arguments, display)?;
        if fault == Fault::Flood {
            drop(broken.flood.take());
            result.checks.push(scene.check_untouched(active, &status));
        }
        let own_delay_ms = scene.phones.with(|driver| std::mem::take(&mut driver.late_us_max))? as f64 / 1000.0;
        display.heard(fault.promise_ms() * arguments.slack, &ears, own_delay_ms);
        result.own_delay_ms = result.own_delay_ms.max(own_delay_ms);
        result.worst_ms.push(ears.iter().map(|ear| ear.after_ms).fold(0.0, f64::max));
        result.ears.extend(ears);
        if round + 1 < rounds {
            display.waiting("the killed program comes back and learns everything again");
            broken.heal(scene, fault)?;
            scene.wait_protected()?;
        } else {
            scene.check_after(&plan, fault, active, &before, &mut result)?;
            display.waiting("the broken machine comes back and learns everything again");
            broken.heal(scene, fault)?;
            scene.wait_protected()?;
            result.checks.push(scene.check_records());
        }
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

/// The node that is broken, and its daemon as it was before.
struct Broken {
    node: usize,
    daemon: i32,
    flood: Option<Flood>,
}

impl Broken {
    fn commit(&mut self, scene: &mut Scene, fault: Fault) -> Result<(), LabError> {
        if fault == Fault::Flood {
            self.flood = Some(Flood::begin(scene.directory())?);
            return Ok(());
        }
        let node = scene.node(self.node)?;
        match fault {
            Fault::Kill | Fault::Double | Fault::RestartAlone => node.signal_daemon(self.daemon, Signal::SIGKILL),
            Fault::Freeze => node.signal_daemon(self.daemon, Signal::SIGSTOP),
            Fault::Cut => scene.network.cut(&node.name),
            Fault::Switchover | Fault::Flood | Fault::All => node.switchover(),
        }
    }

    fn heal(&self, scene: &Scene, fault: Fault) -> Result<(), LabError> {
        let node = scene.node(self.node)?;
        match fault {
            // Its parent may have killed and replaced the frozen daemon meanwhile, which is as good.
            Fault::Freeze => drop(node.signal_daemon(self.daemon, Signal::SIGCONT)),
            Fault::Cut => scene.network.heal(&node.name)?,
            _ => {}
        }
        Ok(())
    }
}

/// Listens for a while without a fault, commits it, and listens on. Gives what each phone of a talking call heard.
fn strike(
    scene: &mut Scene,
    fault: Fault,
    broken: &mut Broken,
    plan: &[Call],
    arguments: &DrillArguments,
    display: &Display,
) -> Result<Vec<Ear>, LabError> {
    let many = arguments.rounds > 1;
    let talking: Vec<Call> = plan.iter().filter(|call| call.kind == Kind::Talking).copied().collect();
    let phones: Vec<usize> = talking.iter().flat_map(Call::phones).collect();
    begin_window(scene, &phones)?;
    thread::sleep(if many { BASELINE_OF_MANY } else { BASELINE });
    let before = silences(scene, &phones)?;
    display.baseline(before.iter().map(|silence| silence.longest_ms));
    begin_window(scene, &phones)?;
    display.strike(fault, &scene.node(broken.node)?.name);
    broken.commit(scene, fault)?;
    let observed = match fault {
        Fault::Flood => Duration::from_secs(arguments.flood_seconds),
        _ if many => OBSERVE_OF_MANY,
        _ => Duration::from_millis(fault.observe_ms()),
    };
    observe(scene, fault, broken.node, &phones, observed, display)?;
    let after = silences(scene, &phones)?;
    let ends = talking.iter().flat_map(|call| [(call.caller, call.called), (call.called, call.caller)]);
    let ears = ends.zip(before.iter().zip(&after)).map(|((phone, hears), (before, after))| Ear {
        phone: scene.number(phone).to_owned(),
        hears: scene.number(hears).to_owned(),
        before_ms: before.longest_ms,
        after_ms: after.longest_ms,
        silent_for_good: after.silent,
    });
    Ok(ears.collect())
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

/// Lets time pass after the fault and shows the worst silence so far.
fn observe(
    scene: &mut Scene,
    fault: Fault,
    node: usize,
    phones: &[usize],
    observed: Duration,
    display: &Display,
) -> Result<(), LabError> {
    let begun = Instant::now();
    while begun.elapsed() < observed {
        thread::sleep(Duration::from_millis(if fault == Fault::RestartAlone { 2 } else { 50 }));
        if let Some(node) = scene.nodes.get_mut(node).filter(|_| fault == Fault::RestartAlone)
            && !node.is_running()
        {
            // Nothing of the node has survived: the drill is the service manager that starts it again.
            node.start()?;
        }
        if display.is_live() {
            let worst = silences(scene, phones)?.into_iter().map(|silence| silence.longest_ms).fold(0.0, f64::max);
            display.live(begun.elapsed(), worst);
        }
    }
    Ok(())
}
