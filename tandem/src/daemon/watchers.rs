//! The daemon's end of what keeps two nodes from serving at once: the witness, the fencing program, the ping targets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use admin::config::{Safeguards, WitnessPlace};
use admin::events::Telling as Told;
use admin::hooks::Fencer;
use base::NodeIndex;
use miette::{IntoDiagnostic, Result, WrapErr, miette};
use net::etcd;
use net::sockets::{Batch, UdpOptions, bind_udp, receive_many};
use net::witness::Seal;
use node::Event;
use node::cluster::Pings;
use node::cluster::output::Fence;
use node::cluster::witness::{Answer, Ask};

use super::inbox::InboxSender;
use super::telling::Telling;
use crate::setup::Setup;

/// As the links: class selector 3.
const DSCP: u8 = 24;

/// Batches of answers that are read before the loop goes on; a flood must not keep it.
const BATCHES_AT_ONCE: usize = 4;

pub struct Watchers {
    /// One for each address family of the witness's addresses; empty without a witness.
    pub witness: Vec<UdpSocket>,
    addresses: Vec<SocketAddr>,
    seal: Option<Seal>,
    /// Where an etcd is the witness.
    etcd: Option<etcd::Asker>,
    fencer: Option<Fencer>,
    sender: InboxSender,
}

impl Watchers {
    pub fn start(setup: &Setup, telling: &Telling, sender: &InboxSender) -> Result<Self> {
        let Safeguards { witness, ping, fencing, .. } = &setup.safeguards;
        let addresses = witness.as_ref().map(|witness| witness.addresses().to_vec()).unwrap_or_default();
        let seal = match (&setup.key, witness) {
            (_, None) => None,
            (Some(key), Some(_)) => Some(Seal::new(&key.witness_key())),
            (None, Some(_)) => return Err(miette!("a witness needs the pair's key")),
        };
        let etcd = match (witness.as_ref().map(|witness| &witness.place), &seal) {
            (Some(WitnessPlace::Etcd(etcd)), Some(seal)) => {
                let settings = crate::witness::etcd_settings(etcd, seal);
                Some(start_etcd(&settings, setup.index, telling, sender).wrap_err("[witness] is configured")?)
            }
            _ => None,
        };
        let ended = sender.clone();
        let start = |program| {
            let done = move |number, done| ended.event(Event::Fenced { number, done });
            Fencer::start(program, &setup.name, telling.teller(), done)
        };
        let fencer = fencing.as_ref().map(start).transpose().into_diagnostic().wrap_err("[fencing] is configured")?;
        if let (Some(ping), Some(place)) = (ping, setup.interfaces.first()) {
            start_pings(setup.lower(&place.interface), &ping.targets, telling, sender)
                .wrap_err("[ping] is configured")?;
        }
        Ok(Self { witness: sockets(&addresses)?, addresses, seal, etcd, fencer, sender: sender.clone() })
    }

    /// Lost is lost: the next ask comes within some milliseconds.
    pub fn ask(&self, body: &[u8]) {
        if let (Some(etcd), Ok(ask)) = (&self.etcd, Ask::decode(body)) {
            return etcd.ask(ask);
        }
        let Some(seal) = &self.seal else { return };
        let datagram = seal.seal_ask(body);
        for address in &self.addresses {
            let same = |socket: &&UdpSocket| socket.local_addr().is_ok_and(|own| own.is_ipv4() == address.is_ipv4());
            if let Some(socket) = self.witness.iter().find(same) {
                let _ = socket.send_to(&datagram, address);
            }
        }
    }

    /// The authentic answers that wait.
    pub fn answers(&self, batch: &mut Batch) -> Vec<Vec<u8>> {
        let Some(seal) = &self.seal else { return Vec::new() };
        let mut answers = Vec::new();
        for socket in &self.witness {
            for _ in 0..BATCHES_AT_ONCE {
                let take = |_: SocketAddr, bytes: &[u8]| answers.extend(seal.open_answer(bytes).map(<[u8]>::to_vec));
                // An ICMP error says that the witness does not listen, which its silence says as well.
                if !matches!(receive_many(socket, batch, take), Ok(count) if count == batch.count()) {
                    break;
                }
            }
        }
        answers
    }

    pub fn fence(&self, fence: Fence) {
        let number = fence.number;
        if !self.fencer.as_ref().is_some_and(|fencer| fencer.fence(fence)) {
            self.sender.event(Event::Fenced { number, done: false });
        }
    }
}

fn start_etcd(
    settings: &etcd::Settings,
    index: NodeIndex,
    telling: &Telling,
    sender: &InboxSender,
) -> Result<etcd::Asker> {
    let (sender, teller) = (sender.clone(), telling.teller());
    let answered = move |answer: Answer| sender.event(Event::Witness { bytes: answer.encode() });
    let told = move |text| {
        teller.tell(Told::new("witness", text));
    };
    etcd::start(settings, index, answered, told).into_diagnostic()
}

/// Bound to no address of their own: the way to the witness may change with the routes.
fn sockets(addresses: &[SocketAddr]) -> Result<Vec<UdpSocket>> {
    let options = UdpOptions { freebind: false, dscp: Some(DSCP), receive_buffer_bytes: None };
    let any: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    let wanted = any.into_iter().filter(|any| addresses.iter().any(|address| address.is_ipv4() == any.is_ipv4()));
    wanted.map(|any| bind_udp(SocketAddr::new(any, 0), options).into_diagnostic()).collect()
}

fn start_pings(interface: &str, targets: &[IpAddr], telling: &Telling, sender: &InboxSender) -> Result<()> {
    let (sender, teller) = (sender.clone(), telling.teller());
    let count = u8::try_from(targets.len()).unwrap_or(u8::MAX);
    let told = move |answering: u8| {
        let text = format!("{answering} of {count} ping targets answer");
        teller.tell(Told::new("ping", text).with("answering", answering).with("targets", count));
        sender.event(Event::Pings { pings: Pings { answering, targets: count } });
    };
    net::ping::start(interface, targets, told).into_diagnostic()
}
