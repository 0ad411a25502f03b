//! Owns what `sip.conf` means: the files of Asterisk's older SIP driver, `chan_sip`, as of Asterisk 16.

use std::time::Duration;

use super::codecs::Choice;
use super::options::{SIP_GENERAL, SIP_PEER};
use super::value::{address, bind, caller_id, list, network, number, port, switch, unquoted, yes_or_no};
use super::{
    ALGORITHMS_DEFAULT, Address, CallerId, Credentials, Draft, Endpoint, General, RegistrationSeconds, SECONDS_MAX,
    Secret, Technology, Transport,
};
use crate::conf::{Conf, Diagnostics, Entry, Section};

/// `chan_sip` listens here when the file does not say.
const PORT_DEFAULT: u16 = 5060;

/// Seconds between two probes of a contact when `qualifyfreq` does not say.
const QUALIFY_SECONDS_DEFAULT: u32 = 60;

/// Reads `[general]` and every peer.
pub(super) fn load(conf: &Conf, draft: &mut Draft, diagnostics: &mut Diagnostics) {
    let mut defaults = Peer::new();
    let mut listen = Listen::default();
    for section in conf.sections.iter().filter(|section| is_general(section)) {
        for entry in &section.entries {
            general_entry(entry, &mut draft.general, &mut defaults, &mut listen, diagnostics);
        }
    }
    let registration = draft.general.registration;
    if let Some(section) = conf.sections.iter().find(|section| is_general(section)) {
        registration.check(&section.place, diagnostics);
    }
    defaults.context.clone_from(&draft.general.default_context);
    draft.transports.push(listen.transport());
    for section in conf.sections.iter().filter(|section| !section.template && !is_general(section)) {
        if section.name.eq_ignore_ascii_case("authentication") {
            diagnostics.warning(&section.place, "[authentication] is not supported yet, ignored");
        } else if section.last("type").is_none() {
            let text = format!("[{}] has no `type`, so it is no peer; ignored", section.name);
            diagnostics.warning(&section.place, text);
        } else if let Some(endpoint) = peer(section, &defaults, &draft.general, diagnostics) {
            draft.add(endpoint, &section.place, diagnostics);
        }
    }
}

fn is_general(section: &Section) -> bool {
    !section.template && section.name.eq_ignore_ascii_case("general")
}

/// Where to listen, as the lines of `[general]` say it bit by bit.
#[derive(Default)]
struct Listen {
    any: Option<(std::net::IpAddr, Option<u16>)>,
    udp: Option<(std::net::IpAddr, Option<u16>)>,
    port: Option<u16>,
}

impl Listen {
    /// `udpbindaddr` wins over `bindaddr`, and a port in it over `bindport`.
    fn transport(&self) -> Transport {
        let (bind, port) = self.udp.or(self.any).unwrap_or((std::net::Ipv4Addr::UNSPECIFIED.into(), None));
        Transport { bind, port: port.or(self.port).unwrap_or(PORT_DEFAULT) }
    }
}

/// What `[general]` and a peer's own section both may say.
#[derive(Clone)]
struct Peer {
    context: String,
    caller_id: Option<CallerId>,
    codecs: Choice,
    force_rport: bool,
    symmetric_media: bool,
    qualify: bool,
    qualify_seconds: u32,
    direct_media: bool,
}

impl Peer {
    fn new() -> Self {
        Self {
            context: String::new(),
            caller_id: None,
            codecs: Choice::All,
            // Asterisk's `auto_force_rport` finds out who is behind a NAT. Answering to the source and learning
            // media's source does no harm to those who are not, so both are on unless the file says `nat=no`.
            force_rport: true,
            symmetric_media: true,
            qualify: false,
            qualify_seconds: QUALIFY_SECONDS_DEFAULT,
            direct_media: false,
        }
    }

    /// Takes an option that both kinds of section know; false for any other.
    fn take(&mut self, entry: &Entry, diagnostics: &mut Diagnostics) -> bool {
        match entry.key.to_ascii_lowercase().as_str() {
            "context" => self.context = entry.value.to_string(),
            "callerid" => self.caller_id = Some(caller_id(&entry.value)),
            "disallow" => self.codecs.disallow(entry, diagnostics),
            "allow" => self.codecs.allow(entry, diagnostics),
            "nat" => self.nat(entry, diagnostics),
            "qualify" => self.qualify(entry, diagnostics),
            "qualifyfreq" => {
                self.qualify_seconds = number(entry, 1, SECONDS_MAX, diagnostics).unwrap_or(self.qualify_seconds);
            }
            "canreinvite" | "directmedia" => self.direct_media(entry, diagnostics),
            _ => return false,
        }
        true
    }

    fn nat(&mut self, entry: &Entry, diagnostics: &mut Diagnostics) {
        (self.force_rport, self.symmetric_media) = (false, true);
        for word in list(&entry.value) {
            match word.to_ascii_lowercase().as_str() {
                "force_rport" | "auto_force_rport" | "route" => self.force_rport = true,
                "comedia" | "auto_comedia" => self.symmetric_media = true,
                "never" => (self.force_rport, self.symmetric_media) = (false, false),
                word => match yes_or_no(word) {
                    Some(yes) => (self.force_rport, self.symmetric_media) = (yes, yes),
                    None => diagnostics.error(&entry.place, format!("`nat` does not know `{word}`")),
                },
            }
        }
    }

    /// A number is the answer time in milliseconds above which Asterisk shows a peer as lagged; it means yes.
    fn qualify(&mut self, entry: &Entry, diagnostics: &mut Diagnostics) {
        match (yes_or_no(&entry.value), entry.value.parse::<u32>()) {
            (Some(yes), _) => self.qualify = yes,
            (None, Ok(_)) => self.qualify = true,
            (None, Err(_)) => {
                let text = format!("`qualify` must be yes, no or milliseconds, not `{}`", entry.value);
                diagnostics.error(&entry.place, text);
            }
        }
    }

    fn direct_media(&mut self, entry: &Entry, diagnostics: &mut Diagnostics) {
        self.direct_media = list(&entry.value).any(|word| yes_or_no(word) != Some(false));
        if self.direct_media {
            diagnostics.warning(&entry.place, format!("`{}`: media always passes through this PBX", entry.key));
        }
    }
}

fn general_entry(
    entry: &Entry,
    general: &mut General,
    defaults: &mut Peer,
    listen: &mut Listen,
    diagnostics: &mut Diagnostics,
) {
    let seconds = |diagnostics: &mut Diagnostics| number(entry, 1, SECONDS_MAX, diagnostics);
    let RegistrationSeconds { min, max, default } = &mut general.registration;
    match entry.key.to_ascii_lowercase().as_str() {
        "context" => general.default_context = entry.value.to_string(),
        "bindport" | "port" => listen.port = port(entry, diagnostics),
        "bindaddr" => listen.any = listening(entry, diagnostics),
        "udpbindaddr" => listen.udp = listening(entry, diagnostics),
        "srvlookup" => general.srv_lookup = switch(entry, diagnostics).unwrap_or_default(),
        "realm" => general.realm = unquoted(&entry.value).to_owned(),
        "useragent" => general.user_agent = entry.value.to_string(),
        "minexpiry" | "minexpirey" => *min = seconds(diagnostics).unwrap_or(*min),
        "maxexpiry" | "maxexpirey" => *max = seconds(diagnostics).unwrap_or(*max),
        "defaultexpiry" | "defaultexpirey" => *default = seconds(diagnostics).unwrap_or(*default),
        "allowguest" => {
            general.guests = switch(entry, diagnostics).unwrap_or_default();
            if general.guests {
                let text = "`allowguest=yes`: anyone who reaches this PBX can call into the default context";
                diagnostics.warning(&entry.place, text);
            }
        }
        _ if defaults.take(entry, diagnostics) => {}
        _ => SIP_GENERAL.report(entry, diagnostics),
    }
}

fn listening(entry: &Entry, diagnostics: &mut Diagnostics) -> Option<(std::net::IpAddr, Option<u16>)> {
    let found = bind(&entry.value);
    if found.is_none() {
        diagnostics.error(&entry.place, format!("`{}` must be an IP address, not `{}`", entry.key, entry.value));
    }
    found
}

/// The kinds of peer: `user` calls in, `peer` is called and is known by its address, `friend` is both.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    User,
    Peer,
    Friend,
}

/// What only a peer's own section says.
struct Own {
    kind: Kind,
    host: Host,
    port: Option<u16>,
    password: Option<String>,
    md5: Option<String>,
    max_calls: Option<u32>,
    account_code: Option<String>,
    challenge_calls: bool,
}

enum Host {
    Dynamic,
    Fixed(Address),
}

fn peer(section: &Section, defaults: &Peer, general: &General, diagnostics: &mut Diagnostics) -> Option<Endpoint> {
    let mut shared = defaults.clone();
    let mut own = Own {
        kind: Kind::Friend,
        host: Host::Dynamic,
        port: None,
        password: None,
        md5: None,
        max_calls: None,
        account_code: None,
        challenge_calls: true,
    };
    let mut readable = true;
    for entry in &section.entries {
        readable &= own_entry(entry, &section.name, &mut own, &mut shared, diagnostics).is_some();
    }
    if !readable {
        return None;
    }
    let Some(codecs) = shared.codecs.names() else {
        diagnostics.error(&section.place, format!("[{}] is left without any codec", section.name));
        return None;
    };
    let secret = own.md5.map(Secret::Ha1Md5).or(own.password.map(Secret::Plain));
    let name = section.name.to_string();
    let realm = general.realm.clone();
    // The phone logs in by the section's name, as in Asterisk; `username` is for the other direction.
    let algorithms = ALGORITHMS_DEFAULT.to_vec();
    let credentials = secret.map(|secret| Credentials { username: name.clone(), secret, realm, algorithms });
    let fixed = match own.host {
        Host::Fixed(address) => Some(Address { port: own.port.or(address.port), ..address }),
        Host::Dynamic => None,
    };
    if credentials.is_none() && fixed.is_none() {
        let text = format!("[{name}] has no `secret`: anyone can register and call as {name}");
        diagnostics.warning(&section.place, text);
    }
    let by_address = fixed.iter().filter(|_| own.kind != Kind::User).filter_map(|fixed| network(&fixed.host)).collect();
    let registers = fixed.is_none() && own.kind != Kind::User;
    Some(Endpoint {
        technology: Technology::Sip,
        context: shared.context,
        caller_id: shared.caller_id,
        challenge_calls: own.challenge_calls && credentials.is_some(),
        // A peer is known by its address. Nobody is let in by name alone when an address could be asked for instead.
        identify_by_name: fixed.is_none() || (own.kind != Kind::Peer && credentials.is_some()),
        credentials,
        aors: if registers { vec![name.clone()] } else { Vec::new() },
        max_contacts: usize::from(registers),
        remove_existing: true,
        registration: general.registration,
        codecs,
        force_rport: shared.force_rport,
        rewrite_contact: shared.force_rport,
        symmetric_media: shared.symmetric_media,
        qualify: shared.qualify.then(|| Duration::from_secs(shared.qualify_seconds.into())),
        address: fixed,
        direct_media: shared.direct_media,
        max_calls: own.max_calls,
        account_code: own.account_code,
        identify_by_address: by_address,
        name,
    })
}

/// Takes one line of a peer's section; `None` when the peer cannot be made because of it.
fn own_entry(entry: &Entry, name: &str, own: &mut Own, shared: &mut Peer, diagnostics: &mut Diagnostics) -> Option<()> {
    match entry.key.to_ascii_lowercase().as_str() {
        "type" => own.kind = kind(entry, diagnostics)?,
        "cid_number" => shared.caller_id.get_or_insert_default().number = entry.value.to_string(),
        "fullname" => shared.caller_id.get_or_insert_default().name = unquoted(&entry.value).to_owned(),
        "username" | "defaultuser" => {
            if &*entry.value != name {
                let text =
                    format!("`{}` is for calls to a trunk, not supported yet; the phone logs in as {name}", entry.key);
                diagnostics.warning(&entry.place, text);
            }
        }
        "secret" => own.password = Some(entry.value.to_string()).filter(|secret| !secret.is_empty()),
        "md5secret" => own.md5 = Some(ha1(entry, diagnostics)?),
        "host" => own.host = host(entry, diagnostics)?,
        "port" => own.port = port(entry, diagnostics),
        "call-limit" => own.max_calls = number(entry, 0, u32::MAX, diagnostics).filter(|calls| *calls > 0),
        "accountcode" => own.account_code = Some(entry.value.to_string()).filter(|code| !code.is_empty()),
        "insecure" => {
            let open = |word: &str| matches!(word.to_ascii_lowercase().as_str(), "invite" | "very" | "yes");
            own.challenge_calls = !list(&entry.value).any(open);
        }
        _ if shared.take(entry, diagnostics) => {}
        _ => SIP_PEER.report(entry, diagnostics),
    }
    Some(())
}

fn kind(entry: &Entry, diagnostics: &mut Diagnostics) -> Option<Kind> {
    match entry.value.to_ascii_lowercase().as_str() {
        "friend" => Some(Kind::Friend),
        "peer" => Some(Kind::Peer),
        "user" => Some(Kind::User),
        other => {
            diagnostics.error(&entry.place, format!("`type` must be friend, peer or user, not `{other}`"));
            None
        }
    }
}

fn host(entry: &Entry, diagnostics: &mut Diagnostics) -> Option<Host> {
    if entry.value.eq_ignore_ascii_case("dynamic") {
        return Some(Host::Dynamic);
    }
    let found = address(&entry.value).map(Host::Fixed);
    if found.is_none() {
        diagnostics.error(&entry.place, format!("`host` must be dynamic, an address or a name, not `{}`", entry.value));
    }
    found
}

/// The MD5 of `name:realm:password` in hexadecimal. What stands there is a secret, so no message shows it.
pub(super) fn ha1(entry: &Entry, diagnostics: &mut Diagnostics) -> Option<String> {
    let digits = entry.value.to_ascii_lowercase();
    if digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Some(digits);
    }
    diagnostics.error(&entry.place, format!("`{}` must be 32 hexadecimal digits", entry.key));
    None
}
