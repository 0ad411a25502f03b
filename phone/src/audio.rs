//! Audio that tells whose it is: PCMU packets of 20 ms (RFC 3550, RFC 3551) whose payload carries a mark, and a
//! listener that checks what arrives. Silence is the longest gap between packets that are new.

/// One packet holds 160 samples of 8 kHz.
pub const PACKET_US: u64 = 20_000;
pub const PAYLOAD_BYTES: usize = 160;
const HEADER_BYTES: usize = 12;
const MAGIC: [u8; 4] = *b"TMRK";
/// Magic, call, phone, number, how late it was sent, checksum.
const MARK_BYTES: usize = 24;

/// Whose audio it is. Numbers are given by whoever runs the phones, the same for both phones of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    pub call: u32,
    pub phone: u32,
}

/// Makes one phone's audio for one call.
#[derive(Clone, Debug)]
pub struct Speaker {
    mark: Mark,
    ssrc: u32,
    sequence: u16,
    timestamp: u32,
    number: u32,
}

impl Speaker {
    /// SSRC and the first sequence number and timestamp follow from `seed` and the mark.
    pub fn new(mark: Mark, seed: u64) -> Self {
        let mut random = crate::random::Random::new(
            seed ^ (u64::from(mark.call) << 32) ^ u64::from(mark.phone).wrapping_mul(0x9e37),
        );
        Self {
            mark,
            ssrc: random.number() as u32,
            sequence: random.number() as u16,
            timestamp: random.number() as u32,
            number: 0,
        }
    }

    pub fn mark(&self) -> Mark {
        self.mark
    }

    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Packets made so far.
    pub fn sent(&self) -> u32 {
        self.number
    }

    /// The next packet of 20 ms, sent when it is due.
    pub fn next_packet(&mut self) -> [u8; HEADER_BYTES + PAYLOAD_BYTES] {
        self.late_packet(0)
    }

    /// The next packet of 20 ms, which says that it is sent so many microseconds after it was due.
    pub fn late_packet(&mut self, late_us: u64) -> [u8; HEADER_BYTES + PAYLOAD_BYTES] {
        let mut packet = [0; HEADER_BYTES + PAYLOAD_BYTES];
        let first = if self.number == 0 { 0x80 } else { 0 };
        let mark = write_mark(self.mark, self.number, u32::try_from(late_us).unwrap_or(u32::MAX));
        let header = [0x80, first].into_iter();
        let header = header.chain(self.sequence.to_be_bytes()).chain(self.timestamp.to_be_bytes());
        let bytes = header.chain(self.ssrc.to_be_bytes()).chain(mark.into_iter().cycle());
        for (place, byte) in packet.iter_mut().zip(bytes) {
            *place = byte;
        }
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(PAYLOAD_BYTES as u32);
        self.number = self.number.wrapping_add(1);
        packet
    }

    /// The time of packets that are not sent, as while on hold: the timestamp goes on, the sequence does not.
    pub fn skip(&mut self, packets: u32) {
        self.timestamp = self.timestamp.wrapping_add(packets.wrapping_mul(PAYLOAD_BYTES as u32));
    }
}

fn write_mark(mark: Mark, number: u32, late_us: u32) -> [u8; MARK_BYTES] {
    let mut bytes = [0; MARK_BYTES];
    let sum = checksum(mark, number, late_us);
    let content = MAGIC.into_iter().chain(mark.call.to_be_bytes()).chain(mark.phone.to_be_bytes());
    let content = content.chain(number.to_be_bytes()).chain(late_us.to_be_bytes()).chain(sum.to_be_bytes());
    for (place, byte) in bytes.iter_mut().zip(content) {
        *place = byte;
    }
    bytes
}

fn checksum(mark: Mark, number: u32, late_us: u32) -> u32 {
    let mixed = mark.call.wrapping_mul(0x9e37_79b1) ^ mark.phone.wrapping_mul(0x85eb_ca77).rotate_left(13);
    (mixed ^ late_us.wrapping_mul(0x165667b1).rotate_left(19) ^ number.wrapping_mul(0xc2b2_ae3d))
        .rotate_left(7)
        .wrapping_mul(0x27d4_eb2f)
        ^ 0x5bd1_e995
}

/// What one RTP packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    pub ssrc: u32,
    pub sequence: u16,
    pub timestamp: u32,
    /// `None` when the payload carries no whole mark.
    pub marked: Option<Marked>,
}

/// What a payload says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marked {
    pub mark: Mark,
    /// The how manieth packet of this audio.
    pub number: u32,
    /// How long after it was due its speaker sent it, in microseconds.
    pub late_us: u32,
}

/// Reads a PCMU packet. `None` when it is not one.
pub fn read_packet(bytes: &[u8]) -> Option<Packet> {
    let (header, payload) = bytes.split_at_checked(HEADER_BYTES)?;
    let word = |at: usize| header.get(at..at + 4).and_then(|word| word.try_into().ok()).map(u32::from_be_bytes);
    let first = word(0)?;
    if first >> 24 != 0x80 || (first >> 16) & 0x7f != 0 {
        return None;
    }
    Some(Packet { ssrc: word(8)?, sequence: first as u16, timestamp: word(4)?, marked: read_mark(payload) })
}

fn read_mark(payload: &[u8]) -> Option<Marked> {
    let mark = payload.get(..MARK_BYTES)?;
    // Every repetition must be the same, or the packet was not relayed as it was.
    if payload.len() != PAYLOAD_BYTES || !payload.chunks(MARK_BYTES).all(|chunk| mark.starts_with(chunk)) {
        return None;
    }
    let word = |at: usize| mark.get(at..at + 4).and_then(|word| word.try_into().ok()).map(u32::from_be_bytes);
    let (found, number, late_us) = (Mark { call: word(4)?, phone: word(8)? }, word(12)?, word(16)?);
    let is_whole = mark.starts_with(&MAGIC) && word(20)? == checksum(found, number, late_us);
    is_whole.then_some(Marked { mark: found, number, late_us })
}

/// What a listener makes of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The expected audio, later than all before.
    New,
    /// The expected audio, but one that was overtaken.
    Late,
    Duplicate,
    /// Audio of somebody else.
    Foreign(Mark),
    /// No RTP of ours.
    Noise,
}

/// One direction of one call, as it arrived within the current window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListenerReport {
    pub packets: u64,
    pub new: u64,
    pub late: u64,
    pub duplicates: u64,
    pub foreign: u64,
    pub noise: u64,
    pub ssrc_changes: u64,
    /// Expected packets that never came: holes in the numbers heard.
    pub lost: u64,
    /// Longest gap between two new packets, in microseconds; a gap that is still open counts. A gap belongs to the
    /// window in which it ends. What the speaker sent the second packet later than the first, as it says itself, is no
    /// silence of what lies between the two phones and does not count.
    pub silence_us: u64,
    /// When that gap began.
    pub silence_from_us: u64,
    pub last_new_us: Option<u64>,
}

/// Gaps from here on are noted one by one, in microseconds: more than a packet has failed to come.
pub const GAP_NOTED_US: u64 = 40_000;

/// Later ones are not noted any more; the longest is known all the same.
const GAPS_MAX: usize = 10_000;

/// One gap between two new packets, by the clock of who listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    pub from_us: u64,
    pub until_us: u64,
    /// What of it does not count, because the speaker sent the second packet later than the first.
    pub late_us: u64,
}

/// Checks the audio that arrives at one phone for one call.
#[derive(Clone, Debug)]
pub struct Listener {
    expected: Mark,
    highest: Option<u32>,
    /// The last 64 numbers below `highest` that were heard, to tell late packets from duplicates.
    seen: u64,
    ssrc: Option<u32>,
    last_new_us: Option<u64>,
    /// How late the speaker sent the packet that was heard last.
    last_late_us: u32,
    paused: bool,
    first_foreign: Option<Mark>,
    report: ListenerReport,
    gaps: Vec<Gap>,
    /// Foreign packets, noise and changes of the source in the windows before.
    past: Oddities,
}

/// What should never be heard, counted since the listener began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Oddities {
    pub foreign: u64,
    pub noise: u64,
    pub ssrc_changes: u64,
}

impl Listener {
    /// A listener that expects the audio of `expected`, from its first packet on.
    pub fn new(expected: Mark) -> Self {
        Self {
            expected,
            highest: None,
            seen: 0,
            ssrc: None,
            last_new_us: None,
            last_late_us: 0,
            paused: false,
            first_foreign: None,
            report: ListenerReport::default(),
            gaps: Vec::new(),
            past: Oddities::default(),
        }
    }

    pub fn expected(&self) -> Mark {
        self.expected
    }

    /// The first audio heard here that belongs to somebody else, since the beginning.
    pub fn first_foreign(&self) -> Option<Mark> {
        self.first_foreign
    }

    /// Takes one datagram that arrived at `now_us`.
    pub fn packet(&mut self, now_us: u64, bytes: &[u8]) -> Heard {
        self.report.packets += 1;
        let Some(packet) = read_packet(bytes) else {
            self.report.noise += 1;
            return Heard::Noise;
        };
        let Some(Marked { mark, number, late_us }) = packet.marked else {
            self.report.noise += 1;
            return Heard::Noise;
        };
        if mark != self.expected {
            self.report.foreign += 1;
            self.first_foreign.get_or_insert(mark);
            return Heard::Foreign(mark);
        }
        if self.ssrc.replace(packet.ssrc).is_some_and(|ssrc| ssrc != packet.ssrc) {
            self.report.ssrc_changes += 1;
        }
        self.number(now_us, number, late_us)
    }

    fn number(&mut self, now_us: u64, number: u32, late_us: u32) -> Heard {
        let Some(highest) = self.highest else {
            self.new_packet(now_us, number, late_us, 0);
            return Heard::New;
        };
        if number > highest {
            self.new_packet(now_us, number, late_us, number - highest);
            return Heard::New;
        }
        let behind = highest - number;
        let bit = if behind == 0 { None } else { 1_u64.checked_shl(behind - 1) };
        match bit {
            Some(bit) if self.seen & bit == 0 => {
                self.seen |= bit;
                self.report.late += 1;
                self.report.lost = self.report.lost.saturating_sub(1);
                Heard::Late
            }
            _ => {
                self.report.duplicates += 1;
                Heard::Duplicate
            }
        }
    }

    fn new_packet(&mut self, now_us: u64, number: u32, late_us: u32, step: u32) {
        if step > 0 {
            // The former highest becomes one of the seen.
            self.seen = self.seen.checked_shl(step).unwrap_or(0) | 1_u64.checked_shl(step - 1).unwrap_or(0);
            if !self.paused {
                self.report.lost += u64::from(step - 1);
            }
        }
        self.report.new += 1;
        let late_by_us = u64::from(late_us.saturating_sub(self.last_late_us));
        self.gap_until(now_us.saturating_sub(late_by_us));
        self.note_gap(now_us, late_by_us);
        self.highest = Some(number);
        self.last_new_us = Some(now_us);
        self.last_late_us = late_us;
    }

    fn gap_until(&mut self, now_us: u64) {
        let Some(last) = self.last_new_us.filter(|_| !self.paused) else { return };
        let gap = now_us.saturating_sub(last);
        if gap > self.report.silence_us {
            (self.report.silence_us, self.report.silence_from_us) = (gap, last);
        }
    }

    fn note_gap(&mut self, until_us: u64, late_us: u64) {
        let Some(from_us) = self.last_new_us.filter(|_| !self.paused) else { return };
        if until_us.saturating_sub(from_us) >= GAP_NOTED_US && self.gaps.len() < GAPS_MAX {
            self.gaps.push(Gap { from_us, until_us, late_us });
        }
    }

    /// The gaps of this window that were longer than two packets take, in their order.
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// From now on nothing is expected (hold): no gap is counted until [`Self::resume`].
    pub fn pause(&mut self, now_us: u64) {
        if !self.paused {
            self.gap_until(now_us);
            self.paused = true;
        }
    }

    /// Audio is expected again from `now_us` on, which begins a gap.
    pub fn resume(&mut self, now_us: u64) {
        if self.paused {
            self.paused = false;
            self.last_new_us = Some(now_us);
            self.last_late_us = 0;
        }
    }

    /// What should never have been heard, in all windows.
    pub fn oddities(&self) -> Oddities {
        Oddities {
            foreign: self.past.foreign + self.report.foreign,
            noise: self.past.noise + self.report.noise,
            ssrc_changes: self.past.ssrc_changes + self.report.ssrc_changes,
        }
    }

    /// Forgets counts and the longest gap, but neither whose audio is expected nor what was heard last.
    pub fn start_window(&mut self) {
        self.past = self.oddities();
        self.report = ListenerReport::default();
        self.gaps.clear();
    }

    /// The window so far.
    pub fn report(&self, now_us: u64) -> ListenerReport {
        let mut listener = self.clone();
        listener.gap_until(now_us);
        ListenerReport { last_new_us: self.last_new_us, ..listener.report }
    }
}

#[cfg(test)]
mod tests;
