//! The interfaces of the service addresses: whether they have a carrier, and the telling of who is on them.

use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

use miette::{IntoDiagnostic, Result};
use net::neighbours::{Neighbours, NeighboursError};
use net::netlink::{Addresses, Subscription};
use pbx::ServiceAddress;
use pbx::service::in_subnet;

use crate::setup::Setup;

/// All of them; none where the addresses are the machine's own.
pub struct Interfaces {
    all: Vec<Interface>,
    addresses: Addresses,
    /// Tells at once when a link changes, long before a heartbeat is missed.
    changes: Option<Subscription>,
    /// Every one of them has a carrier.
    carrier: bool,
}

/// One interface, and the service addresses on it.
struct Interface {
    /// Where the addresses are, and neighbours hear of them.
    name: String,
    /// Whose carrier counts: a virtual link has none while it is down.
    lower: String,
    services: Vec<ServiceAddress>,
    neighbours: Option<Neighbours>,
    carrier: bool,
}

impl Interfaces {
    pub fn open(setup: &Setup) -> Result<Self> {
        let mut all: Vec<Interface> = Vec::new();
        for (place, own) in setup.interfaces.iter().zip(setup.service.addresses()) {
            match all.iter_mut().find(|interface| interface.name == place.interface) {
                Some(interface) => interface.services.push(own),
                None => all.push(Interface::open(&place.interface, setup.lower(&place.interface), own)),
            }
        }
        let subscribe = || {
            net::netlink::subscribe().inspect_err(|error| tracing::warn!(%error, "a lost carrier is noticed late")).ok()
        };
        let changes = if all.is_empty() { None } else { subscribe() };
        Ok(Self { all, addresses: Addresses::open().into_diagnostic()?, changes, carrier: true })
    }

    /// What wakes the loop when a link changes.
    pub fn changes(&self) -> Option<BorrowedFd<'_>> {
        self.changes.as_ref().map(AsFd::as_fd)
    }

    /// Something about links has changed since this was last asked.
    pub fn links_changed(&mut self) -> bool {
        self.changes.as_mut().is_some_and(|changes| !changes.events().is_empty())
    }

    /// Looks at each interface; `each` is told of those that lost or got their carrier. Whether all of them have one, when
    /// that is news: they fail over together.
    pub fn carrier_changed(&mut self, mut each: impl FnMut(&str, bool)) -> Option<bool> {
        for interface in &mut self.all {
            let up = self.addresses.carrier(&interface.lower).unwrap_or(false);
            if up != interface.carrier {
                interface.carrier = up;
                each(&interface.lower, up);
            }
        }
        let up = self.all.iter().all(|interface| interface.carrier);
        (std::mem::replace(&mut self.carrier, up) != up).then_some(up)
    }

    pub fn tell_neighbours(&self, parties: &[IpAddr]) {
        for interface in &self.all {
            if let Err(error) = interface.tell_neighbours(parties).or_else(|error| interface.forgive(error)) {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, interface = interface.name, "neighbours were not told that the address is here");
            }
        }
    }
}

impl Interface {
    fn open(name: &str, lower: &str, service: ServiceAddress) -> Self {
        let neighbours = Neighbours::open(name)
            .inspect_err(|error| tracing::warn!(%error, "neighbours cannot be told that the address moved"))
            .ok();
        let (name, lower) = (name.to_owned(), lower.to_owned());
        Self { name, lower, services: vec![service], neighbours, carrier: true }
    }

    /// The parent sets a virtual link up with the address: the next time comes in milliseconds.
    fn forgive(&self, error: NeighboursError) -> std::result::Result<(), NeighboursError> {
        if self.name != self.lower && error.is_down() { Ok(()) } else { Err(error) }
    }

    fn tell_neighbours(&self, parties: &[IpAddr]) -> std::result::Result<(), NeighboursError> {
        let Some(neighbours) = &self.neighbours else { return Ok(()) };
        // Everybody first, then the few who do not heed that.
        self.services.iter().try_for_each(|own| neighbours.announce(own.address))?;
        self.services.iter().try_for_each(|own| {
            let on_link: Vec<IpAddr> = parties.iter().copied().filter(|party| is_on_link(*party, *own)).collect();
            neighbours.ask(own.address, &on_link)
        })
    }
}

/// Beyond a router nobody hears the question. Where no subnet is said, everybody may be near.
fn is_on_link(party: IpAddr, own: ServiceAddress) -> bool {
    let is_unsaid = own.prefix_bits >= if own.address.is_ipv4() { 32 } else { 128 };
    is_unsaid || in_subnet(party, own)
}
