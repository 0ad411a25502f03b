//! When the cores of this machine were away. The host of a virtual machine gives them to others now and then, and a
//! kernel that does not preempt itself keeps one for a while; a packet that lies in such a core's queue waits with it,
//! whatever any program does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use phone::audio::{GAP_NOTED_US, Gap};
use serde::Serialize;

use crate::LabError;
use crate::phones::{become_real_time, now_us};

/// The highest that there is: nobody but the kernel and the host keeps a watcher from its core.
const PRIORITY: i32 = 99;

/// A watcher sleeps for so long at a time...
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// ...and its core was away when it wakes so much later, in microseconds. Less is the clock's.
const AWAY_US_MIN: u64 = 4_000;

/// An hour has seldom more; the later ones of a core count as time at which it was there.
const ABSENCES_MAX: usize = 200_000;

/// From and until, in microseconds of the phones' clock.
type Span = (u64, u64);

/// Watches each core with a thread of the highest priority on it.
pub(super) struct Attendance {
    over: Arc<AtomicBool>,
    watchers: Vec<JoinHandle<Vec<Span>>>,
}

/// What was found, with what the phones heard.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Absences {
    /// How often a core was away for four milliseconds or longer.
    pub(super) count: usize,
    /// The longest absence of one core.
    pub(super) one_core_ms: f64,
    /// The longest time at which no core was there.
    pub(super) all_cores_ms: f64,
    /// The longest silence at a phone when time at which a core was away does not count; what is shorter than
    /// [`GAP_NOTED_US`] is not looked at one by one and told as that.
    pub(super) silence_ms: f64,
}

impl Attendance {
    pub(super) fn begin() -> Result<Self, LabError> {
        let failed = |errno: nix::Error| LabError::Io { operation: "watching a core".to_owned(), source: errno.into() };
        let own = sched_getaffinity(Pid::from_raw(0)).map_err(failed)?;
        let over = Arc::new(AtomicBool::new(false));
        let cores = (0..CpuSet::count()).filter(|core| own.is_set(*core).unwrap_or(false));
        let watchers = cores.map(|core| {
            let over = Arc::clone(&over);
            thread::spawn(move || watch(core, &over))
        });
        Ok(Self { watchers: watchers.collect(), over })
    }

    /// Ends the watch. Gives the spans of each core.
    pub(super) fn end(mut self) -> Vec<Vec<Span>> {
        self.over.store(true, Ordering::Relaxed);
        std::mem::take(&mut self.watchers).into_iter().map(|watcher| watcher.join().unwrap_or_default()).collect()
    }
}

impl Drop for Attendance {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

fn watch(core: usize, over: &AtomicBool) -> Vec<Span> {
    let mut only = CpuSet::new();
    // A core that cannot be watched is one of which no absence is known.
    if only.set(core).and_then(|()| sched_setaffinity(Pid::from_raw(0), &only)).is_err() {
        return Vec::new();
    }
    become_real_time(PRIORITY);
    let mut absences = Vec::new();
    let mut seen_us = now_us();
    while !over.load(Ordering::Relaxed) {
        thread::sleep(LOOK_EVERY);
        let now_us = now_us();
        if now_us - seen_us >= AWAY_US_MIN && absences.len() < ABSENCES_MAX {
            absences.push((seen_us, now_us));
        }
        seen_us = now_us;
    }
    absences
}

/// Puts what the phones heard beside what the cores did.
pub(super) fn judge(cores: &[Vec<Span>], gaps: &[Gap]) -> Absences {
    let away = either(cores);
    let silence = |gap: &Gap| {
        let length = gap.until_us.saturating_sub(gap.from_us);
        // A speaker that was late may have been so because its core was away, which counts once.
        length.saturating_sub(within(&away, (gap.from_us, gap.until_us)).max(gap.late_us))
    };
    Absences {
        count: cores.iter().map(Vec::len).sum(),
        one_core_ms: ms(longest(cores.iter().flatten())),
        all_cores_ms: ms(longest(&all(cores))),
        silence_ms: ms(gaps.iter().map(silence).max().unwrap_or(0).max(GAP_NOTED_US)),
    }
}

/// The times at which at least one core was away, in order and apart.
fn either(cores: &[Vec<Span>]) -> Vec<Span> {
    let mut spans: Vec<Span> = cores.iter().flatten().copied().collect();
    spans.sort_unstable();
    let mut merged: Vec<Span> = Vec::new();
    for span in spans {
        match merged.last_mut().filter(|last| span.0 <= last.1) {
            Some(last) => last.1 = last.1.max(span.1),
            None => merged.push(span),
        }
    }
    merged
}

/// The times at which every core was away.
fn all(cores: &[Vec<Span>]) -> Vec<Span> {
    let mut cores = cores.iter();
    let first = cores.next().cloned().unwrap_or_default();
    cores.fold(first, |common, core| common.iter().flat_map(|span| overlaps(core, *span)).collect())
}

/// The parts of these spans, which are in order and apart, that lie within one span.
fn overlaps(spans: &[Span], within: Span) -> impl Iterator<Item = Span> {
    let first = spans.partition_point(|span| span.1 <= within.0);
    let touched = spans.iter().skip(first).take_while(move |span| span.0 < within.1);
    touched.map(move |span| (span.0.max(within.0), span.1.min(within.1)))
}

fn within(spans: &[Span], span: Span) -> u64 {
    overlaps(spans, span).map(|(from_us, until_us)| until_us - from_us).sum()
}

fn longest<'a>(spans: impl IntoIterator<Item = &'a Span>) -> u64 {
    spans.into_iter().map(|(from_us, until_us)| until_us - from_us).max().unwrap_or(0)
}

fn ms(us: u64) -> f64 {
    us as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_counts_less_the_time_at_which_a_core_was_away() {
        let cores = [vec![(10_000, 40_000), (100_000, 105_000)], vec![(30_000, 50_000), (200_000, 260_000)]];
        let gap = |from_us, until_us, late_us| Gap { from_us, until_us, late_us };
        let found = |gaps: &[Gap]| judge(&cores, gaps).silence_ms;
        assert_eq!(found(&[gap(0, 120_000, 0)]), 75.0, "away from 10 to 50 and from 100 to 105");
        assert_eq!(found(&[gap(0, 120_000, 30_000)]), 75.0, "the speaker was late for the same reason");
        assert_eq!(found(&[gap(60_000, 160_000, 30_000)]), 70.0, "the speaker was late for a reason of its own");
        assert_eq!(found(&[gap(300_000, 365_000, 0), gap(0, 60_000, 0)]), 65.0, "no core was away");
        assert_eq!(found(&[gap(0, 60_000, 0)]), 40.0, "what is shorter is not told apart");
        assert_eq!(found(&[]), 40.0);
    }

    #[test]
    fn the_longest_absences_of_one_core_and_of_all_are_told() {
        let cores = [vec![(10_000, 40_000), (100_000, 105_000)], vec![(30_000, 50_000), (200_000, 260_000)]];
        let found = judge(&cores, &[]);
        assert_eq!((found.count, found.one_core_ms, found.all_cores_ms), (4, 60.0, 10.0));
        assert_eq!(judge(&[vec![(0, 5_000)], Vec::new()], &[]).all_cores_ms, 0.0);
    }

    #[test]
    fn a_watched_core_is_there_most_of_the_time() {
        let attendance = Attendance::begin().unwrap();
        let begun_us = now_us();
        thread::sleep(Duration::from_millis(50));
        let cores = attendance.end();
        let watched_us = now_us() - begun_us;
        assert!(!cores.is_empty());
        for spans in &cores {
            assert!(spans.iter().all(|span| span.0 < span.1));
            assert!(within(spans, (begun_us, begun_us + watched_us)) <= watched_us);
        }
    }
}
