//! Records that are too many for the log while a shared store is away: a file of this node, synced before it is said to
//! have them.

use std::path::{Path, PathBuf};

use pbx::record::Record;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Row};

use super::trouble::Trouble;

/// The spool's file within the state directory.
pub const SPOOL_FILE: &str = "records.spool";

const CREATE: &str = "CREATE TABLE IF NOT EXISTS spool (
    identity TEXT NOT NULL PRIMARY KEY, ended_us INTEGER NOT NULL, record BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS spool_ended ON spool (ended_us);";

pub(super) struct Spool {
    path: PathBuf,
    connection: Option<SqliteConnection>,
    /// As of the last change; a spool that could not be opened yet counts as empty.
    count: usize,
    oldest_us: Option<u64>,
}

impl Spool {
    pub(super) fn new(state_dir: &Path) -> Self {
        Self { path: state_dir.join(SPOOL_FILE), connection: None, count: 0, oldest_us: None }
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// When the oldest call in it ended.
    pub(super) fn oldest_us(&self) -> Option<u64> {
        self.oldest_us
    }

    /// Whether a former life has left something; opens no file that is not there.
    pub(super) async fn recover(&mut self) -> Result<(), Trouble> {
        if self.connection.is_none() && self.path.exists() {
            self.open().await?;
            self.measure().await?;
        }
        Ok(())
    }

    /// Returns when the disk has them.
    pub(super) async fn put(&mut self, records: &[Record]) -> Result<(), Trouble> {
        let connection = self.open().await?;
        let mut transaction = connection.begin().await?;
        for record in records {
            let bytes = pbx::object::encode(record);
            sqlx::query("INSERT OR REPLACE INTO spool (identity, ended_us, record) VALUES (?, ?, ?)")
                .bind(&record.identity)
                .bind(i64::try_from(ended_us(record)).unwrap_or(i64::MAX))
                .bind(bytes)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        self.measure().await
    }

    /// The oldest, at most `limit`.
    pub(super) async fn oldest(&mut self, limit: usize) -> Result<Vec<Record>, Trouble> {
        let connection = self.open().await?;
        let rows = sqlx::query("SELECT record FROM spool ORDER BY ended_us, identity LIMIT ?")
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(connection)
            .await?;
        let decode = |row| {
            let bytes: Vec<u8> = sqlx::sqlite::SqliteRow::try_get(row, 0)?;
            minicbor::decode(&bytes).map_err(|error| Trouble::Other(sqlx::Error::Decode(Box::new(error))))
        };
        rows.iter().map(decode).collect()
    }

    pub(super) async fn remove(&mut self, records: &[Record]) -> Result<(), Trouble> {
        let connection = self.open().await?;
        let mut transaction = connection.begin().await?;
        for record in records {
            sqlx::query("DELETE FROM spool WHERE identity = ?")
                .bind(&record.identity)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        self.measure().await
    }

    async fn open(&mut self) -> Result<&mut SqliteConnection, Trouble> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let options = SqliteConnectOptions::new()
                    .filename(&self.path)
                    .create_if_missing(true)
                    .journal_mode(SqliteJournalMode::Wal)
                    .synchronous(SqliteSynchronous::Full)
                    .disable_statement_logging();
                let mut connection = options.connect().await?;
                sqlx::raw_sql(CREATE).execute(&mut connection).await?;
                connection
            }
        };
        Ok(self.connection.insert(connection))
    }

    async fn measure(&mut self) -> Result<(), Trouble> {
        let connection = self.open().await?;
        let row = sqlx::query("SELECT COUNT(*), MIN(ended_us) FROM spool").fetch_one(connection).await?;
        let (count, oldest): (i64, Option<i64>) = (row.try_get(0)?, row.try_get(1)?);
        self.count = usize::try_from(count).unwrap_or_default();
        self.oldest_us = oldest.and_then(|oldest| u64::try_from(oldest).ok());
        Ok(())
    }
}

/// When the call ended, by the wall clock of its record: what records are put in order by.
pub(super) fn ended_us(record: &Record) -> u64 {
    record.ended.unwrap_or(record.started).wall.as_micros()
}
