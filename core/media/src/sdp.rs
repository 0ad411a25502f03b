//! Session descriptions (RFC 8866) in offer and answer (RFC 3264): what a phone said, and what is said to the other
//! one.
//!
//! Packets are relayed untouched, so the payload numbers that one phone is told are those of the other one.

use std::net::{IpAddr, SocketAddr};

use minicbor::{Decode, Encode};

use crate::address;

mod audio;
mod codec;
mod write;

pub use codec::{Codec, CodecPolicy, default_codecs};
pub use write::generate_offer;

/// The longest description that is read. Phones' are under 4 KiB; a longer one is refused before it is parsed.
pub const DESCRIPTION_BYTES_MAX: usize = 16 * 1024;

/// The most media lines that are read. Phones offer audio, video, application and their secure twins; a description
/// with more is refused.
pub const MEDIA_MAX: usize = 16;

/// Which way the media of the party that wrote the description flows (RFC 8866, section 6.7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Direction {
    #[default]
    #[n(0)]
    SendRecv,
    /// It sends and does not want to receive: it put the other party on hold.
    #[n(1)]
    SendOnly,
    #[n(2)]
    RecvOnly,
    #[n(3)]
    Inactive,
}

impl Direction {
    /// The direction in the answer to an offer with this one (RFC 3264, section 6.1).
    pub fn answer(self) -> Self {
        match self {
            Self::SendRecv => Self::SendRecv,
            Self::SendOnly => Self::RecvOnly,
            Self::RecvOnly => Self::SendOnly,
            Self::Inactive => Self::Inactive,
        }
    }

    /// Whether the party sends.
    pub fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    /// Whether the party receives.
    pub fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    /// The name of its attribute.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SendRecv => "sendrecv",
            Self::SendOnly => "sendonly",
            Self::RecvOnly => "recvonly",
            Self::Inactive => "inactive",
        }
    }
}

/// The audio that a description speaks of: its first audio line that is plain RTP and not refused with port 0.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Audio {
    /// Where the party receives RTP. The host is unspecified (`0.0.0.0`) in a hold of the old style.
    #[n(0)]
    #[cbor(with = "address::socket")]
    pub rtp: SocketAddr,
    /// Where it receives RTCP: as `a=rtcp` says (RFC 3605), else one port above RTP.
    #[n(1)]
    #[cbor(with = "address::socket")]
    pub rtcp: SocketAddr,
    #[n(2)]
    pub direction: Direction,
    /// In the party's order of preference.
    #[n(3)]
    pub codecs: Vec<Codec>,
    /// Milliseconds of audio in one packet that the party wants to receive.
    #[n(4)]
    pub ptime_ms: Option<u32>,
}

/// Who we are in a description of ours.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct LocalMedia {
    /// Where the relay's ports are: the service address, or the one that phones outside see.
    #[n(0)]
    #[cbor(with = "address::host")]
    pub address: IpAddr,
    /// The even port of the pair.
    #[n(1)]
    pub rtp_port: u16,
    /// The same in all descriptions of one dialog.
    #[n(2)]
    pub session_id: u64,
    /// One more whenever the description changes (RFC 3264, section 8).
    #[n(3)]
    pub version: u64,
    /// The user name in `o=`: `tandem`.
    #[n(4)]
    pub username: String,
}

impl LocalMedia {
    /// The user name in `o=` unless somebody wants another.
    pub const USERNAME: &'static str = "tandem";

    pub fn new(address: IpAddr, rtp_port: u16, session_id: u64, version: u64) -> Self {
        Self { address, rtp_port, session_id, version, username: Self::USERNAME.to_owned() }
    }
}

/// A parsed description. Encoded as the bytes that it was parsed from.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    bytes: Vec<u8>,
    session: sdp_types::Session,
    /// The audio and the place of its media line.
    audio: Option<(usize, Audio)>,
}

/// Why a description cannot be used. All but `NoCommonCodec` are the fault of whoever wrote it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SdpError {
    #[error("the session description has {bytes} bytes, more than {DESCRIPTION_BYTES_MAX}")]
    TooLong { bytes: usize },
    #[error("the session description has {lines} media lines, more than {MEDIA_MAX}")]
    TooManyMedia { lines: usize },
    #[error("could not parse the session description")]
    Parse(#[source] sdp_types::ParserError),
    #[error("the only audio is encrypted ({protocol}), which is not supported")]
    Secure { protocol: String },
    #[error("the audio has no connection address")]
    NoConnection,
    #[error("the audio's connection address is a host name, {name:?}")]
    HostName { name: String },
    #[error("the audio's connection address {address} is not that of one host")]
    NotUnicast { address: IpAddr },
    #[error("the session description has no audio")]
    NoAudio,
    #[error("no codec of the session description is permitted here")]
    NoCommonCodec,
}

impl Description {
    /// Parses the body of a message. Refuses what is too long before it parses it.
    ///
    /// A description without usable audio is no error, unless its audio is there and cannot be used.
    pub fn parse(bytes: &[u8]) -> Result<Self, SdpError> {
        if bytes.len() > DESCRIPTION_BYTES_MAX {
            return Err(SdpError::TooLong { bytes: bytes.len() });
        }
        let tidied = audio::tidy(bytes);
        let lines = tidied.lines().filter(|line| line.starts_with("m=")).count();
        if lines > MEDIA_MAX {
            return Err(SdpError::TooManyMedia { lines });
        }
        let session = sdp_types::Session::parse(tidied.as_bytes()).map_err(SdpError::Parse)?;
        let audio = audio::find(&session)?;
        Ok(Self { bytes: bytes.to_vec(), session, audio })
    }

    /// The first active audio line of plain RTP.
    pub fn audio(&self) -> Option<Audio> {
        self.audio.as_ref().map(|(_, audio)| audio.clone())
    }

    /// The bytes that this was parsed from.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// This offer, re-addressed to us for the other leg. Codecs are filtered and ordered by `policy` and keep the
    /// offerer's payload numbers; telephone events always stay. Media lines keep their number and order (RFC 3264,
    /// section 8); all but the audio get port 0.
    pub fn offer_from(&self, local: &LocalMedia, policy: &CodecPolicy) -> Result<Vec<u8>, SdpError> {
        write::offer_from(self, local, policy)
    }
}

/// What to send to the offerer when the far leg has answered: `answer` in the shape of `offer`, with our address, and
/// those of its codecs that were offered and are permitted. They keep the answerer's payload numbers, as RFC 3264,
/// section 6.1 permits, because the offerer's packets go to the answerer untouched.
pub fn answer_from(
    offer: &Description,
    answer: &Description,
    local: &LocalMedia,
    policy: &CodecPolicy,
) -> Result<Vec<u8>, SdpError> {
    write::answer_from(offer, answer, local, policy)
}

/// Our own answer to `offer`: to a hold or resume in a call whose codecs are `chosen`, or to a call that we answer
/// ourselves. Mirrors the direction. Of `chosen`, those that are offered stay, with their payload numbers; if none is,
/// it takes the first permitted codec of the offer, and telephone events. `NoCommonCodec` means 488.
pub fn answer_locally(
    offer: &Description,
    local: &LocalMedia,
    chosen: &[Codec],
    policy: &CodecPolicy,
) -> Result<Vec<u8>, SdpError> {
    write::answer_locally(offer, local, chosen, policy)
}

impl<C> Encode<C> for Description {
    fn encode<W: minicbor::encode::Write>(
        &self,
        encoder: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        encoder.bytes(&self.bytes)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Description {
    fn decode(decoder: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        Self::parse(decoder.bytes()?).map_err(minicbor::decode::Error::custom)
    }
}

#[cfg(test)]
mod tests;
