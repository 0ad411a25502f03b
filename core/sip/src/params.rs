//! Parameters of URIs and headers: `;name=value`.

use std::fmt;

use minicbor::{Decode, Encode};

use crate::error::ParseError;
use crate::syntax;

/// No URI or header of a phone has more parameters; a longer list is refused, so that it cannot grow the state.
pub const PARAMS_MAX: usize = 64;

/// Parameters in their order. Names are case-insensitive. Values are kept as they were written: a quoted string with
/// its quotes ([`syntax::unquote`] takes them off).
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct Params(#[n(0)] pub Vec<(String, Option<String>)>);

impl Params {
    /// Reads what follows the first `;`. Empty parameters, which some phones write, are left out.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let mut params = Vec::new();
        for piece in syntax::split_top_level(text, ';')?.into_iter().filter(|piece| !piece.is_empty()) {
            if params.len() == PARAMS_MAX {
                return Err(ParseError::TooMany { what: "parameters", max: PARAMS_MAX });
            }
            let (name, value) = match piece.split_once('=') {
                Some((name, value)) => (name.trim_end(), Some(value.trim_start().to_owned())),
                None => (piece, None),
            };
            if name.is_empty() || name.contains(['"', '<', '>', ',']) || name.contains(char::is_whitespace) {
                return Err(ParseError::Malformed("parameter"));
            }
            params.push((name.to_owned(), value));
        }
        Ok(Self(params))
    }

    /// The value of the first parameter of this name; `None` when it is absent or has no value.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.entry(name).and_then(|(_, value)| value.as_deref())
    }

    pub fn has(&self, name: &str) -> bool {
        self.entry(name).is_some()
    }

    /// Sets the parameter in its place, or appends it. The value must be a token or a quoted string.
    pub fn set(&mut self, name: &str, value: Option<&str>) {
        let value = value.map(str::to_owned);
        match self.0.iter_mut().find(|(own, _)| own.eq_ignore_ascii_case(name)) {
            Some(entry) => entry.1 = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(own, _)| !own.eq_ignore_ascii_case(name));
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn entry(&self, name: &str) -> Option<&(String, Option<String>)> {
        self.0.iter().find(|(own, _)| own.eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.0 {
            match value {
                Some(value) => write!(f, ";{name}={value}")?,
                None => write!(f, ";{name}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
