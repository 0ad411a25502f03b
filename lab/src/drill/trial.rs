//! One trial: calls in every state, the fault, and what the phones hear of it.

use std::thread;
use std::time::{Duration, Instant};

use phone::audio::Gap;

use super::DrillArguments;
use super::absence::Absences;
use super::calls::{self, Call, Counts, Kind, of_kind, report};
use super::checks::{Before, Check, MEANWHILE};
use super::display::Display;
use super::fault::Fault;
use super::load::{Load, crowd_calls};
use super::room::Room;
use super::scene::Scene;
use super::strike::Strike;
use super::watch::Calm;
use crate::LabError;
use crate::nodes::Status;

/// How long the phones are listened to before the fault.
const BASELINE: Duration = Duration::from_millis(2_000);

/// How long before the end of a fault, and before each of many faults to the same calls.
const BASELINE_SHORT: Duration = Duration::from_millis(500);

/// A phone that has heard nothing new for this long at the end of the trial is silent for good.
const SILENT_US: u64 = 500_000;

/// While a fault lasts for longer than this, people go on calling each other...
const LIFE_FROM: Duration = Duration::from_secs(20);
/// ...so often.
const LIFE_EVERY: Duration = Duration::from_secs(5);

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
    /// From the INVITE to the answer, of the calls that were being set up at the fault.
    pub(super) setup_ms: Vec<f64>,
    /// What became of a pair that had to go on as it was.
    pub(super) calm: Option<Calm>,
    /// What the load took when it came, if there is one.
    pub(super) load: Option<Load>,
    /// When the machine's cores were away, if the fault makes that a matter of interest.
    pub(super) absences: Option<Absences>,
    /// How late the lab's own phones spoke at worst. It is not counted in the silences.
    pub(super) own_delay_ms: f64,
    /// Why the trial could not be brought to its end.
    pub(super) error: Option<String>,
}

impl TrialResult {
    pub(super) fn broken(error: String) -> Self {
        Self { error: Some(error), ..Self::default() }
    }

    /// Takes the answer to a question that is asked again and again.
    fn add(&mut self, check: Check) {
        match self.checks.iter_mut().find(|known| known.name == check.name) {
            Some(known) => known.add(&check),
            None => self.checks.push(check),
        }
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
    scene.room.register()?;
    let counts = Counts::new(arguments, fault.ground());
    let counts = if fault.loses_the_last_words() { counts.at_rest() } else { counts };
    display.waiting("the other phones register and call each other");
    let load = scene.bring_load(crowd_calls(arguments, counts))?.cloned();
    load.iter().for_each(|load| display.load(load));
    let before = scene.before_trial()?;
    let plan = counts.plan();
    display.waiting("the calls come up");
    bring_up(&mut scene.room, &plan)?;
    let mut result = TrialResult { load, ..TrialResult::default() };
    let rounds = arguments.rounds * fault.rounds();
    let mut trial = Trial { scene, fault, plan: &plan, arguments, display, result: &mut result };
    let half = if fault == Fault::UpgradeKill { Some(trial.upgrade_half()?) } else { None };
    for round in 0..rounds {
        trial.round(round, (round + 1 == rounds).then_some(&before))?;
    }
    if let Some(old) = half {
        trial.upgrade_rest(old)?;
    }
    Ok(result)
}

/// Calls are dialled, picked up and held before the fault. Whatever fails here is no matter of the fault.
pub(super) fn bring_up(room: &mut Room, plan: &[Call]) -> Result<(), LabError> {
    let failed = |what: &str, failed: Vec<Call>| match failed.len() {
        0 => Ok(()),
        count => {
            let what = format!("{count} of {} calls {what} before any fault", plan.len());
            Err(LabError::Waited { what, limit_ms: calls::STEP_LIMIT.as_millis() as u64 })
        }
    };
    let ringing = of_kind(plan, &[Kind::Talking, Kind::Held, Kind::Ringing]);
    failed("did not ring", room.dial(&ringing)?)?;
    failed("had no audio", room.pick_up(&of_kind(plan, &[Kind::Talking, Kind::Held]))?)?;
    failed("could not be held", room.hold(&of_kind(plan, &[Kind::Held]), true)?)?;
    failed("to Echo did not come back", room.dial_answered(&of_kind(plan, &[Kind::Echo]))?)
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
        let watch = self.scene.watch(active)?;
        let mut strike = Strike::new(self.scene, self.fault, round, active, self.arguments.lossy_links)?;
        self.listen(Moment::Begin, &mut strike)?;
        let standing = self.settle_setup()?;
        match self.fault {
            Fault::SplitAndHeal => self.live_apart()?,
            Fault::Upgrade => self.call_between_upgrades(active, watch.status())?,
            _ => {}
        }
        if strike.serving() == Some(active) && !self.scene.is_alone() {
            self.result.checks.push(self.scene.check_untouched(active, watch.status()));
        }
        let is_ended = self.fault.facts().ended.is_some();
        if is_ended {
            self.listen(Moment::End, &mut strike)?;
            self.scene.wait_protected()?;
        }
        if strike.serving() == Some(active) && !self.scene.is_alone() {
            self.keep_calm(&watch)?;
        }
        let of_the_fault = match self.fault {
            Fault::FreezeAll => Some(self.scene.check_returned()?),
            Fault::Flap => Some(self.scene.check_moves(watch.status())),
            Fault::Overload => strike.check_storm(),
            Fault::Upgrade => Some(self.scene.check_upgraded()),
            Fault::UpgradeKill => Some(self.scene.check_two_programs()),
            _ => None,
        };
        self.result.checks.extend(of_the_fault);
        match last {
            Some(before) => {
                let is_long = self.arguments.lasts(self.fault).is_some_and(|lasts| lasts >= crate::phones::REFRESH);
                self.scene.check_after(&standing, is_long, &strike, before, self.result)?;
            }
            None => self.end_setup(&standing)?,
        }
        if !is_ended {
            self.display.waiting("what was broken comes back and learns everything again");
            strike.end(self.scene)?;
            self.scene.wait_protected()?;
            if self.fault == Fault::Cut {
                self.result.checks.push(self.scene.check_returned()?);
            }
        }
        if last.is_some() {
            self.result.checks.push(self.scene.check_records());
        }
        Ok(())
    }

    /// Listens for a while, lets the moment come, and listens on. Notes what each phone of a talking call heard.
    fn listen(&mut self, moment: Moment, strike: &mut Strike) -> Result<(), LabError> {
        let heard = of_kind(self.plan, &[Kind::Talking, Kind::Echo]);
        let phones: Vec<usize> = heard.iter().flat_map(Call::phones).collect();
        begin_window(&self.scene.room, &phones)?;
        let short = self.arguments.rounds > 1 || moment == Moment::End;
        thread::sleep(if short { BASELINE_SHORT } else { BASELINE });
        let before = silences(&self.scene.room, &phones)?;
        self.display.baseline(before.iter().map(|silence| silence.longest_ms));
        begin_window(&self.scene.room, &phones)?;
        let names = [strike.active(), 1 - strike.active().min(1)].map(|index| self.scene.name_of(index));
        self.display.strike(self.fault, moment == Moment::End, &names);
        let mut avalanche = None;
        match moment {
            Moment::Begin => {
                set_up_around(&mut self.scene.room, &of_kind(self.plan, &[Kind::Setup]), self.fault)?;
                strike.begin(self.scene)?;
                avalanche = self.scene.begin_avalanche(self.arguments.avalanche as usize)?;
            }
            Moment::End => strike.end(self.scene)?,
        }
        self.observe(strike.active(), &phones, self.observed(moment, strike.round()))?;
        if let Some(avalanche) = avalanche {
            self.result.add(avalanche.wait()?);
        }
        let after = silences(&self.scene.room, &phones)?;
        let ears = ears(&self.scene.room, &heard, &before, &after);
        let own_delay_ms = own_delay_ms(&self.scene.room)?;
        self.display.heard(self.arguments.promise_ms(self.fault), &ears, own_delay_ms);
        if let Some(absences) = strike.absences(&gaps(&self.scene.room, &phones)?) {
            self.display.absences(&absences);
            self.result.absences = Some(absences);
        }
        self.result.own_delay_ms = self.result.own_delay_ms.max(own_delay_ms);
        self.result.worst_ms.push(ears.iter().map(|ear| ear.after_ms).fold(0.0, f64::max));
        self.result.ears.extend(ears);
        Ok(())
    }

    fn observed(&self, moment: Moment, round: u32) -> Duration {
        let many = self.arguments.rounds > 1;
        match (moment, self.arguments.lasts(self.fault)) {
            (Moment::Begin, Some(lasts)) => lasts,
            (Moment::Begin, None) => Duration::from_millis(self.fault.observe_ms(round, many)),
            (Moment::End, _) => Duration::from_millis(self.fault.observe_end_ms(many)),
        }
    }

    /// Lets time pass and shows the worst silence so far.
    fn observe(&mut self, node: usize, phones: &[usize], observed: Duration) -> Result<(), LabError> {
        let begun = Instant::now();
        let alone = self.fault == Fault::RestartAlone;
        let mut call_at = LIFE_EVERY;
        while begun.elapsed() < observed {
            thread::sleep(Duration::from_millis(if alone { 2 } else { 50 }));
            if alone && !self.scene.node_mut(node)?.is_running() {
                // Nothing of the node has survived: the drill is the service manager that starts it again.
                self.scene.node_mut(node)?.start()?;
            }
            if observed >= LIFE_FROM && begun.elapsed() >= call_at && begun.elapsed() + LIFE_EVERY < observed {
                self.live_on()?;
                call_at = begun.elapsed() + LIFE_EVERY;
            }
            if self.display.is_live() {
                let worst = silences(&self.scene.room, phones)?.into_iter().map(|silence| silence.longest_ms);
                self.display.live(begun.elapsed(), worst.fold(0.0, f64::max));
            }
        }
        Ok(())
    }

    /// Upgrades the node that stands by, and gives the other one, which has to wait for it.
    fn upgrade_half(&mut self) -> Result<usize, LabError> {
        let old = self.scene.wait_protected()?;
        let before = self.scene.node(old)?.status()?;
        self.display.waiting("the node that stands by is upgraded");
        self.scene.upgrade(1 - old.min(1))?;
        self.call_between_upgrades(old, &before)?;
        Ok(old)
    }

    /// Upgrades the last node that has the old program. Everything was asked and all calls have ended: others live
    /// through this.
    fn upgrade_rest(&mut self, old: usize) -> Result<(), LabError> {
        let calls = of_kind(self.plan, &[Kind::Talking, Kind::Held, Kind::Ringing, Kind::Echo]);
        self.display.waiting("new calls come up, and the other node is upgraded");
        bring_up(&mut self.scene.room, &calls)?;
        self.scene.upgrade(old)?;
        self.scene.wait_protected()?;
        self.result.checks.push(self.scene.check_upgraded());
        self.scene.room.check_kept(&calls, self.result)?;
        self.result.checks.push(self.scene.check_records());
        Ok(())
    }

    /// While the two nodes run two programs: nobody has noticed, and new calls are as good as any.
    fn call_between_upgrades(&mut self, active: usize, before: &Status) -> Result<(), LabError> {
        self.result.checks.push(self.scene.check_untouched(active, before));
        self.scene.wait_protected()?;
        let calls = of_kind(self.plan, &[Kind::Apart]);
        let room = &mut self.scene.room;
        let mut wrong = room.dial(&calls)?;
        let rang: Vec<Call> = calls.iter().filter(|call| !wrong.contains(call)).copied().collect();
        wrong.extend(room.pick_up(&rang)?);
        self.result.checks.push(self.scene.room.check_calls("new calls between the two upgrades", &calls, wrong));
        Ok(())
    }

    /// The calls that were made at the beginning of a long fault end, and the same people call each other again.
    fn live_on(&mut self) -> Result<(), LabError> {
        let calls = of_kind(self.plan, &[Kind::Setup]);
        let room = &mut self.scene.room;
        let mut wrong = room.hang_up(&calls)?;
        room.note_ended(&calls)?;
        let mute = room.dial_answered(&calls)?;
        wrong.extend(mute.into_iter().filter(|call| !wrong.contains(call)).collect::<Vec<_>>());
        self.result.add(self.scene.room.check_calls(MEANWHILE, &calls, wrong));
        Ok(())
    }

    /// Asks what became of the calls that were being set up when the fault came. Gives the plan without those that
    /// were refused, which are over.
    fn settle_setup(&mut self) -> Result<Vec<Call>, LabError> {
        let setup = of_kind(self.plan, &[Kind::Setup]);
        if setup.is_empty() {
            return Ok(self.plan.to_vec());
        }
        let (check, refused) = self.scene.room.check_setup(&setup)?;
        self.result.checks.push(check);
        self.scene.room.note_ended(&refused)?;
        let standing: Vec<Call> = self.plan.iter().filter(|call| !refused.contains(call)).copied().collect();
        let taken_ms = self.scene.room.setup_ms(&of_kind(&standing, &[Kind::Setup]))?;
        self.display.set_up(setup.len(), &taken_ms);
        self.result.setup_ms.extend(taken_ms);
        Ok(standing)
    }

    /// Another fault follows, with new calls that are being set up.
    fn end_setup(&mut self, standing: &[Call]) -> Result<(), LabError> {
        let setup = of_kind(standing, &[Kind::Setup]);
        if setup.is_empty() {
            return Ok(());
        }
        let wrong = self.scene.room.hang_up(&setup)?;
        self.result.checks.push(self.scene.room.check_calls(super::checks::HUNG_UP, &setup, wrong));
        self.scene.room.note_ended(&setup)
    }

    /// Tells what the pair made of a fault that was to leave it as it was.
    fn keep_calm(&mut self, watch: &super::watch::Watch) -> Result<(), LabError> {
        let calm = self.scene.calm_since(watch)?;
        self.display.calm(&calm);
        let has_a_good_link = match self.fault {
            Fault::LinkCut => true,
            Fault::Loss => self.scene.links().len() > self.arguments.lossy_links as usize,
            _ => false,
        };
        if has_a_good_link {
            self.result.checks.push(calm.check());
        }
        self.result.calm = Some(self.result.calm.unwrap_or_default() + calm);
        Ok(())
    }

    /// While the switch is split, calls change on both sides: what rang is answered, what was held goes on. Nothing
    /// but the merge can bring the two together.
    fn live_apart(&mut self) -> Result<(), LabError> {
        let (ringing, apart) = (of_kind(self.plan, &[Kind::Ringing]), of_kind(self.plan, &[Kind::Apart]));
        let room = &mut self.scene.room;
        let unanswered = room.pick_up(&ringing)?;
        let mut wrong = room.dial(&apart)?;
        let rang: Vec<Call> = apart.iter().filter(|call| !wrong.contains(call)).copied().collect();
        wrong.extend(room.pick_up(&rang)?);
        let name = "calls that rang are answered during the split";
        self.result.checks.push(self.scene.room.check_calls(name, &ringing, unanswered));
        self.result.checks.push(self.scene.room.check_calls(
            "new calls during the split, on both sides",
            &apart,
            wrong,
        ));
        Ok(())
    }
}

/// Begins these calls, and comes back at the moment at which the fault is to be committed.
pub(super) fn set_up_around(room: &mut Room, setup: &[Call], fault: Fault) -> Result<(), LabError> {
    if setup.is_empty() {
        return Ok(());
    }
    let moment_us = room.set_up_around(setup)?;
    let now_us = room.phones.with(|driver| driver.now_us())?;
    thread::sleep(Duration::from_micros(moment_us.saturating_sub(now_us + fault.takes_us())));
    Ok(())
}

pub(super) fn begin_window(room: &Room, phones: &[usize]) -> Result<(), LabError> {
    let phones = phones.to_vec();
    room.phones.with(move |driver| {
        driver.late_us_max = 0;
        driver.start_windows(&phones);
    })
}

/// How late the phones spoke at worst since the window began.
pub(super) fn own_delay_ms(room: &Room) -> Result<f64, LabError> {
    Ok(room.phones.with(|driver| std::mem::take(&mut driver.late_us_max))? as f64 / 1000.0)
}

pub(super) struct Silence {
    pub(super) longest_ms: f64,
    silent: bool,
}

/// What each of these phones has heard since the window began.
pub(super) fn silences(room: &Room, phones: &[usize]) -> Result<Vec<Silence>, LabError> {
    let phones = phones.to_vec();
    room.phones.with(move |driver| {
        let silence = |phone: usize| {
            let report = report(driver, phone);
            let last = report.last_new_us.map_or(u64::MAX, |last| driver.now_us().saturating_sub(last));
            Silence { longest_ms: report.silence_us as f64 / 1000.0, silent: last > SILENT_US }
        };
        phones.into_iter().map(silence).collect()
    })
}

/// Each gap that these phones have heard since the window began.
fn gaps(room: &Room, phones: &[usize]) -> Result<Vec<Gap>, LabError> {
    let phones = phones.to_vec();
    room.phones.with(move |driver| {
        let listeners = phones.into_iter().filter_map(|phone| driver.handsets.get(phone)?.listener.as_ref());
        listeners.flat_map(|listener| listener.gaps().to_vec()).collect()
    })
}

/// What the phones of these calls heard; the silences are in the order of the calls' phones.
pub(super) fn ears(room: &Room, calls: &[Call], before: &[Silence], after: &[Silence]) -> Vec<Ear> {
    let ends = calls.iter().flat_map(|call| call.ears().map(move |ear| (call, ear)));
    let ears = ends.zip(before.iter().zip(after)).map(|((call, (phone, hears)), (before, after))| Ear {
        phone: room.number(phone).to_owned(),
        hears: if call.kind == Kind::Echo { "Echo".to_owned() } else { room.number(hears).to_owned() },
        before_ms: before.longest_ms,
        after_ms: after.longest_ms,
        silent_for_good: after.silent,
    });
    ears.collect()
}
