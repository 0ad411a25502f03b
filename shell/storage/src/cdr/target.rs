//! Which store the call records go to and how it is reached: a file of this node, or a server that both nodes share.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::FILE;

/// More than any password; what is longer is another file.
const PASSWORD_BYTES_MAX: u64 = 1024;

/// More than all authorities that the world trusts.
const AUTHORITIES_BYTES_MAX: u64 = 1024 * 1024;

/// How each certificate of a PEM file begins (RFC 7468, section 5.1).
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----";

/// The name of the table where nobody says another: Asterisk's own.
pub const TABLE_DEFAULT: &str = "cdr";

/// Where records are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A file on this node's disk; the other node has its own.
    Sqlite(PathBuf),
    Server(Server),
}

/// A database server, or a cluster of them, that both nodes write to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub kind: Kind,
    /// In the order in which they are tried; at least one.
    pub addresses: Vec<Address>,
    pub user: String,
    pub database: String,
    pub table: String,
    /// A file with the password alone; `None` where the server wants none.
    pub password_file: Option<PathBuf>,
    pub tls: Tls,
    /// PEM. The server's certificate must be signed by one of these or by a public authority, and made out to the host
    /// of its address.
    pub ca_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// MySQL, MariaDB and Galera.
    Mysql,
    Postgres,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub host: String,
    pub port: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// No connection without it.
    Required,
    /// Where the server has it.
    Preferred,
    Off,
}

impl Target {
    /// The file of a node that stores its records itself.
    pub fn sqlite(state_dir: &Path) -> Self {
        Self::Sqlite(state_dir.join(FILE))
    }

    pub fn table(&self) -> &str {
        match self {
            Self::Sqlite(_) => TABLE_DEFAULT,
            Self::Server(server) => &server.table,
        }
    }

    /// How many addresses there are to try.
    pub(super) fn ways(&self) -> usize {
        match self {
            Self::Sqlite(_) => 1,
            Self::Server(server) => server.addresses.len(),
        }
    }

    /// What people call the store when it is reached by this way.
    pub(super) fn name(&self, way: usize) -> String {
        match self {
            Self::Sqlite(path) => path.display().to_string(),
            Self::Server(server) => match server.addresses.get(way) {
                Some(address) => format!("{} at {address}", server.kind),
                None => server.kind.to_string(),
            },
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mysql => "mysql",
            Self::Postgres => "postgres",
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Why there is no password; the operator is to blame.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    #[error("read the password file {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the password file {path} can be read by others than its owner (mode {mode:04o}); run: chmod 600 {path}")]
    Readable { path: PathBuf, mode: u32 },
    #[error("the password file {path} holds no password: one line of 1 to {PASSWORD_BYTES_MAX} bytes is expected")]
    Format { path: PathBuf },
}

/// Why nobody vouches for the server; the operator is to blame.
#[derive(Debug, thiserror::Error)]
pub enum AuthoritiesError {
    #[error("read the ca_file {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the ca_file {path} holds no certificate in PEM, or more than 1 MiB")]
    Format { path: PathBuf },
}

/// The certificates in a file. It is read for each connection, so that a new one counts at once.
pub(super) fn read_authorities(path: &Path) -> Result<Vec<u8>, AuthoritiesError> {
    let failed = |source| AuthoritiesError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(AUTHORITIES_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    let has_one = bytes.windows(CERTIFICATE.len()).any(|part| part == CERTIFICATE.as_bytes());
    let good = has_one && bytes.len() as u64 <= AUTHORITIES_BYTES_MAX;
    if good { Ok(bytes) } else { Err(AuthoritiesError::Format { path: path.to_owned() }) }
}

/// The password in a file that only its owner may read. It is read for each connection, so that a new one counts at once.
pub fn read_password(path: &Path) -> Result<String, PasswordError> {
    let failed = |source| PasswordError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(PasswordError::Readable { path: path.to_owned(), mode });
    }
    let mut text = String::new();
    file.take(PASSWORD_BYTES_MAX + 1).read_to_string(&mut text).map_err(failed)?;
    let password = text.trim_end_matches(['\n', '\r']);
    let good = !password.is_empty() && !password.contains('\n') && text.len() as u64 <= PASSWORD_BYTES_MAX;
    if good { Ok(password.to_owned()) } else { Err(PasswordError::Format { path: path.to_owned() }) }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_of_authorities_holds_at_least_one_and_no_more_than_all() {
        let path = std::env::temp_dir().join(format!("tandem-authorities-{}", std::process::id()));
        let read = |text: &str| {
            fs::write(&path, text).unwrap();
            read_authorities(&path)
        };
        let one = format!("# ours\n{CERTIFICATE}\nMIIB\n-----END CERTIFICATE-----\n");
        assert_eq!(read(&one).unwrap(), one.as_bytes());
        assert!(matches!(read(""), Err(AuthoritiesError::Format { .. })));
        assert!(matches!(read("a word of passage"), Err(AuthoritiesError::Format { .. })));
        assert!(matches!(read(&(one + &" ".repeat(1024 * 1024))), Err(AuthoritiesError::Format { .. })));
        fs::remove_file(&path).unwrap();
        assert!(matches!(read_authorities(&path), Err(AuthoritiesError::Read { .. })));
    }
}
