//! Digest authentication (RFC 8760, RFC 7616) of the phone's own requests.

use md5::Md5;
use sha2::{Digest, Sha256};

use crate::message::{parameter, unquote};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Md5,
    Sha256,
}

impl Algorithm {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }

    fn hex(self, text: &str) -> String {
        let hash = match self {
            Self::Md5 => Md5::digest(text.as_bytes()).to_vec(),
            Self::Sha256 => Sha256::digest(text.as_bytes()).to_vec(),
        };
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// What the server asked for last. The phone goes on using the nonce until the server gives another one.
#[derive(Clone, Debug)]
pub(crate) struct Challenge {
    algorithm: Algorithm,
    realm: String,
    nonce: String,
    opaque: Option<String>,
    quality: bool,
    proxy: bool,
    pub(crate) stale: bool,
    count: u32,
}

impl Challenge {
    /// Reads the value of a WWW-Authenticate (or, with `proxy`, Proxy-Authenticate) header. `None` when the scheme or
    /// the algorithm is unknown.
    pub(crate) fn parse(value: &str, proxy: bool) -> Option<Self> {
        let (scheme, rest) = value.trim().split_once(char::is_whitespace)?;
        if !scheme.eq_ignore_ascii_case("digest") {
            return None;
        }
        let find = |name| parameter(rest, ',', name).map(unquote);
        let algorithm = match find("algorithm") {
            None => Algorithm::Md5,
            Some(name) if name.eq_ignore_ascii_case("md5") => Algorithm::Md5,
            Some(name) if name.eq_ignore_ascii_case("sha-256") => Algorithm::Sha256,
            Some(_) => return None,
        };
        let quality = match find("qop") {
            None => false,
            Some(list) if list.split(',').any(|option| option.trim().eq_ignore_ascii_case("auth")) => true,
            Some(_) => return None,
        };
        Some(Self {
            algorithm,
            realm: find("realm")?.to_owned(),
            nonce: find("nonce")?.to_owned(),
            opaque: find("opaque").map(str::to_owned),
            quality,
            proxy,
            stale: find("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
            count: 0,
        })
    }

    /// The whole header line, without line end, that answers this challenge for one request.
    pub(crate) fn answer(&mut self, user: &str, password: &str, method: &str, uri: &str, cnonce: &str) -> String {
        self.count += 1;
        let hex = |text: &str| self.algorithm.hex(text);
        let secret = hex(&format!("{user}:{}:{password}", self.realm));
        let request = hex(&format!("{method}:{uri}"));
        let count = format!("{:08x}", self.count);
        let response = if self.quality {
            hex(&format!("{secret}:{}:{count}:{cnonce}:auth:{request}", self.nonce))
        } else {
            hex(&format!("{secret}:{}:{request}", self.nonce))
        };
        let name = if self.proxy { "Proxy-Authorization" } else { "Authorization" };
        let mut line = format!(
            "{name}: Digest username=\"{user}\", realm=\"{}\", nonce=\"{}\", uri=\"{uri}\", response=\"{response}\", \
             algorithm={}",
            self.realm,
            self.nonce,
            self.algorithm.as_str()
        );
        if self.quality {
            line.push_str(&format!(", qop=auth, nc={count}, cnonce=\"{cnonce}\""));
        }
        if let Some(opaque) = &self.opaque {
            line.push_str(&format!(", opaque=\"{opaque}\""));
        }
        line
    }
}

#[cfg(test)]
mod tests;
