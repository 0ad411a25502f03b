//! RTP and RTCP on the wire, as far as a relay and a phone need them (RFC 3550, RFC 5761, RFC 4733).

/// Bytes of an RTP header without contributing sources and extension (RFC 3550, section 5.1).
pub const HEADER_BYTES_MIN: usize = 12;

/// Bytes of the shortest RTCP packet, a header and nothing else (RFC 3550, section 6.4).
pub const RTCP_BYTES_MIN: usize = 4;

/// The header of an RTP packet (RFC 3550, section 5.1). The version is 2, else it is no RTP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The marker bit: for audio, the first packet of a talk spurt.
    pub marker: bool,
    /// Payload type, 0 to 127.
    pub payload: u8,
    pub sequence: u16,
    /// Sampling instant, in units of the codec's clock.
    pub timestamp: u32,
    pub ssrc: u32,
    /// Bytes of the whole header, with contributing sources and extension: where the payload begins.
    pub header_bytes: usize,
    /// Bytes of padding at the end of the packet, which are no payload.
    pub padding_bytes: usize,
}

impl Header {
    /// The header of `packet`, or none when it is no whole RTP packet of version 2.
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let (fixed, rest) = packet.split_first_chunk::<HEADER_BYTES_MIN>()?;
        let [first, second, s0, s1, t0, t1, t2, t3, i0, i1, i2, i3] = *fixed;
        if first >> 6 != 2 {
            return None;
        }
        let sources_bytes = usize::from(first & 0x0f) * 4;
        let extension_bytes = if first & 0x10 == 0 {
            0
        } else {
            // A profile's number and the count of 32-bit words that follow (RFC 3550, section 5.3.1).
            let [_, _, w0, w1] = *rest.get(sources_bytes..)?.first_chunk::<4>()?;
            4 + usize::from(u16::from_be_bytes([w0, w1])) * 4
        };
        let header_bytes = HEADER_BYTES_MIN + sources_bytes + extension_bytes;
        let padding_bytes = if first & 0x20 == 0 { 0 } else { usize::from(*packet.last()?).max(1) };
        if header_bytes + padding_bytes > packet.len() {
            return None;
        }
        Some(Self {
            marker: second & 0x80 != 0,
            payload: second & 0x7f,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([i0, i1, i2, i3]),
            header_bytes,
            padding_bytes,
        })
    }

    /// The payload of the packet that this header was parsed from, without its padding.
    pub fn payload_of<'a>(&self, packet: &'a [u8]) -> &'a [u8] {
        let end = packet.len().saturating_sub(self.padding_bytes);
        packet.get(self.header_bytes..end).unwrap_or_default()
    }
}

/// Writes `ssrc` into an RTP packet. A packet without a whole header is left as it is.
pub fn set_ssrc(packet: &mut [u8], ssrc: u32) {
    if let Some(place) = packet.get_mut(8..HEADER_BYTES_MIN) {
        place.copy_from_slice(&ssrc.to_be_bytes());
    }
}

/// Whether `packet` is RTCP: version 2, a packet type that RFC 5761, section 4 sets apart from RTP's payload types, and
/// a first length that the packet holds.
pub fn is_rtcp(packet: &[u8]) -> bool {
    let Some(&[first, kind, l0, l1]) = packet.first_chunk::<RTCP_BYTES_MIN>() else {
        return false;
    };
    let length_bytes = (usize::from(u16::from_be_bytes([l0, l1])) + 1) * 4;
    first >> 6 == 2 && (192..=223).contains(&kind) && length_bytes <= packet.len()
}

/// A telephone event: the first one of a payload of RFC 4733, section 2.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TelephoneEvent {
    /// 0 to 15 are the keys of a telephone (RFC 4733, section 3.2).
    pub event: u8,
    /// The last packets of an event say so; they are sent three times over.
    pub end: bool,
    /// Power in dBm0 below zero, 0 to 63.
    pub volume: u8,
    /// How long the event has lasted, in units of the codec's clock.
    pub duration: u16,
}

impl TelephoneEvent {
    /// The event in an RTP payload (not a whole packet), or none when it is too short.
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let [event, flags, d0, d1] = *payload.first_chunk::<4>()?;
        Some(Self { event, end: flags & 0x80 != 0, volume: flags & 0x3f, duration: u16::from_be_bytes([d0, d1]) })
    }

    /// The key that was pressed: a digit, `*`, `#` or `A` to `D`.
    pub fn key(&self) -> Option<char> {
        const KEYS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '*', '#', 'A', 'B', 'C', 'D'];
        KEYS.get(usize::from(self.event)).copied()
    }
}

#[cfg(test)]
mod tests;
