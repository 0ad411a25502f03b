//! The simulator's command line.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::Parser;
use sim::apart;
use sim::chaos::{self, Options};
use sim::edit::{self, Change, Trial};
use sim::exhaustive::{self, Death, Outcome, Report};
use sim::planted::{self, Planted};
use sim::reference::{self, Reference};
use sim::world::CrashPoint;

/// Worlds between two words about how far it is.
const TELL_EVERY: u64 = 100;

/// Runs whole clusters in virtual time, with faults and independent checkers. Without options: 40 random worlds.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// One random world of ten minutes; with --exhaustive or --planted the seed of those runs.
    #[arg(long)]
    seed: Option<u64>,
    /// So many random worlds.
    #[arg(long)]
    seeds: Option<u64>,
    /// The seed of the first of them.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Leave this fault out of the random worlds, by the name that is printed.
    #[arg(long)]
    without: Vec<String>,
    /// Let the serving node die before and after every action of the reference calls.
    #[arg(long)]
    exhaustive: bool,
    /// Only this reference call, or change of the configuration.
    #[arg(long)]
    call: Option<String>,
    /// How the node dies: kill, power, cut, long-cut, alone, sleep, standby-cut, both-power; or is parted from its peer: links-cut,
    /// isolated; or `split`: it is killed before a split is merged, without any reference call; or `edit`, `edit-power`:
    /// one of the two is killed, or loses its power, amid a change of the configuration.
    #[arg(long, default_value = "kill")]
    fault: String,
    /// With --fault split: which machine dies, 0 or 1; with --fault edit: 0 for the one that serves, 1 for the one that
    /// stands by. Both in turn without it.
    #[arg(long)]
    victim: Option<usize>,
    /// Only this crash point: the number of an action, with `+` for after it; 0 for none.
    #[arg(long)]
    at: Option<String>,
    /// Plant this fault, or `all` of them: each must be caught.
    #[arg(long)]
    planted: Option<String>,
    /// Print everything that happens.
    #[arg(long)]
    trace: bool,
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let clean = match &arguments.planted {
        Some(name) => planted_run(name, &arguments),
        None if arguments.exhaustive => exhaustive_run(&arguments),
        None => Ok(random_run(&arguments)),
    };
    match clean {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(text) => {
            eprintln!("{text}");
            ExitCode::from(2)
        }
    }
}

fn random_run(arguments: &Arguments) -> bool {
    let (from, count) = match arguments.seed {
        Some(seed) => (seed, 1),
        None => (arguments.from, arguments.seeds.unwrap_or(40)),
    };
    let mut options = Options { trace: arguments.trace, ..Options::default() };
    options.troubles.retain(|trouble| !arguments.without.contains(&format!("{trouble:?}")));
    let started = Instant::now();
    let (next, failed, done) = (AtomicU64::new(from), AtomicU64::new(0), AtomicU64::new(0));
    let threads = if arguments.trace { 1 } else { arguments.threads.max(1) };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + count {
                        return;
                    }
                    let is_clean = random_world(seed, &options, count <= 3);
                    failed.fetch_add(u64::from(!is_clean), Ordering::Relaxed);
                    let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                    if done.is_multiple_of(TELL_EVERY) && done < count {
                        eprintln!("{done} of {count} worlds, {:.0} s", started.elapsed().as_secs_f64());
                    }
                }
            });
        }
    });
    let failed = failed.into_inner();
    println!("{count} seeds, {failed} failed, {:.1} s", started.elapsed().as_secs_f64());
    failed == 0
}

fn random_world(seed: u64, options: &Options, tell: bool) -> bool {
    let outcome = chaos::run(seed, options, None);
    if let Some(failure) = &outcome.failure {
        println!("seed {seed} FAILED {failure}\n  faults: {:?}\n  again: {}", outcome.faults, chaos::again(seed));
        return false;
    }
    if tell {
        let longest = outcome.silences_us.iter().map(|(_, gap_us)| gap_us / 1000).max().unwrap_or_default();
        println!(
            "seed {seed} clean: {} calls, {} answered, longest silence {longest} ms, faults {:?}, told trouble {:?}",
            outcome.calls, outcome.answered, outcome.faults, outcome.troubles
        );
    }
    true
}

fn exhaustive_run(arguments: &Arguments) -> Result<bool, String> {
    if arguments.fault == "split" {
        return Ok(split_run(arguments));
    }
    match arguments.fault.as_str() {
        "edit" => return edit_run(arguments, Death::Kill),
        "edit-power" => return edit_run(arguments, Death::Power),
        _ => {}
    }
    let death = Death::parse(&arguments.fault).ok_or_else(|| format!("there is no fault {}", arguments.fault))?;
    let calls: Vec<Reference> = match &arguments.call {
        Some(name) => vec![Reference::parse(name).ok_or_else(|| format!("there is no reference call {name}"))?],
        None => reference::ALL.to_vec(),
    };
    let seed = arguments.seed.unwrap_or(1);
    let mut clean = true;
    for call in calls {
        clean &= match &arguments.at {
            Some(at) => one_crash(call, death, at, seed, arguments.trace),
            None => every_crash(call, death, seed, arguments.threads),
        };
    }
    Ok(clean)
}

fn split_run(arguments: &Arguments) -> bool {
    let seed = arguments.seed.unwrap_or(1);
    let victims = arguments.victim.map_or(0..2, |victim| victim..victim + 1);
    let mut clean = true;
    for victim in victims {
        clean &= match &arguments.at {
            Some(at) => one_outcome("split", &apart::run(Some(victim), crash(at), seed, arguments.trace, None)),
            None => {
                let started = Instant::now();
                let report = apart::run_all(victim, seed, arguments.threads, 1);
                every_outcome(&format!("split, node {victim}"), &report, started, |crash| {
                    apart::again(victim, seed, crash)
                })
            }
        };
    }
    clean
}

fn edit_run(arguments: &Arguments, death: Death) -> Result<bool, String> {
    let changes: Vec<Change> = match &arguments.call {
        Some(name) => vec![Change::parse(name).ok_or_else(|| format!("there is no change {name}"))?],
        None => edit::ALL.to_vec(),
    };
    let seed = arguments.seed.unwrap_or(1);
    let mut clean = true;
    for change in changes {
        for victim in arguments.victim.map_or(0..2, |victim| victim..victim + 1) {
            let trial = Trial { change, death, standby_dies: victim == 1, seed };
            let name = format!("{}, {}", change.name(), if victim == 1 { "standby" } else { "active" });
            clean &= match &arguments.at {
                Some(at) => one_outcome(&name, &trial.run(crash(at), arguments.trace, None)),
                None => {
                    let started = Instant::now();
                    let report = trial.run_all(arguments.threads, 1);
                    every_outcome(&name, &report, started, |crash| trial.again(crash))
                }
            };
        }
    }
    Ok(clean)
}

/// Reads what `--at` says.
fn crash(at: &str) -> Option<CrashPoint> {
    let action = at.trim_end_matches('+').parse().unwrap_or(0);
    (action > 0).then_some(CrashPoint { action, after: at.ends_with('+') })
}

fn one_crash(call: Reference, death: Death, at: &str, seed: u64, trace: bool) -> bool {
    one_outcome(call.name(), &exhaustive::run(call, death, crash(at), seed, trace, None))
}

fn one_outcome(name: &str, outcome: &Outcome) -> bool {
    match &outcome.failure {
        Some(failure) => println!("{name} FAILED {failure}"),
        None => println!("{name} clean, told trouble {:?}", outcome.troubles),
    }
    outcome.failure.is_none()
}

fn every_crash(call: Reference, death: Death, seed: u64, threads: usize) -> bool {
    let started = Instant::now();
    let report = exhaustive::run_all(call, death, seed, threads, 1);
    every_outcome(call.name(), &report, started, |crash| exhaustive::again(call, death, seed, crash))
}

fn every_outcome(name: &str, report: &Report, started: Instant, again: impl Fn(Option<CrashPoint>) -> String) -> bool {
    println!(
        "{name:31} {:5} actions {:5} runs {:5} failed   longest silence {:3} ms {:7.1} s",
        report.actions,
        report.runs,
        report.failed.len(),
        report.silence_us / 1000,
        started.elapsed().as_secs_f64()
    );
    for outcome in report.failed.iter().take(5) {
        if let Some(failure) = &outcome.failure {
            println!("  {failure}\n  again: {}", again(outcome.crash));
        }
    }
    report.failed.is_empty()
}

fn planted_run(name: &str, arguments: &Arguments) -> Result<bool, String> {
    let chosen: Vec<Planted> = match name {
        "all" => planted::ALL.to_vec(),
        _ => vec![Planted::parse(name).ok_or_else(|| format!("there is no planted fault {name}"))?],
    };
    let mut all_caught = true;
    for planted in chosen {
        let proof = planted.prove(arguments.seed.unwrap_or(1));
        println!("{:28} committed in {:3} runs, caught in {:3}", planted.name(), proof.committed, proof.caught);
        println!("    planted so: {}", planted.how());
        match proof.first.and_then(|outcome| outcome.failure) {
            Some(failure) => println!("    caught by {failure}"),
            None => {
                println!("    ESCAPED");
                all_caught = false;
            }
        }
    }
    Ok(all_caught)
}
