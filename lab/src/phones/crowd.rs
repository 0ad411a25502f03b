//! Thousands of phones without audio, all behind one socket: for the load of many registrations and calls. Each is a
//! phone of its own; a message is for the one that it names.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use phone::{AnswerPolicy, Method, Phone, PhoneCommand, PhoneConfig, PhoneEvent, PhoneInput, PhoneOutput};

use super::sockets;
use super::{Account, REGISTER_EVERY_S, RTP_PORT, SIP_PORT, driver};
use crate::LabError;
use crate::netns::Host;

/// Crowd phones are called so, and count from here.
pub const CROWD_BEGIN: u32 = 7_000_000;

/// The longest sleep; orders are looked at in between.
const SLEEP: Duration = Duration::from_millis(2);

/// Whatever a crowd is told is done after this long, or never.
const DONE_LIMIT: Duration = Duration::from_secs(300);

/// The kernel keeps what comes while the thread is busy elsewhere.
const RECEIVE_BYTES: usize = 8 * 1024 * 1024;
const DATAGRAM_BYTES: usize = 8_192;

/// What became of what a crowd was told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    pub good: usize,
    pub bad: usize,
    /// From the command to its final answer, in microseconds, of the good ones.
    pub taken_us: Vec<u64>,
}

struct Order {
    commands: VecDeque<(usize, PhoneCommand)>,
    /// How many wait for an answer at a time.
    at_once: usize,
    done: Sender<Tally>,
}

pub struct Crowd {
    orders: Sender<Order>,
    thread: Option<JoinHandle<()>>,
    count: usize,
}

impl Crowd {
    /// The accounts of so many phones on this host.
    pub fn accounts(host: &Host, count: u32) -> Vec<Account> {
        let account = |index: u32| Account {
            number: (CROWD_BEGIN + index).to_string(),
            password: format!("crowd-{index}"),
            address: host.address,
        };
        (0..count).map(account).collect()
    }

    pub fn start(host: &Host, accounts: &[Account], server: SocketAddr) -> Result<Self, LabError> {
        let address = SocketAddr::from((host.address, SIP_PORT));
        let socket = host.sockets(&[address])?.pop().ok_or_else(|| LabError::NoHost(host.name.clone()))?;
        socket.set_nonblocking(true).map_err(LabError::io("preparing a crowd"))?;
        sockets::room_for(&socket, RECEIVE_BYTES);
        let seed = driver::wall_clock_ns();
        let phone = |(index, account): (usize, &Account)| {
            Phone::new(PhoneConfig {
                user: account.number.clone(),
                password: account.password.clone(),
                server,
                address,
                media_address: SocketAddr::from((host.address, RTP_PORT)),
                register_every_s: REGISTER_EVERY_S,
                answer: AnswerPolicy::after(0),
                seed: seed.wrapping_add(index as u64 * 7919),
            })
        };
        let phones: Vec<Phone> = accounts.iter().enumerate().map(phone).collect();
        let count = phones.len();
        let (orders, incoming) = channel();
        let thread = thread::Builder::new().name("crowd".to_owned());
        let thread = thread.spawn(move || Throng::new(phones, socket).run(&incoming));
        let thread = thread.map_err(LabError::io("starting a crowd"))?;
        Ok(Self { orders, thread: Some(thread), count })
    }

    pub fn count(&self) -> usize {
        self.count
    }

    /// Gives commands to phones, so many at a time, and waits until each has its final answer.
    pub fn does(
        &self,
        at_once: usize,
        commands: impl IntoIterator<Item = (usize, PhoneCommand)>,
    ) -> Result<Tally, LabError> {
        self.begins(at_once, commands)?.wait()
    }

    /// Gives commands to phones, so many at a time, and waits for nothing.
    pub fn begins(
        &self,
        at_once: usize,
        commands: impl IntoIterator<Item = (usize, PhoneCommand)>,
    ) -> Result<Begun, LabError> {
        let (done, tally) = channel();
        let order = Order { commands: commands.into_iter().collect(), at_once, done };
        self.orders.send(order).map_err(|_| LabError::PhonesEnded)?;
        Ok(Begun(tally))
    }
}

/// What a crowd was told and is doing.
pub struct Begun(Receiver<Tally>);

impl Begun {
    /// Waits until each has its final answer.
    pub fn wait(self) -> Result<Tally, LabError> {
        self.0.recv_timeout(DONE_LIMIT).map_err(|_| LabError::Waited {
            what: "answers to a crowd".to_owned(),
            limit_ms: DONE_LIMIT.as_millis() as u64,
        })
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        // The thread ends when nobody can give orders any more.
        let (orders, _) = channel();
        self.orders = orders;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Throng {
    phones: Vec<Phone>,
    socket: UdpSocket,
    /// When which phone has something to do; what has changed since is found out then.
    timers: BinaryHeap<Reverse<(u64, usize)>>,
    /// When the phone's command was given, while it has no answer.
    begun_us: Vec<Option<u64>>,
    under_way: usize,
    order: Option<Order>,
    tally: Tally,
}

impl Throng {
    fn new(phones: Vec<Phone>, socket: UdpSocket) -> Self {
        let begun_us = vec![None; phones.len()];
        let (timers, tally) = (BinaryHeap::new(), Tally::default());
        Self { phones, socket, timers, begun_us, under_way: 0, order: None, tally }
    }

    fn run(&mut self, orders: &Receiver<Order>) {
        let mut bytes = vec![0; DATAGRAM_BYTES];
        loop {
            if self.order.is_none() {
                match orders.try_recv() {
                    Ok(order) => (self.order, self.tally) = (Some(order), Tally::default()),
                    Err(TryRecvError::Disconnected) => return,
                    Err(TryRecvError::Empty) => {}
                }
            }
            self.command();
            while let Ok((length, source)) = self.socket.recv_from(&mut bytes) {
                let message = bytes.get(..length).unwrap_or_default();
                if let Some(phone) = phone_of(message).filter(|phone| *phone < self.phones.len()) {
                    self.feed(phone, PhoneInput::Datagram { source, bytes: message });
                }
            }
            self.timeouts();
            sockets::wait(&[sockets::fd(&self.socket)], SLEEP);
        }
    }

    fn command(&mut self) {
        while self.order.as_ref().is_some_and(|order| self.under_way < order.at_once) {
            let Some((phone, command)) = self.order.as_mut().and_then(|order| order.commands.pop_front()) else {
                break;
            };
            if let Some(begun_us) = self.begun_us.get_mut(phone) {
                *begun_us = Some(driver::now_us());
                self.under_way += 1;
                self.feed(phone, PhoneInput::Command(command));
            }
        }
        let is_done = self.under_way == 0 && self.order.as_ref().is_some_and(|order| order.commands.is_empty());
        if let Some(order) = self.order.take_if(|_| is_done) {
            // Whoever asked may have given up waiting.
            let _ = order.done.send(std::mem::take(&mut self.tally));
        }
    }

    fn timeouts(&mut self) {
        let now_us = driver::now_us();
        while self.timers.peek().is_some_and(|Reverse((at_us, _))| *at_us <= now_us) {
            let Some(Reverse((_, phone))) = self.timers.pop() else { return };
            let next_us = self.phones.get(phone).and_then(Phone::next_timeout);
            match next_us {
                Some(at_us) if at_us <= now_us => self.feed(phone, PhoneInput::Timeout),
                Some(at_us) => self.timers.push(Reverse((at_us, phone))),
                None => {}
            }
        }
    }

    fn feed(&mut self, at: usize, input: PhoneInput<'_>) {
        let now_us = driver::now_us();
        let Some(phone) = self.phones.get_mut(at) else { return };
        let before = phone.next_timeout();
        phone.handle(now_us, input);
        let outputs: Vec<PhoneOutput> = phone.drain_outputs().collect();
        if let Some(next_us) = phone.next_timeout().filter(|next_us| before != Some(*next_us)) {
            self.timers.push(Reverse((next_us, at)));
        }
        for output in outputs {
            match output {
                // What the network does not take is sent again by the phone's own timer.
                PhoneOutput::Send { to, bytes } => drop(self.socket.send_to(&bytes, to)),
                PhoneOutput::Event(event) => self.note(now_us, at, &event),
            }
        }
    }

    /// Counts the final answers to what the phone was told.
    fn note(&mut self, now_us: u64, phone: usize, event: &PhoneEvent) {
        let is_good = match event {
            PhoneEvent::Registered { .. } => true,
            PhoneEvent::RegisterFailed { .. } => false,
            PhoneEvent::Final { method: Method::Invite | Method::Bye, status, .. } => *status < 300,
            _ => return,
        };
        let Some(begun_us) = self.begun_us.get_mut(phone).and_then(Option::take) else { return };
        self.under_way -= 1;
        if is_good {
            self.tally.good += 1;
            self.tally.taken_us.push(now_us.saturating_sub(begun_us));
        } else {
            self.tally.bad += 1;
        }
    }
}

/// Which phone a message is for: the one that a request is sent to, or the one whose request is answered.
fn phone_of(message: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(message).ok()?;
    let mut lines = text.lines();
    let first = lines.next()?;
    let place = if first.starts_with("SIP/2.0") {
        lines.find(|line| line.get(..5).is_some_and(|name| name.eq_ignore_ascii_case("from:")))?
    } else {
        first
    };
    let (_, rest) = place.split_once("sip:")?;
    let number: u32 = rest.split_once('@')?.0.parse().ok()?;
    usize::try_from(number.checked_sub(CROWD_BEGIN)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_for_the_phone_that_it_names() {
        let request = b"INVITE sip:7000012@10.77.0.18:5060;line=x SIP/2.0\r\nFrom: <sip:7000003@10.77.0.100>\r\n\r\n";
        assert_eq!(phone_of(request), Some(12));
        let response =
            b"SIP/2.0 200 OK\r\nVia: x\r\nfrom: <sip:7000003@10.77.0.100>;tag=1\r\nTo: <sip:7000012@y>\r\n\r\n";
        assert_eq!(phone_of(response), Some(3));
        for odd in
            [&b""[..], b"SIP/2.0 200 OK\r\n\r\n", b"BYE sip:5000@x SIP/2.0\r\n", b"BYE sip:me@x SIP/2.0", &[0xff]]
        {
            assert_eq!(phone_of(odd), None);
        }
    }
}
