//! Owns the forms of single values: yes and no, numbers, addresses, caller ids.

use std::net::IpAddr;

use super::{Address, CallerId, Network};
use crate::conf::{Diagnostics, Entry};

/// Asterisk's words for yes and no.
pub(crate) fn yes_or_no(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "yes" | "true" | "y" | "t" | "1" | "on" => Some(true),
        "no" | "false" | "n" | "f" | "0" | "off" => Some(false),
        _ => None,
    }
}

/// A value that must be yes or no; anything else is an error.
pub(super) fn switch(entry: &Entry, diagnostics: &mut Diagnostics) -> Option<bool> {
    let switch = yes_or_no(&entry.value);
    if switch.is_none() {
        diagnostics.error(&entry.place, format!("`{}` must be yes or no, not `{}`", entry.key, entry.value));
    }
    switch
}

/// A whole number within bounds, both inclusive; anything else is an error.
pub(super) fn number(entry: &Entry, min: u32, max: u32, diagnostics: &mut Diagnostics) -> Option<u32> {
    let number = entry.value.parse().ok().filter(|number| (min..=max).contains(number));
    if number.is_none() {
        let text = format!("`{}` must be a number from {min} to {max}, not `{}`", entry.key, entry.value);
        diagnostics.error(&entry.place, text);
    }
    number
}

/// A UDP port; 0 and anything else is an error.
pub(super) fn port(entry: &Entry, diagnostics: &mut Diagnostics) -> Option<u16> {
    number(entry, 1, u32::from(u16::MAX), diagnostics).and_then(|port| u16::try_from(port).ok())
}

/// `host`, `host:port`, `[v6]` or `[v6]:port`; `None` when it is none of them.
pub(super) fn address(text: &str) -> Option<Address> {
    let text = text.trim();
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(Address { host: ip.to_string(), port: None });
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, if rest.is_empty() { None } else { Some(rest.strip_prefix(':')?) })
        }
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_' | ':');
    if host.is_empty() || host.len() > HOST_BYTES_MAX || !host.chars().all(is_name) {
        return None;
    }
    let port = match port {
        None => None,
        Some(port) => Some(port.parse().ok().filter(|port| *port != 0)?),
    };
    Some(Address { host: host.to_owned(), port })
}

/// The longest DNS name (RFC 1035 section 2.3.4).
const HOST_BYTES_MAX: usize = 255;

/// An address to listen on, with a port or without.
pub(super) fn bind(text: &str) -> Option<(IpAddr, Option<u16>)> {
    let address = address(text)?;
    Some((address.host.parse().ok()?, address.port))
}

/// `address`, `address/bits` or `address/mask`; `None` for anything else, such as a name.
pub(super) fn network(text: &str) -> Option<Network> {
    let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
    let address: IpAddr = address.trim().parse().ok()?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    let prefix_bits = match prefix.map(str::trim) {
        None => bits,
        Some(prefix) => match prefix.parse::<std::net::Ipv4Addr>() {
            Ok(mask) if address.is_ipv4() && mask.to_bits().leading_ones() == mask.to_bits().count_ones() => {
                u8::try_from(mask.to_bits().leading_ones()).ok()?
            }
            Ok(_) => return None,
            Err(_) => prefix.parse().ok().filter(|prefix| *prefix <= bits)?,
        },
    };
    Some(Network { address, prefix_bits })
}

/// `"name" <number>`, `name <number>`, `<number>`, `number` or `name`.
pub(crate) fn caller_id(text: &str) -> CallerId {
    let text = text.trim();
    let (name, number) = match text.strip_suffix('>').and_then(|rest| rest.rsplit_once('<')) {
        Some((name, number)) => (name, number),
        None if text.chars().any(|letter| letter.is_ascii_digit()) && text.chars().all(is_of_number) => ("", text),
        None => (text, ""),
    };
    CallerId { name: unquoted(name.trim()).to_owned(), number: number.trim().to_owned() }
}

fn is_of_number(letter: char) -> bool {
    letter.is_ascii_digit() || matches!(letter, '+' | '*' | '#' | '-' | '.' | '(' | ')' | ' ')
}

/// Without the quotes around it, if it has them on both sides.
pub(super) fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

/// The items of a comma-separated list, without blanks and empty ones.
pub(super) fn list(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|item| !item.is_empty())
}
