//! Owns the section `[vrrp]`: what other routers that share the service address are told.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use node::cluster::vrrp::timer::{CENTISECONDS_MAX, SECONDS_MAX};
use node::cluster::vrrp::{Authentication, Version};

use super::reader::{Problems, Section, Value};
use super::sections::{elsewhere, path};
use super::{Service, value};

pub(super) const KEYS: [&str; 9] = [
    "enabled",
    "version",
    "advert_interval",
    "unicast_peers",
    "checksum_pseudo_header",
    "password",
    "virtual_mac",
    "hmac_key_file",
    "hmac_key_id",
];

/// Each neighbour costs a packet in each interval. More of them are a case for multicast.
pub const UNICAST_PEERS_MAX: usize = 16;

/// keepalived's and the RFCs' own (RFC 9568 section 6.1).
const INTERVAL_MS_DEFAULT: u32 = 1_000;

const HMAC_KEY_ID_DEFAULT: u64 = 1;

/// The unit of version 3's intervals.
const CENTISECOND_MS: u32 = 10;
const SECOND_MS: u32 = 1_000;

/// How the node speaks VRRP. Virtual router and priority are those of `[service]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vrrp {
    /// Version 2 only with an IPv4 service address.
    pub version: Version,
    /// Between two adverts; what the version can say, or under a second.
    pub advert_interval: Duration,
    /// Other routers, of the service address's family; empty for multicast.
    pub unicast_peers: Vec<IpAddr>,
    /// Version 3 over IPv4: the checksum covers the pseudo-header.
    pub checksum_pseudo_header: bool,
    /// Version 2 only.
    pub authentication: Authentication,
    /// The addresses have the virtual router's Ethernet address.
    pub virtual_mac: bool,
    /// Adverts carry, and must carry, keepalived's `auth_hmac`.
    pub hmac: Option<HmacKeyFile>,
}

/// Where the key of the adverts is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HmacKeyFile {
    /// Absolute.
    pub path: PathBuf,
    /// As the other routers have it, so that keys can be exchanged one router at a time.
    pub id: u8,
}

/// The section, unless it is absent or says `enabled = false`. It is checked either way.
pub(super) fn vrrp(
    root: &Section<'_>,
    directory: &Path,
    service: Option<&Service>,
    problems: &mut Problems,
) -> Option<Vrrp> {
    let section = root.section("vrrp", problems)?;
    section.check_keys(&KEYS, |key| keepalived(key).or_else(|| elsewhere(key, "[vrrp]")), problems);
    let enabled = section.flag("enabled", problems).is_some_and(|flag| flag.value);
    let version = version(&section, service, problems);
    let advert_interval = interval(&section, version, problems);
    let unicast_peers = unicast_peers(&section, service, problems);
    let checksum_pseudo_header = section.flag("checksum_pseudo_header", problems).is_none_or(|flag| flag.value);
    let authentication = authentication(&section, version, problems);
    let virtual_mac = section.flag("virtual_mac", problems).is_some_and(|flag| flag.value);
    let hmac = hmac(&section, authentication, directory, problems);
    enabled.then_some(Vrrp {
        version,
        advert_interval,
        unicast_peers,
        checksum_pseudo_header,
        authentication,
        virtual_mac,
        hmac,
    })
}

/// What a word of keepalived's configuration is called here.
fn keepalived(key: &str) -> Option<String> {
    let here = match key {
        "advert_int" => "`advert_interval`, in milliseconds",
        "auth_pass" => "`password`",
        "virtual_router_id" => "`vrid`, below [service]",
        "auth_hmac" => "`hmac_key_file` and `hmac_key_id`",
        "use_vmac" => "`virtual_mac`",
        "nopreempt" => "`failback`, below [node]",
        "preempt_delay" => "`preempt_delay`, below [node]",
        "track_script" | "vrrp_script" | "track_interface" | "track_process" | "track_file" => "a section [[track]]",
        "virtual_ipaddress" => "`address` or `addresses`, below [service]",
        _ => return None,
    };
    Some(format!("keepalived's `{key}` is {here}"))
}

fn version(section: &Section<'_>, service: Option<&Service>, problems: &mut Problems) -> Version {
    let Some(number) = section.number("version", 3, problems) else { return Version::V3 };
    match number.value {
        2 if service.is_some_and(|service| service.address.is_ipv6()) => {
            problems.push(number.problem("VRRP version 2 knows IPv4 only", "write version = 3"));
        }
        2 => return Version::V2,
        3 => {}
        other => {
            let help = "write version = 3 (the default) or version = 2, as the other router has it";
            problems.push(number.problem(format!("`version` cannot be {other}"), help));
        }
    }
    Version::V3
}

/// Version 2 has whole seconds; below one it says 1 and is faster (`cluster::vrrp::timer::to_wire`).
fn interval(section: &Section<'_>, version: Version, problems: &mut Problems) -> Duration {
    let number = section.number("advert_interval", INTERVAL_MS_DEFAULT, problems);
    let millis = number.as_ref().map_or(INTERVAL_MS_DEFAULT, |number| number.value);
    let (unit, most) = match version {
        Version::V2 if millis < SECOND_MS => (CENTISECOND_MS, SECOND_MS),
        Version::V2 => (SECOND_MS, u32::from(SECONDS_MAX) * SECOND_MS),
        Version::V3 => (CENTISECOND_MS, u32::from(CENTISECONDS_MAX) * CENTISECOND_MS),
    };
    let good = (CENTISECOND_MS..=most).contains(&millis) && millis.is_multiple_of(unit);
    if let Some(number) = number.filter(|_| !good) {
        let help = match version {
            Version::V2 => "write whole seconds in milliseconds, up to 255000, or less than 1000 in steps of 10",
            Version::V3 => "write milliseconds from 10 to 40950 in steps of 10",
        };
        problems.push(number.problem(format!("`advert_interval` cannot be {millis}"), help));
    }
    Duration::from_millis(u64::from(millis))
}

fn unicast_peers(section: &Section<'_>, service: Option<&Service>, problems: &mut Problems) -> Vec<IpAddr> {
    let texts = section.texts("unicast_peers", "10.77.0.31", problems);
    if let Some(extra) = texts.get(UNICAST_PEERS_MAX) {
        let text = format!("there are {} unicast peers", texts.len());
        problems.push(extra.problem(text, "leave `unicast_peers` out: multicast reaches all of them"));
    }
    let mut peers = Vec::new();
    for text in &texts {
        if let Some(peer) = unicast_peer(text, service, &peers, problems) {
            peers.push(peer);
        }
    }
    peers
}

fn unicast_peer(
    text: &Value<&str>,
    service: Option<&Service>,
    before: &[IpAddr],
    problems: &mut Problems,
) -> Option<IpAddr> {
    const HELP: &str = "write the other router's own address, as in unicast_peers = [\"10.77.0.31\"]";
    let Ok(address) = text.value.parse::<IpAddr>() else {
        problems.push(text.problem(format!("`{}` is no IP address", text.value), HELP));
        return None;
    };
    let problem = if !value::is_host(address) || address.is_loopback() {
        format!("{address} is not the address of another router")
    } else if service.is_some_and(|service| service.has(address)) {
        format!("{address} is the service address, which moves")
    } else if service.is_some_and(|service| service.address.is_ipv4() != address.is_ipv4()) {
        format!("{address} and the service address are of different address families")
    } else if before.contains(&address) {
        format!("{address} is there twice")
    } else {
        return Some(address);
    };
    problems.push(text.problem(problem, HELP));
    None
}

fn hmac(
    section: &Section<'_>,
    authentication: Authentication,
    directory: &Path,
    problems: &mut Problems,
) -> Option<HmacKeyFile> {
    let id = section.number_within("hmac_key_id", HMAC_KEY_ID_DEFAULT, (0, 255), problems);
    if !section.has("hmac_key_file") {
        if section.has("hmac_key_id") {
            let help = "add hmac_key_file = \"/etc/tandem/vrrp.key\", or leave `hmac_key_id` out";
            problems.push(section.problem("`hmac_key_id` is of no use without `hmac_key_file`", help));
        }
        return None;
    }
    if authentication != Authentication::None {
        let help = "leave `password` out: everybody on the link reads it";
        problems.push(section.problem("adverts have a `password` or an HMAC, not both", help));
    }
    let path = path(section, "hmac_key_file", "/etc/tandem/vrrp.key", directory, problems)?;
    Some(HmacKeyFile { path, id: u8::try_from(id?).ok()? })
}

fn authentication(section: &Section<'_>, version: Version, problems: &mut Problems) -> Authentication {
    let Some(text) = section.text("password", problems) else { return Authentication::None };
    if version == Version::V3 {
        let help = "leave it out, or write version = 2";
        problems.push(text.problem("VRRP version 3 has no password", help));
        return Authentication::None;
    }
    Authentication::password(text.value).unwrap_or_else(|| {
        let help = "write the other router's `auth_pass`; it goes over the link in clear";
        problems.push(text.problem("`password` has 1 to 8 bytes", help));
        Authentication::None
    })
}
