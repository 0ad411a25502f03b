//! Carries out what `decide` says: waits for the daemon, its messages, signals and the kernel's reports, and acts.

use std::net::UdpSocket;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use base::{Epoch, Incarnation};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::time::TimeSpec;
use socket2::{SockAddr, SockRef};

use super::child::Daemon;
use super::decide::{Input, Output, Watch};
use super::held::{HandingOver, HeldSockets};
use super::message::{ToDaemon, ToParent, decode, encode};
use super::service::Service;
use super::systemd::Systemd;
use super::{LinkPath, ParentConfig, ParentError};
use crate::channel::ChannelError;
use crate::clock::{local_now, random_bytes};
use crate::key::PairKey;
use crate::link::farewell;
use crate::realtime::{become_realtime, lock_memory, raise_open_files_limit};

/// Above everything the daemon does, below the kernel's own threads of priority 50 and more.
const PRIORITY: u8 = 40;

/// Messages read before time is judged again; a burst of relays is far shorter.
const MESSAGES_AT_ONCE: usize = 4096;

#[derive(Debug)]
pub(super) struct Driver {
    config: ParentConfig,
    watch: Watch,
    outputs: Vec<Output>,
    signals: SignalFd,
    service: Option<Service>,
    held: HeldSockets,
    daemon: Option<Daemon>,
    handing_over: Option<HandingOver>,
    incarnation: Incarnation,
    systemd: Option<Systemd>,
    exit: Option<u8>,
}

/// What a wait has found ready.
#[derive(Clone, Copy, Debug, Default)]
struct Ready {
    signal: bool,
    network: bool,
    message: bool,
    room: bool,
    dying: bool,
    ended: bool,
}

impl Driver {
    pub fn new(config: ParentConfig) -> Result<Self, ParentError> {
        let wanted = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP]);
        wanted.thread_block().map_err(|error| ParentError::Signals(error.into()))?;
        let signals = SignalFd::with_flags(&wanted, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK);
        let signals = signals.map_err(|error| ParentError::Signals(error.into()))?;
        let service = (!config.services.is_empty()).then(|| Service::open(&config)).transpose()?;
        let watch = Watch::new(!config.links.is_empty(), local_now());
        become_realtime(PRIORITY);
        if let Err(error) = lock_memory() {
            tracing::warn!(%error, "cannot lock memory; a page fault may delay the watch over the daemon");
        }
        if let Err(error) = raise_open_files_limit() {
            tracing::warn!(%error, "cannot raise the limit of open files; many calls need many sockets");
        }
        Ok(Self {
            config,
            watch,
            outputs: Vec::new(),
            signals,
            service,
            held: HeldSockets::default(),
            daemon: None,
            handing_over: None,
            incarnation: Incarnation::default(),
            systemd: Systemd::from_environment(),
            exit: None,
        })
    }

    pub fn run(mut self) -> Result<u8, ParentError> {
        loop {
            self.watch.timeout(local_now(), &mut self.outputs);
            self.perform()?;
            if let Some(code) = self.exit {
                return Ok(code);
            }
            if let Some(systemd) = &mut self.systemd {
                systemd.tell(local_now(), self.watch.has_served(), self.watch.is_well());
            }
            let ready = self.wait()?;
            if ready.network && self.service.as_mut().is_some_and(Service::notice_changes) {
                self.feed(Input::AddressGone)?;
            }
            if ready.message {
                self.read_messages()?;
            }
            if ready.room {
                self.hand_over();
            }
            if ready.dying {
                self.lifeline_closed()?;
            }
            if ready.ended {
                self.bury()?;
            }
            if ready.signal {
                self.read_signals()?;
            }
        }
    }

    /// Waits until something happens or the watch wants to judge.
    fn wait(&self) -> Result<Ready, ParentError> {
        let pause = self.watch.deadline().map(|deadline| TimeSpec::from(deadline.since(local_now())));
        let mut polled = Vec::with_capacity(5);
        polled.push((0, PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)));
        if let Some(service) = &self.service {
            polled.push((1, PollFd::new(service.as_fd(), PollFlags::POLLIN)));
        }
        if let Some(daemon) = &self.daemon {
            polled.push((2, PollFd::new(daemon.ended.as_fd(), PollFlags::POLLIN)));
            if let Some(lifeline) = &daemon.lifeline {
                polled.push((4, PollFd::new(lifeline.as_fd(), PollFlags::empty())));
            }
            if daemon.is_channel_open {
                let room = if self.handing_over.is_some() { PollFlags::POLLOUT } else { PollFlags::empty() };
                polled.push((3, PollFd::new(daemon.channel.as_fd(), PollFlags::POLLIN | room)));
            }
        }
        let (kinds, mut polled): (Vec<u8>, Vec<PollFd<'_>>) = polled.into_iter().unzip();
        match ppoll(&mut polled, pause, None) {
            Ok(_) => {}
            Err(Errno::EINTR) => return Ok(Ready::default()),
            Err(error) => return Err(ParentError::Wait(error.into())),
        }
        let mut ready = Ready::default();
        for (kind, polled) in kinds.into_iter().zip(polled) {
            let events = polled.revents().unwrap_or(PollFlags::empty());
            let is_ready = !events.is_empty();
            match kind {
                0 => ready.signal = is_ready,
                1 => ready.network = is_ready,
                2 => ready.ended = is_ready,
                4 => ready.dying = is_ready,
                _ => {
                    ready.room = events.contains(PollFlags::POLLOUT);
                    ready.message = events.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR);
                }
            }
        }
        Ok(ready)
    }

    fn feed(&mut self, input: Input) -> Result<(), ParentError> {
        self.watch.handle(local_now(), input, &mut self.outputs);
        self.perform()
    }

    /// Does everything the watch has asked for, also what it asks for on the way.
    fn perform(&mut self) -> Result<(), ParentError> {
        while !self.outputs.is_empty() {
            for output in std::mem::take(&mut self.outputs) {
                self.perform_one(output)?;
            }
        }
        Ok(())
    }

    fn perform_one(&mut self, output: Output) -> Result<(), ParentError> {
        match output {
            Output::StartDaemon { resume_active } => self.start(resume_active)?,
            Output::KillDaemon => {
                tracing::warn!("the daemon is killed: it is silent, does not stop, or is dying");
                if let Some(daemon) = &mut self.daemon {
                    daemon.kill();
                }
            }
            Output::AddAddress { epoch } => {
                if self.service.as_mut().is_none_or(Service::add) {
                    tracing::info!(%epoch, "the address is claimed");
                    self.tell(&ToDaemon::Claimed(epoch));
                } else {
                    self.watch.handle(local_now(), Input::AddFailed { epoch }, &mut self.outputs);
                }
            }
            Output::RenewAddress => {
                self.service.as_mut().map(Service::renew);
            }
            Output::RemoveAddress => {
                self.service.as_mut().map(Service::remove);
                tracing::info!("the address is given up");
            }
            Output::Farewell => self.say_farewell(),
            Output::TellLost { epoch } => self.tell(&ToDaemon::Lost(epoch)),
            Output::TellStop => self.tell(&ToDaemon::Stop),
            Output::Exit { code } => self.exit = Some(code),
        }
        Ok(())
    }

    fn start(&mut self, resume_active: Option<Epoch>) -> Result<(), ParentError> {
        let is_first = self.incarnation == Incarnation::default();
        self.incarnation = Incarnation(u64::from_ne_bytes(random_bytes().map_err(ParentError::Random)?).max(1));
        match Daemon::start(&self.config) {
            Ok(daemon) => {
                tracing::info!(pid = daemon.id(), sockets = self.held.len(), ?resume_active, "daemon started");
                self.handing_over = Some(HandingOver::new(&self.held, resume_active, self.incarnation));
                self.daemon = Some(daemon);
                self.hand_over();
            }
            Err(error) if is_first => return Err(error),
            // It worked before: memory or processes are short for the moment.
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "cannot start the daemon again");
                self.watch.handle(local_now(), Input::Died { code: None }, &mut self.outputs);
            }
        }
        Ok(())
    }

    fn tell(&self, message: &ToDaemon) {
        let Some(daemon) = &self.daemon else { return };
        if let Err(error) = daemon.channel.send(&encode(message), &[]) {
            tracing::warn!(error = &error as &dyn std::error::Error, ?message, "cannot tell the daemon");
        }
    }

    fn hand_over(&mut self) {
        let (Some(handing_over), Some(daemon)) = (&mut self.handing_over, &self.daemon) else { return };
        match handing_over.go_on(&self.held, &daemon.channel) {
            Ok(false) => {}
            Ok(true) => self.handing_over = None,
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot hand sockets to the daemon");
                self.handing_over = None;
            }
        }
    }

    fn read_messages(&mut self) -> Result<(), ParentError> {
        for _ in 0..MESSAGES_AT_ONCE {
            let Some(daemon) = &mut self.daemon else { return Ok(()) };
            match daemon.channel.receive() {
                Ok(Some((bytes, files))) => self.take_message(&bytes, files)?,
                Ok(None) => return Ok(()),
                Err(error) => {
                    if !matches!(error, ChannelError::Closed) {
                        tracing::error!(error = &error as &dyn std::error::Error, "the daemon's channel is broken");
                    }
                    // A daemon that lives on without its channel is silent, and is treated so.
                    daemon.is_channel_open = false;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn take_message(&mut self, bytes: &[u8], files: Vec<OwnedFd>) -> Result<(), ParentError> {
        let input = match decode::<ToParent>(bytes) {
            Some(ToParent::Hold(names)) => {
                self.held.hold(names, files);
                return Ok(());
            }
            Some(ToParent::Lifeline) => {
                if let Some(daemon) = &mut self.daemon {
                    daemon.lifeline = files.into_iter().next();
                }
                return Ok(());
            }
            Some(ToParent::Drop(name)) => {
                self.held.drop_held(&name);
                return Ok(());
            }
            Some(ToParent::Stamp { at, active, epoch, protected }) => Input::Stamp { at, active, epoch, protected },
            Some(ToParent::Claim(epoch)) => Input::Claim { epoch },
            Some(ToParent::Yield) => Input::Yield,
            Some(ToParent::StoppingDone) => Input::StoppingDone,
            None => {
                tracing::warn!(bytes = bytes.len(), "a message of the daemon cannot be read");
                return Ok(());
            }
        };
        self.feed(input)
    }

    /// The process has begun to die: what it said before counts first.
    fn lifeline_closed(&mut self) -> Result<(), ParentError> {
        self.read_messages()?;
        if let Some(daemon) = &mut self.daemon {
            daemon.lifeline = None;
        }
        self.feed(Input::Dying)
    }

    /// The process has ended: reads its last messages, then decides.
    fn bury(&mut self) -> Result<(), ParentError> {
        self.read_messages()?;
        let Some(daemon) = &mut self.daemon else { return Ok(()) };
        let Some(code) = daemon.end().map_err(ParentError::Wait)? else { return Ok(()) };
        tracing::warn!(pid = daemon.id(), ?code, "the daemon has ended");
        self.daemon = None;
        self.handing_over = None;
        self.feed(Input::Died { code })
    }

    fn read_signals(&mut self) -> Result<(), ParentError> {
        while let Ok(Some(signal)) = self.signals.read_signal() {
            if signal.ssi_signo == Signal::SIGHUP as u32 {
                self.tell(&ToDaemon::Reload);
            } else {
                tracing::info!("told to stop");
                self.systemd.iter().for_each(Systemd::tell_stopping);
                self.feed(Input::Stop)?;
            }
        }
        Ok(())
    }

    fn say_farewell(&self) {
        let Some(key) = &self.config.key else { return };
        for link in &self.config.links {
            if let Err(error) = say_farewell(&self.held, link, key, self.incarnation) {
                tracing::warn!(%error, remote = %link.remote, "cannot say farewell");
            }
        }
    }
}

/// Sends one copy from the link's own address, since the peer heeds no other: through the held socket or, when the
/// daemon left none, through a new one.
fn say_farewell(held: &HeldSockets, link: &LinkPath, key: &PairKey, incarnation: Incarnation) -> std::io::Result<()> {
    let datagram = farewell(key, incarnation);
    let send = |socket: BorrowedFd<'_>| {
        SockRef::from(&socket).send_to_with_flags(&datagram, &SockAddr::from(link.remote), libc::MSG_DONTWAIT)
    };
    match held.bound_to(link.local) {
        Some(socket) => send(socket).map(drop),
        None => send(UdpSocket::bind(link.local)?.as_fd()).map(drop),
    }
}
