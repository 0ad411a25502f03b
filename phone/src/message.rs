//! A tiny reader for SIP messages (RFC 3261 section 7), borrowed from the datagram. Writing is plain text.

use std::net::SocketAddr;

use crate::record::Method;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start<'a> {
    Request { method: &'a str, uri: &'a str },
    Response { status: u16 },
}

#[derive(Clone, Debug)]
pub(crate) struct Message<'a> {
    pub(crate) start: Start<'a>,
    headers: Vec<(&'a str, &'a str)>,
    pub(crate) body: &'a str,
}

/// The compact forms of the headers that this phone reads (RFC 3261 section 7.3.3).
const COMPACT: [(&str, &str); 6] =
    [("via", "v"), ("from", "f"), ("to", "t"), ("call-id", "i"), ("contact", "m"), ("content-length", "l")];

/// What every message must have exactly once, and every request and response carries.
const REQUIRED: [&str; 4] = ["from", "to", "call-id", "cseq"];

impl<'a> Message<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, &'static str> {
        let text = std::str::from_utf8(bytes).map_err(|_| "not UTF-8")?;
        let (head, rest) = text.split_once("\r\n\r\n").ok_or("no empty line after the headers")?;
        let (first, lines) = head.split_once("\r\n").ok_or("no headers")?;
        let start = start_line(first)?;
        let mut message = Self { start, headers: headers(lines)?, body: "" };
        for name in REQUIRED {
            if message.all(name).count() != 1 {
                return Err("one of From, To, Call-ID and CSeq is missing or doubled");
            }
        }
        message.cseq().ok_or("CSeq cannot be read")?;
        message.branch().ok_or("no branch in the first Via")?;
        message.body = match message.header("content-length") {
            None => rest,
            Some(length) => {
                let length: usize = length.parse().map_err(|_| "Content-Length is no number")?;
                rest.get(..length).ok_or("the body is shorter than Content-Length")?
            }
        };
        Ok(message)
    }

    /// The first header of this name, given in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&'a str> {
        self.all(name).next()
    }

    /// All headers of this name, given in lower case, whole lines.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &'a str> {
        let compact = COMPACT.iter().find(|(long, _)| *long == name).map(|(_, short)| *short);
        self.headers
            .iter()
            .filter(move |(found, _)| {
                found.eq_ignore_ascii_case(name) || compact.is_some_and(|short| found.eq_ignore_ascii_case(short))
            })
            .map(|(_, value)| *value)
    }

    /// All values of a header that may hold a list.
    pub(crate) fn list(&self, name: &str) -> Vec<&'a str> {
        self.all(name).flat_map(split_commas).collect()
    }

    pub(crate) fn call_id(&self) -> &'a str {
        self.header("call-id").unwrap_or_default()
    }

    pub(crate) fn cseq(&self) -> Option<(u32, &'a str)> {
        let (number, method) = self.header("cseq")?.split_once(char::is_whitespace)?;
        Some((number.parse().ok()?, method.trim()))
    }

    pub(crate) fn branch(&self) -> Option<&'a str> {
        parameter(split_commas(self.header("via")?).first()?, ';', "branch")
    }

    pub(crate) fn tag_of_from(&self) -> Option<&'a str> {
        tag(self.header("from")?)
    }

    pub(crate) fn tag_of_to(&self) -> Option<&'a str> {
        tag(self.header("to")?)
    }

    /// The method of the CSeq, when it is one that this phone knows.
    pub(crate) fn method(&self) -> Option<Method> {
        Method::parse(self.cseq()?.1)
    }
}

fn start_line(line: &str) -> Result<Start<'_>, &'static str> {
    let mut words = line.splitn(3, ' ');
    let (first, second, third) = (words.next(), words.next(), words.next());
    match (first, second, third) {
        (Some("SIP/2.0"), Some(status), _) => {
            let status = status.parse().ok().filter(|status| (100..700).contains(status));
            Ok(Start::Response { status: status.ok_or("the status is no number from 100 to 699")? })
        }
        (Some(method), Some(uri), Some("SIP/2.0")) if !method.is_empty() && !uri.is_empty() => {
            Ok(Start::Request { method, uri })
        }
        _ => Err("the first line is neither a request nor a response"),
    }
}

fn headers(text: &str) -> Result<Vec<(&str, &str)>, &'static str> {
    let mut headers = Vec::with_capacity(16);
    let mut rest = text;
    while !rest.is_empty() {
        // A line that begins with a blank continues the one before (RFC 3261 section 7.3.1).
        let mut end = 0;
        loop {
            end += rest.get(end..).and_then(|tail| tail.find("\r\n")).unwrap_or(rest.len() - end);
            let next = rest.as_bytes().get(end + 2);
            if !matches!(next, Some(b' ' | b'\t')) {
                break;
            }
            end += 2;
        }
        let line = rest.get(..end).unwrap_or(rest);
        let (name, value) = line.split_once(':').ok_or("a header line without colon")?;
        headers.push((name.trim(), value.trim()));
        rest = rest.get(end + 2..).unwrap_or_default();
    }
    Ok(headers)
}

/// Splits at commas outside quotes and angle brackets.
pub(crate) fn split_commas(value: &str) -> Vec<&str> {
    split_outside_quotes(value, ',')
}

fn split_outside_quotes(value: &str, separator: char) -> Vec<&str> {
    let (mut parts, mut begin, mut quoted, mut angled, mut escaped) = (Vec::new(), 0, false, false, false);
    for (at, letter) in value.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '<' if !quoted => angled = true,
            '>' if !quoted => angled = false,
            _ if letter == separator && !quoted && !angled => {
                parts.push(value.get(begin..at).unwrap_or_default().trim());
                begin = at + letter.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(value.get(begin..).unwrap_or_default().trim());
    parts
}

/// The parameter `name` of a value whose parts are separated by `separator`; `""` when it has no value.
pub(crate) fn parameter<'a>(value: &'a str, separator: char, name: &str) -> Option<&'a str> {
    split_outside_quotes(value, separator).into_iter().find_map(|part| {
        let (key, content) = part.split_once('=').unwrap_or((part, ""));
        key.trim().eq_ignore_ascii_case(name).then_some(content.trim())
    })
}

pub(crate) fn unquote(text: &str) -> &str {
    text.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')).unwrap_or(text)
}

/// The URI of a From, To, Contact, Route or Record-Route value.
pub(crate) fn uri(value: &str) -> &str {
    match value.find('<').and_then(|open| value.get(open + 1..)) {
        Some(inner) => inner.split('>').next().unwrap_or_default(),
        None => value.split(';').next().unwrap_or_default().trim(),
    }
}

/// The tag of a From or To value.
pub(crate) fn tag(value: &str) -> Option<&str> {
    let parameters = match value.rfind('>') {
        Some(close) => value.get(close + 1..)?,
        None => value,
    };
    parameter(parameters, ';', "tag").filter(|tag| !tag.is_empty())
}

/// The user part of a SIP URI.
pub(crate) fn user(uri: &str) -> Option<&str> {
    let rest = uri.strip_prefix("sip:").or_else(|| uri.strip_prefix("sips:"))?;
    rest.split_once('@').map(|(user, _)| user.split([':', ';']).next().unwrap_or_default())
}

/// Host and port of a SIP URI, when the host is an address.
pub(crate) fn socket_address(uri: &str) -> Option<SocketAddr> {
    let rest = uri.strip_prefix("sip:").or_else(|| uri.strip_prefix("sips:"))?;
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    host_port(host.split([';', '?']).next()?)
}

/// `host[:port]`, when the host is an address.
pub(crate) fn host_port(text: &str) -> Option<SocketAddr> {
    const SIP_PORT: u16 = 5060;
    let text = text.trim();
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some(address);
    }
    let host = text.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(text);
    host.parse().ok().map(|host| SocketAddr::new(host, SIP_PORT))
}

#[cfg(test)]
mod tests;
