//! The daemon: the node's loop on a thread of its own, fed by sockets, timers and the other threads.
//!
//! ```text
//!   links, SIP sockets, parent, other threads --> Event --> node.handle --> Action --> World
//! ```

mod files;
mod inbox;
mod interfaces;
mod readiness;
mod sip_sockets;
mod store;
mod telling;
mod tracks;
mod virtual_router;
mod watchers;
mod world;

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use admin::events::Telling as Told;
use base::{Epoch, Level, LocalTime};
use miette::{IntoDiagnostic, Result, WrapErr, miette};
use net::clock::{local_now, random, random_bytes, wall_now};
use net::link::{Link, Received};
use net::parent::{FromParent, ParentHandle};
use net::sockets::{Batch, receive_many};
use nix::poll::PollTimeout;
use node::cluster::{ResumeActive, Role, Timing};
use node::{Event, MEDIA_HEARD_EVERY, Node, Now, Operator, Settings};

use crate::setup::Setup;
use files::{FilesThread, Keeper};
use inbox::{Inbox, Input};
use readiness::{Ready, Source, Sources};
use sip_sockets::SipSockets;
use telling::Telling;
use virtual_router::VirtualRouter;
use watchers::Watchers;
use world::World;

/// The parent wants a stamp each 20 ms at least.
const STAMP_EVERY: Duration = Duration::from_millis(10);

/// How often the interface is asked whether it has a carrier, even when no change is reported.
const CARRIER_EVERY: Duration = Duration::from_millis(100);

/// Of the node's loop and of RTP alike: above whatever else the machine does, for heartbeats must leave in time, and below
/// the parent. Where the two have one core to share each lets the other go after a step of its own, so that neither a
/// thousand phones that register at once nor a flood of packets stops the other one.
const PRIORITY: u8 = 20;

/// How long the parent may take to hand over what it holds.
const INHERIT_WAIT: Duration = Duration::from_secs(5);

/// Datagrams read from one socket before the others have their turn.
const BATCH: usize = 32;
const SIP_BYTES: usize = 65_535;
const LINK_BYTES: usize = 2_048;

/// Runs until the node has stopped.
pub fn run(setup: &Setup) -> Result<()> {
    // From the start: on a busy machine the phones of a lone node wait for it to come up.
    net::realtime::become_realtime(PRIORITY);
    let parent = Arc::new(ParentHandle::connect().into_diagnostic()?);
    parent.tie_lifeline().into_diagnostic()?;
    let inheritance = parent.inherit(INHERIT_WAIT).into_diagnostic()?;
    let _ = net::realtime::raise_open_files_limit();
    let (inbox, sender) = Inbox::new().into_diagnostic()?;

    let telling = Telling::start(setup, now().wall)?;
    let (journal, opened) = {
        let (sender, teller) = (sender.clone(), telling.teller());
        let events = move |event| {
            if let storage::journal::JournalEvent::Failed { operation, errno } = &event {
                let error = std::io::Error::from_raw_os_error(*errno);
                teller.tell(Told::new("disk", format!("the disk refuses to {operation}: {error}")));
            }
            sender.journal(event);
        };
        storage::Journal::open(&setup.state_dir, local_now(), events).into_diagnostic()?
    };
    if opened.torn || opened.stopped.is_some() {
        tracing::warn!(stopped = ?opened.stopped, "the journal's end was torn; what it held had not been promised");
    }
    // Behind the journal's lock: no other node uses the state directory.
    let mut keeper = Keeper::open(setup)?;
    let configuration = keeper.configuration(setup)?;
    let cdr = store::start(setup, &telling, &sender)?;
    let rtp = {
        let sender = sender.clone();
        let on_start = || {
            net::realtime::become_realtime(PRIORITY);
        };
        let events = Box::new(move |event| sender.rtp(event));
        net::rtp::RtpThreads::start(1, on_start, events).into_diagnostic().wrap_err("start the RTP thread")?
    };
    let asker = sender.clone();
    admin::socket::serve(&setup.socket_path(), move |operator| asker.ask(operator)).into_diagnostic()?;

    let mut held = world::Held::new(parent.clone(), inheritance.sockets);
    let sip = SipSockets::open(setup, &configuration, &mut held)?;
    let mut links = Vec::new();
    for path in &setup.links {
        let key = setup.key.as_ref().ok_or_else(|| miette!("links need a key"))?;
        let socket = held.link_socket(path.local)?;
        let link = Link::new(path.local, path.remote, key, random().into_diagnostic()?, local_now());
        links.push(world::PeerLink { link, socket });
    }
    telling.event(started(inheritance.resume_active.is_some(), opened.torn));
    let settings = Settings {
        name: setup.name.clone(),
        index: setup.index,
        priority: setup.priority,
        links: links.len() as u8,
        failback: setup.failback,
        timing: Timing { settle: setup.preempt_delay, peer_wait: setup.wait_for_peer, ..Timing::default() },
        restart: inheritance.resume_active.map(|epoch| ResumeActive { epoch }),
        incarnation: inheritance.incarnation,
        service: setup.service.clone(),
        secret: setup.secret()?,
        vrrp: setup.vrrp.clone(),
        level: Level::OWN,
        tracks: setup.tracks.iter().map(tracks::settings).collect(),
        safeguards: setup.node_safeguards(),
        bandwidth: setup.synchronization.bytes_per_second,
        records_shared: store::is_shared(setup),
        records_kept_max: node::RECORDS_KEPT_MAX,
    };
    let seed = base::Random::from_seed(random_bytes().into_diagnostic()?);
    let node = Node::new(settings, configuration, opened.recovered, seed, now());
    tracks::start(&setup.tracks, &sender).into_diagnostic().wrap_err("start to measure what is tracked")?;
    let watchers = Watchers::start(setup, &telling, &sender)?;
    let files = FilesThread::start(setup, keeper, &sender, telling.teller())?;
    let world = World::new(setup, sip, links, rtp, journal, cdr, files, sender, held, telling, watchers)?;
    Daemon {
        node,
        world,
        inbox,
        parent,
        stamped: LocalTime::ZERO,
        carrier_asked: LocalTime::ZERO,
        media_asked: LocalTime::ZERO,
        journal_told: base::Lsn::ZERO,
        lost: None,
        woke: false,
    }
    .run()
}

/// The first event of a life.
fn started(resumed: bool, torn: bool) -> Told {
    let how = if resumed { ", and goes on serving" } else { "" };
    let version = env!("CARGO_PKG_VERSION");
    Told::new("started", format!("tandem {version} starts{how}"))
        .with("version", version)
        .with("resumed", resumed)
        .with("journal_torn", torn)
        .with("pid", std::process::id())
}

/// Both clocks of this machine.
fn now() -> Now {
    Now { local: local_now(), wall: wall_now() }
}

struct Daemon {
    node: Node,
    world: World,
    inbox: Inbox,
    parent: Arc<ParentHandle>,
    stamped: LocalTime,
    carrier_asked: LocalTime,
    media_asked: LocalTime,
    /// How far the node believes the journal to be written.
    journal_told: base::Lsn,
    /// The epoch whose claim to the address was lost and is to be claimed again.
    lost: Option<Epoch>,
    /// The media were asleep and wait.
    woke: bool,
}

impl Daemon {
    fn run(mut self) -> Result<()> {
        let mut sip_batch = Batch::new(BATCH, SIP_BYTES);
        let mut link_batch = Batch::new(BATCH, LINK_BYTES);
        self.step(Event::Timeout)?;
        self.ask_own_address()?;
        self.world.drop_unused_sockets();
        loop {
            let ready = self.wait()?;
            // Everything that waits is read before any silence is judged, a lost carrier first of all: when something is
            // due, even what had nothing a moment ago.
            let due = self.node.next_timeout().is_some_and(|due| due <= local_now());
            let is_ready = |source| due || ready.has(source);
            self.ask_carrier(is_ready(Source::Interfaces))?;
            self.read_links(&mut link_batch, |index| is_ready(Source::Link(index)))?;
            if is_ready(Source::Witness) {
                self.read_witness(&mut link_batch)?;
            }
            if is_ready(Source::Router) {
                self.read_vrrp()?;
            }
            if is_ready(Source::Parent) {
                self.read_parent()?;
            }
            if is_ready(Source::Inbox) {
                self.read_inbox()?;
            }
            self.read_sip(&mut sip_batch, |index| is_ready(Source::Sip(index)))?;
            self.read_journal()?;
            if due {
                self.step(Event::Timeout)?;
                // It may be what is waited for from now on.
                self.read_journal()?;
            }
            // After the time that has passed was judged.
            self.claim_again()?;
            self.release_media();
            self.world.link_timeouts(local_now());
            self.stamp()?;
            self.ask_media()?;
            self.look();
            if self.world.stopped {
                self.world.telling.stopped();
                self.parent.stopping_done().into_diagnostic()?;
                return Ok(());
            }
        }
    }

    fn step(&mut self, event: Event) -> Result<()> {
        if matches!(event, Event::Claimed { .. }) {
            self.world.telling.address_added();
        }
        let (name, begun) = (event.name(), Instant::now());
        let actions = self.node.handle(now(), event);
        self.world.telling.step(name, begun.elapsed());
        let done = self.world.carry_out(actions);
        net::realtime::let_others_go();
        done
    }

    /// Sleeps until something can be read or is due, and tells what can be read.
    fn wait(&self) -> Result<Ready> {
        let node = self.node.next_timeout();
        let links = self.world.links.iter().map(|peer| peer.link.deadline());
        let due = links.chain(node).chain([self.stamped + STAMP_EVERY]).min().unwrap_or(LocalTime::ZERO);
        let left = due.since(local_now());
        let mut wait = Sources::default();
        wait.add(Source::Parent, self.parent.as_fd());
        wait.add(Source::Inbox, self.inbox.as_fd());
        self.world.interfaces.changes().into_iter().for_each(|changes| wait.add(Source::Interfaces, changes));
        self.world.virtual_router.iter().for_each(|router| wait.add(Source::Router, router.as_fd()));
        self.world.watchers.witness.iter().for_each(|socket| wait.add(Source::Witness, socket.as_fd()));
        let links = self.world.links.iter().enumerate();
        links.for_each(|(index, peer)| wait.add(Source::Link(index), peer.socket.as_fd()));
        self.world.sip.iter().enumerate().for_each(|(index, socket)| wait.add(Source::Sip(index), socket.as_fd()));
        // Rounded up: waking a little late is better than spinning.
        let millis = left.as_micros().div_ceil(1000) as i32;
        let timeout = PollTimeout::try_from(millis).unwrap_or(PollTimeout::ZERO);
        wait.wait(timeout).into_diagnostic().wrap_err("wait for sockets")
    }

    fn read_links(&mut self, batch: &mut Batch, is_ready: impl Fn(usize) -> bool) -> Result<()> {
        for index in (0..self.world.links.len()).filter(|index| is_ready(*index)) {
            loop {
                let mut datagrams = Vec::new();
                let socket = &self.world.links[index].socket;
                let count = receive_many(socket, batch, |source, bytes| datagrams.push((source, bytes.to_vec())));
                for (source, bytes) in datagrams {
                    self.peer_datagram(index, source, &bytes)?;
                }
                // An ICMP error of the peer's machine is read like a datagram and means nothing to us.
                if !matches!(count, Ok(count) if count == batch.count()) {
                    break;
                }
            }
        }
        Ok(())
    }

    fn peer_datagram(&mut self, index: usize, source: std::net::SocketAddr, bytes: &[u8]) -> Result<()> {
        let peer = &mut self.world.links[index];
        match peer.link.receive(local_now(), source, bytes) {
            Received::Plain(bytes) => self.step(Event::Peer { link: index as u8, bytes }),
            Received::Reply(bytes) => {
                peer.send(&bytes);
                Ok(())
            }
            Received::Farewell(incarnation) => self.step(Event::Farewell { incarnation }),
            Received::Ignored(_) => Ok(()),
        }
    }

    fn read_witness(&mut self, batch: &mut Batch) -> Result<()> {
        for bytes in self.world.watchers.answers(batch) {
            self.step(Event::Witness { bytes })?;
        }
        Ok(())
    }

    fn read_vrrp(&mut self) -> Result<()> {
        let arrived = self.world.virtual_router.as_mut().map(VirtualRouter::receive).unwrap_or_default();
        for (packet, bytes) in arrived {
            self.step(Event::Vrrp { packet, bytes })?;
        }
        Ok(())
    }

    fn ask_own_address(&mut self) -> Result<()> {
        let router = self.world.virtual_router.as_mut();
        match router.and_then(|router| router.own_address_changed(local_now())) {
            Some(address) => self.step(Event::OwnAddress { address }),
            None => Ok(()),
        }
    }

    fn read_parent(&mut self) -> Result<()> {
        while let Some(message) = self.parent.receive().into_diagnostic()? {
            match message {
                FromParent::Claimed { epoch } => self.step(Event::Claimed { epoch })?,
                FromParent::Lost { epoch } => self.lost = Some(epoch),
                FromParent::Stop => self.step(Event::Asked { number: 0, operator: Operator::Stop })?,
                FromParent::Reload => self.step(Event::Asked { number: 0, operator: Operator::Reload })?,
                FromParent::Held(_) | FromParent::HeldEnd { .. } => {}
            }
        }
        Ok(())
    }

    /// The lease has run out without our doing. After a sleep the peer may have the address: it is claimed again only
    /// when the peer has had the time to say so.
    fn claim_again(&mut self) -> Result<()> {
        let Some(epoch) = self.lost else { return Ok(()) };
        if self.node.role() != Role::Active || self.node.epoch() != epoch {
            self.lost = None;
        } else if self.node.is_certain(local_now()) {
            self.lost = None;
            tracing::warn!(%epoch, "the service address was lost; claiming it again");
            self.parent.claim(epoch).into_diagnostic()?;
        }
        Ok(())
    }

    /// After a sleep: media go on when it is certain that we still serve. A node that does not has nothing to pass on.
    fn release_media(&mut self) {
        let serves = self.node.role() == Role::Active;
        if self.woke && (!serves || self.node.is_certain(local_now())) {
            self.woke = false;
            if serves {
                self.world.media_go_on();
            }
        }
    }

    fn read_inbox(&mut self) -> Result<()> {
        for input in self.inbox.take() {
            match input {
                Input::Event(event) => self.step(event)?,
                Input::Ask { operator, reply } => {
                    let number = self.world.expect_reply(reply);
                    self.step(Event::Asked { number, operator })?;
                }
                Input::Woke => self.woke = true,
            }
        }
        Ok(())
    }

    /// How far the journal is written. Where nothing waits for it, the node is told with the next stamp, for its status.
    fn read_journal(&mut self) -> Result<()> {
        let waits = self.node.waits_for_journal();
        let lsn = self.inbox.journal_written(waits);
        if lsn == self.journal_told || !(waits || local_now() >= self.stamped + STAMP_EVERY) {
            return Ok(());
        }
        self.journal_told = lsn;
        self.step(Event::JournalWritten { lsn })
    }

    fn read_sip(&mut self, batch: &mut Batch, is_ready: impl Fn(usize) -> bool) -> Result<()> {
        for index in (0..self.world.sip.len()).filter(|index| is_ready(*index)) {
            let mut datagrams = Vec::new();
            let (local, socket) = self.world.sip.get(index);
            // An error is an ICMP answer to something that we sent; the transaction's own timer sees to it.
            let _ = receive_many(socket, batch, |source, bytes| datagrams.push((source, bytes.to_vec())));
            for (source, bytes) in datagrams {
                self.step(Event::Datagram { local, source, bytes })?;
            }
        }
        Ok(())
    }

    fn stamp(&mut self) -> Result<()> {
        let now = local_now();
        if now < self.stamped + STAMP_EVERY {
            return Ok(());
        }
        self.stamped = now;
        let active = self.node.role() == Role::Active;
        self.parent.stamp(active, self.node.epoch(), active && self.node.is_protected()).into_diagnostic()
    }

    fn ask_media(&mut self) -> Result<()> {
        let now = local_now();
        // The first audio of a takeover is timed; else it is enough to know that there is some.
        if now < self.media_asked + MEDIA_HEARD_EVERY && !self.world.telling.wants_audio() {
            return Ok(());
        }
        self.media_asked = now;
        if !self.world.media_came() {
            return Ok(());
        }
        self.world.telling.audio_came();
        self.step(Event::MediaHeard)
    }

    /// What events, alarm and metrics want to know, each second.
    fn look(&mut self) {
        let now = now();
        if self.world.telling.wants_look(now.local) {
            self.world.telling.look(now.local);
            let (links, audio) = (self.world.link_numbers(), self.world.audio_numbers());
            self.world.telling.show(&self.node.status(now), &links, audio);
        }
    }

    fn ask_carrier(&mut self, is_ready: bool) -> Result<()> {
        let now = local_now();
        let changed = is_ready && self.world.interfaces.links_changed();
        if !changed && now < self.carrier_asked + CARRIER_EVERY {
            return Ok(());
        }
        self.carrier_asked = now;
        if let Some(up) = self.world.carrier_changed() {
            self.step(Event::Carrier { up })?;
        }
        self.ask_own_address()
    }
}
