//! Addresses with a display name and header parameters: From, To, Contact, Route (RFC 3261 section 20.10).

use std::fmt;
use std::str::FromStr;

use minicbor::{Decode, Encode};

use crate::error::ParseError;
use crate::params::Params;
use crate::syntax;
use crate::uri::Uri;

/// `"display" <uri>;params`. The display name is without its quotes and escapes.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct NameAddr {
    #[n(0)]
    pub display: Option<String>,
    #[n(1)]
    pub uri: Uri,
    /// Parameters of the header, not of the URI.
    #[n(2)]
    pub params: Params,
}

impl NameAddr {
    pub fn new(uri: Uri) -> Self {
        Self { display: None, uri, params: Params::default() }
    }

    /// Reads one address. Without angle brackets every parameter belongs to the header (RFC 3261 section 20).
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        const MALFORMED: ParseError = ParseError::Malformed("address");
        let text = text.trim();
        if let Some((display, rest)) = syntax::quoted_string(text) {
            let rest = rest.trim_start().strip_prefix('<').ok_or(MALFORMED)?;
            return Self::parse_bracketed(Some(display), rest);
        }
        if let Some((display, rest)) = text.split_once('<') {
            let display = display.trim();
            if display.contains('"') {
                return Err(ParseError::Malformed("display name"));
            }
            return Self::parse_bracketed((!display.is_empty()).then(|| display.to_owned()), rest);
        }
        let (uri, params) = text.split_once(';').unwrap_or((text, ""));
        // Without brackets it cannot be told whether these end the URI, so they are not allowed here.
        if uri.contains([',', '?']) {
            return Err(MALFORMED);
        }
        Ok(Self { display: None, uri: Uri::parse(uri.trim())?, params: Params::parse(params)? })
    }

    /// Reads a comma-separated list. The `*` of Contact is no address: see [`crate::Fields::contact_is_star`].
    pub fn parse_list(text: &str) -> Result<Vec<Self>, ParseError> {
        let pieces = syntax::split_top_level(text, ',')?;
        pieces.into_iter().filter(|piece| !piece.is_empty()).map(Self::parse).collect()
    }

    pub fn tag(&self) -> Option<&str> {
        self.params.value("tag")
    }

    pub fn with_tag(mut self, tag: &str) -> Self {
        self.params.set("tag", Some(tag));
        self
    }

    pub fn with_display(mut self, display: &str) -> Self {
        self.display = Some(display.to_owned());
        self
    }

    fn parse_bracketed(display: Option<String>, rest: &str) -> Result<Self, ParseError> {
        let (uri, params) = rest.split_once('>').ok_or(ParseError::Malformed("address in angle brackets"))?;
        let params = match params.trim() {
            "" => Params::default(),
            params => Params::parse(params.strip_prefix(';').ok_or(ParseError::Malformed("address"))?)?,
        };
        Ok(Self { display, uri: Uri::parse(uri.trim())?, params })
    }
}

impl FromStr for NameAddr {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::parse(text)
    }
}

impl fmt::Display for NameAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(display) = &self.display {
            write!(f, "{} ", syntax::quote(display))?;
        }
        write!(f, "<{}>{}", self.uri, self.params)
    }
}

#[cfg(test)]
mod tests;
