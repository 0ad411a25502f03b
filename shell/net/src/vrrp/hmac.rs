//! Authenticated adverts: the trailer of keepalived's `auth_hmac` (version 2.4), which proves who has made an advert and
//! that it is no old one. It stands behind the advert, which stays as the RFCs have it.
//!
//! ```text
//!  |  Type (1)  |  Key id  |    Reserved (0)    |
//!  |      Seconds since 1970 (UTC)              |
//!  |  1/65536 s  |  Counter                     |
//!  |  HMAC-SHA256, the first 16 bytes ...       |
//! ```
//!
//! The HMAC covers a header of its own (IP version, VRRP version, virtual router, source address), the advert, and the
//! trailer with zeroes in the HMAC's place.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use base::WallTime;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use thiserror::Error;

#[cfg(test)]
mod tests;

pub const TRAILER_BYTES: usize = 28;
const HMAC_BYTES: usize = 16;
/// Of the trailer before the HMAC.
const HEAD_BYTES: usize = TRAILER_BYTES - HMAC_BYTES;
const TYPE_SHA256: u8 = 1;

/// The bounds of a key, as keepalived has them.
pub const KEY_BYTES_MIN: usize = 32;
pub const KEY_BYTES_MAX: usize = 64;

/// How far the clocks of two machines may be apart, and an advert may be old, at least.
const WINDOW_MIN: Duration = Duration::from_secs(5);

/// Senders whose last number is remembered. A virtual router has three or four members; of more the one that was silent
/// for longest is forgotten, and an advert of it could be played again within the window.
const SENDERS_MAX: usize = 16;

/// What all members of the virtual router know.
#[derive(Clone, PartialEq, Eq)]
pub struct HmacKey {
    /// Tells keys apart while they are exchanged.
    pub id: u8,
    bytes: Vec<u8>,
}

#[derive(Debug, Error, PartialEq, Eq)]
#[error("a key has {KEY_BYTES_MIN} to {KEY_BYTES_MAX} bytes, two hexadecimal digits each")]
pub struct HmacKeyError;

impl HmacKey {
    /// Reads hexadecimal digits, with white space around them.
    pub fn parse(id: u8, text: &str) -> Result<Self, HmacKeyError> {
        let digits = text.trim();
        let byte = |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
        let is_hex = digits.len().is_multiple_of(2) && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let bytes: Option<Vec<u8>> = digits.as_bytes().chunks(2).map(byte).collect();
        let bytes = bytes.filter(|bytes| is_hex && (KEY_BYTES_MIN..=KEY_BYTES_MAX).contains(&bytes.len()));
        bytes.map(|bytes| Self { id, bytes }).ok_or(HmacKeyError)
    }

    fn sign(&self, source: IpAddr, advert_and_head: &[u8]) -> Hmac<Sha256> {
        let first = advert_and_head.first().copied().unwrap_or(0);
        let vrid = advert_and_head.get(1).copied().unwrap_or(0);
        let mut address = [0; 16];
        match source {
            IpAddr::V4(source) => address[..4].copy_from_slice(&source.octets()),
            IpAddr::V6(source) => address = source.octets(),
        }
        // A key of any length will do for this algorithm (RFC 2104 section 3).
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.bytes) else {
            unreachable!("keys of all lengths are taken")
        };
        mac.update(&[if source.is_ipv4() { 4 } else { 6 }, first >> 4, vrid, 0]);
        mac.update(&address);
        mac.update(advert_and_head);
        mac.update(&[0; HMAC_BYTES]);
        mac
    }
}

/// The key is nobody's business.
impl fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HmacKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Why an advert is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Error)]
pub enum HmacError {
    #[error("it has no HMAC: its sender knows nothing of `auth_hmac`")]
    Absent,
    #[error("its trailer is of another kind than `auth_hmac`'s")]
    Kind,
    #[error("its key has the id {id}, and ours {own}")]
    KeyId { id: u8, own: u8 },
    #[error("its HMAC is wrong: its sender has another key, or it was changed on the way")]
    Hmac,
    #[error("its clock and ours are further apart than {} s, or it is an old one", window.as_secs())]
    Stale { window: Duration },
    #[error("it came before: somebody plays it again")]
    Replayed,
}

/// Signs what this node sends, and judges what it hears.
#[derive(Debug)]
pub struct Authenticator {
    key: HmacKey,
    window: Duration,
    sent: u64,
    /// The greatest number of each sender.
    heard: BTreeMap<IpAddr, u64>,
}

impl Authenticator {
    /// `interval` is that between two adverts: three of them may be missing.
    pub fn new(key: HmacKey, interval: Duration) -> Self {
        Self { key, window: WINDOW_MIN.max(interval * 3), sent: 0, heard: BTreeMap::new() }
    }

    /// The advert with its trailer.
    pub fn seal(&mut self, wall: WallTime, source: IpAddr, advert: &[u8]) -> Vec<u8> {
        // The clock may have been set back, or two adverts may leave at the same instant.
        self.sent = number_at(wall).max(self.sent.wrapping_add(1));
        let mut bytes = advert.to_vec();
        bytes.extend([TYPE_SHA256, self.key.id, 0, 0]);
        bytes.extend(self.sent.to_be_bytes());
        let proof = self.key.sign(source, &bytes).finalize().into_bytes();
        bytes.extend(proof.iter().take(HMAC_BYTES));
        bytes
    }

    /// The advert without its trailer, when it is to be believed.
    pub fn open<'a>(&mut self, wall: WallTime, source: IpAddr, bytes: &'a [u8]) -> Result<&'a [u8], HmacError> {
        let length = advert_bytes(bytes, source).ok_or(HmacError::Absent)?;
        let (advert, trailer) = bytes.split_at_checked(length).ok_or(HmacError::Absent)?;
        if trailer.is_empty() {
            return Err(HmacError::Absent);
        }
        let (head, proof) = trailer.split_first_chunk::<HEAD_BYTES>().ok_or(HmacError::Kind)?;
        let [kind, id, 0, 0, number @ ..] = *head else { return Err(HmacError::Kind) };
        if kind != TYPE_SHA256 || proof.len() != HMAC_BYTES {
            return Err(HmacError::Kind);
        }
        if id != self.key.id {
            return Err(HmacError::KeyId { id, own: self.key.id });
        }
        let number = u64::from_be_bytes(number);
        if seconds_apart(number, number_at(wall)) > self.window.as_secs() {
            return Err(HmacError::Stale { window: self.window });
        }
        let signed = bytes.get(..length + HEAD_BYTES).unwrap_or_default();
        self.key.sign(source, signed).verify_truncated_left(proof).map_err(|_| HmacError::Hmac)?;
        self.is_new(source, number).then_some(advert).ok_or(HmacError::Replayed)
    }

    /// Only what was believed so far is remembered, so that forgers fill nothing.
    fn is_new(&mut self, source: IpAddr, number: u64) -> bool {
        if self.heard.get(&source).is_some_and(|last| number <= *last) {
            return false;
        }
        if self.heard.len() >= SENDERS_MAX && !self.heard.contains_key(&source) {
            let oldest = self.heard.iter().min_by_key(|(_, number)| **number).map(|(source, _)| *source);
            oldest.map(|oldest| self.heard.remove(&oldest));
        }
        self.heard.insert(source, number);
        true
    }
}

/// Seconds, their 65536th parts, and a counter that is zero.
fn number_at(wall: WallTime) -> u64 {
    let micros = wall.as_micros();
    let (seconds, rest) = (micros / 1_000_000, micros % 1_000_000);
    seconds << 32 | ((rest << 16) / 1_000_000) << 16
}

fn seconds_apart(one: u64, other: u64) -> u64 {
    (one >> 32).abs_diff(other >> 32)
}

/// How long the advert says that it is: its header, its addresses, and version 2's authentication.
fn advert_bytes(bytes: &[u8], source: IpAddr) -> Option<usize> {
    let (first, count) = (*bytes.first()?, usize::from(*bytes.get(3)?));
    let address_bytes = if source.is_ipv4() { 4 } else { 16 };
    let authentication_bytes = if first >> 4 == 2 { 8 } else { 0 };
    Some(8 + count * address_bytes + authentication_bytes)
}
