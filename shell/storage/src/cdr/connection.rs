//! One connection to a store, whichever it is: statements with text values in, text out. Each dialect's SQL says what
//! the texts are, so that a column may be of any type that a text can become.

use std::time::Duration;

use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlSslMode};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Row};

use super::target::{Address, Kind, Server, Target, Tls, read_authorities, read_password};
use super::trouble::Trouble;

/// How long a server may take to let us in: a lost packet or two, and a machine that is busy. One that is frozen must
/// not keep us from the next address.
pub(super) const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// How long one statement may take. A server that is frozen takes for ever.
pub(super) const STATEMENT_LIMIT: Duration = Duration::from_secs(10);

/// How long a reader and a writer of one file wait for each other.
const SQLITE_BUSY: Duration = Duration::from_secs(5);

/// A row's columns as text.
pub(super) type Cells = Vec<Option<String>>;

/// What the connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Write,
    /// A server that is read-only will do, and no file is made.
    Read,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Sqlite,
    Mysql,
    Postgres,
}

pub(super) struct Connection {
    wire: Wire,
}

enum Wire {
    Sqlite(SqliteConnection),
    Mysql(MySqlConnection),
    Postgres(PgConnection),
}

/// Runs `$statement` on the connection of whichever database; `$query` is the statement with its values bound.
macro_rules! on_wire {
    ($wire:expr, $sql:expr, $values:expr, |$query:ident, $connection:ident| $statement:expr) => {
        match $wire {
            Wire::Sqlite($connection) => {
                let $query = $values.iter().fold(sqlx::query::<sqlx::Sqlite>($sql), |query, value| query.bind(value));
                let $query = $query.persistent(false);
                $statement
            }
            Wire::Mysql($connection) => {
                let $query = $values.iter().fold(sqlx::query::<sqlx::MySql>($sql), |query, value| query.bind(value));
                let $query = $query.persistent(false);
                $statement
            }
            Wire::Postgres($connection) => {
                let $query = $values.iter().fold(sqlx::query::<sqlx::Postgres>($sql), |query, value| query.bind(value));
                let $query = $query.persistent(false);
                $statement
            }
        }
    };
}

impl Connection {
    /// Connects by the `way`th address, and refuses a server that would not take what `purpose` needs.
    pub(super) async fn open(target: &Target, way: usize, purpose: Purpose) -> Result<Self, Trouble> {
        let opening = async {
            let wire = match target {
                Target::Sqlite(path) => {
                    let mut options = SqliteConnectOptions::new()
                        .filename(path)
                        .synchronous(SqliteSynchronous::Full)
                        .busy_timeout(SQLITE_BUSY);
                    options = match purpose {
                        Purpose::Write => options.create_if_missing(true).journal_mode(SqliteJournalMode::Wal),
                        Purpose::Read => options.read_only(true),
                    };
                    Wire::Sqlite(options.disable_statement_logging().connect().await?)
                }
                Target::Server(server) => {
                    let address = server.addresses.get(way).ok_or(sqlx::Error::WorkerCrashed)?;
                    let password = server.password_file.as_deref().map(read_password);
                    let password = password.transpose().map_err(Trouble::Password)?;
                    let authorities = server.ca_file.as_deref().map(read_authorities);
                    let authorities = authorities.transpose().map_err(Trouble::Authorities)?;
                    let secrets = Secrets { password, authorities };
                    match server.kind {
                        Kind::Mysql => Wire::Mysql(mysql(server, address, secrets).connect().await?),
                        Kind::Postgres => Wire::Postgres(postgres(server, address, secrets).connect().await?),
                    }
                }
            };
            let mut connection = Self { wire };
            if purpose == Purpose::Write {
                connection.check_writable().await?;
            }
            Ok(connection)
        };
        within(CONNECT_LIMIT, opening).await
    }

    pub(super) fn dialect(&self) -> Dialect {
        match &self.wire {
            Wire::Sqlite(_) => Dialect::Sqlite,
            Wire::Mysql(_) => Dialect::Mysql,
            Wire::Postgres(_) => Dialect::Postgres,
        }
    }

    pub(super) async fn execute(&mut self, sql: &str, values: &[Option<String>]) -> Result<(), Trouble> {
        self.execute_within(STATEMENT_LIMIT, sql, values).await
    }

    pub(super) async fn execute_within(
        &mut self,
        limit: Duration,
        sql: &str,
        values: &[Option<String>],
    ) -> Result<(), Trouble> {
        let done = async {
            on_wire!(&mut self.wire, sql, values, |query, connection| {
                query.execute(connection).await.map(drop).map_err(Trouble::from)
            })
        };
        within(limit, done).await
    }

    pub(super) async fn fetch(&mut self, sql: &str, values: &[Option<String>]) -> Result<Vec<Cells>, Trouble> {
        let fetched = async {
            on_wire!(&mut self.wire, sql, values, |query, connection| {
                let rows = query.fetch_all(connection).await?;
                let cells = rows.iter().map(|row| (0..row.len()).map(|index| row.try_get(index)).collect());
                cells.collect::<Result<Vec<Cells>, sqlx::Error>>().map_err(Trouble::from)
            })
        };
        within(STATEMENT_LIMIT, fetched).await
    }

    /// A user with great rights may write to a server that is to be read only, so the server itself is asked.
    async fn check_writable(&mut self) -> Result<(), Trouble> {
        match self.dialect() {
            Dialect::Sqlite => Ok(()),
            Dialect::Mysql => {
                // A Galera node outside the primary component answers these, and nearly nothing else.
                let sql = "SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_ready', 'wsrep_cluster_status')";
                let states = self.fetch(sql, &[]).await?;
                let is = |name: &str, good: &str| {
                    let of_name = states.iter().find(|row| row.first() == Some(&Some(name.to_owned())));
                    // A server that is no cluster says nothing, or that it is disconnected and not ready.
                    of_name.and_then(|row| row.get(1)?.as_deref()).is_none_or(|value| value.eq_ignore_ascii_case(good))
                };
                let wsrep = self.fetch("SHOW GLOBAL VARIABLES LIKE 'wsrep_on'", &[]).await?;
                let on = wsrep.first().and_then(|row| row.get(1)?.as_deref()) == Some("ON");
                if on && !(is("wsrep_ready", "ON") && is("wsrep_cluster_status", "Primary")) {
                    return Err(Trouble::NotPrimary(None));
                }
                let read_only = self.fetch("SHOW GLOBAL VARIABLES LIKE 'read_only'", &[]).await?;
                match read_only.first().and_then(|row| row.get(1)?.as_deref()) {
                    Some("ON" | "1") => Err(Trouble::ReadOnly(None)),
                    _ => Ok(()),
                }
            }
            Dialect::Postgres => {
                let state = self.fetch("SELECT current_setting('transaction_read_only')", &[]).await?;
                match state.first().and_then(|row| row.first()?.as_deref()) {
                    Some("on") => Err(Trouble::ReadOnly(None)),
                    _ => Ok(()),
                }
            }
        }
    }
}

/// What is read anew for each connection.
struct Secrets {
    password: Option<String>,
    /// PEM. Public authorities count beside them, and so the server's name has to be in its certificate: nobody else gets
    /// a certificate for that name, and whoever names an authority wants to know who the server is.
    authorities: Option<Vec<u8>>,
}

fn mysql(server: &Server, address: &Address, secrets: Secrets) -> MySqlConnectOptions {
    let mode = match (server.tls, &server.ca_file) {
        (Tls::Off, _) => MySqlSslMode::Disabled,
        (Tls::Preferred, None) => MySqlSslMode::Preferred,
        (Tls::Required, None) => MySqlSslMode::Required,
        (Tls::Preferred | Tls::Required, Some(_)) => MySqlSslMode::VerifyIdentity,
    };
    let options = MySqlConnectOptions::new()
        .host(&address.host)
        .port(address.port)
        .username(&server.user)
        .database(&server.database)
        .ssl_mode(mode)
        .disable_statement_logging();
    let options = secrets.password.iter().fold(options, |options, password| options.password(password));
    secrets.authorities.into_iter().fold(options, MySqlConnectOptions::ssl_ca_from_pem)
}

fn postgres(server: &Server, address: &Address, secrets: Secrets) -> PgConnectOptions {
    let mode = match (server.tls, &server.ca_file) {
        (Tls::Off, _) => PgSslMode::Disable,
        (Tls::Preferred, None) => PgSslMode::Prefer,
        (Tls::Required, None) => PgSslMode::Require,
        (Tls::Preferred | Tls::Required, Some(_)) => PgSslMode::VerifyFull,
    };
    let options = PgConnectOptions::new_without_pgpass()
        .host(&address.host)
        .port(address.port)
        .username(&server.user)
        .database(&server.database)
        .application_name("tandem")
        .ssl_mode(mode)
        .disable_statement_logging();
    let options = secrets.password.iter().fold(options, |options, password| options.password(password));
    secrets.authorities.into_iter().fold(options, PgConnectOptions::ssl_root_cert_from_pem)
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
    let silent = |_| Trouble::Silent { seconds: limit.as_secs() };
    tokio::time::timeout(limit, work).await.map_err(silent)?
}
