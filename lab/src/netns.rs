//! A small network of hosts: network namespaces joined by a bridge in a namespace of its own, with cuts and loss.

mod cleanup;

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, setns};

pub use cleanup::clean_up_on_signals;

use crate::{LabError, process};

/// Names of all namespaces made here begin so, then the process id of their maker follows.
const NAME_BEGIN: &str = "tandem";

/// `ip` and `nft` answer at once; longer means that the machine is stuck.
const COMMAND_LIMIT: Duration = Duration::from_secs(20);

/// Networks made by this process, so that each has names of its own.
static NETWORKS: AtomicU32 = AtomicU32::new(0);

/// Where a host's namespace is kept by `ip netns`.
const NAMESPACE_DIRECTORY: &str = "/run/netns";

pub struct Network {
    bridge: String,
    hosts: Vec<Host>,
    /// The hosts of each cable; all of them are on the first one, which is the network itself.
    cables: Mutex<Vec<Vec<String>>>,
}

/// Which network a host's cable leads to, counted from 0; its interface there is `eth` and this number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cable(pub usize);

/// The network that every host is on.
pub const LAN: Cable = Cable(0);

/// The cable of the first network that is added to it.
pub const SECOND: Cable = Cable(1);

/// Packets from some hosts to others are lost; 100 percent is a cut in this direction.
#[derive(Clone, Copy, Debug)]
pub struct Loss<'a> {
    pub from: &'a [&'a str],
    pub to: &'a [&'a str],
    pub percent: u32,
}

/// One machine of the network. Its interface there is `eth0`.
#[derive(Clone, Debug)]
pub struct Host {
    pub name: String,
    pub address: Ipv4Addr,
    namespace: String,
}

impl Network {
    /// Builds hosts with these names (at most 8 letters) and addresses in a /24, all links up. Removes what dead runs
    /// have left behind first.
    pub fn build(hosts: &[(&str, Ipv4Addr)]) -> Result<Self, LabError> {
        if !nix::unistd::Uid::effective().is_root() {
            return Err(LabError::NotRoot);
        }
        cleanup::remove_leftovers();
        let number = NETWORKS.fetch_add(1, Ordering::Relaxed);
        let name = |host: &str| format!("{NAME_BEGIN}-{}-{number}-{host}", std::process::id());
        let hosts = hosts.iter().map(|(host, address)| Host {
            name: (*host).to_owned(),
            address: *address,
            namespace: name(host),
        });
        let hosts: Vec<Host> = hosts.collect();
        let cables = Mutex::new(vec![hosts.iter().map(|host| host.name.clone()).collect()]);
        let network = Self { bridge: name("switch"), hosts, cables };
        network.make_namespaces()?;
        network.join()?;
        Ok(network)
    }

    pub fn host(&self, name: &str) -> Result<&Host, LabError> {
        self.hosts.iter().find(|host| host.name == name).ok_or_else(|| LabError::NoHost(name.to_owned()))
    }

    /// A second network: a switch of its own, and for each of these hosts an interface on it with this address and the
    /// length of its subnet's prefix.
    pub fn add_switch(&self, ends: &[(&str, &str)]) -> Result<Cable, LabError> {
        let names: Result<Vec<String>, LabError> =
            ends.iter().map(|(host, _)| Ok(self.host(host)?.name.clone())).collect();
        let names = names?;
        let cable = {
            let mut cables = self.cables();
            cables.push(names.clone());
            Cable(cables.len() - 1)
        };
        self.lay(cable, &names)?;
        let interface = interface(cable);
        for (host, address) in ends {
            // Nobody else has it, and nobody is to wait until that is proven.
            let nodad = if address.contains(':') { " nodad" } else { "" };
            let lines = format!("addr add {address} dev {interface}{nodad}\nlink set {interface} up\n");
            self.batch(&self.host(host)?.namespace, &lines)?;
        }
        Ok(cable)
    }

    fn cables(&self) -> MutexGuard<'_, Vec<Vec<String>>> {
        self.cables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the host's cables out at the switch: the host loses its carrier, everybody else loses the host.
    pub fn cut(&self, host: &str) -> Result<(), LabError> {
        self.cables_of(host)?.into_iter().try_for_each(|cable| self.plug(host, cable, false))
    }

    /// Plugs the cables in again.
    pub fn heal(&self, host: &str) -> Result<(), LabError> {
        self.cables_of(host)?.into_iter().try_for_each(|cable| self.plug(host, cable, true))
    }

    /// One cable of a host: in or out.
    pub fn plug(&self, host: &str, cable: Cable, is_in: bool) -> Result<(), LabError> {
        let way = if is_in { "up" } else { "down" };
        self.batch(&self.bridge, &format!("link set {} {way}\n", port(&self.host(host)?.name, cable)))
    }

    fn cables_of(&self, host: &str) -> Result<Vec<Cable>, LabError> {
        let name = &self.host(host)?.name;
        let cables = self.cables();
        let own = cables.iter().enumerate().filter(|(_, hosts)| hosts.contains(name));
        Ok(own.map(|(number, _)| Cable(number)).collect())
    }

    /// Loses this many percent of the packets from and to the host; 0 ends it.
    pub fn lose(&self, host: &str, percent: u32) -> Result<(), LabError> {
        let host = self.host(host)?;
        let port = port(&host.name, LAN);
        let chance = format!("numgen random mod 100 < {percent} drop");
        let rules = format!("iifname \"{port}\" {chance}\noifname \"{port}\" {chance}\n");
        self.forward_rules(&format!("loss_{}", host.name), if percent > 0 { &rules } else { "" })
    }

    /// Loses packets from some hosts to others, on whichever cable, as told here and nothing else: an empty list ends
    /// it.
    pub fn lose_between(&self, losses: &[Loss<'_>]) -> Result<(), LabError> {
        let cables: Vec<Cable> = (0..self.cables().len()).map(Cable).collect();
        self.lose_on(&cables, losses)
    }

    /// The same for packets on these cables.
    pub fn lose_on(&self, cables: &[Cable], losses: &[Loss<'_>]) -> Result<(), LabError> {
        let mut rules = String::new();
        for Loss { from, to, percent } in losses {
            let verdict = match percent {
                100.. => "drop".to_owned(),
                _ => format!("numgen random mod 100 < {percent} drop"),
            };
            let (from, to) = (self.ports(from, cables)?, self.ports(to, cables)?);
            rules.push_str(&format!("iifname {from} oifname {to} {verdict}\n"));
        }
        self.forward_rules("between", &rules)
    }

    /// Puts these rules in the place of the table's former ones; none removes the table.
    fn forward_rules(&self, table: &str, rules: &str) -> Result<(), LabError> {
        let chain = format!("chain forward {{\ntype filter hook forward priority 0;\n{rules}}}\n");
        self.table(table, if rules.is_empty() { "" } else { &chain })
    }

    fn table(&self, name: &str, body: &str) -> Result<(), LabError> {
        // Making the table first lets it be deleted whether or not it was there.
        let mut text = format!("add table bridge {name}\ndelete table bridge {name}\n");
        if !body.is_empty() {
            text.push_str(&format!("table bridge {name} {{\n{body}}}\n"));
        }
        let mut command = inside(&self.bridge, "nft");
        process::run(command.args(["-f", "-"]), &text, COMMAND_LIMIT).map(|_| ())
    }

    fn ports(&self, hosts: &[&str], cables: &[Cable]) -> Result<String, LabError> {
        let mut ports = Vec::new();
        for host in hosts {
            let own = self.cables_of(host)?.into_iter().filter(|cable| cables.contains(cable));
            ports.extend(own.map(|cable| format!("\"{}\"", port(host, cable))));
        }
        Ok(format!("{{ {} }}", ports.join(", ")))
    }

    /// Begins to count what comes from this host with this source address.
    pub fn count_from(&self, host: &str, source: Ipv4Addr) -> Result<(), LabError> {
        let port = port(&self.host(host)?.name, LAN);
        self.table(
            "census",
            &format!(
                "counter as_ip {{ }}\ncounter as_arp {{ }}\n\
                 chain arriving {{\ntype filter hook prerouting priority -300;\n\
                 iifname \"{port}\" ip saddr {source} counter name as_ip\n\
                 iifname \"{port}\" arp saddr ip {source} counter name as_arp\n}}\n"
            ),
        )
    }

    /// IP packets and ARP messages that have come since [`Self::count_from`].
    pub fn counted(&self) -> Result<(u64, u64), LabError> {
        let mut command = inside(&self.bridge, "nft");
        command.args(["-j", "list", "counters", "table", "bridge", "census"]);
        let text = process::run(&mut command, "", COMMAND_LIMIT)?;
        let failed = |source| LabError::Json { command: process::describe(&command), source };
        let told: serde_json::Value = serde_json::from_str(&text).map_err(failed)?;
        let counter = |name: &str| {
            let list = told.get("nftables").and_then(|list| list.as_array()).into_iter().flatten();
            let mut counters = list.filter_map(|entry| entry.get("counter"));
            let counter = counters.find(|counter| counter.get("name").and_then(|it| it.as_str()) == Some(name));
            counter.and_then(|counter| counter.get("packets")).and_then(|packets| packets.as_u64()).unwrap_or(0)
        };
        Ok((counter("as_ip"), counter("as_arp")))
    }

    fn make_namespaces(&self) -> Result<(), LabError> {
        let hosts = self.hosts.iter().map(|host| &host.namespace);
        for namespace in hosts.chain([&self.bridge]) {
            cleanup::remember(namespace);
            process::run(Command::new("ip").args(["netns", "add", namespace]), "", COMMAND_LIMIT)?;
        }
        Ok(())
    }

    fn join(&self) -> Result<(), LabError> {
        self.batch(&self.bridge, "link set lo up\n")?;
        self.lay(LAN, &self.hosts.iter().map(|host| host.name.clone()).collect::<Vec<_>>())?;
        for host in &self.hosts {
            host.add_addresses(&[host.address])?;
            self.batch(&host.namespace, "link set lo up\nlink set eth0 up\n")?;
        }
        Ok(())
    }

    /// A switch, and a cable to each of its hosts.
    fn lay(&self, cable: Cable, ends: &[String]) -> Result<(), LabError> {
        let bridge = format!("br{}", cable.0);
        let mut switch =
            format!("link add {bridge} type bridge forward_delay 0 mcast_snooping 0\nlink set {bridge} up\n");
        for host in ends.iter().map(|name| self.host(name)).collect::<Result<Vec<_>, _>>()? {
            let (port, interface) = (port(&host.name, cable), interface(cable));
            switch.push_str(&format!(
                "link add {port} type veth peer name {interface} netns {}\nlink set {port} master {bridge}\n\
                 link set {port} up\n",
                host.namespace
            ));
        }
        self.batch(&self.bridge, &switch)
    }

    fn batch(&self, namespace: &str, lines: &str) -> Result<(), LabError> {
        batch(namespace, lines)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let hosts = self.hosts.iter().map(|host| host.namespace.clone());
        for namespace in hosts.chain([self.bridge.clone()]) {
            cleanup::remove(&namespace);
        }
    }
}

impl Host {
    /// A command that will run on this host, once spawned. The process has the id of the program itself.
    pub fn command(&self, program: &str) -> Command {
        inside(&self.namespace, program)
    }

    /// Gives `eth0` more addresses of the network.
    pub fn add_addresses(&self, addresses: &[Ipv4Addr]) -> Result<(), LabError> {
        let lines: String = addresses.iter().map(|address| format!("addr add {address}/24 dev eth0\n")).collect();
        batch(&self.namespace, &lines)
    }

    /// Takes an address away from `eth0`, whoever gave it.
    pub fn remove_address(&self, address: Ipv4Addr) -> Result<(), LabError> {
        batch(&self.namespace, &format!("addr del {address}/32 dev eth0\n"))
    }

    /// Whether `eth0` has this address.
    pub fn has_address(&self, address: Ipv4Addr) -> Result<bool, LabError> {
        let mut command = Command::new("ip");
        command.args(["-n", &self.namespace, "-brief", "addr", "show", "dev", "eth0"]);
        let text = process::run(&mut command, "", COMMAND_LIMIT)?;
        Ok(text.split_whitespace().any(|word| word.split('/').next() == Some(address.to_string().as_str())))
    }

    /// UDP sockets on this host that belong to this process.
    pub fn sockets(&self, addresses: &[SocketAddr]) -> Result<Vec<UdpSocket>, LabError> {
        self.enter(|| {
            let bind = |address: &SocketAddr| {
                UdpSocket::bind(address).map_err(LabError::io(format!("binding {address} on {}", self.name)))
            };
            addresses.iter().map(bind).collect()
        })
    }

    /// Does something in a thread that is on this host: sockets stay where they were made.
    pub fn enter<R: Send>(&self, work: impl FnOnce() -> Result<R, LabError> + Send) -> Result<R, LabError> {
        let path = format!("{NAMESPACE_DIRECTORY}/{}", self.namespace);
        let entering = format!("entering {path}");
        let namespace = File::open(&path).map_err(LabError::io(entering.clone()))?;
        let entered = || {
            // Only this thread changes over.
            setns(&namespace, CloneFlags::CLONE_NEWNET)
                .map_err(|errno| LabError::Io { operation: entering, source: errno.into() })?;
            work()
        };
        thread::scope(|scope| scope.spawn(entered).join().unwrap_or(Err(LabError::PhonesEnded)))
    }
}

/// The switch's end of a host's cable.
fn port(host: &str, cable: Cable) -> String {
    format!("p{}-{host}", cable.0)
}

/// The host's end.
fn interface(cable: Cable) -> String {
    format!("eth{}", cable.0)
}

fn inside(namespace: &str, program: &str) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace, program]);
    command
}

fn batch(namespace: &str, lines: &str) -> Result<(), LabError> {
    process::run(Command::new("ip").args(["-n", namespace, "-batch", "-"]), lines, COMMAND_LIMIT).map(|_| ())
}

#[cfg(test)]
mod tests;
