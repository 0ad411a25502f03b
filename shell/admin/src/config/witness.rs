//! Owns the section `[witness]`: a third machine, or an etcd cluster in its place.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use node::cluster::witness::Mode;
use ureq::http::Uri;

use super::reader::{Problems, Section, Value};
use super::sections::elsewhere;
use super::{Service, value};

pub(super) const KEYS: [&str; 8] =
    ["address", "mode", "etcd", "ca_file", "cert_file", "key_file", "user", "password_file"];

/// Those of `KEYS` that say how etcd is reached.
const ETCD_KEYS: [&str; 5] = ["ca_file", "cert_file", "key_file", "user", "password_file"];

/// Ways to the witness. Each costs a packet each 30 ms.
pub const WITNESS_ADDRESSES_MAX: usize = 4;

/// More members make no cluster safer, and each dead one that must be tried costs time.
const ETCD_MEMBERS_MAX: usize = 9;

/// Where etcd serves its clients unless it is told otherwise.
const ETCD_PORT: u16 = 2379;

const HELP: &str = "write the third machine's address and port, as in address = [\"10.77.0.31:7710\"]";
const ETCD_HELP: &str = "write each member's address, as in etcd = [\"https://10.77.0.41:2379\"]";

/// What lets one of the two nodes serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    pub place: WitnessPlace,
    pub mode: Mode,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WitnessPlace {
    /// Ways to the one third machine that runs `tandem witness`, at least one.
    Machine(Vec<SocketAddr>),
    Etcd(Box<Etcd>),
}

/// An etcd cluster, and who we are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Etcd {
    /// As in `https://10.77.0.41:2379`, at least one.
    pub members: Vec<String>,
    pub ca_file: Option<PathBuf>,
    /// Our certificate and its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// A user and the file with the password.
    pub login: Option<(String, PathBuf)>,
}

impl Witness {
    /// Ways to the third machine; none where there is no such machine.
    pub fn addresses(&self) -> &[SocketAddr] {
        match &self.place {
            WitnessPlace::Machine(addresses) => addresses,
            WitnessPlace::Etcd(_) => &[],
        }
    }
}

/// Relative paths start at `directory`.
pub(super) fn witness(
    root: &Section<'_>,
    directory: &Path,
    service: Option<&Service>,
    problems: &mut Problems,
) -> Option<Witness> {
    let section = root.section("witness", problems)?;
    section.check_keys(&KEYS, |key| elsewhere(key, "[witness]"), problems);
    let place = match (section.has("address"), section.has("etcd")) {
        (true, true) => {
            let text = "[witness] has `address` and `etcd`";
            problems.push(section.problem(text, "keep one: two witnesses would let both nodes serve"));
            None
        }
        (false, true) => etcd(&section, directory, service, problems).map(|etcd| WitnessPlace::Etcd(Box::new(etcd))),
        (true, false) => machine(&section, service, problems).map(WitnessPlace::Machine),
        (false, false) => {
            problems.push(section.problem("[witness] has neither `address` nor `etcd`", HELP));
            None
        }
    };
    let mode = match section.text("mode", problems) {
        None => Mode::Prefer,
        Some(text) => mode(&text, problems)?,
    };
    Some(Witness { place: place?, mode })
}

fn machine(section: &Section<'_>, service: Option<&Service>, problems: &mut Problems) -> Option<Vec<SocketAddr>> {
    for key in ETCD_KEYS.into_iter().filter(|key| section.has(key)) {
        let help = format!("take `{key}` out; a witness of Tandem's own needs only the pair's key");
        problems.push(section.problem(format!("`{key}` means nothing without `etcd`"), help));
    }
    let texts = section.texts("address", "10.77.0.31:7710", problems);
    if let Some(extra) = texts.get(WITNESS_ADDRESSES_MAX) {
        let text = format!("there are {} addresses of the witness", texts.len());
        problems.push(extra.problem(text, "they are ways to one witness: keep those that share the least cables"));
    }
    let addresses: Vec<SocketAddr> = texts.iter().filter_map(|text| address(text, service, problems)).collect();
    (!addresses.is_empty()).then_some(addresses)
}

fn address(text: &Value<&str>, service: Option<&Service>, problems: &mut Problems) -> Option<SocketAddr> {
    let found = text.value.parse::<SocketAddr>().ok();
    let usable = found.filter(|address| address.port() != 0 && value::is_host(address.ip()));
    let problem = match usable {
        // A name would have to be looked up while nobody serves.
        None => format!("`{}` is no address with a port", text.value),
        Some(address) if service.is_some_and(|service| service.has(address.ip())) => {
            format!("{} is the service address, which moves", address.ip())
        }
        Some(address) => return Some(address),
    };
    problems.push(text.problem(problem, HELP));
    None
}

fn etcd(section: &Section<'_>, directory: &Path, service: Option<&Service>, problems: &mut Problems) -> Option<Etcd> {
    let texts = section.texts("etcd", "https://10.77.0.41:2379", problems);
    if let Some(extra) = texts.get(ETCD_MEMBERS_MAX) {
        let text = format!("there are {} members of etcd", texts.len());
        problems.push(extra.problem(text, format!("name {ETCD_MEMBERS_MAX} of them at most")));
    }
    let found: Vec<Member> = texts.iter().filter_map(|text| member(text, service, problems)).collect();
    let all_secure = found.iter().all(|member| member.secure);
    let file = |key: &str, example: &str, problems: &mut Problems| {
        let text = section.text(key, problems)?;
        value::path(key, &text, example, directory, problems)
    };
    let ca_file = file("ca_file", "/etc/tandem/etcd-ca.pem", problems);
    let certificate = file("cert_file", "/etc/tandem/etcd-client.pem", problems);
    let key = file("key_file", "/etc/tandem/etcd-client.key", problems);
    let password = file("password_file", "/etc/tandem/etcd.password", problems);
    let user = section.text("user", problems).and_then(|text| user(&text, problems));
    both(section, ["cert_file", "key_file"], problems);
    both(section, ["user", "password_file"], problems);
    for key in ETCD_KEYS.into_iter().filter(|key| section.has(key) && !all_secure) {
        let help = "write https:// before each member, and let etcd serve its clients with TLS";
        problems.push(section.problem(format!("`{key}` needs TLS, and there is a member with http://"), help));
    }
    let members: Vec<String> = found.into_iter().map(|member| member.text).collect();
    let (identity, login) = (certificate.zip(key), user.zip(password));
    (!members.is_empty()).then_some(Etcd { members, ca_file, identity, login })
}

struct Member {
    /// With its port.
    text: String,
    secure: bool,
}

fn member(text: &Value<&str>, service: Option<&Service>, problems: &mut Problems) -> Option<Member> {
    let uri = text.value.parse::<Uri>().ok();
    let parts = uri.as_ref().and_then(|uri| Some((uri.scheme_str()?, uri.authority()?, uri.path_and_query()?)));
    let secure = parts.as_ref().is_some_and(|(scheme, ..)| *scheme == "https");
    let problem = match parts {
        // The complaint does not repeat it: what is told may end in a log.
        Some((_, authority, _)) if authority.as_str().contains('@') => {
            "a member of etcd has a user in its address".to_owned()
        }
        Some((scheme @ ("http" | "https"), authority, rest)) if rest.as_str() == "/" => {
            let host = authority.host().trim_matches(['[', ']']).parse::<IpAddr>().ok();
            let port = authority.port().map_or(Some(ETCD_PORT), |port| Some(port.as_u16()).filter(|port| *port != 0));
            match host.filter(|host| value::is_host(*host)).zip(port) {
                // A name would have to be looked up while nobody serves.
                None => format!("`{}` is no address of a machine", text.value),
                Some((host, _)) if service.is_some_and(|service| service.has(host)) => {
                    format!("{host} is the service address, which moves")
                }
                Some((host, port)) => {
                    return Some(Member { text: format!("{scheme}://{}", SocketAddr::new(host, port)), secure });
                }
            }
        }
        _ => format!("`{}` is no member of etcd", text.value),
    };
    problems.push(text.problem(problem, ETCD_HELP));
    None
}

fn user(text: &Value<&str>, problems: &mut Problems) -> Option<String> {
    let good = !text.value.is_empty() && text.value.chars().all(|letter| letter.is_ascii_graphic());
    if !good {
        problems.push(text.problem("`user` is no name of a user", "write user = \"tandem\""));
    }
    good.then(|| text.value.to_owned())
}

/// Neither of the two means anything alone.
fn both(section: &Section<'_>, keys: [&str; 2], problems: &mut Problems) {
    let [first, second] = keys;
    for (has, lacks) in [(first, second), (second, first)] {
        if section.has(has) && !section.has(lacks) {
            let help = format!("add `{lacks}`, or take `{has}` out");
            problems.push(section.problem(format!("[witness] has `{has}` without `{lacks}`"), help));
        }
    }
}

fn mode(text: &Value<&str>, problems: &mut Problems) -> Option<Mode> {
    match text.value {
        "prefer" => Some(Mode::Prefer),
        "require" => Some(Mode::Require),
        other => {
            let help = "write mode = \"prefer\" (the default: without any witness the pair goes on) or mode = \
                        \"require\" (without one, only a node that hears its peer serves)";
            problems.push(text.problem(format!("`mode` cannot be `{other}`"), help));
            None
        }
    }
}
