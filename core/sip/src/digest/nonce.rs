//! Nonces that need no memory: the time they were made, signed with the pair's secret. Either node can check what the
//! other one made.

use std::fmt;
use std::time::Duration;

use base::ClusterTime;
use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::{equal_in_constant_time, hex};

/// How long a nonce is good: as long as a phone and its user need to answer, short enough to make a copied answer
/// worthless. An older one is answered with `stale=true`, and the phone tries again by itself.
pub const NONCE_LIFETIME: Duration = Duration::from_secs(60);

/// How far ahead of our own cluster time a nonce may be: the other node made it, and the clocks differ a little at a
/// takeover. One further ahead is forged.
pub const NONCE_AHEAD_MAX: Duration = Duration::from_secs(5);

/// Hexadecimal digits of the time, in microseconds.
const TIME_DIGITS: usize = 16;

/// Bytes of the signature that are sent: 128 bits cannot be guessed within the lifetime.
const SIGNATURE_BYTES: usize = 16;

/// Makes and checks nonces. The secret never shows in Debug.
#[derive(Clone, PartialEq)]
pub struct Nonces {
    pub secret: [u8; 32],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    Fresh,
    /// We made it, but too long ago.
    Stale,
    /// We never made it.
    Forged,
}

impl Nonces {
    /// 48 hexadecimal digits: the time, then its signature.
    pub fn make(&self, now: ClusterTime) -> String {
        format!("{:016x}{}", now.as_micros(), self.signature(now).unwrap_or_default())
    }

    pub fn check(&self, nonce: &str, now: ClusterTime) -> Freshness {
        let Some((time, signature)) = nonce.split_at_checked(TIME_DIGITS) else { return Freshness::Forged };
        // Rust's own parser takes a sign, which we never write.
        let Some(micros) = u64::from_str_radix(time, 16).ok().filter(|_| !time.starts_with('+')) else {
            return Freshness::Forged;
        };
        let made = ClusterTime(micros);
        let ours = self.signature(made);
        let signed = ours.is_some_and(|ours| equal_in_constant_time(ours.as_bytes(), signature.as_bytes()));
        if !signed || made.since(now) > NONCE_AHEAD_MAX {
            Freshness::Forged
        } else if now.since(made) > NONCE_LIFETIME {
            Freshness::Stale
        } else {
            Freshness::Fresh
        }
    }

    /// Never `None`, because HMAC takes a key of any length.
    fn signature(&self, made: ClusterTime) -> Option<String> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).ok()?;
        mac.update(b"tandem sip nonce");
        mac.update(&made.as_micros().to_be_bytes());
        let signature = mac.finalize().into_bytes();
        signature.get(..SIGNATURE_BYTES).map(hex)
    }
}

impl fmt::Debug for Nonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nonces")
    }
}

#[cfg(test)]
mod tests;
