//! The store of call records: SQLite through sqlx, Asterisk's CDR columns and an identity that is its unique key.
//!
//! It has a thread of its own. A store that is slow or refuses delays no call: records stay in the log until they are
//! stored, and are tried again.

mod rows;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use pbx::record::Record;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};
use thiserror::Error;

pub use rows::{CdrFilter, CdrRow, read};

/// The store's file within the state directory.
pub const FILE: &str = "cdr.sqlite";

/// Records written in one transaction; more wait for the next one.
const BATCH_MAX: usize = 500;

/// How long a store that refuses is left alone.
const RETRY_AFTER: Duration = Duration::from_secs(1);

#[derive(Debug, Error)]
pub enum CdrError {
    #[error("open the call records in {path}")]
    Open {
        path: PathBuf,
        #[source]
        source: sqlx::Error,
    },
    #[error("write call records")]
    Write(#[source] sqlx::Error),
    #[error("read call records")]
    Read(#[source] sqlx::Error),
    #[error("start the thread of the call records")]
    Thread(#[source] std::io::Error),
}

/// What the store has done.
#[derive(Debug)]
pub enum CdrEvent {
    Stored { identities: Vec<String> },
    Failed(CdrError),
}

/// The way to the store's thread.
pub struct CdrStore {
    records: Sender<Record>,
}

impl CdrStore {
    /// Starts the store's thread; the file is made when it is missing. `events` is called from the thread.
    pub fn start(state_dir: &Path, events: impl Fn(CdrEvent) + Send + 'static) -> Result<Self, CdrError> {
        let path = state_dir.join(FILE);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CdrError::Thread)?;
        let (records, receiver) = channel();
        std::thread::Builder::new()
            .name("cdr".into())
            .spawn(move || runtime.block_on(store(&path, &receiver, &events)))
            .map_err(CdrError::Thread)?;
        Ok(Self { records })
    }

    pub fn store(&self, record: Record) {
        // The thread ends only with the process.
        let _ = self.records.send(record);
    }
}

/// This thread has nothing but the store, so it may block on its channel.
async fn store(path: &Path, records: &Receiver<Record>, events: &impl Fn(CdrEvent)) {
    let mut connection = None;
    let mut waiting: Vec<Record> = Vec::new();
    loop {
        if waiting.is_empty() {
            match records.recv() {
                Ok(record) => waiting.push(record),
                Err(_) => return,
            }
        }
        waiting.extend(records.try_iter().take(BATCH_MAX - waiting.len().min(BATCH_MAX)));
        match write(path, &mut connection, &waiting).await {
            Ok(()) => {
                let identities = waiting.drain(..).map(|record| record.identity).collect();
                events(CdrEvent::Stored { identities });
            }
            Err(error) => {
                connection = None;
                events(CdrEvent::Failed(error));
                tokio::time::sleep(RETRY_AFTER).await;
            }
        }
    }
}

async fn write(path: &Path, connection: &mut Option<SqliteConnection>, records: &[Record]) -> Result<(), CdrError> {
    if connection.is_none() {
        *connection = Some(open(path).await?);
    }
    let Some(connection) = connection.as_mut() else { unreachable!("it was just opened") };
    let mut transaction = connection.begin().await.map_err(CdrError::Write)?;
    for record in records {
        rows::insert(&mut transaction, record).await.map_err(CdrError::Write)?;
    }
    transaction.commit().await.map_err(CdrError::Write)
}

async fn open(path: &Path) -> Result<SqliteConnection, CdrError> {
    let failed = |source| CdrError::Open { path: path.to_owned(), source };
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(5));
    let mut connection = options.connect().await.map_err(failed)?;
    rows::create(&mut connection).await.map_err(failed)?;
    Ok(connection)
}

#[cfg(test)]
mod tests;
