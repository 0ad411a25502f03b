//! What the drill shows while it runs and at its end. With `--json` nothing but the document at the end.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

use super::DrillArguments;
use super::absence::Absences;
use super::calls::{Call, Counts, Kind};
use super::checks::{Check, KEPT};
use super::fault::Fault;
use super::load::Load;
use super::report::{FaultReport, Report};
use super::scene::Scene;
use super::statistics::Summary;
use super::trial::{Ear, TrialResult};
use super::watch::Calm;

/// More lines than this tell a reader nothing: the worst ones are shown.
const EARS_SHOWN_MAX: usize = 10;

/// One letter of a bar.
const BAR_MS: f64 = 10.0;
const BAR_LETTERS_MAX: usize = 40;

/// A drill that is late by less changes no figure.
const OWN_DELAY_TOLD_MS: f64 = 2.0;

pub(super) struct Display {
    json: bool,
    /// A terminal, whose last line may be written over.
    live: bool,
}

impl Display {
    pub(super) fn new(json: bool) -> Self {
        Self { json, live: !json && std::io::stdout().is_terminal() }
    }

    pub(super) fn is_live(&self) -> bool {
        self.live
    }

    fn line(&self, text: &str) {
        if !self.json {
            let clear = if self.live { "\r\x1b[2K" } else { "" };
            println!("{clear}{text}");
        }
    }

    /// A line that the next one replaces.
    fn passing(&self, text: &str) {
        if self.live {
            print!("\r\x1b[2K{text}");
            // A terminal that is gone misses nothing.
            let _ = std::io::stdout().flush();
        }
    }

    /// `is_user` when an ordinary user runs the drill.
    pub(super) fn introduction(&self, arguments: &DrillArguments, is_user: bool) {
        let phones = Counts::new(arguments, arguments.fault.ground()).phones();
        self.line(&format!(
            "\nTandem drill: {phones} telephones, two machines that serve them, and things that go wrong.\n\n\
             \x20  {phones:>3} phones ----- switch ----- node a  10.77.0.11\n\
             \x20                      |\n\
             \x20                      +------- node b  10.77.0.12\n\n\
             The phones know one address only, 10.77.0.100. One node has it and carries the calls; the other one stands\n\
             by. Every phone speaks a sound of its own, 50 packets a second, and checks what it hears: how long it was\n\
             silent, and whether it was the right call. Without any fault a packet comes every 20 ms."
        ));
        if is_user {
            self.line(
                "Without root there is no real-time priority, so that a busy machine may break the promise, and no fault \
                 of the disks.",
            );
        }
        if arguments.slack > 1.0 {
            self.line(&format!("The promised times are multiplied by {} (--slack).", arguments.slack));
        }
    }

    pub(super) fn trial(&self, fault: Fault, number: u32, of: u32) {
        self.line(&format!("\n--- {} ({number} of {of}): {}", fault.name(), fault.facts().story));
    }

    pub(super) fn waiting(&self, text: &str) {
        self.passing(&format!("    ... {text}"));
    }

    pub(super) fn scene(&self, scene: &Scene, active: usize, plan: &[Call]) {
        let name = |index: usize| scene.nodes.get(index).map_or("?", |node| node.name.as_str());
        let count = |kind| plan.iter().filter(|call| call.kind == kind).count();
        let nodes = if scene.is_alone() {
            format!("node {} serves, alone", name(active))
        } else {
            format!("node {} serves, node {} stands by and knows everything", name(active), name(1 - active.min(1)))
        };
        self.line(&format!(
            "    now      {nodes}; calls: {} talk, {} on hold, {} ring, {} in Echo, {} about to be made",
            count(Kind::Talking),
            count(Kind::Held),
            count(Kind::Ringing),
            count(Kind::Echo),
            count(Kind::Setup)
        ));
    }

    pub(super) fn baseline(&self, silences_ms: impl Iterator<Item = f64>) {
        let summary = Summary::of(silences_ms);
        self.line(&format!(
            "    before   longest silence at a phone {:.0} ms, half of them at most {:.0} ms",
            summary.worst, summary.median
        ));
    }

    /// The fault has come, or ended. The names are those of the nodes that serves and that stands by.
    pub(super) fn strike(&self, fault: Fault, ended: bool, [active, standby]: &[String; 2]) {
        let facts = fault.facts();
        let (head, what) = if ended { ("END  ", facts.ended.unwrap_or_default()) } else { ("FAULT", facts.struck) };
        let what = what.replace("ACTIVE", active).replace("STANDBY", standby);
        self.line(&format!("    {head}    {what}"));
    }

    pub(super) fn live(&self, since: Duration, worst_ms: f64) {
        self.passing(&format!("    +{:.1} s   longest silence so far {worst_ms:.0} ms", since.as_secs_f64()));
    }

    /// What became of the calls that were being set up at the fault.
    pub(super) fn set_up(&self, calls: usize, taken_ms: &[f64]) {
        let summary = Summary::of(taken_ms.iter().copied());
        self.line(&format!(
            "    set up   {} of {calls} calls that were being made were answered, the slowest after {:.0} ms",
            summary.count, summary.worst
        ));
    }

    /// What the phones without audio took when they came.
    pub(super) fn load(&self, load: &Load) {
        let Load { registrations, calls, refused, register_ms, setup_ms, nodes } = load;
        self.line(&format!(
            "    load     {registrations} registrations, {calls} calls, {refused} refused; one by one a registration takes \
             {:.2} ms (p99 {:.2}), a call's set-up {:.2} ms (p99 {:.2})",
            register_ms.median, register_ms.p99, setup_ms.median, setup_ms.p99
        ));
        for cost in nodes {
            self.line(&format!(
                "             node {} ({}): a registration takes {:.0} bytes and {:.3} ms of a processor, a call {:.0} bytes \
                 and {:.3} ms",
                cost.node,
                cost.role,
                cost.registration_bytes,
                cost.registration_cpu_ms,
                cost.call_bytes,
                cost.call_cpu_ms
            ));
        }
    }

    /// What became of a pair that nothing was to happen to.
    pub(super) fn calm(&self, calm: &Calm) {
        self.line(&format!(
            "    pair     {} takeovers, {} late acknowledgements, unprotected for {:.3} s",
            calm.takeovers, calm.late_acks, calm.unprotected_s
        ));
    }

    pub(super) fn result(&self, result: &TrialResult) {
        if let Some(error) = &result.error {
            self.line(&format!("    [BROKEN] {error}"));
        }
        for check in &result.checks {
            let verdict = if check.is_good() { " ok " } else { "FAIL" };
            self.line(&format!("    [{verdict}]   {:<48} {} of {}", check.name, check.good, check.total));
            for note in &check.notes {
                self.line(&format!("             - {note}"));
            }
        }
    }

    /// What the phones of the talking calls heard of one fault. `own_delay_ms` is how late the drill's phones spoke.
    pub(super) fn heard(&self, promise_ms: f64, ears: &[Ear], own_delay_ms: f64) {
        let summary = Summary::of(ears.iter().map(|ear| ear.after_ms));
        let deaf = ears.iter().any(|ear| ear.silent_for_good);
        let verdict = if summary.p99 <= promise_ms && !deaf { " ok " } else { "FAIL" };
        self.line(&format!(
            "    after    longest silence at a phone {:.0} ms, half of them at most {:.0} ms",
            summary.worst, summary.median
        ));
        let mut sorted: Vec<&Ear> = ears.iter().collect();
        sorted.sort_by(|one, other| other.after_ms.total_cmp(&one.after_ms));
        for ear in sorted.iter().take(EARS_SHOWN_MAX) {
            let letters = ((ear.after_ms / BAR_MS).round() as usize).clamp(1, BAR_LETTERS_MAX);
            let end = if ear.silent_for_good { "  and still silent" } else { "" };
            self.line(&format!(
                "             {} hears {}  {:>5.0} ms {:<12} before {:.0} ms{end}",
                ear.phone,
                ear.hears,
                ear.after_ms,
                "#".repeat(letters),
                ear.before_ms
            ));
        }
        if let Some(more) = ears.len().checked_sub(EARS_SHOWN_MAX).filter(|more| *more > 0) {
            self.line(&format!("             and {more} more, none longer"));
        }
        let own = if own_delay_ms > OWN_DELAY_TOLD_MS {
            format!(" (the phones themselves were up to {own_delay_ms:.0} ms late, which is not counted)")
        } else {
            String::new()
        };
        self.line(&format!("    [{verdict}]   silence: at most {promise_ms:.0} ms promised{own}"));
    }

    /// A machine that is not there cannot be on time, so that whoever reads a long silence sees whether it was.
    pub(super) fn absences(&self, absences: &Absences) {
        let Absences { count, one_core_ms, all_cores_ms, silence_ms } = absences;
        self.line(&format!(
            "    cores    away {count} times, one for up to {one_core_ms:.0} ms, all for {all_cores_ms:.0} ms"
        ));
        self.line(&format!("             silence without the times at which one was away: {silence_ms:.0} ms"));
    }

    /// Where the files are that `--keep` keeps.
    pub(super) fn files(&self, directory: &Path) {
        self.line(&format!("    files    {}", directory.display()));
    }

    pub(super) fn nodes_at_failure(&self, scene: &Scene) {
        let text = format!("the nodes' files and logs stay in {}", scene.directory().display());
        let tails = scene.nodes.iter().map(|node| format!("last lines of node {}:\n{}", node.name, node.log_tail(15)));
        let all = std::iter::once(text).chain(tails).collect::<Vec<_>>().join("\n");
        if self.json {
            eprintln!("{all}");
        } else {
            self.line(&all);
        }
    }

    pub(super) fn report(&self, report: &Report) {
        if self.json {
            println!("{}", report.json());
            return;
        }
        self.line("\nLongest silence at a phone, in ms; a phone counts once per fault and direction");
        self.line(&format!(
            "{:<14} {:>6} {:>7} | {:>7} {:>7} {:>7} | {:>8} | {:>8} | {:<14} | ",
            "fault", "trials", "phones", "median", "p99", "worst", "promised", "no fault", "everything else"
        ));
        for fault in &report.faults {
            self.row(fault);
        }
        self.kept(&report.faults);
        for fault in &report.faults {
            self.beside(fault);
        }
        let verdict = if report.passed() { "The promise was kept." } else { "THE PROMISE WAS BROKEN." };
        self.line(&format!("\n{verdict}"));
    }

    /// One row per fault: for how many calls or phones the answer was yes, of how many.
    fn kept(&self, faults: &[FaultReport]) {
        let heads: String = KEPT.iter().map(|(head, _)| format!(" {head:>11}")).collect();
        self.line(&format!("\nWhat was kept, of how many\n{:<14}{heads}", "fault"));
        for fault in faults {
            let cell = |name: &str| match fault.checks.iter().find(|check| check.name == name) {
                Some(check) => format!("{}/{}", check.good, check.total),
                None => "-".to_owned(),
            };
            let cells: String = KEPT.iter().map(|(_, name)| format!(" {:>11}", cell(name))).collect();
            self.line(&format!("{:<14}{cells}", fault.fault));
        }
    }

    /// What another assembly made of the fault.
    pub(super) fn rival(&self, name: &str, moved_ms: Option<f64>, again: &Check) {
        let moved = match moved_ms {
            Some(moved_ms) => format!("the address was at the other machine after {moved_ms:.0} ms"),
            None => "the address did not move".to_owned(),
        };
        let Check { good, total, .. } = again;
        self.line(&format!(
            "    beside   {name}: {moved}; once all phones had registered again, {good} of {total} new calls worked"
        ));
    }

    /// Ours and theirs of one fault, when there is another one.
    fn beside(&self, fault: &FaultReport) {
        let Some(comparison) = &fault.comparison else { return };
        self.line(&format!("\n{:<36} {:>12} {:>25} {:>8}", fault.fault, "Tandem", comparison.with, "times"));
        for [what, ours, theirs, ratio] in comparison.rows(fault) {
            self.line(&format!("{what:<36} {ours:>12} {theirs:>25} {ratio:>8}"));
        }
    }

    fn row(&self, fault: &FaultReport) {
        let Summary { count, median, p99, worst } = fault.silence_ms;
        let failed: Vec<_> = fault.checks.iter().filter(|check| !check.is_good()).collect();
        let rest = match (fault.errors.len(), failed.len()) {
            (0, 0) => "as promised".to_owned(),
            (0, _) => failed
                .iter()
                .map(|check| format!("{} of {} {}", check.good, check.total, check.name))
                .collect::<Vec<_>>()
                .join("; "),
            (broken, _) => format!("{broken} trials not brought to an end"),
        };
        let silence = match (fault.silence_kept(), count) {
            (true, _) => "",
            (false, 0) => "  <- nothing measured",
            (false, _) => "  <- too long",
        };
        self.line(&format!(
            "{:<14} {:>6} {count:>7} | {median:>7.0} {p99:>7.0} {worst:>7.0} | {:>8.0} | {:>8.0} | {rest}{silence}",
            fault.fault, fault.trials, fault.promise_ms, fault.baseline_ms.worst
        ));
    }
}
