//! Digest authentication (RFC 7616, RFC 8760) with stateless nonces.

mod nonce;

use std::fmt;

use md5::Md5;
use minicbor::{Decode, Encode};
use sha2::{Digest as _, Sha256};

use crate::error::ParseError;
use crate::method::Method;
use crate::syntax;

pub use nonce::{Freshness, NONCE_AHEAD_MAX, NONCE_LIFETIME, Nonces};

/// No digest header has more fields; a longer one is refused.
pub const FIELDS_MAX: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Algorithm {
    #[n(0)]
    Md5,
    #[n(1)]
    Sha256,
}

impl Algorithm {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }

    /// The algorithm of this name; `None` for those that we do not offer, the `-sess` variants among them.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Md5, Self::Sha256].into_iter().find(|algorithm| algorithm.as_str().eq_ignore_ascii_case(name))
    }

    /// Lower-case hexadecimal hash of the parts, joined by colons.
    fn hash(self, parts: &[&str]) -> String {
        let text = parts.join(":");
        match self {
            Self::Md5 => hex(&Md5::digest(text)),
            Self::Sha256 => hex(&Sha256::digest(text)),
        }
    }
}

/// A challenge: the value of WWW-Authenticate or Proxy-Authenticate, by its Display. A server that takes both
/// algorithms sends two, the preferred one first (RFC 8760 section 2.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    pub realm: String,
    pub nonce: String,
    pub algorithm: Algorithm,
    /// The credentials were right, only the nonce is too old: the phone tries again without asking its user.
    pub stale: bool,
}

impl Challenge {
    /// Reads a challenge that offers `qop="auth"` or no qop. A missing algorithm is MD5.
    pub fn parse(value: &str) -> Result<Self, ParseError> {
        Ok(Offer::parse(value)?.challenge)
    }
}

impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (realm, nonce) = (syntax::quote(&self.realm), syntax::quote(&self.nonce));
        write!(f, "Digest realm={realm}, nonce={nonce}, algorithm={}, qop=\"auth\"", self.algorithm.as_str())?;
        if self.stale { f.write_str(", stale=true") } else { Ok(()) }
    }
}

/// The value of Authorization or Proxy-Authorization. Quoted fields are without quotes and escapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    pub username: String,
    pub realm: String,
    pub nonce: String,
    pub uri: String,
    /// Hexadecimal.
    pub response: String,
    pub algorithm: Algorithm,
    /// `auth` in all that we ask for; `None` from an RFC 2069 client.
    pub qop: Option<String>,
    pub cnonce: Option<String>,
    /// Nonce count: 8 hexadecimal digits.
    pub nc: Option<String>,
    pub opaque: Option<String>,
}

impl Authorization {
    pub fn parse(value: &str) -> Result<Self, ParseError> {
        let fields = DigestFields::parse(value)?;
        let mandatory = |name| fields.value(name).ok_or(ParseError::Malformed("digest credentials"));
        Ok(Self {
            username: mandatory("username")?,
            realm: mandatory("realm")?,
            nonce: mandatory("nonce")?,
            uri: mandatory("uri")?,
            response: mandatory("response")?,
            algorithm: fields.algorithm()?,
            qop: fields.value("qop"),
            cnonce: fields.value("cnonce"),
            nc: fields.value("nc"),
            opaque: fields.value("opaque"),
        })
    }
}

impl fmt::Display for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (username, realm) = (syntax::quote(&self.username), syntax::quote(&self.realm));
        let (nonce, uri) = (syntax::quote(&self.nonce), syntax::quote(&self.uri));
        write!(f, "Digest username={username}, realm={realm}, nonce={nonce}, uri={uri}")?;
        write!(f, ", response={}, algorithm={}", syntax::quote(&self.response), self.algorithm.as_str())?;
        if let Some(opaque) = &self.opaque {
            write!(f, ", opaque={}", syntax::quote(opaque))?;
        }
        if let Some(cnonce) = &self.cnonce {
            write!(f, ", cnonce={}", syntax::quote(cnonce))?;
        }
        // These two are tokens, never quoted strings (RFC 7616 section 3.4).
        if let Some(qop) = &self.qop {
            write!(f, ", qop={qop}")?;
        }
        self.nc.as_ref().map_or(Ok(()), |nc| write!(f, ", nc={nc}"))
    }
}

/// What a user is known by. Not `Debug`, so that no log shows it.
#[derive(Clone, Copy)]
pub enum Secret<'a> {
    Plain(&'a str),
    /// The hash of `username:realm:password`, in hexadecimal (Asterisk's `md5secret`). It answers only challenges
    /// with the same algorithm.
    Ha1 {
        algorithm: Algorithm,
        hex: &'a str,
    },
}

impl Secret<'_> {
    fn ha1(&self, algorithm: Algorithm, username: &str, realm: &str) -> Option<String> {
        match self {
            Self::Plain(password) => Some(algorithm.hash(&[username, realm, password])),
            Self::Ha1 { algorithm: own, hex } => (*own == algorithm).then(|| hex.to_ascii_lowercase()),
        }
    }
}

/// True when the credentials were made with `password` for a request with `method`. It says nothing about realm,
/// username, nonce and URI themselves: the caller compares those with what it expects, and checks the nonce with
/// [`Nonces::check`].
pub fn verify(authorization: &Authorization, method: &Method, password: &Secret<'_>) -> bool {
    let Authorization { username, realm, nonce, uri, algorithm, .. } = authorization;
    let Some(ha1) = password.ha1(*algorithm, username, realm) else { return false };
    let qop = match (&authorization.qop, &authorization.nc, &authorization.cnonce) {
        (None, _, _) => None,
        (Some(qop), Some(nc), Some(cnonce)) if qop.eq_ignore_ascii_case("auth") => Some((nc.as_str(), cnonce.as_str())),
        // auth-int was not offered, and qop without count or client nonce is no valid answer.
        _ => return false,
    };
    let expected = response(*algorithm, &ha1, nonce, qop, authorization.qop.as_deref(), method, uri);
    equal_in_constant_time(expected.as_bytes(), authorization.response.to_ascii_lowercase().as_bytes())
}

/// The Authorization value that answers a challenge, with qop where the challenge offers it. `uri` is the
/// Request-URI, `cnonce` a fresh random token, `nc` counts from 1 how often this nonce was used.
pub fn answer(
    challenge_header: &str,
    username: &str,
    password: &str,
    method: &Method,
    uri: &str,
    cnonce: &str,
    nc: u32,
) -> Result<String, ParseError> {
    let Offer { challenge: Challenge { realm, nonce, algorithm, .. }, qop, opaque } = Offer::parse(challenge_header)?;
    let ha1 = algorithm.hash(&[username, &realm, password]);
    let nc = format!("{nc:08x}");
    let (qop_name, counted) = if qop { (Some("auth"), Some((nc.as_str(), cnonce))) } else { (None, None) };
    let response = response(algorithm, &ha1, &nonce, counted, qop_name, method, uri);
    let authorization = Authorization {
        username: username.to_owned(),
        realm,
        nonce,
        uri: uri.to_owned(),
        response,
        algorithm,
        qop: qop_name.map(str::to_owned),
        cnonce: qop.then(|| cnonce.to_owned()),
        nc: qop.then_some(nc),
        opaque,
    };
    Ok(authorization.to_string())
}

/// The response field (RFC 7616 section 3.4.1). `counted` is the nonce count and the client nonce.
fn response(
    algorithm: Algorithm,
    ha1: &str,
    nonce: &str,
    counted: Option<(&str, &str)>,
    qop: Option<&str>,
    method: &Method,
    uri: &str,
) -> String {
    let ha2 = algorithm.hash(&[method.as_str(), uri]);
    match (counted, qop) {
        (Some((nc, cnonce)), Some(qop)) => algorithm.hash(&[ha1, nonce, nc, cnonce, qop, &ha2]),
        _ => algorithm.hash(&[ha1, nonce, &ha2]),
    }
}

/// A challenge with what only its answer needs.
struct Offer {
    challenge: Challenge,
    qop: bool,
    opaque: Option<String>,
}

impl Offer {
    fn parse(value: &str) -> Result<Self, ParseError> {
        const MALFORMED: ParseError = ParseError::Malformed("digest challenge");
        let fields = DigestFields::parse(value)?;
        let qop = match fields.value("qop") {
            None => false,
            Some(offered) if offered.split(',').any(|name| name.trim().eq_ignore_ascii_case("auth")) => true,
            Some(_) => return Err(MALFORMED),
        };
        let challenge = Challenge {
            realm: fields.value("realm").ok_or(MALFORMED)?,
            nonce: fields.value("nonce").ok_or(MALFORMED)?,
            algorithm: fields.algorithm()?,
            stale: fields.value("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
        };
        Ok(Self { challenge, qop, opaque: fields.value("opaque") })
    }
}

/// The `name=value` fields of a digest header.
struct DigestFields<'a>(Vec<(&'a str, &'a str)>);

impl<'a> DigestFields<'a> {
    fn parse(value: &'a str) -> Result<Self, ParseError> {
        const MALFORMED: ParseError = ParseError::Malformed("digest header");
        let (scheme, rest) = value.trim().split_once([' ', '\t']).ok_or(MALFORMED)?;
        if !scheme.eq_ignore_ascii_case("Digest") {
            return Err(MALFORMED);
        }
        let pieces = syntax::split_top_level(rest, ',')?;
        if pieces.len() > FIELDS_MAX {
            return Err(ParseError::TooMany { what: "digest fields", max: FIELDS_MAX });
        }
        let mut fields: Vec<(&str, &str)> = Vec::new();
        for piece in pieces.into_iter().filter(|piece| !piece.is_empty()) {
            let (name, value) = piece.split_once('=').ok_or(MALFORMED)?;
            let name = name.trim_end();
            if fields.iter().any(|(own, _)| own.eq_ignore_ascii_case(name)) {
                return Err(ParseError::Malformed("digest header"));
            }
            fields.push((name, value.trim_start()));
        }
        Ok(Self(fields))
    }

    fn value(&self, name: &str) -> Option<String> {
        let field = self.0.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        field.map(|(_, value)| syntax::unquote(value).into_owned())
    }

    fn algorithm(&self) -> Result<Algorithm, ParseError> {
        let name = self.value("algorithm");
        name.map_or(Some(Algorithm::Md5), |name| Algorithm::parse(&name)).ok_or(ParseError::Malformed("algorithm"))
    }
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

/// Compares all bytes, so that the time taken does not tell how many were right.
fn equal_in_constant_time(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |differences, (l, r)| differences | (l ^ r)) == 0
}

#[cfg(test)]
mod tests;
