//! Owns the table: one row per transport, its latencies, and how they compare with TCP as it comes.

use std::io::{self, Write};

use super::{Case, Transport};
use crate::latency::Latencies;

#[cfg(test)]
mod tests;

/// What the transport between the nodes must stay under: a tenth of what may hold a phone's answer back.
const LIMIT_US: u64 = 25_000;

/// The columns, in thousandths of the commits; the worst is the last.
const PER_MILLE: [u32; 4] = [500, 990, 999, 1000];

/// One transport's share of a case.
#[derive(Clone, Debug)]
pub struct Measured {
    pub transport: Transport,
    pub latencies: Latencies,
    /// Commits that were still without an acknowledgement when the measurement ended.
    pub unacknowledged: u64,
}

/// Prints a case as a Markdown table. Ratios are of the plain TCP row; without one there are none.
pub fn print(out: &mut impl Write, case: Case, results: &[Measured]) -> io::Result<()> {
    let Case { loss_percent, commits_per_second, seconds } = case;
    writeln!(out, "{loss_percent} % loss each way, {commits_per_second} commits/s for {seconds} s\n")?;
    writeln!(
        out,
        "| transport | p50 ms | p99 ms | p99.9 ms | worst ms | over 25 ms | p50, p99, p99.9, worst against TCP |"
    )?;
    writeln!(out, "| --- | ---: | ---: | ---: | ---: | ---: | ---: |")?;
    let tcp = results.iter().find(|result| result.transport == Transport::Tcp);
    for result in results {
        write!(out, "| {} |", result.transport.name())?;
        for per_mille in PER_MILLE {
            write!(out, " {} |", milliseconds(result.latencies.per_mille_us(per_mille)))?;
        }
        let over = result.latencies.count_over(LIMIT_US);
        let ratios = tcp.map_or_else(String::new, |tcp| ratios(&result.latencies, &tcp.latencies));
        writeln!(out, " {over} of {} | {ratios} |", result.latencies.count())?;
    }
    for result in results.iter().filter(|result| result.unacknowledged > 0) {
        writeln!(out, "\n{}: {} commits were never acknowledged", result.transport.name(), result.unacknowledged)?;
    }
    writeln!(out)
}

fn milliseconds(microseconds: u64) -> String {
    format!("{:.2}", microseconds as f64 / 1000.0)
}

/// Each column divided by TCP's.
fn ratios(latencies: &Latencies, tcp: &Latencies) -> String {
    let ratio = |per_mille| {
        let (ours, tcp) = (latencies.per_mille_us(per_mille), tcp.per_mille_us(per_mille));
        if tcp == 0 {
            return "-".to_owned();
        }
        let ratio = ours as f64 / tcp as f64;
        // Small ones need their third digit to say anything.
        if ratio < 0.1 { format!("{ratio:.3}") } else { format!("{ratio:.2}") }
    };
    PER_MILLE.map(ratio).join(", ")
}
