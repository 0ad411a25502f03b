//! Owns what is looked at on the network: the interface, the addresses, who answers there, and who has our ports.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::{Finding, Patient, kernel_file};
use crate::config::{Link, ServiceAddress};
use crate::machine::{self, OwnAddress};

/// A neighbour on the same network answers within a millisecond or two.
const ANSWER_WAIT: Duration = Duration::from_millis(500);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Each name that nobody knows takes some seconds. A PBX has a few trunks.
const NAMES_MAX: usize = 8;

/// Flags of /sys/class/net/NAME/flags (netdevice(7)).
const FLAG_UP: u32 = 0x1;
const FLAG_MULTICAST: u32 = 0x1000;

/// The entry of /proc/net/arp has an address.
const ARP_COMPLETE: u32 = 0x2;

pub(super) fn findings(patient: &Patient<'_>) -> Vec<Finding> {
    let here = machine::addresses().unwrap_or_default();
    let mut findings = Vec::new();
    if let Some(service) = &patient.config.service {
        findings.extend(service.interfaces().iter().map(|name| interface(name)));
        let holds = patient.status.is_some_and(|node| node.status.address.is_some());
        let of = |own: ServiceAddress| service_address(own.address, own.prefix_bits, &here, holds);
        findings.extend(service.addresses().map(of));
    }
    for link in patient.config.peer.iter().flat_map(|peer| &peer.links) {
        findings.push(own_end(link, &here));
    }
    // A node that runs knows better, and `pair` tells it.
    if patient.status.is_none() {
        findings.extend(patient.config.peer.iter().flat_map(|peer| &peer.links).map(reachable));
    }
    findings.push(ports(patient));
    findings.push(names(patient, |host| (host, 0).to_socket_addrs().is_ok()));
    findings
}

fn interface(name: &str) -> Finding {
    const CHECK: &str = "interface";
    let file = |file: &str| kernel_file(PathBuf::from("/sys/class/net").join(name).join(file));
    let Some(flags) = file("flags") else {
        let todo = "name one that `ip link` shows as [service] interface";
        return Finding::problem(CHECK, format!("this machine has no interface {name}"), todo);
    };
    verdict_of_interface(name, &flags, file("carrier").as_deref())
}

fn verdict_of_interface(name: &str, flags: &str, carrier: Option<&str>) -> Finding {
    const CHECK: &str = "interface";
    let flags = flags.strip_prefix("0x").and_then(|digits| u32::from_str_radix(digits, 16).ok()).unwrap_or(0);
    if flags & FLAG_UP == 0 {
        Finding::problem(CHECK, format!("{name} is down"), format!("ip link set {name} up"))
    } else if carrier != Some("1") {
        Finding::problem(CHECK, format!("{name} has no carrier"), "look at the cable and at the switch's port")
    } else if flags & FLAG_MULTICAST == 0 {
        let todo = "use unicast between the nodes and other routers, or another interface";
        Finding::warning(CHECK, format!("{name} takes no multicast"), todo)
    } else {
        Finding::ok(CHECK, format!("{name} is up, with carrier and multicast"))
    }
}

fn service_address(address: IpAddr, prefix_bits: u8, here: &[OwnAddress], holds: bool) -> Finding {
    const CHECK: &str = "service network";
    if !holds && here.iter().any(|own| own.address == address) {
        return Finding::problem(
            CHECK,
            format!("{address} is on this machine though the node does not hold it: two machines would answer for it"),
            "take it out of the network's configuration: Tandem adds and removes it",
        );
    }
    let inside = |own: &&OwnAddress| own.address != address && same_network(own.address, address, prefix_bits);
    match here.iter().find(inside) {
        Some(own) => Finding::ok(CHECK, format!("{address} is in the network of {} ({})", own.address, own.interface)),
        None => Finding::warning(
            CHECK,
            format!("no address of this machine is in {address}/{prefix_bits}"),
            "look at [service] address, and give the interface an address of the phones' network",
        ),
    }
}

pub(super) fn same_network(one: IpAddr, other: IpAddr, prefix_bits: u8) -> bool {
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => {
            let differing = u32::from(one) ^ u32::from(other);
            differing.leading_zeros() >= u32::from(prefix_bits)
        }
        (IpAddr::V6(one), IpAddr::V6(other)) => {
            let differing = u128::from(one) ^ u128::from(other);
            differing.leading_zeros() >= u32::from(prefix_bits)
        }
        _ => false,
    }
}

fn own_end(link: &Link, here: &[OwnAddress]) -> Finding {
    const CHECK: &str = "own address";
    let ip = link.local.ip();
    match here.iter().find(|own| own.address == ip) {
        Some(own) => Finding::ok(CHECK, format!("{ip} on {}", own.interface)),
        None => Finding::problem(
            CHECK,
            format!("this machine does not have {ip}, the local end of a link"),
            "correct the [[peer.link]], or give the interface that address",
        ),
    }
}

/// Without a running node: asks the peer's port, where nobody or a node that does not know us may listen. The machine
/// shows itself by refusing, or in the neighbour table.
fn reachable(link: &Link) -> Finding {
    const CHECK: &str = "peer";
    let remote = link.remote;
    let Ok(socket) = UdpSocket::bind(SocketAddr::new(link.local.ip(), 0)) else {
        return Finding::unknown(CHECK, format!("{remote} cannot be asked without the local end of the link"));
    };
    let mut byte = [0];
    let asked = socket.set_read_timeout(Some(LOOK_EVERY)).and_then(|()| socket.connect(remote));
    let begun = Instant::now();
    while asked.is_ok() && begun.elapsed() < ANSWER_WAIT {
        // An error of the last try is told at the next one.
        let sent = socket.send(&byte).err();
        let refused = sent.or_else(|| socket.recv(&mut byte).err());
        if refused.is_some_and(|error| error.kind() == ErrorKind::ConnectionRefused) {
            return Finding::ok(CHECK, format!("{} answers; its node does not listen yet", remote.ip()));
        }
        if hardware_address(remote.ip(), &kernel_file("/proc/net/arp").unwrap_or_default()).is_some() {
            return Finding::ok(CHECK, format!("{} answers on the network", remote.ip()));
        }
    }
    let todo = "look at the cables and the other machine; behind a router this test says nothing";
    Finding::warning(CHECK, format!("{} does not answer", remote.ip()), todo)
}

/// From the kernel's table of neighbours.
fn hardware_address(address: IpAddr, table: &str) -> Option<String> {
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [ip, _, flags, hardware, ..] = fields.as_slice() else { return None };
        let flags = u32::from_str_radix(flags.strip_prefix("0x")?, 16).ok()?;
        (ip.parse() == Ok(address) && flags & ARP_COMPLETE != 0).then(|| (*hardware).to_owned())
    })
}

/// Trunks that the files name by a host name: who answers for it is asked when a call is made.
fn names(patient: &Patient<'_>, resolves: impl Fn(&str) -> bool) -> Finding {
    const CHECK: &str = "name resolution";
    let addresses = patient.pbx.iter().flat_map(|pbx| pbx.endpoints.values()).filter_map(|it| it.address.as_ref());
    let hosts: BTreeSet<&str> =
        addresses.map(|it| it.host.as_str()).filter(|it| it.parse::<IpAddr>().is_err()).collect();
    let unknown: Vec<&str> = hosts.iter().copied().take(NAMES_MAX).filter(|host| !resolves(host)).collect();
    if unknown.is_empty() {
        return Finding::ok(CHECK, format!("{} host names in the phones' files", hosts.len()));
    }
    let todo = "look at /etc/resolv.conf and the names, or write addresses: a call waits while its name is looked up";
    Finding::warning(CHECK, format!("nobody knows {}", unknown.join(", ")), todo)
}

/// UDP ports that the node needs, and who has them.
fn ports(patient: &Patient<'_>) -> Finding {
    const CHECK: &str = "ports";
    let mut wanted: BTreeSet<u16> =
        patient.pbx.iter().flat_map(|pbx| &pbx.general.transports).map(|it| it.port).collect();
    wanted.extend(patient.config.peer.iter().flat_map(|peer| &peer.links).map(|link| link.local.port()));
    let ours: Vec<u32> = patient.status.iter().flat_map(|node| [node.pid, node.parent_pid]).collect();
    let tables = ["/proc/net/udp", "/proc/net/udp6"].map(|path| kernel_file(path).unwrap_or_default());
    let taken: Vec<(u16, u64)> =
        tables.iter().flat_map(|table| sockets(table)).filter(|(port, _)| wanted.contains(port)).collect();
    let mut others = BTreeSet::new();
    for (port, inode) in taken {
        match owner(inode) {
            Some((pid, _)) if ours.contains(&pid) => {}
            Some((pid, name)) => drop(others.insert(format!("{name} (process {pid}) has UDP port {port}"))),
            None if patient.status.is_some() => {}
            None => drop(others.insert(format!("another program has UDP port {port}"))),
        }
    }
    let listed = wanted.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
    if others.is_empty() {
        Finding::ok(CHECK, format!("UDP {listed}: no other program has them"))
    } else {
        let todo = "stop that program, or give it or Tandem another port";
        Finding::problem(CHECK, others.into_iter().collect::<Vec<_>>().join("; "), todo)
    }
}

/// Port and inode of each socket of a table like /proc/net/udp (proc_net(5)).
fn sockets(table: &str) -> Vec<(u16, u64)> {
    let line = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (_, port) = fields.get(1)?.rsplit_once(':')?;
        Some((u16::from_str_radix(port, 16).ok()?, fields.get(9)?.parse().ok()?))
    };
    table.lines().skip(1).filter_map(line).collect()
}

/// The first process that has this socket open, and its name.
fn owner(inode: u64) -> Option<(u32, String)> {
    let wanted = format!("socket:[{inode}]");
    for entry in fs::read_dir("/proc").ok()?.flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let Ok(files) = fs::read_dir(entry.path().join("fd")) else { continue };
        let has =
            |file: fs::DirEntry| fs::read_link(file.path()).is_ok_and(|target| target.as_os_str() == wanted.as_str());
        if files.flatten().any(has) {
            return Some((pid, kernel_file(entry.path().join("comm")).unwrap_or_default()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn an_interface_that_cannot_serve_is_a_problem() {
        assert_eq!(verdict_of_interface("eth0", "0x1003", Some("1")).verdict, Verdict::Ok);
        assert_eq!(verdict_of_interface("eth0", "0x1003", Some("0")).verdict, Verdict::Problem);
        assert_eq!(verdict_of_interface("eth0", "0x1002", None).verdict, Verdict::Problem);
        assert_eq!(verdict_of_interface("eth0", "0x3", Some("1")).verdict, Verdict::Warning);
        assert_eq!(interface("no-such-one").verdict, Verdict::Problem);
    }

    #[test]
    fn a_service_address_that_somebody_else_configured_is_a_problem() {
        let own =
            |address: &str| OwnAddress { interface: "eth0".into(), address: address.parse().unwrap(), prefix_bits: 24 };
        let service = "10.77.0.100".parse().unwrap();
        let here = [own("10.77.0.11"), own("10.77.0.100")];
        assert_eq!(service_address(service, 24, &here, false).verdict, Verdict::Problem);
        assert_eq!(service_address(service, 24, &here, true).verdict, Verdict::Ok);
        assert_eq!(service_address(service, 24, &here[1..], true).verdict, Verdict::Warning);
        assert_eq!(service_address(service, 24, &[own("10.78.0.11")], false).verdict, Verdict::Warning);
    }

    #[test]
    fn names_that_nobody_knows_are_told() {
        let config = crate::Config::parse("/t.toml".as_ref(), crate::config::EXAMPLE.to_owned()).unwrap();
        let sip = "[general]\n[one]\ntype=peer\nhost=sip.example.org\n[two]\ntype=peer\nhost=192.0.2.1\n";
        let files = [("sip.conf", sip), ("extensions.conf", "[default]\n")];
        let files = files.map(|(name, text)| (name.to_owned(), text.to_owned())).into_iter().collect();
        let pbx = pbx::configuration::load(&files).configuration.unwrap();
        let probes = super::super::Probes::default();
        let patient = Patient { config: &config, status: None, pbx: Some(&pbx), probes: &probes };
        assert_eq!(names(&patient, |_| true).verdict, Verdict::Ok);
        let found = names(&patient, |_| false);
        assert_eq!((found.verdict, found.text.as_str()), (Verdict::Warning, "nobody knows sip.example.org"));
    }

    #[test]
    fn the_kernels_tables_are_read() {
        let arp = "IP address       HW type     Flags       HW address            Mask     Device\n\
            10.77.0.12       0x1         0x2         02:00:00:00:00:0c     *        eth0\n\
            10.77.0.13       0x1         0x0         00:00:00:00:00:00     *        eth0\n";
        assert_eq!(hardware_address("10.77.0.12".parse().unwrap(), arp).as_deref(), Some("02:00:00:00:00:0c"));
        assert_eq!(hardware_address("10.77.0.13".parse().unwrap(), arp), None);
        let udp = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            409: 00000000:13C4 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4321 2 0 0\n\
            nonsense\n";
        assert_eq!(sockets(udp), [(5060, 4321)]);
    }

    #[test]
    fn whoever_has_a_port_is_found() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let table = kernel_file("/proc/net/udp").unwrap();
        let (_, inode) = sockets(&table).into_iter().find(|(found, _)| *found == port).unwrap();
        assert_eq!(owner(inode).unwrap().0, std::process::id());
    }

    #[test]
    fn a_machine_that_refuses_is_there() {
        let free = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let link = Link { local: "127.0.0.1:0".parse().unwrap(), remote: free };
        assert_eq!(reachable(&link).verdict, Verdict::Ok);
    }
}
