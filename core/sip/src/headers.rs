//! Header fields in their order, with canonical names (RFC 3261 section 7.3).

use minicbor::{Decode, Encode};

/// One header field. `name` is canonical: compact forms are expanded and known names have the usual capitals; unknown
/// names stay as they were written.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Header {
    #[n(0)]
    pub name: String,
    #[n(1)]
    pub value: String,
}

/// Header fields in their order. Names are compared without case; every element of a comma-separated Via, Route,
/// Record-Route or Contact that was parsed is a field of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct Headers(#[n(0)] pub Vec<Header>);

impl Headers {
    pub fn new() -> Self {
        Self::default()
    }

    /// The first value of this name.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.values(name).next()
    }

    /// Every value of this name, in order.
    pub fn values<'h, 'n>(&'h self, name: &'n str) -> impl Iterator<Item = &'h str> + use<'h, 'n> {
        let name = expanded(name);
        self.0.iter().filter(move |header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value.as_str())
    }

    pub fn iter(&self) -> impl Iterator<Item = &Header> {
        self.0.iter()
    }

    pub fn push(&mut self, name: &str, value: impl Into<String>) {
        self.0.push(Header { name: canonical_name(name), value: value.into() });
    }

    pub fn push_front(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(0, Header { name: canonical_name(name), value: value.into() });
    }

    /// Replaces the first field of this name in its place and removes the others, or appends one.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        let name = canonical_name(name);
        let mut value = Some(value.into());
        self.0.retain_mut(|header| {
            if !header.name.eq_ignore_ascii_case(&name) {
                return true;
            }
            value.take().map(|value| header.value = value).is_some()
        });
        if let Some(value) = value {
            self.0.push(Header { name, value });
        }
    }

    /// Replaces the value of the first field of this name, if there is one, and leaves the others.
    pub fn replace_first(&mut self, name: &str, value: impl Into<String>) {
        let name = expanded(name);
        if let Some(header) = self.0.iter_mut().find(|header| header.name.eq_ignore_ascii_case(name)) {
            header.value = value.into();
        }
    }

    /// Removes every field of this name.
    pub fn remove(&mut self, name: &str) {
        let name = expanded(name);
        self.0.retain(|header| !header.name.eq_ignore_ascii_case(name));
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Header names as the RFCs write them, each with its compact form where it has one.
const NAMES: &[(&str, &str)] = &[
    ("Accept", ""),
    ("Accept-Contact", "a"),
    ("Accept-Encoding", ""),
    ("Accept-Language", ""),
    ("Alert-Info", ""),
    ("Allow", ""),
    ("Allow-Events", "u"),
    ("Authentication-Info", ""),
    ("Authorization", ""),
    ("CSeq", ""),
    ("Call-ID", "i"),
    ("Call-Info", ""),
    ("Contact", "m"),
    ("Content-Disposition", ""),
    ("Content-Encoding", "e"),
    ("Content-Language", ""),
    ("Content-Length", "l"),
    ("Content-Type", "c"),
    ("Date", ""),
    ("Diversion", ""),
    ("Error-Info", ""),
    ("Event", "o"),
    ("Expires", ""),
    ("From", "f"),
    ("Identity", "y"),
    ("Identity-Info", "n"),
    ("In-Reply-To", ""),
    ("Max-Forwards", ""),
    ("MIME-Version", ""),
    ("Min-Expires", ""),
    ("Min-SE", ""),
    ("Organization", ""),
    ("P-Asserted-Identity", ""),
    ("P-Preferred-Identity", ""),
    ("Path", ""),
    ("Priority", ""),
    ("Privacy", ""),
    ("Proxy-Authenticate", ""),
    ("Proxy-Authorization", ""),
    ("Proxy-Require", ""),
    ("RAck", ""),
    ("RSeq", ""),
    ("Reason", ""),
    ("Record-Route", ""),
    ("Refer-To", "r"),
    ("Referred-By", "b"),
    ("Reject-Contact", "j"),
    ("Remote-Party-ID", ""),
    ("Replaces", ""),
    ("Reply-To", ""),
    ("Request-Disposition", "d"),
    ("Require", ""),
    ("Retry-After", ""),
    ("Route", ""),
    ("SIP-ETag", ""),
    ("SIP-If-Match", ""),
    ("Server", ""),
    ("Service-Route", ""),
    ("Session-Expires", "x"),
    ("Subject", "s"),
    ("Subscription-State", ""),
    ("Supported", "k"),
    ("Timestamp", ""),
    ("To", "t"),
    ("Unsupported", ""),
    ("User-Agent", ""),
    ("Via", "v"),
    ("WWW-Authenticate", ""),
    ("Warning", ""),
];

/// The name under which a header is kept.
pub fn canonical_name(name: &str) -> String {
    let name = expanded(name);
    let known = NAMES.iter().find(|(full, _)| name.eq_ignore_ascii_case(full));
    known.map_or(name, |(full, _)| full).to_owned()
}

/// The full name of a compact form; other names as they are.
fn expanded(name: &str) -> &str {
    match name.len() {
        1 => NAMES.iter().find(|(_, compact)| name.eq_ignore_ascii_case(compact)).map_or(name, |(full, _)| full),
        _ => name,
    }
}

#[cfg(test)]
mod tests;
