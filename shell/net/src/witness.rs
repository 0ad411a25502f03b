//! The datagrams between a pair and its witness: signed, not encrypted, since nothing in them is secret. That none is
//! replayed is seen to by what they carry (`node::cluster::witness`).
//!
//! | kind (1) | pair (8) | body | HMAC-SHA256 over all before it (32) |
//!
//! The kind's upper half is the version. The pair's number is derived from its key, so that a witness of many pairs
//! finds the right key without trying.

use std::fmt;

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::key::WitnessKey;

#[cfg(test)]
mod tests;

const ASK: u8 = 0x16;
const ANSWER: u8 = 0x17;

const CODE_BYTES: usize = 32;
const PAIR_BYTES: usize = 8;

/// The longest datagram; longer ones are none of this protocol.
pub const DATAGRAM_BYTES_MAX: usize = 512;

/// The UDP port that a witness listens on unless it is told otherwise.
pub const PORT_DEFAULT: u16 = 7710;

/// A pair's number among those of one witness.
pub type PairNumber = [u8; PAIR_BYTES];

/// Signs and verifies what one pair and its witness say to each other.
#[derive(Clone)]
pub struct Seal {
    pair: PairNumber,
    ask: [u8; 32],
    answer: [u8; 32],
}

impl Seal {
    pub fn new(key: &WitnessKey) -> Self {
        let [p0, p1, p2, p3, p4, p5, p6, p7, ..] = key.derive("witness pair");
        let pair = [p0, p1, p2, p3, p4, p5, p6, p7];
        // A key for each direction: nobody is answered with his own words.
        Self { pair, ask: key.derive("witness ask"), answer: key.derive("witness answer") }
    }

    pub fn pair(&self) -> PairNumber {
        self.pair
    }

    pub fn seal_ask(&self, body: &[u8]) -> Vec<u8> {
        self.seal(ASK, &self.ask, body)
    }

    pub fn seal_answer(&self, body: &[u8]) -> Vec<u8> {
        self.seal(ANSWER, &self.answer, body)
    }

    /// The body of an authentic ask of this pair.
    pub fn open_ask<'a>(&self, datagram: &'a [u8]) -> Option<&'a [u8]> {
        self.open(ASK, &self.ask, datagram)
    }

    /// The body of an authentic answer to this pair.
    pub fn open_answer<'a>(&self, datagram: &'a [u8]) -> Option<&'a [u8]> {
        self.open(ANSWER, &self.answer, datagram)
    }

    fn seal(&self, kind: u8, key: &[u8; 32], body: &[u8]) -> Vec<u8> {
        let mut datagram = Vec::with_capacity(1 + PAIR_BYTES + body.len() + CODE_BYTES);
        datagram.push(kind);
        datagram.extend(self.pair);
        datagram.extend(body);
        if let Some(code) = code(key, &datagram) {
            datagram.extend(code.finalize().into_bytes());
        }
        datagram
    }

    fn open<'a>(&self, kind: u8, key: &[u8; 32], datagram: &'a [u8]) -> Option<&'a [u8]> {
        let (said, expected) = datagram.split_last_chunk::<CODE_BYTES>()?;
        let (said_kind, rest) = said.split_first()?;
        let (pair, body) = rest.split_first_chunk::<PAIR_BYTES>()?;
        let fits = *said_kind == kind && *pair == self.pair && datagram.len() <= DATAGRAM_BYTES_MAX;
        (fits && code(key, said)?.verify_slice(expected).is_ok()).then_some(body)
    }
}

/// Whose ask a datagram claims to be; nothing in it has been verified.
pub fn pair_of_ask(datagram: &[u8]) -> Option<PairNumber> {
    let (kind, rest) = datagram.split_first()?;
    let pair = rest.first_chunk::<PAIR_BYTES>()?;
    (*kind == ASK).then_some(*pair)
}

/// `None` never happens, since HMAC takes keys of any length.
fn code(key: &[u8; 32], said: &[u8]) -> Option<Hmac<Sha256>> {
    let mut code = Hmac::<Sha256>::new_from_slice(key).ok()?;
    code.update(said);
    Some(code)
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal(..)")
    }
}
