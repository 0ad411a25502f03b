//! The Via header: who sent a message, and where its response goes (RFC 3261 section 20.42, RFC 3581).

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use minicbor::{Decode, Encode};

use crate::error::ParseError;
use crate::params::Params;
use crate::syntax;

/// What a branch starts with when it alone names the transaction (RFC 3261 section 8.1.1.7).
pub const BRANCH_COOKIE: &str = "z9hG4bK";

/// One hop. `host` is a name, an IPv4 address or an IPv6 address without brackets.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Via {
    #[n(0)]
    pub transport: String,
    #[n(1)]
    pub host: String,
    #[n(2)]
    pub port: Option<u16>,
    #[n(3)]
    pub params: Params,
}

impl Via {
    /// Our own Via: sent from `address` over UDP, asking for `rport` (RFC 3581 section 3). `branch` is whole, cookie
    /// included.
    pub fn udp(address: SocketAddr, branch: &str) -> Self {
        let mut params = Params::default();
        params.set("branch", Some(branch));
        params.set("rport", None);
        Self { transport: "UDP".to_owned(), host: address.ip().to_string(), port: Some(address.port()), params }
    }

    /// Reads one Via. White space may stand around each `/` and before the port (RFC 3261 section 25.1).
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        const MALFORMED: ParseError = ParseError::Malformed("Via");
        let (protocol, rest) = text.split_once('/').ok_or(MALFORMED)?;
        let (version, rest) = rest.split_once('/').ok_or(MALFORMED)?;
        if !protocol.trim().eq_ignore_ascii_case("SIP") || version.trim() != "2.0" {
            return Err(MALFORMED);
        }
        let (transport, rest) = rest.trim_start().split_once([' ', '\t']).ok_or(MALFORMED)?;
        if !syntax::is_token(transport) {
            return Err(MALFORMED);
        }
        let (sent_by, params) = rest.split_once(';').unwrap_or((rest, ""));
        let (host, port) = syntax::host_port(sent_by.trim())?;
        Ok(Self { transport: transport.to_owned(), host, port, params: Params::parse(params)? })
    }

    pub fn branch(&self) -> Option<&str> {
        self.params.value("branch")
    }

    /// True when the branch alone names the transaction. A bare cookie names none.
    pub fn has_unique_branch(&self) -> bool {
        let start = self.branch().and_then(|branch| Some((branch.get(..BRANCH_COOKIE.len())?, branch.len())));
        start.is_some_and(|(start, length)| start.eq_ignore_ascii_case(BRANCH_COOKIE) && length > BRANCH_COOKIE.len())
    }

    /// The address the message really came from, when its receiver wrote it down.
    pub fn received(&self) -> Option<IpAddr> {
        let value = self.params.value("received")?;
        value.strip_prefix('[').and_then(|value| value.strip_suffix(']')).unwrap_or(value).parse().ok()
    }

    /// The port the message really came from, when its receiver wrote it down.
    pub fn rport(&self) -> Option<u16> {
        self.params.value("rport")?.parse().ok()
    }
}

impl FromStr for Via {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::parse(text)
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SIP/2.0/{} ", self.transport)?;
        syntax::write_host_port(f, &self.host, self.port)?;
        self.params.fmt(f)
    }
}

#[cfg(test)]
mod tests;
