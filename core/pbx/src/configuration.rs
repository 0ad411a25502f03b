//! Owns what the configuration files mean: transports, endpoints and the dialplan, checked as a whole before use.
//!
//! It is derived data: every node loads it from its own copy of the files, and `hash` tells whether two copies agree.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use ::sip::digest::Algorithm;

use crate::conf::{self, Diagnostic, Diagnostics, Files, Place};
use crate::dialplan::{self, Dialplan};

mod codecs;
mod options;
mod pjsip;
mod rtp;
mod sip;
#[cfg(test)]
mod tests;
mod value;

pub(crate) use value::{caller_id, yes_or_no};

/// A day: longer registrations and pauses between probes are mistakes, and an error.
const SECONDS_MAX: u32 = 86_400;

/// Reads and checks all files. It takes long for thousands of files and belongs on a worker.
pub fn load(files: &Files) -> Loaded {
    let mut diagnostics = Diagnostics::default();
    let mut draft = Draft::default();
    let sip = conf::read(files, "sip.conf", &mut diagnostics);
    let pjsip = conf::read(files, "pjsip.conf", &mut diagnostics);
    if sip.is_none() && pjsip.is_none() {
        diagnostics.error(&Place::new("sip.conf", 0), "there is neither a sip.conf nor a pjsip.conf");
    }
    if let Some(sip) = sip {
        sip::load(&sip, &mut draft, &mut diagnostics);
    }
    if let Some(pjsip) = pjsip {
        pjsip::load(&pjsip, &mut draft, &mut diagnostics);
    }
    if let Some(rtp) = conf::read(files, "rtp.conf", &mut diagnostics) {
        rtp::load(&rtp, &mut draft, &mut diagnostics);
    }
    let dialplan = match conf::read(files, "extensions.conf", &mut diagnostics) {
        Some(extensions) => dialplan::load(&extensions, &mut diagnostics),
        None => {
            diagnostics.error(&Place::new("extensions.conf", 0), "there is no extensions.conf");
            Dialplan::default()
        }
    };
    draft.check(&dialplan, &mut diagnostics);
    let complete = !diagnostics.failed();
    let configuration = complete.then(|| draft.finish(dialplan, hash(files)));
    Loaded { configuration, diagnostics: diagnostics.finish() }
}

/// Paths and texts with their lengths, so that text cannot wander from one file into the next unnoticed.
fn hash(files: &Files) -> u64 {
    let mut hash = xxhash_rust::xxh3::Xxh3::new();
    for text in files.0.iter().flat_map(|(path, text)| [path, text]) {
        hash.update(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_le_bytes());
        hash.update(text.as_bytes());
    }
    hash.digest()
}

/// The configuration while its files are read.
#[derive(Default)]
struct Draft {
    general: General,
    transports: Vec<Transport>,
    endpoints: BTreeMap<String, (Place, Endpoint)>,
}

impl Draft {
    fn add(&mut self, endpoint: Endpoint, place: &Place, diagnostics: &mut Diagnostics) {
        if let Some((first, _)) = self.endpoints.get(&endpoint.name) {
            let text = format!("the endpoint `{}` is there already, at {first}", endpoint.name);
            return diagnostics.error(place, text);
        }
        self.endpoints.insert(endpoint.name.clone(), (place.clone(), endpoint));
    }

    /// Checks what no file can check by itself.
    fn check(&self, dialplan: &Dialplan, diagnostics: &mut Diagnostics) {
        for (place, endpoint) in self.endpoints.values() {
            if !dialplan.has_context(&endpoint.context) {
                let Endpoint { name, context, .. } = endpoint;
                let text = format!("extensions.conf has no context `{context}`: every call from {name} gets 404");
                diagnostics.warning(place, text);
            }
        }
        for (place, target) in dialplan.fixed_targets() {
            let known = self.endpoints.get(&target.endpoint);
            if known.is_none_or(|(_, endpoint)| target.technology != Some(endpoint.technology)) {
                let text = format!("Dial: there is no endpoint `{}` of this technology", target.endpoint);
                diagnostics.warning(place, text);
            }
        }
    }

    fn finish(mut self, dialplan: Dialplan, hash: u64) -> Configuration {
        self.transports.sort();
        self.transports.dedup();
        self.general.transports = self.transports;
        let endpoints = self.endpoints.into_iter().map(|(name, (_, endpoint))| (name, endpoint)).collect();
        Configuration { general: self.general, endpoints, dialplan, hash }
    }
}

/// What came of loading the files.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// `None` when any diagnostic is an error: a broken file never replaces a working one.
    pub configuration: Option<Configuration>,
    /// Sorted by file and line.
    pub diagnostics: Vec<Diagnostic>,
}

/// Everything that `sip.conf`, `pjsip.conf`, `rtp.conf` and `extensions.conf` say.
#[derive(Clone, Debug, PartialEq)]
pub struct Configuration {
    pub general: General,
    /// By endpoint name: the section's name in `sip.conf`, the endpoint section's in `pjsip.conf`.
    pub endpoints: BTreeMap<String, Endpoint>,
    pub dialplan: Dialplan,
    /// XXH3 of the paths and texts of all files, whether they are read or not.
    pub hash: u64,
}

impl Configuration {
    /// The endpoint that may register the address-of-record `aor` (the user part of a REGISTER's To).
    pub fn endpoint_of_aor(&self, aor: &str) -> Option<&Endpoint> {
        // Nearly always the aor is named as its endpoint is; the walk is for `pjsip.conf` files that differ.
        if let Some(endpoint) = self.endpoints.get(aor)
            && endpoint.aors.iter().any(|name| name == aor)
        {
            return Some(endpoint);
        }
        self.endpoints.values().find(|endpoint| endpoint.aors.iter().any(|name| name == aor))
    }

    /// Lets go of so many endpoints and extensions, when all of it is of no use any more. False when none was left.
    pub fn discard(&mut self, count: usize) -> bool {
        (0..count).all(|_| self.endpoints.pop_first().is_some() || self.dialplan.discard_one())
    }

    /// The endpoint that requests from this address belong to: `type=identify`, or a peer with a fixed `host`. The
    /// longest prefix wins.
    pub fn endpoint_of_address(&self, address: IpAddr) -> Option<&Endpoint> {
        let candidates = self.endpoints.values().flat_map(|endpoint| {
            let matching = endpoint.identify_by_address.iter().filter(|network| network.contains(address));
            matching.map(move |network| (network.prefix_bits, endpoint))
        });
        candidates.max_by_key(|(prefix_bits, _)| *prefix_bits).map(|(_, endpoint)| endpoint)
    }
}

/// What holds for the node as a whole.
#[derive(Clone, Debug, PartialEq)]
pub struct General {
    /// UDP addresses to listen on, at least one. The unspecified address means the service address in a pair.
    pub transports: Vec<Transport>,
    /// The realm of digest challenges where an endpoint's credentials name none.
    pub realm: String,
    /// The value of the `User-Agent` and `Server` headers.
    pub user_agent: String,
    /// `sip.conf`'s bounds; an endpoint carries its own copy.
    pub registration: RegistrationSeconds,
    /// The first and the last UDP port of the media range, both inclusive.
    pub rtp_port_start: u16,
    pub rtp_port_end: u16,
    /// Calls from nobody's endpoint are let into `default_context`. False unless the files say so on purpose.
    pub guests: bool,
    pub default_context: String,
    /// Names of outgoing calls are looked up as DNS SRV records too.
    pub srv_lookup: bool,
}

/// A UDP socket to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Transport {
    pub bind: IpAddr,
    pub port: u16,
}

/// For how long a registration may be asked, in seconds, and what holds when the phone does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegistrationSeconds {
    pub min: u32,
    pub max: u32,
    pub default: u32,
}

/// Which of Asterisk's two SIP channel drivers an endpoint was written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, minicbor::Encode, minicbor::Decode)]
#[cbor(index_only)]
pub enum Technology {
    /// `sip.conf`; dialled as `SIP/name`.
    #[n(0)]
    Sip,
    /// `pjsip.conf`; dialled as `PJSIP/name`.
    #[n(1)]
    PjSip,
}

/// A phone, a trunk, or whoever else calls are taken from and sent to.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    pub name: String,
    pub technology: Technology,
    /// The dialplan context that its calls start in.
    pub context: String,
    /// What its calls show as their caller; `None` keeps what the phone says.
    pub caller_id: Option<CallerId>,
    /// What it must prove to register and, with `challenge_calls`, to call. `None`: nothing is asked.
    pub credentials: Option<Credentials>,
    /// Its calls are challenged too; false for `insecure=invite` and for endpoints without credentials.
    pub challenge_calls: bool,
    /// Addresses-of-record it may register; in `sip.conf` its own name.
    pub aors: Vec<String>,
    /// Contacts it may have registered at one time; 0 when it may not register.
    pub max_contacts: usize,
    /// A registration beyond `max_contacts` replaces the oldest contact; otherwise it is refused.
    pub remove_existing: bool,
    pub registration: RegistrationSeconds,
    /// SDP encoding names (`PCMU`, `opus`) in order of preference; empty means all.
    pub codecs: Vec<String>,
    /// Answers go to the source of the request even if the phone did not ask for `rport` (RFC 3581).
    pub force_rport: bool,
    /// Requests to a registered contact go to the address it registered from.
    pub rewrite_contact: bool,
    /// Media goes to where the phone's media comes from, whatever its SDP says.
    pub symmetric_media: bool,
    /// How often its contacts are probed with OPTIONS.
    pub qualify: Option<Duration>,
    /// Where it is reached without a registration.
    pub address: Option<Address>,
    /// Asked for by the files; media passes through the node in any case.
    pub direct_media: bool,
    /// Calls at one time; `None` is without bound.
    pub max_calls: Option<u32>,
    /// Whom its calls are charged to, for their records.
    pub account_code: Option<String>,
    /// A request belongs to it when its From user is the endpoint's name. False for trunks: they are known by address.
    pub identify_by_name: bool,
    /// Source addresses whose requests belong to it.
    pub identify_by_address: Vec<Network>,
}

/// A caller's name and number, either possibly empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallerId {
    pub name: String,
    pub number: String,
}

/// What an endpoint proves by digest authentication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    pub username: String,
    pub secret: Secret,
    pub realm: String,
    /// What it is challenged with, in this order, and what it may answer with. Never empty.
    pub algorithms: Vec<Algorithm>,
}

/// MD5 alone, as Asterisk has it. A phone should pass over a challenge that it does not understand (RFC 8760 2.4), but
/// there are many that give up at the first SHA-256 they see, so it is offered where the files ask for it.
pub const ALGORITHMS_DEFAULT: [Algorithm; 1] = [Algorithm::Md5];

/// A shared secret. Its `Debug` form does not show it.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    Plain(String),
    /// Lower-case hexadecimal MD5 of `username:realm:password`; it cannot answer a SHA-256 challenge.
    Ha1Md5(String),
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "Plain(..)",
            Self::Ha1Md5(_) => "Ha1Md5(..)",
        })
    }
}

/// A host and port out of the files; the host may be a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// An IP address without brackets, or a DNS name.
    pub host: String,
    /// `None`: 5060, or whatever SRV records say.
    pub port: Option<u16>,
}

/// An address prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    pub address: IpAddr,
    pub prefix_bits: u8,
}

impl Network {
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let ignored = 32 - u32::from(self.prefix_bits.min(32));
                let mask = u32::MAX.checked_shl(ignored).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let ignored = 128 - u32::from(self.prefix_bits.min(128));
                let mask = u128::MAX.checked_shl(ignored).unwrap_or(0);
                network.to_bits() & mask == address.to_bits() & mask
            }
            _ => false,
        }
    }
}

impl Default for General {
    fn default() -> Self {
        Self {
            transports: Vec::new(),
            realm: "asterisk".to_owned(),
            user_agent: "Tandem".to_owned(),
            registration: RegistrationSeconds { min: 60, max: 3600, default: 120 },
            rtp_port_start: 10_000,
            rtp_port_end: 20_000,
            guests: false,
            default_context: "default".to_owned(),
            srv_lookup: false,
        }
    }
}

impl RegistrationSeconds {
    fn check(&self, place: &Place, diagnostics: &mut Diagnostics) {
        if self.min > self.max || self.default > self.max {
            let Self { min, max, default } = self;
            let text = format!("registrations: minimum {min}, default {default} and maximum {max} s contradict");
            diagnostics.error(place, text);
        }
    }
}
