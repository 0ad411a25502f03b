//! The table: Asterisk's columns in Asterisk's names, and ours. Tandem makes it where it is missing and extends one that
//! Asterisk has made; nothing is ever taken away, so that programs of two versions write to one table.

use std::time::Duration;

use base::WallTime;
use jiff::Timestamp;
use pbx::record::{Moment, Record};

use super::connection::{Connection, Dialect};
use super::trouble::Trouble;

/// Asterisk's AMA flag `DOCUMENTATION`, its default.
const AMA_DOCUMENTATION: u8 = 3;

/// What this program makes of a table: 1 was SQLite without `stored_us`.
const VERSION: u32 = 2;

/// Says which version each table has.
const VERSIONS: &str = "tandem_schema";

/// A new column or index on millions of rows takes its time; only a server that hangs takes longer than this.
const CHANGE_LIMIT: Duration = Duration::from_secs(900);

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    Text,
    Number,
    /// UTC, to the second.
    Time,
    /// The unique key: 32 hexadecimal digits.
    Identity,
}

use Holds::{Identity, Number, Text, Time};

/// Every column, in the order of `values`. Numbers with `_us` are microseconds since the Unix epoch, `stored_us` by the
/// clock of the node that wrote the row.
const COLUMNS: [(&str, Holds); 24] = [
    ("calldate", Time),
    ("clid", Text),
    ("src", Text),
    ("dst", Text),
    ("dcontext", Text),
    ("channel", Text),
    ("dstchannel", Text),
    ("lastapp", Text),
    ("lastdata", Text),
    ("duration", Number),
    ("billsec", Number),
    ("disposition", Text),
    ("amaflags", Number),
    ("accountcode", Text),
    ("uniqueid", Text),
    ("userfield", Text),
    ("start", Time),
    ("answer", Time),
    ("end", Time),
    ("start_us", Number),
    ("answer_us", Number),
    ("end_us", Number),
    ("stored_us", Number),
    ("identity", Identity),
];

/// Those that have no value for some calls.
const MAY_BE_NULL: [&str; 4] = ["answer", "end", "answer_us", "end_us"];

/// A table as it is, as far as it matters to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    pub(super) name: String,
    pub(super) dialect: Dialect,
    /// Of each of `COLUMNS`; `None` where the table lacks it.
    places: Vec<Option<Found>>,
}

/// One column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    name: String,
    /// As the server writes it in a cast.
    sort: String,
    /// Characters; `None` where there is no bound.
    width: Option<usize>,
    /// It must not be null.
    strict: bool,
    /// A row without a value for it is refused.
    needed: bool,
}

impl Table {
    /// Looks at the table; `None` when there is none.
    pub(super) async fn look(connection: &mut Connection, name: &str) -> Result<Option<Self>, Trouble> {
        let found = found(connection, name).await?;
        Ok((!found.is_empty()).then(|| Self::of(connection.dialect(), name, &found)))
    }

    fn of(dialect: Dialect, name: &str, found: &[Found]) -> Self {
        let place = |(column, _): &(&str, Holds)| found.iter().find(|found| found.name == *column).cloned();
        Self { name: name.to_owned(), dialect, places: COLUMNS.iter().map(place).collect() }
    }

    /// Makes the table, or what it lacks; a table that cannot be made to fit is left as it is.
    pub(super) async fn make(connection: &mut Connection, name: &str) -> Result<Self, Trouble> {
        let dialect = connection.dialect();
        let mut columns = found(connection, name).await?;
        if columns.is_empty() {
            connection.execute(&create(dialect, name), &[]).await?;
            columns = found(connection, name).await?;
        }
        check(name, &columns)?;
        check_engine(connection, name).await?;
        for sql in extend(dialect, name, &columns) {
            change(connection, &sql).await?;
        }
        let missing = missing_indexes(connection, name).await?;
        for sql in missing {
            change(connection, &sql).await?;
        }
        columns = found(connection, name).await?;
        if !is_unique(connection, name).await? {
            change(connection, &create_unique(dialect, name)).await?;
        }
        note_version(connection, name).await?;
        Ok(Self::of(dialect, name, &columns))
    }

    /// What `make` would have to do, and nothing is done; `None` when there is no such table.
    pub(super) async fn examine(connection: &mut Connection, name: &str) -> Result<Option<usize>, Trouble> {
        let dialect = connection.dialect();
        let columns = found(connection, name).await?;
        if columns.is_empty() {
            return Ok(None);
        }
        check(name, &columns)?;
        check_engine(connection, name).await?;
        let indexes = missing_indexes(connection, name).await?.len();
        let unique = usize::from(!is_unique(connection, name).await?);
        Ok(Some(extend(dialect, name, &columns).len() + indexes + unique))
    }

    /// A statement that writes so many records, each with its `values`. A record of the same call that is there already
    /// gives way: the log has only one for each call, and after a split that may be another one than was stored before.
    pub(super) fn insert(&self, rows: usize) -> String {
        let names: Vec<String> = COLUMNS.iter().map(|(name, _)| quoted(self.dialect, name)).collect();
        let row = |row: usize| {
            let marks = (0..COLUMNS.len()).map(|column| self.mark(row * COLUMNS.len() + column + 1, column));
            format!("({})", marks.collect::<Vec<_>>().join(", "))
        };
        let rows: Vec<String> = (0..rows).map(row).collect();
        let key = quoted(self.dialect, "identity");
        let others = names.iter().filter(|name| **name != key);
        let (clause, assign): (String, fn(&String) -> String) = match self.dialect {
            Dialect::Mysql => ("ON DUPLICATE KEY UPDATE".into(), |name| format!("{name} = VALUES({name})")),
            Dialect::Sqlite | Dialect::Postgres => {
                (format!("ON CONFLICT ({key}) DO UPDATE SET"), |name| format!("{name} = excluded.{name}"))
            }
        };
        let assigned: Vec<String> = others.map(assign).collect();
        let table = quoted(self.dialect, &self.name);
        let (names, rows, assigned) = (names.join(", "), rows.join(", "), assigned.join(", "));
        format!("INSERT INTO {table} ({names}) VALUES {rows} {clause} {assigned}")
    }

    /// What a record has in each of the columns. With `plain`, letters beyond ASCII become question marks: for a table
    /// whose character set lacks them.
    pub(super) fn values(&self, record: &Record, stored_us: u64, plain: bool) -> Vec<Option<String>> {
        let micros = |moment: Moment| moment.wall.as_micros().to_string();
        // A row is worth more than the refusal of a time.
        let utc = |moment: Moment| utc_text(moment.wall, Timestamp::UNIX_EPOCH);
        let start = utc(record.started);
        let values: [Option<String>; COLUMNS.len()] = [
            Some(start.clone()),
            Some(record.caller_id.clone()),
            Some(record.source.clone()),
            Some(record.destination.clone()),
            Some(record.context.clone()),
            Some(record.channel.clone()),
            Some(record.destination_channel.clone()),
            Some(record.last_application.clone()),
            Some(record.last_data.clone()),
            Some(record.duration_seconds().to_string()),
            Some(record.billable_seconds().to_string()),
            Some(record.disposition.to_string()),
            Some(AMA_DOCUMENTATION.to_string()),
            Some(record.account_code.clone().unwrap_or_default()),
            Some(record.unique_id.clone()),
            Some(String::new()),
            Some(start),
            record.answered.map(utc),
            record.ended.map(utc),
            Some(micros(record.started)),
            record.answered.map(micros),
            record.ended.map(micros),
            Some(stored_us.to_string()),
            Some(record.identity.clone()),
        ];
        let fitted = values.into_iter().zip(&self.places).map(|(value, place)| {
            let width = place.as_ref().and_then(|place| place.width).unwrap_or(usize::MAX);
            value.map(|text| fitting(self.dialect, &text, width, plain))
        });
        fitted.collect()
    }

    /// The column as text that may be null, for a `SELECT`.
    pub(super) fn selected(&self, name: &str) -> String {
        let position = COLUMNS.iter().position(|(column, _)| *column == name);
        let Some((position, found)) = position.and_then(|at| Some((at, self.places.get(at)?.as_ref()?))) else {
            return "NULL".into();
        };
        let column = quoted(self.dialect, &found.name);
        match (self.dialect, COLUMNS.get(position).map(|(_, holds)| *holds)) {
            (Dialect::Sqlite, _) => format!("CAST({column} AS TEXT)"),
            (Dialect::Mysql, _) => format!("CAST({column} AS CHAR)"),
            (Dialect::Postgres, Some(Time)) => format!("to_char({column}::timestamp, 'YYYY-MM-DD HH24:MI:SS')"),
            (Dialect::Postgres, _) => format!("{column}::text"),
        }
    }

    /// The column as a number, for a `SELECT` or a comparison.
    pub(super) fn number(&self, name: &str) -> String {
        let text = self.selected(name);
        match self.dialect {
            Dialect::Sqlite => format!("CAST({text} AS INTEGER)"),
            Dialect::Mysql => format!("CAST({text} AS SIGNED)"),
            Dialect::Postgres => format!("({text})::bigint"),
        }
    }

    /// The column by itself, where its index counts; `None` where the table lacks it.
    pub(super) fn plain(&self, name: &str) -> Option<String> {
        let position = COLUMNS.iter().position(|(column, _)| *column == name)?;
        self.places.get(position)?.as_ref().map(|found| quoted(self.dialect, &found.name))
    }

    pub(super) fn as_text(&self, expression: &str) -> String {
        match self.dialect {
            Dialect::Sqlite => format!("CAST({expression} AS TEXT)"),
            Dialect::Mysql => format!("CAST({expression} AS CHAR)"),
            Dialect::Postgres => format!("({expression})::text"),
        }
    }

    /// The `number`th value of a statement, from 1, as what the column holds.
    fn mark(&self, number: usize, column: usize) -> String {
        match self.dialect {
            Dialect::Sqlite | Dialect::Mysql => "?".into(),
            Dialect::Postgres => {
                let sort = self.places.get(column).and_then(Option::as_ref).map_or("text", |place| &place.sort);
                format!("${number}::text::{sort}")
            }
        }
    }
}

/// A name that is also a word of the language, such as `end`.
pub(super) fn quoted(dialect: Dialect, name: &str) -> String {
    match dialect {
        Dialect::Mysql => format!("`{name}`"),
        Dialect::Sqlite | Dialect::Postgres => format!("\"{name}\""),
    }
}

/// Cut to what the column takes: a row whose caller has an endless name is worth more than none.
fn fitting(dialect: Dialect, text: &str, width: usize, plain: bool) -> String {
    // PostgreSQL's texts cannot hold the zero byte.
    let holds = |letter: &char| dialect != Dialect::Postgres || *letter != '\0';
    let letter = |letter: char| if plain && !letter.is_ascii() { '?' } else { letter };
    text.chars().filter(holds).map(letter).take(width).collect()
}

/// As stores have it: UTC, in whole seconds. A time that no calendar has becomes `beyond`.
pub(super) fn utc_text(time: WallTime, beyond: Timestamp) -> String {
    let micros = i64::try_from(time.as_micros()).ok();
    let time = micros.and_then(|micros| Timestamp::from_microsecond(micros).ok()).unwrap_or(beyond);
    time.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

fn sort_of(dialect: Dialect, holds: Holds) -> &'static str {
    match (dialect, holds) {
        (Dialect::Sqlite, Number) => "INTEGER",
        (Dialect::Sqlite, Text | Time | Identity) => "TEXT",
        (Dialect::Mysql, Text) => "VARCHAR(255)",
        (Dialect::Mysql, Time) => "DATETIME",
        (Dialect::Mysql, Identity) => "CHAR(32) CHARACTER SET ascii COLLATE ascii_bin",
        (Dialect::Postgres, Text) => "text",
        (Dialect::Postgres, Time) => "timestamp(0)",
        (Dialect::Postgres, Identity) => "varchar(32)",
        (Dialect::Mysql | Dialect::Postgres, Number) => "BIGINT",
    }
}

fn create(dialect: Dialect, table: &str) -> String {
    let column = |(name, holds): &(&str, Holds)| {
        let key = if *holds == Identity { " NOT NULL PRIMARY KEY" } else { "" };
        format!("{} {}{key}", quoted(dialect, name), sort_of(dialect, *holds))
    };
    let columns: Vec<String> = COLUMNS.iter().map(column).collect();
    let end = if dialect == Dialect::Mysql { " ENGINE=InnoDB DEFAULT CHARSET=utf8mb4" } else { "" };
    format!("CREATE TABLE IF NOT EXISTS {} ({}){end}", quoted(dialect, table), columns.join(", "))
}

fn create_unique(dialect: Dialect, table: &str) -> String {
    let (index, column) = (quoted(dialect, &format!("{table}_identity")), quoted(dialect, "identity"));
    format!("CREATE UNIQUE INDEX {index} ON {} ({column})", quoted(dialect, table))
}

/// The statements that add what columns the table lacks.
fn extend(dialect: Dialect, table: &str, found: &[Found]) -> Vec<String> {
    let lacks = |(name, _): &&(&str, Holds)| !found.iter().any(|found| found.name == *name);
    let add = |(name, holds): &(&str, Holds)| {
        let column = quoted(dialect, name);
        format!("ALTER TABLE {} ADD COLUMN {column} {}", quoted(dialect, table), sort_of(dialect, *holds))
    };
    COLUMNS.iter().filter(lacks).map(add).collect()
}

/// Rows are looked for by the time of the call, and by the time of writing where they are followed.
const INDEXED: [&str; 2] = ["calldate", "stored_us"];

/// The statements that add what indexes the table lacks, but for the unique one.
async fn missing_indexes(connection: &mut Connection, table: &str) -> Result<Vec<String>, Trouble> {
    let dialect = connection.dialect();
    let (sql, name) = match dialect {
        Dialect::Sqlite => (
            "SELECT (SELECT name FROM pragma_index_info(found.name) WHERE seqno = 0) FROM pragma_index_list(?) AS found",
            table.to_owned(),
        ),
        Dialect::Mysql => (
            "SELECT CAST(COLUMN_NAME AS CHAR) FROM information_schema.STATISTICS \
             WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? AND SEQ_IN_INDEX = 1",
            table.to_owned(),
        ),
        Dialect::Postgres => (
            "SELECT attname::text FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0] \
             WHERE indrelid = to_regclass($1::text) AND indisvalid",
            quoted(Dialect::Postgres, table),
        ),
    };
    let rows = connection.fetch(sql, &[Some(name)]).await?;
    let has = |column: &str| rows.iter().any(|row| row.first() == Some(&Some(column.to_owned())));
    let create = |column: &&str| {
        let (index, on) = (quoted(dialect, &format!("{table}_{column}")), quoted(dialect, table));
        format!("CREATE INDEX {index} ON {on} ({})", quoted(dialect, column))
    };
    Ok(INDEXED.iter().filter(|column| !has(column)).map(create).collect())
}

/// Complains about what no new column can mend.
fn check(table: &str, found: &[Found]) -> Result<(), Trouble> {
    let unfit = |why: String| Err(Trouble::Unfit { table: table.to_owned(), why });
    for column in found {
        let known = COLUMNS.iter().find(|(name, _)| *name == column.name);
        match known {
            None if column.needed => {
                return unfit(format!("its column `{}` needs a value and has no default", column.name));
            }
            Some((name, _)) if MAY_BE_NULL.contains(name) && column.strict => {
                return unfit(format!("its column `{name}` must allow NULL, for calls that nobody answered"));
            }
            Some((name, Identity)) if column.width.is_some_and(|width| width < 32) => {
                return unfit(format!("its column `{name}` is too short for 32 characters"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// What the other node has changed meanwhile is changed.
async fn change(connection: &mut Connection, sql: &str) -> Result<(), Trouble> {
    match connection.execute_within(CHANGE_LIMIT, sql, &[]).await {
        Err(Trouble::Exists(_)) => Ok(()),
        other => other,
    }
}

/// The table's columns, names in small letters; empty when there is no such table.
async fn found(connection: &mut Connection, table: &str) -> Result<Vec<Found>, Trouble> {
    let (sql, name) = match connection.dialect() {
        Dialect::Sqlite => (
            "SELECT name, type, NULL, CAST(\"notnull\" AS TEXT), \
             CAST(\"notnull\" = 1 AND dflt_value IS NULL AND pk = 0 AS TEXT) FROM pragma_table_info(?)",
            table.to_owned(),
        ),
        Dialect::Mysql => (
            "SELECT CAST(COLUMN_NAME AS CHAR), CAST(COLUMN_TYPE AS CHAR), CAST(CHARACTER_MAXIMUM_LENGTH AS CHAR), \
             CAST(IS_NULLABLE = 'NO' AS CHAR), \
             CAST(IS_NULLABLE = 'NO' AND COLUMN_DEFAULT IS NULL AND EXTRA = '' AS CHAR) \
             FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ?",
            table.to_owned(),
        ),
        Dialect::Postgres => (
            "SELECT attname::text, format_type(atttypid, atttypmod)::text, NULL::text, attnotnull::int::text, \
             (attnotnull AND NOT atthasdef AND attidentity = '')::int::text \
             FROM pg_attribute WHERE attrelid = to_regclass($1::text) AND attnum > 0 AND NOT attisdropped",
            quoted(Dialect::Postgres, table),
        ),
    };
    let rows = connection.fetch(sql, &[Some(name)]).await?;
    let found = rows.into_iter().map(|row| {
        let cell = |index: usize| row.get(index).cloned().flatten();
        Found {
            name: cell(0).unwrap_or_default().to_ascii_lowercase(),
            sort: cell(1).unwrap_or_default(),
            width: cell(2).and_then(|width| width.parse().ok()),
            strict: cell(3).as_deref() == Some("1"),
            needed: cell(4).as_deref() == Some("1"),
        }
    });
    Ok(found.collect())
}

/// Galera copies only InnoDB's tables to its other nodes, and the others survive no power cut.
async fn check_engine(connection: &mut Connection, table: &str) -> Result<(), Trouble> {
    if connection.dialect() != Dialect::Mysql {
        return Ok(());
    }
    let sql = "SELECT CAST(ENGINE AS CHAR) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() \
               AND TABLE_NAME = ?";
    let rows = connection.fetch(sql, &[Some(table.to_owned())]).await?;
    match rows.first().and_then(|row| row.first()?.as_deref()) {
        None | Some("InnoDB") => Ok(()),
        Some(engine) => Err(Trouble::Unfit {
            table: table.to_owned(),
            why: format!("its engine is {engine}; run: ALTER TABLE {table} ENGINE=InnoDB"),
        }),
    }
}

/// Whether the table lets each identity in only once.
async fn is_unique(connection: &mut Connection, table: &str) -> Result<bool, Trouble> {
    let (sql, name) = match connection.dialect() {
        Dialect::Sqlite => (
            "SELECT CAST(COUNT(*) AS TEXT) FROM pragma_index_list(?) AS found WHERE found.\"unique\" = 1 \
             AND (SELECT COUNT(*) FROM pragma_index_info(found.name)) = 1 \
             AND (SELECT name FROM pragma_index_info(found.name)) = 'identity'",
            table.to_owned(),
        ),
        Dialect::Mysql => (
            "SELECT CAST(COUNT(*) AS CHAR) FROM (SELECT INDEX_NAME FROM information_schema.STATISTICS \
             WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? AND NON_UNIQUE = 0 GROUP BY INDEX_NAME \
             HAVING COUNT(*) = 1 AND LOWER(MAX(COLUMN_NAME)) = 'identity') AS found",
            table.to_owned(),
        ),
        Dialect::Postgres => (
            "SELECT COUNT(*)::text FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0] \
             WHERE indrelid = to_regclass($1::text) AND indisunique AND indisvalid AND indnkeyatts = 1 \
             AND indpred IS NULL AND attname = 'identity'",
            quoted(Dialect::Postgres, table),
        ),
    };
    let rows = connection.fetch(sql, &[Some(name)]).await?;
    Ok(rows.first().and_then(|row| row.first()?.as_deref()).is_some_and(|count| count != "0"))
}

/// Writes down which version the table has now. A higher number is a later program's, whose columns this one leaves
/// alone.
async fn note_version(connection: &mut Connection, table: &str) -> Result<(), Trouble> {
    let dialect = connection.dialect();
    if found(connection, VERSIONS).await?.is_empty() {
        let sql =
            format!("CREATE TABLE IF NOT EXISTS {VERSIONS} (name VARCHAR(64) PRIMARY KEY, version INTEGER NOT NULL)");
        connection.execute(&sql, &[]).await?;
    }
    let cast = |mark: &str, sort: &str| match dialect {
        Dialect::Postgres => format!("{mark}::text::{sort}"),
        Dialect::Sqlite | Dialect::Mysql => "?".to_owned(),
    };
    let text = if dialect == Dialect::Mysql { "CAST(version AS CHAR)" } else { "CAST(version AS TEXT)" };
    let sql = format!("SELECT {text} FROM {VERSIONS} WHERE name = {}", cast("$1", "varchar"));
    let rows = connection.fetch(&sql, &[Some(table.to_owned())]).await?;
    let known = rows.first().and_then(|row| row.first()?.as_deref()?.parse::<u32>().ok());
    if known.is_some_and(|known| known >= VERSION) {
        return Ok(());
    }
    let verb = if known.is_some() {
        format!("UPDATE {VERSIONS} SET version = {} WHERE name = {}", cast("$1", "int"), cast("$2", "varchar"))
    } else {
        format!("INSERT INTO {VERSIONS} (version, name) VALUES ({}, {})", cast("$1", "int"), cast("$2", "varchar"))
    };
    match connection.execute(&verb, &[Some(VERSION.to_string()), Some(table.to_owned())]).await {
        // The other node has just noted it; should its version be lower, the next look mends that.
        Err(Trouble::Exists(_)) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests;
