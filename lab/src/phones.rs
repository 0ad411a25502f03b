//! Virtual phones on real sockets: one thread runs them all, real-time where the machine allows it, with audio paced
//! every 20 ms and arrival times from the kernel.

mod crowd;
mod driver;
mod sockets;

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use phone::{AnswerPolicy, PhoneConfig};

pub use crowd::{Begun, CROWD_BEGIN, Crowd, Tally};
pub(crate) use driver::now_us;
pub use driver::{Driver, Handset};
pub(crate) use sockets::become_real_time;

use crate::LabError;
use crate::netns::Host;

pub const SIP_PORT: u16 = 5060;
const RTP_PORT: u16 = 4000;

/// Between the ports of two phones on one address: RTP comes in pairs.
const LANE_PORTS: u16 = 2;

/// No phone of a drill registers by itself: whoever registers again was made to.
const REGISTER_EVERY_S: u32 = 3_000;

/// After this time phones refresh their registrations of their own accord.
pub const REFRESH: Duration = Duration::from_secs(REGISTER_EVERY_S as u64);

/// Above everything of normal priority, below the kernel's own threads.
const REAL_TIME_PRIORITY: i32 = 40;

/// How often a condition is looked at while waiting for it.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Something to do in the phones' thread.
type Order = Box<dyn FnOnce(&mut Driver) + Send>;

/// What one phone is called, and where it lives.
#[derive(Clone, Debug)]
pub struct Account {
    pub number: String,
    pub password: String,
    pub address: Ipv4Addr,
}

/// Phones that live on one host and belong to this process.
pub struct Phones {
    orders: Sender<Order>,
    bell: UnixStream,
    thread: Option<JoinHandle<()>>,
}

impl Phones {
    /// Opens two sockets per account on `host`, which gets the accounts' addresses, and starts the thread. The phones
    /// do nothing until they are told; a call that comes in rings.
    pub fn start(host: &Host, accounts: &[Account], server: SocketAddr) -> Result<Self, LabError> {
        let places: Vec<_> = accounts.iter().map(|account| (host, account)).collect();
        Self::start_on(&places, server)
    }

    /// Like [`Self::start`], with each phone on a host of its own choice. Phones of the same address have ports of their
    /// own.
    pub fn start_on(places: &[(&Host, &Account)], server: SocketAddr) -> Result<Self, LabError> {
        let mut configs = Vec::new();
        let mut lanes: BTreeMap<Ipv4Addr, u16> = BTreeMap::new();
        for (index, (host, account)) in places.iter().enumerate() {
            let lane = *lanes.entry(account.address).and_modify(|lane| *lane += LANE_PORTS).or_insert(0);
            if lane == 0 && account.address != host.address {
                host.add_addresses(&[account.address])?;
            }
            let config = PhoneConfig {
                user: account.number.clone(),
                password: account.password.clone(),
                server,
                address: SocketAddr::from((account.address, SIP_PORT + lane)),
                media_address: SocketAddr::from((account.address, RTP_PORT + lane)),
                register_every_s: REGISTER_EVERY_S,
                answer: AnswerPolicy::never(),
                // Tags must differ from those of every earlier run against the same node.
                seed: driver::wall_clock_ns().wrapping_add(index as u64 * 7919),
            };
            configs.push((*host, config));
        }
        Self::start_with(configs)
    }

    /// Phones as they are configured, each on a host that has its addresses.
    pub fn start_with(configs: Vec<(&Host, PhoneConfig)>) -> Result<Self, LabError> {
        let mut handsets = Vec::new();
        for (host, config) in configs {
            let mut sockets = host.sockets(&[config.address, config.media_address])?.into_iter();
            if let (Some(sip), Some(rtp)) = (sockets.next(), sockets.next()) {
                handsets.push(Handset::new(config, sip, rtp)?);
            }
        }
        Self::run(handsets)
    }

    fn run(handsets: Vec<Handset>) -> Result<Self, LabError> {
        let mut driver = Driver::new(handsets)?;
        let (bell, ring) = UnixStream::pair().map_err(LabError::io("making the phones' bell"))?;
        ring.set_nonblocking(true).map_err(LabError::io("making the phones' bell"))?;
        let (orders, incoming): (Sender<Order>, Receiver<Order>) = channel();
        let thread = thread::Builder::new().name("phones".to_owned()).spawn(move || {
            become_real_time(REAL_TIME_PRIORITY);
            driver.run(&incoming, &ring);
        });
        let thread = thread.map_err(LabError::io("starting the phones' thread"))?;
        Ok(Self { orders, bell, thread: Some(thread) })
    }

    /// Does something in the phones' thread and gives back what it returns.
    pub fn with<R: Send + 'static>(
        &self,
        order: impl FnOnce(&mut Driver) -> R + Send + 'static,
    ) -> Result<R, LabError> {
        let (answer, result) = channel();
        let order: Order = Box::new(move |driver| {
            // Whoever asked may have given up waiting.
            let _ = answer.send(order(driver));
        });
        self.orders.send(order).map_err(|_| LabError::PhonesEnded)?;
        (&self.bell).write_all(&[1]).map_err(LabError::io("ringing the phones' bell"))?;
        result.recv().map_err(|_| LabError::PhonesEnded)
    }

    /// Waits until the condition holds; `Ok(false)` when it did not within the limit.
    pub fn wait_for(
        &self,
        limit: Duration,
        condition: impl Fn(&Driver) -> bool + Send + Clone + 'static,
    ) -> Result<bool, LabError> {
        let begun = Instant::now();
        loop {
            let condition = condition.clone();
            if self.with(move |driver| condition(driver))? {
                return Ok(true);
            }
            if begun.elapsed() >= limit {
                return Ok(false);
            }
            thread::sleep(LOOK_EVERY);
        }
    }
}

impl Drop for Phones {
    fn drop(&mut self) {
        // The thread ends when nobody can give orders any more.
        let (orders, _) = channel();
        self.orders = orders;
        let _ = (&self.bell).write_all(&[1]);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
