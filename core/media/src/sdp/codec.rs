//! Codecs as descriptions name them, and which of them an endpoint may use.

use minicbor::{Decode, Encode};

/// A payload format: an entry of a media line with its `rtpmap` and `fmtp` (RFC 8866, section 6.6).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Codec {
    /// RTP payload type, 0 to 127.
    #[n(0)]
    pub payload: u8,
    /// The encoding's name as it was written; compared without regard to case.
    #[n(1)]
    pub name: String,
    /// The rate of its RTP clock, which for G.722 is not the sampling rate (RFC 3551, section 4.5.2).
    #[n(2)]
    pub clock_hz: u32,
    /// None where none are written, which means one.
    #[n(3)]
    pub channels: Option<u8>,
    /// Its parameters, as they were written after the payload number.
    #[n(4)]
    pub fmtp: Option<String>,
}

/// The format of telephone events (RFC 4733).
const TELEPHONE_EVENT: &str = "telephone-event";

/// Payload types that need no `rtpmap` (RFC 3551, table 4): number, name, clock in Hz, channels.
const STATIC_AUDIO: [(u8, &str, u32, Option<u8>); 17] = [
    (0, "PCMU", 8000, None),
    (3, "GSM", 8000, None),
    (4, "G723", 8000, None),
    (5, "DVI4", 8000, None),
    (6, "DVI4", 16000, None),
    (7, "LPC", 8000, None),
    (8, "PCMA", 8000, None),
    (9, "G722", 8000, None),
    (10, "L16", 44100, Some(2)),
    (11, "L16", 44100, None),
    (12, "QCELP", 8000, None),
    (13, "CN", 8000, None),
    (14, "MPA", 90000, None),
    (15, "G728", 8000, None),
    (16, "DVI4", 11025, None),
    (17, "DVI4", 22050, None),
    (18, "G729", 8000, None),
];

/// Names that `allow=` uses for encodings which descriptions name otherwise.
const ALIASES: [(&str, &str); 8] = [
    ("ulaw", "PCMU"),
    ("alaw", "PCMA"),
    ("g723.1", "G723"),
    ("g726", "G726-32"),
    ("g726aal2", "AAL2-G726-32"),
    ("slin", "L16"),
    ("adpcm", "DVI4"),
    ("siren7", "G7221"),
];

impl Codec {
    pub fn new(payload: u8, name: &str, clock_hz: u32) -> Self {
        Self { payload, name: name.to_owned(), clock_hz, channels: None, fmtp: None }
    }

    /// The codec of a payload type that needs no `rtpmap`.
    pub fn from_static(payload: u8) -> Option<Self> {
        let (_, name, clock_hz, channels) = STATIC_AUDIO.into_iter().find(|(number, ..)| *number == payload)?;
        Some(Self { payload, name: name.to_owned(), clock_hz, channels, fmtp: None })
    }

    /// Parses what follows the payload number in `a=rtpmap:`: `PCMU/8000`, `opus/48000/2`.
    pub(super) fn from_rtpmap(payload: u8, value: &str) -> Option<Self> {
        let mut parts = value.trim().split('/');
        let name = parts.next().filter(|name| !name.is_empty())?;
        let clock_hz = parts.next()?.trim().parse().ok()?;
        let channels = parts.next().and_then(|channels| channels.trim().parse().ok());
        Some(Self { payload, name: name.to_owned(), clock_hz, channels, fmtp: None })
    }

    /// Whether both name the same encoding, whatever their payload numbers and parameters are.
    pub fn is_same_encoding(&self, other: &Self) -> bool {
        self.name.eq_ignore_ascii_case(&other.name)
            && self.clock_hz == other.clock_hz
            && self.channels.unwrap_or(1) == other.channels.unwrap_or(1)
    }

    /// Whether it carries the keys of a telephone and no sound.
    pub fn is_telephone_event(&self) -> bool {
        self.name.eq_ignore_ascii_case(TELEPHONE_EVENT)
    }

    /// Whether it can carry a conversation by itself: neither telephone events nor comfort noise (RFC 3389).
    pub fn is_speech(&self) -> bool {
        !self.is_telephone_event() && !self.name.eq_ignore_ascii_case("CN")
    }
}

/// Which codecs an endpoint may use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct CodecPolicy {
    /// Names in order of preference, as descriptions or as `allow=` writes them. Empty: all, in the offerer's order.
    #[n(0)]
    pub allowed: Vec<String>,
}

impl CodecPolicy {
    /// The codecs that are permitted, preferred ones first, telephone events last. Codecs of equal preference keep
    /// their order.
    pub fn select(&self, codecs: &[Codec]) -> Vec<Codec> {
        let mut ranked: Vec<(usize, &Codec)> =
            codecs.iter().filter_map(|codec| Some((self.rank(codec)?, codec))).collect();
        ranked.sort_by_key(|(rank, _)| *rank);
        ranked.into_iter().map(|(_, codec)| codec.clone()).collect()
    }

    /// Its place in the order of preference, or none when it is not permitted.
    fn rank(&self, codec: &Codec) -> Option<usize> {
        if self.allowed.is_empty() {
            return Some(0);
        }
        if codec.is_telephone_event() {
            return Some(self.allowed.len());
        }
        self.allowed.iter().position(|allowed| encoding_name(allowed).eq_ignore_ascii_case(&codec.name))
    }
}

fn encoding_name(allowed: &str) -> &str {
    ALIASES.iter().find(|(alias, _)| alias.eq_ignore_ascii_case(allowed)).map_or(allowed, |(_, name)| name)
}

/// What we offer when there is no offer to pass on.
pub fn default_codecs() -> Vec<Codec> {
    vec![
        Codec::new(0, "PCMU", 8000),
        Codec::new(8, "PCMA", 8000),
        Codec::new(9, "G722", 8000),
        Codec { channels: Some(2), ..Codec::new(107, "opus", 48000) },
        Codec { fmtp: Some("0-16".to_owned()), ..Codec::new(101, TELEPHONE_EVENT, 8000) },
    ]
}
