//! The datagram's layout: a fixed head in network byte order, then a piece of the stream.

use base::Incarnation;

use super::DATAGRAM_BYTES_MAX;

/// The first byte, so that a later layout can be told apart.
const VERSION: u8 = 1;

/// Version, generation, two incarnations, then five numbers.
const HEAD_BYTES: usize = 1 + 4 + 2 * 8 + 5 * 8;

/// The most bytes of the stream in one datagram.
pub(super) const PAYLOAD_BYTES_MAX: usize = DATAGRAM_BYTES_MAX - HEAD_BYTES;

/// One datagram. Every one acknowledges; one with a sequence carries data, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment<'a> {
    pub generation: u32,
    pub from: Incarnation,
    pub to: Incarnation,
    /// From 1; 0 when there is no payload.
    pub sequence: u64,
    /// The sender's own clock in microseconds, which comes back as `echo` and means nothing to the receiver.
    pub sent: u64,
    /// `sent` of what this acknowledges, when it acknowledges something new.
    pub echo: Option<u64>,
    /// The sequence that the sender of this expects next: all before it have arrived.
    pub expected: u64,
    /// Bit `i`: sequence `expected + 1 + i` has arrived, too.
    pub received: u64,
    pub payload: &'a [u8],
}

impl<'a> Segment<'a> {
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + self.payload.len());
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.generation.to_be_bytes());
        // An echo is shifted by one, so that zero can say that there is none.
        let echo = self.echo.map_or(0, |echo| echo.saturating_add(1));
        let numbers = [self.from.0, self.to.0, self.sequence, self.sent, echo, self.expected, self.received];
        for number in numbers {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        bytes.extend_from_slice(self.payload);
        bytes
    }

    /// `None` for what no sender of this version makes.
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        if bytes.len() > DATAGRAM_BYTES_MAX {
            return None;
        }
        let (version, rest) = bytes.split_first()?;
        let (generation, mut rest) = rest.split_first_chunk::<4>()?;
        let mut numbers = [0; 7];
        for number in &mut numbers {
            let (chunk, after) = rest.split_first_chunk::<8>()?;
            *number = u64::from_be_bytes(*chunk);
            rest = after;
        }
        let [from, to, sequence, sent, echo, expected, received] = numbers;
        let has_data = sequence != 0;
        if *version != VERSION || has_data == rest.is_empty() || expected == 0 {
            return None;
        }
        Some(Self {
            generation: u32::from_be_bytes(*generation),
            from: Incarnation(from),
            to: Incarnation(to),
            sequence,
            sent,
            echo: echo.checked_sub(1),
            expected,
            received,
            payload: rest,
        })
    }
}
