//! Call records: which store the configuration names, and `tandem cdr`, which reads it.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use admin::OperateError;
use admin::cdr;
use admin::cli::{CdrArguments, CdrBy};
use admin::config::{Records, ServerKind, StoreTls};
use base::WallTime;
use miette::{IntoDiagnostic, Report, Result};
use net::clock::wall_now;
use storage::cdr::{Address, Kind, Server, Target, Tls, TotalBy};
use storage::{CdrFilter, CdrReader};

use crate::commands::report;

/// How often a list that goes on asks the store for more.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);

/// Rows that were written so long before the newest one may still appear: the nodes' clocks differ, and a slow server
/// shows a row later than its time says.
const FOLLOW_LATE: Duration = Duration::from_secs(60);

/// What a list that goes on begins with.
const FOLLOW_FIRST: u32 = 10;

/// The store of a node with this state directory.
pub fn target(state_dir: &Path, records: &Records) -> Target {
    let Records::Server(server) = records else { return Target::sqlite(state_dir) };
    let address = |(host, port): &(String, u16)| Address { host: host.clone(), port: *port };
    Target::Server(Server {
        kind: match server.kind {
            ServerKind::Mysql => Kind::Mysql,
            ServerKind::Postgres => Kind::Postgres,
        },
        addresses: server.addresses.iter().map(address).collect(),
        user: server.user.clone(),
        database: server.database.clone(),
        table: server.table.clone(),
        password_file: server.password_file.clone(),
        tls: match server.tls {
            StoreTls::Required => Tls::Required,
            StoreTls::Preferred => Tls::Preferred,
            StoreTls::Off => Tls::Off,
        },
        ca_file: server.ca_file.clone(),
    })
}

/// `tandem cdr`.
pub fn run(arguments: &CdrArguments, colours: bool, out: &mut impl Write) -> Result<()> {
    let (state_dir, records) = arguments.target.to_records().map_err(Report::new)?;
    let mut reader = CdrReader::new(target(&state_dir, &records)).into_diagnostic()?;
    let filter = filter(arguments);
    let format = arguments.to_format();
    if let Some(by) = arguments.by {
        let totals = reader.totals(&filter, total_by(by)).into_diagnostic()?;
        return printed(cdr::print_totals(&totals, by, format, colours, out));
    }
    if arguments.follow {
        return follow(&mut reader, filter, arguments, out);
    }
    let rows = reader.rows(&filter).into_diagnostic()?;
    printed(cdr::print(&rows, format, colours, out))
}

/// The newest rows, then whatever is written from now on. Of each call one row: a later word on it is not shown again.
fn follow(reader: &mut CdrReader, filter: CdrFilter, arguments: &CdrArguments, out: &mut impl Write) -> Result<()> {
    let format = arguments.to_format();
    printed(cdr::print_head(format, out))?;
    let first = CdrFilter { limit: Some(filter.limit.unwrap_or(FOLLOW_FIRST)), ..filter.clone() };
    let mut rows = reader.rows(&first).into_diagnostic()?;
    rows.reverse();
    // What was written before this began is known, whether it was among the first or not.
    let mut newest = wall_now();
    let late = |newest: WallTime| Some(newest - FOLLOW_LATE);
    let known = reader.rows(&CdrFilter { stored_after: late(newest), ..CdrFilter::default() }).into_diagnostic()?;
    let mut seen: BTreeSet<(u64, String)> = known.into_iter().map(|row| (row.stored_us, row.identity)).collect();
    loop {
        for row in &rows {
            printed(cdr::print_line(row, format, out))?;
        }
        printed(out.flush())?;
        sleep(FOLLOW_EVERY);
        let wanted = CdrFilter { stored_after: late(newest), limit: None, ..filter.clone() };
        rows = reader.rows(&wanted).into_diagnostic()?;
        rows.retain(|row| !seen.iter().any(|(_, identity)| *identity == row.identity));
        rows.sort_by_key(|row| row.stored_us);
        seen.extend(rows.iter().map(|row| (row.stored_us, row.identity.clone())));
        newest = newest.max(WallTime(rows.last().map_or(0, |row| row.stored_us)));
        let forgotten = (newest - FOLLOW_LATE).as_micros();
        seen.retain(|(stored_us, _)| *stored_us >= forgotten);
    }
}

fn filter(arguments: &CdrArguments) -> CdrFilter {
    let now = wall_now();
    CdrFilter {
        since: arguments.since.map(|since| since.wall_time(now)),
        until: arguments.until.map(|until| until.wall_time(now)),
        source: arguments.src.clone(),
        destination: arguments.dst.clone(),
        party: arguments.party.clone(),
        disposition: arguments.disposition.map(|outcome| outcome.text().to_owned()),
        account: arguments.account.clone(),
        seconds_min: arguments.seconds_min,
        stored_after: None,
        limit: arguments.limit,
    }
}

fn total_by(by: CdrBy) -> TotalBy {
    match by {
        CdrBy::Day => TotalBy::Day,
        CdrBy::Extension => TotalBy::Extension,
        CdrBy::Disposition => TotalBy::Disposition,
    }
}

fn printed(done: std::io::Result<()>) -> Result<()> {
    done.map_err(|error| report(OperateError::Print(error)))
}
