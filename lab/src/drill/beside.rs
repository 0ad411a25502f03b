//! The same phones and the same faults against what people build today, in the same run, and both side by side.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use phone::PhoneCommand;
use serde_json::{Value, json};

use super::DrillArguments;
use super::calls::{Call, Counts, Kind, of_kind, record, state, talks};
use super::checks::{Check, KEPT, REGISTERED, SET_UP};
use super::display::Display;
use super::fault::{Fault, Ground};
use super::report::FaultReport;
use super::room::{Room, SIDES, accounts};
use super::scene::PAIR;
use super::statistics::Summary;
use super::trial::{TrialResult, begin_window, bring_up, ears, own_delay_ms, set_up_around, silences};
use crate::LabError;
use crate::netns::Network;
use crate::phones::Driver;
use crate::rival::{NAME, RivalNode, Root};

/// What Tandem is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Beside {
    /// Asterisk 16 on two machines, with a keepalived that moves the address. Makes a Debian for it the first time.
    Asterisk,
}

const BASELINE: Duration = Duration::from_secs(2);

/// Three missing adverts and a second more, twice.
const OBSERVE: Duration = Duration::from_secs(8);

/// A user whose call was refused dials again so soon.
const DIAL_AGAIN: Duration = Duration::from_millis(500);

/// The one with the greater priority serves.
const PRIORITIES: [u8; 2] = [101, 100];

/// From the start of keepalived until the address is there: three adverts and a check.
const SERVE_LIMIT: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Assemblies made by this process, so that each has a folder of its own.
static MADE: AtomicU32 = AtomicU32::new(0);

/// Both machines and their phones. The programs end before the network goes.
struct Assembly {
    room: Room,
    nodes: Vec<RivalNode>,
    network: Network,
}

/// Commits this fault to a fresh assembly; `None` when it is not one that the comparison knows.
pub(super) fn trial(
    fault: Fault,
    arguments: &DrillArguments,
    root: &Root,
    display: &Display,
) -> Result<Option<TrialResult>, LabError> {
    if !is_compared(fault) {
        return Ok(None);
    }
    display.waiting("the other assembly starts");
    let mut assembly = Assembly::start(root, accounts(Counts::new(arguments, Ground::Pair).phones()))?;
    assembly.room.register()?;
    let plan = Counts::new(arguments, Ground::Pair).plan();
    bring_up(&mut assembly.room, &plan)?;
    assembly.trial(fault, &plan, display).map(Some)
}

pub(super) const fn is_compared(fault: Fault) -> bool {
    matches!(fault, Fault::Kill | Fault::Cut)
}

impl Assembly {
    fn start(root: &Root, accounts: Vec<crate::phones::Account>) -> Result<Self, LabError> {
        let folder = format!("tandem-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let network = Network::build(&[SIDES, PAIR].concat())?;
        let mut nodes = Vec::new();
        for ((name, _), priority) in PAIR.into_iter().zip(PRIORITIES) {
            nodes.push(RivalNode::new(network.host(name)?, root, &folder, priority, &accounts)?);
        }
        let room = Room::start(&network, accounts)?;
        let mut assembly = Self { room, nodes, network };
        for node in &mut assembly.nodes {
            node.start()?;
        }
        assembly.wait_serves()?;
        Ok(assembly)
    }

    fn wait_serves(&self) -> Result<(), LabError> {
        let begun = Instant::now();
        while !self.nodes.first().map(RivalNode::serves).transpose()?.unwrap_or(false) {
            if begun.elapsed() >= SERVE_LIMIT {
                let what = "keepalived's service address".to_owned();
                return Err(LabError::Waited { what, limit_ms: SERVE_LIMIT.as_millis() as u64 });
            }
            thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    fn trial(&mut self, fault: Fault, plan: &[Call], display: &Display) -> Result<TrialResult, LabError> {
        let heard = of_kind(plan, &[Kind::Talking, Kind::Echo]);
        let setup = of_kind(plan, &[Kind::Setup]);
        let phones: Vec<usize> = heard.iter().flat_map(Call::phones).collect();
        begin_window(&self.room, &phones)?;
        thread::sleep(BASELINE);
        let before = silences(&self.room, &phones)?;
        begin_window(&self.room, &phones)?;
        set_up_around(&mut self.room, &setup, fault)?;
        let struck_us = self.room.phones.with(|driver| driver.now_us())?;
        self.strike(fault)?;
        display.waiting(&format!("{NAME}: {} has come", fault.name()));
        let moved_ms = self.observe(&setup)?;
        let after = silences(&self.room, &phones)?;
        let ears = ears(&self.room, &heard, &before, &after);
        let worst_ms = vec![ears.iter().map(|ear| ear.after_ms).fold(0.0, f64::max)];
        let own_delay_ms = own_delay_ms(&self.room)?;
        let mut result = TrialResult { ears, worst_ms, own_delay_ms, ..TrialResult::default() };
        self.ask(plan, &setup, struck_us, &mut result)?;
        // It works, as far as it can: otherwise the comparison would be of something broken.
        self.room.register_again()?;
        let again = self.room.check_again(of_kind(plan, &[Kind::Talking]).len())?;
        display.rival(NAME, moved_ms, &again);
        Ok(result)
    }

    fn strike(&mut self, fault: Fault) -> Result<(), LabError> {
        let Some(serving) = self.nodes.first_mut() else { return Ok(()) };
        match fault {
            Fault::Kill => serving.kill(),
            _ => self.network.cut(&serving.host.name),
        }
    }

    /// Lets time pass. Whose call did not come about dials again. Gives the time at which the address was at the other
    /// node, in milliseconds.
    fn observe(&mut self, setup: &[Call]) -> Result<Option<f64>, LabError> {
        let begun = Instant::now();
        let mut moved_ms = None;
        let mut dial_at = DIAL_AGAIN;
        while begun.elapsed() < OBSERVE {
            thread::sleep(LOOK_EVERY);
            if moved_ms.is_none() && self.nodes.get(1).map(RivalNode::serves).transpose()?.unwrap_or(false) {
                moved_ms = Some(begun.elapsed().as_secs_f64() * 1000.0);
            }
            if begun.elapsed() >= dial_at {
                let asked = setup.to_vec();
                let over: Vec<Call> = self.room.phones.with(move |driver| {
                    asked.into_iter().filter(|call| call.phones().all(|phone| state(driver, phone).is_over())).collect()
                })?;
                self.room.begin(&over)?;
                dial_at += DIAL_AGAIN;
            }
        }
        Ok(moved_ms)
    }

    /// The questions that both are asked.
    fn ask(&mut self, plan: &[Call], setup: &[Call], struck_us: u64, result: &mut TrialResult) -> Result<(), LabError> {
        let asked = setup.to_vec();
        let answered = self.room.phones.with(move |driver: &mut Driver| {
            let answered_us = |call: &Call| record(driver, call.caller).and_then(|call| call.answered_us);
            let talking = asked.iter().filter(|call| talks(driver, call)).filter_map(answered_us);
            talking.collect::<Vec<u64>>()
        })?;
        result.setup_ms = answered.iter().map(|at_us| at_us.saturating_sub(struck_us) as f64 / 1000.0).collect();
        if !setup.is_empty() {
            let good = answered.len();
            result.checks.push(Check { name: SET_UP, good, total: setup.len(), notes: Vec::new() });
        }
        let registered = self.nodes.get(1).map(RivalNode::registrations).transpose()?.unwrap_or(0);
        let total = self.room.accounts.len();
        self.room.check_kept(plan, result)?;
        // Whoever hears nothing any more hangs up before dialling again.
        self.room.tell((0..total).collect(), PhoneCommand::HangUp)?;
        let again = self.room.check_again(of_kind(plan, &[Kind::Talking]).len())?;
        result.checks.push(again);
        result.checks.push(Check { name: REGISTERED, good: registered.min(total), total, notes: Vec::new() });
        Ok(())
    }
}

/// What both did with one fault.
#[derive(Clone, Debug)]
pub(super) struct Comparison {
    pub(super) with: &'static str,
    theirs: Box<FaultReport>,
}

impl Comparison {
    pub(super) fn new(fault: Fault, results: &[TrialResult]) -> Option<Self> {
        (!results.is_empty())
            .then(|| Self { with: NAME, theirs: Box::new(FaultReport::new(fault, fault.promise_ms(), results)) })
    }

    /// What is compared, ours, theirs, and how many times as much theirs is.
    pub(super) fn rows(&self, ours: &FaultReport) -> Vec<[String; 4]> {
        let theirs = &self.theirs;
        let median = |report: &FaultReport| silence(&report.silence_ms, report, report.silence_ms.median);
        let worst = |report: &FaultReport| silence(&report.silence_ms, report, report.silence_ms.worst);
        let mut rows = vec![
            times("longest silence, median, ms", median(ours), median(theirs)),
            times("longest silence, worst, ms", worst(ours), worst(theirs)),
            times("a phone can call again after, ms", again_ms(ours), again_ms(theirs)),
        ];
        rows.extend(KEPT.iter().filter_map(|(head, name)| {
            let share = |report: &FaultReport| {
                let check = report.checks.iter().find(|check| check.name == *name)?;
                Some(format!("{} of {}", check.good, check.total))
            };
            Some([format!("kept: {head}"), share(ours)?, share(theirs)?, String::new()])
        }));
        rows
    }

    pub(super) fn json(&self, ours: &FaultReport) -> Value {
        let rows = self.rows(ours).into_iter();
        let rows = rows
            .map(|[what, ours, theirs, ratio]| json!({ "what": what, "ours": ours, "theirs": theirs, "ratio": ratio }));
        json!({ "with": self.with, "theirs": self.theirs, "rows": rows.collect::<Vec<_>>() })
    }
}

/// A time in milliseconds, or why there is none.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Told {
    After(f64),
    Never(&'static str),
}

/// The figure, unless so many phones stay silent that it has no end.
fn silence(summary: &Summary, report: &FaultReport, figure: f64) -> Told {
    let is_worst = figure >= summary.worst;
    let is_endless = report.silent_for_good * 2 > summary.count || (is_worst && report.silent_for_good > 0);
    if is_endless { Told::Never("for ever") } else { Told::After(figure) }
}

fn again_ms(report: &FaultReport) -> Told {
    if report.setup_ms.count > 0 { Told::After(report.setup_ms.median) } else { Told::Never("the next REGISTER") }
}

fn times(what: &str, ours: Told, theirs: Told) -> [String; 4] {
    let figure = |told| match told {
        Told::After(ms) => format!("{ms:.0}"),
        Told::Never(word) => word.to_owned(),
    };
    let ratio = match (ours, theirs) {
        (Told::After(ours), Told::After(theirs)) if ours > 0.0 => format!("{:.1}", theirs / ours),
        (Told::After(_), Told::Never(_)) => "endless".to_owned(),
        _ => "-".to_owned(),
    };
    [what.to_owned(), figure(ours), figure(theirs), ratio]
}

#[cfg(test)]
mod tests {
    use super::super::checks::TALK;
    use super::super::trial::Ear;
    use super::*;

    fn results(after_ms: f64, silent_for_good: bool, setup_ms: &[f64], kept: usize) -> Vec<TrialResult> {
        let ear = Ear { phone: "5000".into(), hears: "5001".into(), before_ms: 20.0, after_ms, silent_for_good };
        let check = Check { name: TALK, good: kept, total: 2, notes: Vec::new() };
        let (ears, checks, setup_ms) = (vec![ear.clone(), ear], vec![check], setup_ms.to_vec());
        vec![TrialResult { ears, checks, setup_ms, ..TrialResult::default() }]
    }

    fn rows(theirs: &[TrialResult]) -> Vec<[String; 4]> {
        let ours = FaultReport::new(Fault::Kill, 60.0, &results(20.0, false, &[10.0], 2));
        Comparison::new(Fault::Kill, theirs).expect("a comparison").rows(&ours)
    }

    #[test]
    fn times_are_told_as_ratios() {
        let rows = rows(&results(2_000.0, false, &[4_000.0], 1));
        assert_eq!(rows[0][1..], ["20", "2000", "100.0"].map(str::to_owned));
        assert_eq!(rows[2][1..], ["10", "4000", "400.0"].map(str::to_owned));
        let talk = rows.iter().find(|row| row[0] == "kept: talk").expect("a row");
        assert_eq!(talk[1..], ["2 of 2", "1 of 2", ""].map(str::to_owned));
    }

    #[test]
    fn what_never_comes_back_has_no_figure() {
        let rows = rows(&results(8_000.0, true, &[], 0));
        assert_eq!(rows[1][2..], ["for ever", "endless"].map(str::to_owned));
        assert_eq!(rows[2][2..], ["the next REGISTER", "endless"].map(str::to_owned));
    }

    #[test]
    fn other_faults_are_ours_alone() {
        assert!(Comparison::new(Fault::Freeze, &[]).is_none());
        assert!(is_compared(Fault::Kill) && is_compared(Fault::Cut) && !is_compared(Fault::Power));
    }
}
