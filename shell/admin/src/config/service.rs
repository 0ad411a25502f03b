//! Owns the section `[service]`: the addresses that move between the nodes as one, and who should have them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::reader::{Problems, Section};
use super::sections::{elsewhere, section_needed};
use super::value;

pub(super) const KEYS: [&str; 5] = ["address", "interface", "vrid", "priority", "addresses"];
const ADDRESS_KEYS: [&str; 2] = ["address", "interface"];

/// Each address costs six rounds of packets after a takeover. A pair has one for each network, and each IP version.
pub const ADDRESSES_MAX: usize = 8;

/// The addresses that move between the nodes, and who should have them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// The first one, which is meant where nothing says which.
    pub address: IpAddr,
    /// Of the subnet that the address is in: its parties are spoken to from it. It is added as a /32 or /128.
    pub prefix_bits: u8,
    pub interface: String,
    /// Of the same group: claimed, renewed and given up together with the first one.
    pub further: Vec<ServiceAddress>,
    /// The VRRP group, 1 to 255.
    pub vrid: u8,
    /// Who is active when both are well: the greater one. 1 to 254.
    pub priority: u8,
}

/// One address and where it is added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAddress {
    pub address: IpAddr,
    pub prefix_bits: u8,
    pub interface: String,
}

impl Service {
    /// All addresses, the first one first.
    pub fn addresses(&self) -> impl Iterator<Item = ServiceAddress> {
        let Self { address, prefix_bits, interface, further, .. } = self;
        let first = ServiceAddress { address: *address, prefix_bits: *prefix_bits, interface: interface.clone() };
        std::iter::once(first).chain(further.iter().cloned())
    }

    /// The group as the PBX knows it.
    pub fn group(&self) -> pbx::Service {
        let own = |it: ServiceAddress| pbx::ServiceAddress { address: it.address, prefix_bits: it.prefix_bits };
        let first = pbx::ServiceAddress { address: self.address, prefix_bits: self.prefix_bits };
        pbx::Service::new(first, self.further.iter().cloned().map(own).collect())
    }

    /// Each interface once.
    pub fn interfaces(&self) -> BTreeSet<String> {
        self.addresses().map(|own| own.interface).collect()
    }

    pub fn has(&self, address: IpAddr) -> bool {
        self.addresses().any(|own| own.address == address)
    }
}

pub(super) fn service(root: &Section<'_>, problems: &mut Problems) -> Option<Service> {
    let section = section_needed(root, "service", problems)?;
    section.check_keys(&KEYS, |key| elsewhere(key, "[service]"), problems);
    let vrid = section.number_needed("vrid", 10, (1, 255), problems);
    let priority = section.number_needed("priority", 150, (1, 254), problems);
    let addresses = if section.has("addresses") { group(&section, problems) } else { one(&section, problems) };
    let mut addresses = addresses?.into_iter();
    let ServiceAddress { address, prefix_bits, interface } = addresses.next()?;
    let (vrid, priority) = (vrid?.value, priority?.value);
    Some(Service { address, prefix_bits, interface, further: addresses.collect(), vrid, priority })
}

fn one(section: &Section<'_>, problems: &mut Problems) -> Option<Vec<ServiceAddress>> {
    address(section, problems).map(|address| vec![address])
}

/// `addresses`; `None` when one of them cannot be used.
fn group(section: &Section<'_>, problems: &mut Problems) -> Option<Vec<ServiceAddress>> {
    const HELP: &str = "write addresses = [{ address = \"10.77.0.100/24\", interface = \"eth0\" }, ...] and neither \
                        `address` nor `interface` beside it";
    if section.has("address") || section.has("interface") {
        problems.push(section.problem("[service] has `addresses` and `address` or `interface`", HELP));
    }
    let before = problems.len();
    let sections = section.list("addresses", "service.addresses", problems);
    if sections.is_empty() && problems.len() == before {
        problems.push(section.problem("`addresses` is empty", HELP));
    }
    if let Some(extra) = sections.get(ADDRESSES_MAX) {
        let text = format!("there are {} service addresses", sections.len());
        problems.push(extra.problem(text, format!("keep {ADDRESSES_MAX}: one for each network")));
    }
    let mut addresses: Vec<ServiceAddress> = Vec::new();
    for section in &sections {
        section.check_keys(&ADDRESS_KEYS, |key| elsewhere(key, "[[service.addresses]]"), problems);
        let Some(found) = address(section, problems) else { continue };
        if addresses.iter().any(|other| other.address == found.address) {
            problems.push(section.problem(format!("{} is there twice", found.address), "leave one of them out"));
        }
        addresses.push(found);
    }
    (problems.len() == before).then_some(addresses)
}

fn address(section: &Section<'_>, problems: &mut Problems) -> Option<ServiceAddress> {
    let address = section.text_needed("address", "10.77.0.100/24", problems);
    let address = address.and_then(|text| value::service_address(&text, problems));
    let interface = section.text_needed("interface", "eth0", problems);
    let interface = interface.and_then(|text| value::interface(&text, problems));
    let (address, prefix_bits) = address?;
    Some(ServiceAddress { address, prefix_bits, interface: interface? })
}
