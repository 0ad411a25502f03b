//! SIP, SIPS and tel URIs (RFC 3261 section 19.1, RFC 3966). Other schemes are kept, not understood.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use minicbor::{Decode, Encode};

use crate::error::ParseError;
use crate::params::Params;
use crate::syntax;

/// The port of SIP over UDP when none is written (RFC 3261 section 19.1.2).
pub const PORT_DEFAULT: u16 = 5060;

/// No URI can be longer than the header line that carries it; a longer one is refused.
pub const URI_BYTES_MAX: usize = 8 * 1024;

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Scheme {
    #[n(0)]
    Sip,
    #[n(1)]
    Sips,
    #[n(2)]
    Tel,
    /// A scheme we do not know, in lower case.
    #[n(3)]
    Other(#[n(0)] String),
}

impl Scheme {
    pub fn as_str(&self) -> &str {
        match self {
            Self::Sip => "sip",
            Self::Sips => "sips",
            Self::Tel => "tel",
            Self::Other(name) => name,
        }
    }
}

/// A URI in its parts.
///
/// `user` and `password` are in a canonical form: visible ASCII characters stand for themselves, and only other bytes
/// and `%` are `%XX`. So `%35000` is `5000` here, two equal users are equal strings, and no text that came from a
/// phone can end the user part when it is written again. `host` is a name, an IPv4 address or an IPv6 address without
/// brackets. A tel URI has its number in `user` and an empty `host`. Of an unknown scheme, `host` is all that follows
/// the colon.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Uri {
    #[n(0)]
    pub scheme: Scheme,
    #[n(1)]
    pub user: Option<String>,
    #[n(2)]
    pub password: Option<String>,
    #[n(3)]
    pub host: String,
    #[n(4)]
    pub port: Option<u16>,
    #[n(5)]
    pub params: Params,
    /// What follows `?`, as it was written.
    #[n(6)]
    pub headers: Option<String>,
}

impl Uri {
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        const MALFORMED: ParseError = ParseError::Malformed("URI");
        if text.len() > URI_BYTES_MAX {
            return Err(ParseError::TooLong { what: "URI", max: URI_BYTES_MAX });
        }
        let (scheme, rest) = text.split_once(':').ok_or(MALFORMED)?;
        let starts = scheme.starts_with(|first: char| first.is_ascii_alphabetic());
        if !starts || !scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) {
            return Err(MALFORMED);
        }
        if rest.is_empty() || rest.contains(|c: char| c.is_whitespace() || c.is_control() || "<>\"".contains(c)) {
            return Err(MALFORMED);
        }
        match scheme.to_ascii_lowercase().as_str() {
            "sip" => Self::parse_sip(Scheme::Sip, rest),
            "sips" => Self::parse_sip(Scheme::Sips, rest),
            "tel" => Self::parse_tel(rest),
            other => Ok(Self { scheme: Scheme::Other(other.to_owned()), host: rest.to_owned(), ..Self::empty() }),
        }
    }

    /// A SIP URI without parameters. `host` may be an IPv6 address with or without brackets.
    pub fn sip(user: Option<&str>, host: &str, port: Option<u16>) -> Self {
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).to_owned();
        Self { user: user.map(canonical), host, port, ..Self::empty() }
    }

    /// Where the URI points, when its host is numeric; port 5060 when it has none.
    pub fn socket_address(&self) -> Option<SocketAddr> {
        let host: IpAddr = self.host.parse().ok()?;
        Some(SocketAddr::new(host, self.port.unwrap_or(PORT_DEFAULT)))
    }

    /// True when both name the same resource (RFC 3261 section 19.1.4): host and parameter names ignore case, and
    /// parameters other than user, ttl, method, maddr and transport count only where both have them.
    pub fn equivalent(&self, other: &Self) -> bool {
        let fixed = ["user", "ttl", "method", "maddr", "transport"];
        let same = |name: &str| {
            let (own, their) = (self.params.value(name), other.params.value(name));
            self.params.has(name) == other.params.has(name)
                && own.unwrap_or_default().eq_ignore_ascii_case(their.unwrap_or_default())
        };
        self.scheme == other.scheme
            && self.user == other.user
            && self.password == other.password
            && self.host.eq_ignore_ascii_case(&other.host)
            && self.port == other.port
            && self.headers == other.headers
            && fixed.into_iter().all(same)
            && self.params.0.iter().all(|(name, _)| !other.params.has(name) || same(name))
    }

    fn empty() -> Self {
        let (host, params) = (String::new(), Params::default());
        Self { scheme: Scheme::Sip, user: None, password: None, host, port: None, params, headers: None }
    }

    fn parse_sip(scheme: Scheme, rest: &str) -> Result<Self, ParseError> {
        // An `@` outside the user part has to be escaped, so the first one ends it, whatever else it contains: `;` and
        // `?` are allowed in users.
        let (user, rest) = match rest.split_once('@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, rest),
        };
        let (user, password) = match user.map(|user| user.split_once(':').ok_or(user)) {
            None | Some(Err("")) => (None, None),
            Some(Ok((user, password))) => (Some(canonical(user)), Some(canonical(password))),
            Some(Err(user)) => (Some(canonical(user)), None),
        };
        let (rest, headers) = match rest.split_once('?') {
            Some((rest, headers)) => (rest, Some(headers.to_owned())),
            None => (rest, None),
        };
        let (host_port, params) = rest.split_once(';').unwrap_or((rest, ""));
        let (host, port) = syntax::host_port(host_port)?;
        Ok(Self { scheme, user, password, host, port, params: Params::parse(params)?, headers })
    }

    fn parse_tel(rest: &str) -> Result<Self, ParseError> {
        let (number, params) = rest.split_once(';').unwrap_or((rest, ""));
        if number.is_empty() {
            return Err(ParseError::Malformed("URI"));
        }
        let params = Params::parse(params)?;
        Ok(Self { scheme: Scheme::Tel, user: Some(canonical(number)), params, ..Self::empty() })
    }
}

impl FromStr for Uri {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::parse(text)
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.scheme.as_str())?;
        if self.scheme == Scheme::Tel {
            escape(f, self.user.as_deref().unwrap_or_default(), b"")?;
            return self.params.fmt(f);
        }
        if let Some(user) = &self.user {
            escape(f, user, b"&=+$,;?/")?;
            if let Some(password) = &self.password {
                f.write_str(":")?;
                escape(f, password, b"&=+$,")?;
            }
            f.write_str("@")?;
        }
        match self.scheme {
            Scheme::Other(_) => f.write_str(&self.host)?,
            _ => syntax::write_host_port(f, &self.host, self.port)?,
        }
        self.params.fmt(f)?;
        self.headers.as_ref().map_or(Ok(()), |headers| write!(f, "?{headers}"))
    }
}

/// The canonical form of a user part: see [`Uri`]. A `%` that starts no escape is one that somebody forgot to escape.
fn canonical(text: &str) -> String {
    let mut canonical = String::with_capacity(text.len());
    let mut bytes = text.as_bytes();
    while let [byte, rest @ ..] = bytes {
        bytes = rest;
        let mut value = *byte;
        let mut literal = value != b'%';
        if let ([high, low, rest @ ..], false) = (bytes, literal)
            && let (Some(high), Some(low)) = ((*high as char).to_digit(16), (*low as char).to_digit(16))
        {
            value = (high * 16 + low) as u8;
            literal = value != b'%';
            bytes = rest;
        }
        if literal && value.is_ascii_graphic() {
            canonical.push(value as char);
        } else {
            canonical.push_str(&format!("%{value:02X}"));
        }
    }
    canonical
}

/// Writes a user or password, escaping what its place in a URI does not allow (RFC 3261 section 25.1).
fn escape(f: &mut fmt::Formatter<'_>, text: &str, allowed: &[u8]) -> fmt::Result {
    for byte in text.bytes() {
        // `%` is always the start of an escape in the canonical form.
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()+%".contains(&byte) || allowed.contains(&byte) {
            write!(f, "{}", byte as char)?;
        } else {
            write!(f, "%{byte:02X}")?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
