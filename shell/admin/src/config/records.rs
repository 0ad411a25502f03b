//! Owns where call records are stored: the section `[records]`.

use std::path::{Path, PathBuf};

use super::reader::{Problems, Section, Value};
use super::sections::elsewhere;
use super::value;

pub(super) const KEYS: [&str; 5] = ["store", "table", "password_file", "tls", "ca_file"];

/// More nodes than any Galera cluster has.
pub const STORE_ADDRESSES_MAX: usize = 16;

/// The least of what the servers allow for a name, less what the names of our indexes add.
const NAME_BYTES_MAX: usize = 48;

const TABLE_DEFAULT: &str = "cdr";

const STORE_HELP: &str = "write store = \"sqlite\" (the default: a file on each node), store = \
                          \"mysql://user@host1:3306,host2:3306/database\" or store = \"postgres://user@host:5432/database\"";

/// Where call records are stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Records {
    /// A file on each node, which the nodes keep equal.
    #[default]
    Sqlite,
    /// A server that both nodes share.
    Server(Box<RecordServer>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordServer {
    pub kind: ServerKind,
    pub user: String,
    /// Hosts (names or addresses) and ports, in the order in which they are tried; at least one.
    pub addresses: Vec<(String, u16)>,
    pub database: String,
    pub table: String,
    /// Absolute. Holds the password alone.
    pub password_file: Option<PathBuf>,
    pub tls: StoreTls,
    /// Absolute. PEM certificates, one of which must have signed the server's.
    pub ca_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerKind {
    /// MySQL, MariaDB and Galera.
    Mysql,
    Postgres,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreTls {
    Required,
    Preferred,
    Off,
}

impl ServerKind {
    fn port_default(self) -> u16 {
        match self {
            Self::Mysql => 3306,
            Self::Postgres => 5432,
        }
    }
}

pub(super) fn records(root: &Section<'_>, directory: &Path, problems: &mut Problems) -> Option<Records> {
    let Some(section) = root.section("records", problems) else { return Some(Records::Sqlite) };
    section.check_keys(&KEYS, |key| elsewhere(key, "[records]"), problems);
    let store = section.text("store", problems);
    let Some(store) = store.filter(|text| text.value != "sqlite") else {
        for key in KEYS.iter().filter(|key| **key != "store" && section.has(key)) {
            let help = format!("take `{key}` out, or name a server as `store`");
            problems.push(section.problem(format!("`{key}` means nothing for records in SQLite"), help));
        }
        return Some(Records::Sqlite);
    };
    let server = url(&store, problems);
    let table = match section.text("table", problems) {
        Some(text) => name("table", &text, problems),
        None => Some(TABLE_DEFAULT.to_owned()),
    };
    let mut file = |key: &str, example: &str| {
        let text = section.text(key, problems)?;
        value::path(key, &text, example, directory, problems)
    };
    let password_file = file("password_file", "/etc/tandem/records.password");
    let ca_file = file("ca_file", "/etc/tandem/records-ca.pem");
    let tls = match section.text("tls", problems) {
        Some(text) => tls(&text, ca_file.is_some(), problems),
        None => Some(StoreTls::Preferred),
    };
    let Url { kind, user, addresses, database } = server?;
    let server = RecordServer { kind, user, addresses, database, table: table?, password_file, tls: tls?, ca_file };
    Some(Records::Server(Box::new(server)))
}

struct Url {
    kind: ServerKind,
    user: String,
    addresses: Vec<(String, u16)>,
    database: String,
}

/// `scheme://user@host:port,host:port/database`.
fn url(text: &Value<&str>, problems: &mut Problems) -> Option<Url> {
    match parsed(text.value) {
        Ok(url) => Some(url),
        Err(Wrong { text: wrong, help }) => {
            problems.push(text.problem(wrong, help.unwrap_or(STORE_HELP)));
            None
        }
    }
}

struct Wrong {
    text: String,
    help: Option<&'static str>,
}

impl Wrong {
    fn new<T>(text: impl Into<String>) -> Result<T, Self> {
        Err(Self { text: text.into(), help: None })
    }
}

fn parsed(text: &str) -> Result<Url, Wrong> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Wrong::new(format!("`{text}` is no store"));
    };
    let kind = match scheme {
        "mysql" | "mariadb" => ServerKind::Mysql,
        "postgres" | "postgresql" => ServerKind::Postgres,
        other => return Wrong::new(format!("`{other}` is no kind of store")),
    };
    let Some((user, rest)) = rest.rsplit_once('@') else { return Wrong::new("the store has no user") };
    // The complaint does not repeat it: what is told may end in a log.
    if user.contains(':') {
        let help = Some("write the password alone into a file of mode 0600, and name it as password_file");
        return Err(Wrong { text: "the password of the store does not belong here".into(), help });
    }
    if user.is_empty() || !user.chars().all(|letter| letter.is_ascii_graphic()) {
        return Wrong::new("the store has no user");
    }
    let (hosts, database) = rest.split_once('/').unwrap_or((rest, ""));
    if database.contains('?') {
        let help = Some("write what is behind the `?` as the keys `tls` and `ca_file`");
        return Err(Wrong { text: "the store has no options in its address".into(), help });
    }
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    if database.is_empty() || database.len() > NAME_BYTES_MAX || !database.chars().all(allowed) {
        return Wrong::new("the store has no database");
    }
    let addresses: Vec<(String, u16)> = hosts.split(',').map(|host| address(host, kind)).collect::<Result<_, _>>()?;
    if addresses.len() > STORE_ADDRESSES_MAX {
        let help = Some("keep those that are of one cluster, 16 at most");
        return Err(Wrong { text: format!("there are {} addresses of the store", addresses.len()), help });
    }
    Ok(Url { kind, user: user.to_owned(), addresses, database: database.to_owned() })
}

/// `host`, `host:port`, `[::1]` or `[::1]:port`.
fn address(text: &str, kind: ServerKind) -> Result<(String, u16), Wrong> {
    let wrong = || Wrong::new(format!("`{text}` is no host with a port"));
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, port)) if host.parse::<std::net::Ipv6Addr>().is_ok() => (host, port.strip_prefix(':')),
            _ => return wrong(),
        },
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = match port {
        Some(port) => port.parse().ok().filter(|port| *port != 0),
        None => Some(kind.port_default()),
    };
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_' | ':');
    match port {
        Some(port) if !host.is_empty() && host.chars().all(allowed) => Ok((host.to_owned(), port)),
        _ => wrong(),
    }
}

fn name(key: &str, text: &Value<&str>, problems: &mut Problems) -> Option<String> {
    let letters =
        text.value.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_');
    let first = text.value.starts_with(|letter: char| letter.is_ascii_lowercase() || letter == '_');
    let good = letters && first && text.value.len() <= NAME_BYTES_MAX;
    if !good {
        let help =
            format!("write up to {NAME_BYTES_MAX} small letters, digits and `_`, as in {key} = \"{TABLE_DEFAULT}\"");
        problems.push(text.problem(format!("`{}` is no name of a table", text.value), help));
    }
    good.then(|| text.value.to_owned())
}

fn tls(text: &Value<&str>, has_ca: bool, problems: &mut Problems) -> Option<StoreTls> {
    match text.value {
        "required" => Some(StoreTls::Required),
        "preferred" => Some(StoreTls::Preferred),
        "off" if has_ca => {
            let help = "take `ca_file` out, or write tls = \"required\"";
            problems.push(text.problem("`ca_file` means nothing without TLS", help));
            None
        }
        "off" => Some(StoreTls::Off),
        other => {
            let help = "write tls = \"preferred\" (the default), tls = \"required\" or tls = \"off\"";
            problems.push(text.problem(format!("`tls` cannot be `{other}`"), help));
            None
        }
    }
}
