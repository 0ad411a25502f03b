//! Reading what a store has: rows that a filter chooses, and totals of them.

use base::WallTime;
use jiff::Timestamp;
use node::cdr::{CdrRow, CdrTotal};
use tokio::runtime::Runtime;

use super::CdrError;
use super::connection::{Cells, Connection, Dialect, Purpose};
use super::schema::{Table, quoted, utc_text};
use super::target::Target;
use super::trouble::Trouble;

/// The most rows that one reading returns unless it asks for fewer.
const ROWS_MAX: u32 = 100_000;

/// Which calls are wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CdrFilter {
    /// Calls that began at this time or after it.
    pub since: Option<WallTime>,
    /// Calls that began before this time.
    pub until: Option<WallTime>,
    pub source: Option<String>,
    pub destination: Option<String>,
    /// From or to this number.
    pub party: Option<String>,
    /// In Asterisk's words: `ANSWERED`, `NO ANSWER`.
    pub disposition: Option<String>,
    pub account: Option<String>,
    /// Calls that lasted at least so long, from the first INVITE to the end.
    pub seconds_min: Option<u64>,
    /// Rows that were written after this time, by the clock of the node that wrote them.
    pub stored_after: Option<WallTime>,
    /// The latest so many.
    pub limit: Option<u32>,
}

/// What calls are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TotalBy {
    /// In UTC.
    Day,
    /// Each call counts for both of its parties.
    Extension,
    Disposition,
}

/// The way to read a store. It keeps its connection from one reading to the next.
pub struct CdrReader {
    target: Target,
    runtime: Runtime,
    connection: Option<Connection>,
}

impl CdrReader {
    pub fn new(target: Target) -> Result<Self, CdrError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CdrError::Thread)?;
        Ok(Self { target, runtime, connection: None })
    }

    /// The rows, the latest call first; none where no call was ever recorded.
    pub fn rows(&mut self, filter: &CdrFilter) -> Result<Vec<CdrRow>, CdrError> {
        let statement = |table: &Table| {
            let mut wanted = Where::new(table, 0);
            wanted.filter(filter);
            // In the order in which `row` takes them.
            let columns = CdrRow::COLUMNS.iter().chain(&["stored_us"]);
            let columns: Vec<String> = columns.map(|name| table.selected(name)).collect();
            let limit = filter.limit.map_or(ROWS_MAX, |limit| limit.min(ROWS_MAX));
            let order = [("calldate", " DESC"), ("start_us", " DESC"), ("identity", "")];
            let order = order.iter().filter_map(|(name, way)| Some(format!("{}{way}", table.plain(name)?)));
            let order = order.collect::<Vec<_>>().join(", ");
            let (columns, name) = (columns.join(", "), quoted(table.dialect, &table.name));
            let order = if order.is_empty() { String::new() } else { format!(" ORDER BY {order}") };
            let sql = format!("SELECT {columns} FROM {name}{}{order} LIMIT {limit}", wanted.sql);
            (sql, wanted.values)
        };
        Ok(self.read(statement)?.into_iter().map(row).collect())
    }

    /// How many calls, by day, extension or outcome, in that order.
    pub fn totals(&mut self, filter: &CdrFilter, by: TotalBy) -> Result<Vec<CdrTotal>, CdrError> {
        let statement = |table: &Table| {
            let name = quoted(table.dialect, &table.name);
            let part = |key: &str, bound: usize| {
                let mut wanted = Where::new(table, bound);
                wanted.filter(filter);
                let (outcome, seconds) = (table.selected("disposition"), table.number("billsec"));
                let part = format!(
                    "SELECT {key} AS counted, {outcome} AS outcome, {seconds} AS talked FROM {name}{}",
                    wanted.sql
                );
                (part, wanted.values)
            };
            let (parts, values) = match by {
                TotalBy::Day => part(&format!("SUBSTR({}, 1, 10)", table.selected("calldate")), 0),
                TotalBy::Disposition => part(&table.selected("disposition"), 0),
                TotalBy::Extension => {
                    let (from, mut values) = part(&table.selected("src"), 0);
                    let (to, more) = part(&table.selected("dst"), values.len());
                    values.extend(more);
                    (format!("{from} UNION ALL {to}"), values)
                }
            };
            let text = |expression: &str| table.as_text(expression);
            let sql = format!(
                "SELECT counted, {}, {}, {} FROM ({parts}) AS counts GROUP BY counted ORDER BY counted",
                text("COUNT(*)"),
                text("SUM(CASE WHEN outcome = 'ANSWERED' THEN 1 ELSE 0 END)"),
                text("COALESCE(SUM(talked), 0)"),
            );
            (sql, values)
        };
        let number = |cell: Option<&Option<String>>| -> u64 {
            cell.and_then(|cell| cell.as_deref()?.parse().ok()).unwrap_or_default()
        };
        let total = |cells: Cells| CdrTotal {
            key: cells.first().cloned().flatten().unwrap_or_default(),
            calls: number(cells.get(1)),
            answered: number(cells.get(2)),
            seconds: number(cells.get(3)),
        };
        Ok(self.read(statement)?.into_iter().map(total).collect())
    }

    fn read(&mut self, statement: impl Fn(&Table) -> (String, Vec<Option<String>>)) -> Result<Vec<Cells>, CdrError> {
        if let Target::Sqlite(path) = &self.target
            && !path.exists()
        {
            return Ok(Vec::new());
        }
        let (target, kept) = (&self.target, &mut self.connection);
        self.runtime.block_on(async {
            // One that was open before may have died meanwhile.
            if let Some(connection) = kept.as_mut()
                && let Ok(rows) = ask(connection, target, &statement).await
            {
                return Ok(rows);
            }
            *kept = None;
            let (way, mut connection) = open(target).await?;
            let rows = ask(&mut connection, target, &statement).await;
            *kept = Some(connection);
            rows.map_err(|source| CdrError::Read { store: target.name(way), source })
        })
    }
}

/// The first address that lets us in.
async fn open(target: &Target) -> Result<(usize, Connection), CdrError> {
    let mut failed = None;
    for way in 0..target.ways() {
        match Connection::open(target, way, Purpose::Read).await {
            Ok(connection) => return Ok((way, connection)),
            Err(source) => failed = failed.or(Some(CdrError::Open { store: target.name(way), source })),
        }
    }
    Err(failed.unwrap_or(CdrError::Open {
        store: target.name(0),
        source: Trouble::Unfit { table: target.table().into(), why: "it has no address".into() },
    }))
}

async fn ask(
    connection: &mut Connection,
    target: &Target,
    statement: impl Fn(&Table) -> (String, Vec<Option<String>>),
) -> Result<Vec<Cells>, Trouble> {
    match Table::look(connection, target.table()).await? {
        Some(table) => {
            let (sql, values) = statement(&table);
            connection.fetch(&sql, &values).await
        }
        None => Ok(Vec::new()),
    }
}

/// Conditions, and the values that their marks stand for.
struct Where<'a> {
    table: &'a Table,
    sql: String,
    values: Vec<Option<String>>,
    /// Values that come before these in the statement.
    before: usize,
}

impl<'a> Where<'a> {
    fn new(table: &'a Table, before: usize) -> Self {
        Self { table, sql: String::new(), values: Vec::new(), before }
    }

    fn filter(&mut self, filter: &CdrFilter) {
        let date = quoted(self.table.dialect, "calldate");
        if let Some(since) = filter.since {
            self.compare(&format!("{date} >= "), "timestamp", utc_text(since, Timestamp::MAX));
        }
        if let Some(until) = filter.until {
            self.compare(&format!("{date} < "), "timestamp", utc_text(until, Timestamp::MAX));
        }
        let equal = [
            ("src", &filter.source),
            ("dst", &filter.destination),
            ("disposition", &filter.disposition),
            ("accountcode", &filter.account),
        ];
        for (column, wanted) in equal {
            if let Some(wanted) = wanted {
                self.compare(&format!("{} = ", self.table.selected(column)), "text", wanted.clone());
            }
        }
        if let Some(party) = &filter.party {
            let (first, second) = (self.mark("text", party.clone()), self.mark("text", party.clone()));
            let (source, destination) = (self.table.selected("src"), self.table.selected("dst"));
            self.and(&format!("({source} = {first} OR {destination} = {second})"));
        }
        if let Some(seconds) = filter.seconds_min {
            self.compare(&format!("{} >= ", self.table.number("duration")), "bigint", seconds.to_string());
        }
        if let Some(after) = filter.stored_after {
            let column = self.table.plain("stored_us").unwrap_or("NULL".into());
            self.compare(&format!("{column} > "), "bigint", after.as_micros().to_string());
        }
    }

    fn compare(&mut self, left: &str, sort: &str, value: String) {
        let mark = self.mark(sort, value);
        self.and(&format!("{left}{mark}"));
    }

    fn mark(&mut self, sort: &str, value: String) -> String {
        self.values.push(Some(value));
        match (self.table.dialect, sort) {
            (Dialect::Postgres, sort) => format!("${}::text::{sort}", self.before + self.values.len()),
            (Dialect::Sqlite, "bigint") => "CAST(? AS INTEGER)".into(),
            (Dialect::Mysql, "bigint") => "CAST(? AS SIGNED)".into(),
            (Dialect::Sqlite | Dialect::Mysql, _) => "?".into(),
        }
    }

    fn and(&mut self, condition: &str) {
        self.sql += if self.sql.is_empty() { " WHERE " } else { " AND " };
        self.sql += condition;
    }
}

fn row(cells: Cells) -> CdrRow {
    let mut cells = cells.into_iter();
    let mut next = || cells.next().flatten();
    let text = |cell: Option<String>| cell.unwrap_or_default();
    let number = |cell: Option<String>| cell.and_then(|text| text.parse().ok()).unwrap_or_default();
    // A column with fractions of a second gives them as well.
    let time = |cell: Option<String>| cell.map(|text| text.chars().take(19).collect::<String>());
    CdrRow {
        calldate: time(next()).unwrap_or_default(),
        clid: text(next()),
        src: text(next()),
        dst: text(next()),
        dcontext: text(next()),
        channel: text(next()),
        dstchannel: text(next()),
        lastapp: text(next()),
        lastdata: text(next()),
        duration: number(next()),
        billsec: number(next()),
        disposition: text(next()),
        amaflags: number(next()) as u32,
        accountcode: text(next()),
        uniqueid: text(next()),
        userfield: text(next()),
        identity: text(next()),
        start: time(next()).unwrap_or_default(),
        answer: time(next()),
        end: time(next()).unwrap_or_default(),
        stored_us: number(next()),
    }
}
