//! Looking at a store before it is needed: by each of its addresses, whether it would take records. Nothing in it is
//! changed.

use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use super::CdrError;
use super::connection::{Connection, Dialect, Purpose};
use super::schema::{Table, quoted};
use super::target::Target;
use super::trouble::Trouble;

/// What one address of a store has told.
#[derive(Debug)]
pub struct Examined {
    /// What people call the store when it is reached so.
    pub store: String,
    pub result: Result<Found, Trouble>,
}

/// A store that lets us in and takes what is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    pub table: Fit,
    /// How far its clock is ahead of this node's, in milliseconds; `None` for a file of this node.
    pub clock_ahead_ms: Option<f64>,
}

/// Whether the table takes records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// As it is.
    Fits,
    /// It lacks so many columns and indexes, which are made before the first record.
    Lacks(usize),
    /// It is made before the first record.
    Missing,
}

/// Asks every address at the same time, so that it takes no longer than the slowest one.
pub fn examine(target: &Target) -> Result<Vec<Examined>, CdrError> {
    let look = |way: usize| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CdrError::Thread)?;
        Ok(Examined { store: target.name(way), result: runtime.block_on(examine_by(target, way)) })
    };
    thread::scope(|scope| {
        let asked: Vec<_> = (0..target.ways()).map(|way| scope.spawn(move || look(way))).collect();
        let answer = |thread: thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|_| Err(CdrError::Thread(std::io::Error::other("it broke off"))))
        };
        asked.into_iter().map(answer).collect()
    })
}

async fn examine_by(target: &Target, way: usize) -> Result<Found, Trouble> {
    let purpose = match target {
        // Looking makes no file.
        Target::Sqlite(path) if !path.exists() => return Ok(Found { table: Fit::Missing, clock_ahead_ms: None }),
        Target::Sqlite(_) => Purpose::Read,
        Target::Server(_) => Purpose::Write,
    };
    let mut connection = Connection::open(target, way, purpose).await?;
    let clock_ahead_ms = clock_ahead_ms(&mut connection).await?;
    let table = match Table::examine(&mut connection, target.table()).await? {
        None => Fit::Missing,
        Some(0) => Fit::Fits,
        Some(changes) => Fit::Lacks(changes),
    };
    may_write(&mut connection, target.table(), table).await?;
    Ok(Found { table, clock_ahead_ms })
}

/// Half of the way there and back is taken off.
async fn clock_ahead_ms(connection: &mut Connection) -> Result<Option<f64>, Trouble> {
    let sql = match connection.dialect() {
        Dialect::Sqlite => return Ok(None),
        Dialect::Mysql => "SELECT CAST(UNIX_TIMESTAMP(NOW(6)) AS CHAR)",
        Dialect::Postgres => "SELECT extract(epoch FROM clock_timestamp())::text",
    };
    let (before, rows, after) = (now_s(), connection.fetch(sql, &[]).await?, now_s());
    let told = rows.first().and_then(|row| row.first()?.as_deref()?.parse::<f64>().ok());
    Ok(told.map(|told| (told - f64::midpoint(before, after)) * 1e3))
}

fn now_s() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// Whether the user has the rights that writing needs, and making or extending the table where that comes first. MySQL
/// does not tell of the latter.
async fn may_write(connection: &mut Connection, table: &str, fit: Fit) -> Result<(), Trouble> {
    let dialect = connection.dialect();
    let name = quoted(dialect, table);
    let lacking = match (dialect, fit) {
        (Dialect::Sqlite, _) | (Dialect::Mysql, Fit::Missing | Fit::Lacks(_)) => return Ok(()),
        // Explaining a statement asks for its rights and does nothing of it.
        (Dialect::Mysql, Fit::Fits) => {
            let column = quoted(dialect, "src");
            let clause = format!("ON DUPLICATE KEY UPDATE {column} = VALUES({column})");
            let sql = format!("EXPLAIN INSERT INTO {name} ({column}) VALUES ('') {clause}");
            return connection.execute(&sql, &[]).await;
        }
        (Dialect::Postgres, Fit::Fits) => {
            "SELECT (SELECT string_agg(wanted, ' and ') FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE']) AS wanted \
             WHERE NOT has_table_privilege(to_regclass($1::text), wanted))"
        }
        (Dialect::Postgres, Fit::Lacks(_)) => {
            "SELECT (SELECT 'ALTER a table that is not its own' FROM pg_class WHERE oid = to_regclass($1::text) \
             AND NOT pg_has_role(relowner, 'USAGE'))"
        }
        (Dialect::Postgres, Fit::Missing) => {
            "SELECT CASE WHEN has_schema_privilege(current_schema(), 'CREATE') THEN NULL \
             ELSE 'CREATE ' || $1::text END"
        }
    };
    let rows = connection.fetch(lacking, &[Some(name)]).await?;
    match rows.first().and_then(|row| row.first()?.clone()) {
        None => Ok(()),
        Some(rights) => Err(Trouble::NoRight { rights }),
    }
}

#[cfg(test)]
mod tests;
