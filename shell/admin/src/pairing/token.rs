//! Owns the token: all that the second machine must know, the secret key included, as one word that can be copied.

use std::net::SocketAddr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use minicbor::bytes::ByteArray;
use minicbor::{Decode, Encode};
use thiserror::Error;

use crate::config::{LINKS_MAX, Link, WITNESS_ADDRESSES_MAX};

/// What every token begins with; the number is the version of the format.
const BEGIN: &str = "tandem1-";

/// A token with eight links has some 700 characters. More is something else, and is refused.
pub const TOKEN_BYTES_MAX: usize = 4096;

/// The checksum at the end tells a token that was cut short while it was copied.
const CHECKSUM_BYTES: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TokenError {
    #[error(
        "that is no token: it begins with {BEGIN}, and `tandem init` or `tandem invite` on the other machine \
             prints it"
    )]
    Other,
    #[error("the token is damaged: copy the whole word again")]
    Damaged,
    #[error("the token was made by another version of tandem: install the same one on both machines")]
    Version,
}

/// What the first machine tells the second one. Links are as the second one sees them.
#[derive(Clone, PartialEq, Eq)]
pub struct Invitation {
    /// The pair's secret key: whoever has it can be one of the two machines.
    pub key: [u8; 32],
    /// Name of the node that invites.
    pub inviter: String,
    /// With its prefix.
    pub service: String,
    pub interface: String,
    pub vrid: u8,
    pub priority: u8,
    pub failback_automatic: bool,
    pub links: Vec<Link>,
    /// Ways to the pair's witness; empty without one.
    pub witness: Vec<SocketAddr>,
}

/// As it is encoded. Addresses are texts, so that they can be read in every version.
#[derive(Encode, Decode)]
struct Encoded {
    #[n(0)]
    key: ByteArray<32>,
    #[n(1)]
    inviter: String,
    #[n(2)]
    service: String,
    #[n(3)]
    interface: String,
    #[n(4)]
    vrid: u8,
    #[n(5)]
    priority: u8,
    #[n(6)]
    failback_automatic: bool,
    #[n(7)]
    links: Vec<(String, String)>,
    #[n(8)]
    #[cbor(default)]
    witness: Vec<String>,
}

impl Invitation {
    /// One word of letters, digits, `-` and `_`.
    pub fn token(&self) -> String {
        let links = self.links.iter().map(|link| (link.local.to_string(), link.remote.to_string()));
        let encoded = Encoded {
            key: self.key.into(),
            inviter: self.inviter.clone(),
            service: self.service.clone(),
            interface: self.interface.clone(),
            vrid: self.vrid,
            priority: self.priority,
            failback_automatic: self.failback_automatic,
            links: links.collect(),
            witness: self.witness.iter().map(SocketAddr::to_string).collect(),
        };
        let mut bytes = Vec::new();
        // Writing into a vector cannot fail.
        let _ = minicbor::encode(&encoded, &mut bytes);
        let checksum = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&checksum.to_be_bytes());
        format!("{BEGIN}{}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Reads a token; blanks and line ends around it are no harm.
    pub fn read(token: &str) -> Result<Self, TokenError> {
        let token = token.trim();
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Other);
        }
        let Some(word) = token.strip_prefix(BEGIN) else {
            let other_version = token.strip_prefix("tandem").and_then(|rest| rest.split_once('-'));
            let digits = |number: &str| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
            let other_version = other_version.is_some_and(|(number, _)| digits(number));
            return Err(if other_version { TokenError::Version } else { TokenError::Other });
        };
        let bytes = URL_SAFE_NO_PAD.decode(word).map_err(|_| TokenError::Damaged)?;
        let (body, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>().ok_or(TokenError::Damaged)?;
        if crc32fast::hash(body).to_be_bytes() != *checksum {
            return Err(TokenError::Damaged);
        }
        // What is whole and still not understood was made by another version.
        let encoded: Encoded = minicbor::decode(body).map_err(|_| TokenError::Version)?;
        encoded.into_invitation().ok_or(TokenError::Version)
    }
}

impl Encoded {
    fn into_invitation(self) -> Option<Invitation> {
        if self.links.is_empty() || self.links.len() > LINKS_MAX || self.witness.len() > WITNESS_ADDRESSES_MAX {
            return None;
        }
        let link = |(local, remote): &(String, String)| {
            Some(Link { local: local.parse::<SocketAddr>().ok()?, remote: remote.parse::<SocketAddr>().ok()? })
        };
        Some(Invitation {
            key: self.key.into(),
            inviter: self.inviter,
            service: self.service,
            interface: self.interface,
            vrid: self.vrid,
            priority: self.priority,
            failback_automatic: self.failback_automatic,
            links: self.links.iter().map(link).collect::<Option<_>>()?,
            witness: self.witness.iter().map(|address| address.parse().ok()).collect::<Option<_>>()?,
        })
    }
}

impl std::fmt::Debug for Invitation {
    /// Without the key: what is debugged ends in logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Invitation")
            .field("inviter", &self.inviter)
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}
