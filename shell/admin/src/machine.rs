//! Owns what this machine says of itself: its name, its network interfaces and their addresses.

use std::fs;
use std::io;
use std::net::IpAddr;

use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use nix::sys::socket::SockaddrStorage;

/// The name of a node whose machine does not tell its own.
const NAME_DEFAULT: &str = "tandem";

/// The longest name that a configuration file takes.
const NAME_BYTES_MAX: usize = 32;

/// An address of an interface that is no loopback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnAddress {
    pub interface: String,
    pub address: IpAddr,
    pub prefix_bits: u8,
}

/// The machine's name as a node's name: what a configuration file does not take is left out.
pub fn name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    node_name(name.trim())
}

fn node_name(machine: &str) -> String {
    let host = machine.split('.').next().unwrap_or_default();
    let allowed = |letter: &char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
    let name: String = host.chars().filter(allowed).take(NAME_BYTES_MAX).collect();
    if name.is_empty() { NAME_DEFAULT.to_owned() } else { name }
}

/// Every address of every interface but the loopback.
pub fn addresses() -> io::Result<Vec<OwnAddress>> {
    let mut found = Vec::new();
    for entry in getifaddrs()? {
        if entry.flags.contains(InterfaceFlags::IFF_LOOPBACK) {
            continue;
        }
        let Some(address) = entry.address.as_ref().and_then(ip) else { continue };
        let prefix_bits = entry.netmask.as_ref().and_then(ip).map_or(0, prefix_bits);
        found.push(OwnAddress { interface: entry.interface_name, address, prefix_bits });
    }
    Ok(found)
}

/// Whether the machine has an interface of this name.
pub fn has_interface(name: &str) -> bool {
    nix::net::if_::if_nametoindex(name).is_ok()
}

fn ip(storage: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = storage.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
    v4.or_else(|| storage.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
}

fn prefix_bits(mask: IpAddr) -> u8 {
    let ones = match mask {
        IpAddr::V4(mask) => u32::from(mask).leading_ones(),
        IpAddr::V6(mask) => u128::from(mask).leading_ones(),
    };
    u8::try_from(ones).unwrap_or(0)
}

#[cfg(test)]
mod tests;
