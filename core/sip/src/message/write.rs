//! Messages to bytes. Whatever a header holds, it ends up on one line, so that no value can add a header.

use std::fmt::Display;

use super::{Message, Request, Response};
use crate::headers::Headers;

impl Request {
    /// The message as it goes over the wire, with its Content-Length.
    pub fn to_bytes(&self) -> Vec<u8> {
        bytes(format_args!("{} {} SIP/2.0", self.method, self.uri), &self.headers, &self.body)
    }
}

impl Response {
    /// The message as it goes over the wire, with its Content-Length.
    pub fn to_bytes(&self) -> Vec<u8> {
        bytes(format_args!("SIP/2.0 {} {}", self.status, self.reason), &self.headers, &self.body)
    }
}

impl Message {
    /// The message as it goes over the wire, with its Content-Length.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Request(request) => request.to_bytes(),
            Self::Response(response) => response.to_bytes(),
        }
    }
}

fn bytes(start_line: impl Display, headers: &Headers, body: &[u8]) -> Vec<u8> {
    /// Room for a start line and the usual headers, so that most messages are written without growing.
    const HEAD_BYTES: usize = 1024;
    let mut bytes = Vec::with_capacity(HEAD_BYTES + body.len());
    write_line(&mut bytes, &[&start_line.to_string()]);
    for header in headers.iter().filter(|header| !header.name.eq_ignore_ascii_case("Content-Length")) {
        write_line(&mut bytes, &[&header.name, ": ", &header.value]);
    }
    write_line(&mut bytes, &["Content-Length: ", &body.len().to_string()]);
    write_line(&mut bytes, &[]);
    bytes.extend_from_slice(body);
    bytes
}

/// A line break inside a value becomes a space, which is what a folded line means (RFC 3261 section 7.3.1).
fn write_line(bytes: &mut Vec<u8>, parts: &[&str]) {
    let content = parts.iter().flat_map(|part| part.bytes());
    bytes.extend(content.map(|byte| if matches!(byte, b'\r' | b'\n') { b' ' } else { byte }));
    bytes.extend_from_slice(b"\r\n");
}
