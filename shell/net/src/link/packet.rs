//! The datagrams of a link: their layout, the Noise handshake, and the two that are only signed.
//!
//! The first byte is the version (upper half) and the kind. Numbers are in network order.
//!
//! | kind | rest |
//! | --- | --- |
//! | 1 initiation | initiator's session id (4), first Noise message (48) |
//! | 2 answer | initiator's session id (4), second Noise message (52) with the responder's session id inside |
//! | 3 data | receiver's session id (4), packet number (8), ciphertext |
//! | 4 hint | random bytes (16), HMAC-SHA256 (32) |
//! | 5 farewell | incarnation (8), HMAC-SHA256 (32) |

use base::Incarnation;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use snow::{Builder, HandshakeState, StatelessTransportState};

use crate::key::PairKey;

const PATTERN: &str = "Noise_NNpsk0_25519_ChaChaPoly_BLAKE2s";

const INITIATION: u8 = 0x11;
const ANSWER: u8 = 0x12;
const DATA: u8 = 0x13;
const HINT: u8 = 0x14;
const FAREWELL: u8 = 0x15;

/// An X25519 public key and the tag of an empty payload.
const INITIATION_NOISE_BYTES: usize = 32 + 16;
/// The same with the responder's session id as payload.
const ANSWER_NOISE_BYTES: usize = 32 + 4 + 16;

/// The keys of a link, all derived from the pair's key.
#[derive(Clone)]
pub(super) struct Keys {
    noise: [u8; 32],
    hint: [u8; 32],
    farewell: [u8; 32],
}

impl Keys {
    pub fn new(key: &PairKey) -> Self {
        Self {
            noise: key.derive("link noise psk"),
            hint: key.derive("link hint"),
            farewell: key.derive("link farewell"),
        }
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(..)")
    }
}

/// A datagram taken apart; nothing in it has been verified.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Packet<'a> {
    Initiation { initiator_id: u32, noise: &'a [u8; INITIATION_NOISE_BYTES] },
    Answer { initiator_id: u32, noise: &'a [u8; ANSWER_NOISE_BYTES] },
    Data { receiver_id: u32, number: u64, cipher: &'a [u8] },
    Hint { challenge: [u8; 16], code: &'a [u8; 32] },
    Farewell { incarnation: Incarnation, code: &'a [u8; 32] },
}

impl<'a> Packet<'a> {
    pub fn parse(datagram: &'a [u8]) -> Option<Self> {
        let (kind, rest) = datagram.split_first()?;
        match *kind {
            INITIATION => {
                let (id, noise) = rest.split_first_chunk()?;
                Some(Self::Initiation { initiator_id: u32::from_be_bytes(*id), noise: noise.try_into().ok()? })
            }
            ANSWER => {
                let (id, noise) = rest.split_first_chunk()?;
                Some(Self::Answer { initiator_id: u32::from_be_bytes(*id), noise: noise.try_into().ok()? })
            }
            DATA => {
                let (id, rest) = rest.split_first_chunk()?;
                let (number, cipher) = rest.split_first_chunk()?;
                let number = u64::from_be_bytes(*number);
                Some(Self::Data { receiver_id: u32::from_be_bytes(*id), number, cipher })
            }
            HINT => {
                let (challenge, code) = rest.split_first_chunk()?;
                Some(Self::Hint { challenge: *challenge, code: code.try_into().ok()? })
            }
            FAREWELL => {
                let (incarnation, code) = rest.split_first_chunk()?;
                let incarnation = Incarnation(u64::from_be_bytes(*incarnation));
                Some(Self::Farewell { incarnation, code: code.try_into().ok()? })
            }
            _ => None,
        }
    }
}

/// The head of a data datagram; the packet number follows.
pub(super) fn data_head(receiver_id: u32) -> Vec<u8> {
    let mut head = Vec::with_capacity(1 + 4 + 8 + super::Link::PLAIN_BYTES_MAX + 16);
    head.push(DATA);
    head.extend(receiver_id.to_be_bytes());
    head
}

/// An initiator's handshake and its first datagram.
pub(super) fn initiate(keys: &Keys, initiator_id: u32) -> Result<(HandshakeState, Vec<u8>), snow::Error> {
    let prologue = prologue(initiator_id);
    let builder = Builder::new(PATTERN.parse()?).psk(0, &keys.noise)?.prologue(&prologue)?;
    let mut handshake = builder.build_initiator()?;
    let mut noise = [0; INITIATION_NOISE_BYTES];
    handshake.write_message(&[], &mut noise)?;
    let mut datagram = vec![INITIATION];
    datagram.extend(initiator_id.to_be_bytes());
    datagram.extend(noise);
    Ok((handshake, datagram))
}

/// A responder's whole handshake: the session's keys and the answer. Fails for a message made with another key,
/// before any costly computation.
pub(super) fn answer(
    keys: &Keys,
    initiator_id: u32,
    responder_id: u32,
    noise: &[u8; INITIATION_NOISE_BYTES],
) -> Result<(StatelessTransportState, Vec<u8>), snow::Error> {
    let prologue = prologue(initiator_id);
    let builder = Builder::new(PATTERN.parse()?).psk(0, &keys.noise)?.prologue(&prologue)?;
    let mut handshake = builder.build_responder()?;
    handshake.read_message(noise, &mut [0; INITIATION_NOISE_BYTES])?;
    let mut answer = [0; ANSWER_NOISE_BYTES];
    handshake.write_message(&responder_id.to_be_bytes(), &mut answer)?;
    let mut datagram = vec![ANSWER];
    datagram.extend(initiator_id.to_be_bytes());
    datagram.extend(answer);
    Ok((handshake.into_stateless_transport_mode()?, datagram))
}

/// The responder's session id, if the answer is authentic. A false answer leaves the handshake as it was.
pub(super) fn read_answer(handshake: &mut HandshakeState, noise: &[u8; ANSWER_NOISE_BYTES]) -> Option<u32> {
    let mut payload = [0; ANSWER_NOISE_BYTES];
    let length = handshake.read_message(noise, &mut payload).ok()?;
    payload.get(..length)?.try_into().ok().map(u32::from_be_bytes)
}

pub(super) fn hint(keys: &Keys, challenge: [u8; 16]) -> Vec<u8> {
    signed(&keys.hint, HINT, &challenge)
}

pub(super) fn is_hint_authentic(keys: &Keys, challenge: [u8; 16], code: &[u8; 32]) -> bool {
    is_authentic(&keys.hint, HINT, &challenge, code)
}

pub(super) fn farewell(keys: &Keys, incarnation: Incarnation) -> Vec<u8> {
    signed(&keys.farewell, FAREWELL, &incarnation.0.to_be_bytes())
}

pub(super) fn is_farewell_authentic(keys: &Keys, incarnation: Incarnation, code: &[u8; 32]) -> bool {
    is_authentic(&keys.farewell, FAREWELL, &incarnation.0.to_be_bytes(), code)
}

/// Both sides must agree on it before the first message: the session id is bound to the handshake this way.
fn prologue(initiator_id: u32) -> Vec<u8> {
    let mut prologue = b"tandem link 1".to_vec();
    prologue.extend(initiator_id.to_be_bytes());
    prologue
}

/// The code over kind and body; `None` never happens, since HMAC takes keys of any length.
fn code(key: &[u8; 32], kind: u8, body: &[u8]) -> Option<Hmac<Sha256>> {
    let mut code = Hmac::<Sha256>::new_from_slice(key).ok()?;
    code.update(&[kind]);
    code.update(body);
    Some(code)
}

fn signed(key: &[u8; 32], kind: u8, body: &[u8]) -> Vec<u8> {
    let mut datagram = vec![kind];
    datagram.extend(body);
    if let Some(code) = code(key, kind, body) {
        datagram.extend(code.finalize().into_bytes());
    }
    datagram
}

fn is_authentic(key: &[u8; 32], kind: u8, body: &[u8], expected: &[u8; 32]) -> bool {
    code(key, kind, body).is_some_and(|code| code.verify_slice(expected).is_ok())
}
