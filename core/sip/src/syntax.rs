//! The small pieces of grammar that URIs, addresses and headers share (RFC 3261 section 25.1).

use std::borrow::Cow;
use std::net::Ipv6Addr;

use crate::error::ParseError;

/// True when `text` is a token: what methods, header names and parameter names are made of.
pub fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte)
}

/// Splits at `separator` where it is neither inside a quoted string nor inside angle brackets. Pieces are trimmed.
/// An unterminated quoted string or bracket is an error, because what follows it could be read in two ways.
pub fn split_top_level(text: &str, separator: char) -> Result<Vec<&str>, ParseError> {
    let mut pieces = Vec::new();
    let mut rest = text;
    loop {
        match find_top_level(rest, separator)? {
            Some(at) => {
                let (piece, tail) = rest.split_at(at);
                pieces.push(piece.trim());
                rest = tail.strip_prefix(separator).unwrap_or_default();
            }
            None => {
                pieces.push(rest.trim());
                return Ok(pieces);
            }
        }
    }
}

/// The byte position of the first `separator` outside quoted strings and angle brackets. All of the text up to it is
/// checked for unterminated ones.
fn find_top_level(text: &str, separator: char) -> Result<Option<usize>, ParseError> {
    let mut quoted = false;
    let mut escaped = false;
    let mut bracketed = false;
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' if !bracketed => quoted = !quoted,
            _ if quoted => {}
            '<' => bracketed = true,
            '>' => bracketed = false,
            _ if bracketed => {}
            _ if character == separator => return Ok(Some(at)),
            _ => {}
        }
    }
    if quoted {
        Err(ParseError::Malformed("quoted string"))
    } else if bracketed {
        Err(ParseError::Malformed("address in angle brackets"))
    } else {
        Ok(None)
    }
}

/// Reads a quoted string at the start of `text`: its content without quotes and escapes, and what follows it.
pub fn quoted_string(text: &str) -> Option<(String, &str)> {
    let inner = text.strip_prefix('"')?;
    let mut content = String::new();
    let mut characters = inner.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((content, inner.get(at + 1..)?)),
            '\\' => content.push(characters.next()?.1),
            _ => content.push(character),
        }
    }
    None
}

/// Writes `content` as a quoted string. Quotes, backslashes and control characters are escaped; line breaks, which
/// not even an escape may carry, become spaces.
pub fn quote(content: &str) -> String {
    let mut quoted = String::with_capacity(content.len() + 2);
    quoted.push('"');
    for character in content.chars() {
        match character {
            '\r' | '\n' => quoted.push(' '),
            '"' | '\\' => quoted.extend(['\\', character]),
            _ if character.is_ascii_control() => quoted.extend(['\\', character]),
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}

/// The content of a parameter value that may be a quoted string; other values are returned as they are.
pub fn unquote(value: &str) -> Cow<'_, str> {
    match quoted_string(value) {
        Some((content, "")) => Cow::Owned(content),
        _ => Cow::Borrowed(value),
    }
}

/// Reads `host [":" port]`. The host is a name, an IPv4 address or a bracketed IPv6 address; brackets are taken off.
pub fn host_port(text: &str) -> Result<(String, Option<u16>), ParseError> {
    let (host, port) = match text.strip_prefix('[') {
        Some(inner) => {
            let (address, rest) = inner.split_once(']').ok_or(ParseError::Malformed("host"))?;
            let address: Ipv6Addr = address.parse().map_err(|_| ParseError::Malformed("host"))?;
            let port = match rest.trim() {
                "" => None,
                rest => Some(rest.strip_prefix(':').ok_or(ParseError::Malformed("port"))?),
            };
            (address.to_string(), port)
        }
        None => match text.split_once(':') {
            Some((host, port)) => (name(host.trim())?, Some(port)),
            None => (name(text.trim())?, None),
        },
    };
    Ok((host, port.map(|digits| number(digits.trim(), "port")).transpose()?))
}

fn name(host: &str) -> Result<String, ParseError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    match !host.is_empty() && host.bytes().all(fits) {
        true => Ok(host.to_owned()),
        false => Err(ParseError::Malformed("host")),
    }
}

/// Writes a host and port as they stand in URIs and Via: an IPv6 address gets its brackets.
pub fn write_host_port(f: &mut std::fmt::Formatter<'_>, host: &str, port: Option<u16>) -> std::fmt::Result {
    if host.contains(':') && !host.starts_with('[') {
        write!(f, "[{host}]")?;
    } else {
        f.write_str(host)?;
    }
    port.map_or(Ok(()), |port| write!(f, ":{port}"))
}

/// Reads an unsigned number of digits only: `+1`, which Rust's own parser takes, is none.
pub fn number<N: std::str::FromStr>(digits: &str, what: &'static str) -> Result<N, ParseError> {
    match !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        true => digits.parse().map_err(|_| ParseError::Malformed(what)),
        false => Err(ParseError::Malformed(what)),
    }
}

#[cfg(test)]
mod tests;
