//! The RTP threads: each waits on the sockets of the media ports it was given and drives one `media::relay::Relay`.
//!
//! A leg has a socket of its own and brings fifty packets a second, so that a socket hardly ever holds two: one wait
//! tells of up to `READY_MAX` sockets, and each packet then costs one call to read it and one to send it. Ports that
//! forward to each other are kept on the same thread, so that one lock, which is nearly always free, covers a round.
//!
//! A core can be away for tens of milliseconds, whatever the priority: its kernel is busy, or the host of a virtual
//! machine runs somebody else. So each thread has a relief on another core, which looks every `RELIEF_EVERY` whether
//! packets wait that nobody reads.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{array, io};

use base::LocalTime;
use media::relay::{Learned, Port, Relay, Statistics};
use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::unistd::Pid;

use crate::clock::local_now;
use crate::realtime::let_others_go;
use places::{Place, Places};

mod places;

/// The longest packet that is relayed. Audio is under 1,500 bytes on every network that phones are on; a longer packet
/// is dropped and counted.
const PACKET_BYTES_MAX: usize = 2048;

/// How many ready sockets one wait tells of. The others are told by the next one.
const READY_MAX: usize = 256;

/// How many commands are carried out before packets get their turn again, so that a snapshot's thousand ports do not
/// interrupt the audio of the others.
const COMMANDS_MAX: usize = 64;

/// How long `statistics` waits for a thread that is busy or gone before it answers none.
const STATISTICS_WAIT_MAX: Duration = Duration::from_millis(100);

/// How often a thread's relief looks: well within the distance of two audio packets.
const RELIEF_EVERY: Duration = Duration::from_millis(5);

/// How often a thread wakes at least, so that it knows when it was asleep.
const TICK_MS: u16 = 20;

/// A thread that was away for longer was asleep with its whole machine, or as good as that: a peer that misses four
/// heartbeats in a row has taken over in the meantime. What waits in its sockets is stale, and no longer ours to send
/// until the node says so.
const ASLEEP: Duration = Duration::from_millis(90);

/// A node that has not said so after this long is not well itself, and its parent sees to it.
const HELD_MAX: Duration = Duration::from_millis(250);

/// What the epoll says for the thread's own wake-up; a socket has its local port instead.
const WAKE: u64 = u64::MAX;

/// What a thread tells the node. It is called on that thread and must return at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RtpEvent {
    /// A remote party was found at another address; to be replicated.
    Learned(Learned),
    /// A thread was asleep. It passes nothing on until [`RtpThreads::go_on`].
    Woke { asleep: Duration },
}

/// Counts of all threads together since they started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub packets_received: u64,
    pub packets_sent: u64,
    /// Reads that failed, such as after an ICMP error.
    pub receive_errors: u64,
    /// Sends that failed: no route while the address is at the other node, refused, or no room in the send buffer.
    pub send_errors: u64,
    /// Packets longer than is relayed.
    pub oversize: u64,
    /// Packets that our own media ports sent to each other, which would circle for ever.
    pub looped: u64,
    /// Packets that came while the thread was asleep, or before the node had said that it still serves.
    pub stale: u64,
}

/// The threads. Dropping it ends them and closes the sockets.
pub struct RtpThreads {
    shared: Arc<Shared>,
    shards: Vec<Shard>,
}

impl RtpThreads {
    /// Starts `threads` of them (at least one). Each calls `on_start` first, to take its scheduling priority.
    pub fn start(
        threads: usize,
        on_start: fn(),
        events: Box<dyn Fn(RtpEvent) + Send + Sync>,
    ) -> io::Result<RtpThreads> {
        Self::start_with(threads, on_start, events, ASLEEP)
    }

    /// `asleep`: how long a thread must have been away to count as asleep.
    fn start_with(
        threads: usize,
        on_start: fn(),
        events: Box<dyn Fn(RtpEvent) + Send + Sync>,
        asleep: Duration,
    ) -> io::Result<RtpThreads> {
        let threads = threads.max(1);
        let places = Mutex::new(Places::new(threads));
        let shared = Arc::new(Shared { places, counts: Counts::default(), events, asleep });
        let shards = (0..threads).map(|number| Shard::start(number, on_start, &shared));
        Ok(Self { shards: shards.collect::<io::Result<_>>()?, shared })
    }

    /// Opens a port with its two sockets, which are made nonblocking. A port that is open already begins anew. When
    /// this fails, the port is closed.
    pub fn open(&self, port: Port, rtp: OwnedFd, rtcp: OwnedFd) -> io::Result<()> {
        let sockets = Arc::new(Sockets::new(rtp, rtcp)?);
        let mut places = self.shared.places();
        if let Some(place) = places.remove(port.port) {
            self.send(place.shard, Command::Close(port.port));
        }
        let shard = places.for_new(&port);
        self.place(&mut places, shard, port, sockets)
    }

    /// Changes an open port; one that is not open is left alone. A port that now forwards to one on another thread
    /// moves there, and learns its remote party again.
    pub fn update(&self, port: Port) -> io::Result<()> {
        let mut places = self.shared.places();
        let Some(place) = places.get(port.port) else { return Ok(()) };
        let (shard, sockets) = (place.shard, Arc::clone(&place.sockets));
        match places.of_partner(&port) {
            Some(partner) if partner != shard => {
                places.remove(port.port);
                self.send(shard, Command::Close(port.port));
                self.place(&mut places, partner, port, sockets)
            }
            _ => {
                self.send(shard, Command::Update(port));
                Ok(())
            }
        }
    }

    /// Closes a port and its sockets; one that is not open is left alone.
    pub fn close(&self, port: u16) {
        if let Some(place) = self.shared.places().remove(port) {
            self.send(place.shard, Command::Close(port));
        }
    }

    /// This node serves from now on: see `Relay::taken_over`.
    pub fn taken_over(&self) {
        for shard in 0..self.shards.len() {
            self.send(shard, Command::TakenOver);
        }
    }

    /// After `RtpEvent::Woke`: who serves is known again. The address itself decides what leaves.
    pub fn go_on(&self) {
        for shard in 0..self.shards.len() {
            self.send(shard, Command::GoOn);
        }
    }

    /// The counts of an open port. Waits for the port's thread, at most `STATISTICS_WAIT_MAX`: not for the node's loop.
    pub fn statistics(&self, port: u16) -> Option<Statistics> {
        let shard = self.shared.places().get(port)?.shard;
        let (reply, answer) = mpsc::sync_channel(1);
        self.send(shard, Command::Statistics { port, reply });
        answer.recv_timeout(STATISTICS_WAIT_MAX).ok().flatten()
    }

    /// The counts of all threads.
    pub fn totals(&self) -> Totals {
        self.shared.counts.read()
    }

    /// The open ports, in order.
    pub fn ports(&self) -> Vec<u16> {
        self.shared.places().ports().collect()
    }

    fn place(&self, places: &mut Places, shard: usize, port: Port, sockets: Arc<Sockets>) -> io::Result<()> {
        let number = port.port;
        let Some(Shard { epoll, .. }) = self.shards.get(shard) else { return Ok(()) };
        // The command goes first, so that the thread knows the port before it hears of its packets.
        self.send(shard, Command::Open { port, sockets: Arc::clone(&sockets) });
        let [rtp, rtcp] = [(&sockets.rtp, number), (&sockets.rtcp, number | 1)]
            .map(|(socket, token)| epoll.add(socket, EpollEvent::new(EpollFlags::EPOLLIN, u64::from(token))));
        if let Err(error) = rtp.and(rtcp) {
            self.send(shard, Command::Close(number));
            return Err(error.into());
        }
        places.insert(number, Place { shard, sockets });
        Ok(())
    }

    fn send(&self, shard: usize, command: Command) {
        if let Some(shard) = self.shards.get(shard) {
            // A thread that is gone has said why in the log; its ports are as good as closed.
            shard.commands.send(command).ok();
            shard.wake.write(1).ok();
        }
    }
}

impl Drop for RtpThreads {
    fn drop(&mut self) {
        for shard in 0..self.shards.len() {
            self.send(shard, Command::Stop);
        }
        for shard in &mut self.shards {
            for thread in shard.threads.drain(..) {
                thread.join().ok();
            }
        }
    }
}

/// What the threads and their owner have in common.
struct Shared {
    /// Every open port. The threads look at it only for packets that seem to come from one of our own ports.
    places: Mutex<Places>,
    counts: Counts,
    events: Box<dyn Fn(RtpEvent) + Send + Sync>,
    asleep: Duration,
}

impl Shared {
    fn places(&self) -> MutexGuard<'_, Places> {
        // No code that holds it leaves it half changed.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The sockets of one port.
struct Sockets {
    rtp: UdpSocket,
    rtcp: UdpSocket,
    /// The address that they are bound to.
    host: IpAddr,
}

impl Sockets {
    fn new(rtp: OwnedFd, rtcp: OwnedFd) -> io::Result<Self> {
        let (rtp, rtcp) = (UdpSocket::from(rtp), UdpSocket::from(rtcp));
        rtp.set_nonblocking(true)?;
        rtcp.set_nonblocking(true)?;
        Ok(Self { host: rtp.local_addr()?.ip(), rtp, rtcp })
    }

    fn of(&self, local_port: u16) -> &UdpSocket {
        if local_port.is_multiple_of(2) { &self.rtp } else { &self.rtcp }
    }
}

enum Command {
    Open { port: Port, sockets: Arc<Sockets> },
    Update(Port),
    Close(u16),
    TakenOver,
    GoOn,
    Statistics { port: u16, reply: SyncSender<Option<Statistics>> },
    Stop,
}

/// The owner's end of a thread.
struct Shard {
    commands: Sender<Command>,
    wake: Arc<EventFd>,
    epoll: Arc<Epoll>,
    threads: Vec<JoinHandle<()>>,
}

impl Shard {
    fn start(number: usize, on_start: fn(), shared: &Arc<Shared>) -> io::Result<Self> {
        let wake = Arc::new(EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?);
        let epoll = Arc::new(Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?);
        epoll.add(&*wake, EpollEvent::new(EpollFlags::EPOLLIN, WAKE))?;
        let (commands, inbox) = mpsc::channel();
        let worker = Worker {
            inbox,
            wake: Arc::clone(&wake),
            epoll: Arc::clone(&epoll),
            buffer: vec![0; PACKET_BYTES_MAX + 1],
            shared: Arc::clone(shared),
            relay: Relay::new(),
            sockets: BTreeMap::new(),
            awake_at: local_now(),
            held_until: None,
            is_stopped: false,
        };
        let worker = Arc::new(Mutex::new(worker));
        let first_core = Arc::new(AtomicUsize::new(0));
        let threads = [("rtp", Hand::First), ("rtp-relief", Hand::Relief)].map(|(name, hand)| {
            let (worker, epoll, first_core) = (Arc::clone(&worker), Arc::clone(&epoll), Arc::clone(&first_core));
            thread::Builder::new().name(format!("{name}-{number}")).spawn(move || {
                on_start();
                hand.work(&worker, &epoll, &first_core);
            })
        });
        Ok(Self { commands, wake, epoll, threads: threads.into_iter().collect::<io::Result<_>>()? })
    }
}

/// Keeps a relief off the core that the first thread was on last. The first one is wherever the kernel puts it, so that
/// the relays of several nodes share the cores.
struct Elsewhere {
    allowed: CpuSet,
    avoided: Option<usize>,
}

impl Elsewhere {
    fn new() -> Self {
        Self { allowed: sched_getaffinity(Pid::from_raw(0)).unwrap_or_default(), avoided: None }
    }

    fn avoid(&mut self, core: usize) {
        if self.avoided == Some(core) {
            return;
        }
        self.avoided = Some(core);
        let mut others = self.allowed;
        // A machine of one core has no other one, and then the system refuses.
        let moved = others.unset(core).and_then(|()| sched_setaffinity(Pid::from_raw(0), &others));
        if let Err(error) = moved {
            tracing::debug!(core, %error, "the relief of an RTP thread stays where it is");
        }
    }
}

/// Which of the two threads of a shard.
#[derive(Clone, Copy)]
enum Hand {
    First,
    Relief,
}

impl Hand {
    fn work(self, worker: &Mutex<Worker>, epoll: &Epoll, first_core: &AtomicUsize) {
        let mut elsewhere = Elsewhere::new();
        let mut ready = [EpollEvent::empty(); READY_MAX];
        let tick = match self {
            Self::First => EpollTimeout::from(TICK_MS),
            Self::Relief => EpollTimeout::ZERO,
        };
        let mut timeout = tick;
        loop {
            if matches!(self, Self::Relief) {
                elsewhere.avoid(first_core.load(Ordering::Relaxed));
                thread::sleep(RELIEF_EVERY);
            }
            let count = match epoll.wait(&mut ready, timeout) {
                Ok(count) => count,
                Err(Errno::EINTR) => continue,
                Err(error) => {
                    tracing::error!(%error, "an RTP thread cannot wait for packets and ends");
                    return;
                }
            };
            if matches!(self, Self::First) {
                first_core.store(sched_getcpu().unwrap_or_default(), Ordering::Relaxed);
            }
            let mut worker = worker.lock().unwrap_or_else(PoisonError::into_inner);
            let has_more = worker.round(ready.get(..count).unwrap_or_default());
            if worker.is_stopped {
                return;
            }
            drop(worker);
            let_others_go();
            timeout = if has_more { EpollTimeout::ZERO } else { tick };
        }
    }
}

/// The threads' end.
struct Worker {
    inbox: Receiver<Command>,
    wake: Arc<EventFd>,
    epoll: Arc<Epoll>,
    /// One byte more than is relayed, so that a longer packet is told from one that just fits.
    buffer: Vec<u8>,
    shared: Arc<Shared>,
    relay: Relay,
    /// By even local port.
    sockets: BTreeMap<u16, Arc<Sockets>>,
    /// When either thread last woke up to do something.
    awake_at: LocalTime,
    /// It was asleep, and the node has not said yet that it goes on.
    held_until: Option<LocalTime>,
    is_stopped: bool,
}

impl Worker {
    /// What is to be done after one wait; tells whether commands are left.
    fn round(&mut self, ready: &[EpollEvent]) -> bool {
        let now = local_now();
        self.notice_sleep(now);
        let has_more = self.obey(now);
        let mut buffer = std::mem::take(&mut self.buffer);
        for event in ready {
            match u16::try_from(event.data()) {
                Ok(local_port) => self.receive(now, local_port, &mut buffer),
                // The count of wake-ups says nothing that the inbox does not.
                Err(_) => drop(self.wake.read()),
            }
        }
        self.buffer = buffer;
        for learned in self.relay.learned() {
            (self.shared.events)(RtpEvent::Learned(learned));
        }
        has_more
    }

    /// Holds everything back after a sleep. What came meanwhile is read in this very round or the next ones, and lost.
    fn notice_sleep(&mut self, now: LocalTime) {
        let asleep = now.since(self.awake_at);
        self.awake_at = now;
        if asleep >= self.shared.asleep {
            self.held_until = Some(now + HELD_MAX);
            (self.shared.events)(RtpEvent::Woke { asleep });
        } else if self.held_until.is_some_and(|until| until <= now) {
            self.held_until = None;
        }
    }

    /// Carries out what waits in the inbox, as far as `COMMANDS_MAX`; tells whether that was not all.
    fn obey(&mut self, now: LocalTime) -> bool {
        for _ in 0..COMMANDS_MAX {
            match self.inbox.try_recv() {
                Ok(Command::Open { port, sockets }) => {
                    self.sockets.insert(port.port, sockets);
                    self.relay.open(port);
                }
                Ok(Command::Update(port)) => self.relay.update(port),
                Ok(Command::Close(port)) => self.close(port),
                Ok(Command::TakenOver) => {
                    self.held_until = None;
                    self.relay.taken_over(now);
                }
                Ok(Command::GoOn) => self.held_until = None,
                Ok(Command::Statistics { port, reply }) => {
                    // Whoever asked may have given up waiting.
                    reply.try_send(self.relay.statistics(port)).ok();
                }
                Ok(Command::Stop) => self.is_stopped = true,
                Err(_) => return false,
            }
        }
        true
    }

    fn close(&mut self, port: u16) {
        self.relay.close(port);
        let Some(sockets) = self.sockets.remove(&port) else { return };
        for socket in [&sockets.rtp, &sockets.rtcp] {
            // Closing the socket does not end the watch while the parent process holds a duplicate of it. A socket
            // that was never watched is no matter.
            self.epoll.delete(socket).ok();
        }
    }

    /// Reads one packet and passes it on. A socket that holds more is told by the next wait, after all others.
    fn receive(&mut self, now: LocalTime, local_port: u16, buffer: &mut [u8]) {
        let Some(sockets) = self.sockets.get(&(local_port & !1)) else { return };
        let counts = &self.shared.counts;
        let (length, source) = match sockets.of(local_port).recv_from(buffer) {
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(_) => return counts.add(Count::ReceiveErrors),
        };
        counts.add(Count::PacketsReceived);
        if self.held_until.is_some() {
            return counts.add(Count::Stale);
        }
        let Some(packet) = buffer.get_mut(..length).filter(|packet| packet.len() <= PACKET_BYTES_MAX) else {
            return counts.add(Count::Oversize);
        };
        if source.ip() == sockets.host && self.is_ours(source) {
            return counts.add(Count::Looped);
        }
        let Some(forward) = self.relay.handle(now, local_port, source, packet) else { return };
        let Some(sockets) = self.sockets.get(&(forward.local_port & !1)) else { return };
        match sockets.of(forward.local_port).send_to(packet, forward.destination) {
            Ok(_) => counts.add(Count::PacketsSent),
            // Until the address is here there is no route; a phone that is gone refuses. Neither ends the call.
            Err(_) => counts.add(Count::SendErrors),
        }
    }

    /// Whether a packet from our own host comes from one of our own media ports. Two ports whose phones both named the
    /// other port as theirs would pass one packet round for ever.
    fn is_ours(&self, source: SocketAddr) -> bool {
        self.shared.places().get(source.port() & !1).is_some()
    }
}

#[derive(Clone, Copy)]
enum Count {
    PacketsReceived,
    PacketsSent,
    ReceiveErrors,
    SendErrors,
    Oversize,
    Looped,
    Stale,
}

/// `Totals` while the threads count. By `Count`.
struct Counts([AtomicU64; 7]);

impl Default for Counts {
    fn default() -> Self {
        Self(array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Counts {
    fn add(&self, count: Count) {
        if let Some(counter) = self.0.get(count as usize) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn read(&self) -> Totals {
        let [packets_received, packets_sent, receive_errors, send_errors, oversize, looped, stale] =
            self.0.each_ref().map(|count| count.load(Ordering::Relaxed));
        Totals { packets_received, packets_sent, receive_errors, send_errors, oversize, looped, stale }
    }
}

#[cfg(test)]
mod tests;
