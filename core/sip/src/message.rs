//! Requests and responses, and the typed view of their headers (RFC 3261 sections 7, 8 and 20).

mod parse;
mod reason;
mod write;

use std::net::SocketAddr;

use minicbor::{Decode, Encode};

use crate::error::ParseError;
use crate::headers::Headers;
use crate::method::Method;
use crate::name_addr::NameAddr;
use crate::syntax;
use crate::uri::{PORT_DEFAULT, Uri};
use crate::via::Via;

pub use parse::{HEADER_BYTES_MAX, HEADERS_MAX, MESSAGE_BYTES_MAX};
pub use reason::reason_phrase;

/// What every new request starts with (RFC 3261 section 8.1.1.6).
pub const MAX_FORWARDS: &str = "70";

/// A request. Content-Length is not among its headers: it is the length of `body`.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Request {
    #[n(0)]
    pub method: Method,
    #[n(1)]
    pub uri: Uri,
    #[n(2)]
    pub headers: Headers,
    #[cbor(n(3), with = "minicbor::bytes")]
    pub body: Vec<u8>,
}

/// A response. `status` is 100 to 699. Content-Length is not among its headers: it is the length of `body`.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct Response {
    #[n(0)]
    pub status: u16,
    #[n(1)]
    pub reason: String,
    #[n(2)]
    pub headers: Headers,
    #[cbor(n(3), with = "minicbor::bytes")]
    pub body: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub enum Message {
    #[n(0)]
    Request(#[n(0)] Request),
    #[n(1)]
    Response(#[n(0)] Response),
}

/// The number and method of a request within its dialog (RFC 3261 section 8.1.1.5).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct CSeq {
    #[n(0)]
    pub number: u32,
    #[n(1)]
    pub method: Method,
}

impl CSeq {
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        const MALFORMED: ParseError = ParseError::Malformed("CSeq");
        let mut words = text.split_whitespace();
        let (Some(number), Some(method), None) = (words.next(), words.next(), words.next()) else {
            return Err(MALFORMED);
        };
        if !syntax::is_token(method) {
            return Err(MALFORMED);
        }
        Ok(Self { number: syntax::number(number, "CSeq")?, method: Method::parse(method) })
    }
}

impl std::fmt::Display for CSeq {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.number, self.method)
    }
}

/// Typed views of the headers that requests and responses share. What [`Message::parse`] accepted has Via, From, To,
/// Call-ID and CSeq that can be read, once each but for Via.
pub trait Fields {
    fn headers(&self) -> &Headers;
    fn body(&self) -> &[u8];

    /// The first value of this header.
    fn header(&self, name: &str) -> Option<&str> {
        self.headers().value(name)
    }

    /// Empty in a message that was built without one.
    fn call_id(&self) -> &str {
        self.header("Call-ID").unwrap_or_default()
    }

    /// Number 0 of an empty method in a message that was built without one.
    fn cseq(&self) -> CSeq {
        let parsed = self.header("CSeq").and_then(|value| CSeq::parse(value).ok());
        parsed.unwrap_or(CSeq { number: 0, method: Method::Other(String::new()) })
    }

    fn from(&self) -> Result<NameAddr, ParseError> {
        NameAddr::parse(self.header("From").ok_or(ParseError::Missing("From"))?)
    }

    fn to(&self) -> Result<NameAddr, ParseError> {
        NameAddr::parse(self.header("To").ok_or(ParseError::Missing("To"))?)
    }

    // The name is that of the header, no conversion.
    #[allow(clippy::wrong_self_convention)]
    fn from_tag(&self) -> Option<String> {
        Fields::from(self).ok()?.tag().map(str::to_owned)
    }

    fn to_tag(&self) -> Option<String> {
        self.to().ok()?.tag().map(str::to_owned)
    }

    fn top_via(&self) -> Result<Via, ParseError> {
        Via::parse(self.header("Via").ok_or(ParseError::Missing("Via"))?)
    }

    /// Every Contact but `*`; none when there is none.
    fn contacts(&self) -> Result<Vec<NameAddr>, ParseError> {
        let mut contacts = Vec::new();
        for value in self.headers().values("Contact").filter(|value| value.trim() != "*") {
            contacts.append(&mut NameAddr::parse_list(value)?);
        }
        Ok(contacts)
    }

    /// True when a Contact is `*`: all contacts, in a REGISTER that removes them (RFC 3261 section 10.2.2).
    fn contact_is_star(&self) -> bool {
        self.headers().values("Contact").any(|value| value.trim() == "*")
    }

    /// Seconds; `None` when absent or no number.
    fn expires(&self) -> Option<u32> {
        syntax::number(self.header("Expires")?.trim(), "Expires").ok()
    }

    /// Hops; `None` when absent or no number.
    fn max_forwards(&self) -> Option<u32> {
        syntax::number(self.header("Max-Forwards")?.trim(), "Max-Forwards").ok()
    }

    /// The media type of the body in lower case, without its parameters: `application/sdp`.
    fn content_type(&self) -> Option<String> {
        let value = self.header("Content-Type")?;
        Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
    }

    /// True when a comma-separated header such as Supported, Require or Allow names `token`, in any case.
    fn lists(&self, name: &str, token: &str) -> bool {
        self.headers()
            .values(name)
            .flat_map(|value| value.split(','))
            .any(|item| item.trim().eq_ignore_ascii_case(token))
    }
}

impl Fields for Request {
    fn headers(&self) -> &Headers {
        &self.headers
    }

    fn body(&self) -> &[u8] {
        &self.body
    }
}

impl Fields for Response {
    fn headers(&self) -> &Headers {
        &self.headers
    }

    fn body(&self) -> &[u8] {
        &self.body
    }
}

impl Request {
    pub fn new(method: Method, uri: Uri) -> Self {
        Self { method, uri, headers: Headers::new(), body: Vec::new() }
    }

    /// The response to this request (RFC 3261 section 8.2.6): Via, From, To, Call-ID and CSeq are copied, Timestamp
    /// into a 100, and Record-Route where the response makes a dialog (section 12.1.1). `to_tag` is added where the
    /// request has no To tag. An empty `reason` stands for the usual one.
    pub fn respond(&self, status: u16, reason: &str, to_tag: Option<&str>) -> Response {
        let makes_dialog = match self.method {
            Method::Invite => (101..300).contains(&status),
            Method::Subscribe | Method::Refer => (200..300).contains(&status),
            _ => false,
        };
        let mut headers = Headers::new();
        for header in self.headers.iter() {
            let copied = match header.name.as_str() {
                "Via" | "From" | "Call-ID" | "CSeq" => true,
                "Record-Route" => makes_dialog,
                "Timestamp" => status == 100,
                "To" => {
                    headers.push("To", tagged(&header.value, to_tag));
                    false
                }
                _ => false,
            };
            if copied {
                headers.0.push(header.clone());
            }
        }
        let reason = if reason.is_empty() { reason_phrase(status) } else { reason };
        Response { status, reason: reason.to_owned(), headers, body: Vec::new() }
    }

    /// Writes into the top Via where the request really came from: `received`, and `rport` where the sender asks for
    /// it (RFC 3261 section 18.2.1, RFC 3581 section 4). What the sender itself wrote there is overwritten.
    pub fn stamp_received(&mut self, source: SocketAddr) {
        self.stamp(source, false);
    }

    /// Like [`Request::stamp_received`], but as if every sender asked for `rport`: for phones behind a NAT that do not.
    pub fn stamp_received_and_rport(&mut self, source: SocketAddr) {
        self.stamp(source, true);
    }

    fn stamp(&mut self, source: SocketAddr, force_rport: bool) {
        let Ok(mut via) = self.top_via() else { return };
        via.params.set("received", Some(&source.ip().to_string()));
        if force_rport || via.params.has("rport") {
            via.params.set("rport", Some(&source.port().to_string()));
        }
        self.headers.replace_first("Via", via.to_string());
    }
}

impl Response {
    pub fn is_provisional(&self) -> bool {
        self.status < 200
    }

    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub fn is_final(&self) -> bool {
        self.status >= 200
    }
}

/// Where a response to `request`, which came from `source`, goes (RFC 3261 section 18.2.2, RFC 3581 section 4): to
/// the port it came from when its Via has `rport`, else to the port of sent-by, always at the address it came from.
/// `maddr` is not followed: it serves multicast only, and would let a sender point our answers at somebody else.
pub fn response_destination(request: &Request, source: SocketAddr) -> SocketAddr {
    match request.top_via() {
        Ok(via) if !via.params.has("rport") => SocketAddr::new(source.ip(), via.port.unwrap_or(PORT_DEFAULT)),
        _ => source,
    }
}

/// `value` of To with `tag`, unless it has one.
fn tagged(value: &str, tag: Option<&str>) -> String {
    match (tag, NameAddr::parse(value)) {
        (Some(tag), Ok(address)) if address.tag().is_none() => format!("{value};tag={tag}"),
        _ => value.to_owned(),
    }
}

#[cfg(test)]
mod tests;
