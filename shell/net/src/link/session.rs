//! One session of a link: its two keys, its send counter and what it has already received.

use snow::StatelessTransportState;

/// How far behind the newest packet one may arrive and still be taken. Older ones are dropped as replays: on a LAN
/// nothing is overtaken by a thousand packets.
pub(super) const WINDOW_BITS: u64 = 1024;

/// One word more than the window, so that moving forward never clears a bit that is still inside it (RFC 6479).
const WORDS: usize = WINDOW_BITS as usize / 64 + 1;

/// After so many packets in either direction the initiator makes a new session. Far below what ChaCha20-Poly1305
/// allows; the session goes on until then.
pub(super) const PACKETS_WORN: u64 = 1 << 32;

/// A counter is never used up to its end, where Noise forbids it. Sending stops here, though it cannot be reached.
const PACKETS_MAX: u64 = 1 << 60;

/// The authentication tag of ChaCha20-Poly1305.
pub(super) const TAG_BYTES: usize = 16;

/// Which packets have been received, by their numbers (RFC 6479).
#[derive(Debug, Default)]
pub(super) struct Window {
    /// One more than the greatest number received.
    next: u64,
    words: [u64; WORDS],
}

impl Window {
    /// Whether a packet with this number is new.
    pub fn is_new(&self, number: u64) -> bool {
        if number >= self.next {
            return true;
        }
        if self.next - number > WINDOW_BITS {
            return false;
        }
        let (word, bit) = place(number);
        self.words.get(word).is_some_and(|word| word & bit == 0)
    }

    /// Notes an authentic packet.
    pub fn insert(&mut self, number: u64) {
        if number >= self.next {
            let (from, to) = (self.next.div_ceil(64), number / 64);
            let cleared = (to + 1).saturating_sub(from).min(WORDS as u64);
            for step in 0..cleared {
                if let Some(word) = self.words.get_mut(((to - step) % WORDS as u64) as usize) {
                    *word = 0;
                }
            }
            self.next = number.saturating_add(1);
        }
        let (word, bit) = place(number);
        if let Some(word) = self.words.get_mut(word) {
            *word |= bit;
        }
    }

    pub fn next(&self) -> u64 {
        self.next
    }
}

fn place(number: u64) -> (usize, u64) {
    ((number / 64 % WORDS as u64) as usize, 1 << (number % 64))
}

/// What became of a packet.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Opened {
    Plain(Vec<u8>),
    Replayed,
    Unauthentic,
}

#[derive(Debug)]
pub(super) struct Session {
    /// How the peer names this session in packets to us.
    pub local_id: u32,
    /// How we name it in packets to the peer.
    pub remote_id: u32,
    transport: StatelessTransportState,
    /// How many packets have been sent; the number of the next one.
    pub sent: u64,
    window: Window,
}

impl Session {
    pub fn new(local_id: u32, remote_id: u32, transport: StatelessTransportState) -> Self {
        Self { local_id, remote_id, transport, sent: 0, window: Window::default() }
    }

    /// Encrypts `plain` behind `head` and the packet's number.
    pub fn seal(&mut self, mut head: Vec<u8>, plain: &[u8]) -> Option<Vec<u8>> {
        if self.sent >= PACKETS_MAX {
            return None;
        }
        let number = self.sent;
        head.extend(number.to_be_bytes());
        let start = head.len();
        head.resize(start + plain.len() + TAG_BYTES, 0);
        let written = self.transport.write_message(number, plain, head.get_mut(start..)?).ok()?;
        self.sent += 1;
        head.truncate(start + written);
        Some(head)
    }

    pub fn open(&mut self, number: u64, cipher: &[u8]) -> Opened {
        if !self.window.is_new(number) {
            return Opened::Replayed;
        }
        let mut plain = vec![0; cipher.len()];
        match self.transport.read_message(number, cipher, &mut plain) {
            Ok(length) => {
                self.window.insert(number);
                plain.truncate(length);
                Opened::Plain(plain)
            }
            Err(_) => Opened::Unauthentic,
        }
    }

    /// Whether it is time for new keys.
    pub fn is_worn(&self) -> bool {
        self.sent >= PACKETS_WORN || self.window.next() >= PACKETS_WORN
    }
}
