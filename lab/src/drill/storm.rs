//! A storm of REGISTER requests from strangers: users that no file names, from many ports of one machine.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::LabError;
use crate::netns::Host;

/// What a few strong attackers send, and a tenth of what the network of the drill could carry.
const REQUESTS_PER_S: u32 = 5_000;

/// Requests leave in bunches, as they do where they come from.
const BUNCHES_PER_S: u32 = 200;

/// A storm that nobody ends ends by itself.
const LENGTH_MAX: Duration = Duration::from_secs(120);

/// Each stands for an attacker's machine.
const SOCKETS: u16 = 16;
const PORTS_BEGIN: u16 = 20_000;

/// The storm; it ends when this is dropped.
pub(super) struct Storm {
    over: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    answered: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Storm {
    /// Begins it, from this host to this service.
    pub(super) fn begin(host: &Host, service: SocketAddr) -> Result<Self, LabError> {
        let places: Vec<_> = (0..SOCKETS).map(|at| SocketAddr::from((host.address, PORTS_BEGIN + at))).collect();
        let sockets = host.sockets(&places)?;
        for socket in &sockets {
            socket.set_nonblocking(true).map_err(LabError::io("preparing a storm"))?;
        }
        let (over, sent, answered) = (Arc::default(), Arc::default(), Arc::default());
        let mut gale = Gale {
            sockets,
            address: host.address,
            service,
            number: 0,
            over: Arc::clone(&over),
            sent: Arc::clone(&sent),
            answered: Arc::clone(&answered),
        };
        let thread = thread::Builder::new().name("storm".to_owned()).spawn(move || gale.blow());
        let thread = thread.map_err(LabError::io("starting a storm"))?;
        Ok(Self { over, sent, answered, thread: Some(thread) })
    }

    /// Requests sent and answers heard so far.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.sent.load(Ordering::Relaxed), self.answered.load(Ordering::Relaxed))
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Gale {
    sockets: Vec<UdpSocket>,
    address: Ipv4Addr,
    service: SocketAddr,
    number: u64,
    over: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    answered: Arc<AtomicU64>,
}

impl Gale {
    fn blow(&mut self) {
        let begun = Instant::now();
        let pause = Duration::from_secs(1) / BUNCHES_PER_S;
        let mut due = begun;
        while !self.over.load(Ordering::Relaxed) && begun.elapsed() < LENGTH_MAX {
            // A bunch that is late is not made up for: the storm is never stronger than it says.
            for _ in 0..REQUESTS_PER_S / BUNCHES_PER_S {
                self.send_one();
            }
            self.hear();
            due = (due + pause).max(Instant::now());
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    }

    fn send_one(&mut self) {
        let number = self.number;
        self.number += 1;
        let place = number as usize % self.sockets.len().max(1);
        let port = PORTS_BEGIN + place as u16;
        let request = register(number, SocketAddr::from((self.address, port)), self.service);
        if let Some(socket) = self.sockets.get(place)
            && socket.send_to(request.as_bytes(), self.service).is_ok()
        {
            self.sent.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn hear(&self) {
        let mut bytes = [0; 2048];
        for socket in &self.sockets {
            while socket.recv(&mut bytes).is_ok() {
                self.answered.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// A request without a fault, from a user that nobody has heard of (RFC 3261 10.2).
fn register(number: u64, from: SocketAddr, service: SocketAddr) -> String {
    let domain = service.ip();
    format!(
        "REGISTER sip:{domain} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK-storm-{number};rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:stranger{number}@{domain}>;tag=storm{number}\r\n\
         To: <sip:stranger{number}@{domain}>\r\nCall-ID: storm-{number}@{from}\r\nCSeq: 1 REGISTER\r\n\
         Contact: <sip:stranger{number}@{from}>\r\nExpires: 3600\r\nContent-Length: 0\r\n\r\n"
    )
}
