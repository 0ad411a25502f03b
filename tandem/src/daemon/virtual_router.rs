//! The daemon's end of VRRP: the raw socket, and the own address that adverts come from.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use base::LocalTime;
use miette::{IntoDiagnostic, Result, WrapErr};
use net::clock::wall_now;
use net::netlink::Addresses;
use net::vrrp::hmac::{Authenticator, HmacError};
use net::vrrp::{Arrived, VrrpSocket, own_address};
use node::cluster::vrrp::{Packet, group_of};

use crate::setup::Setup;

/// Senders of which is remembered that they were told of. A forger with many addresses fills no log.
const REFUSED_MAX: usize = 16;

/// How often the machine's own address is asked for. It changes next to never, and each time costs a list of addresses.
const OWN_ADDRESS_EVERY: Duration = Duration::from_secs(1);

pub struct VirtualRouter {
    socket: VrrpSocket,
    /// On the virtual link, which is up while this node serves.
    sender: Option<VrrpSocket>,
    authenticator: Option<Authenticator>,
    /// Whose adverts were not believed and why, told once each until a good one comes.
    refused: BTreeMap<IpAddr, HmacError>,
    addresses: Addresses,
    vrid: u8,
    interface: String,
    service: IpAddr,
    own: Option<IpAddr>,
    own_asked: LocalTime,
}

impl VirtualRouter {
    /// `None` where it is not configured. That the socket cannot be opened is an error: other routers would take the
    /// address while we serve.
    pub fn open(setup: &Setup) -> Result<Option<Self>> {
        let (Some(vrrp), Some(first)) = (&setup.vrrp, setup.interfaces.first()) else { return Ok(None) };
        let authenticator = setup.vrrp_key.clone().map(|key| Authenticator::new(key, vrrp.interval));
        let (interface, service) = (setup.lower(&first.interface).to_owned(), first.address);
        let multicast = vrrp.unicast_peers.is_empty();
        let socket = VrrpSocket::open(&interface, group_of(service), multicast);
        let socket = socket.into_diagnostic().wrap_err("[vrrp] is enabled")?;
        // Adverts have the virtual router's Ethernet address as their source (RFC 9568 section 7.2).
        let sender = setup.virtual_interface.as_ref().map(|link| {
            VrrpSocket::open(&link.name, group_of(service), false).into_diagnostic().wrap_err("[vrrp] virtual_mac")
        });
        let sender = sender.transpose()?;
        let addresses = Addresses::open().into_diagnostic()?;
        Ok(Some(Self {
            socket,
            sender,
            authenticator,
            refused: BTreeMap::new(),
            addresses,
            vrid: vrrp.vrid,
            interface,
            service,
            own: None,
            own_asked: LocalTime::ZERO,
        }))
    }

    /// Lost is lost: the next advert comes in an interval.
    pub fn send(&mut self, source: IpAddr, destination: IpAddr, bytes: &[u8]) {
        let sealed = self.authenticator.as_mut().map(|it| it.seal(wall_now(), source, bytes));
        let bytes = sealed.as_deref().unwrap_or(bytes);
        let on_link = self.sender.as_ref().is_some_and(|sender| sender.send(source, destination, bytes).is_ok());
        // The standby's one advert while its link is down, and IPv6, whose source is bound to its interface.
        if !on_link && let Err(error) = self.socket.send(source, destination, bytes) {
            tracing::debug!(%destination, %error, "a VRRP advert did not leave");
        }
    }

    /// What is waiting, at most a batch.
    pub fn receive(&mut self) -> Vec<(Packet, Vec<u8>)> {
        let arrived = self.socket.receive();
        let believed = arrived.into_iter().filter_map(|arrived| self.believe(arrived));
        believed.collect()
    }

    /// An advert as the RFCs have it, when its sender has proven itself as far as that is asked for. Other virtual
    /// routers' adverts are none of our business, and have keys of their own.
    fn believe(&mut self, arrived: Arrived) -> Option<(Packet, Vec<u8>)> {
        let Arrived { source, destination, ttl, bytes } = arrived;
        let packet = Packet { source, destination, ttl };
        let Some(authenticator) = &mut self.authenticator else { return Some((packet, bytes)) };
        if bytes.get(1) != Some(&self.vrid) {
            return None;
        }
        match authenticator.open(wall_now(), source, &bytes) {
            Ok(advert) => {
                self.refused.remove(&source);
                Some((packet, advert.to_vec()))
            }
            Err(error) => {
                if self.refused.len() < REFUSED_MAX && self.refused.insert(source, error) != Some(error) {
                    tracing::warn!(%source, %error, "a VRRP advert is refused");
                }
                None
            }
        }
    }

    /// The machine's own address on the interface, when that is news.
    pub fn own_address_changed(&mut self, now: LocalTime) -> Option<Option<IpAddr>> {
        if now < self.own_asked + OWN_ADDRESS_EVERY {
            return None;
        }
        self.own_asked = now;
        // An answer that does not come changes nothing.
        let own = own_address(&mut self.addresses, &self.interface, self.service).unwrap_or(self.own);
        if own == self.own {
            return None;
        }
        match own {
            Some(own) => tracing::info!(%own, "VRRP adverts come from this address"),
            None => tracing::warn!(interface = self.interface, "no VRRP advert is sent without an address of our own"),
        }
        self.own = own;
        Some(own)
    }
}

impl AsFd for VirtualRouter {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
