//! Every VRRP packet on a host's cable, in both directions, with the kernel's times, read without the product's code.

use std::io::IoSliceMut;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use socket2::{Domain, Protocol, Socket, Type};
use tandem_lab::LabError;
use tandem_lab::netns::Host;

/// Unlike one protocol, all of them show what leaves, too (packet(7)).
const ETHERTYPE_ALL: u16 = 0x0003;

const VRRP: u8 = 112;
const PACKET_BYTES: usize = 2_048;
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// One packet of the protocol.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Wall clock.
    pub at_us: u64,
    pub source: Ipv4Addr,
    pub destination: Ipv4Addr,
    pub ttl: u8,
    pub bytes: Vec<u8>,
}

impl Packet {
    pub fn priority(&self) -> u8 {
        self.bytes[2]
    }

    /// The one's complement sum (RFC 1071), which is all ones for a sound packet; with the pseudo-header or without.
    pub fn sum(&self, pseudo_header: bool) -> u16 {
        let mut bytes = self.bytes.clone();
        if pseudo_header {
            bytes.extend(self.source.octets());
            bytes.extend(self.destination.octets());
            bytes.extend([0, VRRP]);
            bytes.extend((self.bytes.len() as u16).to_be_bytes());
        }
        assert_eq!(bytes.len() % 2, 0);
        let words = bytes.chunks(2).map(|pair| u64::from(pair[0]) * 256 + u64::from(pair[1]));
        (1..=4).fold(words.sum::<u64>(), |sum, _| (sum & 0xffff) + (sum >> 16)) as u16
    }
}

/// Listens until it is dropped.
pub struct Adverts {
    heard: Arc<Mutex<Vec<Packet>>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Adverts {
    pub fn start(host: &Host) -> Self {
        let failed = |source| LabError::Io { operation: "listening to an interface".into(), source };
        let socket = host.enter(|| open().map_err(failed)).expect("a packet socket");
        let (heard, ended) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (into, end) = (heard.clone(), ended.clone());
        let thread = std::thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                if let Some(packet) = receive(&socket) {
                    into.lock().expect("a list").push(packet);
                }
            }
        });
        Self { heard, ended, thread: Some(thread) }
    }

    /// Packets from there since then.
    pub fn of(&self, source: Ipv4Addr, from_us: u64) -> Vec<Packet> {
        let heard = self.heard.lock().expect("a list");
        heard.iter().filter(|packet| packet.source == source && packet.at_us >= from_us).cloned().collect()
    }
}

impl Drop for Adverts {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn open() -> std::io::Result<Socket> {
    let protocol = Protocol::from(i32::from(ETHERTYPE_ALL.to_be()));
    let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(protocol))?;
    socket.set_read_timeout(Some(LOOK_EVERY))?;
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
    Ok(socket)
}

fn receive(socket: &Socket) -> Option<Packet> {
    let mut bytes = [0_u8; PACKET_BYTES];
    let mut control = nix::cmsg_space!(TimeSpec);
    let (length, at_us) = {
        let mut slices = [IoSliceMut::new(&mut bytes)];
        let message = recvmsg::<()>(socket.as_raw_fd(), &mut slices, Some(&mut control), MsgFlags::empty()).ok()?;
        let at_us = message.cmsgs().ok()?.find_map(|control| match control {
            ControlMessageOwned::ScmTimestampns(time) => {
                Some((time.tv_sec() * 1_000_000 + time.tv_nsec() / 1000) as u64)
            }
            _ => None,
        })?;
        (message.bytes, at_us)
    };
    packet(bytes.get(..length)?, at_us)
}

fn packet(bytes: &[u8], at_us: u64) -> Option<Packet> {
    if bytes.first()? >> 4 != 4 || *bytes.get(9)? != VRRP {
        return None;
    }
    let address = |at: usize| Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes.get(at..at + 4)?).ok()?));
    let total = usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]));
    let header_bytes = usize::from(bytes.first()? & 0x0f) * 4;
    let payload = bytes.get(header_bytes..total)?.to_vec();
    Some(Packet { at_us, source: address(12)?, destination: address(16)?, ttl: *bytes.get(8)?, bytes: payload })
}

#[test]
fn sums_are_as_a_known_packet_has_them() {
    // What keepalived 2.2.7 sent, with the pseudo-header in its checksum.
    let bytes = b"\x31\x0a\x32\x01\x00\x19\xa7\x2f\x0a\x4d\x00\x64".to_vec();
    let (source, destination) = ([10, 77, 0, 31].into(), [224, 0, 0, 18].into());
    let packet = Packet { at_us: 0, source, destination, ttl: 255, bytes };
    assert_eq!(packet.sum(true), 0xffff);
    assert_ne!(packet.sum(false), 0xffff);
}
