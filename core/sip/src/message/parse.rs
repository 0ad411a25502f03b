//! Bytes to messages: strict where two readings could differ, liberal where phones are known to be careless.

use super::{CSeq, Fields, Message, Request, Response};
use crate::error::ParseError;
use crate::headers::{Headers, canonical_name};
use crate::method::Method;
use crate::syntax;
use crate::uri::Uri;
use crate::via::Via;

/// The longest message: nothing longer fits into a UDP datagram. A longer one is refused unread.
pub const MESSAGE_BYTES_MAX: usize = base::limits::DATAGRAM_BYTES_MAX;

/// The most header fields, counted after lists are split. Phones send about 20, proxies add a few Via and
/// Record-Route. A message with more is refused.
pub const HEADERS_MAX: usize = 128;

/// The longest header field, its folded lines together, and the longest start line. A message with a longer one is
/// refused.
pub const HEADER_BYTES_MAX: usize = 8 * 1024;

/// Headers whose elements we read one by one, so that each becomes a field of its own.
const LISTS: [&str; 4] = ["Via", "Route", "Record-Route", "Contact"];

impl Message {
    /// Reads one datagram. Every length is checked before anything is copied. A request that is wrong but answerable
    /// is a [`ParseError::Refused`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        if bytes.len() > MESSAGE_BYTES_MAX {
            return Err(ParseError::TooLong { what: "message", max: MESSAGE_BYTES_MAX });
        }
        // RFC 3261 section 7.5: line breaks before the start line are ignored.
        let start = bytes.iter().position(|byte| !is_line_break(*byte)).ok_or(ParseError::Empty)?;
        let (line, rest) = split_line(bytes.get(start..).unwrap_or_default())?;
        check_length(line, "start line")?;
        let line = text(line);
        if line.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("SIP/")) {
            parse_response(&line, rest).map(Self::Response)
        } else {
            parse_request(&line, rest).map(Self::Request)
        }
    }
}

fn parse_response(line: &str, rest: &[u8]) -> Result<Response, ParseError> {
    let (version, after) = line.split_once(' ').ok_or(ParseError::Malformed("status line"))?;
    if !version.eq_ignore_ascii_case("SIP/2.0") {
        return Err(ParseError::Version);
    }
    let (status, reason) = after.split_once(' ').unwrap_or((after, ""));
    let status: u16 = syntax::number(status.trim(), "status")?;
    if !(100..700).contains(&status) {
        return Err(ParseError::Malformed("status"));
    }
    let content = Content::parse(rest);
    content.error.map_or(Ok(()), Err)?;
    Ok(Response { status, reason: reason.trim().to_owned(), headers: content.headers, body: content.body })
}

fn parse_request(line: &str, rest: &[u8]) -> Result<Request, ParseError> {
    let mut words = line.split_ascii_whitespace();
    let method = words.next().filter(|method| syntax::is_token(method)).ok_or(ParseError::Malformed("method"))?;
    let method = Method::parse(method);
    let uri = request_uri(words);
    let content = Content::parse(rest);
    let mismatch = content.headers.value("CSeq").and_then(|value| CSeq::parse(value).ok());
    let mismatch = mismatch.is_some_and(|cseq| cseq.method != method).then_some(ParseError::MethodMismatch);
    let (uri, error) = match uri {
        Ok(uri) => (uri, content.error.or(mismatch)),
        Err(error) => (Uri::sip(None, "invalid", None), Some(error)),
    };
    let request = Request { method, uri, headers: content.headers, body: content.body };
    match error {
        None => Ok(request),
        // An ACK is never answered, and without Via nobody knows where to.
        Some(error) if request.method == Method::Ack || request.top_via().is_err() => Err(error),
        Some(error) => Err(ParseError::Refused { request: Box::new(request), source: Box::new(error) }),
    }
}

/// The rest of a request line after its method. More than one space is tolerated; a space inside the URI is not.
fn request_uri<'a>(mut words: impl Iterator<Item = &'a str>) -> Result<Uri, ParseError> {
    let (Some(uri), Some(version), None) = (words.next(), words.next(), words.next()) else {
        return Err(ParseError::Malformed("request line"));
    };
    if !version.eq_ignore_ascii_case("SIP/2.0") {
        return Err(ParseError::Version);
    }
    Uri::parse(uri)
}

/// Headers and body, as far as they can be read, and the first thing wrong with them.
struct Content {
    headers: Headers,
    body: Vec<u8>,
    error: Option<ParseError>,
}

impl Content {
    fn parse(bytes: &[u8]) -> Self {
        let mut content = Self { headers: Headers::new(), body: Vec::new(), error: None };
        match content.parse_headers(bytes) {
            Ok(rest) => {
                let checked = check_mandatory(&content.headers);
                content.note(checked);
                match body(&content.headers, rest) {
                    Ok(body) => content.body = body.to_vec(),
                    Err(error) => content.note(Err(error)),
                }
            }
            Err(error) => content.note(Err(error)),
        }
        content.headers.remove("Content-Length");
        content
    }

    fn note(&mut self, result: Result<(), ParseError>) {
        if let (None, Err(error)) = (&self.error, result) {
            self.error = Some(error);
        }
    }

    /// Reads up to the empty line and returns what follows it. A line that is no header is noted and left out, so
    /// that the sender can be answered; a bound that is exceeded ends the reading.
    fn parse_headers<'a>(&mut self, mut bytes: &'a [u8]) -> Result<&'a [u8], ParseError> {
        loop {
            // A message that ends after a whole header line has neither empty line nor body; some senders do that.
            if bytes.is_empty() {
                return Ok(bytes);
            }
            let (line, rest) = split_folded_line(bytes)?;
            bytes = rest;
            if line.is_empty() {
                return Ok(bytes);
            }
            check_length(line, "header")?;
            match parse_header(line) {
                Ok((name, value)) => self.push(name, value)?,
                Err(error) => self.note(Err(error)),
            }
        }
    }

    fn push(&mut self, name: String, value: String) -> Result<(), ParseError> {
        // A list that cannot be split stays whole; whoever reads it as an address gets the error.
        let pieces = match LISTS.contains(&name.as_str()) {
            true => syntax::split_top_level(&value, ',').unwrap_or_else(|_| vec![value.as_str()]),
            false => vec![value.as_str()],
        };
        let whole = pieces.len() == 1;
        for piece in pieces.into_iter().filter(|piece| whole || !piece.is_empty()) {
            if self.headers.len() == HEADERS_MAX {
                return Err(ParseError::TooMany { what: "headers", max: HEADERS_MAX });
            }
            self.headers.push(&name, piece);
        }
        Ok(())
    }
}

/// One header field, already without its line end. White space may stand before the colon (RFC 3261 section 7.3.1).
fn parse_header(line: &[u8]) -> Result<(String, String), ParseError> {
    let text = text(line);
    let (name, value) = text.split_once(':').ok_or(ParseError::Malformed("header"))?;
    let name = name.trim_end_matches([' ', '\t']);
    if !syntax::is_token(name) {
        return Err(ParseError::Malformed("header name"));
    }
    Ok((canonical_name(name), unfolded(value)))
}

/// A folded value on one line: each line break with the white space around it is one space (RFC 3261 section 7.3.1).
fn unfolded(value: &str) -> String {
    let lines = value.split(['\r', '\n']).map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(" ")
}

/// What every message must have (RFC 3261 section 8.1.1). Two different values of one of these could be read by us in
/// one way and by another element in another.
fn check_mandatory(headers: &Headers) -> Result<(), ParseError> {
    for name in ["From", "To", "Call-ID", "CSeq"] {
        match headers.values(name).take(2).count() {
            0 => return Err(ParseError::Missing(name)),
            1 => {}
            _ => return Err(ParseError::Repeated(name)),
        }
    }
    if headers.values("Max-Forwards").nth(1).is_some() {
        return Err(ParseError::Repeated("Max-Forwards"));
    }
    if headers.value("Call-ID").is_none_or(str::is_empty) {
        return Err(ParseError::Malformed("Call-ID"));
    }
    CSeq::parse(headers.value("CSeq").unwrap_or_default())?;
    let view = View(headers);
    Fields::from(&view)?;
    view.to()?;
    headers.value("Via").ok_or(ParseError::Missing("Via"))?;
    headers.values("Via").try_for_each(|via| Via::parse(via).map(|_| ()))
}

/// The body that Content-Length announces (RFC 3261 section 18.3): over UDP, bytes beyond it are discarded, too few
/// are an error, and without it the body goes to the end of the datagram.
fn body<'a>(headers: &Headers, rest: &'a [u8]) -> Result<&'a [u8], ParseError> {
    let mut values = headers.values("Content-Length");
    let Some(value) = values.next() else { return Ok(rest) };
    if values.any(|other| other != value) {
        return Err(ParseError::Repeated("Content-Length"));
    }
    let announced: u64 = syntax::number(value, "Content-Length")?;
    let body = usize::try_from(announced).ok().and_then(|length| rest.get(..length));
    body.ok_or(ParseError::BodyTooShort { announced, present: rest.len() as u64 })
}

/// The typed view of headers that are not yet part of a message.
struct View<'a>(&'a Headers);

impl Fields for View<'_> {
    fn headers(&self) -> &Headers {
        self.0
    }

    fn body(&self) -> &[u8] {
        &[]
    }
}

fn check_length(line: &[u8], what: &'static str) -> Result<(), ParseError> {
    match line.len() > HEADER_BYTES_MAX {
        true => Err(ParseError::TooLong { what, max: HEADER_BYTES_MAX }),
        false => Ok(()),
    }
}

fn is_line_break(byte: u8) -> bool {
    matches!(byte, b'\r' | b'\n')
}

/// The first line without its end, and what follows. CR LF ends a line, and so do CR or LF alone. A line without end
/// is one that was cut off.
fn split_line(bytes: &[u8]) -> Result<(&[u8], &[u8]), ParseError> {
    let end = bytes.iter().position(|byte| is_line_break(*byte)).ok_or(ParseError::Malformed("end of the headers"))?;
    let (line, rest) = bytes.split_at(end);
    let rest = match rest {
        [b'\r', b'\n', rest @ ..] | [_, rest @ ..] => rest,
        [] => rest,
    };
    Ok((line, rest))
}

/// The first line with all lines that continue it: those that start with white space.
fn split_folded_line(bytes: &[u8]) -> Result<(&[u8], &[u8]), ParseError> {
    let (line, mut rest) = split_line(bytes)?;
    let mut line_length = line.len();
    while line_length > 0 && rest.first().is_some_and(|byte| matches!(byte, b' ' | b'\t')) {
        let (continuation, after) = split_line(rest)?;
        line_length = bytes.len() - rest.len() + continuation.len();
        rest = after;
    }
    Ok((bytes.get(..line_length).unwrap_or_default(), rest))
}

/// SIP is UTF-8 (RFC 3261 section 25.1). What is not is taken for Latin-1, which some phones use in display names:
/// then every byte is a character, and nothing is lost.
fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|byte| *byte as char).collect(),
    }
}

#[cfg(test)]
mod tests;
