//! Reading: which audio a description speaks of, and where it is to be sent.

use std::net::{IpAddr, SocketAddr};

use sdp_types::{Attribute, Connection, Media, Session};

use super::{Audio, Codec, Direction, SdpError};

/// The description as it should have been written: text, without the blank lines, stray spaces, final NULs and
/// malformed origins that some phones send. The origin is replaced by ours anyway.
pub(super) fn tidy(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut tidied = String::with_capacity(text.len());
    for line in text.trim_end_matches('\0').lines() {
        let line = line.trim_end();
        if line.is_empty() || line.starts_with("o=") && !is_origin(line) {
            continue;
        }
        if line.starts_with("m=") {
            let mut separator = "";
            for word in line.split_ascii_whitespace() {
                tidied.push_str(separator);
                tidied.push_str(word);
                separator = " ";
            }
        } else {
            tidied.push_str(line);
        }
        tidied.push_str("\r\n");
    }
    tidied
}

/// Whether the parser will take an origin: six words, of which the third is a number of 64 bits.
fn is_origin(line: &str) -> bool {
    let mut words = line.split_ascii_whitespace();
    words.nth(2).is_some_and(|version| version.parse::<u64>().is_ok()) && words.count() == 3
}

/// The first audio line of plain RTP with a port, and its place. Encrypted audio is an error only where nothing else
/// is offered, since some phones offer both.
pub(super) fn find(session: &Session) -> Result<Option<(usize, Audio)>, SdpError> {
    let is_active = |media: &&Media| media.media.eq_ignore_ascii_case("audio") && media.port != 0;
    let place = session.medias.iter().position(|media| is_active(&media) && is_plain_rtp(&media.proto));
    let Some((place, media)) = place.and_then(|place| Some((place, session.medias.get(place)?))) else {
        let secure = session.medias.iter().filter(is_active).find(|media| is_secure_rtp(&media.proto));
        return match secure {
            Some(media) => Err(SdpError::Secure { protocol: media.proto.clone() }),
            None => Ok(None),
        };
    };
    let host = host(media.connections.first().or(session.connection.as_ref()))?;
    let rtp = SocketAddr::new(host, media.port);
    let audio = Audio {
        rtp,
        rtcp: rtcp(media, rtp),
        direction: direction(session, media, host),
        codecs: codecs(media),
        ptime_ms: attribute(&media.attributes, "ptime").and_then(|value| value.trim().parse().ok()),
    };
    Ok(Some((place, audio)))
}

/// RTP without encryption; with feedback too (RFC 4585), since RTCP is relayed untouched.
fn is_plain_rtp(protocol: &str) -> bool {
    protocol.eq_ignore_ascii_case("RTP/AVP") || protocol.eq_ignore_ascii_case("RTP/AVPF")
}

/// `RTP/SAVP`, `RTP/SAVPF`, `UDP/TLS/RTP/SAVPF`.
fn is_secure_rtp(protocol: &str) -> bool {
    protocol.to_ascii_uppercase().contains("RTP/SAVP")
}

fn host(connection: Option<&Connection>) -> Result<IpAddr, SdpError> {
    let connection = connection.ok_or(SdpError::NoConnection)?;
    let name = &connection.connection_address;
    // A multicast address has its time to live behind a slash.
    let host = name.split('/').next().unwrap_or_default();
    let address: IpAddr = host.parse().map_err(|_| SdpError::HostName { name: name.clone() })?;
    let is_broadcast = matches!(address, IpAddr::V4(address) if address.is_broadcast());
    if address.is_multicast() || is_broadcast {
        return Err(SdpError::NotUnicast { address });
    }
    Ok(address)
}

/// RFC 3605: a port, and perhaps another host. What cannot be read is as if it was not there.
fn rtcp(media: &Media, rtp: SocketAddr) -> SocketAddr {
    let default = SocketAddr::new(rtp.ip(), rtp.port().checked_add(1).unwrap_or(0));
    let Some(value) = attribute(&media.attributes, "rtcp") else { return default };
    let mut words = value.split_ascii_whitespace();
    let Some(port) = words.next().and_then(|port| port.parse().ok()) else { return default };
    match words.nth(2) {
        None => SocketAddr::new(rtp.ip(), port),
        Some(host) => match host.parse::<IpAddr>() {
            Ok(host) if !host.is_multicast() => SocketAddr::new(host, port),
            _ => default,
        },
    }
}

fn direction(session: &Session, media: &Media, host: IpAddr) -> Direction {
    let written = media.attributes.iter().find_map(direction_of);
    let direction = written.or_else(|| session.attributes.iter().find_map(direction_of)).unwrap_or_default();
    // The hold of RFC 2543: "do not send to me".
    match direction {
        Direction::SendRecv if host.is_unspecified() => Direction::SendOnly,
        Direction::RecvOnly if host.is_unspecified() => Direction::Inactive,
        direction => direction,
    }
}

pub(super) fn direction_of(attribute: &Attribute) -> Option<Direction> {
    [Direction::SendRecv, Direction::SendOnly, Direction::RecvOnly, Direction::Inactive]
        .into_iter()
        .find(|direction| attribute.attribute.eq_ignore_ascii_case(direction.as_str()))
}

/// The codecs of a media line, each payload number once. Numbers that neither an `rtpmap` nor RFC 3551 explains are
/// left out.
fn codecs(media: &Media) -> Vec<Codec> {
    let (rtpmaps, fmtps) = (by_payload(media, "rtpmap"), by_payload(media, "fmtp"));
    let of = |values: &ByPayload, payload: u8| values.get(usize::from(payload)).copied().flatten().map(str::to_owned);
    let mut codecs: Vec<Codec> = Vec::new();
    for word in media.fmt.split_ascii_whitespace() {
        let Some(payload) = word.parse::<u8>().ok().filter(|payload| usize::from(*payload) < PAYLOADS) else {
            continue;
        };
        if codecs.iter().any(|codec| codec.payload == payload) {
            continue;
        }
        let mapped = of(&rtpmaps, payload).and_then(|value| Codec::from_rtpmap(payload, &value));
        if let Some(codec) = mapped.or_else(|| Codec::from_static(payload)) {
            codecs.push(Codec { fmtp: of(&fmtps, payload), ..codec });
        }
    }
    codecs
}

/// An RTP payload type has 7 bits.
const PAYLOADS: usize = 128;

/// For each payload number, what follows it in its attribute.
type ByPayload<'a> = [Option<&'a str>; PAYLOADS];

/// The first `a=name:number value` of each number, in one pass over however many lines there are.
fn by_payload<'a>(media: &'a Media, name: &str) -> ByPayload<'a> {
    let mut values: ByPayload = [None; PAYLOADS];
    for attribute in media.attributes.iter().filter(|attribute| attribute.attribute.eq_ignore_ascii_case(name)) {
        let Some((number, rest)) = attribute.value.as_deref().and_then(|value| value.trim_start().split_once(' '))
        else {
            continue;
        };
        if let Some(value) = number.parse().ok().and_then(|number: usize| values.get_mut(number)) {
            value.get_or_insert(rest.trim());
        }
    }
    values
}

fn attribute<'a>(attributes: &'a [Attribute], name: &str) -> Option<&'a str> {
    attributes.iter().find(|attribute| attribute.attribute.eq_ignore_ascii_case(name))?.value.as_deref()
}
