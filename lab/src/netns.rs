//! A small network of hosts: network namespaces joined by a bridge in a namespace of its own, with cuts and loss.

mod cleanup;

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
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
}

/// One machine of the network. Its interface is `eth0`.
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
        let network = Self { bridge: name("switch"), hosts: hosts.collect() };
        network.make_namespaces()?;
        network.join()?;
        Ok(network)
    }

    pub fn host(&self, name: &str) -> Result<&Host, LabError> {
        self.hosts.iter().find(|host| host.name == name).ok_or_else(|| LabError::NoHost(name.to_owned()))
    }

    /// Takes the host's cable out at the switch: the host loses its carrier, everybody else loses the host.
    pub fn cut(&self, host: &str) -> Result<(), LabError> {
        self.batch(&self.bridge, &format!("link set {} down\n", port(&self.host(host)?.name)))
    }

    /// Plugs the cable in again.
    pub fn heal(&self, host: &str) -> Result<(), LabError> {
        self.batch(&self.bridge, &format!("link set {} up\n", port(&self.host(host)?.name)))
    }

    /// Loses this many percent of the packets from and to the host; 0 ends it.
    pub fn lose(&self, host: &str, percent: u32) -> Result<(), LabError> {
        let host = self.host(host)?;
        let (table, port) = (format!("bridge loss_{}", host.name), port(&host.name));
        // Making the table first lets it be deleted whether or not it was there.
        let mut rules = format!("add table {table}\ndelete table {table}\n");
        if percent > 0 {
            let chance = format!("numgen random mod 100 < {percent} drop");
            rules.push_str(&format!(
                "table {table} {{\nchain forward {{\ntype filter hook forward priority 0;\n\
                 iifname \"{port}\" {chance}\noifname \"{port}\" {chance}\n}}\n}}\n"
            ));
        }
        let mut command = inside(&self.bridge, "nft");
        process::run(command.args(["-f", "-"]), &rules, COMMAND_LIMIT).map(|_| ())
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
        let mut switch = String::from(
            "link set lo up\nlink add br0 type bridge forward_delay 0 mcast_snooping 0\nlink set br0 up\n",
        );
        for host in &self.hosts {
            let port = port(&host.name);
            switch.push_str(&format!(
                "link add {port} type veth peer name eth0 netns {}\nlink set {port} master br0\nlink set {port} up\n",
                host.namespace
            ));
        }
        self.batch(&self.bridge, &switch)?;
        for host in &self.hosts {
            host.add_addresses(&[host.address])?;
            self.batch(&host.namespace, "link set lo up\nlink set eth0 up\n")?;
        }
        Ok(())
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
fn port(host: &str) -> String {
    format!("p-{host}")
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
