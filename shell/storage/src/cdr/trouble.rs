//! Why a store does not take records, told apart: what a person has to do differs, and so does whether another address
//! of the store may help.

use std::borrow::Cow;
use std::io;

use sqlx::mysql::MySqlDatabaseError;
use sqlx::postgres::PgDatabaseError;
use thiserror::Error;

use super::target::{AuthoritiesError, PasswordError};

/// What is wrong with a store.
#[derive(Debug, Error)]
pub enum Trouble {
    #[error("it cannot be reached")]
    Unreachable(#[source] sqlx::Error),
    #[error("it does not answer within {seconds} s")]
    Silent { seconds: u64 },
    #[error("it refuses the user or the password")]
    Login(#[source] sqlx::Error),
    #[error("the password is missing")]
    Password(#[source] PasswordError),
    #[error("nobody vouches for it")]
    Authorities(#[source] AuthoritiesError),
    #[error("it has no such database")]
    NoDatabase(#[source] sqlx::Error),
    #[error("the user may not do that")]
    Denied(#[source] sqlx::Error),
    #[error("the user may not do that: it has no right to {rights}")]
    NoRight { rights: String },
    #[error("it is read-only")]
    ReadOnly(#[source] Option<sqlx::Error>),
    #[error("its node is not in the cluster's primary component")]
    NotPrimary(#[source] Option<sqlx::Error>),
    #[error("its disk is full")]
    Full(#[source] sqlx::Error),
    #[error("another writer was faster")]
    Conflict(#[source] sqlx::Error),
    #[error("it is busy, starting or ending")]
    Busy(#[source] sqlx::Error),
    #[error("no secure connection")]
    Tls(#[source] sqlx::Error),
    #[error("it has that already")]
    Exists(#[source] sqlx::Error),
    #[error("it refuses a value")]
    Value(#[source] sqlx::Error),
    #[error("the table `{table}` does not fit: {why}")]
    Unfit { table: String, why: String },
    #[error("the file is no store of call records")]
    Foreign(#[source] sqlx::Error),
    #[error("it fails")]
    Other(#[source] sqlx::Error),
}

impl Trouble {
    /// The same statement may succeed when it is tried again at once.
    pub(super) fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict(_))
    }

    /// The statement was fine and one of its values was not.
    pub(super) fn is_value(&self) -> bool {
        matches!(self, Self::Value(_))
    }

    /// The error with those behind it, on one line.
    pub fn text(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(error) = source {
            let more = error.to_string();
            if !text.ends_with(&more) {
                text = format!("{text}: {more}");
            }
            source = error.source();
        }
        text
    }
}

impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(of_server) => {
                let code = of_server.code().unwrap_or(Cow::Borrowed(""));
                let sort = if let Some(error) = of_server.try_downcast_ref::<MySqlDatabaseError>() {
                    of_mysql(error.number(), error.message())
                } else if of_server.try_downcast_ref::<PgDatabaseError>().is_some() {
                    of_postgres(&code)
                } else {
                    of_sqlite(&code)
                };
                sort.trouble(error)
            }
            // How a certificate that is not believed, and anything else that the secure layer refuses, is told.
            sqlx::Error::Io(refused) if refused.kind() == io::ErrorKind::InvalidData => Self::Tls(error),
            sqlx::Error::Io(_) => Self::Unreachable(error),
            sqlx::Error::Tls(_) => Self::Tls(error),
            // What a server that is not one, or that breaks off, says.
            sqlx::Error::Protocol(_) => Self::Unreachable(error),
            _ => Self::Other(error),
        }
    }
}

/// The kinds of trouble that servers have numbers for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Login,
    NoDatabase,
    Denied,
    ReadOnly,
    NotPrimary,
    Full,
    Conflict,
    Busy,
    Value,
    Exists,
    Foreign,
    Other,
}

impl Sort {
    fn trouble(self, error: sqlx::Error) -> Trouble {
        match self {
            Self::Login => Trouble::Login(error),
            Self::NoDatabase => Trouble::NoDatabase(error),
            Self::Denied => Trouble::Denied(error),
            Self::ReadOnly => Trouble::ReadOnly(Some(error)),
            Self::NotPrimary => Trouble::NotPrimary(Some(error)),
            Self::Full => Trouble::Full(error),
            Self::Conflict => Trouble::Conflict(error),
            Self::Busy => Trouble::Busy(error),
            Self::Value => Trouble::Value(error),
            Self::Exists => Trouble::Exists(error),
            Self::Foreign => Trouble::Foreign(error),
            Self::Other => Trouble::Other(error),
        }
    }
}

/// MySQL's and MariaDB's error numbers (mysqld_error.h).
fn of_mysql(number: u16, message: &str) -> Sort {
    // ENOSPC within the text is how the storage engine passes on what the system said.
    let no_space = ["errno: 28 ", "Errcode: 28 ", "error 28 "].iter().any(|words| message.contains(words));
    let apart = message.contains("Not connected to Primary Component");
    match number {
        1045 | 1698 | 1251 => Sort::Login,
        1049 => Sort::NoDatabase,
        1044 | 1142 | 1143 | 1227 | 1370 => Sort::Denied,
        1290 | 1792 | 1836 | 3989 => Sort::ReadOnly,
        // ER_UNKNOWN_COM_ERROR is what a Galera node says that must not serve.
        1047 => Sort::NotPrimary,
        // A statement that was under way when the majority went.
        1180 if apart => Sort::NotPrimary,
        1021 | 1114 => Sort::Full,
        3 | 1026 | 1030 | 1180 if no_space => Sort::Full,
        // 1180: Galera's certification failed at the commit.
        1205 | 1213 | 1180 => Sort::Conflict,
        1040 | 1053 | 1203 | 1226 | 1927 | 3024 | 1969 => Sort::Busy,
        1050 | 1060..=1062 => Sort::Exists,
        1264 | 1265 | 1292 | 1366 | 1406 | 1411 | 3988 | 4025 | 3819 => Sort::Value,
        _ => Sort::Other,
    }
}

/// PostgreSQL's SQLSTATE (its manual, appendix A).
fn of_postgres(state: &str) -> Sort {
    match state {
        "28P01" | "28000" => Sort::Login,
        "3D000" => Sort::NoDatabase,
        "42501" => Sort::Denied,
        "25006" => Sort::ReadOnly,
        "53100" => Sort::Full,
        "42701" | "42P07" | "23505" => Sort::Exists,
        "40001" | "40P01" | "55P03" => Sort::Conflict,
        "53300" | "53200" | "57014" | "57P01" | "57P02" | "57P03" => Sort::Busy,
        state if state.starts_with("22") || state == "23514" => Sort::Value,
        _ => Sort::Other,
    }
}

/// SQLite's result codes; the lowest byte is the primary one.
fn of_sqlite(code: &str) -> Sort {
    match code.parse::<u32>().map(|code| code & 0xff) {
        Ok(8) => Sort::ReadOnly,
        Ok(13) => Sort::Full,
        Ok(5 | 6) => Sort::Busy,
        Ok(3 | 23) => Sort::Denied,
        Ok(11 | 26) => Sort::Foreign,
        _ => Sort::Other,
    }
}

#[cfg(test)]
mod tests;
