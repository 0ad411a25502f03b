//! Registrations (RFC 3261 section 10): which contacts an endpoint can be reached at.
//!
//! REGISTER is answered without a transaction (RFC 3261 8.2.7): a repeated request finds the binding it made and is
//! answered alike, so there is nothing but the binding to hand over.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::ops::Bound;
use std::time::Duration;

use base::{ClusterTime, Level, Lower, WallTime};
use minicbor::{Decode, Encode};
use sip::{Fields, NameAddr, Request, Response};

use crate::configuration::{Endpoint, RegistrationSeconds};

/// Registrations in all. More are refused with 503, so that strangers cannot fill the memory of both nodes.
pub const BINDINGS_MAX: usize = 100_000;

/// The longest contact URI that is kept; a longer one is refused with 400.
pub const CONTACT_BYTES_MAX: usize = 512;

/// The name of a binding: the address of record and the contact's URI.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub struct BindingKey {
    #[n(0)]
    pub aor: String,
    #[n(1)]
    pub contact: String,
}

impl BindingKey {
    /// Reads what `Display` wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let (aor, contact) = text.split_once('|')?;
        Some(Self { aor: aor.to_owned(), contact: contact.to_owned() })
    }
}

impl fmt::Display for BindingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}|{}", self.aor, self.contact)
    }
}

/// One contact of an endpoint.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Binding {
    #[n(0)]
    pub key: BindingKey,
    /// Where the REGISTER came from: requests go there, because the contact may be behind a NAT.
    #[cbor(n(1), with = "sip::address")]
    pub source: SocketAddr,
    /// Our socket that it came to: requests leave from there, because the NAT expects it.
    #[cbor(n(2), with = "sip::address")]
    pub local: SocketAddr,
    #[n(3)]
    pub call_id: String,
    #[n(4)]
    pub cseq: u32,
    #[n(5)]
    pub expires: ClusterTime,
    #[n(6)]
    pub registered: WallTime,
    #[n(7)]
    pub user_agent: String,
    /// `+sip.instance` (RFC 5626 4.1), without which a restarted phone cannot be told from another one.
    #[n(8)]
    pub instance: Option<String>,
}

/// All bindings, by address of record.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Registrar {
    bindings: BTreeMap<BindingKey, Binding>,
    by_expiry: BTreeSet<(ClusterTime, BindingKey)>,
}

impl Registrar {
    pub fn binding(&self, key: &BindingKey) -> Option<&Binding> {
        self.bindings.get(key)
    }

    /// Puts away what a node of this level does not know of a binding.
    pub fn lower(&mut self, key: &BindingKey, level: Level) {
        if let Some(binding) = self.bindings.get_mut(key) {
            binding.lower(level);
        }
    }

    pub fn insert(&mut self, binding: Binding) {
        self.remove(&binding.key);
        self.by_expiry.insert((binding.expires, binding.key.clone()));
        self.bindings.insert(binding.key.clone(), binding);
    }

    pub fn remove(&mut self, key: &BindingKey) -> Option<Binding> {
        let binding = self.bindings.remove(key)?;
        self.by_expiry.remove(&(binding.expires, key.clone()));
        Some(binding)
    }

    /// When the next binding ends.
    pub fn deadline(&self) -> Option<ClusterTime> {
        self.by_expiry.first().map(|(expires, _)| *expires)
    }

    pub fn len(&self) -> usize {
        self.bindings.len()
    }

    pub fn is_empty(&self) -> bool {
        self.bindings.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Binding> {
        self.bindings.values()
    }

    /// The live contacts of an address of record, the latest registration first.
    pub fn contacts<'a>(&'a self, aor: &'a str, now: ClusterTime) -> Vec<&'a Binding> {
        let mut contacts: Vec<&Binding> = self.of_aor(aor).filter(|binding| binding.expires > now).collect();
        contacts.sort_by_key(|binding| std::cmp::Reverse(binding.expires));
        contacts
    }

    /// The bindings whose time is over, at most so many: those that have been over for longest.
    pub fn expired(&self, now: ClusterTime, count: usize) -> Vec<BindingKey> {
        let over = self.by_expiry.iter().take_while(|(expires, _)| *expires <= now);
        over.take(count).map(|(_, key)| key.clone()).collect()
    }

    /// The bindings after this one, by name.
    pub fn after(&self, after: Option<&BindingKey>) -> impl Iterator<Item = &Binding> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.bindings.range((from, Bound::Unbounded)).map(|(_, binding)| binding)
    }

    /// The names of the next so many.
    pub fn keys_after(&self, after: Option<&BindingKey>, count: usize) -> Vec<BindingKey> {
        self.after(after).take(count).map(|binding| binding.key.clone()).collect()
    }

    fn of_aor<'a>(&'a self, aor: &'a str) -> impl Iterator<Item = &'a Binding> {
        let first = BindingKey { aor: aor.to_owned(), contact: String::new() };
        self.bindings.range(first..).map(|(_, binding)| binding).take_while(move |binding| binding.key.aor == aor)
    }

    /// Answers a REGISTER of an authenticated endpoint. The keys of the bindings that changed are pushed to `changed`;
    /// a refusal changes nothing.
    pub fn register(
        &mut self,
        arrival: &Arrival<'_>,
        endpoint: &Endpoint,
        aor: &str,
        to_tag: &str,
        changed: &mut Vec<BindingKey>,
    ) -> Response {
        let request = arrival.request;
        let refuse = |status| request.respond(status, sip::reason_phrase(status), Some(to_tag));
        let asked = match Asked::read(request, endpoint.registration, aor) {
            Ok(asked) => asked,
            Err(TooBrief) => {
                let mut response = refuse(423);
                response.headers.push("Min-Expires", endpoint.registration.min.to_string());
                return response;
            }
            Err(Malformed) => return refuse(400),
        };
        if let Some(status) = self.obstacle(arrival, endpoint, aor, &asked) {
            return refuse(status);
        }
        if asked.clear_all {
            let all: Vec<_> = self.of_aor(aor).map(|binding| binding.key.clone()).collect();
            self.drop_all(all, changed);
        }
        for wanted in &asked.contacts {
            self.set(arrival, endpoint, wanted, changed);
        }
        self.accepted(arrival, aor, to_tag)
    }

    /// The status that refuses the request before anything is changed (RFC 3261 10.3 steps 6 and 7).
    fn obstacle(&self, arrival: &Arrival<'_>, endpoint: &Endpoint, aor: &str, asked: &Asked) -> Option<u16> {
        let cseq = arrival.request.cseq().number;
        let named = |binding: &Binding| asked.clear_all || asked.contacts.iter().any(|it| it.key == binding.key);
        let overtaken = |binding: &Binding| binding.call_id == arrival.request.call_id() && cseq < binding.cseq;
        if self.of_aor(aor).any(|binding| named(binding) && overtaken(binding)) {
            return Some(500);
        }
        let new = asked.contacts.iter().filter(|it| it.seconds > 0 && !self.bindings.contains_key(&it.key)).count();
        if self.bindings.len() + new > BINDINGS_MAX {
            return Some(503);
        }
        let full = self.contacts(aor, arrival.now).len() + new > endpoint.max_contacts;
        let replaces = endpoint.remove_existing && new <= endpoint.max_contacts;
        (new > 0 && full && !replaces).then_some(403)
    }

    fn set(&mut self, arrival: &Arrival<'_>, endpoint: &Endpoint, wanted: &Wanted, changed: &mut Vec<BindingKey>) {
        if wanted.seconds == 0 {
            return self.drop_all(vec![wanted.key.clone()], changed);
        }
        // A phone that came back with another port takes the place of the oldest contact.
        let mut others: Vec<&Binding> = self.of_aor(&wanted.key.aor).filter(|it| it.key != wanted.key).collect();
        others.sort_by_key(|binding| binding.expires);
        let surplus = (others.len() + 1).saturating_sub(endpoint.max_contacts);
        let surplus: Vec<_> = others.into_iter().take(surplus).map(|binding| binding.key.clone()).collect();
        self.drop_all(surplus, changed);
        let request = arrival.request;
        self.insert(Binding {
            key: wanted.key.clone(),
            source: arrival.source,
            local: arrival.local,
            call_id: request.call_id().to_owned(),
            cseq: request.cseq().number,
            expires: arrival.now + Duration::from_secs(u64::from(wanted.seconds)),
            registered: arrival.wall,
            user_agent: request.headers.value("User-Agent").unwrap_or_default().chars().take(120).collect(),
            instance: wanted.instance.clone(),
        });
        changed.push(wanted.key.clone());
    }

    fn drop_all(&mut self, keys: Vec<BindingKey>, changed: &mut Vec<BindingKey>) {
        changed.extend(keys.into_iter().filter(|key| self.remove(key).is_some()));
    }

    /// 200 with every live contact and what is left of its time (RFC 3261 10.3 step 8).
    fn accepted(&self, arrival: &Arrival<'_>, aor: &str, to_tag: &str) -> Response {
        let mut response = arrival.request.respond(200, sip::reason_phrase(200), Some(to_tag));
        for binding in self.contacts(aor, arrival.now) {
            let seconds = binding.expires.since(arrival.now).as_secs();
            response.headers.push("Contact", format!("<{}>;expires={seconds}", binding.key.contact));
        }
        response
    }
}

/// What a REGISTER asks for, checked.
struct Asked {
    contacts: Vec<Wanted>,
    clear_all: bool,
}

struct Wanted {
    key: BindingKey,
    seconds: u32,
    instance: Option<String>,
}

enum Refusal {
    TooBrief,
    Malformed,
}
use Refusal::{Malformed, TooBrief};

impl Asked {
    fn read(request: &Request, bounds: RegistrationSeconds, aor: &str) -> Result<Self, Refusal> {
        let default = request.headers.value("Expires").and_then(seconds);
        let mut asked = Self { contacts: Vec::new(), clear_all: false };
        for value in request.headers.values("Contact") {
            if value.trim() == "*" {
                if default != Some(0) {
                    return Err(Malformed);
                }
                asked.clear_all = true;
                continue;
            }
            for contact in NameAddr::parse_list(value).map_err(|_| Malformed)? {
                let said = contact.params.value("expires").and_then(seconds).or(default);
                let wanted = said.unwrap_or(bounds.default);
                let uri = contact.uri.to_string();
                if uri.len() > CONTACT_BYTES_MAX {
                    return Err(Malformed);
                }
                if wanted > 0 && wanted < bounds.min {
                    return Err(TooBrief);
                }
                asked.contacts.push(Wanted {
                    key: BindingKey { aor: aor.to_owned(), contact: uri },
                    seconds: wanted.min(bounds.max),
                    instance: contact.params.value("+sip.instance").map(str::to_owned),
                });
            }
        }
        if asked.clear_all && !asked.contacts.is_empty() { Err(Malformed) } else { Ok(asked) }
    }
}

/// A number of seconds; a malformed one counts as not said (RFC 3261 20.19 treats it as the default).
fn seconds(text: &str) -> Option<u32> {
    text.trim().parse::<u64>().ok().map(|seconds| u32::try_from(seconds).unwrap_or(u32::MAX))
}

/// A request as it arrived: from whom, at which of our sockets, when.
#[derive(Clone, Copy)]
pub struct Arrival<'a> {
    pub now: ClusterTime,
    pub wall: WallTime,
    pub local: SocketAddr,
    pub source: SocketAddr,
    pub request: &'a Request,
}
