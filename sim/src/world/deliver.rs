//! Datagrams on their way: phones, the service address, the peer.

use std::net::SocketAddr;

use node::base::{Epoch, Incarnation};
use node::{Event, MEDIA_HEARD_EVERY};
use phone::PhoneInput;

use super::carry::first_line;
use super::{SERVICE_PORT, World, service};
use crate::handset::{Handset, index_of};
use crate::network::Path;
use crate::queue::Happening;

impl World {
    /// The machine that gets what is for the service address: the one that the sender's switch believes in, if it has
    /// the address and can be reached.
    fn serving(&self, source: SocketAddr) -> Option<usize> {
        let of_source = |it: &&Handset| it.address == source || it.media_address == source;
        let handset = index_of(source).and_then(|index| self.handsets.get(index)).filter(of_source)?;
        let machine = self.network.learned[handset.segment]?;
        let of = &self.machines[machine];
        (of.has_address && of.is_reachable() && self.network.joins(machine, handset.segment)).then_some(machine)
    }

    fn phone_at(&self, address: SocketAddr, of: impl Fn(&Handset) -> SocketAddr) -> Option<usize> {
        index_of(address).filter(|index| self.handsets.get(*index).is_some_and(|handset| of(handset) == address))
    }

    /// Without the address nothing can leave for the phones: that is a fence.
    fn speaks_to_phones(&self, machine: usize) -> bool {
        let of = &self.machines[machine];
        of.has_address && of.is_reachable()
    }

    pub(super) fn service_gets(&mut self, local_port: u16, source: SocketAddr, mut bytes: Vec<u8>) {
        let Some(machine) = self.serving(source) else { return };
        let local = self.machines[machine].local(self.now_us);
        let Some(daemon) = self.machines[machine].daemon.as_mut() else { return };
        let life = daemon.life;
        if local_port == SERVICE_PORT {
            self.trace(|| format!("node {machine}: <- {source}: {}", first_line(&bytes)));
            return self.tell(machine, life, Event::Datagram { local: service(SERVICE_PORT), source, bytes });
        }
        if daemon.pause.is_some() {
            return;
        }
        let forward = daemon.relay.handle(local, local_port, source, &mut bytes);
        let learned = daemon.relay.learned();
        let news = self.now_us >= daemon.media_told_at_us + MEDIA_HEARD_EVERY.as_micros() as u64;
        if news {
            daemon.media_told_at_us = self.now_us;
            self.tell(machine, life, Event::MediaHeard);
        }
        for learned in learned {
            let delay_us = 200 + self.random.below(800);
            self.after(delay_us, Happening::MediaLearned { machine, life, learned });
        }
        if let Some(forward) = forward {
            self.media_out(machine, forward.destination, bytes);
        }
    }

    fn media_out(&mut self, machine: usize, destination: SocketAddr, bytes: Vec<u8>) {
        let Some(phone) = self.phone_at(destination, |handset| handset.media_address) else { return };
        if !self.speaks_to_phones(machine) || !self.network.joins(machine, self.handsets[phone].segment) {
            return;
        }
        let ways = self.network.transit(&mut self.random, Path::ToPhones);
        if ways[0].is_none() {
            self.network_lost(phone);
        }
        for delay_us in ways.into_iter().flatten() {
            self.after(delay_us, Happening::MediaToPhone { phone, bytes: bytes.clone() });
        }
    }

    /// The network lost audio that was to be heard at this phone.
    pub(super) fn network_lost(&mut self, phone: usize) {
        if let Some((at, side)) = self.handsets[phone].voice.as_ref().map(|voice| (voice.conversation, voice.side)) {
            self.checks.network_lost(self.now_us, at, side);
        }
    }

    /// A SIP datagram of a node.
    pub(super) fn send(&mut self, machine: usize, local: SocketAddr, destination: SocketAddr, bytes: Vec<u8>) {
        if !self.speaks_to_phones(machine) {
            return;
        }
        let Some(phone) = self.phone_at(destination, |handset| handset.address) else {
            let text = format!("node {machine} sends to {destination}, where nobody is: {}", first_line(&bytes));
            return self.checks.fail(self.now_us, "stray", text);
        };
        if !self.network.joins(machine, self.handsets[phone].segment) {
            return;
        }
        for delay_us in self.network.transit(&mut self.random, Path::ToPhones).into_iter().flatten() {
            self.after(delay_us, Happening::ToPhone { phone, source: local, bytes: bytes.clone() });
        }
    }

    pub(super) fn phone_gets(&mut self, phone: usize, source: SocketAddr, bytes: &[u8]) {
        self.trace(|| format!("phone {}: {}", self.handsets[phone].user, first_line(bytes)));
        self.handset(phone, PhoneInput::Datagram { source, bytes });
    }

    pub(super) fn peer_gets(&mut self, machine: usize, link: u8, bytes: Vec<u8>) {
        if !self.machines[machine].hears() {
            return;
        }
        let bytes = match self.plant.as_mut() {
            Some(plant) => plant.peer_datagram(machine, bytes),
            None => bytes,
        };
        let Some(life) = self.machines[machine].daemon.as_ref().map(|daemon| daemon.life) else { return };
        self.tell(machine, life, Event::Peer { link, bytes });
    }

    pub(super) fn farewell(&mut self, machine: usize, incarnation: Incarnation) {
        if !self.machines[machine].hears() {
            return;
        }
        let Some(life) = self.machines[machine].daemon.as_ref().map(|daemon| daemon.life) else { return };
        self.tell(machine, life, Event::Farewell { incarnation });
    }

    pub(super) fn say_farewell(&mut self, machine: usize, boot: u64, incarnation: Incarnation) {
        let of = &self.machines[machine];
        if !of.is_reachable() || of.boot != boot || self.network.split {
            return;
        }
        for link in 0..self.plan.links {
            let ways = self.network.transit(&mut self.random, Path::Link { link, from: machine });
            for delay_us in ways.into_iter().flatten() {
                self.after(delay_us, Happening::Farewell { machine: 1 - machine, incarnation });
            }
        }
    }

    /// The parent has added the address.
    pub(super) fn address_added(&mut self, machine: usize, life: u64, epoch: Epoch) {
        let of = &mut self.machines[machine];
        if !of.powered || of.claim != Some(epoch) || of.daemon_of(life).is_none() {
            return;
        }
        of.has_address = true;
        self.trace(|| format!("machine {machine}: has the service address for {epoch}"));
        self.check_masters();
        self.tell(machine, life, Event::Claimed { epoch });
    }
}
