//! What the other threads tell the node's loop: a queue, and a descriptor that wakes it.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use base::Lsn;
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
    journal: Arc<Written>,
}

#[derive(Clone)]
pub struct InboxSender {
    inputs: Sender<Input>,
    wake: Arc<EventFd>,
    journal: Arc<Written>,
}

/// How far the journal is written. With a standby nothing waits for it, and the loop is not woken for each entry.
#[derive(Default)]
struct Written {
    lsn: AtomicU64,
    /// The loop is to be woken. Either it sees the number after it has set this, or the journal's thread sees this after
    /// it has set the number.
    wanted: AtomicBool,
}

impl Inbox {
    pub fn new() -> nix::Result<(Self, InboxSender)> {
        let (sender, inputs) = channel();
        let wake = Arc::new(EventFd::from_flags(EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?);
        let journal = Arc::new(Written::default());
        let inbox = Self { inputs, wake: wake.clone(), journal: journal.clone() };
        Ok((inbox, InboxSender { inputs: sender, wake, journal }))
    }

    /// Says whether it is waited for that the journal is written, and asks how far it is.
    pub fn journal_written(&self, wanted: bool) -> Lsn {
        if self.journal.wanted.load(Ordering::Relaxed) != wanted {
            self.journal.wanted.store(wanted, Ordering::SeqCst);
        }
        Lsn(self.journal.lsn.load(Ordering::SeqCst))
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
        self.wake();
    }

    fn wake(&self) {
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
            JournalEvent::Written { lsn } => {
                self.journal.lsn.store(lsn.0, Ordering::SeqCst);
                if self.journal.wanted.load(Ordering::SeqCst) {
                    self.wake();
                }
            }
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

#[cfg(test)]
mod tests {
    use nix::poll::PollTimeout;

    use super::super::readiness::{Source, Sources};
    use super::*;

    #[test]
    fn the_journal_wakes_the_loop_only_where_it_is_waited_for() {
        let (inbox, sender) = Inbox::new().expect("an inbox");
        let woken = || {
            let mut sources = Sources::default();
            sources.add(Source::Inbox, inbox.as_fd());
            sources.wait(PollTimeout::ZERO).expect("it can be waited for").has(Source::Inbox)
        };
        let written = |lsn| sender.journal(JournalEvent::Written { lsn: Lsn(lsn) });
        written(1);
        assert!(!woken());
        assert_eq!(inbox.journal_written(true), Lsn(1));
        written(2);
        assert!(woken() && inbox.take().is_empty());
        assert_eq!(inbox.journal_written(false), Lsn(2));
        written(3);
        assert!(!woken());
        assert_eq!(inbox.journal_written(false), Lsn(3));
    }
}
