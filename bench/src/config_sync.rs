//! How long from saving one of many configuration files until both machines have it, beside csync2 and rsync on the same
//! files and the same two hosts.
//!
//! Tandem's time ends when both nodes *run* the file; it notices the change by itself. The others' ends when their run
//! ends, and begins when cron starts it: the wait for cron's minute is told apart. They check nothing and load nothing.

mod rivals;

use std::fs;
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use lab::netns::Network;
use lab::nodes::{Node, make_key};
use miette::{IntoDiagnostic, Result, miette};

use crate::latency::Latencies;
use rivals::{Csync2, Rsync};
use serde_json::Value;

const HOSTS: [(&str, Ipv4Addr); 2] = [("a", Ipv4Addr::new(10, 77, 0, 11)), ("b", Ipv4Addr::new(10, 77, 0, 12))];

const LIMIT: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// On average cron's minute is half over when a file is saved.
const CRON_MEAN_MS: u64 = 30_000;

/// Measures how soon an edit is on both machines, against csync2 and rsync. Needs Linux, root, `ip`, `rsync`, `csync2`.
#[derive(Debug, Parser)]
#[command(name = "config-sync")]
pub struct Arguments {
    /// Files of the configuration, one endpoint in each
    #[arg(long, default_value_t = 500)]
    files: usize,
    /// Edits of one file each
    #[arg(long, default_value_t = 20)]
    rounds: usize,
    /// Edits that a machine misses while it is off: those of an hour, one a minute
    #[arg(long, default_value_t = 60)]
    missed: usize,
    /// The program that is measured
    #[arg(long, default_value = "target/release/tandem")]
    program: PathBuf,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    lab::netns::clean_up_on_signals();
    let directory = std::env::temp_dir().join(format!("tandem-config-sync-{}", std::process::id()));
    fs::create_dir_all(&directory).into_diagnostic()?;
    let measured = measure(arguments, &directory);
    // What cannot be removed is the temporary directory's business.
    let _ = fs::remove_dir_all(&directory);
    let ([tandem, rsync, csync2], absence) = measured?;
    let out = &mut std::io::stdout().lock();
    print(out, arguments, &[("Tandem", tandem), ("rsync", rsync), ("csync2", csync2)]).into_diagnostic()?;
    writeln!(out, "{}", absence.told(arguments.missed)).into_diagnostic()
}

/// How long it takes until a machine that was off has what it missed.
struct Absence {
    /// From the start of its program until it stands by with everything.
    tandem_ms: u128,
    rsync_us: u64,
    csync2_us: u64,
}

impl Absence {
    fn told(&self, missed: usize) -> String {
        let (rsync_ms, csync2_ms) = (self.rsync_us / 1000, self.csync2_us / 1000);
        format!(
            "{missed} edits missed while off: Tandem {} ms from its start to standing by with all of it; \
             rsync {rsync_ms} ms, csync2 {csync2_ms} ms once cron has started them",
            self.tandem_ms
        )
    }
}

fn measure(arguments: &Arguments, directory: &Path) -> Result<([Latencies; 3], Absence)> {
    let program = arguments.program.canonicalize().into_diagnostic()?;
    let network = Network::build(&HOSTS).into_diagnostic()?;
    let key = directory.join("pair.key");
    make_key(&program, &key).into_diagnostic()?;
    let mut nodes = Vec::new();
    for (own, other) in [("a", "b"), ("b", "a")] {
        let (own, other) = (network.host(own).into_diagnostic()?, network.host(other).into_diagnostic()?);
        let node = Node::in_pair(own, other, &program, directory, &key, &[]).into_diagnostic()?;
        write_files(&node.pbx_directory(), arguments.files)?;
        nodes.push(node);
    }
    // The rivals have copies of the same files, and the same edits.
    let copy = |name: &str| -> Result<PathBuf> {
        let copy = directory.join(name);
        write_files(&copy, arguments.files)?;
        Ok(copy)
    };
    let rsync = Rsync::start(&network, directory, copy("rsync-a")?, copy("rsync-b")?)?;
    let csync2 = Csync2::start(&network, directory, copy("csync2-a")?, copy("csync2-b")?)?;
    for node in &mut nodes {
        node.start().into_diagnostic()?;
    }
    let mut head = wait_version(&nodes, "")?;
    let (mut tandem_us, mut rsync_us, mut csync2_us) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..arguments.rounds {
        // In turn on each node; the rivals know one direction.
        let node = nodes.get(round % 2).ok_or_else(|| miette!("no node"))?;
        let begun = Instant::now();
        edit(&node.pbx_directory(), round, arguments.files)?;
        head = wait_version(&nodes, &head)?;
        tandem_us.push(begun.elapsed().as_micros() as u64);
        rsync_us.push(timed(|| edit(&rsync.from, round, arguments.files), || rsync.run())?);
        csync2_us.push(timed(|| edit(&csync2.from, round, arguments.files), || csync2.run())?);
        for (from, to) in [(&rsync.from, &rsync.to), (&csync2.from, &csync2.to)] {
            let file = name(round % arguments.files);
            let read = |folder: &Path| fs::read(folder.join(&file)).into_diagnostic();
            if read(from)? != read(to)? {
                return Err(miette!("{} is not as {}", to.display(), from.display()));
            }
        }
    }
    let edits = || arguments.rounds..arguments.rounds + arguments.missed;
    let edit_all = |folder: &Path| edits().try_for_each(|round| edit(folder, round, arguments.files));
    let absence = Absence {
        tandem_ms: be_absent(&mut nodes, edits(), arguments.files)?.as_millis(),
        rsync_us: timed(|| edit_all(&rsync.from), || rsync.run())?,
        csync2_us: timed(|| edit_all(&csync2.from), || csync2.run())?,
    };
    Ok(([tandem_us, rsync_us, csync2_us].map(Latencies::new), absence))
}

/// Stops the second node, makes each of these edits a version of its own at the first one, and starts it again.
fn be_absent(nodes: &mut [Node], edits: std::ops::Range<usize>, files: usize) -> Result<Duration> {
    let [present, absent] = nodes else { return Err(miette!("two nodes are wanted")) };
    absent.stop();
    let mut head = wait_head(present, "")?;
    for round in edits {
        edit(&present.pbx_directory(), round, files)?;
        head = wait_head(present, &head)?;
    }
    let begun = Instant::now();
    absent.start().into_diagnostic()?;
    let is_back = |node: &Node| {
        let status = node.ask("status").ok()?;
        let configuration = &status["configuration"];
        let runs = configuration["runs_head"] == true && configuration["head"] == head.as_str();
        (status["protected"] == true && runs).then_some(())
    };
    wait(&[absent], is_back).map(|_| begun.elapsed())
}

/// Only the run is timed: the edit is before it.
fn timed(edit: impl FnOnce() -> Result<()>, run: impl FnOnce() -> Result<()>) -> Result<u64> {
    edit()?;
    // csync2 compares times of modification, in seconds.
    thread::sleep(Duration::from_millis(20));
    let begun = Instant::now();
    run()?;
    Ok(begun.elapsed().as_micros() as u64)
}

/// The version that both nodes run, once it is another one.
fn wait_version(nodes: &[Node], before: &str) -> Result<String> {
    let both = |line: &Value| line["runs_head"] == true && line["peer_runs_head"] == true;
    wait(&nodes.iter().collect::<Vec<_>>(), |node| head(node, before, both))
}

/// The same of one node alone.
fn wait_head(node: &Node, before: &str) -> Result<String> {
    wait(&[node], |node| head(node, before, |line| line["runs_head"] == true))
}

fn head(node: &Node, before: &str, is_run: impl Fn(&Value) -> bool) -> Option<String> {
    let line = node.ask("status").ok()?["configuration"].clone();
    let head = line["head"].as_str()?;
    (head != before && is_run(&line)).then(|| head.to_owned())
}

/// Until all nodes tell the same.
fn wait<T: PartialEq>(nodes: &[&Node], told: impl Fn(&Node) -> Option<T>) -> Result<T> {
    let begun = Instant::now();
    while begun.elapsed() < LIMIT {
        let mut all: Vec<Option<T>> = nodes.iter().map(|node| told(node)).collect();
        if let Some(first) = all.pop().flatten()
            && all.iter().all(|other| other.as_ref() == Some(&first))
        {
            return Ok(first);
        }
        thread::sleep(LOOK_EVERY);
    }
    let told: Vec<_> =
        nodes.iter().map(|node| node.ask("status").map(|status| status["configuration"].clone())).collect();
    Err(miette!("the nodes do not come to run one version: {told:?}"))
}

fn name(number: usize) -> String {
    format!("phones/{number}.conf")
}

fn endpoint(number: usize, more: &str) -> String {
    let number = 5_000 + number;
    format!("[{number}]\ntype=friend\nhost=dynamic\nsecret=secret{number}\ncontext=internal\n{more}")
}

fn write_files(folder: &Path, count: usize) -> Result<()> {
    let put = |name: &str, text: &str| fs::write(folder.join(name), text).into_diagnostic();
    fs::create_dir_all(folder.join("phones")).into_diagnostic()?;
    put("sip.conf", "[general]\ncontext=internal\nbindport=5060\nbindaddr=0.0.0.0\n#include \"phones/*.conf\"\n")?;
    put("extensions.conf", "[internal]\nexten => _5XXX,1,Dial(SIP/${EXTEN},30)\n")?;
    (0..count).try_for_each(|number| put(&name(number), &endpoint(number, "")))
}

/// In place, as most editors save.
fn edit(folder: &Path, round: usize, count: usize) -> Result<()> {
    let number = round % count;
    fs::write(folder.join(name(number)), endpoint(number, &format!("; edit {round}\n"))).into_diagnostic()
}

fn print(out: &mut impl Write, arguments: &Arguments, results: &[(&str, Latencies)]) -> std::io::Result<()> {
    let Arguments { files, rounds, .. } = arguments;
    writeln!(out, "{files} files, {rounds} edits of one file each; milliseconds\n")?;
    writeln!(out, "| | median | worst | with cron's minute, median | median against Tandem, without and with it |")?;
    writeln!(out, "| --- | ---: | ---: | ---: | ---: |")?;
    let ours = results.first().map_or(1, |(_, latencies)| latencies.per_mille_us(500)).max(1) as f64;
    for (index, (name, latencies)) in results.iter().enumerate() {
        let median_us = latencies.per_mille_us(500);
        let whole_us = if index == 0 { median_us } else { median_us + CRON_MEAN_MS * 1000 };
        let ms = |us: u64| us / 1000;
        let ratios = format!("{:.2}, {:.1}", median_us as f64 / ours, whole_us as f64 / ours);
        let (median, worst, whole) = (ms(median_us), ms(latencies.worst_us()), ms(whole_us));
        writeln!(out, "| {name} | {median} | {worst} | {whole} | {ratios} |")?;
    }
    writeln!(out)
}
