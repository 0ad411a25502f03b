//! What arrives at a host's interface, with the kernel's arrival times: RTP as it comes to a phone's ear.

use std::io::IoSliceMut;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use socket2::{Domain, Protocol, Socket, Type};
use tandem_lab::LabError;
use tandem_lab::netns::Host;

const ETHERTYPE_IPV4: u16 = 0x0800;
const UDP: u8 = 17;
const UDP_HEADER_BYTES: usize = 8;
const RTP_HEADER_BYTES: usize = 12;

/// No packet of the lab is longer.
const PACKET_BYTES: usize = 2_048;

/// How often the end is looked for while nothing comes.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// One RTP packet with G.711 µ-law.
#[derive(Clone, Debug)]
pub struct Heard {
    /// Wall clock.
    pub at_us: u64,
    pub sequence: u16,
    pub payload: Vec<u8>,
}

/// Listens until it is dropped.
pub struct Capture {
    heard: Arc<Mutex<Vec<Heard>>>,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Capture {
    pub fn start(host: &Host) -> Self {
        let socket = host.enter(|| open().map_err(io("listening to an interface"))).expect("a packet socket");
        let (heard, ended) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (address, into, end) = (host.address, heard.clone(), ended.clone());
        let thread = std::thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                if let Some(packet) = receive(&socket, address) {
                    into.lock().expect("a list").push(packet);
                }
            }
        });
        Self { heard, ended, thread: Some(thread) }
    }

    /// RTP packets that came since then, each one once.
    pub fn since(&self, from_us: u64) -> Vec<Heard> {
        let heard = self.heard.lock().expect("a list");
        let mut packets: Vec<Heard> = heard.iter().filter(|heard| heard.at_us >= from_us).cloned().collect();
        packets.dedup_by_key(|packet| packet.sequence);
        packets
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The longest time without a packet from `from_us` until `to_us`, in milliseconds.
pub fn longest_gap_ms(packets: &[Heard], from_us: u64, to_us: u64) -> f64 {
    let mut last_us = from_us;
    let mut longest_us = 0;
    let times = packets.iter().map(|packet| packet.at_us).filter(|at_us| (from_us..to_us).contains(at_us));
    for at_us in times.chain([to_us]) {
        longest_us = longest_us.max(at_us.saturating_sub(last_us));
        last_us = at_us;
    }
    longest_us as f64 / 1000.0
}

/// Wall clock, which is what the kernel tells with each packet.
pub fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

fn io(operation: &str) -> impl FnOnce(std::io::Error) -> LabError {
    let operation = operation.to_owned();
    move |source| LabError::Io { operation, source }
}

fn open() -> std::io::Result<Socket> {
    let protocol = Protocol::from(i32::from(ETHERTYPE_IPV4.to_be()));
    let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(protocol))?;
    socket.set_read_timeout(Some(LOOK_EVERY))?;
    setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
    Ok(socket)
}

fn receive(socket: &Socket, address: Ipv4Addr) -> Option<Heard> {
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
    rtp(bytes.get(..length)?, address).map(|(sequence, payload)| Heard { at_us, sequence, payload })
}

/// Sequence number and payload of an IPv4 packet for this address that is RTP with µ-law.
fn rtp(packet: &[u8], address: Ipv4Addr) -> Option<(u16, Vec<u8>)> {
    let header_bytes = usize::from(packet.first()? & 0x0f) * 4;
    if *packet.get(9)? != UDP || packet.get(16..20)? != address.octets() {
        return None;
    }
    let payload = packet.get(header_bytes + UDP_HEADER_BYTES..)?;
    // Version 2, no padding, extension or source list, as all phones here send it; payload type 0, marker or not.
    if *payload.first()? != 0x80 || payload.get(1)? & 0x7f != 0 {
        return None;
    }
    let sequence = u16::from_be_bytes([*payload.get(2)?, *payload.get(3)?]);
    Some((sequence, payload.get(RTP_HEADER_BYTES..)?.to_vec()))
}

#[test]
fn gaps_are_found_at_both_ends_and_between() {
    let packet = |at_us| Heard { at_us, sequence: 0, payload: Vec::new() };
    let packets = [packet(10_000), packet(30_000), packet(90_000)];
    assert_eq!(longest_gap_ms(&packets, 0, 100_000), 60.0);
    assert_eq!(longest_gap_ms(&packets, 0, 190_000), 100.0);
    assert_eq!(longest_gap_ms(&packets, 31_000, 90_001), 59.0);
    assert_eq!(longest_gap_ms(&[], 0, 5_000), 5.0);
}
