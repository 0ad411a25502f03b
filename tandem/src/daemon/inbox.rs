//! What the other threads tell the node's loop: a queue, and a descriptor that wakes it.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use net::rtp::RtpEvent;
use nix::sys::eventfd::{EfdFlags, EventFd};
use node::{Answer, Event, Operator};
use storage::journal::JournalEvent;

pub enum Input {
    Event(Event),
    Ask {
        operator: Operator,
        reply: Sender<Answer>,
    },
    /// The media were asleep, and wait for `World::media_go_on`.
    Woke,
}

pub struct Inbox {
    inputs: Receiver<Input>,
    wake: Arc<EventFd>,
}

#[derive(Clone)]
pub struct InboxSender {
    inputs: Sender<Input>,
    wake: Arc<EventFd>,
}

impl Inbox {
    pub fn new() -> nix::Result<(Self, InboxSender)> {
        let (sender, inputs) = channel();
        let wake = Arc::new(EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?);
        Ok((Self { inputs, wake: wake.clone() }, InboxSender { inputs: sender, wake }))
    }

    /// Everything that waits.
    pub fn take(&self) -> Vec<Input> {
        // Nothing to read is no error; the descriptor is emptied before the queue, so that no wake-up is lost.
        let _ = self.wake.read();
        self.inputs.try_iter().collect()
    }
}

impl AsFd for Inbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

impl InboxSender {
    pub fn event(&self, event: Event) {
        self.put(Input::Event(event));
    }

    fn put(&self, input: Input) {
        // The loop ends only with the process.
        let _ = self.inputs.send(input);
        let _ = self.wake.write(1);
    }

    /// Asks the node and waits; `None` when it does not answer in time.
    pub fn ask(&self, operator: Operator) -> Option<Answer> {
        let (reply, answer) = channel();
        self.put(Input::Ask { operator, reply });
        answer.recv_timeout(admin::socket::patience(operator)).ok()
    }

    pub fn journal(&self, event: JournalEvent) {
        match event {
            JournalEvent::Written { lsn } => self.event(Event::JournalWritten { lsn }),
            JournalEvent::Reserved { durable } => self.event(Event::EpochReserved { epoch: durable.reserved }),
            JournalEvent::Failed { operation, errno } => {
                tracing::error!(operation, error = %std::io::Error::from_raw_os_error(errno), "the disk refuses");
            }
        }
    }

    pub fn rtp(&self, event: RtpEvent) {
        match event {
            RtpEvent::Learned(learned) => {
                self.event(Event::Learned { port: learned.port, rtp: learned.rtp, rtcp: learned.rtcp });
            }
            RtpEvent::Woke { asleep } => {
                tracing::info!(asleep_ms = asleep.as_millis() as u64, "media waits until it is known who serves");
                self.put(Input::Woke);
            }
        }
    }
}
