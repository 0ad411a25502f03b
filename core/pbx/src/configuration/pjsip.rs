//! Owns what `pjsip.conf` means: the files of Asterisk's newer SIP driver, objects that refer to one another by name.

use std::collections::BTreeMap;
use std::time::Duration;

use super::codecs::Choice;
use super::options::{Options, PJSIP_AOR, PJSIP_AUTH, PJSIP_ENDPOINT, PJSIP_GLOBAL, PJSIP_IDENTIFY, PJSIP_TRANSPORT};
use super::sip::ha1;
use super::value::{address, bind, caller_id, list, network, number, switch, unquoted};
use super::{
    ALGORITHMS_DEFAULT, Address, Algorithm, Credentials, Draft, Endpoint, Network, RegistrationSeconds, SECONDS_MAX,
    Secret, Technology, Transport,
};
use crate::conf::{Conf, Diagnostics, Entry, Place, Section};

/// The port of a transport whose `bind` names none.
const PORT_DEFAULT: u16 = 5060;

/// More contacts for one phone are a mistake: each is rung by each call, and all of them are replicated.
const CONTACTS_MAX: u32 = 100;

/// Asterisk's defaults of an aor, in seconds.
const REGISTRATION_DEFAULT: RegistrationSeconds = RegistrationSeconds { min: 60, max: 7200, default: 3600 };

/// The endpoint that stands for callers whom no other endpoint knows.
const ANONYMOUS: &str = "anonymous";

/// Reads all objects, then ties the endpoints to what they refer to.
pub(super) fn load(conf: &Conf, draft: &mut Draft, diagnostics: &mut Diagnostics) {
    let objects = Objects::sort(conf, diagnostics);
    if let Some(section) = objects.global {
        global(section, draft, diagnostics);
    }
    for section in objects.transports.values() {
        draft.transports.extend(transport(section, diagnostics));
    }
    if draft.transports.is_empty() {
        let text = "there is no UDP transport; listening on port 5060 of every address";
        diagnostics.warning(&Place::new("pjsip.conf", 0), text);
        draft.transports.push(Transport { bind: std::net::Ipv4Addr::UNSPECIFIED.into(), port: PORT_DEFAULT });
    }
    let realm = draft.general.realm.clone();
    let auths: BTreeMap<_, _> =
        objects.auths.iter().map(|(name, section)| (*name, auth(section, &realm, diagnostics))).collect();
    let aors: BTreeMap<_, _> = objects.aors.iter().map(|(name, section)| (*name, aor(section, diagnostics))).collect();
    let mut networks: BTreeMap<&str, Vec<Network>> = BTreeMap::new();
    for section in objects.identifies.values() {
        if let Some((endpoint, found)) = identify(section, &objects, diagnostics) {
            networks.entry(endpoint).or_default().extend(found);
        }
    }
    for section in objects.endpoints.values() {
        let networks = networks.remove(&*section.name).unwrap_or_default();
        let Some(endpoint) = endpoint(section, &objects, &auths, &aors, networks, diagnostics) else { continue };
        if endpoint.name == ANONYMOUS {
            let text = "the endpoint `anonymous`: anyone who reaches this PBX can call into its context";
            diagnostics.warning(&section.place, text);
            draft.general.guests = true;
            draft.general.default_context.clone_from(&endpoint.context);
        }
        draft.add(endpoint, &section.place, diagnostics);
    }
}

/// The file's sections by what they are and by name.
#[derive(Default)]
struct Objects<'a> {
    global: Option<&'a Section>,
    transports: BTreeMap<&'a str, &'a Section>,
    endpoints: BTreeMap<&'a str, &'a Section>,
    auths: BTreeMap<&'a str, &'a Section>,
    aors: BTreeMap<&'a str, &'a Section>,
    identifies: BTreeMap<&'a str, &'a Section>,
}

impl<'a> Objects<'a> {
    fn sort(conf: &'a Conf, diagnostics: &mut Diagnostics) -> Self {
        let mut objects = Self::default();
        for section in conf.sections.iter().filter(|section| !section.template) {
            let Some(kind) = section.last("type") else {
                let text = format!("[{}] has no `type`, so it is no object; ignored", section.name);
                diagnostics.warning(&section.place, text);
                continue;
            };
            let kinds = match kind.value.to_ascii_lowercase().as_str() {
                "transport" => &mut objects.transports,
                "endpoint" => &mut objects.endpoints,
                "auth" => &mut objects.auths,
                "aor" => &mut objects.aors,
                "identify" => &mut objects.identifies,
                "global" => {
                    objects.global = Some(section);
                    continue;
                }
                other => {
                    diagnostics.warning(&kind.place, format!("`type={other}` is not supported yet, section ignored"));
                    continue;
                }
            };
            if let Some(first) = kinds.insert(&section.name, section) {
                let text = format!("the {} `{}` is there already, at {}", kind.value, section.name, first.place);
                diagnostics.error(&section.place, text);
            }
        }
        objects
    }
}

fn global(section: &Section, draft: &mut Draft, diagnostics: &mut Diagnostics) {
    for entry in &section.entries {
        match entry.key.to_ascii_lowercase().as_str() {
            "type" => {}
            "user_agent" => draft.general.user_agent = entry.value.to_string(),
            "default_realm" => draft.general.realm = entry.value.to_string(),
            _ => PJSIP_GLOBAL.report(entry, diagnostics),
        }
    }
}

/// `None` for transports that are not UDP, with a warning, and for those without an address, with an error.
fn transport(section: &Section, diagnostics: &mut Diagnostics) -> Option<Transport> {
    unused(section, &PJSIP_TRANSPORT, diagnostics);
    if let Some(protocol) = section.last("protocol").filter(|protocol| !protocol.value.eq_ignore_ascii_case("udp")) {
        let text = format!("`protocol={}` is not supported yet, transport ignored", protocol.value);
        diagnostics.warning(&protocol.place, text);
        return None;
    }
    let Some(entry) = section.last("bind") else {
        diagnostics.error(&section.place, format!("the transport `{}` has no `bind`", section.name));
        return None;
    };
    let Some((bind, port)) = bind(&entry.value) else {
        let text = format!("`bind` must be an IP address, with a port or without, not `{}`", entry.value);
        diagnostics.error(&entry.place, text);
        return None;
    };
    Some(Transport { bind, port: port.unwrap_or(PORT_DEFAULT) })
}

/// What an `auth` proves. `None` is an error that was reported.
fn auth(section: &Section, realm: &str, diagnostics: &mut Diagnostics) -> Option<Credentials> {
    unused(section, &PJSIP_AUTH, diagnostics);
    let text = |key| section.last(key).map(|entry| entry.value.to_string()).filter(|text| !text.is_empty());
    let kind = section.last("auth_type").map_or("userpass".to_owned(), |entry| entry.value.to_ascii_lowercase());
    let secret = match kind.as_str() {
        "userpass" | "digest" => text("password").map(Secret::Plain),
        "md5" => match section.last("md5_cred") {
            Some(entry) => Some(Secret::Ha1Md5(ha1(entry, diagnostics)?)),
            None => None,
        },
        other => {
            diagnostics.error(&section.place, format!("`auth_type={other}` is not supported"));
            return None;
        }
    };
    let Some(secret) = secret else {
        diagnostics.error(&section.place, format!("the auth `{}` has no password", section.name));
        return None;
    };
    let Some(username) = text("username") else {
        diagnostics.error(&section.place, format!("the auth `{}` has no `username`", section.name));
        return None;
    };
    let algorithms = algorithms(section, &secret, diagnostics)?;
    Some(Credentials { username, secret, realm: text("realm").unwrap_or_else(|| realm.to_owned()), algorithms })
}

/// What the phone is challenged with. `None` is an error that was reported.
fn algorithms(section: &Section, secret: &Secret, diagnostics: &mut Diagnostics) -> Option<Vec<Algorithm>> {
    let Some(entry) = section.last("supported_algorithms_uas") else { return Some(ALGORITHMS_DEFAULT.to_vec()) };
    let mut algorithms = Vec::new();
    for name in list(&entry.value) {
        match Algorithm::parse(name) {
            Some(algorithm) if algorithms.contains(&algorithm) => {}
            Some(algorithm) => algorithms.push(algorithm),
            None => {
                let text = format!("`{}` knows MD5 and SHA-256, not `{name}`; ignored", entry.key);
                diagnostics.warning(&entry.place, text);
            }
        }
    }
    if matches!(secret, Secret::Ha1Md5(_)) {
        algorithms.retain(|algorithm| *algorithm == Algorithm::Md5);
    }
    if algorithms.is_empty() {
        let text = format!("`{}={}` leaves nothing to check the password by", entry.key, entry.value);
        diagnostics.error(&entry.place, text);
        return None;
    }
    Some(algorithms)
}

#[derive(Clone, Debug, PartialEq)]
struct Aor {
    max_contacts: u32,
    remove_existing: bool,
    qualify: Option<Duration>,
    registration: RegistrationSeconds,
    address: Option<Address>,
}

fn aor(section: &Section, diagnostics: &mut Diagnostics) -> Aor {
    let mut aor = Aor {
        max_contacts: 0,
        remove_existing: false,
        qualify: None,
        registration: REGISTRATION_DEFAULT,
        address: None,
    };
    for entry in &section.entries {
        let seconds = |diagnostics: &mut Diagnostics| number(entry, 1, SECONDS_MAX, diagnostics);
        let RegistrationSeconds { min, max, default } = &mut aor.registration;
        match entry.key.to_ascii_lowercase().as_str() {
            "type" => {}
            "max_contacts" => aor.max_contacts = number(entry, 0, CONTACTS_MAX, diagnostics).unwrap_or_default(),
            "remove_existing" => aor.remove_existing = switch(entry, diagnostics).unwrap_or_default(),
            "qualify_frequency" => {
                let seconds = number(entry, 0, SECONDS_MAX, diagnostics).filter(|seconds| *seconds > 0);
                aor.qualify = seconds.map(|seconds| Duration::from_secs(seconds.into()));
            }
            "default_expiration" => *default = seconds(diagnostics).unwrap_or(*default),
            "minimum_expiration" => *min = seconds(diagnostics).unwrap_or(*min),
            "maximum_expiration" => *max = seconds(diagnostics).unwrap_or(*max),
            "contact" => contacts(entry, &mut aor, diagnostics),
            _ => PJSIP_AOR.report(entry, diagnostics),
        }
    }
    aor.registration.check(&section.place, diagnostics);
    aor
}

fn contacts(entry: &Entry, aor: &mut Aor, diagnostics: &mut Diagnostics) {
    for contact in list(&entry.value) {
        let Some(address) = contact_address(contact) else {
            diagnostics.error(&entry.place, format!("`contact` must be a SIP URI, not `{contact}`"));
            continue;
        };
        if aor.address.is_some() {
            diagnostics.warning(&entry.place, "a second fixed `contact` is not supported yet, ignored");
        } else {
            aor.address = Some(address);
        }
    }
}

/// Host and port of `sip:user@host:port;parameters`.
fn contact_address(uri: &str) -> Option<Address> {
    let (scheme, rest) = uri.split_once(':')?;
    let hostport = rest.split(['?', ';']).next().filter(|_| scheme.eq_ignore_ascii_case("sip"))?;
    address(hostport.rsplit_once('@').map_or(hostport, |(_, hostport)| hostport))
}

/// The endpoint's name and the addresses that mean it.
fn identify<'a>(
    section: &'a Section,
    objects: &Objects<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<(&'a str, Vec<Network>)> {
    unused(section, &PJSIP_IDENTIFY, diagnostics);
    let Some(endpoint) = section.last("endpoint") else {
        diagnostics.error(&section.place, format!("the identify section `{}` has no `endpoint`", section.name));
        return None;
    };
    if !objects.endpoints.contains_key(&*endpoint.value) {
        diagnostics.error(&endpoint.place, format!("the endpoint `{}` does not exist", endpoint.value));
        return None;
    }
    let mut networks = Vec::new();
    for entry in section.entries.iter().filter(|entry| entry.key.eq_ignore_ascii_case("match")) {
        for text in list(&entry.value) {
            match network(text) {
                Some(network) => networks.push(network),
                None if address(text).is_some() => {
                    let text = format!("`match={text}`: names are not looked up yet; name an address");
                    diagnostics.warning(&entry.place, text);
                }
                None => diagnostics.error(&entry.place, format!("`match` must be an address, not `{text}`")),
            }
        }
    }
    Some((&endpoint.value, networks))
}

fn endpoint(
    section: &Section,
    objects: &Objects<'_>,
    auths: &BTreeMap<&str, Option<Credentials>>,
    aors: &BTreeMap<&str, Aor>,
    networks: Vec<Network>,
    diagnostics: &mut Diagnostics,
) -> Option<Endpoint> {
    let name = section.name.to_string();
    let mut endpoint = unregistered(&name, networks);
    let mut codecs = Choice::Unset;
    for entry in &section.entries {
        match entry.key.to_ascii_lowercase().as_str() {
            "disallow" => codecs.disallow(entry, diagnostics),
            "allow" => codecs.allow(entry, diagnostics),
            "transport" if !objects.transports.contains_key(&*entry.value) => {
                diagnostics.error(&entry.place, format!("the transport `{}` does not exist", entry.value));
            }
            _ => endpoint_entry(entry, &mut endpoint, diagnostics),
        }
    }
    if let Some(entry) = section.last("auth") {
        endpoint.credentials = referred(entry, "auth", auths, diagnostics).and_then(Clone::clone);
        endpoint.challenge_calls = endpoint.credentials.is_some();
    }
    if let Some(entry) = section.last("aors") {
        endpoint.aors = list(&entry.value).map(str::to_owned).collect();
        if let Some(aor) = referred(entry, "aor", aors, diagnostics) {
            endpoint.max_contacts = usize::try_from(aor.max_contacts).unwrap_or_default();
            endpoint.remove_existing = aor.remove_existing;
            endpoint.registration = aor.registration;
            endpoint.qualify = aor.qualify;
            endpoint.address.clone_from(&aor.address);
        }
    }
    let Some(codecs) = codecs.names() else {
        diagnostics.error(&section.place, format!("the endpoint `{name}` is left without any codec"));
        return None;
    };
    endpoint.codecs = codecs;
    let known_by_address = !endpoint.identify_by_address.is_empty();
    if endpoint.credentials.is_none() && known_by_address {
        endpoint.identify_by_name = false;
    } else if endpoint.credentials.is_none() && name != ANONYMOUS && section.last("auth").is_none() {
        let text = format!("the endpoint `{name}` has no `auth`: anyone can register and call as {name}");
        diagnostics.warning(&section.place, text);
    }
    Some(endpoint)
}

/// An endpoint as Asterisk has it when its section says nothing.
fn unregistered(name: &str, networks: Vec<Network>) -> Endpoint {
    Endpoint {
        name: name.to_owned(),
        technology: Technology::PjSip,
        context: "default".to_owned(),
        caller_id: None,
        credentials: None,
        challenge_calls: false,
        aors: Vec::new(),
        max_contacts: 0,
        remove_existing: false,
        registration: REGISTRATION_DEFAULT,
        codecs: Vec::new(),
        force_rport: true,
        rewrite_contact: false,
        symmetric_media: false,
        qualify: None,
        address: None,
        direct_media: false,
        max_calls: None,
        account_code: None,
        identify_by_name: true,
        identify_by_address: networks,
    }
}

fn endpoint_entry(entry: &Entry, endpoint: &mut Endpoint, diagnostics: &mut Diagnostics) {
    match entry.key.to_ascii_lowercase().as_str() {
        "type" | "auth" | "aors" | "transport" => {}
        "context" => endpoint.context = entry.value.to_string(),
        "callerid" => endpoint.caller_id = Some(caller_id(&entry.value)),
        "direct_media" => {
            endpoint.direct_media = switch(entry, diagnostics).unwrap_or_default();
            if endpoint.direct_media {
                diagnostics.warning(&entry.place, "`direct_media`: media always passes through this PBX");
            }
        }
        "rtp_symmetric" => endpoint.symmetric_media = switch(entry, diagnostics).unwrap_or_default(),
        "force_rport" => endpoint.force_rport = switch(entry, diagnostics).unwrap_or(true),
        "rewrite_contact" => endpoint.rewrite_contact = switch(entry, diagnostics).unwrap_or_default(),
        "accountcode" => endpoint.account_code = Some(entry.value.to_string()).filter(|code| !code.is_empty()),
        "identify_by" => {
            endpoint.identify_by_name = list(&entry.value).any(|by| matches!(by, "username" | "auth_username"));
        }
        _ => PJSIP_ENDPOINT.report(entry, diagnostics),
    }
}

/// The first object of a list of names. Each name must exist; a second one is more than is supported.
fn referred<'a, T>(
    entry: &Entry,
    kind: &str,
    objects: &'a BTreeMap<&str, T>,
    diagnostics: &mut Diagnostics,
) -> Option<&'a T> {
    let names: Vec<&str> = list(&entry.value).map(unquoted).collect();
    for name in &names {
        if !objects.contains_key(*name) {
            diagnostics.error(&entry.place, format!("the {kind} `{name}` does not exist"));
        }
    }
    if names.len() > 1 {
        let text = format!("only the settings of the first {kind} of several are used yet");
        diagnostics.warning(&entry.place, text);
    }
    names.first().and_then(|name| objects.get(*name))
}

/// Reports the options of a section whose reader looks up what it needs by name.
fn unused(section: &Section, options: &Options, diagnostics: &mut Diagnostics) {
    for entry in &section.entries {
        if !options.supported.split_whitespace().any(|name| name.eq_ignore_ascii_case(&entry.key)) {
            options.report(entry, diagnostics);
        }
    }
}
