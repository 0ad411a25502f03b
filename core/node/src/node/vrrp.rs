//! The virtual router that the pair shares with others: the cluster decides, this says so on the link.

use std::net::IpAddr;

use cluster::Role;
use cluster::vrrp::{Output, Packet, Router, Successor};

use super::Node;
use crate::action::{Action, Tell};
use crate::event::Now;
use crate::status::{ForeignLine, VrrpLine};

impl Node {
    pub(super) fn vrrp_received(&mut self, now: Now, packet: Packet, bytes: &[u8]) {
        let peer = self.cluster.peer().router;
        self.with_router(|router| router.received(now.local, packet, bytes, peer));
    }

    pub(super) fn own_address(&mut self, now: Now, address: Option<IpAddr>) {
        if self.router.is_some() {
            self.cluster.set_router(address);
            self.with_router(|router| router.own_address(now.local, address));
        }
    }

    pub(super) fn vrrp_timeout(&mut self, now: Now) {
        self.with_router(|router| router.timeout(now.local));
    }

    pub(super) fn vrrp_serve(&mut self, now: Now) {
        self.with_router(|router| router.serve(now.local));
    }

    /// A foreign router is told to take the address only where the other node does not live to take it.
    pub(super) fn vrrp_stand_by(&mut self, now: Now) {
        let peer = self.cluster.peer();
        let successor = match (peer.up, peer.role) {
            (false, _) => Successor::Nobody,
            (true, Role::Active) => Successor::Serves,
            (true, Role::Standby | Role::Starting) => Successor::Follows,
        };
        self.with_router(|router| router.stand_by(now.local, successor));
    }

    pub(super) fn vrrp_hold(&mut self, now: Now) {
        self.with_router(|router| router.hold(now.local));
    }

    /// Adverts say the priority that is left after what fails.
    pub(super) fn vrrp_rank(&mut self, now: Now) {
        let rank = self.cluster.rank();
        self.with_router(|router| router.set_priority(now.local, rank));
    }

    pub(super) fn vrrp_line(&self) -> Option<VrrpLine> {
        let router = self.router.as_ref()?;
        let settings = router.settings();
        let foreign = router.foreign().iter().map(|(address, foreign)| ForeignLine {
            address: address.to_string(),
            priority: foreign.priority,
            interval_ms: foreign.interval.as_millis() as u64,
            claims: foreign.claims,
            outranks: foreign.outranks,
        });
        Some(VrrpLine {
            version: settings.version.number(),
            vrid: settings.vrid,
            priority: settings.priority,
            interval_ms: settings.interval.as_millis() as u64,
            own: router.own().map(|own| own.to_string()),
            foreign: foreign.collect(),
        })
    }

    fn with_router(&mut self, input: impl FnOnce(&mut Router) -> Vec<Output>) {
        let outputs = self.router.as_mut().map(input).unwrap_or_default();
        for output in outputs {
            self.actions.push(match output {
                Output::Send { source, destination, bytes } => Action::SendVrrp { source, destination, bytes },
                Output::TellNeighbours => Action::TellNeighbours { parties: self.pbx.parties() },
                Output::Notice(notice) => Action::Tell(Tell::Vrrp(notice)),
            });
        }
    }
}
