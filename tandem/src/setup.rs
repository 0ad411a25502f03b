//! What `tandem serve` was told, checked once and known to parent and daemon alike.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use admin::config::{Config, HmacKeyFile, Link, Safeguards, Synchronization, Telling, Track, WitnessPlace};
use base::NodeIndex;
use miette::{IntoDiagnostic, Result, WrapErr, miette};
use net::clock::random_bytes;
use net::key::{KeyError, PairKey};
use net::parent::{LinkPath, ParentConfig, ServiceAddress, VirtualInterface};
use net::vrrp::hmac::HmacKey;
use node::cluster::witness::Kind;
use node::cluster::{Failback, vrrp};
use pbx::Service;
use pbx::conf::{Diagnostic, Severity};
use pbx::configuration::{Configuration, Loaded, load};
use storage::cdr::Target;

/// The priority of a node that has no peer to compare it with.
const PRIORITY_ALONE: u8 = 100;

/// The label under which the pair's key makes the secret of digest nonces.
const NONCE_LABEL: &str = "digest nonces";

pub struct Setup {
    pub name: String,
    pub index: NodeIndex,
    pub priority: u8,
    pub failback: Failback,
    pub state_dir: PathBuf,
    pub pbx_dir: PathBuf,
    /// How long the preferred node is in step before the role goes back to it.
    pub preempt_delay: Duration,
    pub wait_for_peer: Duration,
    /// The addresses that phones know us by.
    pub service: Service,
    /// Where the service addresses are added, in their order; empty where they are the machine's own.
    pub interfaces: Vec<ServiceAddress>,
    /// The link that has the virtual router's Ethernet address, where that is wanted.
    pub virtual_interface: Option<VirtualInterface>,
    /// What other routers of the link are told; only with a service address of its own.
    pub vrrp: Option<vrrp::Settings>,
    /// What makes and proves adverts; only with VRRP.
    pub vrrp_key: Option<HmacKey>,
    pub tracks: Vec<Track>,
    pub listen: Option<SocketAddr>,
    pub links: Vec<LinkPath>,
    pub key: Option<PairKey>,
    /// Whom the node tells what happens to it.
    pub telling: Telling,
    /// How the PBX's files are kept equal on both machines.
    pub synchronization: Synchronization,
    /// What keeps two nodes from serving at once.
    pub safeguards: Safeguards,
    /// Where call records are stored.
    pub records: Target,
}

impl Setup {
    pub fn new(config: &Config) -> Result<Self> {
        let key = match &config.peer {
            Some(peer) => Some(read_key(&peer.key_file)?),
            None => None,
        };
        let links = config.peer.as_ref().map(|peer| peer.links.iter().map(path).collect()).unwrap_or_default();
        let listen = config.listen.map(|listen| listen.ip()).filter(|ip| !ip.is_unspecified());
        let service = match &config.service {
            Some(service) => service.group(),
            None => listen.unwrap_or_else(own_address).into(),
        };
        Ok(Self {
            name: config.name.clone(),
            index: config.index,
            priority: config.service.as_ref().map_or(PRIORITY_ALONE, |service| service.priority),
            failback: config.failback,
            preempt_delay: config.preempt_delay,
            wait_for_peer: config.wait_for_peer,
            state_dir: config.state_dir.clone(),
            pbx_dir: config.pbx_dir.clone(),
            service,
            interfaces: places(config),
            virtual_interface: virtual_interface(config),
            vrrp: vrrp_settings(config),
            vrrp_key: vrrp_key(config)?,
            tracks: config.tracks.clone(),
            listen: config.listen,
            links,
            key,
            telling: config.telling.clone(),
            synchronization: config.synchronization.clone(),
            safeguards: config.safeguards.clone(),
            records: crate::records::target(&config.state_dir, &config.records),
        })
    }

    /// What the node has to know of it.
    pub fn node_safeguards(&self) -> node::cluster::Safeguards {
        let Safeguards { witness, ping, fencing, role_hook: _ } = &self.safeguards;
        let fencing = fencing.as_ref().map(|fencing| node::cluster::Fencing {
            wait: fencing.wait,
            timeout: fencing.timeout,
            on_failure: fencing.on_failure,
        });
        node::cluster::Safeguards {
            witness: witness.as_ref().map(|witness| witness.mode),
            fencing,
            ping_settle: ping.as_ref().map(|ping| ping.settle).unwrap_or_default(),
            witness_kind: match witness.as_ref().map(|witness| &witness.place) {
                Some(WitnessPlace::Etcd(_)) => Kind::Record,
                Some(WitnessPlace::Machine(_)) | None => Kind::Machine,
            },
        }
    }

    pub fn socket_path(&self) -> PathBuf {
        admin::socket::path_in(&self.state_dir)
    }

    /// The interface whose cable it is.
    pub fn lower<'a>(&'a self, interface: &'a str) -> &'a str {
        let link = self.virtual_interface.as_ref().filter(|link| link.name == interface);
        link.map_or(interface, |link| link.lower.as_str())
    }

    pub fn parent_config(&self, arguments: Vec<std::ffi::OsString>) -> ParentConfig {
        ParentConfig {
            program: PathBuf::from("/proc/self/exe"),
            arguments,
            services: self.interfaces.clone(),
            virtual_interface: self.virtual_interface.clone(),
            links: self.links.clone(),
            key: self.key.clone(),
        }
    }

    /// The files, or what is wrong with them.
    pub fn load_pbx(&self) -> Result<Configuration> {
        let loaded = load_files(&self.pbx_dir);
        let configuration = loaded.configuration.ok_or_else(|| {
            let lines: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
            miette!("the files in {} cannot be used:\n{}", self.pbx_dir.display(), lines.join("\n"))
        })?;
        for diagnostic in &loaded.diagnostics {
            tracing::warn!("{diagnostic}");
        }
        Ok(configuration)
    }

    /// What signs digest nonces: the pair's key makes it, or a secret of this machine where there is no pair.
    pub fn secret(&self) -> Result<[u8; 32]> {
        if let Some(key) = &self.key {
            return Ok(key.derive(NONCE_LABEL));
        }
        let path = self.state_dir.join("secret");
        if let Ok(bytes) = std::fs::read(&path)
            && let Ok(secret) = bytes.try_into()
        {
            return Ok(secret);
        }
        let secret = random_bytes::<32>().into_diagnostic()?;
        write_secret(&path, &secret).into_diagnostic().wrap_err_with(|| format!("write {}", path.display()))?;
        Ok(secret)
    }
}

/// Reads and checks Asterisk's files; a folder that cannot be read is an error of the configuration like any other.
pub fn load_files(dir: &Path) -> Loaded {
    match admin::read_files(dir) {
        Ok(files) => load(&files),
        Err(error) => Loaded {
            configuration: None,
            diagnostics: vec![Diagnostic {
                file: dir.display().to_string(),
                line: 0,
                severity: Severity::Error,
                text: error.to_string(),
            }],
        },
    }
}

fn read_key(path: &Path) -> Result<PairKey> {
    PairKey::read(path).map_err(|error| match &error {
        KeyError::Read { source, .. } if source.kind() == std::io::ErrorKind::NotFound => miette!(
            help = format!("make one with `tandem key {}` and copy it to the other machine", path.display()),
            "there is no pair key {}",
            path.display()
        ),
        _ => Err::<(), _>(error).into_diagnostic().err().unwrap_or_else(|| miette!("read the pair key")),
    })
}

fn vrrp_key(config: &Config) -> Result<Option<HmacKey>> {
    let Some(HmacKeyFile { path, id }) = config.vrrp.as_ref().and_then(|vrrp| vrrp.hmac.as_ref()) else {
        return Ok(None);
    };
    let read = std::fs::read_to_string(path).into_diagnostic();
    let text = read.wrap_err_with(|| format!("read the key of VRRP adverts {}", path.display()))?;
    let key = HmacKey::parse(*id, &text).into_diagnostic();
    key.wrap_err_with(|| format!("the key of VRRP adverts {}", path.display())).map(Some)
}

fn vrrp_settings(config: &Config) -> Option<vrrp::Settings> {
    let (service, vrrp) = (config.service.as_ref()?, config.vrrp.as_ref()?);
    Some(vrrp::Settings {
        version: vrrp.version,
        vrid: service.vrid,
        priority: service.priority,
        interval: vrrp.advert_interval,
        addresses: of_router(service),
        unicast_peers: vrrp.unicast_peers.clone(),
        checksum_pseudo_header: vrrp.checksum_pseudo_header,
        authentication: vrrp.authentication,
    })
}

/// The addresses as the parent knows them. Those of the virtual router are on its link where it has one.
fn places(config: &Config) -> Vec<ServiceAddress> {
    let Some(service) = &config.service else { return Vec::new() };
    let (router, link) = (of_router(service), virtual_interface(config));
    let interface = |it: &admin::config::ServiceAddress| match &link {
        Some(link) if router.contains(&it.address) => link.name.clone(),
        _ => it.interface.clone(),
    };
    service.addresses().map(|it| ServiceAddress { interface: interface(&it), address: it.address }).collect()
}

fn virtual_interface(config: &Config) -> Option<VirtualInterface> {
    let service = config.service.as_ref()?;
    config.vrrp.as_ref().filter(|vrrp| vrrp.virtual_mac)?;
    let version = if service.address.is_ipv4() { 4 } else { 6 };
    Some(VirtualInterface {
        name: format!("tandem{version}.{}", service.vrid),
        lower: service.interface.clone(),
        hardware: vrrp::virtual_mac(service.vrid, service.address),
    })
}

/// A virtual router has the addresses of one interface and one family: those of the first address.
fn of_router(service: &admin::config::Service) -> Vec<IpAddr> {
    let with_first = service
        .addresses()
        .filter(|it| it.interface == service.interface && it.address.is_ipv4() == service.address.is_ipv4());
    with_first.map(|it| it.address).collect()
}

fn path(link: &Link) -> LinkPath {
    LinkPath { local: link.local, remote: link.remote }
}

fn write_secret(path: &Path, secret: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    let mut file = std::fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path)?;
    file.write_all(secret)?;
    file.sync_all()
}

/// The address that this machine's packets leave from: what phones will know it by. No packet is sent to find it.
fn own_address() -> IpAddr {
    let route = |socket: UdpSocket| {
        // TEST-NET-1 (RFC 5737) stands for any far address.
        socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).ok()?;
        socket.local_addr().ok()
    };
    let found = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok().and_then(route);
    found.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |address| address.ip())
}
