//! Owns `disallow` and `allow`: which codecs an endpoint may use, and in which order.

use super::value::list;
use crate::conf::{Diagnostics, Entry, suggestion};

/// Asterisk's name of an audio codec and its SDP encoding name (RFC 3551 and the codecs' own RFCs).
const AUDIO: &[(&str, &str)] = &[
    ("ulaw", "PCMU"),
    ("alaw", "PCMA"),
    ("g722", "G722"),
    ("opus", "opus"),
    ("g729", "G729"),
    ("gsm", "GSM"),
    ("g726", "G726-32"),
    ("g726aal2", "AAL2-G726-32"),
    ("g723", "G723"),
    ("g719", "G719"),
    ("ilbc", "iLBC"),
    ("speex", "speex"),
    ("speex16", "speex"),
    ("speex32", "speex"),
    ("lpc10", "LPC"),
    ("adpcm", "DVI4"),
    ("siren7", "G7221"),
    ("siren14", "G7221"),
    ("slin", "L16"),
    ("slin16", "L16"),
    ("amr", "AMR"),
    ("amrwb", "AMR-WB"),
    ("codec2", "CODEC2"),
    ("silk", "SILK"),
];

/// Formats that are no audio: every media line but audio is refused.
const NO_AUDIO: &[&str] = &[
    "h261", "h263", "h263p", "h264", "h265", "vp8", "vp9", "mpeg4", "jpeg", "png", "t140", "t140red", "red", "t38",
    "none",
];

/// The codecs allowed so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Choice {
    /// Nothing was said: any codec, or only those that `allow` then adds.
    Unset,
    /// Any codec, even one that we do not know.
    All,
    Only(Vec<&'static str>),
}

impl Choice {
    pub(super) fn disallow(&mut self, entry: &Entry, diagnostics: &mut Diagnostics) {
        for name in list(&entry.value) {
            self.remove(name, entry, diagnostics);
        }
    }

    /// `allow`; a `!` before a name takes it away.
    pub(super) fn allow(&mut self, entry: &Entry, diagnostics: &mut Diagnostics) {
        for name in list(&entry.value) {
            match name.strip_prefix('!') {
                Some(name) => self.remove(name, entry, diagnostics),
                None => self.add(name, entry, diagnostics),
            }
        }
    }

    /// SDP encoding names in order of preference, empty for all. `None` when no codec is left.
    pub(super) fn names(&self) -> Option<Vec<String>> {
        match self {
            Self::Unset | Self::All => Some(Vec::new()),
            Self::Only(names) if names.is_empty() => None,
            Self::Only(names) => Some(names.iter().map(|&name| name.to_owned()).collect()),
        }
    }

    fn add(&mut self, name: &str, entry: &Entry, diagnostics: &mut Diagnostics) {
        if name.eq_ignore_ascii_case("all") {
            *self = Self::All;
            return;
        }
        let Some(encoding) = encoding(name, entry, diagnostics) else { return };
        match self {
            Self::Unset => *self = Self::Only(vec![encoding]),
            Self::All => {}
            Self::Only(names) if names.contains(&encoding) => {}
            Self::Only(names) => names.push(encoding),
        }
    }

    fn remove(&mut self, name: &str, entry: &Entry, diagnostics: &mut Diagnostics) {
        if name.eq_ignore_ascii_case("all") {
            *self = Self::Only(Vec::new());
            return;
        }
        let Some(encoding) = encoding(name, entry, diagnostics) else { return };
        let mut names = match self {
            Self::Unset | Self::All => every_encoding(),
            Self::Only(names) => std::mem::take(names),
        };
        names.retain(|name| *name != encoding);
        *self = Self::Only(names);
    }
}

fn every_encoding() -> Vec<&'static str> {
    let mut names = Vec::new();
    for (_, encoding) in AUDIO {
        if !names.contains(encoding) {
            names.push(*encoding);
        }
    }
    names
}

/// The SDP encoding name; `None`, with a warning, for what is no audio codec.
fn encoding(name: &str, entry: &Entry, diagnostics: &mut Diagnostics) -> Option<&'static str> {
    // `ulaw:20` asks for packets of 20 ms; packets are relayed as they come.
    let name = name.split(':').next().unwrap_or(name).trim();
    let known = AUDIO.iter().find(|(own, sdp)| own.eq_ignore_ascii_case(name) || sdp.eq_ignore_ascii_case(name));
    if known.is_none() {
        let text = if NO_AUDIO.iter().any(|other| other.eq_ignore_ascii_case(name)) {
            format!("`{name}` is no audio codec; not supported yet, ignored")
        } else {
            let hint = suggestion::hint(name, AUDIO.iter().map(|(own, _)| *own));
            format!("unknown codec `{name}`, ignored{hint}")
        };
        diagnostics.warning(&entry.place, text);
    }
    known.map(|(_, encoding)| *encoding)
}
