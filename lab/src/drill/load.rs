//! The load of a large site beside the phones that are listened to: thousands of registrations and of calls without
//! audio, what they cost the nodes, and whether they were kept.

use std::thread;
use std::time::Duration;

use phone::PhoneCommand;
use phone::PhoneCommand::{Call, HangUp};
use serde::Serialize;

use super::DrillArguments;
use super::calls::Counts;
use super::checks::Check;
use super::scene::Scene;
use super::statistics::Summary;
use crate::LabError;
use crate::nodes::Usage;
use crate::phones::{Begun, CROWD_BEGIN, Crowd, Tally};

/// So many of the calls are ended, and made again, to see that they are whole.
const SAMPLE: usize = 200;

/// So many wait for an answer at a time: a service under load, not one that is flooded.
const AT_ONCE: usize = 32;

/// So many are done one after another first: how long one takes when nothing else is to be done.
const ALONE: usize = 100;

/// Until what was done is everywhere and memory is counted.
const SETTLE: Duration = Duration::from_secs(1);

/// What the load took.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Load {
    pub(super) registrations: usize,
    pub(super) calls: usize,
    pub(super) refused: usize,
    /// From the REGISTER to its 200, a challenge in between, of the first hundred, one after another.
    pub(super) register_ms: Summary,
    /// From the INVITE to its 200 from a phone that picks up at once, likewise.
    pub(super) setup_ms: Summary,
    pub(super) nodes: Vec<Cost>,
}

/// What one registration and one call took of one node's daemon.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Cost {
    pub(super) node: String,
    pub(super) role: String,
    pub(super) registration_bytes: f64,
    pub(super) registration_cpu_ms: f64,
    pub(super) call_bytes: f64,
    pub(super) call_cpu_ms: f64,
}

/// Phones that the load needs besides those with audio.
pub(super) fn crowd_phones(arguments: &DrillArguments, counts: Counts) -> u32 {
    let callers = arguments.calls_in_state.saturating_sub(counts.plan().len() as u32).saturating_mul(2);
    let phones = arguments.registrations.saturating_sub(counts.phones()).max(arguments.avalanche);
    if arguments.calls_in_state > 0 { phones.max(callers) } else { phones }
}

/// Calls of the crowd: between each phone and the next.
pub(super) fn crowd_calls(arguments: &DrillArguments, counts: Counts) -> usize {
    arguments.calls_in_state.saturating_sub(counts.plan().len() as u32) as usize
}

pub(super) fn is_crowd(number: &str) -> bool {
    number.parse::<u32>().is_ok_and(|number| number >= CROWD_BEGIN)
}

impl Scene {
    /// Brings the load up, once in the life of the scene.
    pub(super) fn bring_load(&mut self, calls: usize) -> Result<Option<&Load>, LabError> {
        if self.load.is_none()
            && let Some(crowd) = &self.crowd
        {
            let at_first = self.usages()?;
            let (registered, register_ms) = bring(crowd, crowd.count(), register)?;
            thread::sleep(SETTLE);
            let after_registrations = self.usages()?;
            let (called, setup_ms) = bring(crowd, calls, |call| dial(2 * call))?;
            thread::sleep(SETTLE);
            let after_calls = self.usages()?;
            let costs = self.costs([&at_first, &after_registrations, &after_calls], &registered, &called);
            self.load = Some(Load {
                registrations: registered.good,
                calls: called.good,
                refused: registered.bad + called.bad,
                register_ms,
                setup_ms,
                nodes: costs,
            });
        }
        Ok(self.load.as_ref())
    }

    fn usages(&self) -> Result<Vec<Usage>, LabError> {
        self.nodes.iter().map(|node| node.usage()).collect()
    }

    fn costs(&self, usages: [&[Usage]; 3], registered: &Tally, called: &Tally) -> Vec<Cost> {
        let [at_first, after_registrations, after_calls] = usages;
        let nodes = self.nodes.iter().zip(at_first.iter().zip(after_registrations.iter().zip(after_calls)));
        let cost = |(node, (first, (second, third))): (&crate::nodes::Node, (&Usage, (&Usage, &Usage)))| {
            let (registration_bytes, registration_cpu_ms) = each(first, second, registered.good);
            let (call_bytes, call_cpu_ms) = each(second, third, called.good);
            let role = node.status().map(|status| status.role).unwrap_or_default();
            Cost { node: node.name.clone(), role, registration_bytes, registration_cpu_ms, call_bytes, call_cpu_ms }
        };
        nodes.map(cost).collect()
    }

    /// So many phones register again, all of them at once.
    pub(super) fn begin_avalanche(&self, phones: usize) -> Result<Option<Avalanche>, LabError> {
        let Some(crowd) = self.crowd.as_ref().filter(|_| phones > 0) else { return Ok(None) };
        let begun = crowd.begins(phones, (0..phones).map(register))?;
        Ok(Some(Avalanche { phones, begun }))
    }

    /// After the fault: the node knows all the calls, and some of them end and are made again.
    pub(super) fn check_load(&self) -> Result<Vec<Check>, LabError> {
        let (Some(crowd), Some(load)) = (&self.crowd, &self.load) else { return Ok(Vec::new()) };
        let serving = self.nodes.iter().filter_map(|node| node.status().ok()).find(|status| status.serves());
        let known = serving.and_then(|status| status.call_count()).unwrap_or(0) as usize;
        let mut checks = vec![Check {
            name: "calls in state kept",
            good: known.min(load.calls),
            total: load.calls,
            notes: if known == load.calls { Vec::new() } else { vec![format!("the node knows {known} calls")] },
        }];
        if load.calls > 0 {
            let calls: Vec<usize> = (0..load.calls).step_by(load.calls.div_ceil(SAMPLE)).collect();
            // Callers and called in turn.
            let ended = crowd.does(AT_ONCE, calls.iter().map(|call| (2 * call + call % 2, HangUp)))?;
            let made = crowd.does(AT_ONCE, calls.iter().map(|call| dial(2 * call)))?;
            let (good, total) = (ended.good + made.good, 2 * calls.len());
            checks.push(Check { name: "calls in state end and are made again", good, total, notes: Vec::new() });
        }
        Ok(checks)
    }
}

/// Phones that register all at once, because somebody told them to or their switch came back.
pub(super) struct Avalanche {
    phones: usize,
    begun: Begun,
}

impl Avalanche {
    /// Waits until each of them has its answer.
    pub(super) fn wait(self) -> Result<Check, LabError> {
        let tally = self.begun.wait()?;
        let taken_ms = milliseconds(&tally);
        let said = format!("half of them after {:.0} ms, the last one after {:.0} ms", taken_ms.median, taken_ms.worst);
        Ok(Check { name: "registered again, all at once", good: tally.good, total: self.phones, notes: vec![said] })
    }
}

/// Has so many things done, the first of them one after another. Gives what became of them, and how long those took.
fn bring(
    crowd: &Crowd,
    count: usize,
    command: impl Fn(usize) -> (usize, PhoneCommand),
) -> Result<(Tally, Summary), LabError> {
    let alone = count.min(ALONE);
    let mut tally = crowd.does(1, (0..alone).map(&command))?;
    let taken_ms = milliseconds(&tally);
    let rest = crowd.does(AT_ONCE, (alone..count).map(&command))?;
    tally.good += rest.good;
    tally.bad += rest.bad;
    Ok((tally, taken_ms))
}

fn register(phone: usize) -> (usize, PhoneCommand) {
    (phone, PhoneCommand::Register)
}

fn dial(caller: usize) -> (usize, PhoneCommand) {
    (caller, Call { number: (CROWD_BEGIN as usize + caller + 1).to_string() })
}

/// Bytes of memory and milliseconds of a processor for each of so many.
fn each(before: &Usage, after: &Usage, count: usize) -> (f64, f64) {
    if count == 0 {
        return (0.0, 0.0);
    }
    let bytes = after.memory_bytes.saturating_sub(before.memory_bytes) as f64;
    (bytes / count as f64, (after.cpu_ms - before.cpu_ms) / count as f64)
}

fn milliseconds(tally: &Tally) -> Summary {
    Summary::of(tally.taken_us.iter().map(|taken_us| *taken_us as f64 / 1000.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_told_for_each() {
        let before = Usage { memory_bytes: 1_000_000, cpu_ms: 50.0 };
        let after = Usage { memory_bytes: 3_000_000, cpu_ms: 150.0 };
        assert_eq!(each(&before, &after, 1_000), (2_000.0, 0.1));
        assert_eq!(each(&before, &after, 0), (0.0, 0.0));
    }

    #[test]
    fn only_the_crowd_is_the_crowd() {
        assert!(is_crowd("7000000") && is_crowd("7023999"));
        assert!(!is_crowd("5000") && !is_crowd("600") && !is_crowd("s"));
        assert_eq!(dial(4), (4, Call { number: "7000005".to_owned() }));
    }
}
