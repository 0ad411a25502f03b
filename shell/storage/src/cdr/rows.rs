//! The table, its columns, and reading them.

use std::path::Path;

use base::WallTime;
use jiff::Timestamp;
use pbx::record::{Moment, Record};
use serde::{Deserialize, Serialize};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, FromRow};

use super::{CdrError, FILE};

const CREATE: &str = "
CREATE TABLE IF NOT EXISTS cdr (
    calldate TEXT NOT NULL,
    clid TEXT NOT NULL,
    src TEXT NOT NULL,
    dst TEXT NOT NULL,
    dcontext TEXT NOT NULL,
    channel TEXT NOT NULL,
    dstchannel TEXT NOT NULL,
    lastapp TEXT NOT NULL,
    lastdata TEXT NOT NULL,
    duration INTEGER NOT NULL,
    billsec INTEGER NOT NULL,
    disposition TEXT NOT NULL,
    amaflags INTEGER NOT NULL,
    accountcode TEXT NOT NULL,
    uniqueid TEXT NOT NULL,
    userfield TEXT NOT NULL,
    start TEXT NOT NULL,
    answer TEXT,
    end TEXT,
    start_us INTEGER NOT NULL,
    answer_us INTEGER,
    end_us INTEGER,
    identity TEXT NOT NULL UNIQUE
);
CREATE INDEX IF NOT EXISTS cdr_start ON cdr (start_us);
";

/// Asterisk's AMA flag `DOCUMENTATION`, its default.
const AMA_DOCUMENTATION: i64 = 3;

/// The most rows that one reading returns unless it asks for fewer.
const ROWS_MAX: i64 = 100_000;

/// One row: Asterisk's columns in Asterisk's names, and ours. Times are UTC, so that both nodes write the same,
/// `YYYY-MM-DD HH:MM:SS`; `*_us` are
/// microseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, FromRow)]
pub struct CdrRow {
    pub calldate: String,
    pub clid: String,
    pub src: String,
    pub dst: String,
    pub dcontext: String,
    pub channel: String,
    pub dstchannel: String,
    pub lastapp: String,
    pub lastdata: String,
    pub duration: i64,
    pub billsec: i64,
    pub disposition: String,
    pub amaflags: i64,
    pub accountcode: String,
    pub uniqueid: String,
    pub userfield: String,
    pub start: String,
    pub answer: Option<String>,
    pub end: Option<String>,
    pub start_us: i64,
    pub answer_us: Option<i64>,
    pub end_us: Option<i64>,
    pub identity: String,
}

/// Which rows are wanted; the latest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CdrFilter {
    /// Calls that began at this time or after it.
    pub since: Option<WallTime>,
    pub source: Option<String>,
    pub destination: Option<String>,
    pub limit: Option<u32>,
}

pub(super) async fn create(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(CREATE).execute(connection).await.map(drop)
}

/// Writes a record. One of the same call that is there already gives way: the log has only one for each call, and after
/// a split that may be another one than a node had stored alone.
pub(super) async fn insert(connection: &mut SqliteConnection, record: &Record) -> Result<(), sqlx::Error> {
    let start = utc_text(record.started);
    sqlx::query(
        "INSERT OR REPLACE INTO cdr VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(start.clone())
    .bind(&record.caller_id)
    .bind(&record.source)
    .bind(&record.destination)
    .bind(&record.context)
    .bind(&record.channel)
    .bind(&record.destination_channel)
    .bind(&record.last_application)
    .bind(&record.last_data)
    .bind(record.duration_seconds() as i64)
    .bind(record.billable_seconds() as i64)
    .bind(record.disposition.to_string())
    .bind(AMA_DOCUMENTATION)
    .bind(record.account_code.as_deref().unwrap_or_default())
    .bind(&record.unique_id)
    .bind("")
    .bind(start)
    .bind(record.answered.map(utc_text))
    .bind(record.ended.map(utc_text))
    .bind(record.started.wall.as_micros() as i64)
    .bind(record.answered.map(|it| it.wall.as_micros() as i64))
    .bind(record.ended.map(|it| it.wall.as_micros() as i64))
    .bind(&record.identity)
    .execute(connection)
    .await
    .map(drop)
}

/// Reads this node's records; none when no call was ever recorded.
pub fn read(state_dir: &Path, filter: &CdrFilter) -> Result<Vec<CdrRow>, CdrError> {
    let path = state_dir.join(FILE);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CdrError::Thread)?;
    runtime.block_on(async {
        let options = SqliteConnectOptions::new().filename(&path).read_only(true);
        let mut connection = options.connect().await.map_err(|source| CdrError::Open { path: path.clone(), source })?;
        sqlx::query_as(
            "SELECT * FROM cdr WHERE (?1 IS NULL OR start_us >= ?1) AND (?2 IS NULL OR src = ?2)
             AND (?3 IS NULL OR dst = ?3) ORDER BY start_us DESC, identity LIMIT ?4",
        )
        .bind(filter.since.map(|since| since.as_micros() as i64))
        .bind(&filter.source)
        .bind(&filter.destination)
        .bind(filter.limit.map_or(ROWS_MAX, i64::from))
        .fetch_all(&mut connection)
        .await
        .map_err(CdrError::Read)
    })
}

fn utc_text(moment: Moment) -> String {
    let Ok(time) = Timestamp::from_microsecond(moment.wall.as_micros() as i64) else { return String::new() };
    time.strftime("%Y-%m-%d %H:%M:%S").to_string()
}
