//! Writing: offers and answers with our address.

use sdp_types::{Attribute, Connection, Media, Origin, Session, Time};

use super::audio::direction_of;
use super::{Audio, Codec, CodecPolicy, Description, Direction, LocalMedia, SdpError};

/// Attributes that speak of the writer's own transport, keys or addresses, or that join media lines on one transport.
/// None of them is true of our ports.
const TRANSPORT_ATTRIBUTES: [&str; 28] = [
    "alt",
    "bundle-only",
    "candidate",
    "connection",
    "crypto",
    "cryptoscale",
    "dtls-id",
    "end-of-candidates",
    "fingerprint",
    "group",
    "ice-lite",
    "ice-mismatch",
    "ice-options",
    "ice-pacing",
    "ice-pwd",
    "ice-ufrag",
    "identity",
    "key-mgmt",
    "msid",
    "msid-semantic",
    "nortpproxy",
    "remote-candidates",
    "rtcp",
    "rtcp-mux",
    "rtcp-mux-only",
    "setup",
    "tls-id",
    "zrtp-hash",
];

/// An offer of our own.
pub fn generate_offer(local: &LocalMedia, codecs: &[Codec], direction: Direction) -> Vec<u8> {
    let mut media = audio_media(local, "RTP/AVP");
    put_codecs(&mut media, codecs);
    media.attributes.push(Attribute::new(direction.as_str()));
    let mut session = session(local);
    session.times = vec![Time::new(0, 0)];
    session.medias = vec![media];
    bytes(&session)
}

pub(super) fn offer_from(offer: &Description, local: &LocalMedia, policy: &CodecPolicy) -> Result<Vec<u8>, SdpError> {
    let (place, audio) = offer.audio.as_ref().ok_or(SdpError::NoAudio)?;
    let codecs = policy.select(&audio.codecs);
    if !codecs.iter().any(Codec::is_speech) {
        return Err(SdpError::NoCommonCodec);
    }
    let mut session = offer.session.clone();
    session.origin = origin(local);
    session.connection = Some(Connection::from(local.address));
    session.key = None;
    session.attributes.retain(|attribute| !is_transport(attribute) && direction_of(attribute).is_none());
    if session.session_name.trim().is_empty() {
        session.session_name = "-".to_owned();
    }
    for (number, media) in session.medias.iter_mut().enumerate() {
        if number == *place {
            *media = readdressed(media, audio.direction, local, &codecs);
        } else {
            *media = refused(media);
        }
    }
    Ok(bytes(&session))
}

pub(super) fn answer_from(
    offer: &Description,
    answer: &Description,
    local: &LocalMedia,
    policy: &CodecPolicy,
) -> Result<Vec<u8>, SdpError> {
    let (_, offered) = offer.audio.as_ref().ok_or(SdpError::NoAudio)?;
    let (place, answered) = answer.audio.as_ref().ok_or(SdpError::NoAudio)?;
    let media = answer.session.medias.get(*place).ok_or(SdpError::NoAudio)?;
    let mut codecs = in_both(&answered.codecs, &offered.codecs);
    // The answerer has put its codecs in order already; the policy only filters here.
    let permitted = policy.select(&codecs);
    codecs.retain(|codec| permitted.contains(codec));
    if !codecs.iter().any(Codec::is_speech) {
        return Err(SdpError::NoCommonCodec);
    }
    answer_with(offer, local, readdressed(media, answered.direction, local, &codecs))
}

pub(super) fn answer_locally(
    offer: &Description,
    local: &LocalMedia,
    chosen: &[Codec],
    policy: &CodecPolicy,
) -> Result<Vec<u8>, SdpError> {
    let (_, offered) = offer.audio.as_ref().ok_or(SdpError::NoAudio)?;
    let mut codecs = in_both(chosen, &offered.codecs);
    if !codecs.iter().any(Codec::is_speech) {
        codecs = first_permitted(offered, policy)?;
    }
    let mut media = audio_media(local, "RTP/AVP");
    put_codecs(&mut media, &codecs);
    if let Some(ptime_ms) = offered.ptime_ms {
        media.attributes.push(Attribute::with_value("ptime", ptime_ms));
    }
    media.attributes.push(Attribute::new(offered.direction.answer().as_str()));
    answer_with(offer, local, media)
}

/// The preferred codec of the offer with its telephone events.
fn first_permitted(offered: &Audio, policy: &CodecPolicy) -> Result<Vec<Codec>, SdpError> {
    let permitted = policy.select(&offered.codecs);
    let first = permitted.iter().find(|codec| codec.is_speech()).ok_or(SdpError::NoCommonCodec)?;
    // Events run on the clock of the audio they interrupt (RFC 4733, section 2.2); take others only if need be.
    let events = permitted.iter().filter(|codec| codec.is_telephone_event());
    let event = events.clone().find(|codec| codec.clock_hz == first.clock_hz).or_else(|| events.clone().next());
    Ok(std::iter::once(first).chain(event).cloned().collect())
}

fn in_both(codecs: &[Codec], offered: &[Codec]) -> Vec<Codec> {
    let is_offered = |codec: &&Codec| offered.iter().any(|other| other.is_same_encoding(codec));
    codecs.iter().filter(is_offered).cloned().collect()
}

/// An answer in the shape of the offer, with `audio` in the place of its audio line.
fn answer_with(offer: &Description, local: &LocalMedia, audio: Media) -> Result<Vec<u8>, SdpError> {
    let (place, _) = offer.audio.as_ref().ok_or(SdpError::NoAudio)?;
    let mut session = session(local);
    // The time line of the answer must equal the offer's (RFC 3264, section 6).
    session.times = offer.session.times.clone();
    session.medias = offer.session.medias.iter().map(refused).collect();
    if let Some(media) = session.medias.get_mut(*place) {
        let proto = std::mem::take(&mut media.proto);
        *media = Media { proto, ..audio };
    }
    Ok(bytes(&session))
}

fn origin(local: &LocalMedia) -> Origin {
    let mut origin = Origin::with_ip_addr(local.session_id, local.version, local.address);
    origin.set_username(&local.username);
    origin
}

fn session(local: &LocalMedia) -> Session {
    let mut session = Session::new(origin(local), "-");
    session.connection = Some(Connection::from(local.address));
    session
}

fn audio_media(local: &LocalMedia, proto: &str) -> Media {
    Media {
        media: "audio".to_owned(),
        port: local.rtp_port,
        num_ports: None,
        proto: proto.to_owned(),
        fmt: String::new(),
        media_title: None,
        connections: Vec::new(),
        bandwidths: Vec::new(),
        key: None,
        attributes: Vec::new(),
    }
}

/// A media line that was written by a phone, with our port, `codecs` only, and none of the phone's transport.
fn readdressed(media: &Media, direction: Direction, local: &LocalMedia, codecs: &[Codec]) -> Media {
    let mut readdressed = audio_media(local, &media.proto);
    readdressed.media_title = media.media_title.clone();
    readdressed.bandwidths = media.bandwidths.clone();
    put_codecs(&mut readdressed, codecs);
    let kept = media.attributes.iter().filter(|attribute| {
        !is_transport(attribute) && direction_of(attribute).is_none() && is_kept_with(attribute, codecs)
    });
    readdressed.attributes.extend(kept.cloned());
    readdressed.attributes.push(Attribute::new(direction.as_str()));
    readdressed
}

/// Whether an attribute is still to be written: those of payload numbers only while the number is in use, and the ones
/// that `put_codecs` writes itself never.
fn is_kept_with(attribute: &Attribute, codecs: &[Codec]) -> bool {
    let name = attribute.attribute.as_str();
    if name.eq_ignore_ascii_case("rtpmap") || name.eq_ignore_ascii_case("fmtp") {
        return false;
    }
    if !name.eq_ignore_ascii_case("rtcp-fb") {
        return true;
    }
    let first = attribute.value.as_deref().and_then(|value| value.split_ascii_whitespace().next());
    match first.map(str::parse::<u8>) {
        Some(Ok(payload)) => codecs.iter().any(|codec| codec.payload == payload),
        _ => first == Some("*"),
    }
}

/// A media line that is not for us, in its place with port 0 (RFC 3264, section 6).
fn refused(media: &Media) -> Media {
    Media {
        port: 0,
        num_ports: None,
        media_title: None,
        connections: Vec::new(),
        bandwidths: Vec::new(),
        key: None,
        attributes: Vec::new(),
        ..media.clone()
    }
}

fn put_codecs(media: &mut Media, codecs: &[Codec]) {
    let numbers: Vec<String> = codecs.iter().map(|codec| codec.payload.to_string()).collect();
    media.fmt = numbers.join(" ");
    for codec in codecs {
        let Codec { payload, name, clock_hz, .. } = codec;
        let rtpmap = match codec.channels {
            Some(channels) => format!("{payload} {name}/{clock_hz}/{channels}"),
            None => format!("{payload} {name}/{clock_hz}"),
        };
        media.attributes.push(Attribute::with_value("rtpmap", rtpmap));
        if let Some(fmtp) = &codec.fmtp {
            media.attributes.push(Attribute::with_value("fmtp", format!("{payload} {fmtp}")));
        }
    }
}

fn is_transport(attribute: &Attribute) -> bool {
    TRANSPORT_ATTRIBUTES.iter().any(|name| attribute.attribute.eq_ignore_ascii_case(name))
}

fn bytes(session: &Session) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Writing to a vector cannot fail; if it ever did, an empty body is refused by every phone.
    if session.write(&mut bytes).is_err() {
        bytes.clear();
    }
    bytes
}
