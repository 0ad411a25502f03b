//! Carries out what the node wants done.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use admin::events::Telling as Event;
use admin::metrics::{AudioNumbers, LinkNumbers};
use base::LocalTime;
use miette::{IntoDiagnostic, Result};
use net::clock::local_now;
use net::link::Link;
use net::parent::{HeldSocket, ParentHandle};
use net::rtp::RtpThreads;
use net::sockets::{UdpOptions, bind_udp};
use node::media::relay::Port;
use node::{Action, Answer};
use storage::{CdrStore, Journal};

use super::files::FilesThread;
use super::inbox::InboxSender;
use super::interfaces::Interfaces;
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

/// What the parent calls a media socket: a former life may have had the port on another address.
fn rtp_name(local: Option<IpAddr>, port: u16) -> String {
    match local {
        None => format!("rtp/{port}"),
        Some(own) => format!("rtp/{}", SocketAddr::new(own, port)),
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

    /// The sockets of this port and of the next one. The parent is told of both at once: it is woken for each message.
    fn rtp_sockets(&mut self, local: Option<IpAddr>, own: IpAddr, port: u16) -> Result<[UdpSocket; 2]> {
        let options = UdpOptions { freebind: true, dscp: Some(DSCP_VOICE), receive_buffer_bytes: None };
        let mut socket = |port| {
            let name = rtp_name(local, port);
            let inherited = self.inherited.remove(&name).map(UdpSocket::from);
            let is_new = inherited.is_none();
            let socket =
                inherited.map_or_else(|| bind_udp(SocketAddr::new(own, port), options).into_diagnostic(), Ok)?;
            Ok::<_, miette::Report>((name, socket, is_new))
        };
        let both = [socket(port)?, socket(port.saturating_add(1))?];
        let new = both.iter().filter(|(_, _, is_new)| *is_new);
        let new: Vec<_> = new.map(|(name, socket, _)| (name.clone(), socket.as_fd())).collect();
        if !new.is_empty() {
            self.parent.hold_many(&new).into_diagnostic()?;
        }
        Ok(both.map(|(_, socket, _)| socket))
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
    pub interfaces: Interfaces,
    /// The node has stopped as it was asked to.
    pub stopped: bool,
    pub telling: Telling,
    pub watchers: Watchers,
    held: Held,
    rtp: RtpThreads,
    packets_seen: u64,
    /// With the address that each is on, as the port says it.
    open_ports: BTreeMap<u16, Option<IpAddr>>,
    journal: Journal,
    cdr: CdrStore,
    files: FilesThread,
    sender: InboxSender,
    replies: BTreeMap<u64, Sender<Answer>>,
    next_reply: u64,
    pbx_dir: PathBuf,
    /// The first one, of ports that say no other.
    service: IpAddr,
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
        files: FilesThread,
        sender: InboxSender,
        held: Held,
        telling: Telling,
        watchers: Watchers,
    ) -> Result<Self> {
        Ok(Self {
            links,
            sip,
            virtual_router: VirtualRouter::open(setup)?,
            interfaces: Interfaces::open(setup)?,
            stopped: false,
            telling,
            watchers,
            held,
            rtp,
            packets_seen: 0,
            open_ports: BTreeMap::new(),
            journal,
            cdr,
            files,
            sender,
            replies: BTreeMap::new(),
            next_reply: 1,
            pbx_dir: setup.pbx_dir.clone(),
            service: setup.service.first(),
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
                if let Some(router) = &mut self.virtual_router {
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
                self.interfaces.tell_neighbours(&parties);
                self.telling.neighbours_told();
            }
            Action::JournalAppend { position, bytes } => self.journal.append(position, local_now(), bytes),
            Action::JournalCheckpoint(checkpoint) => self.journal.checkpoint(local_now(), checkpoint),
            Action::KeepDurable(durable) => self.journal.keep_durable(durable),
            Action::StoreRecord(record) => self.cdr.store(*record),
            Action::SpoolRecord(record) => self.cdr.spool(*record),
            Action::LeaveRecords => self.cdr.leave(),
            Action::LoadPbx { asked_by } => self.load_pbx(asked_by),
            Action::Files(action) => self.files.act(action),
            Action::Reply { number, mut answer } => {
                if let Answer::Status(status) = answer.as_mut() {
                    status.worst_step = self.telling.worst_step();
                }
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

    /// Whether every interface has a carrier, when that is news.
    pub fn carrier_changed(&mut self) -> Option<bool> {
        let telling = &self.telling;
        self.interfaces.carrier_changed(|interface, up| {
            let text = format!("{interface} has {} carrier", if up { "a" } else { "no" });
            telling.event(Event::new("carrier", text).with("interface", interface).with("up", up));
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
        let (number, local) = (port.port, port.local);
        let own = local.unwrap_or(self.service);
        let open = || -> Result<()> {
            let [rtp, rtcp] = self.held.rtp_sockets(local, own, number)?;
            self.rtp.open(port, OwnedFd::from(rtp), OwnedFd::from(rtcp)).into_diagnostic()
        };
        match open() {
            Ok(()) => drop(self.open_ports.insert(number, local)),
            Err(error) => tracing::error!(port = number, "a media port could not be opened: {error}"),
        }
    }

    fn close_port(&mut self, port: u16) {
        self.rtp.close(port);
        if let Some(local) = self.open_ports.remove(&port) {
            self.held.release(&rtp_name(local, port));
            self.held.release(&rtp_name(local, port.saturating_add(1)));
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
