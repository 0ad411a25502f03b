//! The addresses that phones and trunks know the pair by: a group that moves between the nodes as one.

use std::net::IpAddr;

#[cfg(test)]
mod tests;

/// One of the pair's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceAddress {
    pub address: IpAddr,
    /// Of the subnet that the address is in: whoever is in it is spoken to from this address.
    pub prefix_bits: u8,
}

/// The group: at least one address, of either family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    first: ServiceAddress,
    further: Vec<ServiceAddress>,
}

impl Service {
    pub fn new(first: ServiceAddress, further: Vec<ServiceAddress>) -> Self {
        Self { first, further }
    }

    /// The default: where nothing says which one is meant.
    pub fn first(&self) -> IpAddr {
        self.first.address
    }

    /// All of them, the first one first.
    pub fn addresses(&self) -> impl Iterator<Item = ServiceAddress> {
        std::iter::once(self.first).chain(self.further.iter().copied())
    }

    /// The address that a party is served at whose packets come to the socket of `local`. A socket of another address,
    /// which the PBX's files may name, has its media at the first one.
    pub fn of(&self, local: IpAddr) -> IpAddr {
        if self.further.iter().any(|further| further.address == local) { local } else { self.first.address }
    }

    /// The address to speak from to a party that was never heard: the one of its subnet, the narrowest if there are
    /// several, else the first one of its family.
    pub fn towards(&self, remote: IpAddr) -> IpAddr {
        let of_family = || self.addresses().filter(|own| own.address.is_ipv4() == remote.is_ipv4());
        let of_subnet = of_family().filter(|own| in_subnet(remote, *own));
        // Of equals `max_by_key` gives the last one, and the first is wanted.
        let narrowest = of_subnet.enumerate().max_by_key(|(index, own)| (own.prefix_bits, std::cmp::Reverse(*index)));
        let found = narrowest.map(|(_, own)| own).or_else(|| of_family().next());
        found.unwrap_or(self.first).address
    }
}

impl Service {
    /// The group in a few words, the same for the same addresses only: what two nodes compare.
    pub fn summary(&self) -> String {
        if self.further.is_empty() {
            return self.first.address.to_string();
        }
        let mut further: Vec<String> = self.further.iter().map(|own| own.address.to_string()).collect();
        further.sort();
        // FNV-1a: it tells mistakes apart, not forgeries.
        let hash = further
            .join(" ")
            .bytes()
            .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        format!("{} and {} more ({hash:08x})", self.first.address, further.len())
    }
}

/// A group of one, whose subnet nobody has said.
impl From<IpAddr> for Service {
    fn from(address: IpAddr) -> Self {
        let prefix_bits = if address.is_ipv4() { 32 } else { 128 };
        Self::new(ServiceAddress { address, prefix_bits }, Vec::new())
    }
}

/// Whether `remote` is in the subnet of one of our addresses.
pub fn in_subnet(remote: IpAddr, own: ServiceAddress) -> bool {
    let differing = match (remote, own.address) {
        (IpAddr::V4(one), IpAddr::V4(other)) => (one.to_bits() ^ other.to_bits()).leading_zeros(),
        (IpAddr::V6(one), IpAddr::V6(other)) => (one.to_bits() ^ other.to_bits()).leading_zeros(),
        _ => return false,
    };
    differing >= u32::from(own.prefix_bits)
}
