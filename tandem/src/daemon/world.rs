//! Carries out what the node wants done.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use admin::events::Telling as Event;
use admin::metrics::{AudioNumbers, LinkNumbers};
use base::LocalTime;
use miette::{IntoDiagnostic, Result};
use net::clock::local_now;
use net::link::Link;
use net::neighbours::Neighbours;
use net::netlink::{Addresses, Subscription};
use net::parent::{HeldSocket, ParentHandle};
use net::rtp::RtpThreads;
use net::sockets::{UdpOptions, bind_udp};
use node::media::relay::Port;
use node::{Action, Answer};
use storage::{CdrStore, Journal};

use super::inbox::InboxSender;
use super::sip_sockets::SipSockets;
use super::telling::Telling;
use super::virtual_router::VirtualRouter;
use super::watchers::Watchers;
use crate::setup::Setup;

/// Expedited forwarding for voice (RFC 4594 4.1), class selector 3 for signalling (4.2).
const DSCP_VOICE: u8 = 46;
const DSCP_SIGNALLING: u8 = 24;

/// Room for a burst of registrations while the loop is busy.
const SIP_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// One path to the peer.
pub struct PeerLink {
    pub link: Link,
    pub socket: UdpSocket,
}

impl PeerLink {
    /// Lost is lost: heartbeats come again, and so do the log's segments.
    pub fn send(&self, bytes: &[u8]) {
        let _ = self.socket.send_to(bytes, self.link.remote());
    }
}

/// Sockets whose duplicates the parent keeps, so that the death of this process closes none of them.
pub struct Held {
    parent: Arc<ParentHandle>,
    inherited: BTreeMap<String, OwnedFd>,
}

impl Held {
    pub fn new(parent: Arc<ParentHandle>, sockets: Vec<HeldSocket>) -> Self {
        let inherited = sockets.into_iter().map(|held| (held.name, held.socket)).collect();
        Self { parent, inherited }
    }

    pub fn sip_socket(&mut self, address: SocketAddr) -> Result<UdpSocket> {
        let buffer = Some(SIP_BUFFER_BYTES);
        let options = UdpOptions { freebind: true, dscp: Some(DSCP_SIGNALLING), receive_buffer_bytes: buffer };
        self.take_or_bind(format!("sip/{address}"), address, options)
    }

    pub fn link_socket(&mut self, address: SocketAddr) -> Result<UdpSocket> {
        let options = UdpOptions { freebind: true, dscp: Some(DSCP_SIGNALLING), receive_buffer_bytes: None };
        self.take_or_bind(format!("link/{address}"), address, options)
    }

    fn rtp_socket(&mut self, address: SocketAddr) -> Result<UdpSocket> {
        let options = UdpOptions { freebind: true, dscp: Some(DSCP_VOICE), receive_buffer_bytes: None };
        self.take_or_bind(format!("rtp/{}", address.port()), address, options)
    }

    fn take_or_bind(&mut self, name: String, address: SocketAddr, options: UdpOptions) -> Result<UdpSocket> {
        if let Some(socket) = self.inherited.remove(&name) {
            return Ok(UdpSocket::from(socket));
        }
        let socket = bind_udp(address, options).into_diagnostic()?;
        self.parent.hold(&name, socket.as_fd()).into_diagnostic()?;
        Ok(socket)
    }

    fn release(&mut self, name: &str) {
        // A parent that cannot be told is dead, and so are we in a moment.
        let _ = self.parent.drop_held(name);
    }
}

pub struct World {
    pub links: Vec<PeerLink>,
    pub sip: SipSockets,
    /// `None` where no other routers are told of us.
    pub virtual_router: Option<VirtualRouter>,
    /// The node has stopped as it was asked to.
    pub stopped: bool,
    pub telling: Telling,
    pub watchers: Watchers,
    held: Held,
    rtp: RtpThreads,
    packets_seen: u64,
    open_ports: BTreeSet<u16>,
    journal: Journal,
    cdr: CdrStore,
    sender: InboxSender,
    replies: BTreeMap<u64, Sender<Answer>>,
    next_reply: u64,
    pbx_dir: PathBuf,
    service: IpAddr,
    interface: Option<Interface>,
}

struct Interface {
    name: String,
    addresses: Addresses,
    /// Tells at once when a link changes, long before a heartbeat is missed.
    changes: Option<Subscription>,
    neighbours: Option<Neighbours>,
    carrier: bool,
}

impl World {
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        setup: &Setup,
        sip: SipSockets,
        links: Vec<PeerLink>,
        rtp: RtpThreads,
        journal: Journal,
        cdr: CdrStore,
        sender: InboxSender,
        held: Held,
        telling: Telling,
        watchers: Watchers,
    ) -> Result<Self> {
        let interface = match &setup.interface {
            Some(name) => Some(Interface {
                name: name.clone(),
                addresses: Addresses::open().into_diagnostic()?,
                changes: net::netlink::subscribe()
                    .inspect_err(|error| tracing::warn!(%error, "a lost carrier is noticed late"))
                    .ok(),
                neighbours: Neighbours::open(name)
                    .inspect_err(|error| tracing::warn!(%error, "neighbours cannot be told that the address moved"))
                    .ok(),
                carrier: true,
            }),
            None => None,
        };
        Ok(Self {
            links,
            sip,
            virtual_router: VirtualRouter::open(setup)?,
            stopped: false,
            telling,
            watchers,
            held,
            rtp,
            packets_seen: 0,
            open_ports: BTreeSet::new(),
            journal,
            cdr,
            sender,
            replies: BTreeMap::new(),
            next_reply: 1,
            pbx_dir: setup.pbx_dir.clone(),
            service: setup.service,
            interface,
        })
    }

    pub fn carry_out(&mut self, actions: Vec<Action>) -> Result<()> {
        for action in actions {
            self.act(action)?;
        }
        Ok(())
    }

    fn act(&mut self, action: Action) -> Result<()> {
        match action {
            Action::Send { local, destination, bytes } => {
                if let Some(socket) = self.sip.of(local)
                    && let Err(error) = socket.send_to(&bytes, destination)
                {
                    // Retransmissions see to it; while the address is elsewhere this is the fence.
                    tracing::debug!(%destination, %error, "a SIP message did not leave");
                }
            }
            Action::PeerSend { link, bytes } => self.peer_send(link, &bytes),
            Action::SendVrrp { source, destination, bytes } => {
                if let Some(router) = &self.virtual_router {
                    router.send(source, destination, &bytes);
                }
            }
            Action::AskWitness { bytes } => self.watchers.ask(&bytes),
            Action::Fence(fence) => self.watchers.fence(fence),
            Action::OpenPort(port) => self.open_port(port),
            Action::UpdatePort(port) => {
                if let Err(error) = self.rtp.update(port) {
                    tracing::error!(%error, "a media port could not be changed");
                }
            }
            Action::ClosePort(port) => self.close_port(port),
            Action::MediaTakenOver => self.rtp.taken_over(),
            Action::Claim { epoch } => self.held.parent.claim(epoch).into_diagnostic()?,
            Action::Yield => self.held.parent.yield_address().into_diagnostic()?,
            Action::TellNeighbours { parties } => {
                self.tell_neighbours(&parties);
                self.telling.neighbours_told();
            }
            Action::JournalAppend { position, bytes } => self.journal.append(position, local_now(), bytes),
            Action::JournalCheckpoint(checkpoint) => self.journal.checkpoint(local_now(), checkpoint),
            Action::KeepDurable(durable) => self.journal.keep_durable(durable),
            Action::StoreRecord(record) => self.cdr.store(*record),
            Action::LoadPbx { asked_by } => self.load_pbx(asked_by),
            Action::Reply { number, answer } => {
                if let Some(reply) = self.replies.remove(&number) {
                    // Whoever asked may have gone.
                    let _ = reply.send(*answer);
                }
            }
            Action::Tell(tell) => self.telling.tell(&tell),
            Action::Stopped => self.stopped = true,
        }
        Ok(())
    }

    /// The number under which the answer to this question will come.
    pub fn expect_reply(&mut self, reply: Sender<Answer>) -> u64 {
        let number = self.next_reply;
        self.next_reply += 1;
        self.replies.insert(number, reply);
        number
    }

    pub fn link_timeouts(&mut self, now: LocalTime) {
        for peer in &mut self.links {
            if peer.link.deadline() <= now
                && let Some(bytes) = peer.link.timeout(now)
            {
                peer.send(&bytes);
            }
        }
    }

    /// It is certain that this node serves.
    pub fn media_go_on(&self) {
        self.rtp.go_on();
    }

    /// Media has come since this was last asked.
    pub fn media_came(&mut self) -> bool {
        let packets = self.rtp.totals().packets_received;
        std::mem::replace(&mut self.packets_seen, packets) != packets
    }

    /// Each link's counts.
    pub fn link_numbers(&self) -> Vec<LinkNumbers> {
        let numbers = |peer: &PeerLink| {
            let counts = peer.link.counts();
            let ignored = [
                counts.ignored_source,
                counts.ignored_malformed,
                counts.ignored_unauthentic,
                counts.ignored_replayed,
                counts.ignored_unknown_session,
            ];
            LinkNumbers {
                name: peer.link.remote().to_string(),
                received: counts.received,
                sent: counts.sent,
                ignored: ignored.iter().sum(),
                handshakes: counts.handshakes,
            }
        };
        self.links.iter().map(numbers).collect()
    }

    pub fn audio_numbers(&self) -> AudioNumbers {
        let totals = self.rtp.totals();
        AudioNumbers {
            packets_received: totals.packets_received,
            packets_sent: totals.packets_sent,
            errors: totals.receive_errors + totals.send_errors + totals.oversize,
        }
    }

    /// What wakes the loop when a link changes.
    pub fn changes(&self) -> Option<BorrowedFd<'_>> {
        self.interface.as_ref()?.changes.as_ref().map(AsFd::as_fd)
    }

    /// Something about links has changed since this was last asked.
    pub fn links_changed(&mut self) -> bool {
        let changes = self.interface.as_mut().and_then(|interface| interface.changes.as_mut());
        changes.is_some_and(|changes| !changes.events().is_empty())
    }

    /// Whether the interface has a carrier, when that is news.
    pub fn carrier_changed(&mut self) -> Option<bool> {
        let interface = self.interface.as_mut()?;
        let up = interface.addresses.carrier(&interface.name).unwrap_or(false);
        (up != interface.carrier).then(|| {
            interface.carrier = up;
            let text = format!("{} has {} carrier", interface.name, if up { "a" } else { "no" });
            self.telling.event(Event::new("carrier", text).with("up", up));
            up
        })
    }

    /// Sockets of a former life that no call uses any more.
    pub fn drop_unused_sockets(&mut self) {
        for name in std::mem::take(&mut self.held.inherited).into_keys() {
            self.held.release(&name);
        }
    }

    fn peer_send(&mut self, link: u8, bytes: &[u8]) {
        let Some(peer) = self.links.get_mut(usize::from(link)) else { return };
        if let Some(sealed) = peer.link.seal(bytes) {
            peer.send(&sealed);
        }
    }

    fn open_port(&mut self, port: Port) {
        let number = port.port;
        let open = || -> Result<()> {
            let rtp = self.held.rtp_socket(SocketAddr::new(self.service, number))?;
            let rtcp = self.held.rtp_socket(SocketAddr::new(self.service, number.saturating_add(1)))?;
            self.rtp.open(port, OwnedFd::from(rtp), OwnedFd::from(rtcp)).into_diagnostic()
        };
        match open() {
            Ok(()) => drop(self.open_ports.insert(number)),
            Err(error) => tracing::error!(port = number, "a media port could not be opened: {error}"),
        }
    }

    fn close_port(&mut self, port: u16) {
        self.rtp.close(port);
        if self.open_ports.remove(&port) {
            self.held.release(&format!("rtp/{port}"));
            self.held.release(&format!("rtp/{}", port.saturating_add(1)));
        }
    }

    fn tell_neighbours(&self, parties: &[IpAddr]) {
        let neighbours = self.interface.as_ref().and_then(|interface| interface.neighbours.as_ref());
        let (Some(neighbours), IpAddr::V4(service)) = (neighbours, self.service) else { return };
        let parties: Vec<_> = parties
            .iter()
            .filter_map(|party| match party {
                IpAddr::V4(party) => Some(*party),
                IpAddr::V6(_) => None,
            })
            .collect();
        let told = neighbours.announce(service).and_then(|()| neighbours.ask(service, &parties));
        if let Err(error) = told {
            tracing::warn!(%error, "neighbours were not told that the address is here");
        }
    }

    fn load_pbx(&self, asked_by: Option<u64>) {
        let (dir, sender) = (self.pbx_dir.clone(), self.sender.clone());
        std::thread::spawn(move || {
            let loaded = crate::setup::load_files(&dir);
            sender.event(node::Event::PbxLoaded { loaded: Box::new(loaded), asked_by });
        });
    }
}
