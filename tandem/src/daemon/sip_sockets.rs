//! The UDP sockets that phones talk to.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use miette::{Result, miette};
use pbx::configuration::Configuration;

use super::world::Held;
use crate::setup::Setup;

/// Every socket with the address it is bound to.
pub struct SipSockets(Vec<(SocketAddr, UdpSocket)>);

impl SipSockets {
    /// Opens what the files ask for; the unspecified address of either family means every service address.
    pub fn open(setup: &Setup, configuration: &Configuration, held: &mut Held) -> Result<Self> {
        let mut addresses: Vec<SocketAddr> = match setup.listen {
            Some(listen) => vec![SocketAddr::new(setup.service.first(), listen.port())],
            None => {
                let transports = configuration.general.transports.iter();
                transports.flat_map(|it| own(setup, it.bind).map(move |own| SocketAddr::new(own, it.port))).collect()
            }
        };
        addresses.sort_unstable();
        addresses.dedup();
        if addresses.is_empty() {
            return Err(miette!("the files name no UDP transport"));
        }
        addresses.into_iter().map(|it| Ok((it, held.sip_socket(it)?))).collect::<Result<_>>().map(Self)
    }

    pub fn iter(&self) -> impl Iterator<Item = &UdpSocket> {
        self.0.iter().map(|(_, socket)| socket)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn get(&self, index: usize) -> (SocketAddr, &UdpSocket) {
        let (address, socket) = &self.0[index];
        (*address, socket)
    }

    /// The socket of this address; the first one where it is not ours, after the files have changed.
    pub fn of(&self, local: SocketAddr) -> Option<&UdpSocket> {
        let exact = self.0.iter().find(|(address, _)| *address == local);
        exact.or(self.0.first()).map(|(_, socket)| socket)
    }
}

fn own(setup: &Setup, bind: IpAddr) -> impl Iterator<Item = IpAddr> {
    let all = setup.service.addresses().filter(move |_| bind.is_unspecified()).map(|own| own.address);
    all.chain(Some(bind).filter(|bind| !bind.is_unspecified()))
}
