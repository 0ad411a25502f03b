//! The table of media ports: one packet in, where it goes out. Owns what was learned about each port's remote party.
//!
//! A relay is driven by a thread of the shell with what its sockets receive. Packets are passed on untouched: same
//! SSRC, sequence and timestamp, so that the audio goes on across a takeover (design, section 6).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use base::LocalTime;
use minicbor::{Decode, Encode};

use crate::{address, rtp};

mod channel;

use channel::Channel;

/// How long a learned address must be silent before another one may take its place. Long enough that no pause between
/// two talk spurts of a phone that sends nothing in silence hands its call to a stranger at once, short enough that a
/// phone whose NAT gave it a new port is heard again before its user hangs up.
pub const RELEARN_AFTER: Duration = Duration::from_secs(2);

/// Where a remote party is: as its SDP said it, or as it was learned earlier. A host of `0.0.0.0` or `::`, or port 0,
/// means that nothing may be sent there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Remote {
    #[n(0)]
    #[cbor(with = "address::socket")]
    pub rtp: SocketAddr,
    #[n(1)]
    #[cbor(with = "address::socket")]
    pub rtcp: SocketAddr,
}

/// One leg's pair of ports: RTP on the even one, RTCP on the odd one above it. Part of the replicated call.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Port {
    /// The even local port, which names the pair.
    #[n(0)]
    pub port: u16,
    /// The remote party as signalled, or as learned earlier on either node. Change it only when the remote party
    /// signals another address than before, or to what the relay reported as learned.
    #[n(1)]
    pub remote: Option<Remote>,
    /// Learn the remote party from where its packets come (symmetric RTP). Otherwise only the signalled host is heard.
    #[n(2)]
    pub symmetric: bool,
    /// The even local port out of which this one's packets leave; the port itself means Echo; none means that they are
    /// dropped, as when there is no other leg yet.
    #[n(3)]
    pub forward_to: Option<u16>,
    /// The SSRC of packets that Echo sends back. Without it they would collide with the sender's own (RFC 3550,
    /// section 8.2).
    #[n(4)]
    pub echo_ssrc: Option<u32>,
    /// Which of the pair's addresses the port is on; none means the first one, as where there is only one.
    #[n(5)]
    pub local: Option<IpAddr>,
}

/// What to do with a packet: send it from `local_port` (odd for RTCP) to `destination`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    pub local_port: u16,
    pub destination: SocketAddr,
}

/// A remote party was found at another address than the node knows. What is none did not change.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Learned {
    /// The even local port.
    #[n(0)]
    pub port: u16,
    #[n(1)]
    #[cbor(with = "address::optional_socket", has_nil)]
    pub rtp: Option<SocketAddr>,
    #[n(2)]
    #[cbor(with = "address::optional_socket", has_nil)]
    pub rtcp: Option<SocketAddr>,
}

/// Packets that went no further, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Neither RTP nor RTCP, or RTP on the RTCP port.
    pub not_rtp: u64,
    /// From an address that is not the remote party's.
    pub stranger: u64,
    /// The port forwards to none, or to one that is not open.
    pub not_forwarded: u64,
    /// The remote party's address is not known, or is one to which nothing may be sent.
    pub no_destination: u64,
    /// RTCP on an Echo port: the sender's own reports would tell it that its SSRC collides (RFC 3550, section 8.2).
    pub echo_rtcp: u64,
}

/// Counts of one port, RTP and RTCP together. They begin when the port is opened on this node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Packets that came to this port, dropped ones too.
    pub packets_in: u64,
    /// Packets that left by this port.
    pub packets_out: u64,
    /// Of those that came, how many went no further.
    pub dropped: Dropped,
    /// When the remote party's last RTP packet came.
    pub rtp_heard: Option<LocalTime>,
    /// When the remote party's last RTCP packet came.
    pub rtcp_heard: Option<LocalTime>,
}

/// The table. One per thread; ports that forward to each other are in the same one.
#[derive(Clone, Debug, PartialEq)]
pub struct Relay {
    /// For each pair of ports, its place in `slots`, or `VACANT`.
    places: Vec<u16>,
    slots: Vec<Slot>,
    /// Even ports with something learned that was not reported yet.
    changed: Vec<u16>,
}

/// Every even port of 16 bits has a place, so that a packet finds its port without a search.
const PLACES: usize = 1 << 15;
const VACANT: u16 = u16::MAX;

#[derive(Clone, Debug, PartialEq)]
struct Slot {
    port: Port,
    rtp: Channel,
    rtcp: Channel,
    statistics: Statistics,
    /// Whether the port is listed in `changed`.
    changed: bool,
}

impl Default for Relay {
    fn default() -> Self {
        Self::new()
    }
}

impl Relay {
    pub fn new() -> Self {
        Self { places: vec![VACANT; PLACES], slots: Vec::new(), changed: Vec::new() }
    }

    /// Opens a port. One that is open already is updated, so that opening twice is harmless.
    pub fn open(&mut self, port: Port) {
        if self.slot_mut(port.port).is_some() {
            return self.update(port);
        }
        let number = even(port.port);
        // There are no more slots than even ports, so that a place always fits and is never `VACANT`.
        let Ok(place) = u16::try_from(self.slots.len()) else { return };
        let slot = Slot {
            rtp: Channel::new(port.remote.map(|remote| remote.rtp)),
            rtcp: Channel::new(port.remote.map(|remote| remote.rtcp)),
            port: Port { port: number, ..port },
            statistics: Statistics::default(),
            changed: false,
        };
        if let Some(entry) = self.places.get_mut(usize::from(number / 2)) {
            *entry = place;
            self.slots.push(slot);
        }
    }

    /// Changes an open port. What was learned of a remote party stays, unless it is signalled at another address now.
    /// An unknown port is left alone.
    pub fn update(&mut self, port: Port) {
        let number = even(port.port);
        let Some(slot) = self.slot_mut(number) else { return };
        slot.rtp.signal(port.remote.map(|remote| remote.rtp));
        slot.rtcp.signal(port.remote.map(|remote| remote.rtcp));
        slot.port = Port { port: number, ..port };
    }

    /// Closes a port; its packets are dropped from now on. An unknown port is left alone.
    pub fn close(&mut self, port: u16) {
        let number = even(port);
        let Some(entry) = self.places.get_mut(usize::from(number / 2)) else { return };
        let place = std::mem::replace(entry, VACANT);
        if usize::from(place) >= self.slots.len() {
            return;
        }
        self.slots.swap_remove(usize::from(place));
        // The last slot has moved into the freed place.
        if let Some(moved) = self.slots.get(usize::from(place)).map(|slot| slot.port.port)
            && let Some(entry) = self.places.get_mut(usize::from(moved / 2))
        {
            *entry = place;
        }
    }

    /// The open ports, in no particular order.
    pub fn ports(&self) -> impl Iterator<Item = &Port> {
        self.slots.iter().map(|slot| &slot.port)
    }

    /// A packet from `source` came to `local_port`, which is odd for RTCP. Tells where it leaves, or none when it goes
    /// no further. Echo rewrites the SSRC in `packet`; otherwise its bytes stay as they are.
    pub fn handle(
        &mut self,
        now: LocalTime,
        local_port: u16,
        source: SocketAddr,
        packet: &mut [u8],
    ) -> Option<Forward> {
        let slot = self.slot_mut(local_port)?;
        slot.statistics.packets_in += 1;
        match self.route(now, local_port, source, packet) {
            Ok(forward) => {
                if let Some(out) = self.slot_mut(forward.local_port) {
                    out.statistics.packets_out += 1;
                }
                Some(forward)
            }
            Err(reason) => {
                if let Some(slot) = self.slot_mut(local_port) {
                    slot.statistics.dropped.count(reason);
                }
                None
            }
        }
    }

    /// This node serves from now on. Addresses that were replicated stay in use; one that this node learned in an
    /// earlier reign and has not heard for `RELEARN_AFTER` is forgotten, so that the remote party is learned from its
    /// first packet.
    pub fn taken_over(&mut self, now: LocalTime) {
        for slot in &mut self.slots {
            slot.rtp.taken_over(now);
            slot.rtcp.taken_over(now);
        }
    }

    /// What was learned since the last call, for the node to replicate. Costs nothing when nothing changed.
    pub fn learned(&mut self) -> Vec<Learned> {
        let mut reports = Vec::new();
        for port in std::mem::take(&mut self.changed) {
            let Some(slot) = self.slot_mut(port) else { continue };
            slot.changed = false;
            let learned = Learned { port, rtp: slot.rtp.report(), rtcp: slot.rtcp.report() };
            if learned.rtp.is_some() || learned.rtcp.is_some() {
                reports.push(learned);
            }
        }
        reports
    }

    /// The counts of a port, named by its even or odd number.
    pub fn statistics(&self, port: u16) -> Option<Statistics> {
        let slot = self.slot(port)?;
        Some(Statistics { rtp_heard: slot.rtp.heard(), rtcp_heard: slot.rtcp.heard(), ..slot.statistics })
    }

    /// Whether the pair of ports that `port` belongs to is open.
    pub fn is_open(&self, port: u16) -> bool {
        self.slot(port).is_some()
    }

    fn slot(&self, port: u16) -> Option<&Slot> {
        self.slots.get(usize::from(*self.places.get(usize::from(port / 2))?))
    }

    fn slot_mut(&mut self, port: u16) -> Option<&mut Slot> {
        self.slots.get_mut(usize::from(*self.places.get(usize::from(port / 2))?))
    }

    fn route(
        &mut self,
        now: LocalTime,
        local_port: u16,
        source: SocketAddr,
        packet: &mut [u8],
    ) -> Result<Forward, Reason> {
        let is_rtcp_port = !local_port.is_multiple_of(2);
        let is_rtcp = rtp::is_rtcp(packet);
        if !is_rtcp && (is_rtcp_port || rtp::Header::parse(packet).is_none()) {
            return Err(Reason::NotRtp);
        }
        let slot = self.slot_mut(local_port).ok_or(Reason::NotForwarded)?;
        slot.hear(now, is_rtcp_port, source)?;
        let number = slot.port.port;
        let (forward_to, echo_ssrc) = (slot.port.forward_to.map(even), slot.port.echo_ssrc);
        if slot.channel(is_rtcp_port).is_news() && !slot.changed {
            slot.changed = true;
            self.changed.push(number);
        }

        let out = forward_to.ok_or(Reason::NotForwarded)?;
        if out == number {
            if is_rtcp {
                return Err(Reason::EchoRtcp);
            }
            if let Some(ssrc) = echo_ssrc {
                rtp::set_ssrc(packet, ssrc);
            }
        }
        let out_slot = self.slot(out).ok_or(Reason::NotForwarded)?;
        let destination = out_slot.channel(is_rtcp_port).destination().ok_or(Reason::NoDestination)?;
        Ok(Forward { local_port: out + u16::from(is_rtcp_port), destination })
    }
}

impl Slot {
    fn channel(&self, is_rtcp: bool) -> &Channel {
        if is_rtcp { &self.rtcp } else { &self.rtp }
    }

    /// Takes note of a valid packet's source, or says why it is not the remote party's.
    fn hear(&mut self, now: LocalTime, is_rtcp: bool, source: SocketAddr) -> Result<(), Reason> {
        let channel = if is_rtcp { &mut self.rtcp } else { &mut self.rtp };
        let is_accepted = if self.port.symmetric { channel.learn(now, source) } else { channel.expect(now, source) };
        if is_accepted { Ok(()) } else { Err(Reason::Stranger) }
    }
}

/// Why a packet goes no further; each has its count in `Dropped`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    NotRtp,
    Stranger,
    NotForwarded,
    NoDestination,
    EchoRtcp,
}

impl Dropped {
    /// All packets that went no further.
    pub fn total(&self) -> u64 {
        self.not_rtp + self.stranger + self.not_forwarded + self.no_destination + self.echo_rtcp
    }

    fn count(&mut self, reason: Reason) {
        let count = match reason {
            Reason::NotRtp => &mut self.not_rtp,
            Reason::Stranger => &mut self.stranger,
            Reason::NotForwarded => &mut self.not_forwarded,
            Reason::NoDestination => &mut self.no_destination,
            Reason::EchoRtcp => &mut self.echo_rtcp,
        };
        *count += 1;
    }
}

/// The even port of a pair, which names it.
fn even(port: u16) -> u16 {
    port & !1
}

#[cfg(test)]
mod tests;
