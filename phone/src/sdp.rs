//! The little of SDP (RFC 8866, RFC 3264) that a phone with one G.711 stream needs.

use std::net::{IpAddr, SocketAddr};

/// Static payload types of RFC 3551, and the usual dynamic one for telephone events.
pub(crate) const PCMU: u8 = 0;
const PCMA: u8 = 8;
const EVENTS: u8 = 101;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    SendReceive,
    SendOnly,
    ReceiveOnly,
    Inactive,
}

impl Direction {
    pub(crate) const fn new(send: bool, receive: bool) -> Self {
        match (send, receive) {
            (true, true) => Self::SendReceive,
            (true, false) => Self::SendOnly,
            (false, true) => Self::ReceiveOnly,
            (false, false) => Self::Inactive,
        }
    }

    pub(crate) const fn sends(self) -> bool {
        matches!(self, Self::SendReceive | Self::SendOnly)
    }

    pub(crate) const fn receives(self) -> bool {
        matches!(self, Self::SendReceive | Self::ReceiveOnly)
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::SendReceive => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::ReceiveOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::SendReceive, Self::SendOnly, Self::ReceiveOnly, Self::Inactive]
            .into_iter()
            .find(|direction| direction.as_str() == text)
    }
}

/// The other side's description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Description {
    pub(crate) session: String,
    pub(crate) version: u64,
    pub(crate) address: SocketAddr,
    pub(crate) direction: Direction,
    pub(crate) events: bool,
}

impl Description {
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let mut origin = None;
        let mut session_host = None;
        let mut audio_host = None;
        let mut audio: Option<(u16, bool, bool)> = None;
        let mut in_audio = false;
        let mut direction = Direction::SendReceive;
        for line in text.lines() {
            let Some((kind, value)) = line.split_once('=') else { continue };
            match kind {
                "o" => origin = read_origin(value),
                "c" if in_audio => audio_host = host(value),
                "c" if audio.is_none() => session_host = host(value),
                "m" => {
                    in_audio = audio.is_none() && value.starts_with("audio ");
                    if in_audio {
                        audio = Some(read_audio(value).ok_or("the audio line cannot be read")?);
                    }
                }
                "a" if in_audio || audio.is_none() => direction = Direction::parse(value).unwrap_or(direction),
                _ => {}
            }
        }
        let (session, version) = origin.ok_or("no origin line")?;
        let (port, pcmu, events) = audio.ok_or("no audio line")?;
        let address = audio_host.or(session_host).ok_or("no connection address")?;
        if port == 0 {
            return Err("the audio stream is refused");
        }
        if !pcmu {
            return Err("PCMU is not among the formats");
        }
        // The old form of hold: the address 0.0.0.0 (RFC 3264 section 8.4).
        let direction = if address.is_unspecified() { Direction::new(direction.sends(), false) } else { direction };
        Ok(Self { session, version, address: SocketAddr::new(address, port), direction, events })
    }
}

fn read_origin(value: &str) -> Option<(String, u64)> {
    let mut words = value.split(' ');
    let (_, session, version) = (words.next()?, words.next()?, words.next()?);
    Some((session.to_owned(), version.parse().ok()?))
}

fn host(value: &str) -> Option<IpAddr> {
    value.split(' ').nth(2)?.split('/').next()?.trim().parse().ok()
}

fn read_audio(value: &str) -> Option<(u16, bool, bool)> {
    let mut words = value.split(' ').map(str::trim);
    let (_, port, _) = (words.next()?, words.next()?, words.next()?);
    let formats: Vec<u8> = words.filter_map(|format| format.parse().ok()).collect();
    let port = port.split('/').next()?.parse().ok()?;
    Some((port, formats.contains(&PCMU), formats.contains(&EVENTS)))
}

/// This phone's description. An offer names all its formats; an answer only those that were offered.
pub(crate) fn write(
    session: u64,
    version: u64,
    address: SocketAddr,
    direction: Direction,
    answer_to: Option<&Description>,
) -> String {
    let family = if address.is_ipv4() { "IP4" } else { "IP6" };
    let (host, port) = (address.ip(), address.port());
    let mut formats = format!("{PCMU}");
    let mut attributes = format!("a=rtpmap:{PCMU} PCMU/8000\r\n");
    if answer_to.is_none() {
        formats.push_str(&format!(" {PCMA}"));
        attributes.push_str(&format!("a=rtpmap:{PCMA} PCMA/8000\r\n"));
    }
    if answer_to.is_none_or(|offer| offer.events) {
        formats.push_str(&format!(" {EVENTS}"));
        attributes.push_str(&format!("a=rtpmap:{EVENTS} telephone-event/8000\r\na=fmtp:{EVENTS} 0-16\r\n"));
    }
    format!(
        "v=0\r\no=phone {session} {version} IN {family} {host}\r\ns=-\r\nc=IN {family} {host}\r\nt=0 0\r\n\
         m=audio {port} RTP/AVP {formats}\r\n{attributes}a=ptime:20\r\na={}\r\n",
        direction.as_str()
    )
}

#[cfg(test)]
mod tests;
