//! The service addresses on the machine's interfaces: held together or not at all.

use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use super::decide::LEASE;
use super::{ParentConfig, ParentError, ServiceAddress, VirtualInterface};
use crate::netlink::{Addresses, NetlinkError, NetworkEvent, Subscription, subscribe};

/// The addresses and the sockets that look after them.
#[derive(Debug)]
pub(super) struct Service {
    group: Vec<ServiceAddress>,
    virtual_interface: Option<VirtualInterface>,
    addresses: Addresses,
    subscription: Subscription,
    /// While they are bound, no other node on this machine can serve the same addresses.
    _reserved: Vec<UnixDatagram>,
}

impl Service {
    pub fn open(config: &ParentConfig) -> Result<Self, ParentError> {
        let group = &config.services;
        // First of all: what is removed below may be the address of a node that serves.
        let reserved = group.iter().map(|service| reserve(service.address)).collect::<Result<_, _>>()?;
        let mut addresses = Addresses::open().map_err(ParentError::Netlink)?;
        let subscription = subscribe().map_err(ParentError::Netlink)?;
        if let Some(VirtualInterface { name, lower, hardware }) = &config.virtual_interface {
            let made = addresses.add_virtual_link(name, lower, *hardware);
            made.and_then(|()| addresses.speak_for_own_addresses(name))
                .and_then(|()| addresses.speak_for_own_addresses(lower))
                .map_err(ParentError::Netlink)?;
        }
        for service in group {
            addresses.interface_index(&service.interface).map_err(ParentError::Netlink)?;
        }
        let virtual_interface = config.virtual_interface.clone();
        let mut service =
            Self { group: group.clone(), virtual_interface, addresses, subscription, _reserved: reserved };
        // What a former parent left behind is nobody's: it would answer for a node that serves nothing.
        service.remove();
        Ok(service)
    }

    /// Adds all of them, or renews them. One that cannot be added takes the others with it: who serves one network only
    /// keeps the other node from serving all.
    pub fn add(&mut self) -> bool {
        if !self.set_virtual_up(true) {
            return false;
        }
        for ServiceAddress { interface, address } in &self.group {
            let result = self.addresses.add(interface, *address, prefix(*address), Some(LEASE));
            if let Err(error) = result {
                tracing::error!(error = &error as &dyn std::error::Error, %address, interface, "cannot add the address");
                self.remove();
                return false;
            }
        }
        true
    }

    /// Renews all of them. One that fails is tried again long before the lease ends.
    pub fn renew(&mut self) {
        for ServiceAddress { interface, address } in &self.group {
            let result = self.addresses.add(interface, *address, prefix(*address), Some(LEASE));
            if let Err(error) = result {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, %address, interface, "cannot renew the address");
            }
        }
    }

    pub fn remove(&mut self) {
        for ServiceAddress { interface, address } in &self.group {
            match self.addresses.remove(interface, *address, prefix(*address)) {
                Ok(_) | Err(NetlinkError::NoInterface(_)) => {}
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, %address, interface, "cannot remove the address");
                }
            }
        }
        self.drop_waiting();
        self.set_virtual_up(false);
    }

    /// What was to be sent while there was no way to send it is stale, and may be no longer ours to say.
    fn drop_waiting(&mut self) {
        for ServiceAddress { interface, .. } in &self.group {
            match self.addresses.drop_waiting(interface) {
                Ok(_) | Err(NetlinkError::NoInterface(_)) => {}
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, interface, "cannot drop what waits for silent neighbours");
                }
            }
        }
    }

    /// The other node's hardware address is the same: only who serves has the link up.
    fn set_virtual_up(&mut self, up: bool) -> bool {
        let Some(link) = &self.virtual_interface else { return true };
        let result = self.addresses.set_link_up(&link.name, up);
        if let Err(error) = &result {
            let error = error as &dyn std::error::Error;
            tracing::error!(error, link = link.name, up, "cannot set the virtual link up or down");
        }
        result.is_ok()
    }

    /// Hears what the kernel reports. When a cable is back, what waited for it is dropped; true when an address is missing.
    pub fn notice_changes(&mut self) -> bool {
        let events = self.subscription.events();
        if events.iter().any(|event| matches!(event, NetworkEvent::Carrier { carrier: true, .. })) {
            self.drop_waiting();
        }
        let concerns = |event: &NetworkEvent| match event {
            NetworkEvent::AddressRemoved { address, .. } => self.group.iter().any(|own| own.address == *address),
            NetworkEvent::InterfaceGone { .. } | NetworkEvent::Lost => true,
            NetworkEvent::AddressAdded { .. } | NetworkEvent::Carrier { .. } => false,
        };
        if !events.iter().any(concerns) {
            return false;
        }
        let addresses = &mut self.addresses;
        self.group.iter().any(|own| !addresses.has(&own.interface, own.address).unwrap_or(false))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(link) = &self.virtual_interface
            && let Err(error) = self.addresses.remove_link(&link.name)
        {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                link = link.name,
                "cannot remove the virtual link"
            );
        }
    }
}

impl AsFd for Service {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.subscription.as_fd()
    }
}

fn prefix(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// A name in the abstract namespace (unix(7)): it belongs to the network namespace as the address does, and goes with the
/// process.
fn reserve(address: IpAddr) -> Result<UnixDatagram, ParentError> {
    let name = SocketAddr::from_abstract_name(format!("tandem/service/{address}"));
    name.and_then(|name| UnixDatagram::bind_addr(&name)).map_err(|source| match source.kind() {
        std::io::ErrorKind::AddrInUse => ParentError::AlreadyServed { address },
        _ => ParentError::Reserve { address, source },
    })
}
