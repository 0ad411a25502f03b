//! Makes damaged inputs out of good ones, the same from the same seed.

#[cfg(test)]
mod tests;

/// Numbers at which decoders change their minds: ends of ranges, and lengths that are longer than anything.
const NUMBERS: &[u64] = &[
    0,
    1,
    0x17,
    0x18,
    0x7f,
    0x80,
    0xff,
    0x100,
    0x7fff,
    0x8000,
    0xffff,
    0x1_0000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    0x1_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    0xffff_ffff_ffff_fffe,
    0xffff_ffff_ffff_ffff,
];

/// The same in digits, for formats that are text.
const DIGITS: &[&str] = &[
    "",
    "0",
    "-1",
    "00000000001",
    "99",
    "255",
    "256",
    "65535",
    "65536",
    "2147483648",
    "4294967295",
    "4294967296",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999999",
    "1e9",
    "0x10",
];

/// The most changes to one input; most inputs get few, so that what follows the damage is still read.
const CHANGES_MAX: u64 = 6;

/// The longest piece that is copied or removed at once.
const PIECE_BYTES_MAX: u64 = 64;

/// A source of damage.
#[derive(Clone, Debug)]
pub struct Mutator {
    state: u64,
}

impl Mutator {
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next number of splitmix64, whose only duty here is to be different every time.
    pub fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.number() % bound }
    }

    /// One of `items`, which are not empty.
    pub fn one_of<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }

    /// One of `items`, which are not empty, to be changed.
    pub fn one_of_mut<'a, T>(&mut self, items: &'a mut [T]) -> &'a mut T {
        let place = self.below(items.len() as u64) as usize;
        &mut items[place]
    }

    /// An input of `corpus` with some damage, or now and then unharmed, or no input at all but noise. `pieces` are what
    /// means something in its format.
    pub fn input(&mut self, corpus: &[Vec<u8>], pieces: &[&[u8]]) -> Vec<u8> {
        if corpus.is_empty() || self.below(64) == 0 {
            let length = self.below(200);
            return (0..length).map(|_| self.number() as u8).collect();
        }
        let mut bytes = self.one_of(corpus).clone();
        let changes = self.below(CHANGES_MAX + 1);
        for _ in 0..changes {
            self.damage(&mut bytes, corpus, pieces);
        }
        bytes
    }

    /// One change to `bytes`.
    pub fn damage(&mut self, bytes: &mut Vec<u8>, corpus: &[Vec<u8>], pieces: &[&[u8]]) {
        let at = self.below(bytes.len() as u64 + 1) as usize;
        match self.below(10) {
            0 => self.flip_bit(bytes),
            1 => {
                let byte = self.number() as u8;
                if let Some(place) = bytes.get_mut(at) {
                    *place = byte;
                }
            }
            2 => self.number_over(bytes, at),
            3 => drop(bytes.drain(at..self.end_of_piece(bytes, at))),
            4 => {
                let piece = bytes[at..self.end_of_piece(bytes, at)].to_vec();
                let to = self.below(bytes.len() as u64 + 1) as usize;
                bytes.splice(to..to, piece);
            }
            5 => bytes.truncate(at),
            6 => {
                let other = self.one_of(corpus).clone();
                let from = self.below(other.len() as u64 + 1) as usize;
                let until = self.end_of_piece(&other, from);
                let replaced = self.end_of_piece(bytes, at);
                bytes.splice(at..replaced, other[from..until].iter().copied());
            }
            7 => self.digits_over(bytes, at),
            8 => {
                let repeats = 1 + self.below(200) as usize;
                let byte = bytes.get(at).copied().unwrap_or(b'A');
                bytes.splice(at..at, std::iter::repeat_n(byte, repeats));
            }
            _ if pieces.is_empty() => self.flip_bit(bytes),
            _ => {
                let piece = self.one_of(pieces).to_vec();
                let replaced = if self.below(2) == 0 { at } else { (at + piece.len()).min(bytes.len()) };
                bytes.splice(at..replaced, piece);
            }
        }
    }

    fn flip_bit(&mut self, bytes: &mut [u8]) {
        let at = self.below(bytes.len() as u64) as usize;
        let bit = 1 << self.below(8);
        if let Some(place) = bytes.get_mut(at) {
            *place ^= bit;
        }
    }

    fn end_of_piece(&mut self, bytes: &[u8], at: usize) -> usize {
        (at + 1 + self.below(PIECE_BYTES_MAX) as usize).min(bytes.len())
    }

    /// Writes one of `NUMBERS` in 1, 2, 4 or 8 bytes.
    fn number_over(&mut self, bytes: &mut [u8], at: usize) {
        let number = self.one_of(NUMBERS).to_be_bytes();
        let width = 1 << self.below(4);
        for (place, byte) in bytes.iter_mut().skip(at).zip(&number[8 - width..]) {
            *place = *byte;
        }
    }

    /// Puts one of `DIGITS` in place of the first number in text at or after `at`.
    fn digits_over(&mut self, bytes: &mut Vec<u8>, at: usize) {
        let Some(from) = bytes.iter().skip(at).position(u8::is_ascii_digit).map(|offset| at + offset) else { return };
        let length = bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let digits = self.one_of(DIGITS).bytes();
        bytes.splice(from..from + length, digits);
    }
}
